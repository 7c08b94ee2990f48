#include "common.h"

#include <errno.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

int64_t issue_now = NOW;
static char dir[256];

void scratch_begin(void) {
  const char *tmp = getenv("TMPDIR");
  int n = snprintf(dir, sizeof dir, "%s/xf-pki-XXXXXX", tmp && *tmp ? tmp : "/tmp");
  assert_true(n > 0 && (size_t)n < sizeof dir);
  assert_non_null(mkdtemp(dir));
}

static int erase(const char *path, const struct stat *st, int type, struct FTW *ftw) {
  (void)st, (void)type, (void)ftw;
  return remove(path);
}

void scratch_end(void) { assert_int_equal(nftw(dir, erase, 8, FTW_DEPTH | FTW_PHYS), 0); }

const char *scratch(const char *name) {
  static char paths[16][XF_PATH_MAX];
  static unsigned next;
  char *out = paths[next++ % 16];
  assert_int_equal(xf_fs_join(out, dir, name), XF_OK);
  return out;
}

void assert_ok(enum xf_rc rc, const struct xf_diag *diag) {
  if (rc) print_error("%s: %s\n", xf_rc_name(rc), xf_diag_text(diag, rc));
  assert_int_equal(rc, XF_OK);
}

void assert_says(enum xf_rc rc, enum xf_rc want, const struct xf_diag *diag, const char *text) {
  if (rc != want || !strstr(diag->text, text))
    print_error("got %s: %s\nwanted: %s\n", xf_rc_name(rc), xf_diag_text(diag, rc), text);
  assert_int_equal(rc, want);
  assert_non_null(strstr(diag->text, text));
}

void ca_make(const char *name, enum xf_pki_key key) {
  struct xf_diag diag = {0};
  struct xf_ca_options o = {.now_s = issue_now, .key = key};
  assert_ok(xf_pki_ca_create(scratch(name), "alpha", &o, &diag), &diag);
}

struct xf_pki_issued leaf_make(const char *ca, enum xf_pki_role role, const char *member,
                               const struct xf_leaf_options *options) {
  char cert[100], key[100];
  struct xf_diag diag = {0};
  struct xf_pki_issued issued;
  struct xf_leaf_options o = options ? *options : (struct xf_leaf_options){0};
  if (!o.now_s) o.now_s = issue_now;
  (void)snprintf(cert, sizeof cert, "%.80s.pem", member);
  (void)snprintf(key, sizeof key, "%.80s.key", member);
  assert_ok(
      xf_pki_issue(&issued, scratch(ca), role, member, scratch(cert), scratch(key), &o, &diag),
      &diag);
  return issued;
}
