// Unit-free features, lists of them and the stack: numbers by hand, what cannot tell a market apart, the stack against its own
// gradient, refusals.
#include "base/rng.h"
#include "data/csr.h"
#include "rec/list_eval.h"
#include "rec/stack.h"
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

enum { I = 6, F = 9, ITEMS = 40, USERS = 300 };
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
static void fixed_free(struct xf_scorer *s) { (void)s; }
static const struct xf_scorer_kind plain = {"plain", fixed_score, NULL, fixed_free};

static const uint32_t counts[I] = {0, 1, 3, 7, 15, 31};
static const uint32_t history[] = {1};
static const struct xf_query query = {0, history, 1, NAN};

static void test_features_by_hand(void **state) {
  (void)state;
  const float row[I] = {.4f, 9, -1, .1f, 0, -2}, same[I] = {3, 3, 3, 3, 3, 3};
  struct fixed own = {{.kind = &plain, .n_items = I}, row},
               flat = {{.kind = &plain, .n_items = I}, same},
               nobody = {{.kind = &plain, .n_items = I}, NULL};
  struct xf_features f;
  assert_int_equal(xf_features_init(&f, 1, counts, I, &diag), XF_OK);
  assert_int_equal(f.set->n_feature, F);
  assert_int_equal(xf_features_bind(&f, "ease.own", &own.base, &diag), XF_OK);
  assert_int_equal(xf_features_bind(&f, "kernel.own", &flat.base, &diag), XF_OK);
  assert_int_equal(xf_features_bind(&f, "kernel.pooled", &nobody.base, &diag), XF_OK);
  const uint32_t list[] = {0, 3, 2};
  float x[I * F];
  uint32_t served = 0;
  memset(x, 0xff, sizeof x);
  assert_int_equal(xf_features_make(&f, &query, list, 3, x, &served, &diag), XF_OK);
  assert_int_equal(served, 1 | 4); // pooled EASE has no scorer, pooled kernel cannot serve
  for (int column = 0; column < 3; column++) {
    const double s[3] = {.4, .1, -1}, pop[3] = {0, log(8), log(4)};
    double v[3], mean = 0, sd = 0;
    for (int i = 0; i < 3; i++) {
      v[i] = column == 0 ? pop[i] : column == 1 ? s[i] : log(fmax(s[i], 0) + .001);
      mean += v[i] / 3;
    }
    for (int i = 0; i < 3; i++) sd += (v[i] - mean) * (v[i] - mean) / 3;
    for (int i = 0; i < 3; i++)
      assert_float_equal(x[i * F + column], (float)((v[i] - mean) / sqrt(sd)), 1e-5f);
  }
  for (int i = 0; i < 3; i++)
    for (int column = 3; column < F; column++) assert_float_equal(x[i * F + column], 0, 0);
  // the whole catalogue: the history does not count, but gets numbers
  assert_int_equal(xf_features_make(&f, &query, NULL, 0, x, NULL, &diag), XF_OK);
  double sum = 0, sq = 0;
  for (int i = 0; i < I; i++)
    if (i != 1) sum += (double)x[i * F + 1], sq += (double)x[i * F + 1] * (double)x[i * F + 1];
  assert_true(fabs(sum) < 1e-5 && fabs(sq / (I - 1) - 1) < 1e-5);
  assert_true(x[1 * F + 1] > 5); // item 1 is the user's own, far above the others
  xf_features_deinit(&f);
  xf_features_deinit(&f);
}

// Another unit of the scores and of the item counts changes no feature but the logarithm's offset.
static void test_features_have_no_unit(void **state) {
  (void)state;
  float row[I] = {.4f, .9f, .3f, .1f, .5f, .2f}, big[I];
  uint32_t more[I];
  for (int i = 0; i < I; i++) {
    big[i] = 1000 * row[i];
    row[i] *= 100; // offset .001 is nothing against both
    more[i] = 2 * (counts[i] + 1) - 1;
  }
  float x[2][I * F];
  for (int k = 0; k < 2; k++) {
    struct fixed s = {{.kind = &plain, .n_items = I}, k ? big : row};
    struct xf_features f;
    assert_int_equal(xf_features_init(&f, 1, k ? more : counts, I, &diag), XF_OK);
    assert_int_equal(xf_features_bind(&f, "ease.own", &s.base, &diag), XF_OK);
    assert_int_equal(xf_features_make(&f, &query, NULL, 0, x[k], NULL, &diag), XF_OK);
    xf_features_deinit(&f);
  }
  for (int i = 0; i < I * F; i++) assert_float_equal(x[0][i], x[1][i], 1e-3f);
}

// A version never changes: names and order of each, and a later one begins with the one before.
static void test_versions(void **state) {
  (void)state;
  static const char *const want[] = {"ease.own",      "ease.pooled",     "kernel.own",
                                     "kernel.pooled", "kernel.even.own", "kernel.even.pooled",
                                     "als",           "als.faint",       "als.sharp"};
  static const uint32_t n_slot[] = {0, 4, 9};
  for (uint32_t v = 1; v <= XF_FEATURES_VERSION; v++) {
    const struct xf_feature_set *set = xf_feature_set_find(v);
    assert_non_null(set);
    assert_int_equal(set->version, v);
    assert_int_equal(set->n_slot, n_slot[v]);
    assert_int_equal(set->n_feature, 1 + 2 * n_slot[v]);
    assert_in_range(set->n_feature, 1, XF_FEATURES_MAX);
    for (uint32_t s = 0; s < set->n_slot; s++) assert_string_equal(set->slot[s], want[s]);
  }
  assert_null(xf_feature_set_find(XF_FEATURES_VERSION + 1));
  char text[64];
  xf_feature_name(xf_feature_set_find(2), 0, text);
  assert_string_equal(text, "log(popularity)");
  xf_feature_name(xf_feature_set_find(2), 3, text);
  assert_string_equal(text, "ease.pooled");
  xf_feature_name(xf_feature_set_find(2), 18, text);
  assert_string_equal(text, "log(als.sharp)");
}

static void test_features_refuse(void **state) {
  (void)state;
  const float bad[I] = {0, 1, NAN, 2, 3, 4};
  struct fixed s = {{.kind = &plain, .n_items = I}, bad},
               small = {{.kind = &plain, .n_items = 2}, bad};
  struct xf_features f;
  const uint32_t beyond[] = {1, I};
  float x[I * F];
  assert_int_equal(xf_features_init(&f, 7, counts, I, &diag), XF_E_VERSION);
  assert_int_equal(xf_features_init(&f, 1, counts, 0, &diag), XF_E_INVAL);
  assert_int_equal(xf_features_init(&f, 1, counts, I, &diag), XF_OK);
  assert_int_equal(xf_features_bind(&f, "ease", &s.base, &diag), XF_E_NOTFOUND);
  assert_non_null(strstr(diag.text, "kernel.pooled"));
  assert_int_equal(xf_features_bind(&f, "ease.own", &small.base, &diag), XF_E_SHAPE);
  assert_int_equal(xf_features_bind(&f, "ease.own", &s.base, &diag), XF_OK);
  assert_int_equal(xf_features_bind(&f, "ease.own", &s.base, &diag), XF_E_EXISTS);
  assert_int_equal(xf_features_make(&f, &query, beyond, 2, x, NULL, &diag), XF_E_NOTFOUND);
  assert_int_equal(xf_features_make(&f, &query, NULL, 0, x, NULL, &diag), XF_E_NAN);
  assert_non_null(strstr(diag.text, "item 2 by \"ease.own\""));
  struct xf_buf text;
  xf_buf_init(&text, 4096);
  assert_int_equal(xf_features_print(&f, &text), XF_OK);
  assert_int_equal(xf_buf_printf(&text, "%c", 0), XF_OK);
  assert_non_null(strstr((const char *)text.p, "ease.own        present"));
  assert_non_null(strstr((const char *)text.p, "ease.pooled     missing: zeros"));
  xf_buf_deinit(&text);
  xf_features_deinit(&f);
}

// Scorers of a small world: a user likes the ITEMS/4 items after their number; the scorer sees that with noise.
struct world {
  struct xf_csr history, held;
  uint32_t count[ITEMS];
};

static void world_init(struct world *w) {
  uint32_t user[2][USERS * 3], item[2][USERS * 3], n[2] = {0, 0};
  memset(w->count, 0, sizeof w->count);
  for (uint32_t u = 0; u < USERS; u++)
    for (uint32_t k = 0; k < 3; k++) {
      const int to = k == 2;
      user[to][n[to]] = u;
      item[to][n[to]] = (u * 7 + k * 3) % ITEMS;
      w->count[item[to][n[to]++]]++;
    }
  assert_int_equal(xf_csr_init(&w->history, USERS, ITEMS, user[0], item[0], n[0]), XF_OK);
  assert_int_equal(xf_csr_init(&w->held, USERS, ITEMS, user[1], item[1], n[1]), XF_OK);
}
static void world_deinit(struct world *w) {
  xf_csr_deinit(&w->history);
  xf_csr_deinit(&w->held);
}

// Knows the held-out item up to noise of the given size; the stream makes scorers independent.
struct seer {
  struct xf_scorer base;
  double noise;
  uint64_t stream;
};
static enum xf_rc seer_score(const struct xf_scorer *s, const struct xf_query *q, float *out,
                             struct xf_diag *d) {
  (void)d;
  const struct seer *e = (const struct seer *)s;
  struct xf_rng rng;
  xf_rng_init(&rng, q->user, e->stream);
  for (uint32_t i = 0; i < s->n_items; i++)
    out[i] = (float)(e->noise * xf_rng_double(&rng) + (i == (q->user * 7 + 6) % ITEMS));
  return XF_OK;
}
static const struct xf_scorer_kind seer_kind = {"seer", seer_score, NULL, fixed_free};

static void seers(struct xf_features *f, struct seer *a, struct seer *b, const struct world *w) {
  *a = (struct seer){{.kind = &seer_kind, .n_items = ITEMS}, 1.2, 1};
  *b = (struct seer){{.kind = &seer_kind, .n_items = ITEMS}, 1.8, 2};
  assert_int_equal(xf_features_init(f, 1, w->count, ITEMS, &diag), XF_OK);
  assert_int_equal(xf_features_bind(f, "ease.own", &a->base, &diag), XF_OK);
  assert_int_equal(xf_features_bind(f, "kernel.pooled", &b->base, &diag), XF_OK);
}

static void test_lists(void **state) {
  (void)state;
  struct world w;
  struct xf_features f;
  struct seer a, b;
  world_init(&w);
  seers(&f, &a, &b, &w);
  struct xf_listset l, again;
  const struct xf_features_draw spec = {.n_neg = 20, .seed = 5};
  assert_int_equal(xf_features_draw(&l, &f, &w.history, &w.held, &spec, &diag), XF_OK);
  assert_int_equal(xf_features_draw(&again, &f, &w.history, &w.held, &spec, &diag), XF_OK);
  assert_int_equal(l.n, USERS);
  assert_int_equal(l.n_list, 21);
  assert_int_equal(l.n_in, F);
  assert_memory_equal(l.x, again.x, (size_t)l.n * xf_listset_size(&l) * sizeof *l.x);
  double first = 0;
  for (uint32_t u = 0; u < USERS; u++) {
    assert_int_equal(l.user[u], u);
    first += (double)l.x[u * xf_listset_size(&l) + 1] / USERS;
  }
  assert_true(first > 1); // the positive stands out in the scorer that knows it
  xf_listset_deinit(&again);
  xf_listset_deinit(&l);
  // more negatives than there are items: round again, never the user's own
  const struct xf_features_draw many = {.n_neg = 100, .catalogue = true};
  assert_int_equal(xf_features_draw(&l, &f, &w.history, &w.held, &many, &diag), XF_OK);
  assert_int_equal(l.n_list, 101);
  assert_memory_equal(l.x + F, l.x + (1 + ITEMS - 3) * F, F * sizeof *l.x);
  xf_listset_deinit(&l);
  // who has all items has no list; nobody left is an error
  uint32_t one_user[ITEMS], one_item[ITEMS];
  for (uint32_t i = 0; i < ITEMS; i++) one_user[i] = 0, one_item[i] = i;
  struct xf_csr all, held;
  assert_int_equal(xf_csr_init(&all, 2, ITEMS, one_user, one_item, ITEMS), XF_OK);
  const uint32_t both[] = {0, 1}, two[] = {3, 5};
  assert_int_equal(xf_csr_init(&held, 2, ITEMS, both, two, 2), XF_OK);
  assert_int_equal(xf_features_draw(&l, &f, &all, &held, &spec, &diag), XF_OK);
  assert_int_equal(l.n, 1);
  assert_int_equal(l.user[0], 1);
  xf_listset_deinit(&l);
  all.n_row = held.n_row = 1;
  assert_int_equal(xf_features_draw(&l, &f, &all, &held, &spec, &diag), XF_E_RANGE);
  all.n_row = held.n_row = 2;
  xf_csr_deinit(&all);
  xf_csr_deinit(&held);
  struct xf_csr short_rows = w.history;
  short_rows.n_row--;
  assert_int_equal(xf_features_draw(&l, &f, &short_rows, &w.held, &spec, &diag), XF_E_SHAPE);
  xf_features_deinit(&f);
  world_deinit(&w);
}

static void test_lists_given(void **state) {
  (void)state;
  struct world w;
  struct xf_features f;
  struct seer a, b;
  world_init(&w);
  seers(&f, &a, &b, &w);
  uint32_t user[] = {3, USERS + 5}, start[] = {0, 4, 6}, item[] = {5, 27, 6, 9, 1, 2},
           n_rel[] = {1, 1};
  uint8_t relevant[] = {0, 1, 0, 0, 0, 1};
  const struct xf_lists lists = {.n = 2,
                                 .user = user,
                                 .start = start,
                                 .item = item,
                                 .relevant = relevant,
                                 .n_relevant = n_rel};
  struct xf_listset l;
  assert_int_equal(xf_features_given(&l, &f, &w.history, &lists, 4, false, &diag), XF_OK);
  assert_int_equal(l.n, 2);
  const uint32_t as[] = {27, 5, 6, 9};
  const struct xf_query q = {3, w.history.item + w.history.start[3], 2, NAN};
  float x[4 * F];
  assert_int_equal(xf_features_make(&f, &q, as, 4, x, NULL, &diag), XF_OK);
  assert_memory_equal(l.x, x, sizeof x);
  xf_listset_deinit(&l);
  relevant[4] = 1;
  assert_int_equal(xf_features_given(&l, &f, &w.history, &lists, 4, false, &diag), XF_E_RANGE);
  assert_int_equal(xf_features_given(&l, &f, &w.history, &lists, 1, false, &diag), XF_E_INVAL);
  xf_features_deinit(&f);
  world_deinit(&w);
}

// Loss of the stack, written again.
static double loss_of(const struct xf_listset *l, const double *w, double l2) {
  double loss = 0, norm2 = 0;
  for (uint32_t u = 0; u < l->n; u++) {
    double sum = 0, first = 0;
    for (uint32_t i = 0; i < l->n_list; i++) {
      double z = 0;
      for (uint32_t k = 0; k < F; k++)
        z += w[k] * (double)l->x[u * xf_listset_size(l) + (size_t)i * F + k];
      if (i == 0) first = z;
      sum += exp(z);
    }
    loss += (log(sum) - first) / l->n;
  }
  for (uint32_t k = 0; k < F; k++) norm2 += w[k] * w[k];
  return loss + l2 / 2 * norm2;
}

static double ndcg(const struct world *w, const struct xf_scorer *s, xf_list_rank rank) {
  static uint32_t user[USERS], start[USERS + 1], item[USERS * 21], one[USERS];
  static uint8_t relevant[USERS * 21];
  struct xf_rng rng;
  xf_rng_init(&rng, 99, 0);
  for (uint32_t u = 0; u < USERS; u++) {
    user[u] = u;
    one[u] = 1;
    start[u + 1] = (u + 1) * 21;
    for (uint32_t i = 0; i < 21; i++) {
      relevant[u * 21 + i] = i == 0;
      item[u * 21 + i] = (u * 7 + 6 + 1 + xf_rng_below(&rng, ITEMS - 1)) % ITEMS;
    }
    item[u * 21] = (u * 7 + 6) % ITEMS;
  }
  const struct xf_lists lists = {.n = USERS,
                                 .user = user,
                                 .start = start,
                                 .item = item,
                                 .relevant = relevant,
                                 .n_relevant = one};
  const struct xf_rec_data data = {USERS, ITEMS, &w->history};
  const struct xf_measure m = {XF_MEASURE_NDCG, 10};
  const struct xf_list_spec spec = {&m, 1, NULL};
  struct xf_measure_sum sum;
  if (xf_list_eval_ranked(&sum, &lists, &data, s, rank, &spec, &diag)) fail_msg("%s", diag.text);
  return xf_measure_value(XF_MEASURE_NDCG, sum);
}

static void test_stack(void **state) {
  (void)state;
  struct world w;
  struct xf_features f;
  struct seer a, b;
  world_init(&w);
  seers(&f, &a, &b, &w);
  struct xf_listset l;
  const struct xf_features_draw draw = {.n_neg = 20, .seed = 5};
  assert_int_equal(xf_features_draw(&l, &f, &w.history, &w.held, &draw, &diag), XF_OK);
  struct xf_stack s;
  if (xf_stack_fit(&s, 1, &l, XF_PART_TRAIN, XF_STACK_L2, &diag)) fail_msg("%s", diag.text);
  assert_int_equal(s.n_list, USERS);
  double x[F];
  for (int k = 0; k < F; k++) x[k] = (double)s.w[k];
  assert_true(fabs(loss_of(&l, x, XF_STACK_L2) - s.loss) < 1e-6);
  for (int k = 0; k < F; k++) { // a minimum: the slope vanishes, both ways are up
    const double at = x[k];
    x[k] = at + 1e-3;
    const double up = loss_of(&l, x, XF_STACK_L2);
    x[k] = at - 1e-3;
    const double down = loss_of(&l, x, XF_STACK_L2);
    x[k] = at;
    assert_true(fabs(up - down) / 2e-3 < 1e-5);
    assert_true(up > s.loss && down > s.loss);
  }
  assert_float_equal(s.w[3], 0, 0); // no scorer, no weight
  struct xf_scorer *stack;
  assert_int_equal(xf_stack_scorer(&stack, &s, &f, &diag), XF_OK);
  const double both = ndcg(&w, stack, xf_listnet_rank), better = ndcg(&w, &a.base, NULL);
  assert_true(both > better + .01);
  assert_true(fabs(ndcg(&w, stack, NULL) - both) < .02); // over the catalogue nearly the same
  xf_scorer_free(stack);
  // refusals
  assert_int_equal(xf_stack_fit(&s, 1, &l, XF_PART_VALID, XF_STACK_L2, &diag), XF_E_RANGE);
  assert_int_equal(xf_stack_fit(&s, 1, &l, XF_PART_TRAIN, 0, &diag), XF_E_RANGE);
  assert_int_equal(xf_stack_fit(&s, 9, &l, XF_PART_TRAIN, 1, &diag), XF_E_VERSION);
  l.x[5] = INFINITY;
  assert_int_equal(xf_stack_fit(&s, 1, &l, XF_PART_TRAIN, 1, &diag), XF_E_NAN);
  xf_listset_deinit(&l);
  xf_features_deinit(&f);
  world_deinit(&w);
}

int main(void) {
  if (xf_blas_start(NULL, &diag)) {
    fprintf(stderr, "%s\n", diag.text);
    return 1;
  }
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_features_by_hand),
      cmocka_unit_test(test_features_have_no_unit),
      cmocka_unit_test(test_features_refuse),
      cmocka_unit_test(test_versions),
      cmocka_unit_test(test_lists),
      cmocka_unit_test(test_lists_given),
      cmocka_unit_test(test_stack),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
