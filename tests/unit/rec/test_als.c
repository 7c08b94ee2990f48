// ALS: dual = primal, zero gradient after a half-step, pull, sums of two domains = pooled solve, threads, explanations.
#include "rec/als.h"

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

enum { USERS = 150, ITEMS = 40, DIM = 8 };

struct world {
  uint32_t start[USERS + 1], item[USERS * ITEMS];
  struct xf_csr train;
  struct xf_rec_data data;
};

/* Items [from, to) at random, numbered from 0; about `share` of them; every tenth user has none. */
static void fill(struct world *w, uint32_t from, uint32_t to, double share) {
  uint32_t n = 0;
  for (uint32_t u = 0; u < USERS; u++) {
    w->start[u] = n;
    for (uint32_t i = from; i < to; i++) {
      struct xf_rng rng;
      xf_rng_init(&rng, 7, (uint64_t)u * 1000 + i);
      const double p = share *
                       (u % 10 == 3  ? 0
                        : u % 7 == 0 ? 2.5
                                     : 1) *
                       (i % 4 == u % 4 ? 2 : 0.5);
      if (xf_rng_double(&rng) < p) w->item[n++] = i - from;
    }
  }
  w->start[USERS] = n;
  w->train = (struct xf_csr){.n_row = USERS, .start = w->start, .item = w->item};
  w->data = (struct xf_rec_data){USERS, to - from, &w->train};
}

static struct xf_als_spec spec_of(uint32_t dim, enum xf_als_form form) {
  return (struct xf_als_spec){
      .dim = dim, .w = {.05, .3, .5}, .sweeps = 3, .seed = 11, .form = form};
}

static void make(struct xf_als *als, const struct world *w, uint32_t dim, enum xf_als_form form) {
  const struct xf_als_spec spec = spec_of(dim, form);
  assert_int_equal(xf_als_init(als, &w->data, &spec, NULL), XF_OK);
}

static double largest(const float *a, const float *b, size_t n) {
  double far = 0;
  for (size_t i = 0; i < n; i++) far = fmax(far, fabs((double)a[i] - (double)b[i]));
  return far;
}

static struct world w, w1, w2;

static void test_dual_is_primal(void **state) {
  (void)state;
  fill(&w, 0, ITEMS, .15);
  struct xf_als a, b;
  make(&a, &w, DIM, XF_ALS_PRIMAL);
  make(&b, &w, DIM, XF_ALS_AUTO);
  assert_int_equal(xf_als_fit(&a, NULL), XF_OK);
  assert_int_equal(xf_als_fit(&b, NULL), XF_OK);
  assert_true(largest(a.p, b.p, USERS * DIM) < 2e-5);
  assert_true(largest(a.q, b.q, ITEMS * DIM) < 2e-5);
  assert_true(a.flops > b.flops && b.flops > 0);
  xf_als_deinit(&a);
  xf_als_deinit(&b);
}

/* d objective / d p_u = 0, written out in double; with the pull also. */
static double gradient(const struct xf_als *als, uint32_t u, const struct xf_als_pull *pull) {
  double far = 0;
  const struct xf_csr *c = &als->by_user;
  const float *p = als->p + u * DIM;
  const double lambda =
      als->spec.w.rho *
      pow(c->start[u + 1] - c->start[u] + als->spec.w.a * als->n_active_items, als->spec.w.nu);
  for (size_t k = 0; k < DIM; k++) {
    double g = lambda * ((double)p[k] -
                         (pull ? (double)pull->kappa * (double)pull->target[u * DIM + k] : 0));
    for (uint32_t i = 0; i < als->n_items; i++) {
      double s = 0;
      for (size_t j = 0; j < DIM; j++) s += (double)p[j] * (double)als->q[i * DIM + j];
      const bool seen = xf_csr_find(c, u, i);
      g += (als->spec.w.a * s - (seen ? 1 - s : 0)) * (double)als->q[i * DIM + k];
    }
    far = fmax(far, fabs(g));
  }
  return far;
}

static void test_gradient(void **state) {
  (void)state;
  float target[USERS * DIM];
  struct xf_als als;
  fill(&w, 0, ITEMS, .15);
  make(&als, &w, DIM, XF_ALS_AUTO);
  double before = xf_als_objective(&als, NULL);
  for (int s = 0; s < 3; s++) {
    assert_int_equal(xf_als_step_users(&als, NULL, NULL), XF_OK);
    const double middle = xf_als_objective(&als, NULL);
    assert_int_equal(xf_als_step_items(&als, NULL), XF_OK);
    const double after = xf_als_objective(&als, NULL);
    assert_true(middle < before && after < middle);
    before = after;
  }
  for (size_t i = 0; i < USERS * DIM; i++) target[i] = (float)(i % 13) * .05f - .3f;
  const struct xf_als_pull pull = {target, .5f};
  for (int pulled = 0; pulled < 2; pulled++) {
    assert_int_equal(xf_als_step_users(&als, pulled ? &pull : NULL, NULL), XF_OK);
    for (uint32_t u = 0; u < USERS; u++) {
      if (u % 10 == 3) {
        for (size_t k = 0; k < DIM; k++) assert_true(als.p[u * DIM + k] == 0);
      } else {
        assert_true(gradient(&als, u, pulled ? &pull : NULL) < 2e-5);
      }
    }
  }
  xf_als_deinit(&als);
}

static void test_pull(void **state) {
  (void)state;
  float target[USERS * DIM], plain[USERS * DIM];
  struct xf_als als;
  fill(&w, 0, ITEMS, .15);
  make(&als, &w, DIM, XF_ALS_AUTO);
  assert_int_equal(xf_als_step_users(&als, NULL, NULL), XF_OK);
  xf_als_get_rows(&als, 0, USERS, plain);
  for (size_t i = 0; i < USERS * DIM; i++) target[i] = 1;
  struct xf_als_pull pull = {target, 0};
  assert_int_equal(xf_als_step_users(&als, &pull, NULL), XF_OK);
  assert_memory_equal(als.p, plain, sizeof plain); /* kappa 0 = no pull, to the bit */
  pull.kappa = 1;
  assert_int_equal(xf_als_step_users(&als, &pull, NULL), XF_OK);
  assert_true(largest(als.p, plain, USERS * DIM) > .1);
  pull.kappa = 1.5f;
  assert_int_equal(xf_als_step_users(&als, &pull, NULL), XF_E_RANGE);
  /* leave-own-out mean: three holders, sum 7, own 1 -> 3; below the minimum, or inactive -> 0 */
  float sum[USERS * DIM], own[USERS * DIM];
  uint32_t holders[USERS];
  for (size_t i = 0; i < USERS * DIM; i++) sum[i] = 7, own[i] = 1;
  for (uint32_t u = 0; u < USERS; u++) holders[u] = u % 2 ? 3 : 2;
  xf_als_pull_target(&als, sum, own, holders, 3, target);
  assert_true(target[1 * DIM] == 3 && target[2 * DIM] == 0 && target[3 * DIM] == 0);
  /* rows: inactive users keep their zeros, numbers only */
  assert_int_equal(xf_als_set_rows(&als, 0, USERS, sum), XF_OK);
  assert_true(als.p[0] == 7 && als.p[3 * DIM] == 0);
  sum[5] = NAN;
  assert_int_equal(xf_als_set_rows(&als, 0, USERS, sum), XF_E_NAN);
  assert_int_equal(xf_als_set_rows(&als, 1, USERS, own), XF_E_SHAPE);
  xf_als_deinit(&als);
}

/* Two domains with the same users and disjoint items, all users active in both or in none: sums of the two solve to
   the users' step of the joint data. */
static void test_sums_are_pooled(void **state) {
  (void)state;
  enum { CUT = 22 };
  fill(&w, 0, ITEMS, 1);
  fill(&w1, 0, CUT, 1);
  fill(&w2, CUT, ITEMS, 1);
  struct xf_als all, one, two;
  make(&all, &w, DIM, XF_ALS_AUTO);
  make(&one, &w1, DIM, XF_ALS_AUTO);
  make(&two, &w2, DIM, XF_ALS_AUTO);
  const size_t len = xf_als_sums_len(DIM);
  float *sums = calloc(USERS * len, sizeof *sums);
  assert_non_null(sums);
  assert_int_equal(len, 8 * 9 / 2 + 8 + 1);
  for (int sweep = 0; sweep < 3; sweep++) {
    memset(sums, 0, USERS * len * sizeof *sums);
    assert_int_equal(xf_als_add_sums(&one, 0, USERS, 1, sums), XF_OK);
    assert_int_equal(xf_als_add_sums(&two, 0, USERS, 1, sums), XF_OK);
    assert_int_equal(xf_als_set_sums(&one, 0, USERS, sums, NULL), XF_OK);
    assert_int_equal(xf_als_set_sums(&two, 0, USERS, sums, NULL), XF_OK);
    assert_int_equal(xf_als_step_users(&all, NULL, NULL), XF_OK);
    assert_true(largest(one.p, all.p, USERS * DIM) < 5e-5);
    assert_memory_equal(one.p, two.p, USERS * DIM * sizeof *one.p);
    assert_int_equal(xf_als_step_items(&one, NULL), XF_OK);
    assert_int_equal(xf_als_step_items(&two, NULL), XF_OK);
    assert_int_equal(xf_als_step_items(&all, NULL), XF_OK);
    assert_true(largest(one.q, all.q, CUT * DIM) < 5e-5);
    assert_true(largest(two.q, all.q + CUT * DIM, (ITEMS - CUT) * DIM) < 5e-5);
  }
  /* weight 0 for the other domain: the own users' step */
  memset(sums, 0, USERS * len * sizeof *sums);
  assert_int_equal(xf_als_add_sums(&one, 0, USERS, 1, sums), XF_OK);
  assert_int_equal(xf_als_add_sums(&two, 0, USERS, 0, sums), XF_OK);
  assert_int_equal(xf_als_set_sums(&two, 0, USERS, sums, NULL), XF_OK);
  assert_int_equal(xf_als_step_users(&one, NULL, NULL), XF_OK);
  assert_true(largest(one.p, two.p, USERS * DIM) < 5e-5);
  assert_int_equal(xf_als_set_sums(&two, 1, USERS, sums, NULL), XF_E_SHAPE);
  free(sums);
  xf_als_deinit(&all);
  xf_als_deinit(&one);
  xf_als_deinit(&two);
}

/* A fit stays in the basis from one half-step to the next; the steps one by one turn back. Rows longer than a gathered
   piece too: the popular items'. */
static void test_fit_is_steps(void **state) {
  (void)state;
  for (uint32_t dim = 1; dim <= 33; dim += 16) {
    struct xf_als fitted, stepped;
    fill(&w, 0, ITEMS, .3);
    make(&fitted, &w, dim, XF_ALS_AUTO);
    make(&stepped, &w, dim, XF_ALS_AUTO);
    assert_int_equal(xf_als_fit(&fitted, NULL), XF_OK);
    for (int s = 0; s < 3; s++) {
      if (s) assert_int_equal(xf_als_step_items(&stepped, NULL), XF_OK);
      assert_int_equal(xf_als_step_users(&stepped, NULL, NULL), XF_OK);
    }
    assert_true(largest(fitted.p, stepped.p, USERS * dim) < 3e-5);
    assert_true(largest(fitted.q, stepped.q, ITEMS * dim) < 3e-5);
    for (size_t k = 0; k < dim; k++) assert_true(fitted.p[3 * dim + k] == 0);
    xf_als_deinit(&fitted);
    xf_als_deinit(&stepped);
  }
}

/* A row of more observations than are gathered at once: both forms against the sums written out. */
static void test_long_row(void **state) {
  (void)state;
  enum { MANY = 600, D = 5 };
  static float o[MANY * D];
  static uint32_t item[MANY];
  struct xf_als_basis basis;
  struct xf_als_work work;
  const struct xf_als_weight weight = {.05, .3, .5};
  for (size_t i = 0; i < MANY * D; i++) o[i] = (float)(i * 7919 % 101) / 101 - .4f;
  for (uint32_t i = 0; i < MANY; i++) item[i] = i;
  assert_int_equal(xf_als_basis_init(&basis, o, MANY, MANY, D, NULL), XF_OK);
  assert_int_equal(xf_als_work_init(&work, D), XF_OK);
  for (uint32_t n = 0; n <= MANY; n += 300) {
    float out[D];
    assert_int_equal(xf_als_row(&work, &basis, &weight, XF_ALS_PRIMAL, item, n, 1, NULL, out),
                     XF_OK);
    double left[D] = {0}; /* of (D + sum o o^T) x - sum o in the basis */
    for (size_t k = 0; k < D; k++)
      left[k] = (weight.a * basis.eig[k] + xf_als_lambda(&weight, n, MANY)) * (double)out[k];
    for (uint32_t i = 0; i < n; i++) {
      double s = -1;
      for (size_t k = 0; k < D; k++) s += (double)basis.o[i * D + k] * (double)out[k];
      for (size_t k = 0; k < D; k++) left[k] += s * (double)basis.o[i * D + k];
    }
    for (size_t k = 0; k < D; k++) assert_true(fabs(left[k]) < 2e-4);
  }
  xf_als_work_deinit(&work);
  xf_als_basis_deinit(&basis);
}

static void test_threads(void **state) {
  (void)state;
  struct xf_als alone, many;
  fill(&w, 0, ITEMS, .2);
  make(&alone, &w, DIM, XF_ALS_AUTO);
  make(&many, &w, DIM, XF_ALS_AUTO);
  assert_int_equal(xf_als_fit(&alone, NULL), XF_OK);
  assert_int_equal(xf_worker_start(&many.pool, 3, NULL, NULL), XF_OK);
  assert_int_equal(xf_als_fit(&many, NULL), XF_OK);
  assert_memory_equal(alone.p, many.p, USERS * DIM * sizeof *alone.p);
  assert_memory_equal(alone.q, many.q, ITEMS * DIM * sizeof *alone.q);
  xf_worker_stop(many.pool);
  xf_als_deinit(&alone);
  xf_als_deinit(&many);
}

static void check_parts(const struct xf_scorer *s, const struct xf_query *q, bool pulled) {
  float score[ITEMS];
  struct xf_why why[ITEMS + 1], best[2];
  assert_int_equal(xf_scorer_score(s, q, score, NULL), XF_OK);
  for (uint32_t i = 0; i < ITEMS; i += 7) {
    double sum = 0;
    const uint32_t n = s->kind->explain(s, q, i, why, ITEMS + 1);
    assert_int_equal(n, q->n + pulled);
    for (uint32_t k = 0; k < n; k++) {
      sum += (double)why[k].share;
      if (k) assert_true(why[k].share <= why[k - 1].share);
    }
    assert_true(fabs(sum - (double)score[i]) < 2e-5);
    assert_int_equal(s->kind->explain(s, q, i, best, 2), n < 2 ? n : 2);
    if (n) assert_memory_equal(best, why, sizeof *best);
  }
}

static void test_scorer(void **state) {
  (void)state;
  float target[USERS * DIM], a[ITEMS], b[ITEMS];
  struct xf_als als;
  fill(&w, 0, ITEMS, .15);
  make(&als, &w, DIM, XF_ALS_AUTO);
  assert_int_equal(xf_als_fit(&als, NULL), XF_OK);
  for (size_t i = 0; i < USERS * DIM; i++) target[i] = (float)(i % 5) * .1f - .2f;
  const struct xf_als_pull pull = {target, .25f};
  for (int pulled = 0; pulled < 2; pulled++) {
    struct xf_scorer *s;
    assert_int_equal(xf_als_step_users(&als, pulled ? &pull : NULL, NULL), XF_OK);
    assert_int_equal(xf_als_scorer(&s, &als, pulled ? &pull : NULL, NULL), XF_OK);
    for (uint32_t u = 0; u < USERS; u += 7) {
      struct xf_query q = {u, w.item + w.start[u], w.start[u + 1] - w.start[u], (double)NAN};
      if (q.n == 0) continue;
      check_parts(s, &q, pulled);
      assert_int_equal(xf_scorer_score(s, &q, a, NULL), XF_OK);
      for (uint32_t i = 0; i < ITEMS; i++) {
        double v = 0;
        for (size_t k = 0; k < DIM; k++)
          v += (double)als.p[u * DIM + k] * (double)als.q[i * DIM + k];
        assert_true(fabs(v - (double)a[i]) < 1e-5);
      }
      if (pulled) continue;
      q.user = XF_NO_ID; /* folded in: the same history, the same scores */
      check_parts(s, &q, false);
      assert_int_equal(xf_scorer_score(s, &q, b, NULL), XF_OK);
      assert_true(largest(a, b, ITEMS) < 2e-5);
    }
    const uint32_t foreign[] = {ITEMS};
    const struct xf_query none = {XF_NO_ID, NULL, 0, 0}, bad = {0, foreign, 1, 0};
    assert_int_equal(xf_scorer_score(s, &none, a, NULL), XF_E_NOTFOUND);
    assert_int_equal(xf_scorer_score(s, &bad, a, NULL), XF_E_RANGE);
    xf_scorer_free(s);
  }
  xf_als_deinit(&als);
}

/* The start row depends on seed and key only; bad settings are refused. */
static void test_start(void **state) {
  (void)state;
  fill(&w, 0, ITEMS, .15);
  uint64_t key[USERS];
  for (uint32_t u = 0; u < USERS; u++) key[u] = USERS - 1 - u;
  struct xf_als a, b;
  struct xf_als_spec spec = spec_of(DIM, XF_ALS_AUTO);
  make(&a, &w, DIM, XF_ALS_AUTO);
  spec.key = key;
  assert_int_equal(xf_als_init(&b, &w.data, &spec, NULL), XF_OK);
  double square = 0;
  for (uint32_t u = 0; u < USERS; u++) {
    for (size_t k = 0; k < DIM; k++) square += pow((double)a.p[u * DIM + k], 2);
    if (w.start[u] < w.start[u + 1] && w.start[USERS - 1 - u] < w.start[USERS - u])
      assert_memory_equal(a.p + u * DIM, b.p + (USERS - 1 - u) * DIM, DIM * sizeof *a.p);
  }
  assert_true(fabs(sqrt(square / (a.n_active_users * (double)DIM)) - .1) < .01);
  xf_als_deinit(&a);
  xf_als_deinit(&b);
  spec.w.rho = 0;
  assert_int_equal(xf_als_init(&a, &w.data, &spec, NULL), XF_E_INVAL);
  spec = spec_of(0, XF_ALS_AUTO);
  assert_int_equal(xf_als_init(&a, &w.data, &spec, NULL), XF_E_INVAL);
  spec = spec_of(DIM, XF_ALS_AUTO);
  w.item[0] = ITEMS;
  assert_int_equal(xf_als_init(&a, &w.data, &spec, NULL), XF_E_SHAPE);
}

int main(void) {
  if (xf_blas_start(NULL, NULL)) return 1;
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_dual_is_primal), cmocka_unit_test(test_gradient),
      cmocka_unit_test(test_pull),           cmocka_unit_test(test_sums_are_pooled),
      cmocka_unit_test(test_fit_is_steps),   cmocka_unit_test(test_long_row),
      cmocka_unit_test(test_threads),        cmocka_unit_test(test_scorer),
      cmocka_unit_test(test_start),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
