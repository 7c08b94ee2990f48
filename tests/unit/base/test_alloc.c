/* Allocation wrappers: overflow is caught, zero sizes are legal, page blocks are zeroed and aligned. */
#include "base/alloc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void test_small(void **state) {
  (void)state;
  char *p = xf_alloc(0);
  assert_non_null(p);
  p = xf_realloc_array(p, 3, 2);
  memcpy(p, "hello", 6);
  char *q = xf_strdup(p), *r = xf_memdup(p, 3);
  assert_string_equal(q, "hello");
  assert_memory_equal(r, "hel", 3);
  xf_free(p);
  xf_free(q);
  xf_free(r);
  xf_free(xf_memdup(NULL, 0));
  xf_free(NULL);
  uint32_t *z = xf_calloc(4, sizeof *z);
  assert_int_equal(z[0] | z[1] | z[2] | z[3], 0);
  xf_free(z);
}

/* Behind a volatile, or compilers warn about sizes that are absurd on purpose. */
static volatile size_t huge = SIZE_MAX / 2;

static void test_overflow(void **state) {
  (void)state;
  size_t n = 7;
  assert_null(xf_try_calloc(huge, 3));
  assert_null(xf_try_realloc_array(NULL, huge, 3));
  assert_false(xf_mul_size(&n, huge, 3));
  assert_false(xf_add_size(&n, SIZE_MAX, 1));
  assert_int_equal(n, 7); /* untouched */
  assert_true(xf_mul_size(&n, 6, 7));
  assert_int_equal(n, 42);
  assert_true(xf_add_size(&n, SIZE_MAX - 1, 1));
  assert_true(n == SIZE_MAX);
  void *p = xf_try_calloc(0, 8);
  assert_non_null(p);
  p = xf_try_realloc_array(p, 2, 8);
  assert_non_null(p);
  xf_free(p);
}

static void test_pages(void **state) {
  (void)state;
  static const size_t sizes[] = {0, 1, 4097, 2 * 1024 * 1024 - 1, 2 * 1024 * 1024, 5000001};
  for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
    size_t n = sizes[i];
    uint8_t *p = xf_try_pages(n);
    assert_non_null(p);
    assert_int_equal((uintptr_t)p % 64, 0);
    if (n) assert_int_equal(p[0] | p[n / 2] | p[n - 1], 0);
    memset(p, 1, n);
    xf_free_pages(p, n);
  }
  assert_null(xf_try_pages(huge)); /* more than the address space */
  xf_free_pages(NULL, 5);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_small),
      cmocka_unit_test(test_overflow),
      cmocka_unit_test(test_pages),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
