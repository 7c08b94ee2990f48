#include "unit/net/pems.h"

#include "base/time.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

const char *pems_path(const struct pems *p, const char *name) {
  static char out[4][2 * PEMS_PATH];
  static unsigned at;
  char *s = out[at++ % 4];
  snprintf(s, sizeof out[0], "%s/%s", p->dir, name);
  return s;
}

static void must(enum xf_rc rc, const struct xf_diag *diag) {
  if (rc) fail_msg("%s", xf_diag_text(diag, rc));
}

void pems_ca(const struct pems *p, const char *name, const char *federation) {
  struct xf_diag diag;
  xf_diag_init(&diag);
  struct xf_ca_options options = {.now_s = xf_wall_now_s() - 86400, .days = 10};
  must(xf_pki_ca_create(pems_path(p, name), federation, &options, &diag), &diag);
}

void pems_issue(const struct pems *p, const char *ca, enum xf_pki_role role, const char *member,
                const char *file, const struct xf_leaf_options *options) {
  struct xf_diag diag;
  xf_diag_init(&diag);
  struct xf_leaf_options plain = {0};
  struct xf_pki_issued issued;
  char cert[PEMS_PATH], key[PEMS_PATH];
  snprintf(cert, sizeof cert, "%s.pem", file);
  snprintf(key, sizeof key, "%s.key", file);
  must(xf_pki_issue(&issued, pems_path(p, ca), role, member, pems_path(p, cert), pems_path(p, key),
                    options ? options : &plain, &diag),
       &diag);
}

void pems_init(struct pems *p) {
  const char *base = getenv("TMPDIR");
  snprintf(p->dir, sizeof p->dir, "%.90s/xf-net-XXXXXX", base ? base : "/tmp");
  assert_non_null(mkdtemp(p->dir));
  pems_ca(p, "ca", "lab");
  int64_t now = xf_wall_now_s();
  struct xf_leaf_options wide = {.not_before_s = now - 20000, .not_after_s = now + 86400};
  pems_issue(p, "ca", XF_PKI_ROLE_COORDINATOR, "hub", "hub", &wide);
  pems_issue(p, "ca", XF_PKI_ROLE_CLIENT, "alpha", "alpha", &wide);
}

/* Two levels are all there are. */
static void remove_tree(const char *dir, int level) {
  DIR *d = opendir(dir);
  char path[512];
  if (!d) return;
  for (const struct dirent *e = readdir(d); e; e = readdir(d)) {
    if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) continue;
    snprintf(path, sizeof path, "%.240s/%.200s", dir, e->d_name);
    if (unlink(path) && level < 2) remove_tree(path, level + 1);
  }
  closedir(d);
  rmdir(dir);
}

void pems_deinit(struct pems *p) { remove_tree(p->dir, 0); }

void pems_join(const struct pems *p, const char *name, const char *const *parts, size_t n) {
  char path[2 * PEMS_PATH], text[4096];
  assert_int_equal(mkdir(pems_path(p, name), 0700), 0);
  snprintf(path, sizeof path, "%.120s/%.64s/ca.pem", p->dir, name);
  FILE *out = fopen(path, "w");
  assert_non_null(out);
  for (size_t i = 0; i < n; i++) {
    FILE *in = fopen(pems_path(p, parts[i]), "r");
    assert_non_null(in);
    size_t len = fread(text, 1, sizeof text, in);
    assert_int_equal(fwrite(text, 1, len, out), len);
    assert_int_equal(fclose(in), 0);
  }
  assert_int_equal(fclose(out), 0);
}

struct xf_tls_ctx *pems_ctx(const struct pems *p, enum xf_pki_role role, const char *file,
                            const char *ca, bool crl, int64_t now_s) {
  struct xf_diag diag;
  xf_diag_init(&diag);
  char cert[2 * PEMS_PATH], key[2 * PEMS_PATH], ca_path[2 * PEMS_PATH], crl_path[2 * PEMS_PATH];
  snprintf(cert, sizeof cert, "%s/%s.pem", p->dir, file);
  snprintf(key, sizeof key, "%s/%s.key", p->dir, file);
  snprintf(ca_path, sizeof ca_path, "%s/%s/ca.pem", p->dir, ca);
  snprintf(crl_path, sizeof crl_path, "%s/%s/crl.pem", p->dir, ca);
  struct xf_tls_options options = {cert, key, ca_path, crl ? crl_path : NULL, role, now_s};
  struct xf_tls_ctx *ctx = NULL;
  must(xf_tls_ctx_new(&ctx, &options, &diag), &diag);
  return ctx;
}
