/* Plain loops over flat vectors. */
#include "param/vec.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void test_delta_norm_scale(void **state) {
  (void)state;
  const float after[] = {3, 1.5f, -2, 1e30f}, before[] = {1, 1, 2, 0};
  float d[4];
  xf_vec_delta(d, after, before, 4);
  const float want[] = {2, 0.5f, -4, 1e30f};
  assert_memory_equal(d, want, sizeof want);
  assert_true(xf_vec_norm2(d, 3) == 20.25);
  /* Beyond float's range but not double's. */
  assert_true(isfinite(xf_vec_norm2(d, 4)) && xf_vec_norm2(d, 4) > 9.9e59);
  assert_true(xf_vec_norm2(d, 0) == 0);
  xf_vec_scale(d, -0.5f, 3);
  assert_true(d[0] == -1 && d[1] == -0.25f && d[2] == 2 && d[3] == 1e30f);
  xf_vec_scale(NULL, 2, 0);
}

static void test_find_nonfinite(void **state) {
  (void)state;
  static float x[5000];
  const float bad[] = {NAN, -NAN, INFINITY, -INFINITY};
  const size_t places[] = {0, 1, 1023, 1024, 1025, 4095, 4999};
  for (size_t i = 0; i < 5000; i++) x[i] = i % 3 ? 3.4028235e38f : -1e-45f;
  assert_true(xf_vec_find_nonfinite(x, 5000) == SIZE_MAX);
  assert_true(xf_vec_find_nonfinite(NULL, 0) == SIZE_MAX);
  for (size_t k = 0; k < 4; k++)
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
      float keep = x[places[i]];
      x[places[i]] = bad[k];
      x[4999] = places[i] == 4999 ? bad[k] : INFINITY; /* the first is named */
      assert_int_equal(xf_vec_find_nonfinite(x, 5000), places[i]);
      if (places[i] < 4999) assert_true(xf_vec_find_nonfinite(x, places[i]) == SIZE_MAX);
      x[4999] = 1;
      x[places[i]] = keep;
    }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_delta_norm_scale),
      cmocka_unit_test(test_find_nonfinite),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
