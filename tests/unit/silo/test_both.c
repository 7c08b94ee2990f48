/* A plan of two namespaces: items of a statistic, users of a rows stage, each with keys, rows and a directory of its own. */
#include "base/str.h"
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

static struct stagetest t;

/* Users u4 .. u11 are in all three silos, items i4 .. i27 in at least two: neither side says anything of the other. */
static void test_keys(void **state) {
  (void)state;
  stagetest_init(&t, stagetest_both, "", NULL);
  assert_int_equal(t.spaces.n, 2);
  assert_true(t.spaces.at[0].of == XF_SPACE_ITEMS && t.spaces.at[1].of == XF_SPACE_USERS);
  assert_int_equal(t.directory[1].all.n, 8);
  assert_true(t.directory[0].all.n > 15 && t.directory[0].all.n <= 24);
  for (size_t k = 0; k < 3; k++) {
    const struct stagetest_silo *s = &t.s[k];
    const struct xf_names *users = &xf_silo_data(s->silo)->inter.users;
    assert_int_equal(xf_silo_spaces(s->silo), 2);
    assert_int_equal(s->rows.n[1], 8);
    for (size_t i = 0; i < 8; i++) {
      const char *name = xf_names_get(users, s->of_key[1][i]);
      uint64_t user = 0;
      assert_int_equal(xf_str_u64(&user, name + 1, strlen(name) - 1), XF_OK);
      assert_true(user >= 4 && user <= 11);
    }
    const struct xf_plan_lens lens = xf_global_lens(&t.global, &t.plan, &s->rows);
    const struct xf_plan_lens *own = xf_silo_lens(s->silo);
    assert_memory_equal(&lens, own, sizeof lens);
    const size_t m = s->rows.n[0];
    assert_int_equal(own->up[0], (m + m * (m - 1) / 2) * sizeof(float));
    assert_int_equal(own->up[1], 8 * 3 * sizeof(float));
  }
  stagetest_deinit(&t);
}

/* Each stage gives what it gives in a plan of its own namespace alone. */
static void test_stages_apart(void **state) {
  (void)state;
  static const char gram[] =
      "name: t\nseed: 7\ndata: {kind: interactions}\nmodel: {kind: recommender}\n"
      "eval: {metrics: [hr@3, ndcg@3], every: 0}\nstages:\n"
      "  - {name: weak, kind: rows, fed: {rounds: 2}, rows: {dim: 3, kappa: 0.25}}\n"
      "  - {name: gram, kind: statistic, statistic: {beta: 0.5}, rows: {min_holders: 2}}\n";
  static float sum[STAGETEST_FLOATS], rows[STAGETEST_FLOATS];
  stagetest_init(&t, stagetest_both, "", NULL);
  for (int i = 0; i < 3; i++) stagetest_commit(&t);
  const struct xf_global_stage *g = &t.global.stage[0], *w = &t.global.stage[1];
  const uint64_t n_sum = g->n, n_rows = w->n;
  memcpy(sum, t.x + g->keyed_at, n_sum * sizeof *sum);
  memcpy(rows, t.x + w->keyed_at, n_rows * sizeof *rows);
  float most = 0;
  for (uint64_t i = 0; i < n_rows; i++) most = rows[i] > most ? rows[i] : most;
  assert_true(n_rows == 8 * 3 && most > 0);
  stagetest_deinit(&t);
  stagetest_init(&t, gram, "", NULL); /* the other order: users are the first namespace */
  assert_true(t.spaces.at[0].of == XF_SPACE_USERS && t.spaces.at[1].of == XF_SPACE_ITEMS);
  for (int i = 0; i < 3; i++) stagetest_commit(&t);
  assert_memory_equal(sum, t.x + t.global.stage[1].keyed_at, n_sum * sizeof *sum);
  assert_memory_equal(rows, t.x + t.global.stage[0].keyed_at, n_rows * sizeof *rows);
  stagetest_deinit(&t);
}

/* The decision has candidates from both, and the scorer reads the statistic alone. */
static void test_decision(void **state) {
  (void)state;
  struct xf_buf words;
  struct xf_diag diag;
  xf_diag_init(&diag);
  stagetest_init(&t, stagetest_both, "", NULL);
  while (t.committed < xf_plan_rounds(&t.plan)) stagetest_commit(&t);
  assert_int_equal(stagetest_view(&t, 0, XF_TASK_EVALUATE, 0) * sizeof(float),
                   xf_silo_lens(t.s[0].silo)->all);
  if (xf_silo_arm_make(t.s[0].silo, XF_SILO_GUARDED, t.s[0].base, &diag)) fail_msg("%s", diag.text);
  xf_buf_init(&words, 1 << 16);
  assert_int_equal(xf_silo_explain(t.s[0].silo, &words), XF_OK);
  const char *text = xf_buf_cstr(&words);
  assert_non_null(strstr(text, "weak"));
  assert_non_null(strstr(text, "scorer"));
  assert_non_null(strstr(text, "overlap"));
  xf_buf_deinit(&words);
  stagetest_deinit(&t);
}

/* Only u4 .. u11 are in several silos: their events count, of the items that the directory knows; and the decision has the
   others' part of the sum, on top of its own users' counts. */
static void test_overlap(void **state) {
  (void)state;
  static const char overlap[] =
      "name: t\nseed: 7\ndata: {kind: interactions}\nmodel: {kind: recommender}\n"
      "eval: {metrics: [hr@3, ndcg@3], every: 0}\nstages:\n"
      "  - {name: seen, kind: statistic, statistic: {of: overlap}, rows: {min_holders: 2}}\n";
  stagetest_init(&t, overlap, "", NULL);
  assert_true(t.spaces.n == 2 && t.spaces.at[0].of == XF_SPACE_ITEMS &&
              t.spaces.at[1].of == XF_SPACE_USERS);
  stagetest_commit(&t);
  for (size_t k = 0; k < 3; k++) {
    const struct stagetest_silo *s = &t.s[k];
    const struct xf_dataset *d = xf_silo_data(s->silo);
    const struct xf_csr *train = &d->split.part[XF_PART_TRAIN];
    float own[64] = {0}, out[64], others = 0, all = 0;
    assert_true(d->split.n_items <= 64);
    assert_int_equal(s->n_update,
                     s->rows.n[0]); /* one number of each known item, nothing of users */
    assert_int_equal(xf_silo_lens(s->silo)->up[0], s->rows.n[0] * sizeof(float));
    for (uint32_t u = 0; u < d->split.n_users; u++) {
      bool known = false;
      for (size_t i = 0; i < s->rows.n[1]; i++) known |= s->of_key[1][i] == u;
      for (uint32_t e = train->start[u]; known && e < train->start[u + 1]; e++)
        own[train->item[e]]++;
    }
    for (size_t i = 0; i < s->rows.n[0]; i++) {
      assert_true(s->update[i] == own[s->of_key[0][i]]);
      all += s->update[i];
    }
    assert_true(all > 5);
    assert_int_equal(stagetest_view(&t, k, XF_TASK_FINAL, 0), s->rows.n[0]);
    enum xf_recommender_crowd crowd;
    assert_int_equal(xf_silo_strangers(s->silo, out, &crowd, NULL), XF_E_STATE);
    assert_int_equal(xf_silo_arm_make(s->silo, XF_SILO_GUARDED, s->base, NULL), XF_OK);
    assert_int_equal(xf_silo_strangers(s->silo, out, &crowd, NULL), XF_OK);
    assert_int_equal(crowd, XF_RECOMMENDER_CROWD_OVERLAP);
    for (size_t i = 0; i < s->rows.n[0]; i++) {
      others += s->base[i] - own[s->of_key[0][i]];
      own[s->of_key[0][i]] = s->base[i];
    }
    assert_true(others > 5);
    for (uint32_t i = 0; i < d->split.n_items; i++) {
      const float count = expm1f(out[i]) - own[i]; /* below half an event more: by the silo's own */
      assert_true(count > -.01f && count < .5f);
    }
  }
  stagetest_deinit(&t);
}

/* Started again, the personal state waits for both answers. */
static void test_again(void **state) {
  (void)state;
  static float kept[STAGETEST_FLOATS];
  stagetest_init(&t, stagetest_both, "", NULL);
  for (int i = 0; i < 3; i++) stagetest_commit(&t);
  const uint64_t n = xf_silo_params(t.s[2].silo);
  memcpy(kept, xf_silo_personal(t.s[2].silo, false), n * sizeof *kept);
  struct xf_silo *s = stagetest_again(&t, 2, "silo-c");
  assert_int_equal(xf_silo_restore(s, kept, n, false), XF_OK);
  assert_int_equal(stagetest_align(&t, 2, s, NULL), XF_OK);
  assert_int_equal(xf_silo_params(s), n);
  assert_memory_equal(xf_silo_personal(s, false), kept, n * sizeof *kept);
  xf_silo_free(s);
  stagetest_deinit(&t);
}

int main(void) {
  if (xf_blas_start(NULL, NULL)) return 1;
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_keys),
                                     cmocka_unit_test(test_stages_apart),
                                     cmocka_unit_test(test_decision),
                                     cmocka_unit_test(test_overlap), cmocka_unit_test(test_again)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
