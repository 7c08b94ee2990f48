/* What a recommender's silo serves: its arms against the same decision made directly by rec/recommender.h from the artifacts. */
#include "base/alloc.h"
#include "base/arena.h"
#include "crypto/pseudonym.h"
#include "crypto/stream.h"
#include "rec/gram.h"
#include "rec/rank_eval.h"
#include "rec/recommender.h"
#include "stagetest.h"
#include "tensor/blas.h"
#include "wire/codec.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
// cmocka wants the four above first
#include <cmocka.h>

static struct stagetest t;
static const enum xf_recommender_arm arm_of[XF_SILO_N_ARM] = {
    XF_RECOMMENDER_ARM_POPULARITY, XF_RECOMMENDER_ARM_ALONE, XF_RECOMMENDER_ARM_FEDERATED,
    XF_RECOMMENDER_ARM_GUARDED};

static const struct xf_split *split_of(size_t k) { return &xf_silo_data(t.s[k].silo)->split; }

static struct xf_recommender *decide(size_t k, const struct xf_recommender_gram *gram,
                                     const struct xf_recommender_rows *rows, uint32_t n_rows,
                                     const float *overlap) {
  struct xf_recommender_spec spec = xf_recommender_defaults();
  const struct xf_recommender_input in = {
      .split = split_of(k), .gram = gram, .rows = rows, .n_rows = n_rows, .overlap = overlap};
  struct xf_recommender *rec = NULL;
  struct xf_diag diag;
  struct xf_rng rng;
  xf_stream_init(&rng, t.plan.seed, "eval", 1, t.s[k].member);
  spec.seed = xf_rng_u64(&rng);
  xf_diag_init(&diag);
  if (xf_recommender_fit(&rec, &in, &spec, &diag) || xf_recommender_mix(rec, &diag))
    fail_msg("%s", diag.text);
  xf_recommender_free_inner(rec);
  if (xf_recommender_decide(rec, NULL, &diag)) fail_msg("%s", diag.text);
  return rec;
}

struct asking {
  const struct xf_scorer *scorer;
  const struct xf_split *split;
  enum xf_part part;
  float row[64 * 64];
};

static struct xf_query query_of(const struct asking *a, uint32_t user, bool now) {
  const struct xf_csr *train = &a->split->part[XF_PART_TRAIN], *held = &a->split->part[a->part];
  const uint32_t from = train->start[user];
  double at = (double)NAN;
  if (!now && held->time && held->start[user + 1] > held->start[user])
    at = held->time[held->start[user]];
  return (struct xf_query){user, train->item + from, train->start[user + 1] - from, at};
}

static enum xf_rc ask(void *arg, const uint32_t *users, uint32_t n, const float **out,
                      struct xf_diag *diag) {
  struct asking *a = arg;
  struct xf_query query[64];
  bool served[64];
  assert_true(n <= 64 && a->split->n_items <= 64);
  for (uint32_t i = 0; i < n; i++) query[i] = query_of(a, users[i], false);
  *out = a->row;
  return xf_scorer_score_many(a->scorer, query, n, a->row, served, diag);
}

/* An arm of silo k, made of its base, measures what the scorer measures and scores as it does. */
static void same_arm(size_t k, enum xf_silo_arm arm, const struct xf_recommender *rec) {
  static struct asking a;
  static float value[20000], figure[20000];
  struct xf_silo *s = t.s[k].silo;
  const struct xf_measures *m = xf_silo_measures(s);
  struct xf_rng rng;
  struct xf_diag diag;
  xf_stream_init(&rng, t.plan.seed, "eval", 0, t.s[k].member);
  const uint64_t seed = xf_rng_u64(&rng);
  a.scorer = rec->arm[arm_of[arm]].scorer;
  a.split = split_of(k);
  xf_diag_init(&diag);
  if (xf_silo_arm_make(s, arm, t.s[k].base, &diag)) fail_msg("%s", diag.text);
  for (a.part = XF_PART_VALID; a.part <= XF_PART_TEST; a.part++) {
    struct xf_measure_sum got[XF_RESOLVE_MEASURES], want[XF_RESOLVE_MEASURES];
    if (!a.scorer) { /* nothing of the federation helped */
      assert_int_equal(arm, XF_SILO_FEDERATED);
      assert_int_equal(xf_silo_measure(s, a.part, got, NULL), XF_E_NOTFOUND);
      continue;
    }
    const struct xf_rank_spec spec = {.part = a.part,
                                      .n_neg = m->n_neg[0],
                                      .seed = seed,
                                      .measure = m->measure,
                                      .n_measure = m->n,
                                      .per_user = value};
    const size_t n_users = a.split->n_users, main = xf_measures_main(m);
    assert_true(n_users * m->n <= sizeof value / sizeof *value);
    if (xf_silo_measure(s, a.part, got, &diag)) fail_msg("%s", diag.text);
    assert_int_equal(xf_rank_eval(want, a.split, &spec, ask, &a, &diag), XF_OK);
    if (xf_silo_figures(s, a.part, figure, &diag)) fail_msg("%s", diag.text);
    for (size_t u = 0; u < n_users; u++) /* bits: NaN without a held-out item */
      assert_memory_equal(&figure[u], &value[u * m->n + main], sizeof *figure);
    for (size_t i = 0; i < m->n; i++)
      if (got[i].sum != want[i].sum || got[i].count != want[i].count || !(got[i].count > 0))
        fail_msg("silo %zu %s %s: %g of %g, not %g of %g", k, xf_silo_arm_name(arm), m->key[i],
                 got[i].sum, got[i].count, want[i].sum, want[i].count);
  }
  float x[64], y[64];
  a.part = XF_PART_TRAIN;
  if (!a.scorer) {
    assert_int_equal(xf_silo_scores(s, 0, x, NULL), XF_E_NOTFOUND);
    return;
  }
  for (uint32_t user = 0; user < a.split->n_users; user += 5) {
    const struct xf_query q = query_of(&a, user, true);
    assert_int_equal(xf_silo_scores(s, user, x, NULL), XF_OK);
    assert_int_equal(xf_scorer_score(a.scorer, &q, y, NULL), XF_OK);
    assert_memory_equal(x, y, a.split->n_items * sizeof *x);
  }
}

static void same_decision(size_t k, const struct xf_recommender *rec) {
  struct xf_buf got, want;
  for (int arm = 0; arm < XF_SILO_N_ARM; arm++) same_arm(k, (enum xf_silo_arm)arm, rec);
  xf_buf_init(&got, 1 << 16);
  xf_buf_init(&want, 1 << 16);
  assert_int_equal(xf_silo_explain(t.s[k].silo, &got), XF_OK);
  assert_int_equal(xf_recommender_print(rec, &want), XF_OK);
  assert_true(want.len > 100);
  const char *a = strchr(xf_buf_cstr(&got), '\n'), *b = strchr(xf_buf_cstr(&want), '\n');
  assert_true(a && b); /* the first line says how long it took */
  if (strcmp(a, b) != 0) fail_msg("%s\n--- not ---\n%s", a, b);
  xf_buf_deinit(&got);
  xf_buf_deinit(&want);
}

/* The others' part of the statistic, as a silo is to take it from the sum: less what it released. */
static void gram_decision(bool noise) {
  static float triangle[STAGETEST_FLOATS], diagonal[64];
  for (size_t k = 0; k < (noise ? 1 : 2); k++) {
    const size_t m = t.s[k].n_row, n = stagetest_view(&t, k, XF_TASK_FINAL, 0), d = noise ? 0 : m;
    assert_int_equal(n, d + m * (m - 1) / 2);
    for (size_t i = 0; i < d; i++) diagonal[i] = t.s[k].base[i] - t.s[k].update[i];
    for (size_t i = d; i < n; i++) triangle[i - d] = t.s[k].base[i] - t.s[k].update[i];
    const struct xf_recommender_gram gram = {.shared = t.s[k].local,
                                             .m = (uint32_t)m,
                                             .triangle = triangle,
                                             .diagonal = noise ? NULL : diagonal,
                                             .beta = noise ? 1 : 0,
                                             .noise_sd = noise ? 0.1 * XF_GRAM_SENSITIVITY * sqrt(2)
                                                               : 0}; /* of two others */
    struct xf_recommender *rec = decide(k, &gram, NULL, 0, NULL);
    if (k == 0 && !noise) assert_non_null(rec->arm[XF_RECOMMENDER_ARM_FEDERATED].scorer);
    same_decision(k, rec);
    xf_recommender_free(rec);
  }
}

static void test_gram(void **state) {
  (void)state;
  stagetest_init(&t, stagetest_gram, "", NULL);
  stagetest_commit(&t);
  gram_decision(false);
  stagetest_deinit(&t);
}

static void seeded(struct xf_silo_config *c) { c->seeded_noise = true; }

static void test_noised_gram(void **state) {
  (void)state;
  stagetest_init(&t, stagetest_gram,
                 "privacy.noise_multiplier=0.1 privacy.unit=user stages[0].statistic.beta=1",
                 seeded);
  stagetest_commit(&t);
  gram_decision(true);
  stagetest_deinit(&t);
}

/* --- rows ----------------------------------------------------------------------------------------------------- */

static struct xf_als make_als(size_t k, uint32_t stage) {
  static const uint8_t align_key[XF_SILO_ALIGN_KEY] = {4, 5, 6};
  const struct xf_dataset *data = xf_silo_data(t.s[k].silo);
  const struct xf_rec_data d = {data->split.n_users, data->split.n_items,
                                &data->split.part[XF_PART_TRAIN]};
  const struct xf_plan_stage_part *st = &t.plan.stages[stage];
  struct xf_als als;
  struct xf_rng rng;
  uint64_t *key = xf_calloc(d.n_users, sizeof *key);
  for (uint32_t u = 0; u < d.n_users; u++) {
    uint8_t name[XF_PSEUDONYM_LEN];
    const char *text = xf_names_get(&data->inter.users, u);
    xf_pseudonym(name, align_key, "user", text, strlen(text));
    for (int b = 7; b >= 0; b--) key[u] = key[u] << 8 | name[b];
  }
  xf_stream_init(&rng, t.plan.seed, "init", 0, NULL);
  const struct xf_als_spec spec = {.dim = st->rows.dim,
                                   .w = {st->rows.alpha, st->rows.rho, st->rows.nu},
                                   .seed = xf_rng_u64(&rng),
                                   .key = key};
  assert_int_equal(xf_als_init(&als, &d, &spec, NULL), XF_OK);
  xf_free(key);
  return als;
}

/* A stage's model as silo k ends it. A silo that took part: from its rows, towards the other holders' mean, once around. One
   that came later: from its start rows, towards the mean as it is, six times. base: its slice. */
static void last_rows(struct xf_als *als, struct xf_als_pull *pull, size_t k, uint32_t stage,
                      const float *base, bool late) {
  const struct stagetest_silo *s = &t.s[k];
  const struct xf_layout *l = xf_silo_layout(s->silo);
  const size_t d = t.plan.stages[stage].rows.dim;
  *als = make_als(k, stage);
  float *target = xf_calloc(als->n_users * d, sizeof *target);
  if (!late) {
    const float *p = xf_silo_personal(s->silo, false);
    const char *user = stage ? "strong/user" : "weak/user",
               *item = stage ? "strong/item" : "weak/item";
    memcpy(als->p, p + xf_layout_find(l, user)->offset, als->n_users * d * sizeof *p);
    memcpy(als->q, p + xf_layout_find(l, item)->offset, als->n_items * d * sizeof *p);
  }
  for (size_t i = 0; i < s->n_row; i++)
    for (size_t c = 0; c < d; c++) {
      const size_t at = s->local[i] * d + c;
      const double g = (double)base[i * d + c];
      target[at] = (float)(late ? g : (3 * g - (double)als->p[at]) / 2); /* three hold each */
    }
  *pull = (struct xf_als_pull){target, (float)t.plan.stages[stage].rows.kappa};
  for (int sweep = 0; sweep < (late ? 6 : 1); sweep++) {
    assert_int_equal(xf_als_step_users(als, pull, NULL), XF_OK);
    assert_int_equal(xf_als_step_items(als, NULL), XF_OK);
  }
  assert_int_equal(xf_als_step_users(als, pull, NULL), XF_OK);
}

static void rows_decision(size_t k, bool late) {
  static float overlap[64];
  struct xf_als als[2];
  struct xf_als_pull pull[2];
  const struct xf_csr *train = &split_of(k)->part[XF_PART_TRAIN];
  const size_t n = stagetest_view(&t, k, XF_TASK_EVALUATE, 0), first = t.s[k].n_row * 4;
  assert_int_equal(n, t.s[k].n_row * 7);
  last_rows(&als[0], &pull[0], k, 0, t.s[k].base, late);
  last_rows(&als[1], &pull[1], k, 2, t.s[k].base + first, late);
  memset(overlap, 0, sizeof overlap);
  for (size_t i = 0; i < t.s[k].n_row; i++)
    for (uint32_t e = train->start[t.s[k].local[i]]; e < train->start[t.s[k].local[i] + 1]; e++)
      overlap[train->item[e]]++;
  const struct xf_recommender_rows rows[] = {{.name = "weak", .als = &als[0], .pull = &pull[0]},
                                             {.name = "strong", .als = &als[1], .pull = &pull[1]}};
  struct xf_recommender *rec = decide(k, NULL, rows, 2, overlap);
  assert_non_null(xf_recommender_find(rec, "weak"));
  same_decision(k, rec);
  xf_recommender_free(rec);
  for (int i = 0; i < 2; i++) {
    xf_als_deinit(&als[i]);
    xf_free((void *)(uintptr_t)pull[i].target);
  }
}

static void test_rows(void **state) {
  (void)state;
  static float before[STAGETEST_FLOATS];
  stagetest_init(&t, stagetest_rows, "", NULL);
  while (t.committed < xf_plan_rounds(&t.plan)) stagetest_commit(&t);
  const size_t size = xf_silo_params(t.s[1].silo) * sizeof(float);
  memcpy(before, xf_silo_personal(t.s[1].silo, false), size);
  rows_decision(0, false);
  rows_decision(1, false);
  assert_memory_equal(before, xf_silo_personal(t.s[1].silo, false), size); /* deciding is looking */
  stagetest_deinit(&t);
}

/* It has no rows in the mean: it reads what the others made. */
static void test_newcomer(void **state) {
  (void)state;
  stagetest_init(&t, stagetest_rows, "", NULL);
  while (t.committed < xf_plan_rounds(&t.plan)) stagetest_commit(&t);
  stagetest_late(&t);
  assert_true(t.s[3].n_row >= 6);
  rows_decision(3, true);
  t.x[0] += 0.25f; /* of another model it decides anew, from the start as well */
  rows_decision(3, true);
  stagetest_deinit(&t);
}

/* --- reports -------------------------------------------------------------------------------------------------- */

/* Arms in the report of an evaluation of silo 0, each with all measures of both parts. */
static uint32_t report(char arms[XF_SILO_N_ARM][32]) {
  struct xf_arena arena;
  struct xf_eval_metric *m = NULL;
  struct xf_diag diag;
  size_t n = 0;
  const struct xf_silo_task task = stagetest_task(&t, 0, XF_TASK_EVALUATE);
  struct xf_silo_answer *a = &t.s[0].answer;
  const size_t per = 2 * xf_silo_measures(t.s[0].silo)->n;
  xf_diag_init(&diag);
  if (xf_silo_work(t.s[0].silo, &task, a, &diag)) fail_msg("%s", diag.text);
  assert_int_equal(a->begin.dtype, XF_DTYPE_REPORT);
  assert_int_equal(a->begin.weight, 1);
  xf_arena_init(&arena, 1 << 20);
  assert_int_equal(xf_eval_report_decode(&m, &n, &arena, a->payload.p, a->payload.len, NULL),
                   XF_OK);
  assert_int_equal(n % per, 0);
  for (size_t i = 0; i < n; i++) {
    char *name = arms[i / per];
    if (i % per == 0) (void)snprintf(name, 32, "%s", m[i].arm);
    assert_string_equal(m[i].arm, name);
    assert_string_equal(m[i].split, i % per < per / 2 ? "valid" : "test");
    assert_true(m[i].count > 0 && m[i].sum >= 0 && m[i].sum <= (double)m[i].count);
  }
  xf_arena_deinit(&arena);
  return (uint32_t)(n / per);
}

static void test_report(void **state) {
  (void)state;
  char arms[XF_SILO_N_ARM][32];
  struct xf_measure_sum alone[XF_RESOLVE_MEASURES], guarded[XF_RESOLVE_MEASURES];
  struct xf_diag diag;
  stagetest_init(&t, stagetest_gram, "", NULL);
  struct xf_silo *s = t.s[0].silo;
  assert_int_equal(report(arms), 3); /* nothing came from the federation yet */
  assert_string_equal(arms[0], "popularity");
  assert_string_equal(arms[1], "alone");
  assert_string_equal(arms[2], "guarded");
  (void)stagetest_view(&t, 0, XF_TASK_EVALUATE, 0);
  xf_diag_init(&diag);
  assert_int_equal(xf_silo_arm_make(s, XF_SILO_FEDERATED, t.s[0].base, NULL), XF_OK);
  assert_int_equal(xf_silo_measure(s, XF_PART_TEST, guarded, &diag), XF_E_NOTFOUND);
  assert_non_null(strstr(diag.text, "nothing came from the federation"));
  float x[64];
  assert_int_equal(xf_silo_scores(s, 0, x, &diag), XF_E_NOTFOUND);
  assert_int_equal(xf_silo_arm_make(s, XF_SILO_GUARDED, t.s[0].base, NULL), XF_OK);
  assert_int_equal(xf_silo_measure(s, XF_PART_TEST, guarded, NULL), XF_OK);
  assert_int_equal(xf_silo_arm_make(s, XF_SILO_ALONE, t.s[0].base, NULL), XF_OK);
  assert_int_equal(xf_silo_measure(s, XF_PART_TEST, alone, NULL), XF_OK);
  assert_true(alone[0].sum == guarded[0].sum && alone[0].count == guarded[0].count);

  stagetest_commit(&t);
  assert_int_equal(report(arms), 4);
  for (int arm = 0; arm <= XF_SILO_GUARDED; arm++)
    assert_string_equal(arms[arm], xf_silo_arm_name((enum xf_silo_arm)arm));
  for (int arm = 0; arm <= XF_SILO_GUARDED; arm++)
    assert_true(xf_silo_has_arm(s, (enum xf_silo_arm)arm));
  assert_false(xf_silo_has_arm(s, XF_SILO_PERSONAL));
  stagetest_deinit(&t);
}

/* GUARDED has compared the others; it goes before them, whatever they measure. */
static void test_choose(void **state) {
  (void)state;
  const double with[XF_SILO_N_ARM] = {.9, .8, .7, .1}, without[XF_SILO_N_ARM] = {.2, .3, .4, NAN},
               none[XF_SILO_N_ARM] = {NAN, NAN, NAN, NAN};
  const bool all[XF_SILO_N_ARM] = {true, true, true, true};
  bool chosen = false;
  stagetest_init(&t, stagetest_gram, "", NULL);
  const struct xf_measures *m = xf_silo_measures(t.s[0].silo);
  assert_int_equal(xf_silo_choose(m, with, all, &chosen), XF_SILO_GUARDED);
  assert_true(chosen);
  assert_int_equal(xf_silo_choose(m, without, all, &chosen), XF_SILO_FEDERATED);
  assert_int_equal(xf_silo_choose(m, none, all, &chosen), XF_SILO_ALONE);
  assert_false(chosen);
  struct xf_silo *s = stagetest_again(&t, 0, "silo-x");
  struct xf_diag diag;
  xf_diag_init(&diag);
  assert_int_equal(xf_silo_arm_make(s, XF_SILO_ALONE, t.s[0].base, &diag), XF_E_STATE);
  xf_silo_free(s);
  stagetest_deinit(&t);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_gram),   cmocka_unit_test(test_noised_gram),
      cmocka_unit_test(test_rows),   cmocka_unit_test(test_newcomer),
      cmocka_unit_test(test_report), cmocka_unit_test(test_choose),
  };
  if (xf_blas_start(NULL, NULL)) return 1;
  return cmocka_run_group_tests(tests, NULL, NULL);
}
