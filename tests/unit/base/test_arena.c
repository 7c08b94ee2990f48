/* The arena: limits hold however the requests are cut, memory is aligned, zeroed, kept over a reset. */
#include "base/arena.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void test_limit(void **state) {
  (void)state;
  struct xf_arena a;
  xf_arena_init(&a, 100);
  assert_null(xf_arena_alloc(&a, 101));
  assert_null(xf_arena_alloc(&a, SIZE_MAX));
  assert_null(xf_arena_calloc(&a, SIZE_MAX / 2, 3));
  assert_non_null(xf_arena_alloc(&a, 100)); /* the whole maximum at once */
  assert_null(xf_arena_alloc(&a, 1));
  assert_null(xf_arena_alloc(&a, 0));
  assert_null(xf_arena_strdup(&a, ""));
  xf_arena_reset(&a);
  size_t n = 0;
  while (xf_arena_alloc(&a, 0))
    n++; /* even nothing counts: no endless supply of empty allocations */
  assert_int_equal(n, 7);
  xf_arena_deinit(&a);
  xf_arena_deinit(&a);
  assert_non_null(xf_arena_alloc(&a, 1)); /* usable again with the same maximum */
  xf_arena_deinit(&a);
  xf_arena_init(&a, 0);
  assert_null(xf_arena_alloc(&a, 0));
  xf_arena_deinit(&a);
}

static void test_blocks(void **state) {
  (void)state;
  struct xf_arena a;
  xf_arena_init(&a, 1 << 20);
  uint8_t *p[300];
  for (int round = 0; round < 3; round++) {
    for (size_t i = 0; i < 300; i++) {
      size_t n = i % 50 == 49 ? 40000 : 1 + i * 7 % 900;
      p[i] = xf_arena_alloc(&a, n);
      assert_non_null(p[i]);
      assert_int_equal((uintptr_t)p[i] % 16, 0);
      memset(p[i], (int)i, n);
    }
    for (size_t i = 0; i < 300; i++) /* nobody's bytes were overwritten */
      assert_int_equal(p[i][i * 7 % 900], (uint8_t)i);
    uint8_t *first = p[0];
    xf_arena_reset(&a);
    assert_ptr_equal(xf_arena_alloc(&a, 1), first); /* memory is reused */
    xf_arena_reset(&a);
  }
  uint8_t *z = xf_arena_calloc(&a, 10, 10);
  for (int i = 0; i < 100; i++) assert_int_equal(z[i], 0);
  assert_string_equal(xf_arena_strdup(&a, "text"), "text");
  xf_arena_deinit(&a);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_limit),
      cmocka_unit_test(test_blocks),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
