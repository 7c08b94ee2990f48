// Properties of the private path over random cases: the integer vector never exceeds its bound, noise-free output is within
// one grid step of clipping, and the accountant is monotone in everything it should be.
// modules: priv base
#include "base/alloc.h"
#include "base/rng.h"
#include "priv/clip.h"
#include "priv/gauss.h"
#include "priv/grid.h"
#include "priv/odometer.h"
#include "priv/rdp.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
// cmocka wants the four above first
#include <cmocka.h>

#ifdef XF_SANITIZED
enum { CASES = 60 };
#else
enum { CASES = 600 };
#endif

// Vectors that try to get past the bound: equal entries, entries a rounding below a grid point, one big one, random.
static void draw(struct xf_rng *rng, float *x, size_t n, double clip) {
  const uint32_t kind = xf_rng_below(rng, 5);
  const double scale = clip * pow(10, xf_rng_double(rng) * 8 - 4);
  for (size_t i = 0; i < n; i++) {
    if (kind == 0) x[i] = (float)(clip / sqrt((double)n));
    else if (kind == 1) x[i] = nextafterf((float)(clip / sqrt((double)n)), INFINITY);
    else if (kind == 2) x[i] = i == n / 2 ? (float)clip : 0;
    else if (kind == 3) x[i] = (float)(scale * xf_rng_normal(rng));
    else x[i] = (float)(ldexp(1 + xf_rng_below(rng, 64), -(int)xf_rng_below(rng, 40)) * scale);
  }
}

static void test_bound(void **state) {
  (void)state;
  enum { MAX = 30000 };
  float *x = xf_alloc(MAX * sizeof *x), *y = xf_alloc(MAX * sizeof *y);
  int32_t *none = xf_calloc(MAX, sizeof *none);
  for (int c = 0; c < CASES; c++) {
    struct xf_rng rng;
    xf_rng_init(&rng, 31, (uint64_t)c);
    const double clip = pow(10, xf_rng_double(&rng) * 8 - 4),
                 z = pow(10, xf_rng_double(&rng) * 4 - 2);
    struct xf_grid g;
    assert_int_equal(xf_grid_init(&g, clip, z, NULL), XF_OK);
    const size_t n = 1 + xf_rng_below(&rng, MAX);
    draw(&rng, x, n, clip);
    memcpy(y, x, n * sizeof *x);
    struct xf_clip_report clipped;
    struct xf_grid_report report;
    assert_int_equal(xf_clip_step(y, n, clip, &clipped), XF_OK);
    assert_int_equal(xf_grid_step(x, none, n, &g, &report), XF_OK);
    assert_true(report.norm == clipped.norm && report.n_clipped == clipped.n_clipped);
    long double norm2 = 0;
    const double step = ldexp(1, -g.f);
    for (size_t i = 0; i < n; i++) {
      const double q = (double)x[i] / step;
      assert_true(q == floor(q) && fabs(q) <= 0x1p23);
      norm2 += (long double)q * (long double)q;
      const double gap = fabs((double)y[i]) - fabs((double)x[i]);
      const double slack = fabs((double)y[i]) * 1e-6;
      if (gap > step * 1.001 + slack || gap < -slack)
        fail_msg("case %d: clipped %.9g, on the grid %.9g, step %g", c, (double)y[i], (double)x[i],
                 step);
    }
    const long double bound = (long double)clip / (long double)step;
    assert_true(norm2 <= bound * bound);
  }
  xf_free(x);
  xf_free(y);
  xf_free(none);
}

static double epsilon(double q, double sigma, uint64_t steps, double delta) {
  struct xf_rdp rdp;
  struct xf_rdp_point p, back;
  xf_rdp_init(&rdp);
  xf_rdp_add(&rdp, q, sigma, steps);
  assert_int_equal(xf_rdp_epsilon(&p, xf_rdp_orders(), rdp.cost, XF_RDP_ORDERS, delta), XF_OK);
  if (p.value > 0 &&
      isfinite(p.value)) { // delta(epsilon(delta)) is delta, or less by the other bound
    assert_int_equal(xf_rdp_delta(&back, xf_rdp_orders(), rdp.cost, XF_RDP_ORDERS, p.value), XF_OK);
    assert_true(back.value <= delta * (1 + 1e-9));
  }
  return p.value;
}

static void test_monotone(void **state) {
  (void)state;
  for (int c = 0; c < CASES / 4; c++) {
    struct xf_rng rng;
    xf_rng_init(&rng, 32, (uint64_t)c);
    const double q = c % 3 ? pow(10, -4 * xf_rng_double(&rng)) : 1,
                 sigma = pow(10, xf_rng_double(&rng) * 2 - .7);
    const double delta = pow(10, -2 - 7 * xf_rng_double(&rng)), up = 1 + xf_rng_double(&rng);
    const uint64_t steps = 1 + xf_rng_below(&rng, 3000);
    const double e = epsilon(q, sigma, steps, delta), most = e * (1 + 1e-9) + 1e-12,
                 least = e * (1 - 1e-9) - 1e-12;
    assert_true(epsilon(q, sigma * up, steps, delta) <= most);
    assert_true(epsilon(q, sigma, steps, fmin(delta * up, .5)) <= most);
    assert_true(epsilon(q, sigma, steps + 1, delta) >= least);
    assert_true(epsilon(fmin(1, q * up), sigma, steps, delta) >= least);
    if (q == 1) assert_true(xf_gauss_epsilon(sigma / sqrt((double)steps), delta) <= most);
  }
}

// Charges add up whatever their order, and the odometer is the accountant at q = 1.
static void test_odometer(void **state) {
  (void)state;
  for (int c = 0; c < CASES / 4; c++) {
    struct xf_rng rng;
    xf_rng_init(&rng, 33, (uint64_t)c);
    struct xf_odometer_charge charge[8];
    struct xf_rdp rdp;
    xf_rdp_init(&rdp);
    for (int i = 0; i < 8; i++) {
      charge[i] =
          (struct xf_odometer_charge){.3 + 5 * xf_rng_double(&rng), xf_rng_below(&rng, 40), 0};
      xf_rdp_add(&rdp, 1, charge[i].noise_multiplier, charge[i].n);
    }
    struct xf_odometer all, one;
    xf_odometer_init(&all);
    xf_odometer_init(&one);
    assert_int_equal(xf_odometer_add(&all, charge, 8), XF_OK);
    for (int i = 7; i >= 0; i--) assert_int_equal(xf_odometer_add(&one, &charge[i], 1), XF_OK);
    struct xf_odometer_report a, b;
    struct xf_rdp_point p;
    assert_int_equal(xf_odometer_get(&a, &all, 1e-5), XF_OK);
    assert_int_equal(xf_odometer_get(&b, &one, 1e-5), XF_OK);
    assert_int_equal(xf_rdp_epsilon(&p, xf_rdp_orders(), rdp.cost, XF_RDP_ORDERS, 1e-5), XF_OK);
    assert_true(all.charges == one.charges && all.least_z == one.least_z);
    assert_true(fabs(a.zero_out.value - b.zero_out.value) <= 1e-12 * a.zero_out.value);
    assert_true(fabs(a.zero_out.value - p.value) <= 1e-12 * p.value);
    assert_true(a.replace_one.value >= a.zero_out.value);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_bound),
      cmocka_unit_test(test_monotone),
      cmocka_unit_test(test_odometer),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
