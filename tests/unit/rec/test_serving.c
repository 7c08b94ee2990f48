// tsan
// Serving: catalogue, factors as a scorer, answers and their reasons for known users, histories and strangers, and a slot
// that is swapped under readers.
#include "base/alloc.h"
#include "rec/factors.h"
#include "rec/serving.h"

#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
// cmocka wants the four above first
#include <cmocka.h>

enum { U = 3, I = 6 };

// Users u0 u1 u2, items i0..i5; u0 has i0 i1, u1 has i1 i2, u2 nothing: i1 is the most popular.
static struct xf_catalog *make_catalog(void) {
  static uint32_t start[U + 1] = {0, 2, 4, 4}, item[] = {0, 1, 1, 2};
  const struct xf_csr train = {.n_row = U, .start = start, .item = item};
  struct xf_names users, items;
  struct xf_catalog *c = NULL;
  struct xf_diag diag;
  char key[16];
  uint32_t id;
  xf_diag_init(&diag);
  xf_names_init(&users);
  xf_names_init(&items);
  for (int i = 0; i < U; i++) {
    const int len = snprintf(key, sizeof key, "u%d", i);
    assert_int_equal(xf_names_add(&users, &id, key, (size_t)len), XF_OK);
  }
  for (int i = 0; i < I; i++) {
    const int len = snprintf(key, sizeof key, "i%d", i);
    assert_int_equal(xf_names_add(&items, &id, key, (size_t)len), XF_OK);
  }
  if (xf_catalog_new(&c, &users, &items, &train, &diag)) fail_msg("%s", diag.text);
  xf_names_deinit(&users);
  xf_names_deinit(&items);
  return c;
}

static void test_catalog(void **state) {
  (void)state;
  struct xf_catalog *c = make_catalog();
  assert_int_equal(c->users.n, U);
  assert_int_equal(c->start[2] - c->start[1], 2);
  const float want[I] = {logf(2), logf(3), logf(2), 0, 0, 0};
  for (int i = 0; i < I; i++) assert_float_equal(c->popular[i], want[i], 1e-6f);
  struct xf_catalog *other = NULL;
  struct xf_diag diag;
  xf_diag_init(&diag);
  uint32_t start[U + 1] = {0, 2, 2, 2}, item[] = {1, 0};
  struct xf_csr bad = {.n_row = U, .start = start, .item = item};
  assert_int_equal(xf_catalog_new(&other, &c->users, &c->items, &bad, &diag), XF_E_SHAPE);
  assert_non_null(strstr(diag.text, "ascending"));
  item[1] = I;
  assert_int_equal(xf_catalog_new(&other, &c->users, &c->items, &bad, &diag), XF_E_SHAPE);
  bad.n_row = 2;
  assert_int_equal(xf_catalog_new(&other, &c->users, &c->items, &bad, &diag), XF_E_SHAPE);
  assert_null(other);
  xf_catalog_unref(xf_catalog_ref(c));
  xf_catalog_unref(c);
}

// Rows: item i is the unit vector of axis i % 3, items 3.. half as long; user u points along axis u and a bit along the next.
static struct xf_scorer *make_factors(bool bias) {
  const struct xf_model_config config = {
      .kind = XF_MODEL_MF, .loss = bias ? XF_LOSS_MSE : XF_LOSS_BPR, .bias = bias, .dim = 3};
  struct xf_model *model = NULL;
  struct xf_scorer *s = NULL;
  struct xf_diag diag;
  xf_diag_init(&diag);
  if (xf_model_new(&model, &config, (struct xf_model_size){U, I}, &diag)) fail_msg("%s", diag.text);
  const struct xf_layout *layout = xf_model_get_layout(model);
  float *x = xf_calloc(layout->n, sizeof *x);
  float *user = x + xf_layout_find(layout, "user")->offset;
  float *item = x + xf_layout_find(layout, "item")->offset;
  for (int u = 0; u < U; u++) {
    user[u * 3 + u] = 1;
    user[u * 3 + (u + 1) % 3] = .25f;
  }
  for (int i = 0; i < I; i++) item[i * 3 + i % 3] = i < 3 ? 1 : .5f;
  if (bias) {
    x[xf_layout_find(layout, "item_bias")->offset + 4] = 10;
    x[xf_layout_find(layout, "user_bias")->offset + 1] = 100;
    x[xf_layout_find(layout, "bias")->offset] = 1000;
  }
  if (xf_factors_scorer(&s, model, x, &diag)) fail_msg("%s", diag.text);
  x[layout->n - 1] = NAN;
  struct xf_scorer *bad = NULL;
  assert_int_equal(xf_factors_scorer(&bad, model, x, &diag), XF_E_NAN);
  assert_null(bad);
  xf_free(x);
  xf_model_free(model);
  return s;
}

static void test_factors(void **state) {
  (void)state;
  float out[I];
  struct xf_why why[4];
  struct xf_scorer *s = make_factors(true);
  struct xf_query q = {.user = 1, .at = NAN};
  assert_int_equal(xf_scorer_score(s, &q, out, NULL), XF_OK);
  const float want[I] = {1100, 1101, 1100.25f, 1100, 1110.5f, 1100.125f};
  for (int i = 0; i < I; i++) assert_float_equal(out[i], want[i], 1e-4f);
  assert_int_equal(s->kind->explain(s, &q, 1, why, 4), 0);
  // a stranger's history: mean cosine, and parts that sum to it
  const uint32_t history[] = {0, 1};
  q = (struct xf_query){.user = XF_NO_ID, .item = history, .n = 2, .at = NAN};
  assert_int_equal(xf_scorer_score(s, &q, out, NULL), XF_OK);
  const float cosine[I] = {.5f, .5f, 0, .5f, .5f, 0};
  for (int i = 0; i < I; i++) assert_float_equal(out[i], cosine[i], 1e-6f);
  assert_int_equal(s->kind->explain(s, &q, 4, why, 4), 2);
  assert_int_equal(why[0].item, 1);
  assert_float_equal(why[0].share, .5f, 1e-6f);
  assert_float_equal(why[1].share, 0, 1e-6f);
  assert_int_equal(s->kind->explain(s, &q, 4, why, 1), 1);
  q.n = 0;
  assert_int_equal(xf_scorer_score(s, &q, out, NULL), XF_E_NOTFOUND);
  xf_scorer_free(s);
}

static struct xf_serving *make_serving(struct xf_catalog *c, struct xf_scorer *scorer) {
  struct xf_serving *s = NULL;
  struct xf_diag diag;
  xf_diag_init(&diag);
  const struct xf_serving_source source = {.catalog = c, .scorer = scorer};
  if (xf_serving_new(&s, &source, &diag)) fail_msg("%s", diag.text);
  return s;
}

static void test_recommend(void **state) {
  (void)state;
  struct xf_diag diag;
  xf_diag_init(&diag);
  struct xf_catalog *c = make_catalog();
  struct xf_serving *s = make_serving(c, make_factors(false));
  struct xf_serving_answer *a = xf_calloc(1, sizeof *a);
  assert_string_equal(s->meta.kind, "factors");
  // known: by the row, without the history; ties by item
  struct xf_serving_request r = {.user = "u0", .k = 3, .explain = true};
  assert_int_equal(xf_serving_recommend(s, &r, a, &diag), XF_OK);
  assert_int_equal(a->basis, XF_SERVING_USER);
  assert_true(a->known && a->n == 3);
  assert_int_equal(a->item[0].item, 3);
  assert_float_equal(a->item[0].score, .5f, 1e-6f);
  assert_int_equal(a->item[1].item, 4);
  assert_int_equal(a->item[0].n_why, 1);
  assert_string_equal(xf_serving_part_name(s, a, a->item[0].why[0].part), "factors");
  assert_float_equal(a->item[0].why[0].share, .5f, 1e-6f);
  r.seen = true;
  assert_int_equal(xf_serving_recommend(s, &r, a, &diag), XF_OK);
  assert_int_equal(a->item[0].item, 0);
  // more than there are
  r = (struct xf_serving_request){.user = "u2", .k = XF_SERVING_K_MAX};
  assert_int_equal(xf_serving_recommend(s, &r, a, &diag), XF_OK);
  assert_int_equal(a->n, I);
  // a stranger: popularity, and the answer says so
  r = (struct xf_serving_request){.user = "nobody", .k = 2, .explain = true};
  assert_int_equal(xf_serving_recommend(s, &r, a, &diag), XF_OK);
  assert_int_equal(a->basis, XF_SERVING_POPULARITY);
  assert_false(a->known);
  assert_int_equal(a->item[0].item, 1);
  assert_string_equal(xf_serving_part_name(s, a, a->item[0].why[0].part), "popularity");
  // a given history, in any order, repeated, with keys that are no items
  const char *const history[] = {"i2", "i1", "i2", "?"};
  r = (struct xf_serving_request){
      .user = "nobody", .history = history, .n_history = 4, .k = 2, .explain = true};
  assert_int_equal(xf_serving_recommend(s, &r, a, &diag), XF_OK);
  assert_int_equal(a->basis, XF_SERVING_HISTORY);
  assert_int_equal(a->ignored, 1);
  assert_int_equal(a->item[0].item, 4);
  assert_int_equal(a->item[1].item, 5);
  assert_int_equal(a->item[1].why[0].n, 2);
  assert_int_equal(a->item[1].why[0].why[0].item, 2);
  // strangers with a row of their own: it answers, and the answer says whose popularity it is
  const float strange[I] = {[2] = 3, [5] = 4};
  const enum xf_recommender_crowd crowd[] = {XF_RECOMMENDER_CROWD_POOLED,
                                             XF_RECOMMENDER_CROWD_OVERLAP};
  const enum xf_serving_basis basis[] = {XF_SERVING_POOLED, XF_SERVING_OVERLAP};
  for (int k = 0; k < 2; k++) {
    struct xf_serving *other = NULL;
    const struct xf_serving_source source = {.catalog = c, .strangers = strange, .crowd = crowd[k]};
    const struct xf_serving_request ask = {.user = "nobody", .k = 2, .explain = true};
    assert_int_equal(xf_serving_new(&other, &source, &diag), XF_OK);
    assert_int_equal(xf_serving_recommend(other, &ask, a, &diag), XF_OK);
    assert_int_equal(a->basis, basis[k]);
    assert_string_equal(xf_serving_basis_name(a->basis), k ? "overlap" : "pooled");
    assert_true(a->item[0].item == 5 && a->item[0].score == 4 && a->item[1].item == 2);
    assert_string_equal(xf_serving_part_name(other, a, a->item[0].why[0].part),
                        k ? "popularity among users of several silos" : "popularity in all silos");
    xf_serving_unref(other);
  }
  // only keys that are no items: popularity
  r.history = history + 3;
  r.n_history = 1;
  assert_int_equal(xf_serving_recommend(s, &r, a, &diag), XF_OK);
  assert_int_equal(a->basis, XF_SERVING_POPULARITY);
  xf_serving_answer_deinit(a);
  xf_free(a);
  xf_serving_unref(s);
  xf_catalog_unref(c);
}

static void test_refusals(void **state) {
  (void)state;
  struct xf_diag diag;
  xf_diag_init(&diag);
  struct xf_catalog *c = make_catalog();
  struct xf_serving *s = make_serving(c, make_factors(false)), *bare = make_serving(c, NULL);
  struct xf_serving_answer *a = xf_calloc(1, sizeof *a);
  struct xf_serving_request r = {.user = "u0"};
  assert_int_equal(xf_serving_recommend(s, &r, a, &diag), XF_E_RANGE);
  r.k = XF_SERVING_K_MAX + 1;
  assert_int_equal(xf_serving_recommend(s, &r, a, &diag), XF_E_RANGE);
  r.k = XF_SERVING_EXPLAIN_MAX + 1;
  r.explain = true;
  assert_int_equal(xf_serving_recommend(s, &r, a, &diag), XF_E_LIMIT);
  r = (struct xf_serving_request){.k = 1};
  assert_int_equal(xf_serving_recommend(s, &r, a, &diag), XF_E_INVAL);
  r = (struct xf_serving_request){.user = "u0", .k = 1, .rerank = {XF_RERANK_MMR, .5}};
  assert_int_equal(xf_serving_recommend(s, &r, a, &diag), XF_E_UNSUPPORTED);
  r.rerank.kind = XF_RERANK_NONE;
  assert_int_equal(xf_serving_recommend(s, &r, a, &diag), XF_OK);
  assert_int_equal(xf_serving_similar(s, "i9", 1, a, &diag), XF_E_NOTFOUND);
  assert_int_equal(xf_serving_similar(s, "i1", 0, a, &diag), XF_E_RANGE);
  assert_int_equal(xf_serving_similar(s, "i1", 2, a, &diag), XF_OK);
  assert_int_equal(a->item[0].item, 4);
  assert_float_equal(a->item[0].score, 1, 1e-6f);
  // without a model: popularity for everybody, nothing similar
  assert_string_equal(bare->meta.kind, "popularity");
  assert_int_equal(xf_serving_recommend(bare, &r, a, &diag), XF_OK);
  assert_int_equal(a->basis, XF_SERVING_POPULARITY);
  assert_true(a->known);
  assert_int_equal(a->item[0].item, 2); // i0 and i1 are u0's own
  assert_int_equal(xf_serving_similar(bare, "i1", 1, a, &diag), XF_E_STATE);
  xf_serving_answer_deinit(a);
  xf_free(a);
  xf_serving_unref(s);
  xf_serving_unref(bare);
  xf_catalog_unref(c);
}

// --- a blend, and a scorer of its own --------------------------------------------------------------

struct fixed {
  struct xf_scorer base;
  float row[I];
};
static atomic_int n_fixed;
static enum xf_rc fixed_score(const struct xf_scorer *s, const struct xf_query *q, float *out,
                              struct xf_diag *diag) {
  (void)diag;
  if (q->user == XF_NO_ID) return XF_E_NOTFOUND;
  memcpy(out, ((const struct fixed *)s)->row, s->n_items * sizeof *out);
  return XF_OK;
}
static void fixed_free(struct xf_scorer *s) {
  atomic_fetch_sub(&n_fixed, 1);
  xf_free(s);
}
static const struct xf_scorer_kind fixed_kind = {"fixed", fixed_score, NULL, fixed_free};
static struct xf_scorer *make_fixed(float first, float step) {
  struct fixed *f = xf_calloc(1, sizeof *f);
  f->base = (struct xf_scorer){.kind = &fixed_kind, .n_items = I};
  for (int i = 0; i < I; i++) f->row[i] = first + step * (float)i;
  atomic_fetch_add(&n_fixed, 1);
  return &f->base;
}

static void test_blend(void **state) {
  (void)state;
  struct xf_diag diag;
  xf_diag_init(&diag);
  struct xf_catalog *c = make_catalog();
  struct xf_blend_part part[] = {{"up", make_fixed(0, 1), 1}, {"down", make_fixed(5, -2), .25}};
  struct xf_scorer *blend = NULL;
  assert_int_equal(xf_blend_new(&blend, part, 2, true, &diag), XF_OK);
  struct xf_serving *s = make_serving(c, blend);
  struct xf_serving_answer *a = xf_calloc(1, sizeof *a);
  struct xf_serving_request r = {.user = "u0", .k = 2, .explain = true};
  assert_int_equal(xf_serving_recommend(s, &r, a, &diag), XF_OK);
  assert_int_equal(a->item[0].item, 5);
  assert_int_equal(a->item[0].n_why, 2);
  assert_string_equal(xf_serving_part_name(s, a, a->item[0].why[0].part), "up");
  assert_string_equal(xf_serving_part_name(s, a, a->item[0].why[1].part), "down");
  for (uint32_t i = 0; i < a->n; i++)
    assert_float_equal(a->item[i].why[0].share + a->item[i].why[1].share, a->item[i].score, 1e-5f);
  // this one scores users only
  assert_int_equal(xf_serving_similar(s, "i1", 1, a, &diag), XF_E_UNSUPPORTED);
  xf_serving_answer_deinit(a);
  xf_free(a);
  xf_serving_unref(s);
  xf_catalog_unref(c);
  assert_int_equal(atomic_load(&n_fixed), 0);
}

struct with_sim {
  struct xf_scorer *scorer;
  struct xf_itemsim sim;
};
static void with_sim_free(void *owner) {
  struct with_sim *w = owner;
  xf_scorer_free(w->scorer);
  xf_itemsim_deinit(&w->sim);
  xf_free(w);
}

// Alike by vectors, or by the catalogue's categories where it has some; re-ranked, and the history's items like each.
static void test_alike(void **state) {
  (void)state;
  static const float vector[I][2] = {{1, 0}, {0, 1}, {0, 1}, {1, 1}, {1, 0}, {1, .1f}};
  struct xf_diag diag;
  xf_diag_init(&diag);
  struct xf_serving_answer *a = xf_calloc(1, sizeof *a);
  for (int categories = 0; categories < 2; categories++) {
    struct xf_catalog *c = make_catalog();
    struct with_sim *w = xf_calloc(1, sizeof *w);
    struct xf_serving *s = NULL;
    w->scorer = make_fixed(0, 1);
    assert_int_equal(xf_itemsim_vectors(&w->sim, vector[0], I, 2, &diag), XF_OK);
    if (categories) {
      char path[] = "/tmp/xf-categories-XXXXXX";
      const int fd = mkstemp(path);
      static const char text[] = "i0\ta\ni1\tb\ni2\tb\ni3\ta\ni4\tb\ni5\tb\n";
      assert_int_equal(write(fd, text, sizeof text - 1), sizeof text - 1);
      close(fd);
      if (xf_catalog_categorise(c, path, &diag)) fail_msg("%s", diag.text);
      unlink(path);
    }
    const struct xf_serving_source source = {
        .catalog = c, .scorer = w->scorer, .sim = &w->sim, .owner = w, .owner_free = with_sim_free};
    assert_int_equal(xf_serving_new(&s, &source, &diag), XF_OK);
    struct xf_serving_request r = {
        .user = "u0", .k = 2, .explain = true, .rerank = {XF_RERANK_MMR, .5}};
    assert_int_equal(xf_serving_recommend(s, &r, a, &diag), XF_OK);
    assert_int_equal(a->item[0].item, 5);
    assert_int_equal(a->item[1].item, categories ? 3 : 2); // 4 is too much like 5
    assert_int_equal(a->item[0].n_like, categories ? 1 : 2);
    assert_int_equal(a->item[0].like[0].item, categories ? 1 : 0);
    // that scorer knows users only: similar items are the most alike ones
    assert_int_equal(xf_serving_similar(s, "i0", 2, a, &diag), XF_OK);
    assert_int_equal(a->item[0].item, categories ? 3 : 4);
    assert_float_equal(a->item[0].score, 1, 1e-6f);
    r.rerank = (struct xf_rerank){XF_RERANK_CALIBRATED, .5};
    assert_int_equal(xf_serving_recommend(s, &r, a, &diag), categories ? XF_OK : XF_E_UNSUPPORTED);
    r.rerank = (struct xf_rerank){XF_RERANK_NONE, 0};
    assert_int_equal(xf_serving_recommend(s, &r, a, &diag), XF_OK);
    assert_int_equal(a->item[1].item, 4);
    xf_serving_unref(s);
    xf_catalog_unref(c);
  }
  xf_serving_answer_deinit(a);
  xf_free(a);
}

// Neither categories nor rows: items that the same users took are alike.
static void test_cooccur(void **state) {
  (void)state;
  struct xf_diag diag;
  xf_diag_init(&diag);
  struct xf_serving_answer *a = xf_calloc(1, sizeof *a);
  struct xf_catalog *c = make_catalog();
  assert_int_equal(xf_catalog_cooccur(c, 1, &diag), XF_E_LIMIT);
  struct xf_serving *s = make_serving(c, NULL);
  assert_int_equal(xf_serving_similar(s, "i1", 2, a, &diag), XF_E_STATE);
  xf_serving_unref(s);
  if (xf_catalog_cooccur(c, 0, &diag)) fail_msg("%s", diag.text);
  s = make_serving(c, NULL);
  assert_int_equal(xf_serving_similar(s, "i1", 3, a, &diag), XF_OK);
  // u0 took i0 and i1, u1 i1 and i2
  assert_int_equal(a->item[0].item, 0);
  assert_int_equal(a->item[1].item, 2);
  assert_float_equal(a->item[0].score, sqrtf(.5f), 1e-6f);
  assert_float_equal(a->item[2].score, 0, 0);
  struct xf_serving_request r = {
      .user = "u0", .k = 1, .explain = true, .rerank = {XF_RERANK_MMR, .5}};
  assert_int_equal(xf_serving_recommend(s, &r, a, &diag), XF_OK);
  assert_int_equal(a->item[0].item, 2);
  assert_int_equal(a->item[0].n_like, 1);
  assert_int_equal(a->item[0].like[0].item, 1);
  xf_serving_answer_deinit(a);
  xf_free(a);
  xf_serving_unref(s);
  xf_catalog_unref(c);
}

static void count_down(void *owner) { --*(int *)owner; }

static void test_owner(void **state) {
  (void)state;
  struct xf_diag diag;
  xf_diag_init(&diag);
  int owners = 2;
  struct xf_catalog *c = make_catalog();
  struct xf_scorer *scorer = make_fixed(0, 1);
  struct xf_serving_source source = {
      .catalog = c, .scorer = scorer, .owner = &owners, .owner_free = count_down};
  struct xf_serving *s = NULL;
  assert_int_equal(xf_serving_new(&s, &source, &diag), XF_OK);
  xf_serving_unref(s);
  assert_int_equal(owners, 1);
  scorer->n_items = I - 1;
  assert_int_equal(xf_serving_new(&s, &source, &diag), XF_E_SHAPE);
  assert_null(s);
  assert_int_equal(owners, 0);
  xf_scorer_free(scorer);
  xf_catalog_unref(c);
}

// --- the slot under readers ------------------------------------------------------------------------

enum { READERS = 3, SWAPS = 400 };
static struct xf_serving_slot slot;
static atomic_bool over;

// Every answer comes from one snapshot: its score and its model's name belong together, versions never go back.
static void *read_slot(void *arg) {
  struct xf_serving_answer *a = xf_calloc(1, sizeof *a);
  const struct xf_serving_request r = {.user = "u2", .k = 1};
  uint64_t seen = 0;
  size_t *answers = arg;
  while (!atomic_load(&over) || *answers == 0) {
    struct xf_serving *s = xf_serving_slot_take(&slot);
    if (!s) continue;
    if (xf_serving_recommend(s, &r, a, NULL) || s->meta.version < seen ||
        a->item[0].score != (float)(s->meta.round + I - 1)) {
      *answers = SIZE_MAX;
      xf_serving_unref(s);
      break;
    }
    seen = s->meta.version;
    ++*answers;
    xf_serving_unref(s);
  }
  xf_serving_answer_deinit(a);
  xf_free(a);
  return NULL;
}

static void test_swap(void **state) {
  (void)state;
  pthread_t thread[READERS];
  size_t answers[READERS] = {0};
  struct xf_catalog *c = make_catalog();
  assert_int_equal(xf_serving_slot_init(&slot), XF_OK);
  assert_null(xf_serving_slot_take(&slot));
  for (int t = 0; t < READERS; t++)
    assert_int_equal(pthread_create(&thread[t], NULL, read_slot, &answers[t]), 0);
  for (uint32_t v = 1; v <= SWAPS; v++) {
    struct xf_serving *s = make_serving(c, make_fixed((float)v, 1));
    s->meta.round = v;
    xf_serving_slot_set(&slot, s);
  }
  atomic_store(&over, true);
  for (int t = 0; t < READERS; t++) {
    assert_int_equal(pthread_join(thread[t], NULL), 0);
    assert_true(answers[t] > 0 && answers[t] != SIZE_MAX);
  }
  struct xf_serving *last = xf_serving_slot_take(&slot);
  assert_int_equal(last->meta.version, SWAPS);
  xf_serving_slot_deinit(&slot);
  assert_int_equal(atomic_load(&n_fixed), 1); // the reader's reference is the last
  xf_serving_unref(last);
  assert_int_equal(atomic_load(&n_fixed), 0);
  xf_catalog_unref(c);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_catalog),   cmocka_unit_test(test_factors),
      cmocka_unit_test(test_recommend), cmocka_unit_test(test_refusals),
      cmocka_unit_test(test_blend),     cmocka_unit_test(test_owner),
      cmocka_unit_test(test_alike),     cmocka_unit_test(test_cooccur),
      cmocka_unit_test(test_swap)};
  return cmocka_run_group_tests_name("serving", tests, NULL, NULL);
}
