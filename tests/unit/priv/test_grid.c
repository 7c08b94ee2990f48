// Clipping and the integer grid: vectors, the choice of f and a/b, the exact bound, saturation.
#include "priv/clip.h"
#include "priv/grid.h"

#include "base/rng.h"
#include "param/vec.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
// cmocka wants the four above first
#include <cmocka.h>

// vector: dp_fedavg_step (clipped)
static void test_clip(void **state) {
  (void)state;
  float x[3][2] = {{3, 4}, {0.6f, -0.8f}, {0, 0}};
  const double want[3][2] = {{0.6, 0.8}, {0.6, -0.8}, {0, 0}}, norm[3] = {5, 1, 0};
  for (int i = 0; i < 3; i++) {
    struct xf_clip_report r;
    assert_int_equal(xf_clip_step(x[i], 2, 1, &r), XF_OK);
    assert_true(fabs(r.norm - norm[i]) < 1e-6);
    assert_true(r.n_clipped == 1 || i > 0);
    for (int j = 0; j < 2; j++) assert_true(fabs((double)x[i][j] - want[i][j]) < 1e-6);
  }
}

static void test_clip_rows(void **state) {
  (void)state;
  float x[6] = {3, 4, 0.3f, 0.4f, 0, -10};
  struct xf_clip_report r;
  assert_int_equal(xf_clip_rows(x, 3, 2, 1, &r), XF_OK);
  assert_true(r.norm == 10 && r.n_clipped == 2);
  assert_true(x[0] == 0.6f && x[1] == 0.8f && x[2] == 0.3f && x[3] == 0.4f && x[5] == -1);
  assert_int_equal(xf_clip_rows(x, 3, 2, 0, &r), XF_OK); // off
  assert_true(r.n_clipped == 0 && x[5] == -1);
  assert_int_equal(xf_clip_rows(x, 3, 2, INFINITY, &r), XF_OK);
  assert_true(r.n_clipped == 0);
  assert_int_equal(xf_clip_rows(x, 3, 2, -1, &r), XF_E_RANGE);
  assert_int_equal(xf_clip_rows(x, 3, 2, NAN, &r), XF_E_RANGE);
  assert_int_equal(xf_clip_rows(x, 0, 2, 1, &r), XF_OK);
  x[2] = NAN;
  assert_int_equal(xf_clip_rows(x, 3, 2, 0.1, &r), XF_E_NAN);
  assert_true(x[5] == -1);
}

static void test_init(void **state) {
  (void)state;
  const struct {
    double clip, z;
    int f;
  } rows[] = {
      {1, 1, 15},      {1, 1.1, 14},  {1, 0.5, 16},     {2, 1, 14},         {1, 0x1p-8, 23},
      {1, 0x1p-9, 23}, {1, 1e-6, 23}, {0.3, 2, 15},     {3, 1, 13},         {1e-3, 0.7, 25},
      {1000, 10, 1},   {1e6, 1, -5},  {0x1p-80, 1, 95}, {0x1p80, 1e6, -85},
  };
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    struct xf_grid g;
    assert_int_equal(xf_grid_init(&g, rows[i].clip, rows[i].z, NULL), XF_OK);
    if (g.f != rows[i].f) fail_msg("row %zu: f %d, expected %d", i, g.f, rows[i].f);
    const double bound = ldexp(g.clip, g.f);
    assert_true(g.z * bound <= 0x1p15 && bound <= 0x1p23);
    assert_true(g.z * bound * 2 > 0x1p15 || bound * 2 > 0x1p23); // the largest
    assert_true(g.a > 0 && g.b > 0 && g.a < 1u << 31 && g.b < 1u << 31);
    assert_true(g.z_used >= g.z && g.z_used < g.z * (1 + 1e-4));
    // a/b is not below the variance, in long double
    const long double s = (long double)g.z * (long double)bound;
    assert_true((long double)g.a >= s * s * (long double)g.b);
  }
  struct xf_grid g;
  struct xf_diag diag;
  xf_diag_init(&diag);
  const double bad[6][2] = {{0, 1}, {-1, 1}, {NAN, 1}, {1, 0}, {1, NAN}, {INFINITY, 1}};
  for (int i = 0; i < 6; i++)
    assert_int_equal(xf_grid_init(&g, bad[i][0], bad[i][1], &diag), XF_E_RANGE);
}

// vector: dp_fedavg_step (its noise given as integers, shared by the three deltas' sum)
static void test_given_noise(void **state) {
  (void)state;
  float x[3][2] = {{3, 4}, {0.6f, -0.8f}, {0, 0}};
  struct xf_grid g;
  struct xf_grid_report r;
  assert_int_equal(xf_grid_init(&g, 1, 1.1, NULL), XF_OK);
  const double step = ldexp(1, -g.f);
  const int32_t none[2] = {0, 0};
  const int32_t noise[2] = {(int32_t)lround(1.1 * 0.3 / step), (int32_t)lround(1.1 * -1.2 / step)};
  double sum[2] = {0, 0};
  for (int i = 0; i < 3; i++) {
    assert_int_equal(xf_grid_step(x[i], i == 2 ? noise : none, 2, &g, &r), XF_OK);
    assert_int_equal(r.n_saturated, 0);
    assert_true(r.n_clipped == (i == 0) || i == 1); // the second lies on the edge
    for (int j = 0; j < 2; j++) {
      const double q = (double)x[i][j] / step;
      assert_true(q == floor(q)); // on the grid
      sum[j] += (double)x[i][j];
    }
  }
  assert_true(fabs(sum[0] / 3 - 0.51) < 2 * step && fabs(sum[1] / 3 + 0.44) < 2 * step);
}

static void test_toward_zero_and_saturation(void **state) {
  (void)state;
  struct xf_grid g;
  struct xf_grid_report r;
  assert_int_equal(xf_grid_init(&g, 1, 1, NULL), XF_OK); // 2^15
  float x[6] = {1.9f * 0x1p-15f, -1.9f * 0x1p-15f, 0.9f * 0x1p-15f, 0, 0, 0};
  const int32_t noise[6] = {0, 0, 0, 1 << 24, (1 << 24) + 1, -(1 << 30)};
  assert_int_equal(xf_grid_step(x, noise, 6, &g, &r), XF_OK);
  assert_true(x[0] == 0x1p-15f && x[1] == -0x1p-15f && x[2] == 0);
  assert_true(x[3] == 0x1p9f && x[4] == 0x1p9f && x[5] == -0x1p9f);
  assert_int_equal(r.n_saturated, 2);
  float bad[2] = {1, INFINITY};
  assert_int_equal(xf_grid_step(bad, noise, 2, &g, &r), XF_E_NAN);
  assert_true(bad[0] == 1);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_clip),
      cmocka_unit_test(test_clip_rows),
      cmocka_unit_test(test_init),
      cmocka_unit_test(test_given_noise),
      cmocka_unit_test(test_toward_zero_and_saturation),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
