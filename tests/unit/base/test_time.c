/* Instants saturate instead of wrapping; durations round up for timers; the wall clock prints UTC. */
#include "base/time.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void test_arithmetic(void **state) {
  (void)state;
  struct xf_time t = {1000000000};
  assert_true(xf_time_add_s(t, 1.5).ns == 2500000000);
  assert_true(xf_time_add_s(t, -0.5).ns == 500000000);
  assert_true(xf_time_add_ms(t, 7).ns == 1007000000);
  assert_true(xf_time_add_s(t, 1e300).ns == INT64_MAX);
  assert_true(xf_time_add_s(t, (double)NAN).ns == INT64_MAX);
  assert_true(xf_time_add_s(t, (double)INFINITY).ns == INT64_MAX);
  assert_true(xf_time_add_s((struct xf_time){INT64_MIN + 5}, -1e300).ns == INT64_MIN);
  assert_true(xf_time_add_ms(t, INT64_MAX).ns == INT64_MAX);
  assert_true(xf_time_add_ms((struct xf_time){-5}, INT64_MIN).ns == INT64_MIN);
  assert_true(xf_time_add_s(XF_TIME_NEVER, -5).ns == INT64_MAX); /* never stays never */
  assert_true(xf_time_add_ms(XF_TIME_NEVER, -5).ns == INT64_MAX);
  assert_true(fabs(xf_time_diff_s((struct xf_time){2500000000}, t) - 1.5) < 1e-12);
  assert_true(xf_time_before(t, XF_TIME_NEVER) && !xf_time_before(t, t));
  assert_true(xf_time_min(t, XF_TIME_NEVER).ns == t.ns && xf_time_min(XF_TIME_NEVER, t).ns == t.ns);
}

static void test_timer(void **state) {
  (void)state;
  struct xf_time t = {5000000};
  assert_int_equal(xf_time_diff_ms(t, t), 0);
  assert_int_equal(xf_time_diff_ms(t, (struct xf_time){6000000}), 0);
  assert_int_equal(xf_time_diff_ms(t, (struct xf_time){4999999}), 1); /* never too early */
  assert_int_equal(xf_time_diff_ms(t, (struct xf_time){3000000}), 2);
  assert_true(xf_time_diff_ms(XF_TIME_NEVER, (struct xf_time){-5}) > 9000000000000);
}

static void test_clocks(void **state) {
  (void)state;
  const double cpu = xf_time_cpu_s(); // advances with work
  volatile unsigned work = 0;
  while (xf_time_cpu_s() <= cpu) work = work + 1;
  assert_true(cpu >= 0 && xf_time_cpu_s() > cpu);
  struct xf_time a = xf_time_now(), b = xf_time_now();
  assert_false(xf_time_before(b, a));
  int64_t us = xf_wall_now_us(), s = xf_wall_now_s();
  assert_true(us > 1600000000000000 && s >= us / 1000000 && s <= us / 1000000 + 60);
  char out[XF_WALL_LEN];
  assert_string_equal(xf_wall_print(out, 0), "1970-01-01T00:00:00.000Z");
  assert_string_equal(xf_wall_print(out, 1795486533123999), "2026-11-24T02:15:33.123Z");
  assert_string_equal(xf_wall_print(out, 951782400000000), "2000-02-29T00:00:00.000Z");
  assert_string_equal(xf_wall_print(out, -1000), "1969-12-31T23:59:59.999Z");
  assert_true(strlen(xf_wall_print(out, INT64_MAX)) < XF_WALL_LEN);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_arithmetic),
      cmocka_unit_test(test_timer),
      cmocka_unit_test(test_clocks),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
