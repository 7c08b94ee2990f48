// Releases: the published multipliers, the grid, noise of the right deviation, refusals of what has no known sensitivity.
#include "priv/release.h"

#include "base/alloc.h"
#include "crypto/init.h"
#include "priv/gauss.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
// cmocka wants the four above first
#include <cmocka.h>

static const double SENSITIVITY = 0.70710678118654757;

static struct xf_release made(double epsilon, double largest) {
  struct xf_release r;
  struct xf_diag diag = {0};
  const struct xf_release_spec spec = {SENSITIVITY, epsilon, 1e-5, 0, largest};
  if (xf_release_init(&r, &spec, &diag)) fail_msg("%s", diag.text);
  return r;
}

// Multipliers at delta 1e-5, to the digits they were published with; the deviation used never costs more than was asked.
static void test_multipliers(void **state) {
  (void)state;
  const double eps[] = {1, 2, 4, 8}, m[] = {3.731, 1.994, 1.081, .600};
  for (int i = 0; i < 4; i++) {
    const struct xf_release r = made(eps[i], 0);
    assert_true(fabs(r.grid.z - m[i]) < .0005);
    assert_true(fabs(r.sd - SENSITIVITY * m[i]) < .0005);
    assert_true(r.grid.z_used >= r.grid.z && r.epsilon <= eps[i] && r.epsilon > eps[i] * .999);
    assert_true(r.charge.noise_multiplier == r.grid.z_used && r.charge.n == 1);
    assert_true(r.step == ldexp(1, -r.grid.f) && r.sd / r.step <= 0x1p15 && r.sd / r.step > 0x1p14);
    // what an odometer says of the same release is looser, and not by much
    struct xf_odometer o;
    struct xf_odometer_report report;
    xf_odometer_init(&o);
    assert_int_equal(xf_odometer_add(&o, &r.charge, 1), XF_OK);
    assert_int_equal(xf_odometer_get(&report, &o, 1e-5), XF_OK);
    assert_true(report.zero_out.value > r.epsilon && report.zero_out.value < 1.35 * r.epsilon);
  }
  struct xf_release r;
  const struct xf_release_spec by_noise = {.sensitivity = 2, .noise_multiplier = 1};
  assert_int_equal(xf_release_init(&r, &by_noise, NULL), XF_OK);
  assert_true(fabs(r.sd - 2) < 1e-3 && isnan(r.epsilon));
}

// delta of the discrete Gaussian itself, summed over the integers, against the continuous one's that is stated.
static void test_discrete(void **state) {
  (void)state;
  const struct {
    int sigma, shift; // steps; the coarsest grid has 64
    double eps;
  } rows[] = {{64, 17, .5}, {64, 17, 1}, {64, 107, 8}, {64, 32, 2}, {240, 64, 1}, {600, 1000, 8}};
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    const double s = rows[i].sigma, shift = rows[i].shift, more = exp(rows[i].eps);
    double delta = 0, all = 0;
    for (double x = -40 * s; x <= 40 * s; x++) {
      const double p = exp(-(x - shift) * (x - shift) / (2 * s * s));
      const double q = exp(-x * x / (2 * s * s));
      all += q;
      if (p > more * q) delta += p - more * q;
    }
    const double stated = xf_gauss_delta(s / shift, rows[i].eps);
    if (fabs(delta / all / stated - 1) > 1e-3)
      fail_msg("row %zu: delta %g, stated %g", i, delta / all, stated);
  }
}

static void test_range(void **state) {
  (void)state;
  for (double largest = .5; largest < 1e6; largest *= 7) {
    const struct xf_release r = made(1, largest);
    assert_true(largest <= 0x1p24 * r.step); // held nowhere below it
    assert_true(r.sd / r.step >= 64);
  }
  assert_true(made(8, 1e4).grid.f < made(8, 0).grid.f);
  struct xf_release r;
  struct xf_diag diag = {0};
  struct xf_release_spec spec = {SENSITIVITY, 1, 1e-5, 0, 1e8};
  assert_int_equal(xf_release_init(&r, &spec, &diag), XF_E_RANGE);
  assert_non_null(strstr(diag.text, "smaller largest entry"));
  spec.largest = -1;
  assert_int_equal(xf_release_init(&r, &spec, &diag), XF_E_RANGE);
  const double bad[][4] = {{SENSITIVITY, 1, 0, 0},   {SENSITIVITY, 1, 1, 0},
                           {SENSITIVITY, -1, .1, 0}, {SENSITIVITY, NAN, .1, 0},
                           {0, 1, 1e-5, 0},          {NAN, 1, 1e-5, 0},
                           {SENSITIVITY, 0, 0, 0},   {SENSITIVITY, 0, 2, 1}};
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    spec = (struct xf_release_spec){bad[i][0], bad[i][1], bad[i][2], bad[i][3], 0};
    assert_int_equal(xf_release_init(&r, &spec, &diag), XF_E_RANGE);
  }
}

// The noise that arrives is whole steps, its mean and deviation are right, and it does not depend on the data.
static void test_noise(void **state) {
  (void)state;
  enum { N = 200000 };
  const struct xf_release r = made(2, 0);
  float *x = xf_calloc(N, sizeof *x), *y = xf_calloc(N, sizeof *y);
  struct xf_noise_rng rng;
  struct xf_release_report report;
  for (int i = 0; i < N; i++) y[i] = (float)((i % 1000) * 3 * r.step);
  for (int with = 0; with < 2; with++) {
    xf_noise_rng_init_seeded(&rng, 5, 1, "test");
    assert_int_equal(xf_release_step(with ? y : x, N, &r, &rng, &report, NULL), XF_OK);
    assert_int_equal(report.n_saturated, 0);
    xf_noise_rng_deinit(&rng);
  }
  double sum = 0, sum2 = 0;
  for (int i = 0; i < N; i++) {
    const double steps = (double)x[i] / r.step;
    assert_true(steps == trunc(steps));
    assert_true(y[i] - x[i] == (float)((i % 1000) * 3 * r.step));
    sum += (double)x[i];
    sum2 += (double)x[i] * (double)x[i];
  }
  assert_true(fabs(sum / N) < 5 * r.sd / sqrt(N));
  assert_true(fabs(sqrt(sum2 / N) / r.sd - 1) < 5 / sqrt(2 * N));
  xf_noise_rng_init(&rng); // the system's: two releases of the same data differ
  assert_int_equal(xf_release_step(y, 64, &r, &rng, &report, NULL), XF_OK);
  xf_noise_rng_deinit(&rng);
  assert_memory_not_equal(x, y, 64 * sizeof *x);
  xf_free(x);
  xf_free(y);
}

static void test_refusals(void **state) {
  (void)state;
  const struct xf_release r = made(1, 0);
  const float bad[] = {(float)(r.step / 2), NAN, INFINITY, -INFINITY};
  const enum xf_rc want[] = {XF_E_INVAL, XF_E_NAN, XF_E_NAN, XF_E_NAN};
  struct xf_noise_rng rng;
  struct xf_release_report report;
  struct xf_diag diag = {0};
  xf_noise_rng_init_seeded(&rng, 6, 1, "test");
  for (int i = 0; i < 4; i++) {
    float x[] = {1, 2, bad[i], 3};
    assert_int_equal(xf_release_step(x, 4, &r, &rng, &report, &diag), want[i]);
    assert_non_null(strstr(diag.text, "entry 2"));
    for (int k = 0; k < 4; k++) assert_true(x[k] == 0); // nothing is left to send by mistake
  }
  float far[] = {1e30f, -1e30f, 0};
  assert_int_equal(xf_release_step(far, 3, &r, &rng, &report, &diag), XF_OK);
  assert_int_equal(report.n_saturated, 2);
  const double most = XF_GRID_SATURATE * r.step;
  for (int k = 0; k < 2; k++)
    assert_true(fabs((double)far[k]) <= most && fabs((double)far[k]) > most - 40 * r.sd);
  assert_int_equal(xf_release_step(NULL, 0, &r, &rng, &report, &diag), XF_OK);
  xf_noise_rng_deinit(&rng);
}

int main(void) {
  if (xf_crypto_start()) return 1;
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_multipliers), cmocka_unit_test(test_discrete),
      cmocka_unit_test(test_range),       cmocka_unit_test(test_noise),
      cmocka_unit_test(test_refusals),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
