// The Gram and the item models on it: hand-worked numbers, sums over silos, the per-user bound, EASE's defining
// property, exact explanations, refusals.
#include "base/rng.h"
#include "data/names.h"
#include "rec/item_model.h"
#include "tensor/blas.h"
#include "tensor/lapack.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
// cmocka wants the four above first
#include <cmocka.h>

enum { U = 40, I = 12 };

struct world {
  uint32_t start[U + 1], item[U * I];
  struct xf_csr csr;
  struct xf_rec_data data;
};

static void world_random(struct world *w, uint64_t seed) {
  struct xf_rng rng;
  xf_rng_init(&rng, seed, 0);
  uint32_t n = 0;
  for (uint32_t u = 0; u < U; u++) {
    w->start[u] = n;
    for (uint32_t i = 0; i < I; i++)
      if (xf_rng_double(&rng) < 0.15 + 0.03 * (double)i) w->item[n++] = i;
  }
  w->start[U] = n;
  w->csr = (struct xf_csr){.n_row = U, .start = w->start, .item = w->item};
  w->data = (struct xf_rec_data){U, I, &w->csr};
}

static struct xf_gram build(const struct xf_rec_data *data, double beta) {
  struct xf_gram g;
  struct xf_diag diag = {0};
  const struct xf_gram_spec spec = {.beta = beta};
  assert_int_equal(xf_gram_build(&g, data, &spec, &diag), XF_OK);
  return g;
}

// Against every pair of every history added into a dense matrix, to the bit; catalogues that end inside an eight, at its border
// and beyond a word of eights, sparse and full.
static void test_dense(void **state) {
  (void)state;
  enum { USERS = 60, MOST = 700 };
  static uint32_t start[USERS + 1], item[USERS * MOST];
  static double dense[MOST * MOST];
  static const uint32_t sizes[] = {1, 8, 9, 64, 65, MOST};
  for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
    const uint32_t n_items = sizes[s];
    uint32_t n = 0;
    struct xf_rng rng;
    xf_rng_init(&rng, 5, s);
    memset(dense, 0, sizeof dense);
    for (uint32_t u = 0; u < USERS; u++) {
      const double share = u == 7 ? 1 : u % 3 ? 3. / n_items : .2;
      for (uint32_t i = 0; i < n_items; i++)
        if (u != 9 && xf_rng_double(&rng) < share) item[n++] = i;
      start[u + 1] = n;
      const double w = pow((double)(n - start[u]), -.5);
      for (uint32_t a = start[u]; a < n; a++)
        for (uint32_t b = start[u]; b < n; b++) dense[item[a] * MOST + item[b]] += w;
    }
    const struct xf_csr csr = {.n_row = USERS, .start = start, .item = item};
    const struct xf_rec_data data = {USERS, n_items, &csr};
    struct xf_gram g = build(&data, .5);
    for (uint32_t i = 0; i < n_items; i++) {
      uint32_t stored = 0;
      for (uint32_t j = 0; j < n_items; j++) {
        assert_true(xf_gram_get(&g, i, j) == (float)dense[i * MOST + j]);
        stored += j != i && dense[i * MOST + j] != 0;
      }
      assert_int_equal(g.start[i + 1] - g.start[i], stored);
      for (uint64_t k = g.start[i] + 1; k < g.start[i + 1]; k++)
        assert_true(g.item[k] > g.item[k - 1] && g.item[k] < n_items);
    }
    xf_gram_deinit(&g);
  }
}

// Two users {0, 1, 2} and {1, 3} of four items.
static void test_by_hand(void **state) {
  (void)state;
  uint32_t start[] = {0, 3, 5}, item[] = {0, 1, 2, 1, 3};
  const struct xf_csr csr = {.n_row = 2, .start = start, .item = item};
  const struct xf_rec_data data = {2, 4, &csr};
  struct xf_gram g = build(&data, 0);
  assert_float_equal(xf_gram_get(&g, 0, 1), 1, 0);
  assert_float_equal(xf_gram_get(&g, 1, 1), 2, 0);
  assert_float_equal(xf_gram_get(&g, 0, 3), 0, 0);
  assert_int_equal(g.start[4], 8);
  xf_gram_deinit(&g);
  g = build(&data, 1);
  assert_float_equal(xf_gram_get(&g, 1, 2), 1.f / 3, 1e-7f);
  assert_float_equal(xf_gram_get(&g, 3, 1), 0.5, 0);
  assert_float_equal(xf_gram_get(&g, 1, 1), 1.f / 3 + .5f, 1e-6f);
  xf_gram_deinit(&g);
  const uint8_t counted[] = {1, 1, 0, 1}; // item 2 is not shared: it counts in no norm
  struct xf_diag diag = {0};
  const struct xf_gram_spec spec = {.beta = 1, .counted = counted};
  assert_int_equal(xf_gram_build(&g, &data, &spec, &diag), XF_OK);
  assert_float_equal(xf_gram_get(&g, 0, 1), 0.5, 0);
  xf_gram_deinit(&g);
}

// Half the users in each of two silos: the sum of their packed triangles is the pooled one, in any order of items.
static void test_adds_up(void **state) {
  (void)state;
  static struct world w;
  world_random(&w, 3);
  const struct xf_csr a = {.n_row = U / 2, .start = w.start, .item = w.item};
  const struct xf_csr b = {.n_row = U / 2, .start = w.start + U / 2, .item = w.item};
  const struct xf_rec_data da = {U / 2, I, &a}, db = {U / 2, I, &b};
  struct xf_gram all = build(&w.data, .5), ga = build(&da, .5), gb = build(&db, .5), sum;
  const uint32_t shared[] = {7, 2, 11, 0, 5};
  enum { M = 5 };
  float t_all[10], t_a[10], t_b[10], d_all[M], d_a[M], d_b[M];
  assert_int_equal(xf_gram_pack(&all, shared, M, t_all, d_all), XF_OK);
  assert_int_equal(xf_gram_pack(&ga, shared, M, t_a, d_a), XF_OK);
  assert_int_equal(xf_gram_pack(&gb, shared, M, t_b, d_b), XF_OK);
  for (int k = 0; k < 10; k++) assert_float_equal(t_all[k], t_a[k] + t_b[k], 1e-5);
  for (int k = 0; k < M; k++) assert_float_equal(d_all[k], d_a[k] + d_b[k], 1e-5);
  // own + 1 x others, where all is shared, is the pooled Gram
  uint32_t every[I];
  float t[I * (I - 1) / 2], d[I];
  for (uint32_t i = 0; i < I; i++) every[i] = (i * 5) % I; // a permutation
  assert_int_equal(xf_gram_pack(&gb, every, I, t, d), XF_OK);
  struct xf_diag diag = {0};
  assert_int_equal(xf_gram_combine(&sum, &ga, 1, every, I, t, d, 0, &diag), XF_OK);
  for (uint32_t i = 0; i < I; i++)
    for (uint32_t j = 0; j < I; j++)
      assert_float_equal(xf_gram_get(&sum, i, j), xf_gram_get(&all, i, j), 1e-5);
  xf_gram_deinit(&sum);
  // lambda 0 is the own Gram to the bit
  assert_int_equal(xf_gram_combine(&sum, &ga, 0, every, I, t, d, 0, &diag), XF_OK);
  assert_int_equal(sum.start[I], ga.start[I]);
  assert_memory_equal(sum.value, ga.value, ga.start[I] * sizeof *ga.value);
  const uint32_t twice[] = {3, 3};
  assert_int_equal(xf_gram_pack(&all, twice, 2, t, d), XF_E_INVAL);
  xf_gram_deinit(&sum);
  xf_gram_deinit(&all);
  xf_gram_deinit(&ga);
  xf_gram_deinit(&gb);
}

// beta 1: what one user adds to the triangle has the norm that xf_gram_sensitivity says, below the constant bound.
static void test_one_user(void **state) {
  (void)state;
  uint32_t item[I], every[I];
  float t[I * (I - 1) / 2];
  for (uint32_t i = 0; i < I; i++) item[i] = every[i] = i;
  for (uint32_t n = 1; n <= I; n++) {
    uint32_t start[] = {0, n};
    const struct xf_csr csr = {.n_row = 1, .start = start, .item = item};
    const struct xf_rec_data data = {1, I, &csr};
    struct xf_gram g = build(&data, 1);
    assert_int_equal(xf_gram_pack(&g, every, I, t, NULL), XF_OK);
    double norm2 = 0;
    for (int k = 0; k < I * (I - 1) / 2; k++) norm2 += (double)t[k] * (double)t[k];
    assert_float_equal(sqrt(norm2), xf_gram_sensitivity(n), 1e-6);
    assert_true(xf_gram_sensitivity(n) < XF_GRAM_SENSITIVITY);
    xf_gram_deinit(&g);
  }
  assert_true(xf_gram_sensitivity(UINT32_MAX) <= XF_GRAM_SENSITIVITY);
}

// EASE is the ridge regression of each item on the others: the gradient vanishes off the diagonal.
static void test_ease(void **state) {
  (void)state;
  static struct world w;
  world_random(&w, 4);
  const double r = 3;
  struct xf_gram g = build(&w.data, 0);
  struct xf_scorer *s;
  struct xf_diag diag = {0};
  assert_int_equal(xf_ease_fit(&s, &g, r, 0, &diag), XF_OK);
  float B[I][I];
  for (uint32_t i = 0; i < I; i++) {
    const struct xf_query q = {XF_NO_ID, &i, 1, NAN};
    assert_int_equal(xf_scorer_score(s, &q, B[i], &diag), XF_OK);
    assert_float_equal(B[i][i], 0, 0);
  }
  for (uint32_t i = 0; i < I; i++)
    for (uint32_t j = 0; j < I; j++) {
      if (i == j) continue;
      double gradient = r * (double)B[i][j] - (double)xf_gram_get(&g, i, j);
      for (uint32_t k = 0; k < I; k++) gradient += (double)xf_gram_get(&g, i, k) * (double)B[k][j];
      assert_float_equal(gradient, 0, 1e-4);
    }
  xf_scorer_free(s);
  assert_int_equal(xf_ease_fit(&s, &g, r, I - 1, &diag), XF_E_LIMIT);
  assert_non_null(strstr(diag.text, "kernel"));
  assert_int_equal(xf_ease_fit(&s, &g, 0, 0, &diag), XF_E_RANGE);
  xf_gram_deinit(&g);
}

// EASE works in tiles on half a matrix: against the inverse written out, over several tiles with rests.
static void test_ease_tiles(void **state) {
  (void)state;
  enum { USERS = 200, N = 131 };
  static uint32_t start[USERS + 1], item[USERS * N];
  static double p[N * N];
  static float b[N];
  struct xf_rng rng;
  uint32_t n = 0;
  xf_rng_init(&rng, 6, 0);
  for (uint32_t u = 0; u < USERS; u++) {
    for (uint32_t i = 0; i < N; i++)
      if (xf_rng_double(&rng) < .06) item[n++] = i;
    start[u + 1] = n;
  }
  const struct xf_csr csr = {.n_row = USERS, .start = start, .item = item};
  const struct xf_rec_data data = {USERS, N, &csr};
  struct xf_gram g = build(&data, .5);
  struct xf_diag diag = {0};
  struct xf_scorer *s;
  for (uint32_t i = 0; i < N; i++)
    for (uint32_t j = 0; j < N; j++)
      p[i * N + j] = (double)xf_gram_get(&g, i, j) + (i == j ? 2.5 : 0);
  assert_int_equal(xf_lapack_invert(p, N, &diag), XF_OK);
  assert_int_equal(xf_ease_fit(&s, &g, 2.5, 0, &diag), XF_OK);
  for (uint32_t i = 0; i < N; i++) {
    const struct xf_query q = {XF_NO_ID, &i, 1, NAN};
    assert_int_equal(xf_scorer_score(s, &q, b, &diag), XF_OK);
    for (uint32_t j = 0; j < N; j++) {
      const float want = i == j ? 0.0F : (float)(-p[i * N + j] / p[j * N + j]);
      assert_float_equal(b[j], want, 1e-6F);
    }
  }
  xf_scorer_free(s);
  xf_gram_deinit(&g);
}

static void test_kernel_and_why(void **state) {
  (void)state;
  static struct world w;
  world_random(&w, 5);
  struct xf_gram g = build(&w.data, .5);
  struct xf_scorer *s;
  struct xf_diag diag = {0};
  assert_int_equal(xf_kernel_fit(&s, &g, .5, .25, &diag), XF_OK);
  const uint32_t history[] = {1, 4, 9};
  const struct xf_query q = {XF_NO_ID, history, 3, NAN};
  float score[I];
  assert_int_equal(xf_scorer_score(s, &q, score, &diag), XF_OK);
  for (uint32_t i = 0; i < I; i++) {
    double want = 0;
    for (int h = 0; h < 3; h++)
      if (history[h] != i)
        want += (double)xf_gram_get(&g, history[h], i) /
                (pow((double)g.diag[history[h]] + 1, .5) * pow((double)g.diag[i] + 1, .25));
    assert_float_equal(score[i], want, 1e-5);
    struct xf_why why[3];
    assert_int_equal(s->kind->explain(s, &q, i, why, 3), 3);
    assert_float_equal(why[0].share + why[1].share + why[2].share, score[i], 1e-5);
    assert_true(why[0].share >= why[1].share && why[1].share >= why[2].share);
    struct xf_why best;
    assert_int_equal(s->kind->explain(s, &q, i, &best, 1), 1);
    assert_int_equal(best.item, why[0].item);
  }
  const uint32_t foreign = I;
  const struct xf_query bad = {XF_NO_ID, &foreign, 1, NAN};
  assert_int_equal(xf_scorer_score(s, &bad, score, &diag), XF_E_NOTFOUND);
  xf_scorer_free(s);
  assert_int_equal(xf_kernel_fit(&s, &g, -1, .25, &diag), XF_E_RANGE);
  xf_gram_deinit(&g);
}

static void test_limits_and_noise(void **state) {
  (void)state;
  static struct world w;
  world_random(&w, 6);
  struct xf_gram g;
  struct xf_diag diag = {0};
  struct xf_gram_spec spec = {.beta = 0, .max_bytes = 64};
  assert_int_equal(xf_gram_build(&g, &w.data, &spec, &diag), XF_E_LIMIT);
  assert_non_null(strstr(diag.text, "raise it"));
  spec = (struct xf_gram_spec){.beta = 2};
  assert_int_equal(xf_gram_build(&g, &w.data, &spec, &diag), XF_E_RANGE);
  float triangle[] = {9, -9, 4, 8, 3, 12}, diagonal[4]; // pairs 01 02 03 12 13 23, sd 1
  assert_int_equal(xf_gram_threshold(triangle, diagonal, 4, 1), 3);
  const float want[] = {9, 0, 0, 8, 0, 12}, want_diag[] = {3, 17.f / 3, 20.f / 3, 4};
  for (int k = 0; k < 6; k++) assert_float_equal(triangle[k], want[k], 0);
  for (int k = 0; k < 4; k++) assert_float_equal(diagonal[k], want_diag[k], 1e-5);
  float other[] = {9, -9, 4, 8, 3, 12};
  assert_int_equal(xf_gram_shrink(other, diagonal, 4, 3.5, 2), 4);
  const float less[] = {7, 0, 2, 6, 0, 10}, less_diag[] = {3, 13.f / 3, 16.f / 3, 4};
  for (int k = 0; k < 6; k++) assert_float_equal(other[k], less[k], 0);
  for (int k = 0; k < 4; k++) assert_float_equal(diagonal[k], less_diag[k], 1e-6);
}

// The inverse against the identity, and what is not positive definite.
static void test_lapack(void **state) {
  (void)state;
  enum { N = 17 };
  double a[N * N], p[N * N];
  struct xf_rng rng;
  xf_rng_init(&rng, 7, 0);
  for (int i = 0; i < N; i++)
    for (int j = 0; j <= i; j++)
      a[i * N + j] = a[j * N + i] = xf_rng_double(&rng) + (i == j ? N : 0);
  memcpy(p, a, sizeof p);
  struct xf_diag diag = {0};
  assert_int_equal(xf_lapack_invert(p, N, &diag), XF_OK);
  for (int i = 0; i < N; i++)
    for (int j = 0; j < N; j++) {
      double dot = 0;
      for (int k = 0; k < N; k++) dot += a[i * N + k] * p[k * N + j];
      assert_true(fabs(dot - (i == j)) < 1e-12);
      assert_true(p[i * N + j] == p[j * N + i]);
    }
  a[5 * N + 5] = -1;
  assert_int_equal(xf_lapack_invert(a, N, &diag), XF_E_RANGE);
  assert_non_null(strstr(diag.text, "row 6"));
}

int main(void) {
  if (xf_blas_start(NULL, NULL)) return 1;
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_dense),          cmocka_unit_test(test_by_hand),
      cmocka_unit_test(test_adds_up),        cmocka_unit_test(test_one_user),
      cmocka_unit_test(test_ease),           cmocka_unit_test(test_ease_tiles),
      cmocka_unit_test(test_kernel_and_why), cmocka_unit_test(test_limits_and_noise),
      cmocka_unit_test(test_lapack),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
