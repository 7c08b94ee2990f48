/* The string to index map: any bytes as keys, replacement, removal, many keys. */
#include "base/map.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void test_basic(void **state) {
  (void)state;
  struct xf_map m;
  uint32_t v = 0;
  xf_map_init(&m);
  assert_false(xf_map_get(&m, "a", 1, &v));
  assert_false(xf_map_remove(&m, "a", 1));
  xf_map_set(&m, "a", 1, 5);
  xf_map_set(&m, "a\0b", 3, 6); /* keys are bytes, not strings */
  xf_map_set(&m, "", 0, 7);
  assert_int_equal(m.n, 3);
  assert_true(xf_map_get(&m, "a", 1, &v) && v == 5);
  assert_true(xf_map_get(&m, "a\0b", 3, &v) && v == 6);
  assert_true(xf_map_get(&m, "", 0, &v) && v == 7);
  assert_true(xf_map_get(&m, "a", 1, NULL));
  xf_map_set(&m, "a", 1, 8);
  assert_int_equal(m.n, 3);
  assert_true(xf_map_get(&m, "a", 1, &v) && v == 8);
  assert_true(xf_map_remove(&m, "a", 1));
  assert_false(xf_map_get(&m, "a", 1, &v));
  assert_int_equal(m.n, 2);
  xf_map_deinit(&m);
  assert_int_equal(m.n, 0);
  assert_false(xf_map_get(&m, "", 0, &v));
  xf_map_deinit(&m);
}

static void test_many(void **state) {
  (void)state;
  struct xf_map m;
  char key[16];
  uint32_t v = 0;
  xf_map_init(&m);
  for (uint32_t i = 0; i < 20000; i++)
    xf_map_set(&m, key, (size_t)snprintf(key, sizeof key, "key-%u", i), i);
  for (uint32_t i = 0; i < 20000; i += 2)
    assert_true(xf_map_remove(&m, key, (size_t)snprintf(key, sizeof key, "key-%u", i)));
  assert_int_equal(m.n, 10000);
  for (uint32_t i = 0; i < 20000; i++) {
    bool found = xf_map_get(&m, key, (size_t)snprintf(key, sizeof key, "key-%u", i), &v);
    assert_int_equal(found, i % 2);
    if (found) assert_int_equal(v, i);
  }
  xf_map_deinit(&m);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_basic),
      cmocka_unit_test(test_many),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
