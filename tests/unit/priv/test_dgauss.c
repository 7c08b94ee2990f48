// The sampler against the exact probabilities: chi-square, moments, for variances from tiny to the grid's largest.
#include "priv/dgauss.h"
#include "priv/noise.h"

#include "base/alloc.h"
#include "base/rng.h"
#include "crypto/init.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
// cmocka wants the four above first
#include <cmocka.h>

#ifdef XF_SANITIZED
enum { SAMPLES = 100000 };
#else
enum { SAMPLES = 1000000 };
#endif

static void fill(void *arg, uint64_t *out, size_t n) {
  for (size_t i = 0; i < n; i++) out[i] = xf_rng_u64(arg);
}

// 2 a b t^2 above 2^64 (the fractions with large terms) takes the wide coins.
static const struct {
  uint64_t a, b;
} variances[] = {
    {1, 4},
    {1, 1},
    {2, 3},
    {25, 1},
    {617, 100},
    {10000, 1},
    {1, 20},
    {7, 2000},
    {2147483647, 2147483646},
    {2000000000, 999999999},
    {1u << 30, 1},
    {2147483647, 2},
    {2147483647, 4},
    {2147483647, 1000003},
};

// Bins: single values near 0, of equal width further out; everything beyond 6 sigma in the last two.
static void check_distribution(uint64_t a, uint64_t b, uint64_t seed) {
  struct xf_rng rng;
  xf_rng_init(&rng, seed, 0);
  struct xf_dgauss d;
  assert_int_equal(xf_dgauss_init(&d, a, b, (struct xf_dgauss_source){fill, &rng}), XF_OK);
  const double variance = (double)a / (double)b, sigma = sqrt(variance);
  const int64_t width = sigma < 4 ? 1 : (int64_t)(sigma / 4),
                most = (int64_t)(6 * sigma / (double)width) + 2;
  enum { MAX_BINS = 128 };
  double count[MAX_BINS] = {0}, p[MAX_BINS] = {0};
  const int64_t n_bins = 2 * most + 1;
  assert_true(n_bins <= MAX_BINS);
  double s1 = 0, s2 = 0, s4 = 0;
  for (int i = 0; i < SAMPLES; i++) {
    const int64_t x = xf_dgauss_next(&d);
    int64_t bin =
        (x >= 0 ? x + width / 2 : x - width / 2) / width; // symmetric about 0 (odd width: centred)
    bin = bin > most ? most : bin < -most ? -most : bin;
    count[bin + most]++;
    const double y = (double)x / sigma;
    s1 += y, s2 += y * y, s4 += y * y * y * y;
  }
  // exact probabilities by summing the mass function
  double total = 0, m2 = 0, m4 = 0;
  const int64_t end = (int64_t)(12 * sigma) + 12;
  for (int64_t x = -end; x <= end; x++) {
    const double y = (double)x / sigma, mass = exp(-y * y / 2);
    int64_t bin = (x >= 0 ? x + width / 2 : x - width / 2) / width;
    bin = bin > most ? most : bin < -most ? -most : bin;
    p[bin + most] += mass;
    total += mass, m2 += y * y * mass, m4 += y * y * y * y * mass;
  }
  double chi2 = 0, df = -1, rest_count = 0, rest_p = 0;
  for (int64_t i = 0; i < n_bins; i++) {
    const double expected = SAMPLES * p[i] / total;
    if (expected < 10) {
      rest_count += count[i], rest_p += expected;
      continue;
    }
    chi2 += (count[i] - expected) * (count[i] - expected) / expected;
    df++;
  }
  if (rest_p > 10) chi2 += (rest_count - rest_p) * (rest_count - rest_p) / rest_p, df++;
  else assert_true(rest_count <= rest_p + 6 * sqrt(rest_p) + 6);
  const double z = df > 0 ? (chi2 - df) / sqrt(2 * df) : 0;
  if (z > 4.5) fail_msg("a %lu b %lu: chi-square %.1f with %.0f degrees", a, b, chi2, df);
  const double n = SAMPLES, v2 = m2 / total, v4 = m4 / total;
  if (fabs(s1 / n) > 5 * sqrt(v2 / n)) fail_msg("a %lu b %lu: mean %g", a, b, s1 / n);
  if (fabs(s2 / n - v2) > 5 * sqrt((v4 - v2 * v2) / n))
    fail_msg("a %lu b %lu: variance %g", a, b, s2 / n);
  xf_dgauss_deinit(&d);
}

static void test_distribution(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof variances / sizeof variances[0]; i++)
    check_distribution(variances[i].a, variances[i].b, 100 + i);
}

// The same words give the same samples.
static void test_repeatable(void **state) {
  (void)state;
  int32_t first[64], again[64];
  for (int t = 0; t < 2; t++) {
    struct xf_rng rng;
    xf_rng_init(&rng, 9, 9);
    struct xf_dgauss d;
    assert_int_equal(xf_dgauss_init(&d, 10000, 1, (struct xf_dgauss_source){fill, &rng}), XF_OK);
    xf_dgauss_fill(&d, t ? again : first, 64);
    xf_dgauss_deinit(&d);
    xf_dgauss_deinit(&d);
  }
  assert_memory_equal(first, again, sizeof first);
}

static void test_refusals(void **state) {
  (void)state;
  struct xf_dgauss d;
  const struct xf_dgauss_source source = {fill, NULL};
  assert_int_equal(xf_dgauss_init(&d, 0, 1, source), XF_E_RANGE);
  assert_int_equal(xf_dgauss_init(&d, 1, 0, source), XF_E_RANGE);
  assert_int_equal(xf_dgauss_init(&d, (uint64_t)1 << 31, 1, source), XF_E_RANGE);
  assert_int_equal(xf_dgauss_init(&d, 1, (uint64_t)1 << 31, source), XF_E_RANGE);
  assert_int_equal(xf_dgauss_init(&d, 1, 1, (struct xf_dgauss_source){0}), XF_E_RANGE);
}

// crypto's generator: seeded repeats, unseeded does not
static void test_noise(void **state) {
  (void)state;
  enum { N = 4096 };
  static int32_t x[4][N];
  struct xf_grid grid;
  assert_int_equal(xf_grid_init(&grid, 1, 1, NULL), XF_OK);
  for (int i = 0; i < 4; i++) {
    struct xf_noise_rng rng;
    if (i < 2) xf_noise_rng_init_seeded(&rng, 7, 3, "silo-a");
    else xf_noise_rng_init(&rng);
    assert_int_equal(xf_noise_fill(x[i], N, &grid, &rng), XF_OK);
    xf_noise_rng_deinit(&rng);
    double s2 = 0;
    for (int k = 0; k < N; k++) s2 += (double)x[i][k] * (double)x[i][k];
    const double ratio = s2 / N / ((double)grid.a / (double)grid.b);
    assert_true(fabs(ratio - 1) < 6 * sqrt(2.0 / N));
  }
  assert_memory_equal(x[0], x[1], sizeof x[0]);
  assert_memory_not_equal(x[2], x[3], sizeof x[0]);
  assert_memory_not_equal(x[0], x[2], sizeof x[0]);
}

static int start(void **state) {
  (void)state;
  return xf_crypto_start();
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_distribution),
      cmocka_unit_test(test_repeatable),
      cmocka_unit_test(test_refusals),
      cmocka_unit_test(test_noise),
  };
  return cmocka_run_group_tests(tests, start, NULL);
}
