#include "tools/pki_show.h"

#include "base/digest.h"
#include "pki/ca.h"
#include "pki/info.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

const char *xf_tool_pki_time(char out[XF_WALL_LEN], int64_t s) {
  if (s > INT64_MAX / 1000000 || s < INT64_MIN / 1000000) s = 0;
  xf_wall_print(out, s * 1000000);
  char *dot = strchr(out, '.');
  if (dot) memcpy(dot, "Z", 2);
  return out;
}

/* Whole days until s, negative when past. */
static int64_t days_left(int64_t s, int64_t now_s) {
  return s >= now_s ? (s - now_s) / 86400 : -((now_s - s + 86399) / 86400);
}

/* A JSON string; names in certificates are printable ASCII by the time they are here. */
static void put_text(const char *key, const char *s) {
  printf(",\"%s\":\"", key);
  for (; *s; s++) {
    if (*s == '"' || *s == '\\') putchar('\\');
    putchar(*s);
  }
  putchar('"');
}

static void put_identity(const struct xf_identity *id) {
  char uri[XF_IDENTITY_CAP];
  put_text("identity", xf_identity_print(uri, id));
  put_text("federation", id->federation);
  put_text("role", xf_pki_role_name(id->role));
  put_text("member", id->member);
}

static void file_json(const struct xf_pki_info *i, int64_t now_s) {
  char from[XF_WALL_LEN], to[XF_WALL_LEN], hex[XF_DIGEST_HEX];
  bool cert = i->kind == XF_PKI_KIND_CA || i->kind == XF_PKI_KIND_CERT;
  printf("{\"v\":1,\"kind\":\"%s\"", xf_pki_kind_name(i->kind));
  if (i->has_identity) put_identity(&i->identity);
  else if (i->identity_error[0]) put_text("identity_error", i->identity_error);
  put_text("subject", i->subject);
  if (i->kind != XF_PKI_KIND_CSR) put_text("issuer", i->issuer);
  if (cert) put_text("serial", i->serial);
  if (i->key[0]) put_text("key", i->key);
  if (i->kind == XF_PKI_KIND_CERT)
    printf(",\"server_auth\":%s,\"client_auth\":%s", i->server_auth ? "true" : "false",
           i->client_auth ? "true" : "false");
  if (i->hosts[0]) put_text("hosts", i->hosts);
  if (i->kind != XF_PKI_KIND_CSR) {
    put_text("not_before", xf_tool_pki_time(from, i->not_before_s));
    put_text("not_after", xf_tool_pki_time(to, i->not_after_s));
    printf(",\"days_left\":%" PRId64, days_left(i->not_after_s, now_s));
  }
  if (i->kind == XF_PKI_KIND_CRL)
    printf(",\"crl_number\":%" PRIu64 ",\"revoked\":%zu", i->crl_number, i->n_revoked);
  put_text("sha256", xf_digest_print(hex, &i->fingerprint));
  printf("}\n");
}

static void file_text(const struct xf_pki_info *i, int64_t now_s) {
  char a[XF_IDENTITY_CAP], hex[XF_DIGEST_HEX];
  bool crl = i->kind == XF_PKI_KIND_CRL, csr = i->kind == XF_PKI_KIND_CSR;
  printf("kind         %s\n", xf_pki_kind_name(i->kind));
  if (i->has_identity) printf("identity     %s\n", xf_identity_print(a, &i->identity));
  else if (i->identity_error[0]) printf("identity     none: %s\n", i->identity_error);
  if (!crl) printf("name         %s\n", i->subject);
  if (!csr) printf("issuer       %s\n", i->issuer);
  if (i->serial[0]) printf("serial       %s\n", i->serial);
  if (i->key[0]) printf("key          %s\n", i->key);
  if (i->server_auth || i->client_auth)
    printf("purpose      %s%s\n", i->server_auth ? "server " : "", i->client_auth ? "client" : "");
  if (i->hosts[0]) printf("hosts        %s (not looked at by crossfed)\n", i->hosts);
  if (!csr) {
    int64_t left = days_left(i->not_after_s, now_s);
    printf("%s  %s\n", crl ? "made       " : "valid from ", xf_tool_pki_time(a, i->not_before_s));
    printf("%s  %s ", crl ? "due        " : "valid until", xf_tool_pki_time(a, i->not_after_s));
    if (left < 0) printf("(past)\n");
    else printf("(%" PRId64 " days left)\n", left);
  }
  if (crl) printf("number       %" PRIu64 "\nrevoked      %zu\n", i->crl_number, i->n_revoked);
  printf("sha256       %s\n", xf_digest_print(hex, &i->fingerprint));
}

struct listing {
  bool json;
  int64_t now_s;
  size_t n;
};

static const char *state_of(const struct xf_pki_entry *e, int64_t now_s) {
  if (e->revoked_s) return "revoked";
  if (e->not_after_s < now_s) return "expired";
  return e->not_before_s > now_s ? "not yet" : "valid";
}

#define LIST_HEAD "{\"v\":1,\"issued\":["

static enum xf_rc list_entry(void *arg, const struct xf_pki_entry *e) {
  struct listing *l = arg;
  char to[XF_WALL_LEN];
  const char *state = state_of(e, l->now_s);
  xf_tool_pki_time(to, e->not_after_s);
  if (l->json) {
    printf("%s{\"serial\":\"%s\"", l->n ? "," : LIST_HEAD, e->serial);
    put_text("role", xf_pki_role_name(e->role));
    put_text("member", e->member);
    put_text("not_after", to);
    put_text("state", state);
    if (e->revoked_s) put_text("revoked_at", xf_tool_pki_time(to, e->revoked_s));
    printf("}");
  } else
    printf("%-8s %-11s %-20s %s  %s\n", state, xf_pki_role_name(e->role), e->member, to, e->serial);
  l->n++;
  return XF_OK;
}

static enum xf_rc show_dir(const char *dir, bool json, int64_t now_s, struct xf_diag *diag) {
  struct listing l = {.json = json, .now_s = now_s};
  enum xf_rc rc = xf_pki_list(dir, list_entry, &l, diag);
  if (rc) return rc; /* the index is read whole first: nothing has been printed */
  if (json) printf("%s]}\n", l.n ? "" : LIST_HEAD);
  else if (!l.n) printf("no certificate has been issued yet\n");
  return XF_OK;
}

enum xf_rc xf_tool_pki_show(const char *path, bool json, int64_t now_s, struct xf_diag *diag) {
  struct xf_pki_info info;
  struct stat st;
  if (stat(path, &st) == 0 && S_ISDIR(st.st_mode)) return show_dir(path, json, now_s, diag);
  enum xf_rc rc = xf_pki_show(&info, path, diag);
  if (rc) return rc;
  if (json) file_json(&info, now_s);
  else file_text(&info, now_s);
  return XF_OK;
}
