// Maps for cold users: by hand, sums that add up, recovery of a linear map, the cross Gram by hand; the ALS search.
#include "rec/alssearch.h"
#include "rec/crossmap.h"

#include "base/rng.h"
#include "tensor/blas.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
// cmocka wants the four above first
#include <cmocka.h>

static void near_to(double got, double want) {
  if (!(fabs(got - want) <= 1e-6)) fail_msg("%.9g, want %.9g", got, want);
}

/* One user, ds = dt = 1: a = [1, 1], b = 1, H all ones, C ones; (H + E)^-1 [1 1]^T = [1/3, 1/3]. */
static void test_by_hand(void **state) {
  (void)state;
  struct xf_crossmap_sums sums;
  struct xf_crossmap map;
  const float s[] = {5}, t[] = {3}, minus[] = {-2}, zero[] = {0}, bad[] = {NAN};
  float out[1];
  assert_int_equal(xf_crossmap_sums_init(&sums, 1, 1), XF_OK);
  assert_int_equal(xf_crossmap_init(&map, &sums, 1, NULL), XF_E_INVAL); /* no users */
  assert_int_equal(xf_crossmap_add_user(&sums, s, t), XF_OK);
  assert_int_equal(xf_crossmap_add_user(&sums, zero, t), XF_OK); /* adds nothing */
  assert_int_equal(xf_crossmap_add_user(&sums, bad, t), XF_E_NAN);
  near_to(sums.n, 1);
  assert_int_equal(xf_crossmap_init(&map, &sums, 0, NULL), XF_E_INVAL);
  assert_int_equal(xf_crossmap_init(&map, &sums, 1, NULL), XF_OK);
  near_to((double)map.m[0], 1. / 3);
  near_to((double)map.m[1], 1. / 3);
  assert_int_equal(xf_crossmap_row(&map, s, out), XF_OK);
  near_to((double)out[0], 2. / 3);
  assert_int_equal(xf_crossmap_row(&map, minus, out), XF_OK);
  near_to((double)out[0], 0);
  assert_int_equal(xf_crossmap_row(&map, zero, out), XF_E_NAN);
  xf_crossmap_deinit(&map);
  sums.h[0] = sums.h[3] = -9; /* as too much noise would */
  assert_int_equal(xf_crossmap_init(&map, &sums, 1, NULL), XF_E_NAN);
  xf_crossmap_sums_deinit(&sums);
  assert_int_equal(xf_crossmap_sums_init(&sums, 0, 1), XF_E_INVAL);
}

/* Unit rows t = s R with a rotation R: the map finds R; two parties' sums give the sums of one. */
static void test_recovery(void **state) {
  (void)state;
  struct xf_crossmap_sums all, half[2];
  struct xf_crossmap map;
  struct xf_rng rng;
  xf_rng_init(&rng, 3, 0);
  assert_int_equal(xf_crossmap_sums_init(&all, 2, 2), XF_OK);
  for (int h = 0; h < 2; h++) assert_int_equal(xf_crossmap_sums_init(&half[h], 2, 2), XF_OK);
  for (int u = 0; u < 200; u++) {
    const float s[] = {(float)xf_rng_normal(&rng), (float)xf_rng_normal(&rng)};
    const float t[] = {.6f * s[0] - .8f * s[1], .8f * s[0] + .6f * s[1]};
    assert_int_equal(xf_crossmap_add_user(&all, s, t), XF_OK);
    assert_int_equal(xf_crossmap_add_user(&half[u % 2], s, t), XF_OK);
  }
  assert_int_equal(xf_crossmap_add_sums(&half[0], &half[1]), XF_OK);
  for (int i = 0; i < 9; i++) near_to(half[0].h[i], all.h[i]);
  for (int i = 0; i < 6; i++) near_to(half[0].c[i], all.c[i]);
  near_to(half[0].n, 200);
  assert_int_equal(xf_crossmap_init(&map, &all, 1e-9, NULL), XF_OK);
  const double want[] = {.6, .8, -.8, .6, 0, 0};
  for (int i = 0; i < 6; i++) near_to((double)map.m[i], want[i]);
  xf_crossmap_deinit(&map);
  half[1].dt = 3;
  assert_int_equal(xf_crossmap_add_sums(&half[0], &half[1]), XF_E_SHAPE);
  xf_crossmap_sums_deinit(&all);
  for (int h = 0; h < 2; h++) xf_crossmap_sums_deinit(&half[h]);
}

static void test_crossgram(void **state) {
  (void)state;
  struct xf_crossgram g, other;
  assert_int_equal(xf_crossgram_init(&g, 3, 2), XF_OK);
  assert_int_equal(xf_crossgram_init(&other, 3, 2), XF_OK);
  const uint32_t s[] = {0, 1, 2}, t[] = {0, 1}, bad[] = {3};
  float out[2];
  assert_int_equal(xf_crossgram_add_user(&g, s, 1, t, 1), XF_OK);         /* W00 = 1 */
  assert_int_equal(xf_crossgram_add_user(&other, s + 1, 2, t, 2), XF_OK); /* rows 1, 2: .7071 */
  assert_int_equal(xf_crossgram_add_user(&other, s, 0, t, 2), XF_OK);
  assert_int_equal(xf_crossgram_add_user(&g, bad, 1, t, 1), XF_E_RANGE);
  assert_int_equal(xf_crossgram_add(&g, &other), XF_OK);
  assert_int_equal(xf_crossgram_score(&g, s, 3, out), XF_OK);
  near_to((double)out[0], (1 + 2 * sqrt(.5)) / sqrt(3));
  near_to((double)out[1], 2 * sqrt(.5) / sqrt(3));
  assert_int_equal(xf_crossgram_score(&g, s, 0, out), XF_OK);
  near_to((double)out[0], 0);
  assert_int_equal(xf_crossgram_score(&g, bad, 1, out), XF_E_RANGE);
  other.nt = 1;
  assert_int_equal(xf_crossgram_add(&g, &other), XF_E_SHAPE);
  xf_crossgram_deinit(&g);
  xf_crossgram_deinit(&other);
}

struct judge {
  uint32_t asked, fail_at;
};

/* Best at dim 2, a .02, rho .3; equal there twice would give the first. */
static enum xf_rc judge(void *arg, const struct xf_als *als, double *value, struct xf_diag *diag) {
  struct judge *j = arg;
  if (++j->asked == j->fail_at) {
    *value = (double)NAN;
    return XF_OK;
  }
  if (j->fail_at == 99) return xf_diag_set(diag, XF_E_CANCELLED, "enough");
  *value = (als->spec.dim == 2) - fabs(als->spec.w.a - .02) - fabs(als->spec.w.rho - .3);
  return XF_OK;
}

static void test_search(void **state) {
  (void)state;
  uint32_t start[] = {0, 2, 3, 5}, item[] = {0, 1, 1, 0, 2};
  const struct xf_csr train = {.n_row = 3, .start = start, .item = item};
  const struct xf_rec_data data = {3, 3, &train};
  const struct xf_als_spec spec = {.w.nu = .5, .sweeps = 2, .seed = 1};
  struct xf_als_grid grid = xf_als_grid_defaults();
  assert_int_equal(grid.n_dim * grid.n_a * grid.n_rho, 9);
  grid.n_dim = 2;
  grid.dim[0] = 1;
  grid.dim[1] = 2;
  struct xf_als_search s;
  struct judge j = {0};
  assert_int_equal(xf_als_search(&s, &data, &spec, &grid, NULL, judge, &j, NULL), XF_OK);
  assert_int_equal(s.n, 18);
  assert_int_equal(j.asked, 18);
  const struct xf_als_spec best = xf_als_search_spec(&s, &spec);
  assert_int_equal(best.dim, 2);
  near_to(best.w.a, .02);
  near_to(best.w.rho, .3);
  near_to(best.w.nu, .5);
  assert_true(s.edge); /* .02 is the last a */
  near_to(s.tries[4].a, .01);
  near_to(s.tries[4].rho, .3);
  assert_int_equal(s.tries[9].dim, 2);
  j = (struct judge){.fail_at = 3};
  assert_int_equal(xf_als_search(&s, &data, &spec, &grid, NULL, judge, &j, NULL), XF_E_NAN);
  assert_int_equal(s.n, 2);
  j = (struct judge){.fail_at = 99};
  assert_int_equal(xf_als_search(&s, &data, &spec, &grid, NULL, judge, &j, NULL), XF_E_CANCELLED);
  grid.n_a = 0;
  assert_int_equal(xf_als_search(&s, &data, &spec, &grid, NULL, judge, &j, NULL), XF_E_INVAL);
}

int main(void) {
  if (xf_blas_start(NULL, NULL)) return 1;
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_by_hand),
      cmocka_unit_test(test_recovery),
      cmocka_unit_test(test_crossgram),
      cmocka_unit_test(test_search),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
