/* The list of codes: names, texts, exit statuses, errno. */
#include "base/rc.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void test_list(void **state) {
  (void)state;
  int last = 1;
#define ROW(n, value, text, retry)                  \
  assert_string_equal(xf_rc_name(XF_##n), #n);      \
  assert_string_equal(xf_rc_text(XF_##n), text);    \
  assert_int_equal(xf_rc_retryable(XF_##n), retry); \
  assert_int_equal(XF_##n, last - 1);               \
  last = XF_##n;
  XF_RC_LIST(ROW)
#undef ROW
  assert_int_equal(XF_OK, 0);
  assert_string_equal(xf_rc_name((enum xf_rc) - 999), "E_UNKNOWN");
  assert_string_equal(xf_rc_text((enum xf_rc) - 999), "unknown error code");
  assert_false(xf_rc_retryable((enum xf_rc) - 999));
}

static void test_errno(void **state) {
  (void)state;
  assert_int_equal(xf_rc_from_errno(ENOSPC), XF_E_NOSPACE);
  assert_int_equal(xf_rc_from_errno(EDQUOT), XF_E_NOSPACE);
  assert_int_equal(xf_rc_from_errno(ENOENT), XF_E_NOTFOUND);
  assert_int_equal(xf_rc_from_errno(EEXIST), XF_E_EXISTS);
  assert_int_equal(xf_rc_from_errno(ENOMEM), XF_E_NOMEM);
  assert_int_equal(xf_rc_from_errno(EAGAIN), XF_E_AGAIN);
  assert_int_equal(xf_rc_from_errno(EACCES), XF_E_AUTH);
  assert_int_equal(xf_rc_from_errno(EIO), XF_E_IO);
  assert_int_equal(xf_rc_from_errno(0), XF_E_IO);
}

static void test_exit(void **state) {
  (void)state;
  assert_int_equal(xf_rc_exit(XF_OK), 0);
  assert_int_equal(xf_rc_exit(XF_E_IO), 1);
  assert_int_equal(xf_rc_exit(XF_E_UNREACHABLE), 4);
  assert_int_equal(xf_rc_exit(XF_E_TIMEOUT), 4);
  assert_int_equal(xf_rc_exit(XF_E_AUTH), 5);
  assert_int_equal(xf_rc_exit(XF_E_VERSION), 6);
  assert_int_equal(xf_rc_exit(XF_E_CORRUPT), 7);
  assert_int_equal(xf_rc_exit(XF_E_NOSPACE), 8);
  assert_int_equal(xf_rc_exit(XF_E_LIMIT), 8);
  assert_int_equal(xf_rc_exit(XF_E_CONFIG), 78);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_list),
      cmocka_unit_test(test_errno),
      cmocka_unit_test(test_exit),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
