// Blend and guard: standardising, additive shares, candidates that cannot serve; a guard that finds independent evidence,
// switches noise off and refuses bad input.
#include "base/buf.h"
#include "base/rng.h"
#include "data/names.h"
#include "rec/guard.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
// cmocka wants the four above first
#include <cmocka.h>

enum { I = 6, USERS = 300, ITEMS = 40 };

// A scorer that gives the same row to everybody, or cannot serve.
struct fixed {
  struct xf_scorer base;
  const float *row;
};
static enum xf_rc fixed_score(const struct xf_scorer *s, const struct xf_query *q, float *out,
                              struct xf_diag *diag) {
  (void)q;
  const struct fixed *f = (const struct fixed *)s;
  if (!f->row) return xf_diag_set(diag, XF_E_NOTFOUND, "knows nobody");
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

static void test_standardise(void **state) {
  (void)state;
  float row[I] = {100, 1, 2, 3, 4, 5};
  const uint32_t history[] = {0};
  double unit;
  uint32_t bad;
  assert_int_equal(xf_blend_standardise(row, I, history, 1, &unit, &bad), XF_OK);
  const float want[] = {-1.4142135f, -.70710677f, 0, .70710677f, 1.4142135f};
  for (int i = 0; i < 5; i++) assert_float_equal(row[i + 1], want[i], 1e-6f);
  assert_float_equal(row[0], 97 / 1.4142135f, 1e-4f); // the history is in the unit of the others
  assert_true(fabs(unit - 1 / sqrt(2)) < 1e-12);
  float same[I] = {7, 7, 7, 7, 7, 7};
  assert_int_equal(xf_blend_standardise(same, I, history, 1, &unit, &bad), XF_OK);
  assert_true(unit == 0);
  for (int i = 0; i < I; i++) assert_float_equal(same[i], 0, 0);
  same[4] = NAN;
  assert_int_equal(xf_blend_standardise(same, I, history, 1, &unit, &bad), XF_E_NAN);
  assert_int_equal(bad, 4);
}

/* Against one plain loop over the items outside the history: histories at the ends, in a row, repeated, of everything. */
static void test_standardise_runs(void **state) {
  (void)state;
  enum { N = 61 };
  static const uint32_t h0[] = {0, 1, 2, 30, 30, 31, 60}, h1[] = {17, 99}, h2[] = {60};
  uint32_t all[N];
  for (uint32_t i = 0; i < N; i++) all[i] = i;
  const struct {
    const uint32_t *item;
    uint32_t n;
  } history[] = {{NULL, 0}, {h0, 7}, {h1, 2}, {h2, 1}, {all, N}, {all, N - 1}};
  for (size_t h = 0; h < sizeof history / sizeof *history; h++) {
    float row[N];
    double sum = 0, sq = 0, unit = 7;
    uint32_t m = 0, bad = 0;
    bool in[N] = {false};
    for (uint32_t k = 0; k < history[h].n; k++)
      if (history[h].item[k] < N) in[history[h].item[k]] = true;
    for (uint32_t i = 0; i < N; i++) row[i] = (float)(i * 37 % 61) * .25f - 3;
    for (uint32_t i = 0; i < N; i++)
      if (!in[i]) sum += (double)row[i], m++;
    const double mean = m ? sum / m : 0;
    for (uint32_t i = 0; i < N; i++)
      if (!in[i]) sq += ((double)row[i] - mean) * ((double)row[i] - mean);
    const double want = m > 1 ? 1 / sqrt(sq / m) : 0;
    assert_int_equal(xf_blend_standardise(row, N, history[h].item, history[h].n, &unit, &bad),
                     XF_OK);
    assert_true(fabs(unit - want) < 1e-12);
    for (uint32_t i = 0; i < N; i++)
      assert_true(fabs((double)row[i] - ((double)((float)(i * 37 % 61) * .25f - 3) - mean) * want) <
                  1e-6);
    for (uint32_t i = 0; i < N; i += 30) { /* in the history or not */
      row[i] = i ? INFINITY : NAN;
      assert_int_equal(xf_blend_standardise(row, N, history[h].item, history[h].n, &unit, &bad),
                       XF_E_NAN);
      assert_int_equal(bad, i);
      row[i] = 0;
    }
  }
}

static void test_blend(void **state) {
  (void)state;
  const float a_row[I] = {0, 1, 2, 3, 4, 5}, b_row[I] = {3, 1, 4, 1, 5, 9};
  struct fixed a = {{.kind = &telling, .n_items = I}, a_row},
               b = {{.kind = &plain, .n_items = I}, b_row},
               c = {{.kind = &plain, .n_items = I}, NULL};
  const struct xf_blend_part part[] = {
      {"a", &a.base, 1}, {"b", &b.base, .25}, {"nobody", &c.base, 1}};
  struct xf_scorer *blend;
  struct xf_diag diag = {0};
  assert_int_equal(xf_blend_new(&blend, part, 3, false, &diag), XF_OK);
  const uint32_t history[] = {2};
  const struct xf_query q = {0, history, 1, NAN};
  float out[I], x[I], y[I];
  double unit;
  uint32_t bad, n;
  memcpy(x, a_row, sizeof x);
  memcpy(y, b_row, sizeof y);
  assert_int_equal(xf_scorer_score(blend, &q, out, &diag), XF_OK);
  assert_int_equal(xf_blend_standardise(x, I, history, 1, &unit, &bad), XF_OK);
  assert_int_equal(xf_blend_standardise(y, I, history, 1, &unit, &bad), XF_OK);
  struct xf_blend_why why[XF_BLEND_PARTS];
  for (uint32_t i = 0; i < I; i++) {
    assert_float_equal(out[i], x[i] + .25f * y[i], 1e-6f);
    assert_int_equal(xf_blend_explain(blend, &q, i, why, &n, &diag), XF_OK);
    assert_int_equal(n, 2); // the third serves nobody
    assert_float_equal(why[0].share + why[1].share, out[i], 1e-6f);
    assert_true(why[0].share >= why[1].share);
    for (uint32_t k = 0; k < n; k++) assert_int_equal(why[k].n, why[k].part == 0 ? 1 : 0);
  }
  xf_scorer_free(blend);
  const struct xf_blend_part only = {"nobody", &c.base, 1};
  assert_int_equal(xf_blend_new(&blend, &only, 1, false, &diag), XF_OK);
  assert_int_equal(xf_scorer_score(blend, &q, out, &diag), XF_E_NOTFOUND);
  xf_scorer_free(blend);
  const struct xf_blend_part none = {"a", &a.base, 0};
  assert_int_equal(xf_blend_new(&blend, &none, 1, false, &diag), XF_E_INVAL);
}

// Candidates whose rows are noise plus `signal` at the user's held-out item; two seeds give independent noise.
struct world {
  uint32_t start[USERS + 1], zero[USERS + 1], item[USERS], valid[USERS];
  struct xf_split split;
  double signal[4];
  uint64_t seed[4];
};

static enum xf_rc world_row(void *arg, uint32_t c, const struct xf_query *q, float *out,
                            struct xf_diag *diag) {
  (void)diag;
  const struct world *w = arg;
  struct xf_rng rng;
  xf_rng_init(&rng, w->seed[c], q->user);
  for (uint32_t i = 0; i < ITEMS; i++) out[i] = (float)xf_rng_double(&rng);
  out[w->valid[q->user]] += (float)w->signal[c];
  return XF_OK;
}

static void world_init(struct world *w) {
  memset(w, 0, sizeof *w);
  for (uint32_t u = 0; u < USERS; u++) {
    w->start[u + 1] = u + 1;
    w->item[u] = u % ITEMS;
    w->valid[u] = (u * 7 + 3) % ITEMS == u % ITEMS ? (u + 1) % ITEMS : (u * 7 + 3) % ITEMS;
    w->seed[0] = 11, w->seed[1] = 12, w->seed[2] = 13, w->seed[3] = 14;
  }
  w->split.n_users = USERS;
  w->split.n_items = ITEMS;
  w->split.part[XF_PART_TRAIN] = (struct xf_csr){USERS, w->start, w->item, NULL, NULL};
  w->split.part[XF_PART_VALID] = (struct xf_csr){USERS, w->start, w->valid, NULL, NULL};
  w->split.part[XF_PART_TEST] = (struct xf_csr){USERS, w->zero, w->item, NULL, NULL};
}

static const struct xf_guard_candidate candidate[] = {
    {"local", NULL, false}, {"pulled", NULL, true}, {"foreign", NULL, true}};

static void test_guard(void **state) {
  (void)state;
  static struct world w;
  world_init(&w);
  w.signal[0] = .25;
  w.signal[1] = .35;
  w.signal[2] = -.3; // knows the answer and hides it: a transfer that hurts
  struct xf_guard_spec spec = xf_guard_defaults(&w.split);
  spec.row = world_row;
  spec.arg = &w;
  spec.n_neg = 0; // 40 items: the full list
  struct xf_guard g, again;
  struct xf_diag diag = {0};
  assert_int_equal(xf_guard_fit(&g, candidate, 3, &spec, &diag), XF_OK);
  assert_int_equal(g.n_user, USERS);
  assert_int_equal(g.step[0].candidate, 1); // the best alone
  assert_true(g.alone[1] > g.alone[0] && g.alone[0] > g.alone[2]);
  assert_true(g.weight[0] > 0); // independent evidence is added
  assert_true(g.weight[2] == 0);
  for (uint32_t i = 1; i < g.n_step; i++)
    assert_true(g.step[i].gain > spec.se * g.step[i].se && g.step[i].se > 0);
  assert_true(g.value > g.alone[1] && g.gain > 2 * g.se); // over the best that needs nobody
  struct xf_buf text;
  xf_buf_init(&text, 4096);
  assert_int_equal(xf_guard_print(&g, candidate, &text), XF_OK);
  assert_int_equal(xf_buf_put(&text, "", 1), XF_OK);
  assert_non_null(strstr((const char *)text.p, "start from pulled"));
  assert_non_null(strstr((const char *)text.p, "foreign switched off"));
  xf_buf_deinit(&text);
  assert_int_equal(xf_guard_fit(&again, candidate, 3, &spec, &diag), XF_OK);
  assert_memory_equal(&g, &again, sizeof g);
}

// Falsification (decision 42): when what comes from the federation is noise, the local candidate is kept and its weight is
// the start's; a guard that wants 4 standard errors adds no noise in any of 20 draws.
static void test_noise_is_not_added(void **state) {
  (void)state;
  static struct world w;
  world_init(&w);
  w.signal[0] = .5;
  struct xf_guard_spec spec = xf_guard_defaults(&w.split);
  spec.row = world_row;
  spec.arg = &w;
  spec.n_neg = 0;
  spec.se = 4;
  struct xf_diag diag = {0};
  for (uint64_t t = 0; t < 20; t++) {
    w.seed[1] = 100 + 2 * t;
    w.seed[2] = 101 + 2 * t;
    struct xf_guard g;
    assert_int_equal(xf_guard_fit(&g, candidate, 3, &spec, &diag), XF_OK);
    assert_int_equal(g.n_step, 1);
    assert_true(g.weight[0] == 1);
    assert_true(g.weight[1] == 0 && g.weight[2] == 0);
    assert_true(g.gain == 0);
  }
}

static void test_refusals(void **state) {
  (void)state;
  static struct world w;
  world_init(&w);
  struct xf_guard_spec spec = xf_guard_defaults(&w.split);
  struct xf_guard g;
  struct xf_diag diag = {0};
  assert_int_equal(xf_guard_fit(&g, candidate, 3, &spec, &diag), XF_E_INVAL); // no callback
  assert_non_null(strstr(diag.text, "local"));
  spec.row = world_row;
  spec.arg = &w;
  assert_int_equal(xf_guard_fit(&g, candidate, 0, &spec, &diag), XF_E_INVAL);
  spec.se = -1;
  assert_int_equal(xf_guard_fit(&g, candidate, 3, &spec, &diag), XF_E_INVAL);
  spec.se = .5;
  spec.part = XF_PART_TEST; // nobody has a held-out item there
  assert_int_equal(xf_guard_fit(&g, candidate, 3, &spec, &diag), XF_E_NOTFOUND);
  spec.part = XF_PART_VALID;
  w.signal[1] = (double)NAN;
  assert_int_equal(xf_guard_fit(&g, candidate, 3, &spec, &diag), XF_E_NAN);
  assert_non_null(strstr(diag.text, "pulled"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_standardise),
      cmocka_unit_test(test_standardise_runs),
      cmocka_unit_test(test_blend),
      cmocka_unit_test(test_guard),
      cmocka_unit_test(test_noise_is_not_added),
      cmocka_unit_test(test_refusals),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
