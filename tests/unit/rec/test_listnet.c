// Nets over unit-free features as scorers: numbers by hand, rows that do not depend on their block, shares that add up,
// refusals.
#include "base/rng.h"
#include "rec/listnet.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
// cmocka wants the four above first
#include <cmocka.h>

enum { I = 6, F = 9 };
static struct xf_diag diag;

// A scorer that gives everybody the same row, or cannot serve.
struct fixed {
  struct xf_scorer base;
  const float *row;
};
static enum xf_rc fixed_score(const struct xf_scorer *s, const struct xf_query *q, float *out,
                              struct xf_diag *d) {
  const struct fixed *f = (const struct fixed *)s;
  if (!f->row) return xf_diag_set(d, XF_E_NOTFOUND, "knows not user %u", q->user);
  memcpy(out, f->row, s->n_items * sizeof *out);
  return XF_OK;
}
static uint32_t fixed_why(const struct xf_scorer *s, const struct xf_query *q, uint32_t item,
                          struct xf_why *out, uint32_t k) {
  if (k == 0 || q->n == 0) return 0;
  out[0] = (struct xf_why){q->item[0], ((const struct fixed *)s)->row[item]};
  return 1;
}
static void fixed_free(struct xf_scorer *s) { (void)s; }
static const struct xf_scorer_kind plain = {"plain", fixed_score, NULL, fixed_free};
static const struct xf_scorer_kind telling = {"telling", fixed_score, fixed_why, fixed_free};

static const uint32_t counts[I] = {0, 1, 3, 7, 15, 31};
static const uint32_t history[] = {1};
static const struct xf_query query = {0, history, 1, NAN};

static void check_shares(const struct xf_scorer *s, const struct xf_features *f, double zero) {
  struct xf_blend_why why[1 + XF_FEATURES_SLOTS];
  struct xf_why all[4 + XF_BLEND_WHY];
  float out[I];
  uint32_t n = 0;
  (void)f;
  assert_int_equal(xf_scorer_score(s, &query, out, &diag), XF_OK);
  for (uint32_t item = 0; item < I; item++) {
    double sum = 0, history_sum = 0;
    assert_int_equal(xf_listnet_explain(s, &query, item, why, &n, &diag), XF_OK);
    assert_int_equal(n, 3); // popularity and two slots
    for (uint32_t i = 0; i < n; i++) {
      sum += (double)why[i].share;
      if (i) assert_true(why[i - 1].share >= why[i].share);
    }
    assert_true(fabs(sum + zero - (double)out[item]) < 1e-4);
    const uint32_t m = s->kind->explain(s, &query, item, all, 8);
    assert_int_equal(m, 2); // the history item and the rest
    for (uint32_t i = 0; i < m; i++) history_sum += (double)all[i].share;
    assert_true(fabs(history_sum - sum) < 1e-4);
  }
  assert_int_equal(xf_listnet_explain(s, &query, I, why, &n, &diag), XF_E_NOTFOUND);
}

// Each activation against plain loops in double; a row gives the same bits alone and among 150.
static void test_net_rows(void **state) {
  (void)state;
  enum { N = 150, H = 7 };
  static const enum xf_act acts[] = {XF_ACT_NONE, XF_ACT_RELU, XF_ACT_TANH, XF_ACT_SIGMOID};
  float x[N * F], w1[F * H], b1[H], w2[H], all[N], one;
  struct xf_rng rng;
  xf_rng_init(&rng, 5, 0);
  for (int i = 0; i < N * F; i++) x[i] = (float)xf_rng_normal(&rng);
  for (int i = 0; i < F * H; i++) w1[i] = (float)xf_rng_normal(&rng) / 2;
  for (int i = 0; i < H; i++) {
    b1[i] = (float)xf_rng_normal(&rng);
    w2[i] = (float)xf_rng_normal(&rng);
  }
  for (int a = 0; a < 4; a++) {
    const struct xf_listnet net = {F, H, acts[a], w1, b1, w2};
    xf_listnet_run(&net, x, N, all);
    for (int r = 0; r < N; r++) {
      double f = 0;
      for (int k = 0; k < H; k++) {
        double v = (double)b1[k];
        for (int i = 0; i < F; i++) v += (double)x[r * F + i] * (double)w1[i * H + k];
        if (acts[a] == XF_ACT_RELU) v = v > 0 ? v : 0;
        if (acts[a] == XF_ACT_TANH) v = tanh(v);
        if (acts[a] == XF_ACT_SIGMOID) v = 1 / (1 + exp(-v));
        f += v * (double)w2[k];
      }
      assert_true(fabs(f - (double)all[r]) < 1e-5 * (1 + fabs(f)));
      xf_listnet_run(&net, x + r * F, 1, &one);
      assert_memory_equal(&one, &all[r], sizeof one);
    }
  }
}

static void test_nets(void **state) {
  (void)state;
  const float row[I] = {.4f, 9, .8f, .1f, .7f, .2f}, other[I] = {1, 2, 3, 4, 5, 7};
  struct fixed a = {{.kind = &telling, .n_items = I}, row},
               b = {{.kind = &plain, .n_items = I}, other};
  struct xf_features f;
  assert_int_equal(xf_features_init(&f, 1, counts, I, &diag), XF_OK);
  assert_int_equal(xf_features_bind(&f, "ease.own", &a.base, &diag), XF_OK);
  assert_int_equal(xf_features_bind(&f, "ease.pooled", &b.base, &diag), XF_OK);
  float w1[2][F * 4], b1[4], w2[2][4], linear[F];
  struct xf_rng rng;
  xf_rng_init(&rng, 3, 0);
  for (int i = 0; i < 2 * F * 4; i++) w1[i / (F * 4)][i % (F * 4)] = (float)xf_rng_normal(&rng) / 2;
  for (int i = 0; i < 4; i++) b1[i] = (float)xf_rng_normal(&rng) / 2;
  for (int i = 0; i < 8; i++) w2[i / 4][i % 4] = (float)xf_rng_normal(&rng);
  for (int i = 0; i < F; i++) linear[i] = (float)xf_rng_normal(&rng);
  const struct xf_listnet net[3] = {{F, 4, XF_ACT_TANH, w1[0], b1, w2[0]},
                                    {F, 4, XF_ACT_TANH, w1[1], NULL, w2[1]},
                                    {F, 0, XF_ACT_NONE, NULL, NULL, linear}};
  struct xf_scorer *s;
  float x[I * F], out[I], y0[I], y1[I], zero[F] = {0}, z = 0;
  assert_int_equal(xf_features_make(&f, &query, NULL, 0, x, NULL, &diag), XF_OK);
  xf_listnet_run(&net[0], x, I, y0);
  xf_listnet_run(&net[1], x, I, y1);
  double h = 0; // net 0 of item 2 by hand
  for (int k = 0; k < 4; k++) {
    double v = (double)b1[k];
    for (int i = 0; i < F; i++) v += (double)x[2 * F + i] * (double)w1[0][i * 4 + k];
    h += tanh(v) * (double)w2[0][k];
  }
  assert_float_equal(y0[2], (float)h, 1e-5f);
  assert_int_equal(xf_listnet_new(&s, "unitfree", net, 2, &f, &diag), XF_OK);
  assert_string_equal(s->kind->name, "unitfree");
  assert_int_equal(xf_scorer_score(s, &query, out, &diag), XF_OK);
  for (int i = 0; i < I; i++) assert_float_equal(out[i], (y0[i] + y1[i]) / 2, 1e-5f);
  xf_listnet_run(&net[0], zero, 1, &z);
  check_shares(s, &f, (double)z / 2); // net 1 has no bias: 0 at 0
  xf_scorer_free(s);
  assert_int_equal(xf_listnet_new(&s, "linear", &net[2], 1, &f, &diag), XF_OK);
  check_shares(s, &f, 0);
  const struct xf_query stranger = {XF_NO_ID, NULL, 0, NAN};
  b.row = a.row = NULL;
  assert_int_equal(xf_scorer_score(s, &stranger, out, &diag), XF_E_NOTFOUND);
  xf_scorer_free(s);
  assert_int_equal(xf_listnet_new(&s, "mixed", net + 1, 2, &f, &diag), XF_E_SHAPE);
  assert_int_equal(xf_listnet_new(&s, "none", net, 0, &f, &diag), XF_E_INVAL);
  w2[1][0] = NAN;
  assert_int_equal(xf_listnet_new(&s, "nan", net, 2, &f, &diag), XF_E_INVAL);
  assert_null(s);
  xf_features_deinit(&f);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_net_rows), cmocka_unit_test(test_nets)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
