// Poisson-sampled steps with discrete noise: the bound against brute force, published epsilons, the odometer, the statement.
#include "priv/odometer.h"
#include "priv/statement.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
// cmocka wants the four above first
#include <cmocka.h>

#define NEAR(got, want, tol) assert_true(fabs((got) - (want)) <= (tol)*fabs((double)(want)))

enum { HALF = 45, SIDE = 2 * HALF + 1, CELLS = SIDE * SIDE };
static long double base[CELLS], with[CELLS], other[CELLS];

/* The discrete Gaussian of deviation s around (a, b). */
static void fill(long double *p, long double s, int a, int b) {
  long double sum = 0;
  for (int i = 0; i < CELLS; i++) {
    const int x = i / SIDE - HALF - a, y = i % SIDE - HALF - b;
    sum += p[i] = expl(-(long double)(x * x + y * y) / (2 * s * s));
  }
  for (int i = 0; i < CELLS; i++) p[i] /= sum;
}

static void mix(long double *p, long double q) {
  for (int i = 0; i < CELLS; i++) p[i] = (1 - q) * base[i] + q * p[i];
}

static double renyi(const long double *p, const long double *q, double order) {
  long double sum = 0;
  for (int i = 0; i < CELLS; i++)
    if (p[i] > 0 && q[i] > 0)
      sum += expl((long double)order * logl(p[i]) - (long double)(order - 1) * logl(q[i]));
  return (double)logl(sum) / (order - 1);
}

// in the plane, both directions, deviations down to half a step; at integer orders the worse direction is met exactly
static void test_bound(void **state) {
  (void)state;
  const double rates[] = {0.01, 0.4}, deviations[] = {0.5, 1.3, 4},
               orders[] = {1.1, 1.7, 2, 2.5, 3, 4, 5.9, 8};
  const int steps[][2] = {{1, 0}, {1, 2}, {3, 1}};
  for (size_t k = 0; k < 3; k++)
    for (size_t d = 0; d < 3; d++)
      for (size_t r = 0; r < 2; r++) {
        const double s = deviations[d], q = rates[r], z = s / hypot(steps[k][0], steps[k][1]);
        fill(base, s, 0, 0);
        fill(with, s, steps[k][0], steps[k][1]);
        fill(other, s, -steps[k][0], -steps[k][1]);
        mix(with, q);
        mix(other, q);
        for (size_t o = 0; o < sizeof orders / sizeof orders[0]; o++) {
          const double a = orders[o], bound = xf_rdp_get_sampled(q, z, a);
          const double add = renyi(with, base, a), removed = renyi(base, with, a);
          if (z < 0.3 && a > 3) continue; /* the tails leave the plane */
          assert_true(add <= bound * (1 + 1e-9) && removed <= bound * (1 + 1e-9));
          if (a == floor(a)) NEAR(add, bound, 1e-6);
          assert_true(renyi(with, other, a) <= xf_rdp_get_sampled_replace(q, z, a) * (1 + 1e-9));
        }
      }
}

// between the exact series and its neighbours; whole releases and edges as xf_rdp_get
static void test_against_the_series(void **state) {
  (void)state;
  const double *orders = xf_rdp_orders();
  for (double q = 1e-4; q < 1; q *= 7)
    for (double z = 0.6; z < 20; z *= 2.3)
      for (size_t i = 0; i < XF_RDP_ORDERS; i++) {
        const double a = orders[i], exact = xf_rdp_get(q, z, a),
                     bound = xf_rdp_get_sampled(q, z, a);
        const double replace = xf_rdp_get_sampled_replace(q, z, a);
        if (a == floor(a)) assert_true(bound == exact);
        else if (isfinite(exact)) assert_true(bound >= exact * (1 - 1e-9));
        assert_true(bound <= xf_rdp_get(1, z, ceil(a)) && replace >= bound);
        assert_true(replace <= xf_rdp_get(1, z / 2, a) * (1 + 1e-12));
      }
  assert_true(xf_rdp_get_sampled(1, 2, 3) == xf_rdp_get(1, 2, 3));
  assert_true(xf_rdp_get_sampled_replace(1, 2, 3) == xf_rdp_get(1, 1, 3));
  assert_true(isinf(xf_rdp_get_sampled(.1, 0, 3)) && xf_rdp_get_sampled(0, 1, 3) == 0);
  assert_true(isinf(xf_rdp_get_sampled(NAN, 1, 3)) && isinf(xf_rdp_get_sampled_replace(2, 1, 3)));
}

static struct xf_odometer charged(double rate, double z, uint64_t n) {
  struct xf_odometer o;
  xf_odometer_init(&o);
  const struct xf_odometer_charge c = {z, n, rate};
  assert_int_equal(xf_odometer_add(&o, &c, 1), XF_OK);
  return o;
}

static struct xf_odometer_report report(const struct xf_odometer *o, double delta) {
  struct xf_odometer_report r;
  assert_int_equal(xf_odometer_get(&r, o, delta), XF_OK);
  return r;
}

// tensorflow-privacy (best order an integer: equal), Opacus (3.9: the chord costs .2 %)
static void test_published(void **state) {
  (void)state;
  struct xf_odometer o = charged(150.0 / 60000, 1.3, 6000);
  NEAR(report(&o, 1e-5).zero_out.value, 0.7242234026109595, 1e-9);
  o = charged(0.001, 1, 30000);
  NEAR(report(&o, 1e-7).zero_out.value, 1.4154988495444842, 1e-9);
  o = charged(0.04, 1.5, 2250);
  const double eps = report(&o, 1e-5).zero_out.value;
  assert_true(eps >= 7.32911117143 && eps <= 7.32911117143 * 1.004);
  o = charged(1, 5, 50); /* every unit, whole: as any release */
  NEAR(report(&o, 1e-5).zero_out.value, 7.077392, 1e-6);
}

// a task after the other is the same as all at once; a fifth kind of step costs at least what it is; neighbours are ordered
static void test_odometer(void **state) {
  (void)state;
  struct xf_odometer parts, exact;
  xf_odometer_init(&parts);
  for (int i = 0; i < 10; i++) {
    const struct xf_odometer_charge c = {1.2, 30, 0.02};
    assert_int_equal(xf_odometer_add(&parts, &c, 1), XF_OK);
  }
  const struct xf_odometer whole = charged(0.02, 1.2, 300);
  const struct xf_odometer_report a = report(&parts, 1e-5), b = report(&whole, 1e-5);
  assert_true(a.zero_out.value == b.zero_out.value && parts.charges == 300);
  assert_true(a.replace_one.value > a.zero_out.value);
  const struct xf_odometer unsampled = charged(0, 1.2, 300);
  assert_true(report(&unsampled, 1e-5).replace_one.value > a.replace_one.value);

  double sum = 0;
  xf_odometer_init(&exact);
  for (int i = 0; i < 7; i++) {
    const struct xf_odometer_charge c = {2 + i, 100, 0.01 * (i + 1)};
    assert_int_equal(xf_odometer_add(&exact, &c, 1), XF_OK);
    sum += 100 * xf_rdp_get_sampled(c.rate, c.noise_multiplier, 8);
  }
  double kept = 0;
  for (int i = 0; i < XF_ODOMETER_SAMPLED; i++)
    kept += (double)exact.sampled[i].n *
            xf_rdp_get_sampled(exact.sampled[i].rate, exact.sampled[i].z, 8);
  assert_true(kept >= sum && exact.charges == 700);

  const struct xf_odometer_charge more = {3, 2, 0}, bad = {1, 1, 1.5}, nan = {1, 1, NAN};
  assert_int_equal(xf_odometer_add(&exact, &more, 1), XF_OK); /* beside whole releases */
  assert_true(exact.rho > 0);
  assert_int_equal(xf_odometer_add(&exact, &bad, 1), XF_E_RANGE);
  assert_int_equal(xf_odometer_add(&exact, &nan, 1), XF_E_RANGE);
  const struct xf_odometer_charge bare = {0, 5, 0.1};
  assert_int_equal(xf_odometer_add(&exact, &bare, 1), XF_OK);
  assert_true(exact.bare == 5 && isinf(report(&exact, 1e-5).zero_out.value));
  uint64_t left = 0;
  assert_int_equal(
      xf_odometer_left(&left, &whole, XF_ODOMETER_ZERO_OUT, 4, b.zero_out.value + 1, 1e-5), XF_OK);
  struct xf_odometer after = whole;
  for (uint64_t extra = 0; extra < 2; extra++) {
    const struct xf_odometer_charge c = {4, left + extra, 0};
    after = whole;
    assert_int_equal(xf_odometer_add(&after, &c, 1), XF_OK);
    assert_true((report(&after, 1e-5).zero_out.value > b.zero_out.value + 1) == (extra > 0));
  }
}

static void test_statement(void **state) {
  (void)state;
  struct xf_buf buf;
  struct xf_statement s = {.silo = "clinic-a",
                           .clip = 0.5,
                           .odometer = charged(0.0025, 1.3, 6000),
                           .delta = 1e-5,
                           .records = true,
                           .steps = true,
                           .rate = 0.0025};
  xf_buf_init(&buf, 8192);
  assert_int_equal(xf_statement_print(&buf, &s), XF_OK);
  const char *const parts[] = {"privacy of one record of silo clinic-a against the coordinator",
                               "each record's gradient to L2 norm 0.5 in each step",
                               "each record with probability 0.0025",
                               "at least 1.3 x the clipping norm",
                               "6000, each accounted as Poisson-sampled",
                               "0.7242 at delta 1e-05, add-or-remove",
                               "a person with several records, or in several silos, pays for each",
                               "how its data were split and prepared"};
  for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
    if (!strstr(xf_buf_cstr(&buf), parts[i]))
      fail_msg("\"%s\" is not in:\n%s", parts[i], xf_buf_cstr(&buf));
  xf_buf_reset(&buf);
  assert_int_equal(xf_statement_print_short(&buf, &s), XF_OK);
  assert_non_null(strstr(xf_buf_cstr(&buf), "epsilon 0.7242 (add-or-remove)"));
  assert_non_null(
      strstr(xf_buf_cstr(&buf), "6000 steps, against the coordinator, per record of one silo"));
  xf_buf_reset(&buf);
  s.records = false, s.users = true, s.rate = 1;
  assert_int_equal(xf_statement_print(&buf, &s), XF_OK);
  assert_non_null(strstr(xf_buf_cstr(&buf), "one user of silo clinic-a"));
  assert_non_null(strstr(xf_buf_cstr(&buf), "6000, each counted whole"));
  xf_buf_deinit(&buf);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_bound),     cmocka_unit_test(test_against_the_series),
      cmocka_unit_test(test_published), cmocka_unit_test(test_odometer),
      cmocka_unit_test(test_statement),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
