// The environment can choose the kernels, once; what this CPU has not is refused at the start, in words.
#include "tensor/blas.h"
#include "tensor/kern.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
// cmocka wants the four above first
#include <cmocka.h>

static void test_refused(void **state) {
  (void)state;
  struct xf_diag diag;
  xf_diag_init(&diag);
  assert_int_equal(setenv(XF_KERN_ENV, "sse9", 1), 0);
  assert_int_equal(xf_blas_start(NULL, &diag), XF_E_UNSUPPORTED);
  const char *text = xf_diag_text(&diag, XF_E_UNSUPPORTED);
  assert_non_null(strstr(text, "CROSSFED_KERNELS=sse9"));
  assert_non_null(strstr(text, "base"));
}

static void test_chosen_once(void **state) {
  (void)state;
  struct xf_blas_info info;
  struct xf_diag diag;
  xf_diag_init(&diag);
  assert_int_equal(setenv(XF_KERN_ENV, "base", 1), 0);
  assert_string_equal(xf_kern_get()->isa, "base");
  assert_int_equal(xf_blas_start(&info, &diag), XF_OK);
  assert_string_equal(info.isa, "base");
  assert_int_equal(unsetenv(XF_KERN_ENV), 0);
  assert_string_equal(xf_kern_get()->isa, "base"); // a process keeps what it began with
}

static void test_each_by_name(void **state) {
  (void)state;
  const struct xf_kern *k;
  for (size_t i = 0; (k = xf_kern_next(i)) != NULL; i++) assert_ptr_equal(xf_kern_find(k->isa), k);
  assert_null(xf_kern_find(""));
  assert_null(xf_kern_find("reference"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_refused),
      cmocka_unit_test(test_chosen_once),
      cmocka_unit_test(test_each_by_name),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
