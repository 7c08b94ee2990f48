/* Mean, deviation, worst tenth and rounds to a target, against figures worked out by hand. */
#include "tools/exper/stats.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void near(double got, double want) {
  if (!(fabs(got - want) <= 1e-12 * (1 + fabs(want)))) fail_msg("%.17g, not %.17g", got, want);
}

static void test_mean_and_deviation(void **state) {
  (void)state;
  const double v[] = {2, 4, 4, 4, 5, 5, 7, 9}; /* squares about 5: 9+1+1+1+0+0+4+16 = 32 */
  near(xf_stats_mean(v, 8), 5);
  near(xf_stats_sd(v, 8), sqrt(32.0 / 7));
  near(xf_stats_mean(v, 1), 2);
  assert_true(isnan(xf_stats_sd(v, 1)));
  assert_true(isnan(xf_stats_mean(v, 0)) && isnan(xf_stats_sd(v, 0)));
  const double same[] = {.1, .1};
  near(xf_stats_sd(same, 2), 0);
}

static void test_worst_tenth(void **state) {
  (void)state;
  double v[] = {.9, .1, .5, .3, .7, .8, .2, .6, .4, 1, .05}; /* 11: a tenth is two */
  near(xf_stats_worst_tenth(v, 11, true), .075);
  near(xf_stats_best_tenth(v, 11, true), .95);
  near(xf_stats_worst_tenth(v, 11, false), .95);
  near(xf_stats_best_tenth(v, 11, false), .075);
  double ten[] = {10, 9, 8, 7, 6, 5, 4, 3, 2, 1}; /* 10: one */
  near(xf_stats_worst_tenth(ten, 10, true), 1);
  double two[] = {3, 4};
  near(xf_stats_worst_tenth(two, 2, true), 3);
  assert_true(isnan(xf_stats_worst_tenth(two, 0, true)));
}

#define P(commits, value) \
  { {commits, 10 * (commits), .5 * (commits)}, value }

static void test_target(void **state) {
  (void)state;
  const struct {
    struct xf_curve_point p[4];
    size_t n;
    double target, rounds; /* rounds below 0: not reached */
    bool up;
  } rows[] = {
      {{P(1, .5), P(2, .9)}, 2, .8, 1.75, true},
      /* from the best so far, at the evaluation before: .5 at 2, .4 at 4, .9 at 6: 4 + 2 * (.8 - .5) / (.9 - .5) */
      {{P(2, .5), P(4, .4), P(6, .9)}, 3, .8, 5.5, true},
      /* once reached stays reached, however the curve falls */
      {{P(1, .2), P(2, .8), P(3, .1)}, 3, .8, 2, true},
      {{P(5, .8)}, 1, .8, 5, true}, /* at the first evaluation: not interpolated */
      {{P(5, .9), P(10, .95)}, 2, .8, 5, true},
      {{P(1, .1), P(2, .7999)}, 2, .8, -1, true},
      {{P(0, 0)}, 0, .8, -1, true},
      /* smaller is better: 1.0, 1.2, .4 to .5: best 1.0, 20 + 10 * .5 / .6 */
      {{P(10, 1), P(20, 1.2), P(30, .4)}, 3, .5, 20 + 10 * .5 / .6, false},
      {{P(10, 1), P(20, .6)}, 2, .5, -1, false},
      /* negative values, and the best at the first one */
      {{P(1, -3), P(2, -5), P(3, -1)}, 3, -2, 2.5, true},
  };
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    double cost[XF_N_COST] = {-1, -1, -1};
    const bool got = xf_stats_target(cost, rows[i].p, rows[i].n, rows[i].target, rows[i].up);
    assert_int_equal(got, rows[i].rounds >= 0);
    near(cost[XF_COST_COMMITS], rows[i].rounds);
    near(cost[XF_COST_BYTES], got ? 10 * rows[i].rounds : -1);
    near(cost[XF_COST_TIME], got ? .5 * rows[i].rounds : -1);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_mean_and_deviation),
      cmocka_unit_test(test_worst_tenth),
      cmocka_unit_test(test_target),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
