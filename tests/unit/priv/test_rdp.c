// The accountant against published figures: Opacus, tensorflow-privacy, dp_accounting, high-precision integrals.
#include "priv/gauss.h"
#include "priv/rdp.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
// cmocka wants the four above first
#include <cmocka.h>

static void near(double got, double want, double tol, const char *what) {
  if (!(fabs(got - want) <= tol * fabs(want)))
    fail_msg("%s: %.15g, expected %.15g", what, got, want);
}

static struct xf_rdp_point epsilon(double q, double sigma, uint64_t steps, double delta) {
  struct xf_rdp rdp;
  struct xf_rdp_point point;
  xf_rdp_init(&rdp);
  xf_rdp_add(&rdp, q, sigma, steps);
  assert_int_equal(xf_rdp_epsilon(&point, xf_rdp_orders(), rdp.cost, XF_RDP_ORDERS, delta), XF_OK);
  return point;
}

static void test_orders(void **state) {
  (void)state;
  const double *o = xf_rdp_orders();
  for (int i = 0; i < 99; i++) near(o[i], 1 + (i + 1) / 10.0, 4e-16, "tenths");
  for (int i = 99; i < 152; i++) assert_true(o[i] == i - 88);
  assert_true(o[152] == 128 && o[153] == 256 && o[154] == 512 && o[155] == 1024);
}

// vectors: rdp_gaussian, rdp_poisson_subsampled
static void test_vectors(void **state) {
  (void)state;
  const double orders[6] = {2, 3, 4, 8, 16, 32};
  const double whole[6] = {0.8264462809917354, 1.2396694214876032, 1.652892561983471,
                           3.305785123966942,  6.611570247933884,  13.223140495867767};
  const double sampled[6] = {0.0001285100816052773, 0.00019627788991501068, 0.0002667183146269588,
                             0.0005840703355202454, 1.6998267277531744,     8.469416433675926};
  double cost[6];
  for (int i = 0; i < 6; i++) {
    near(xf_rdp_get(1, 1.1, orders[i]), whole[i], 1e-12, "whole");
    cost[i] = 1000 * xf_rdp_get(0.01, 1.1, orders[i]);
    near(cost[i] / 1000, sampled[i], 1e-9, "sampled");
  }
  struct xf_rdp_point p;
  assert_int_equal(xf_rdp_epsilon(&p, orders, cost, 6, 1e-5), XF_OK);
  near(p.value, 1.7981795033657788, 1e-9, "improved");
}

// ln A by integration with 40 digits, at points that are hard for one reason or another (dp_accounting's list and more)
static void test_moments(void **state) {
  (void)state;
  const struct {
    double q, sigma, order, log_a;
  } rows[] = {
      {1e-7, .1, 1.01, 4.0034123225263953e-8}, {1e-6, .1, 256, 3260463.2292971611},
      {1e-5, .1, 256.1, 3263607.0397884211},   {1e-6, 1, 27, 8.7695113048485018e-10},
      {1e-4, 1, 1.5, 6.4426869538366491e-9},   {1e-3, 1, 2, 1.7182803522145153e-6},
      {.01, 10, 20, 0.00019129699912842962},   {.1, 100, 20.5, 0.00019991818458068294},
      {.99, .1, 256, 3263997.4271140215},      {.999, 100, 256.1, 3.2601080379731121},
      {.01, 2.5, 1.5, 6.5007089718803971e-6},  {.01, 2.5, 2.5, 3.2562541707543728e-5},
      {.01, 2.5, 5, 0.00017446052498463046},   {.01, 2.5, 50, 0.023369116787932045},
      {.4, 12, 58.5, 2.0717890729868802},      {.4, 12, 59.25, 2.128729206254384},
      {.1, 1, 9.7, 19.874624529479691},        {.01, 1.1, 1.1, 6.9588515593702626e-6},
      {.5, .7, 3.3, 5.490283120370905},        {.9, 2, 7.4, 5.3078609093800409},
  };
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    char what[64];
    snprintf(what, sizeof what, "q %g sigma %g order %g", rows[i].q, rows[i].sigma, rows[i].order);
    near(xf_rdp_get(rows[i].q, rows[i].sigma, rows[i].order) * (rows[i].order - 1), rows[i].log_a,
         1e-8, what);
  }
  // 50 steps; dp_accounting's figures are upper bounds at fractional orders
  const double bound[4][2] = {
      {1.5, 6.70579741e-4}, {2.5, 1.08548710e-3}, {5, 2.18075656e-3}, {50, 2.38460375e-2}};
  for (int i = 0; i < 4; i++) {
    const double r = 50 * xf_rdp_get(.01, 2.5, bound[i][0]);
    assert_true(r <= bound[i][1] * (1 + 5e-9) && r > .96 * bound[i][1]);
  }
  near(50 * xf_rdp_get(.01, 2.5, 1.5), 6.50070897e-4, 1e-8, "exact 1.5");
  near(50 * xf_rdp_get(.01, 2.5, 2.5), 1.08541806e-3, 1e-8, "exact 2.5");
  near(50 * xf_rdp_get(.01, 2.5, 100), 1.67416308e2, 1e-8, "100");
  for (double a = 58.5; a <= 59.5; a += .01)
    assert_true(xf_rdp_get(.4, 12, a) > 0 && xf_rdp_get(.4, 12, a) < 1);
  // orders in between lie in between (the cost is monotone in the order)
  double last = 0;
  for (double a = 1.02; a < 70; a += .173) {
    const double r = xf_rdp_get(.1, 1, a);
    assert_true(r >= last && isfinite(r));
    last = r;
  }
}

static void test_published(void **state) {
  (void)state;
  // Opacus accountants_test: RDP is exact there
  near(epsilon(.04, 1.5, 2250, 1e-5).value, 7.32911117143, 1e-8 / 7.3, "Opacus");
  // computed with dp_accounting (2026-08): an upper bound where the best order is fractional
  const struct {
    double q, sigma;
    uint64_t steps;
    double delta, eps, order, slack;
  } rows[] = {
      {.01, 1.1, 1000, 1e-5, 1.711770, 9.6, 1e-3}, {.01, 1.1, 10000, 1e-5, 5.632011, 4.7, 1e-3},
      {.001, .8, 1000, 1e-6, 1.461876, 8.6, 1e-3}, {.04, 1.5, 2250, 1e-5, 7.329335, 3.9, 1e-3},
      {.001, 1, 30000, 1e-7, 1.415499, 13, 1e-6},  {.1, 1, 100, 1e-5, 7.903850, 3.2, 2e-2},
      {1, 1, 1, 1e-5, 4.728507, 5.4, 1e-6},        {1, 5, 50, 1e-5, 7.077392, 4.2, 1e-6},
      {.05, 3, 1000, 1e-6, 2.708630, 9.4, 1e-3},
  };
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    const struct xf_rdp_point p = epsilon(rows[i].q, rows[i].sigma, rows[i].steps, rows[i].delta);
    if (p.value > rows[i].eps + 6e-7 || p.value < rows[i].eps * (1 - rows[i].slack) - 6e-7)
      fail_msg("row %zu: %.9g, dp_accounting %.9g", i, p.value, rows[i].eps);
    if (fabs(p.order - rows[i].order) > .11) fail_msg("row %zu: order %g", i, p.order);
    assert_false(p.at_end);
  }
}

// tensorflow-privacy compute_dp_sgd_privacy_test, over its own list of orders
static void test_tensorflow(void **state) {
  (void)state;
  double orders[73], cost[73];
  const double head[10] = {1.25, 1.5, 1.75, 2, 2.25, 2.5, 3, 3.5, 4, 4.5};
  size_t n = 0;
  while (n < 10) orders[n] = head[n], n++;
  for (int a = 5; a < 64; a++) orders[n++] = a;
  orders[n++] = 128, orders[n++] = 256, orders[n++] = 512;
  const struct {
    double q, sigma, steps, delta, eps, order, tol;
  } rows[] = {
      {150 / 6e4, 1.3, 6000, 1e-5, 0.7242234026109595, 19, 1e-10},
      {100 / 1e5, 1.0, 30000, 1e-7, 1.4154988495444842, 13, 1e-10},
      {1024 / 1e8, 0.1, 976563, 1e-7, 5907982.3113984, 1.25, 1e-6},
  };
  for (size_t i = 0; i < 3; i++) {
    for (size_t k = 0; k < n; k++)
      cost[k] = rows[i].steps * xf_rdp_get(rows[i].q, rows[i].sigma, orders[k]);
    struct xf_rdp_point p;
    assert_int_equal(xf_rdp_epsilon(&p, orders, cost, n, rows[i].delta), XF_OK);
    near(p.value, rows[i].eps, rows[i].tol, "tensorflow-privacy");
    assert_true(p.order == rows[i].order && p.at_end == (i == 2));
  }
}

static void test_conversion(void **state) {
  (void)state;
  double orders[31], cost[31];
  for (int i = 0; i < 31; i++) orders[i] = i + 2, cost[i] = 1.1;
  struct xf_rdp_point p, back;
  assert_int_equal(xf_rdp_epsilon(&p, orders, cost, 31, 1e-5), XF_OK);
  near(p.value, 1.32783806176, 1e-11, "constant cost");
  assert_true(p.order == 32 && p.at_end);
  assert_int_equal(xf_rdp_delta(&back, orders, cost, 31, p.value), XF_OK);
  near(back.value, 1e-5, 1e-10, "and back");

  static double fine[99000], r[99000];
  for (int i = 0; i < 98999; i++)
    fine[i] = .001 * (i + 1001), r[i] = xf_rdp_get(1, 4.530877117, fine[i]);
  assert_int_equal(xf_rdp_epsilon(&p, fine, r, 98999, 1e-6), XF_OK);
  near(p.value, 1, 1e-6, "epsilon 1");
  assert_int_equal(xf_rdp_delta(&p, fine, r, 98999, 1), XF_OK);
  near(p.value, 1e-6, 1e-5, "delta 1e-6");

  for (int i = 0; i < 31; i++) cost[i] = 0;
  assert_int_equal(xf_rdp_epsilon(&p, orders, cost, 31, 1e-5), XF_OK);
  assert_true(p.value == 0);
  for (int i = 0; i < 31; i++) cost[i] = INFINITY;
  assert_int_equal(xf_rdp_epsilon(&p, orders, cost, 31, 1e-5), XF_OK);
  assert_true(isinf(p.value));
  assert_int_equal(xf_rdp_delta(&p, orders, cost, 31, 1), XF_OK);
  assert_true(p.value == 1);
  assert_int_equal(xf_rdp_epsilon(&p, orders, cost, 31, 0), XF_E_RANGE);
  assert_int_equal(xf_rdp_epsilon(&p, orders, cost, 31, 1), XF_E_RANGE);
  assert_int_equal(xf_rdp_epsilon(&p, orders, cost, 0, 1e-5), XF_E_RANGE);
  assert_int_equal(xf_rdp_delta(&p, orders, cost, 31, -1), XF_E_RANGE);
  cost[4] = NAN;
  assert_int_equal(xf_rdp_epsilon(&p, orders, cost, 31, 1e-5), XF_E_RANGE);
}

static void test_extremes(void **state) {
  (void)state;
  assert_true(xf_rdp_get(0, 1, 2) == 0 && xf_rdp_get(0, 0, 2) == 0);
  assert_true(isinf(xf_rdp_get(.1, 0, 2)) && isinf(xf_rdp_get(1, 0, 2.5)));
  assert_true(isinf(xf_rdp_get(-.1, 1, 2)) && isinf(xf_rdp_get(1.1, 1, 2)) &&
              isinf(xf_rdp_get(NAN, 1, 2)));
  assert_true(isinf(xf_rdp_get(.1, -1, 2)) && isinf(xf_rdp_get(.1, 1, 1)));
  for (double q = 1e-9; q < 1; q = q < .5 ? q * 30 : q + .09)
    for (double sigma = .02; sigma < 2000; sigma *= 3.7)
      for (double a = 1.1; a < 300; a *= 1.31) {
        const double r = xf_rdp_get(q, sigma, a);
        assert_true(r >= 0 &&
                    r <= xf_rdp_get(1, sigma, a) * (1 + 1e-9)); // sampling never costs more
      }
}

// the analytic curve: published points, and below RDP everywhere
static void test_gauss(void **state) {
  (void)state;
  near(xf_gauss_delta(1, 1), 0.12693673750664, 1e-10, "sigma 1"); // 3 releases at sqrt(3)
  near(xf_gauss_sigma(1, 0.78760074), 1.0 / 3, 1e-6, "sigma 1/3");
  near(xf_gauss_epsilon(1, 1e-5), 4.377178, 1e-6, "PLD, one release");
  near(xf_gauss_epsilon(5 / sqrt(50), 1e-5), 6.572970, 1e-6, "PLD, 50 releases");
  near(xf_gauss_epsilon(10 / sqrt(200), 1e-6), 7.286081, 1e-6, "PLD, 200 releases");
  near(xf_gauss_epsilon(xf_gauss_sigma(2.5, 1e-7), 1e-7), 2.5, 1e-9, "round trip");
  assert_true(xf_gauss_delta(0, 1) == 1 && isinf(xf_gauss_epsilon(0, .1)) &&
              isinf(xf_gauss_epsilon(1, 0)));
  assert_true(xf_gauss_epsilon(1000, .1) == 0);
  assert_true(xf_gauss_delta(20, 50) >= 0 && xf_gauss_delta(.01, 1) > .999);
  for (double sigma = .3; sigma < 60; sigma *= 1.4)
    for (double delta = 1e-9; delta < .1; delta *= 7) {
      const double exact = xf_gauss_epsilon(sigma, delta), rdp = epsilon(1, sigma, 1, delta).value;
      assert_true(exact <= rdp * (1 + 1e-12));
      if (exact > 0) near(xf_gauss_delta(sigma, exact), delta, 1e-9, "delta of epsilon");
    }
  assert_true(fabsl(xf_gauss_log_erfc(99.999L) - xf_gauss_log_erfc(100.001L) - 0.4L) < 1e-4L);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_orders),     cmocka_unit_test(test_vectors),
      cmocka_unit_test(test_moments),    cmocka_unit_test(test_published),
      cmocka_unit_test(test_tensorflow), cmocka_unit_test(test_conversion),
      cmocka_unit_test(test_extremes),   cmocka_unit_test(test_gauss),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
