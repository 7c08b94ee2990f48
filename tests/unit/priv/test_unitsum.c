// One step unit by unit: each unit's integers are its own, their length is bounded, noise comes on top, samples are Poisson.
#include "priv/unitsum.h"

#include "base/rng.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
// cmocka wants the four above first
#include <cmocka.h>

enum { N = 200, UNITS = 30 };

static struct xf_diag diag;
static float unit[UNITS][N];

/* Units of very different length; one is nearly at the bound, one zero, one huge. */
static void make_units(double clip) {
  struct xf_rng rng;
  xf_rng_init(&rng, 11, 12);
  for (int u = 0; u < UNITS; u++) {
    const double scale = clip * pow(10, u % 5 - 3);
    for (int i = 0; i < N; i++) unit[u][i] = (float)(scale * xf_rng_normal(&rng));
  }
  memset(unit[1], 0, sizeof unit[1]);
  for (int i = 0; i < N; i++) unit[2][i] = (float)(clip / sqrt(N));
  for (int i = 0; i < N; i++) unit[3][i] = 1e30f;
}

// against clipping in double; and any unit changes the integers by its own ones, whatever is there already
static void test_sum(void **state) {
  (void)state;
  const double clips[] = {1, 0.37, 1e-4, 2500};
  for (size_t c = 0; c < sizeof clips / sizeof clips[0]; c++) {
    const double clip = clips[c];
    struct xf_unitsum u, one;
    float got[N];
    double want[N] = {0};
    int64_t before[N];
    make_units(clip);
    assert_int_equal(xf_unitsum_init(&u, N, clip, 0, 1, &diag), XF_OK);
    assert_int_equal(xf_unitsum_init(&one, N, clip, 0, 1, &diag), XF_OK);
    assert_int_equal(xf_unitsum_start(&u, NULL), XF_OK);
    const double bound = ldexp(clip, u.grid.f);
    for (int k = 0; k < UNITS; k++) {
      double norm2 = 0;
      uint64_t length2 = 0;
      for (int i = 0; i < N; i++) norm2 += (double)unit[k][i] * (double)unit[k][i];
      const double factor = norm2 > clip * clip ? clip / sqrt(norm2) : 1;
      for (int i = 0; i < N; i++) want[i] += factor * (double)unit[k][i];
      memcpy(before, u.sum, sizeof before);
      assert_int_equal(xf_unitsum_start(&one, NULL), XF_OK);
      assert_int_equal(xf_unitsum_add(&one, unit[k]), XF_OK);
      assert_int_equal(xf_unitsum_add(&u, unit[k]), XF_OK);
      for (int i = 0; i < N; i++) {
        assert_true(u.sum[i] - before[i] == one.sum[i]);
        length2 += (uint64_t)(one.sum[i] * one.sum[i]);
      }
      assert_true((double)length2 <= bound * bound);
    }
    assert_true(u.n_added == UNITS && u.n_clipped >= 2 && u.n_lost == 0);
    xf_unitsum_get(&u, got, 8);
    for (int i = 0; i < N; i++)
      assert_true(fabs((double)got[i] - want[i] / 8) <=
                  UNITS * ldexp(1, -u.grid.f) / 8 + 1e-6 * clip);
    xf_unitsum_deinit(&u);
    xf_unitsum_deinit(&one);
  }
}

static void test_no_number_adds_nothing(void **state) {
  (void)state;
  struct xf_unitsum u;
  make_units(1);
  unit[0][7] = NAN, unit[4][N - 1] = INFINITY;
  assert_int_equal(xf_unitsum_init(&u, N, 1, 0, 1, &diag), XF_OK);
  assert_int_equal(xf_unitsum_start(&u, NULL), XF_OK);
  assert_int_equal(xf_unitsum_add(&u, unit[0]), XF_OK);
  assert_int_equal(xf_unitsum_add(&u, unit[4]), XF_OK);
  for (int i = 0; i < N; i++) assert_true(u.sum[i] == 0);
  assert_true(u.n_lost == 2 && u.n_added == 0);
  xf_unitsum_deinit(&u);
}

// the noise is on the sum and is the grid's: with and without, from the same generator, differ by it
static void test_noise(void **state) {
  (void)state;
  struct xf_unitsum u;
  struct xf_noise_rng rng, same;
  int32_t noise[N];
  make_units(1);
  xf_noise_rng_init_seeded(&rng, 5, 1, "a");
  xf_noise_rng_init_seeded(&same, 5, 1, "a");
  assert_int_equal(xf_unitsum_init(&u, N, 1, 1.5, 1, &diag), XF_OK);
  double sum2 = 0;
  enum { STEPS = 50 };
  for (int step = 0; step < STEPS; step++) {
    assert_int_equal(xf_unitsum_start(&u, &rng), XF_OK);
    assert_int_equal(xf_noise_fill(noise, N, &u.grid, &same), XF_OK);
    for (int i = 0; i < N; i++) {
      assert_true(u.sum[i] == noise[i]);
      sum2 += (double)noise[i] * (double)noise[i];
    }
    assert_int_equal(xf_unitsum_add(&u, unit[2]), XF_OK);
    for (int i = 0; i < N; i++)
      assert_true(u.sum[i] - noise[i] == (int64_t)ldexp(1 / sqrt(N), u.grid.f));
  }
  const double z = sqrt(sum2 / (STEPS * N)) / ldexp(1, u.grid.f); /* deviation over the bound */
  assert_true(fabs(z / 1.5 - 1) < 5 / sqrt(2.0 * STEPS * N) && u.grid.z_used >= 1.5);
  xf_unitsum_deinit(&u);
  xf_noise_rng_deinit(&rng);
  xf_noise_rng_deinit(&same);
}

static void test_sample(void **state) {
  (void)state;
  struct xf_unitsum u;
  struct xf_rng rng;
  xf_rng_init(&rng, 3, 4);
  assert_int_equal(xf_unitsum_init(&u, 1, 1, 0, 0.3, &diag), XF_OK);
  int n = 0;
  for (int i = 0; i < 100000; i++) n += xf_unitsum_takes(&u, xf_rng_u64(&rng));
  assert_true(abs(n - 30000) < 5 * 145); /* five deviations */
  assert_true(ldexp((double)u.below, -64) <= 0.3);
  assert_true(!xf_unitsum_takes(&u, UINT64_MAX) && xf_unitsum_takes(&u, 0));
  xf_unitsum_deinit(&u);
  assert_int_equal(xf_unitsum_init(&u, 1, 1, 0, 1, &diag), XF_OK);
  assert_true(xf_unitsum_takes(&u, UINT64_MAX));
  xf_unitsum_deinit(&u);
  const double bad[] = {0, -1, 1.5, NAN};
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    assert_int_equal(xf_unitsum_init(&u, 1, 1, 0, bad[i], &diag), XF_E_RANGE);
    xf_unitsum_deinit(&u);
  }
  assert_int_equal(xf_unitsum_init(&u, 1, 0, 0, 1, &diag), XF_E_RANGE);
  xf_unitsum_deinit(&u);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_sum),
                                     cmocka_unit_test(test_no_number_adds_nothing),
                                     cmocka_unit_test(test_noise), cmocka_unit_test(test_sample)};
  xf_diag_init(&diag);
  return cmocka_run_group_tests(tests, NULL, NULL);
}
