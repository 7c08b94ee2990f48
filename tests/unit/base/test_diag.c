/* Diagnostics: recording, prefixing as errors travel up, truncation; a NULL diag is legal. */
#include "base/diag.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void test_set_and_prefix(void **state) {
  (void)state;
  struct xf_diag d;
  xf_diag_init(&d);
  assert_string_equal(xf_diag_text(&d, XF_E_IO), xf_rc_text(XF_E_IO));
  assert_int_equal(xf_diag_set(&d, XF_E_FORMAT, "key \"%s\"", "x"), XF_E_FORMAT);
  assert_int_equal(d.rc, XF_E_FORMAT);
  assert_int_equal(xf_diag_prefix(&d, XF_E_CONFIG, "%s:%d", "a.yaml", 3), XF_E_CONFIG);
  assert_int_equal(d.rc, XF_E_CONFIG);
  assert_string_equal(xf_diag_text(&d, XF_E_CONFIG), "a.yaml:3: key \"x\"");
  xf_diag_init(&d);
  assert_int_equal(xf_diag_prefix(&d, XF_E_NOTFOUND, "here"), XF_E_NOTFOUND);
  assert_string_equal(d.text, "here: not found"); /* nothing recorded: the generic text */
}

static void test_null(void **state) {
  (void)state;
  xf_diag_init(NULL);
  assert_int_equal(xf_diag_set(NULL, XF_E_IO, "x"), XF_E_IO);
  assert_int_equal(xf_diag_prefix(NULL, XF_E_IO, "x"), XF_E_IO);
  assert_string_equal(xf_diag_text(NULL, XF_E_EOF), xf_rc_text(XF_E_EOF));
}

static void test_truncation(void **state) {
  (void)state;
  char big[2 * XF_DIAG_LEN];
  memset(big, 'z', sizeof big - 1);
  big[sizeof big - 1] = '\0';
  struct xf_diag d;
  xf_diag_init(&d);
  xf_diag_set(&d, XF_E_IO, "%s", big);
  assert_int_equal(strlen(d.text), XF_DIAG_LEN - 1);
  xf_diag_prefix(&d, XF_E_IO, "place");
  assert_int_equal(strlen(d.text), XF_DIAG_LEN - 1);
  assert_memory_equal(d.text, "place: zzz", 10);
  xf_diag_prefix(&d, XF_E_IO, "%s", big);
  assert_int_equal(strlen(d.text), XF_DIAG_LEN - 1);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_set_and_prefix),
      cmocka_unit_test(test_null),
      cmocka_unit_test(test_truncation),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
