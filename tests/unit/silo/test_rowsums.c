/* Rows stages of the rules sums and average: exact sums against one model of all silos' data, half-steps against loops, who comes later. */
#include "base/alloc.h"
#include "crypto/pseudonym.h"
#include "crypto/stream.h"
#include "rec/inner.h"
#include "silo/parts.h"
#include "stagetest.h"
#include "tensor/blas.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
// cmocka wants the four above first
#include <cmocka.h>

#define SUMS "stages[0].rows.rule=sums stages[0].fed.rounds=4 "
enum { DIM = 4, USERS = 12, LEN = DIM * (DIM + 1) / 2 + DIM + 1 };
static struct stagetest t;
static const uint8_t align_key[XF_SILO_ALIGN_KEY] = {4, 5, 6};

static uint64_t key_of(const char *user) {
  uint8_t name[XF_PSEUDONYM_LEN];
  uint64_t key = 0;
  xf_pseudonym(name, align_key, "user", user, strlen(user));
  for (int b = 7; b >= 0; b--) key = key << 8 | name[b];
  return key;
}

/* All silos' train parts as one: users by silo 0's numbers, the items of silo k behind those before. */
struct pooled {
  struct xf_csr train;
  struct xf_als als;
  uint32_t first[4];       /* items of silo k */
  uint32_t user[3][USERS]; /* silo k's number of each user */
  struct xf_split inner[3];
};

static const struct xf_csr *train_of(struct pooled *p, size_t k, bool without) {
  const struct xf_dataset *data = xf_silo_data(t.s[k].silo);
  struct xf_rng a;
  if (!without) return &data->split.part[XF_PART_TRAIN];
  xf_stream_init(&a, t.plan.seed, "eval", 1, t.s[k].member);
  assert_int_equal(xf_inner_init(&p->inner[k], &data->split, 0, xf_rng_u64(&a), NULL), XF_OK);
  return &p->inner[k].part[XF_PART_TRAIN];
}

static void pool(struct pooled *p, bool without) {
  const struct xf_names *users = &xf_silo_data(t.s[0].silo)->inter.users;
  const struct xf_csr *part[3];
  uint64_t key[USERS];
  uint32_t n = 0;
  memset(p, 0, sizeof *p);
  assert_int_equal(users->n, USERS);
  for (size_t k = 0; k < 3; k++) {
    part[k] = train_of(p, k, without);
    p->first[k + 1] = p->first[k] + xf_silo_data(t.s[k].silo)->split.n_items;
    for (uint32_t u = 0; u < USERS; u++) {
      const char *name = xf_names_get(users, u);
      p->user[k][u] = xf_names_find(&xf_silo_data(t.s[k].silo)->inter.users, name, strlen(name));
      key[u] = key_of(name);
    }
  }
  p->train.n_row = USERS;
  p->train.start = xf_calloc(USERS + 1, sizeof *p->train.start);
  p->train.item = xf_calloc(USERS * 32, sizeof *p->train.item);
  for (uint32_t u = 0; u < USERS; u++) {
    for (size_t k = 0; k < 3; k++) {
      const uint32_t row = p->user[k][u];
      for (uint32_t e = part[k]->start[row]; e < part[k]->start[row + 1]; e++)
        p->train.item[n++] = p->first[k] + part[k]->item[e];
    }
    p->train.start[u + 1] = n;
  }
  const struct xf_plan_stage_part *st = &t.plan.stages[0];
  const struct xf_rec_data data = {USERS, p->first[3], &p->train};
  struct xf_rng rng;
  xf_stream_init(&rng, t.plan.seed, "init", 0, NULL);
  const struct xf_als_spec spec = {.dim = DIM,
                                   .w = {st->rows.alpha, st->rows.rho, st->rows.nu},
                                   .seed = xf_rng_u64(&rng),
                                   .key = key};
  assert_int_equal(xf_als_init(&p->als, &data, &spec, NULL), XF_OK);
}

static void pooled_end(struct pooled *p) {
  xf_als_deinit(&p->als);
  xf_csr_deinit(&p->train);
  for (size_t k = 0; k < 3; k++) xf_split_deinit(&p->inner[k]);
}

static void near_all(const float *a, const float *b, size_t n) {
  for (size_t i = 0; i < n; i++)
    if (fabsf(a[i] - b[i]) > 2e-4f) fail_msg("%zu: %g and %g", i, (double)a[i], (double)b[i]);
}

static const float *part(size_t k, const char *name) {
  const struct xf_silo *s = t.s[k].silo;
  return xf_silo_personal(s, false) + xf_layout_find(xf_silo_layout(s), name)->offset;
}

static void same_rows(const struct pooled *p, size_t k, const struct xf_als *als) {
  for (uint32_t u = 0; u < USERS; u++)
    near_all(als->p + p->user[k][u] * DIM, p->als.p + u * DIM, DIM);
}

/* What a silo makes of the committed totals. */
static struct xf_recommender_rows final(size_t k) {
  struct xf_recommender_rows out;
  struct xf_diag diag;
  xf_diag_init(&diag);
  const size_t n = stagetest_view(&t, k, XF_TASK_TRAIN, 0);
  assert_int_equal(n * sizeof(float), xf_silo_lens(t.s[k].silo)->down[0]);
  if (silo_rows_final(t.s[k].silo, 0, t.s[k].base, &out, &diag)) fail_msg("%s", diag.text);
  return out;
}

/* Common users only: items and rows of all silos are those of one model over their data together, round by round. */
static void test_sums_are_pooled(void **state) {
  (void)state;
  static struct pooled p;
  stagetest_common_users = true;
  stagetest_init(&t, stagetest_rows, SUMS, NULL);
  assert_int_equal(t.global.stage[0].n, USERS * LEN);
  assert_true(t.global.stage[0].sum && !t.global.stage[2].sum);
  pool(&p, false);
  for (uint32_t r = 0; r < 4; r++) {
    stagetest_commit(&t);
    for (size_t k = 0; k < 3; k++)
      near_all(part(k, "weak/item"), p.als.q + p.first[k] * DIM,
               (p.first[k + 1] - p.first[k]) * DIM);
    assert_int_equal(xf_als_step_users(&p.als, NULL, NULL), XF_OK);
    for (size_t k = 0; k < 3; k++) {
      const struct xf_recommender_rows rows = final(k);
      same_rows(&p, k, rows.als);
      assert_true(!rows.pull && !rows.inner);
    }
    assert_int_equal(xf_als_step_items(&p.als, NULL), XF_OK);
  }
  for (size_t i = 0; i < t.global.stage[0].n; i++) { /* changes add up to what is kept */
    double sum = 0;
    const size_t key = i / LEN;
    for (size_t k = 0; k < 3; k++)
      sum += (double)part(k, "weak/sums")[t.s[k].local[key] * LEN + i % LEN];
    assert_true(fabs(sum - (double)t.x[i]) < 1e-4 * (1 + fabs(sum)));
  }
  pooled_end(&p);
  stagetest_deinit(&t);
  stagetest_common_users = false;
}

/* The same without split A; what is served has all events, by sweeps against the others' part of the totals. */
static void test_without_split_a(void **state) {
  (void)state;
  static struct pooled p;
  stagetest_common_users = true;
  stagetest_init(&t, stagetest_rows, SUMS "stages[0].rows.inner=2", NULL);
  pool(&p, true);
  for (uint32_t r = 0; r < 2; r++) {
    stagetest_commit(&t);
    assert_int_equal(xf_als_step_users(&p.als, NULL, NULL), XF_OK);
    for (size_t k = 0; k < 3; k++) same_rows(&p, k, final(k).inner);
    if (r == 0) assert_int_equal(xf_als_step_items(&p.als, NULL), XF_OK);
  }
  stagetest_commit(&t); /* on to the whole train part: the model without is kept as it was */
  for (size_t k = 0; k < 3; k++) {
    const struct xf_recommender_rows rows = final(k);
    same_rows(&p, k, rows.inner);
    assert_null(xf_layout_find(xf_silo_layout(t.s[k].silo), "weak/inner_target"));
    assert_int_equal(xf_csr_count(&rows.als->by_user),
                     xf_csr_count(&xf_silo_data(t.s[k].silo)->split.part[XF_PART_TRAIN]));
  }
  pooled_end(&p);
  stagetest_deinit(&t);
  stagetest_common_users = false;
}

/* The others' weight: 0 leaves each silo with its own sums, whatever the total is. */
static void test_weighted(void **state) {
  (void)state;
  stagetest_init(&t, stagetest_rows, SUMS "stages[0].rows.others=0", NULL);
  for (int r = 0; r < 4; r++) stagetest_commit(&t);
  const struct xf_als *als = final(1).als;
  float *p = xf_calloc(als->n_users * DIM, sizeof *p);
  memcpy(p, als->p, als->n_users * DIM * sizeof *p);
  struct xf_als alone = *als; /* its items, rows by plain half-step */
  alone.p = xf_calloc(als->n_users * DIM, sizeof *alone.p);
  assert_int_equal(xf_als_step_users(&alone, NULL, NULL), XF_OK);
  near_all(p, alone.p, als->n_users * DIM);
  xf_free(alone.p);
  xf_free(p);
  stagetest_deinit(&t);
}

/* It has nothing in the total, reads it, and changes nothing by deciding. */
static void test_newcomer(void **state) {
  (void)state;
  stagetest_init(&t, stagetest_rows, SUMS "stages[0].rows.inner=1", NULL);
  for (int r = 0; r < 4; r++) stagetest_commit(&t);
  stagetest_late(&t);
  const struct xf_recommender_rows rows = final(3);
  assert_non_null(rows.inner);
  double norm = 0;
  for (uint32_t i = 0; i < rows.als->n_users * DIM; i++)
    norm += (double)rows.als->p[i] * (double)rows.als->p[i];
  assert_true(isfinite(norm) && norm > 0.01);
  for (uint64_t i = 0; i < xf_silo_params(t.s[3].silo); i++)
    assert_true(xf_silo_personal(t.s[3].silo, false)[i] == 0);
  stagetest_deinit(&t);
}

/* A silo that missed a round: its part of the total is what it had, and its next change brings it up to date. */
static void test_missed(void **state) {
  (void)state;
  stagetest_init(&t, stagetest_rows, SUMS, NULL);
  stagetest_commit(&t);
  stagetest_commit_of(&t, 2);
  stagetest_commit(&t);
  for (size_t i = 0; i < t.global.stage[0].n; i++) {
    double sum = 0;
    for (size_t k = 0; k < 3; k++)
      sum += (double)part(k, "weak/sums")[t.s[k].local[i / LEN] * LEN + i % LEN];
    assert_true(fabs(sum - (double)t.x[i]) < 1e-4 * (1 + fabs(sum)));
  }
  stagetest_deinit(&t);
}

static void clipped(struct xf_silo_config *config) { config->clip = 1; }

static void test_refused(void **state) {
  (void)state;
  struct xf_diag diag;
  stagetest_init(&t, stagetest_rows, SUMS, clipped);
  const struct xf_silo_task task = stagetest_task(&t, 0, XF_TASK_TRAIN);
  xf_diag_init(&diag);
  assert_int_equal(xf_silo_work(t.s[0].silo, &task, &t.s[0].answer, &diag), XF_E_POLICY);
  assert_non_null(strstr(diag.text, "adds up exact sums"));
  stagetest_deinit(&t);
}

/* Rule average: known rows are the committed mean, items follow, what leaves is solved from them. */
static void test_average(void **state) {
  (void)state;
  stagetest_init(&t, stagetest_rows, "stages[0].rows.rule=average stages[0].rows.inner=2", NULL);
  for (int r = 0; r < 3; r++) stagetest_commit(&t);
  static float mean[STAGETEST_FLOATS];
  memcpy(mean, t.x, t.global.stage[0].n * sizeof *mean);
  struct xf_als als = *final(2).als;
  als.p = xf_calloc(als.n_users * DIM, sizeof *als.p);
  als.q = xf_calloc(als.n_items * DIM, sizeof *als.q);
  memcpy(als.p, part(2, "weak/user"), als.n_users * DIM * sizeof *als.p);
  for (size_t i = 0; i < t.s[2].n_row; i++)
    memcpy(als.p + t.s[2].local[i] * DIM, mean + t.s[2].row[i] * DIM, DIM * sizeof *mean);
  assert_int_equal(xf_als_step_items(&als, NULL), XF_OK);
  const struct xf_recommender_rows rows = final(2);
  assert_true(!rows.pull && rows.inner);
  assert_memory_equal(rows.als->p, als.p, als.n_users * DIM * sizeof *als.p);
  assert_memory_equal(rows.als->q, als.q, als.n_items * DIM * sizeof *als.q);
  assert_int_equal(xf_als_step_users(&als, NULL, NULL), XF_OK);
  stagetest_commit(&t);
  assert_memory_equal(part(2, "weak/user"), als.p, als.n_users * DIM * sizeof *als.p);
  assert_memory_equal(part(2, "weak/item"), als.q, als.n_items * DIM * sizeof *als.q);
  xf_free(als.p);
  xf_free(als.q);
  stagetest_deinit(&t);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_sums_are_pooled), cmocka_unit_test(test_without_split_a),
      cmocka_unit_test(test_weighted),        cmocka_unit_test(test_newcomer),
      cmocka_unit_test(test_missed),          cmocka_unit_test(test_refused),
      cmocka_unit_test(test_average),
  };
  if (xf_blas_start(NULL, NULL)) return 1;
  return cmocka_run_group_tests(tests, NULL, NULL);
}
