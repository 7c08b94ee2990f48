// Re-ranking: worked orders and gains of MMR and the greedy DPP, the DPP against determinants of every candidate set,
// calibration by hand, the text of a rule, and lists made of a row of scores.
#include "base/rng.h"
#include "rec/calibrate.h"
#include "rec/cover.h"
#include "rec/dpp.h"
#include "rec/mmr.h"
#include "rec/rerank.h"

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

static void near(double got, double want, double tolerance) {
  if (!(fabs(got - want) <= tolerance)) fail_msg("%.17g, want %.17g", got, want);
}

enum { N = 5 };
static const double rel5[N] = {.95, .9, .85, .6, .5};
static const double sim5[N * N] = {1,  .95, .1, .3,  .2, .95, 1,   .15, .25, .1, .1,  .15, 1,
                                   .8, .3,  .3, .25, .8, 1,   .05, .2,  .1,  .3, .05, 1};
static const uint32_t id5[N] = {0, 1, 2, 3, 4};

static void test_mmr(void **state) {
  (void)state;
  static const struct {
    double lambda;
    uint32_t order[N];
    double value[N];
  } want[] = {{.5, {0, 2, 4, 1, 3}, {.475, .375, .1, -.025, -.1}},
              {.9, {0, 2, 1, 3, 4}, {.855, .755, .715, .46, .42}},
              {1, {0, 1, 2, 3, 4}, {.95, .9, .85, .6, .5}}};
  struct xf_itemsim sim;
  xf_itemsim_matrix(&sim, sim5, N);
  const struct xf_slate slate = {&sim, id5, rel5, N};
  for (size_t w = 0; w < sizeof want / sizeof want[0]; w++) {
    uint32_t pick[N];
    double value[N];
    assert_int_equal(xf_mmr(pick, value, &slate, N, want[w].lambda), XF_OK);
    for (int t = 0; t < N; t++) {
      assert_int_equal(pick[t], want[w].order[t]);
      near(value[t], want[w].value[t], 1e-12);
    }
  }
}

static void test_dpp(void **state) {
  (void)state;
  static const uint32_t order[N] = {0, 2, 4, 3, 1};
  static const double gain[N] = {-0.1025865887751011, -0.33508819484905145, -1.5132098803395466,
                                 -2.3991540923022234, -3.4803996730039146};
  double log_q[N], got[N];
  uint32_t pick[N + 1];
  struct xf_itemsim sim;
  xf_itemsim_matrix(&sim, sim5, N);
  const struct xf_slate slate = {&sim, id5, log_q, N};
  for (int i = 0; i < N; i++) log_q[i] = log(rel5[i]);
  assert_int_equal(xf_dpp(pick, got, &slate, N + 1, 0), XF_OK); // more than there are
  for (int t = 0; t < N; t++) {
    assert_int_equal(pick[t], order[t]);
    near(got[t], gain[t], 1e-10);
  }
  near(got[0] + got[1] + got[2], -1.9508846639636992, 1e-10);
  // q = exp(a r) with theta .7; ours is exp(a (r - 1)), so each gain is 2 a lower
  static const double gain7[3] = {2.2166666666666663, 1.9732829974798314, 1.0397511474470102};
  const double a = 1.1666666666666665;
  for (int i = 0; i < N; i++) {
    log_q[i] = xf_dpp_quality(.7, rel5[i]);
    near(log_q[i], a * (rel5[i] - 1), 1e-12);
  }
  assert_int_equal(xf_dpp(pick, got, &slate, 3, 0), XF_OK);
  for (int t = 0; t < 3; t++) {
    assert_int_equal(pick[t], order[t]);
    near(got[t], gain7[t] - 2 * a, 1e-10);
  }
}

// Determinant by elimination with pivoting; m <= 6.
static double determinant(double *x, uint32_t m) {
  double det = 1;
  for (uint32_t c = 0; c < m; c++) {
    uint32_t p = c;
    for (uint32_t r = c + 1; r < m; r++)
      if (fabs(x[r * m + c]) > fabs(x[p * m + c])) p = r;
    if (fabs(x[p * m + c]) < 1e-300) return 0;
    for (uint32_t k = 0; k < m && p != c; k++) {
      const double swap = x[c * m + k];
      x[c * m + k] = x[p * m + k];
      x[p * m + k] = swap;
    }
    det *= p == c ? x[c * m + c] : -x[c * m + c];
    for (uint32_t r = c + 1; r < m; r++) {
      const double f = x[r * m + c] / x[c * m + c];
      for (uint32_t k = c; k < m; k++) x[r * m + k] -= f * x[c * m + k];
    }
  }
  return det;
}

// Over random factors: each pick is the candidate whose set has the largest determinant, and gains sum to log det.
static void test_dpp_is_greedy(void **state) {
  (void)state;
  enum { ITEMS = 14, DIM = 8, K = 6, CASES = 60 };
  for (uint64_t seed = 0; seed < CASES; seed++) {
    struct xf_rng rng;
    float vector[ITEMS * DIM];
    double log_q[ITEMS], gain[K], sum = 0;
    uint32_t item[ITEMS], pick[K];
    struct xf_itemsim sim;
    xf_rng_init(&rng, seed, 1);
    for (int i = 0; i < ITEMS * DIM; i++) vector[i] = (float)(xf_rng_double(&rng) - .3);
    for (uint32_t i = 0; i < ITEMS; i++) {
      item[i] = (i * 5) % ITEMS;
      log_q[i] = xf_dpp_quality(.8, xf_rng_double(&rng));
    }
    assert_int_equal(xf_itemsim_vectors(&sim, vector, ITEMS, DIM, NULL), XF_OK);
    const struct xf_slate slate = {&sim, item, log_q, ITEMS};
    assert_int_equal(xf_dpp(pick, gain, &slate, K, XF_DPP_RIDGE), XF_OK);
    for (uint32_t t = 0; t < K; t++) {
      double det[ITEMS] = {0}, most = 0;
      for (uint32_t c = 0; c < ITEMS; c++) {
        uint32_t set[K];
        double l[K * K];
        bool taken = false;
        memcpy(set, pick, t * sizeof *set);
        set[t] = c;
        for (uint32_t s = 0; s < t; s++) taken |= pick[s] == c;
        if (taken) continue;
        for (uint32_t i = 0; i <= t; i++)
          for (uint32_t j = 0; j <= t; j++) {
            double s = (1 - XF_DPP_RIDGE) * xf_itemsim_get(&sim, item[set[i]], item[set[j]]);
            if (i == j) s += XF_DPP_RIDGE;
            l[i * (t + 1) + j] = exp(log_q[set[i]] + log_q[set[j]]) * s;
          }
        det[c] = determinant(l, t + 1);
        most = fmax(most, det[c]);
      }
      sum += gain[t];
      assert_true(det[pick[t]] >= most * (1 - 1e-9));
      near(sum, log(det[pick[t]]), 1e-8);
    }
    xf_itemsim_deinit(&sim);
  }
}

// What the picks span is taken by relevance, at its end; with theta near 1 small qualities keep their order.
static void test_dpp_spanned(void **state) {
  (void)state;
  static const double alike[9] = {1, 1, 0, 1, 1, 0, 0, 0, 1};
  const uint32_t item[4] = {0, 1, 2, 1};
  double log_q[4] = {-1, -.5, -3, -.7}, gain[4];
  uint32_t pick[4];
  struct xf_itemsim sim;
  xf_itemsim_matrix(&sim, alike, 3);
  const struct xf_slate slate = {&sim, item, log_q, 4};
  assert_int_equal(xf_dpp(pick, gain, &slate, 4, 0), XF_OK);
  const uint32_t want[4] = {1, 2, 3, 0};
  for (int t = 0; t < 4; t++) assert_int_equal(pick[t], want[t]);
  near(gain[1], -6, 1e-12);
  assert_true(isinf(gain[2]) && isinf(gain[3]));
  for (int i = 0; i < 4; i++) log_q[i] = xf_dpp_quality(.9999, 1 - .25 * i); // q down to e^-3750
  assert_int_equal(xf_dpp(pick, gain, &slate, 4, XF_DPP_RIDGE), XF_OK);
  for (uint32_t t = 0; t < 4; t++) assert_int_equal(pick[t], t);
  assert_true(isfinite(gain[3]));
}

// Four categories. Item 0: a; 1: a; 2: a b; 3: c; 4: none; 5: b.
static struct xf_categories toy(void) {
  static uint32_t start[] = {0, 1, 2, 4, 5, 5, 6}, item[] = {0, 0, 0, 1, 2, 1};
  return (struct xf_categories){.n = 4, .of = {.n_row = 6, .start = start, .item = item}};
}

static void test_calibrate(void **state) {
  (void)state;
  const struct xf_categories c = toy();
  double p[4], q[4];
  const uint32_t history[] = {0, 2, 3, 4, 99}; // 4 and 99 have no category
  assert_int_equal(xf_calibrate_shares(p, &c, history, 5), 3);
  const double want[4] = {.5, 1. / 6, 1. / 3, 0};
  for (int g = 0; g < 4; g++) near(p[g], want[g], 1e-15);
  const uint32_t list[] = {0, 1};
  assert_int_equal(xf_calibrate_shares(q, &c, list, 2), 2);
  // q = (1, 0, 0, 0): .5 ln(.5 / .995) + (1/6 + 1/3) ln(100)
  near(xf_calibrate_kl(p, q, 4), .5 * log(.5 / .995) + .5 * log(100), 1e-12);
  near(xf_calibrate_kl(p, p, 4), 0, 1e-15);
  assert_int_equal(xf_calibrate_shares(q, &c, history + 3, 2), 0);
  near(xf_calibrate_kl(q, p, 4), 0, 0);
  // relevance alone, calibration alone: the second pick then completes the history's mix best
  const uint32_t item[] = {0, 1, 2, 3, 5};
  const double rel[] = {1, .8, .6, .4, .2};
  const struct xf_slate slate = {NULL, item, rel, 5};
  uint32_t pick[5];
  assert_int_equal(xf_calibrate(pick, &slate, 5, 1, &c, p), XF_OK);
  for (uint32_t t = 0; t < 5; t++) assert_int_equal(pick[t], t);
  assert_int_equal(xf_calibrate(pick, &slate, 5, 0, &c, p), XF_OK);
  uint32_t chosen[5], n = 0;
  for (uint32_t t = 0; t < 5; t++) { // each pick is the least KL of all that are free
    double least = INFINITY, got = 0;
    for (uint32_t i = 0; i < 5; i++) {
      bool taken = false;
      for (uint32_t s = 0; s < t; s++) taken |= pick[s] == i;
      if (taken) continue;
      chosen[n] = item[i];
      (void)xf_calibrate_shares(q, &c, chosen, n + 1);
      const double kl = xf_calibrate_kl(p, q, 4);
      least = fmin(least, kl);
      if (i == pick[t]) got = kl;
    }
    near(got, least, 1e-12);
    chosen[n++] = item[pick[t]];
  }
  assert_int_equal(pick[0], 2); // a and b: KL 1.53, a alone 1.94
  assert_int_equal(pick[1], 3);
}

// By hand: item 0 has categories 0 and 1, 1 has 0, 2 has 1, 3 has 2 and 3, 4 has none, 5 lies beyond the rows.
static void test_cover(void **state) {
  (void)state;
  enum { ITEMS = 6 };
  uint32_t row[] = {0, 0, 1, 2, 3, 3}, col[] = {0, 1, 0, 1, 2, 3};
  static const uint32_t id[ITEMS] = {0, 1, 2, 3, 4, 5};
  static const double rel[ITEMS] = {1, .9, .8, .5, .85, .1};
  static const struct {
    double bonus;
    uint32_t order[ITEMS];
  } want[] = {{0, {0, 1, 4, 2, 3, 5}},  // relevance
              {.1, {0, 1, 4, 2, 3, 5}}, // .5 + 2 x .1 is below .9, .85 and .8
              {.19, {0, 1, 3, 4, 2, 5}},
              {.3, {0, 3, 1, 4, 2, 5}}};
  struct xf_categories c = {.n = 4};
  assert_int_equal(xf_csr_init(&c.of, 5, 4, row, col, 6), XF_OK);
  const struct xf_slate slate = {NULL, id, rel, ITEMS};
  for (size_t w = 0; w < sizeof want / sizeof want[0]; w++) {
    uint32_t pick[ITEMS + 1];
    assert_int_equal(xf_cover(pick, &slate, ITEMS + 1, want[w].bonus, &c), XF_OK);
    for (int t = 0; t < ITEMS; t++) assert_int_equal(pick[t], want[w].order[t]);
  }
  xf_csr_deinit(&c.of);
}

static void test_text(void **state) {
  (void)state;
  static const struct {
    const char *text, *again;
    enum xf_rerank_kind kind;
    double weight;
  } good[] = {
      {"none", "none", XF_RERANK_NONE, 0},
      {"dpp", "dpp:0.8", XF_RERANK_DPP, .8},
      {"dpp:0.95", "dpp:0.95", XF_RERANK_DPP, .95},
      {"dpp:0", "dpp:0", XF_RERANK_DPP, 0},
      {"mmr:1", "mmr:1", XF_RERANK_MMR, 1},
      {"mmr:.30000000000000004", "mmr:0.30000000000000004", XF_RERANK_MMR, .30000000000000004},
      {"calibrated:5e-1", "calibrated:0.5", XF_RERANK_CALIBRATED, .5},
      {"cover", "cover:0.15", XF_RERANK_COVER, .15},
      {"cover:0", "cover:0", XF_RERANK_COVER, 0}};
  static const struct {
    const char *text, *says;
    enum xf_rc rc;
  } bad[] = {{"", "there are none, dpp[:THETA]", XF_E_FORMAT},
             {"dp:0.8", "diversity \"dp:0.8\": there are none", XF_E_FORMAT},
             {"dpp:", "not a number; dpp:0.8 say", XF_E_FORMAT},
             {"dpp:0.8x", "not a number", XF_E_FORMAT},
             {"mmr:nan", "", XF_E_FORMAT},
             {"none:1", "takes no number", XF_E_FORMAT},
             {"dpp:1", "THETA must be 0 or above and below 1", XF_E_RANGE},
             {"mmr:1.01", "LAMBDA must be 0 or above and at most 1", XF_E_RANGE},
             {"cover:2", "BONUS must be 0 or above and at most 1", XF_E_RANGE},
             {"calibrated:-0.1", "LAMBDA must be 0 or above", XF_E_RANGE}};
  struct xf_rerank r;
  struct xf_diag diag;
  char text[XF_RERANK_TEXT];
  for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
    assert_int_equal(xf_rerank_parse(&r, good[i].text, strlen(good[i].text), NULL), XF_OK);
    assert_int_equal(r.kind, good[i].kind);
    near(r.weight, good[i].weight, 0);
    assert_string_equal(xf_rerank_print(text, r), good[i].again);
  }
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    xf_diag_init(&diag);
    assert_int_equal(xf_rerank_parse(&r, bad[i].text, strlen(bad[i].text), &diag), bad[i].rc);
    assert_non_null(strstr(diag.text, bad[i].says));
  }
}

// A row of 300 random scores with a few that cannot be shown.
enum { ROW = 300 };
struct row {
  float score[ROW];
  uint32_t start[ROW + 1], category[ROW * 3], exclude[3];
  struct xf_categories categories;
  struct xf_itemsim sim;
  struct xf_rerank_source source;
  struct xf_rerank_row row;
};

static void row_random(struct row *r, uint64_t seed) {
  struct xf_rng rng;
  uint32_t n = 0;
  xf_rng_init(&rng, seed, 2);
  for (uint32_t i = 0; i < ROW; i++) {
    r->score[i] = (float)xf_rng_double(&rng) * 7 - 3;
    r->start[i] = n;
    for (uint32_t g = 0; g < 8 && n - r->start[i] < 3; g++)
      if (xf_rng_double(&rng) < .2) r->category[n++] = g;
  }
  r->start[ROW] = n;
  r->score[17] = NAN;
  r->score[18] = -INFINITY;
  for (uint32_t i = 0; i < 3; i++) r->exclude[i] = 40 * i + 5;
  r->categories =
      (struct xf_categories){.n = 8, .of = {.n_row = ROW, .start = r->start, .item = r->category}};
  xf_itemsim_categories(&r->sim, &r->categories, ROW);
  r->source = (struct xf_rerank_source){&r->sim, &r->categories};
  r->row = (struct xf_rerank_row){r->score, ROW, r->exclude, 3, r->exclude, 3};
}

// Every rule: no item twice, none excluded, all of the first 100 by score, scores those of the row.
static void test_lists(void **state) {
  (void)state;
  static struct row r;
  static const struct xf_rerank rule[] = {
      {XF_RERANK_DPP, .8}, {XF_RERANK_MMR, .5}, {XF_RERANK_CALIBRATED, .3}};
  for (uint64_t seed = 0; seed < 20; seed++) {
    struct xf_topk_item out[ROW], plain[ROW];
    uint32_t n = 0, n_plain = 0;
    row_random(&r, seed);
    const struct xf_rerank none = {XF_RERANK_NONE, 0};
    assert_int_equal(xf_rerank_top(plain, &n_plain, ROW, none, &r.source, &r.row, NULL), XF_OK);
    assert_int_equal(n_plain, ROW - 4); // without the NaN
    for (int k = 0; k < 3; k++)
      for (uint32_t want = 0; want <= ROW; want += 20) {
        assert_int_equal(xf_rerank_top(out, &n, want, rule[k], &r.source, &r.row, NULL), XF_OK);
        assert_int_equal(n, want < n_plain ? want : n_plain);
        bool seen[ROW] = {false};
        for (uint32_t t = 0; t < n; t++) {
          uint32_t at = 0; // place by score
          while (plain[at].item != out[t].item) assert_true(++at < n_plain);
          assert_true(t < XF_RERANK_TOP ? at < XF_RERANK_TOP : at == t);
          assert_false(seen[out[t].item]);
          seen[out[t].item] = true;
          assert_true(out[t].score >= plain[at].score && out[t].score <= plain[at].score);
        }
      }
    // nearly relevance alone, and relevance alone
    const struct xf_rerank sharp = {XF_RERANK_DPP, .999999}, mmr = {XF_RERANK_MMR, 1};
    assert_int_equal(xf_rerank_top(out, &n, 20, sharp, &r.source, &r.row, NULL), XF_OK);
    for (uint32_t t = 0; t < n; t++) assert_int_equal(out[t].item, plain[t].item);
    assert_int_equal(xf_rerank_top(out, &n, 20, mmr, &r.source, &r.row, NULL), XF_OK);
    for (uint32_t t = 0; t < n; t++) assert_int_equal(out[t].item, plain[t].item);
  }
}

static void test_odd_rows(void **state) {
  (void)state;
  static struct row r;
  struct xf_topk_item out[8];
  struct xf_diag diag;
  uint32_t n = 0;
  row_random(&r, 1);
  const struct xf_rerank dpp = {XF_RERANK_DPP, .8}, calibrated = {XF_RERANK_CALIBRATED, .5};
  const struct xf_rerank cover = {XF_RERANK_COVER, 0};
  struct xf_rerank_row row = {r.score, 6, NULL, 0, NULL, 0};
  for (int i = 0; i < 6; i++) r.score[i] = 2; // equal scores: by likeness alone, no division by 0
  r.score[5] = -INFINITY;
  assert_int_equal(xf_rerank_top(out, &n, 8, dpp, &r.source, &row, NULL), XF_OK);
  assert_int_equal(n, 6);
  assert_int_equal(out[0].item, 0);
  assert_int_equal(out[5].item, 5); // cannot be scaled: last
  assert_int_equal(xf_rerank_top(out, &n, 8, calibrated, &r.source, &row, NULL), XF_OK);
  for (uint32_t t = 0; t < n; t++) assert_int_equal(out[t].item, t); // no history: by score
  assert_int_equal(xf_rerank_top(out, &n, 8, cover, &r.source, &row, NULL), XF_OK);
  for (uint32_t t = 0; t < n; t++) assert_int_equal(out[t].item, t); // no bonus: by score
  row.n_items = 0;
  assert_int_equal(xf_rerank_top(out, &n, 8, dpp, &r.source, &row, NULL), XF_OK);
  assert_int_equal(n, 0);
  row.n_items = 6;
  r.score[3] = INFINITY;
  xf_diag_init(&diag);
  assert_int_equal(xf_rerank_top(out, &n, 3, dpp, &r.source, &row, &diag), XF_E_NAN);
  assert_non_null(strstr(diag.text, "item number 3"));
  const struct xf_rerank_source nothing = {NULL, NULL};
  xf_diag_init(&diag);
  assert_int_equal(xf_rerank_top(out, &n, 3, dpp, &nothing, &row, &diag), XF_E_NOTFOUND);
  assert_non_null(strstr(diag.text, "item factors"));
  assert_int_equal(xf_rerank_top(out, &n, 3, cover, &nothing, &row, NULL), XF_E_NOTFOUND);
  xf_diag_init(&diag);
  assert_int_equal(xf_rerank_top(out, &n, 3, calibrated, &nothing, &row, &diag), XF_E_NOTFOUND);
  assert_non_null(strstr(diag.text, "categories"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_mmr),           cmocka_unit_test(test_dpp),
      cmocka_unit_test(test_dpp_is_greedy), cmocka_unit_test(test_dpp_spanned),
      cmocka_unit_test(test_calibrate),     cmocka_unit_test(test_text),
      cmocka_unit_test(test_cover),         cmocka_unit_test(test_lists),
      cmocka_unit_test(test_odd_rows),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
