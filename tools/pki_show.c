#include "tools/pki_show.h"

#include "base/digest.h"
#include "pki/ca.h"
#include "pki/info.h"
#include "tools/json_out.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { JSON_MAX = 1 << 28 }; /* of a list: about 150 bytes a certificate */

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

static void put_identity(struct xf_jsonw *w, const struct xf_identity *id) {
  char uri[XF_IDENTITY_CAP];
  xf_jsonw_kstr(w, "identity", xf_identity_print(uri, id));
  xf_jsonw_kstr(w, "federation", id->federation);
  xf_jsonw_kstr(w, "role", xf_pki_role_name(id->role));
  xf_jsonw_kstr(w, "member", id->member);
}

static void put_info(struct xf_jsonw *w, const struct xf_pki_info *i, int64_t now_s) {
  char time[XF_WALL_LEN], hex[XF_DIGEST_HEX];
  const bool cert = i->kind == XF_PKI_KIND_CA || i->kind == XF_PKI_KIND_CERT;
  xf_jsonw_kuint(w, "v", 1);
  xf_jsonw_kstr(w, "kind", xf_pki_kind_name(i->kind));
  if (i->has_identity) put_identity(w, &i->identity);
  else if (i->identity_error[0]) xf_jsonw_kstr(w, "identity_error", i->identity_error);
  xf_jsonw_kstr(w, "subject", i->subject);
  if (i->kind != XF_PKI_KIND_CSR) xf_jsonw_kstr(w, "issuer", i->issuer);
  if (cert) xf_jsonw_kstr(w, "serial", i->serial);
  if (i->key[0]) xf_jsonw_kstr(w, "key", i->key);
  if (i->kind == XF_PKI_KIND_CERT) {
    xf_jsonw_kbool(w, "server_auth", i->server_auth);
    xf_jsonw_kbool(w, "client_auth", i->client_auth);
  }
  if (i->hosts[0]) xf_jsonw_kstr(w, "hosts", i->hosts);
  if (i->kind != XF_PKI_KIND_CSR) {
    xf_jsonw_kstr(w, "not_before", xf_tool_pki_time(time, i->not_before_s));
    xf_jsonw_kstr(w, "not_after", xf_tool_pki_time(time, i->not_after_s));
    xf_jsonw_kint(w, "days_left", days_left(i->not_after_s, now_s));
  }
  if (i->kind == XF_PKI_KIND_CRL) {
    xf_jsonw_kuint(w, "crl_number", i->crl_number);
    xf_jsonw_kuint(w, "revoked", i->n_revoked);
  }
  xf_jsonw_kstr(w, "sha256", xf_digest_print(hex, &i->fingerprint));
}

static enum xf_rc file_json(const struct xf_pki_info *i, int64_t now_s) {
  struct xf_jsonw w;
  struct xf_buf buf;
  xf_buf_init(&buf, JSON_MAX);
  xf_jsonw_init(&w, &buf);
  xf_jsonw_object(&w);
  put_info(&w, i, now_s);
  xf_jsonw_object_end(&w);
  const enum xf_rc rc = xf_tool_json(&buf, &w);
  xf_buf_deinit(&buf);
  return rc;
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
  struct xf_jsonw *w; /* NULL: for people */
  int64_t now_s;
  size_t n;
};

static const char *state_of(const struct xf_pki_entry *e, int64_t now_s) {
  if (e->revoked_s) return "revoked";
  if (e->not_after_s < now_s) return "expired";
  return e->not_before_s > now_s ? "not yet" : "valid";
}

static void entry_json(struct xf_jsonw *w, const struct xf_pki_entry *e, const char *state) {
  char time[XF_WALL_LEN];
  xf_jsonw_object(w);
  xf_jsonw_kstr(w, "serial", e->serial);
  xf_jsonw_kstr(w, "role", xf_pki_role_name(e->role));
  xf_jsonw_kstr(w, "member", e->member);
  xf_jsonw_kstr(w, "not_after", xf_tool_pki_time(time, e->not_after_s));
  xf_jsonw_kstr(w, "state", state);
  if (e->revoked_s) xf_jsonw_kstr(w, "revoked_at", xf_tool_pki_time(time, e->revoked_s));
  xf_jsonw_object_end(w);
}

static enum xf_rc list_entry(void *arg, const struct xf_pki_entry *e) {
  struct listing *l = arg;
  char to[XF_WALL_LEN];
  const char *state = state_of(e, l->now_s);
  if (l->w) entry_json(l->w, e, state);
  else
    printf("%-8s %-11s %-20s %s  %s\n", state, xf_pki_role_name(e->role), e->member,
           xf_tool_pki_time(to, e->not_after_s), e->serial);
  l->n++;
  return XF_OK;
}

static enum xf_rc dir_json(const char *dir, int64_t now_s, struct xf_diag *diag) {
  struct xf_jsonw w;
  struct xf_buf buf;
  struct listing l = {.w = &w, .now_s = now_s};
  xf_buf_init(&buf, JSON_MAX);
  xf_jsonw_init(&w, &buf);
  xf_jsonw_object(&w);
  xf_jsonw_kuint(&w, "v", 1);
  xf_jsonw_key(&w, "issued");
  xf_jsonw_array(&w);
  enum xf_rc rc = xf_pki_list(dir, list_entry, &l, diag);
  xf_jsonw_array_end(&w);
  xf_jsonw_object_end(&w);
  if (!rc) rc = xf_tool_json(&buf, &w);
  xf_buf_deinit(&buf);
  return rc;
}

static enum xf_rc dir_text(const char *dir, int64_t now_s, struct xf_diag *diag) {
  struct listing l = {.now_s = now_s};
  const enum xf_rc rc = xf_pki_list(dir, list_entry, &l, diag);
  if (!rc && !l.n) printf("no certificate has been issued yet\n");
  return rc;
}

enum xf_rc xf_tool_pki_show(const char *path, bool json, int64_t now_s, struct xf_diag *diag) {
  struct xf_pki_info info;
  struct stat st;
  if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
    return json ? dir_json(path, now_s, diag) : dir_text(path, now_s, diag);
  enum xf_rc rc = xf_pki_show(&info, path, diag);
  if (rc) return rc;
  if (json) return file_json(&info, now_s);
  file_text(&info, now_s);
  return XF_OK;
}
