// Measures on the worked numbers, tie rules, keys, ranking evaluation by hand, top-k.
#include "rec/metrics.h"
#include "rec/popularity.h"
#include "rec/rank_eval.h"
#include "rec/topk.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
// cmocka wants the four above first
#include <cmocka.h>

static void close_to(double got, double want) {
  if (!(fabs(got - want) <= 1e-12)) fail_msg("%.17g, want %.17g", got, want);
}

static struct xf_measure parse(const char *s) {
  struct xf_measure m;
  assert_int_equal(xf_measure_parse(&m, s, strlen(s)), XF_OK);
  return m;
}

/* vector: hr_ndcg_loo_rank */
static void test_leave_one_out(void **state) {
  (void)state;
  const uint32_t rank[] = {0, 1, 4, 9, 10};
  const double ndcg[] = {1.0, 0.6309297535714575, 0.38685280723454163, 0.2890648263178879, 0.0};
  for (int i = 0; i < 5; i++) {
    close_to(xf_measure_ranks(parse("hr@10"), &rank[i], 1), i < 4);
    close_to(xf_measure_ranks(parse("ndcg@10"), &rank[i], 1), ndcg[i]);
  }
}

/* vector: multi_positive_list: relevant 2, 5, 7 in the list 3 7 1 9 5, so ranks 1, 4 and beyond */
static void test_multi_positive(void **state) {
  (void)state;
  const uint32_t rank[] = {1, 4, 77};
  close_to(xf_measure_ranks(parse("hr@5"), rank, 3), 1);
  close_to(xf_measure_ranks(parse("recall@5"), rank, 3), 0.6666666666666666);
  close_to(xf_measure_ranks(parse("precision@5"), rank, 3), 0.4);
  close_to(xf_measure_ranks(parse("ndcg@5"), rank, 3), 0.4776237035032179);
  close_to(xf_measure_ranks(parse("mrr"), rank, 3), 0.5);
}

/* vector: tie_policy_rank (pessimistic), auc_with_tie */
static void test_ties(void **state) {
  (void)state;
  const float neg[] = {0.9f, 0.5f, 0.5f, 0.1f};
  float pos[] = {0.5f}, two[] = {0.5f, 0.95f};
  uint32_t rank[2];
  xf_measure_rank(rank, pos, 1, neg, 4);
  assert_int_equal(rank[0], 3);
  xf_measure_rank(rank, two, 2, neg, 4);
  assert_int_equal(rank[0], 0);
  assert_int_equal(rank[1], 4);
  const float score[] = {0.9f, 0.8f, 0.8f, 0.4f, 0.2f}, label[] = {1, 0, 1, 0, 1};
  uint32_t scratch[5];
  const struct xf_measure_sum auc = xf_measure_auc(score, label, 5, scratch);
  close_to(auc.count, 6);
  close_to(xf_measure_value(XF_MEASURE_AUC, auc), 0.5833333333333334);
}

static void test_names(void **state) {
  (void)state;
  char key[XF_MEASURE_KEY];
  assert_string_equal(xf_measure_key(key, parse("ndcg@10"), true, 0), "ndcg_10_full");
  assert_string_equal(xf_measure_key(key, parse("hr@10"), true, 999), "hr_10_s999");
  assert_string_equal(xf_measure_key(key, parse("mrr"), true, 99), "mrr_s99");
  assert_string_equal(xf_measure_key(key, parse("auc"), true, 0), "auc_full");
  assert_string_equal(xf_measure_key(key, parse("auc"), false, 0), "auc");
  assert_string_equal(xf_measure_key(key, parse("rmse"), true, 0), "rmse");
  struct xf_measure m;
  assert_int_equal(xf_measure_parse(&m, "hr", 2), XF_E_FORMAT);
  assert_int_equal(xf_measure_parse(&m, "acc@3", 5), XF_E_FORMAT);
  assert_int_equal(xf_measure_parse(&m, "hr@0", 4), XF_E_RANGE);
  assert_int_equal(xf_measure_parse(&m, "map@10", 6), XF_E_FORMAT);
  assert_true(isnan(xf_measure_value(XF_MEASURE_HR, (struct xf_measure_sum){0, 0})));
  close_to(xf_measure_value(XF_MEASURE_RMSE, (struct xf_measure_sum){8, 2}), 2);
}

static void test_paired(void **state) {
  (void)state;
  const float a[] = {1, 2, NAN, 4}, b[] = {0, 0, 1, 1};
  double mean = 0, se = 0;
  assert_int_equal(xf_measure_paired(a, b, 4, &mean, &se), 3);
  close_to(mean, 2);
  close_to(se, 1 / sqrt(3));
}

static void test_topk(void **state) {
  (void)state;
  const float score[] = {1, 5, 3, 5, NAN, 9};
  const uint32_t exclude[] = {5};
  struct xf_topk_item top[8];
  assert_int_equal(xf_topk(top, 3, score, 6, exclude, 1), 3);
  assert_true(top[0].item == 1 && top[1].item == 3 && top[2].item == 2);
  assert_int_equal(xf_topk(top, 8, score, 6, exclude, 1), 4);
  assert_int_equal(xf_topk(top, 0, score, 6, NULL, 0), 0);
  // against looking for the best again and again: few different scores, so that ties are many
  enum { N = 200, OUT = 30 };
  float many[N];
  uint32_t out[OUT], rest = 12345;
  for (int i = 0; i < N; i++) {
    rest = rest * 1664525u + 1013904223u;
    many[i] = (rest >> 24) % 17 == 16 ? NAN : (float)((rest >> 24) % 17);
  }
  for (uint32_t i = 0; i < OUT; i++) out[i] = 5 * i + 3;
  struct xf_topk_item list[N];
  bool taken[N] = {false};
  const uint32_t got = xf_topk(list, 60, many, N, out, OUT);
  assert_int_equal(got, 60);
  for (uint32_t k = 0; k < got; k++) {
    uint32_t best = N;
    for (uint32_t i = 0; i < N; i++) {
      const bool excluded = i >= 3 && (i - 3) % 5 == 0 && (i - 3) / 5 < OUT;
      if (!excluded && !taken[i] && !isnan(many[i]) && (best == N || many[i] > many[best]))
        best = i;
    }
    taken[best] = true;
    assert_int_equal(list[k].item, best);
  }
}

/* Three users, six items: u0 train {0}, valid {1}, test {2}; u1 train {2}, test {3}; u2 train {0, 1}. */
static uint32_t start[3][4] = {{0, 1, 2, 4}, {0, 1, 1, 1}, {0, 1, 2, 2}};
static uint32_t item[3][4] = {{0, 2, 0, 1}, {1}, {2, 3}};
static float value[2] = {4, 2};
static uint32_t item_count[6] = {2, 1, 1, 0, 0, 0};
static const struct xf_split split = {
    .n_users = 3,
    .n_items = 6,
    .part = {{.n_row = 3, .start = start[0], .item = item[0]},
             {.n_row = 3, .start = start[1], .item = item[1]},
             {.n_row = 3, .start = start[2], .item = item[2], .value = value}},
    .item_count = item_count};
static float scores[3][6] = {{9, 8, 3, 3, 5, 1}, {9, 0, 7, 4, 4, 4}, {0}};

static enum xf_rc score(void *arg, const uint32_t *users, uint32_t n, const float **out,
                        struct xf_diag *diag) {
  static float block[64 * 6];
  (void)arg;
  (void)diag;
  for (uint32_t i = 0; i < n; i++) memcpy(block + i * 6, scores[users[i]], sizeof scores[0]);
  *out = block;
  return XF_OK;
}

static void test_rank_eval(void **state) {
  (void)state;
  const struct xf_measure measure[] = {parse("hr@2"), parse("mrr"), parse("auc"), parse("rmse")};
  struct xf_measure_sum sum[4];
  float per_user[3 * 4];
  struct xf_rank_spec spec = {
      .part = XF_PART_TEST, .measure = measure, .n_measure = 4, .per_user = per_user};
  assert_int_equal(xf_rank_eval(sum, &split, &spec, score, NULL, NULL), XF_OK);
  // u0: candidates 2 (3), 3 (3), 4 (5), 5 (1): rank 2, auc (1 + .5) / 3
  // u1: candidates 3 (4), 0 (9), 1 (0), 4 (4), 5 (4): rank 3, auc (1 + 1) / 4
  close_to(sum[0].sum, 0);
  close_to(sum[0].count, 2);
  close_to(sum[1].sum, 1.0 / 3 + 1.0 / 4);
  close_to(sum[2].sum, 0.5 + 0.5);
  close_to(sum[3].sum, 1 + 4);
  assert_true(per_user[0] == 0.0f && isnan(per_user[8]));
  // all negatives that there are: the same as full, but without the validation item either way
  spec.n_neg = 100;
  struct xf_measure_sum sampled[4];
  assert_int_equal(xf_rank_eval(sampled, &split, &spec, score, NULL, NULL), XF_OK);
  assert_memory_equal(sum, sampled, sizeof sum);
  // only items with a train event: u0 loses 4 (5), so rank 1; u1 loses nothing else than 4 (4)
  uint32_t count[6] = {1, 1, 1, 1, 0, 1};
  struct xf_split known = split;
  known.item_count = count;
  spec.train_items = true;
  assert_int_equal(xf_rank_eval(sampled, &known, &spec, score, NULL, NULL), XF_OK);
  close_to(sampled[1].sum, 1.0 / 2 + 1.0 / 3);
  spec.n_neg = 0;
  assert_int_equal(xf_rank_eval(sum, &known, &spec, score, NULL, NULL), XF_OK);
  assert_memory_equal(sum, sampled, sizeof sum);
  spec.train_items = false;
  spec.part = XF_PART_VALID;
  const struct xf_measure hr = parse("hr@1");
  spec.measure = &hr;
  spec.n_measure = 1;
  spec.n_neg = 2;
  spec.seed = 7;
  assert_int_equal(xf_rank_eval(sum, &split, &spec, score, NULL, NULL), XF_OK);
  close_to(sum[0].sum, 1); // 8 beats every candidate; the train item with 9 is none
  close_to(sum[0].count, 1);
}

static uint32_t times_asked;

static enum xf_rc score_counted(void *arg, const uint32_t *users, uint32_t n, const float **out,
                                struct xf_diag *diag) {
  times_asked += n;
  return score(arg, users, n, out, diag);
}

/* Validation and test together: the sums of two evaluations, each user asked once. */
static void test_rank_eval_parts(void **state) {
  (void)state;
  const struct xf_measure measure[] = {parse("hr@2"), parse("mrr")};
  const bool second[3] = {false, true, true};
  struct xf_rank_spec spec[2] = {
      {.part = XF_PART_VALID, .measure = measure, .n_measure = 2},
      {.part = XF_PART_TEST, .measure = measure, .n_measure = 2, .n_neg = 2, .seed = 3}};
  for (int some = 0; some < 4; some++) {
    struct xf_measure_sum alone[2][2], both[2][2], *const sum[2] = {both[0], both[1]};
    spec[1].users = some % 2 ? second : NULL;
    if (some == 2) spec[0].n_neg = spec[1].n_neg, spec[0].seed = spec[1].seed; /* one sample */
    for (int k = 0; k < 2; k++)
      assert_int_equal(xf_rank_eval(alone[k], &split, &spec[k], score, NULL, NULL), XF_OK);
    times_asked = 0;
    assert_int_equal(xf_rank_eval_parts(sum, &split, spec, 2, score_counted, NULL, NULL), XF_OK);
    assert_memory_equal(alone, both, sizeof both);
    assert_int_equal(times_asked, 2);
    assert_true(both[0][0].count == 1 && both[1][0].count == (some % 2 ? 1 : 2));
    assert_int_equal(xf_rank_eval_parts(sum, &split, spec, 0, score, NULL, NULL), XF_E_INVAL);
  }
}

/* A constant scorer must not look good. */
static void test_constant_scorer(void **state) {
  (void)state;
  const struct xf_measure measure[] = {parse("hr@2"), parse("auc")};
  struct xf_measure_sum sum[2];
  const struct xf_rank_spec spec = {.part = XF_PART_TEST, .measure = measure, .n_measure = 2};
  memset(scores, 0, sizeof scores);
  assert_int_equal(xf_rank_eval(sum, &split, &spec, score, NULL, NULL), XF_OK);
  close_to(sum[0].sum, 0);
  close_to(sum[1].sum, 1);
  scores[1][2] = NAN;
  struct xf_diag diag;
  xf_diag_init(&diag);
  assert_int_equal(xf_rank_eval(sum, &split, &spec, score, NULL, &diag), XF_E_NAN);
  assert_non_null(strstr(diag.text, "item 2 for user 1"));
  const struct xf_measure acc = parse("acc");
  const struct xf_rank_spec bad = {.part = XF_PART_TEST, .measure = &acc, .n_measure = 1};
  assert_int_equal(xf_rank_eval(sum, &split, &bad, score, NULL, &diag), XF_E_INVAL);
}

static void test_popularity(void **state) {
  (void)state;
  struct xf_popularity pop;
  const float *s = NULL;
  assert_int_equal(xf_popularity_init(&pop, &split), XF_OK);
  assert_int_equal(xf_popularity_score(&pop, NULL, 2, &s, NULL), XF_OK);
  assert_true(fabsf(s[6] - logf(3)) < 1e-6f && s[11] == 0.0f);
  xf_popularity_deinit(&pop);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_leave_one_out),
      cmocka_unit_test(test_multi_positive),
      cmocka_unit_test(test_ties),
      cmocka_unit_test(test_names),
      cmocka_unit_test(test_paired),
      cmocka_unit_test(test_topk),
      cmocka_unit_test(test_rank_eval),
      cmocka_unit_test(test_rank_eval_parts),
      cmocka_unit_test(test_constant_scorer),
      cmocka_unit_test(test_popularity),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
