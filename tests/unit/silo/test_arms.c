/* The arms a silo can serve. */
#include "silotest.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
// cmocka wants the four above first
#include <cmocka.h>

static struct silotest t;

static void make(enum xf_silo_arm arm) {
  struct xf_diag diag;
  xf_diag_init(&diag);
  if (xf_silo_arm_make(t.silo[0], arm, t.base[0], &diag)) fail_msg("%s", diag.text);
}

static void test_names(void **state) {
  (void)state;
  assert_string_equal(xf_silo_arm_name(XF_SILO_POPULARITY), "popularity");
  assert_string_equal(xf_silo_arm_name(XF_SILO_ALONE), "alone");
  assert_string_equal(xf_silo_arm_name(XF_SILO_FEDERATED), "federated");
  assert_string_equal(xf_silo_arm_name(XF_SILO_N_ARM), "?");
}

/* Training alone takes as long as the whole run: who must stop does not wait for it, and loses nothing. */
static void test_alone_cancelled(void **state) {
  (void)state;
  static float before[SILOTEST_FLOATS];
  static const char *const text[] = {silotest_mf, silotest_table};
  for (size_t c = 0; c < 2; c++) {
    struct xf_diag diag;
    atomic_bool cancel = true;
    xf_diag_init(&diag);
    silotest_init(&t, text[c], "", NULL);
    const size_t size = xf_silo_params(t.silo[0]) * sizeof(float);
    make(XF_SILO_ALONE);
    memcpy(before, xf_silo_arm_params(t.silo[0]), size);
    xf_silo_set_cancel(t.silo[0], &cancel);
    assert_int_equal(xf_silo_arm_make(t.silo[0], XF_SILO_ALONE, t.base[0], &diag), XF_E_CANCELLED);
    xf_silo_set_cancel(t.silo[0], NULL);
    make(XF_SILO_ALONE); /* the same as if nothing had been */
    assert_memory_equal(xf_silo_arm_params(t.silo[0]), before, size);
    silotest_deinit(&t);
  }
}

/* The same whenever it is made and whatever the federation did before. */
static void test_alone_repeats(void **state) {
  (void)state;
  static float first[SILOTEST_FLOATS];
  static const char *const text[] = {silotest_mf, silotest_table};
  for (size_t c = 0; c < 2; c++) {
    silotest_init(&t, text[c], "", NULL);
    const size_t size = xf_silo_params(t.silo[0]) * sizeof(float);
    make(XF_SILO_ALONE);
    memcpy(first, xf_silo_arm_params(t.silo[0]), size);
    assert_memory_not_equal(first, xf_silo_personal(t.silo[0], false), size);
    silotest_work(&t, 0, 1);
    xf_silo_outcome(t.silo[0], true);
    make(XF_SILO_FEDERATED);
    make(XF_SILO_ALONE);
    assert_memory_equal(first, xf_silo_arm_params(t.silo[0]), size);
    silotest_deinit(&t);
  }
}

static void test_alone_leaves_the_silo(void **state) {
  (void)state;
  static float full[SILOTEST_FLOATS], next[SILOTEST_FLOATS];
  silotest_init(&t, silotest_mf, "", NULL);
  const size_t size = xf_silo_params(t.silo[0]) * sizeof(float);
  silotest_work(&t, 0, 1);
  memcpy(full, xf_silo_personal(t.silo[0], false), size);
  memcpy(next, xf_silo_personal(t.silo[0], true), size);
  make(XF_SILO_ALONE);
  make(XF_SILO_POPULARITY);
  make(XF_SILO_FEDERATED);
  assert_memory_equal(full, xf_silo_personal(t.silo[0], false), size);
  assert_memory_equal(next, xf_silo_personal(t.silo[0], true), size);
  silotest_deinit(&t);
}

static void test_popularity(void **state) {
  (void)state;
  float score[32];
  struct xf_measure_sum sum[XF_RESOLVE_MEASURES];
  silotest_init(&t, silotest_mf, "", NULL);
  const struct xf_split *s = &xf_silo_data(t.silo[0])->split;
  make(XF_SILO_POPULARITY);
  for (uint32_t u = 0; u < s->n_users; u++) {
    assert_int_equal(xf_silo_scores(t.silo[0], u, score, NULL), XF_OK);
    for (uint32_t i = 0; i < s->n_items; i++)
      assert_true(fabs((double)score[i] - log1p((double)s->item_count[i])) < 1e-6);
  }
  assert_int_equal(xf_silo_measure(t.silo[0], XF_PART_TEST, sum, NULL), XF_OK);
  assert_true(sum[0].count > 0 && sum[0].sum >= 0 && sum[0].sum <= sum[0].count);
  silotest_deinit(&t);
}

/* Scores of the federated arm by hand: own items under the base's user rows. */
static void test_federated(void **state) {
  (void)state;
  float score[32];
  silotest_init(&t, silotest_mf, "rows.rule=average", NULL);
  silotest_work(&t, 0, 1);
  xf_silo_outcome(t.silo[0], true);
  for (size_t i = 0; i < 24; i++) t.base[0][i] = 0.25f * (float)(i % 5);
  make(XF_SILO_FEDERATED);
  const float *p = xf_silo_arm_params(t.silo[0]);
  const struct xf_layout *layout = xf_model_get_layout(xf_silo_model(t.silo[0]));
  const struct xf_segment *user = xf_layout_find(layout, "user"),
                          *item = xf_layout_find(layout, "item"),
                          *bias = xf_layout_find(layout, "item_bias");
  uint32_t of_base = 0;
  for (uint32_t u = 0; u < user->rows; u++)
    for (size_t k = 0; k < 8; k++)
      if (!memcmp(p + user->offset + 3 * (uint64_t)u, t.base[0] + 3 * k, 3 * sizeof(float))) {
        of_base++;
        break;
      }
  assert_int_equal(of_base, 8);
  assert_memory_equal(p + item->offset, xf_silo_personal(t.silo[0], false) + item->offset,
                      (size_t)item->rows * 3 * sizeof(float));
  for (uint32_t u = 0; u < user->rows; u++) {
    assert_int_equal(xf_silo_scores(t.silo[0], u, score, NULL), XF_OK);
    for (uint32_t i = 0; i < item->rows; i++) {
      double want = bias ? (double)p[bias->offset + i] : 0;
      for (uint64_t d = 0; d < 3; d++)
        want += (double)p[user->offset + 3 * (uint64_t)u + d] *
                (double)p[item->offset + 3 * (uint64_t)i + d];
      assert_true(fabs((double)score[i] - want) < 1e-5);
    }
  }
  silotest_deinit(&t);
}

static void test_refusals(void **state) {
  (void)state;
  float score[32];
  struct xf_measure_sum sum[XF_RESOLVE_MEASURES];
  struct xf_diag diag;
  silotest_init(&t, silotest_mf, "", NULL);
  xf_diag_init(&diag);
  assert_int_equal(xf_silo_scores(t.silo[0], 8, score, &diag), XF_E_NOTFOUND);
  assert_non_null(strstr(diag.text, "user 8 of 8"));
  silotest_deinit(&t);
  silotest_init(&t, silotest_table, "", NULL);
  assert_int_equal(xf_silo_scores(t.silo[0], 0, score, &diag), XF_E_UNSUPPORTED);
  make(XF_SILO_POPULARITY);
  assert_int_equal(xf_silo_measure(t.silo[0], XF_PART_TEST, sum, NULL), XF_OK);
  for (size_t i = 0; i < xf_silo_measures(t.silo[0])->n; i++)
    assert_true(sum[i].count == 0 && sum[i].sum == 0);
  silotest_deinit(&t);
}

/* Sampled candidates are the same for every arm and whenever they are drawn; protocols do not mix. */
static void test_protocols(void **state) {
  (void)state;
  struct xf_measure_sum a[XF_RESOLVE_MEASURES], b[XF_RESOLVE_MEASURES], full[XF_RESOLVE_MEASURES];
  silotest_init(&t, silotest_mf, "eval.protocol=full,s2", NULL);
  assert_int_equal(xf_silo_measures(t.silo[0])->n, 4);
  make(XF_SILO_ALONE);
  assert_int_equal(xf_silo_measure(t.silo[0], XF_PART_TEST, a, NULL), XF_OK);
  assert_int_equal(xf_silo_measure(t.silo[0], XF_PART_TEST, b, NULL), XF_OK);
  assert_memory_equal(a, b, 4 * sizeof *a);
  assert_true(a[2].sum == a[2].count && a[2].count > 0); /* hr@3 of 3 candidates */
  silotest_deinit(&t);
  silotest_init(&t, silotest_mf, "", NULL);
  make(XF_SILO_ALONE);
  assert_int_equal(xf_silo_measure(t.silo[0], XF_PART_TEST, full, NULL), XF_OK);
  assert_memory_equal(a, full, 2 * sizeof *a);
  silotest_deinit(&t);
}

/* Best on validation, of equals the simpler; without figures a silo stays by itself. */
static void test_choose(void **state) {
  (void)state;
  static const struct {
    enum xf_measure_kind kind;
    double valid[XF_SILO_N_ARM];
    enum xf_silo_arm want;
    bool chosen;
  } rows[] = {
      {XF_MEASURE_NDCG, {.1, .2, .3, NAN}, XF_SILO_FEDERATED, true},
      {XF_MEASURE_NDCG, {.1, .3, .2, NAN}, XF_SILO_ALONE, true},
      {XF_MEASURE_NDCG, {.3, .3, .3, NAN}, XF_SILO_POPULARITY, true},
      {XF_MEASURE_ACC, {NAN, .3, .3, NAN}, XF_SILO_ALONE, true},
      {XF_MEASURE_NDCG, {.3, .2, .1, .2}, XF_SILO_GUARDED, true}, /* it has compared them itself */
      {XF_MEASURE_RMSE, {NAN, 1.1, .9, NAN}, XF_SILO_FEDERATED, true},
      {XF_MEASURE_LOGLOSS, {NAN, .5, .9, NAN}, XF_SILO_ALONE, true},
      {XF_MEASURE_ACC, {NAN, NAN, NAN, NAN}, XF_SILO_ALONE, false},
  };
  static const bool all[XF_SILO_N_ARM] = {true, true, true, true};
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    const struct xf_measures m = {.measure = {{rows[i].kind, 0}}, .n = 1};
    bool chosen = !rows[i].chosen;
    assert_int_equal(xf_silo_choose(&m, rows[i].valid, all, &chosen), rows[i].want);
    assert_int_equal(chosen, rows[i].chosen);
  }
  /* Nothing to compare and no arm alone: what was made. */
  static const bool federated[XF_SILO_N_ARM] = {[XF_SILO_FEDERATED] = true};
  const struct xf_measures m = {.measure = {{XF_MEASURE_ACC, 0}}, .n = 1};
  bool chosen = true;
  assert_int_equal(xf_silo_choose(&m, rows[7].valid, federated, &chosen), XF_SILO_FEDERATED);
  assert_false(chosen);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_names),           cmocka_unit_test(test_alone_repeats),
      cmocka_unit_test(test_alone_cancelled), cmocka_unit_test(test_alone_leaves_the_silo),
      cmocka_unit_test(test_popularity),      cmocka_unit_test(test_federated),
      cmocka_unit_test(test_refusals),        cmocka_unit_test(test_protocols),
      cmocka_unit_test(test_choose),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
