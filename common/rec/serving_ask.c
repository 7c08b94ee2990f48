/* Answers from a snapshot: who asks, scores, the best of them, and why. */
#include "base/alloc.h"
#include "rec/serving.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void xf_serving_answer_deinit(struct xf_serving_answer *answer) {
  xf_free(answer->score);
  xf_free(answer->why);
  xf_free(answer->path);
  answer->path = NULL;
  answer->score = NULL;
  answer->why = NULL;
  answer->n_score = answer->n = 0;
}

static enum xf_rc room(struct xf_serving_answer *a, uint32_t n_items, bool explain,
                       struct xf_diag *diag) {
  if (a->n_score < n_items) {
    xf_free(a->score);
    a->n_score = 0;
    a->score = xf_try_calloc(n_items, sizeof *a->score);
    if (!a->score) return xf_diag_set(diag, XF_E_NOMEM, "not enough memory for %u scores", n_items);
    a->n_score = n_items;
  }
  if (explain && !a->why) {
    a->why = xf_try_calloc((size_t)XF_SERVING_EXPLAIN_MAX * XF_BLEND_PARTS, sizeof *a->why);
    if (!a->why) return xf_diag_set(diag, XF_E_NOMEM, "not enough memory for explanations");
  }
  return XF_OK;
}

static enum xf_rc check_k(uint32_t k, struct xf_diag *diag) {
  if (k >= 1 && k <= XF_SERVING_K_MAX) return XF_OK;
  return xf_diag_set(diag, XF_E_RANGE, "k is %u; it must be 1 to %d", k, XF_SERVING_K_MAX);
}

static enum xf_rc check(const struct xf_serving *s, const struct xf_serving_request *r,
                        struct xf_diag *diag) {
  enum xf_rc rc = check_k(r->k, diag);
  if (rc) return rc;
  if (!r->user && !r->history)
    return xf_diag_set(diag, XF_E_INVAL, "there is neither a user nor a history to answer for");
  if (r->n_history > XF_SERVING_HISTORY_MAX)
    return xf_diag_set(diag, XF_E_LIMIT, "a history of %u items; at most %d can be given",
                       r->n_history, XF_SERVING_HISTORY_MAX);
  if (r->explain && r->k > XF_SERVING_EXPLAIN_MAX)
    return xf_diag_set(diag, XF_E_LIMIT, "k is %u; with explanations it can be at most %d", r->k,
                       XF_SERVING_EXPLAIN_MAX);
  rc = xf_rerank_check(r->rerank, &s->alike, diag);
  if (diag && rc == XF_E_NOTFOUND) diag->rc = XF_E_UNSUPPORTED;
  return rc == XF_E_NOTFOUND ? XF_E_UNSUPPORTED : rc;
}

static int by_id(const void *a, const void *b) {
  const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
  return (x > y) - (x < y);
}

/* The given keys as ascending ids, each once; unknown ones are counted and left out. */
static uint32_t read_history(const struct xf_catalog *c, const struct xf_serving_request *r,
                             struct xf_serving_answer *a) {
  uint32_t n = 0, kept = 0;
  for (uint32_t i = 0; i < r->n_history; i++) {
    const uint32_t id = xf_names_find(&c->items, r->history[i], strlen(r->history[i]));
    if (id == XF_NO_ID) a->ignored++;
    else a->given[n++] = id;
  }
  if (n) qsort(a->given, n, sizeof *a->given, by_id);
  for (uint32_t i = 0; i < n; i++)
    if (!kept || a->given[i] != a->given[kept - 1]) a->given[kept++] = a->given[i];
  return kept;
}

/* Who asks. With a given history the person's row is not used: it stands for another history. */
static struct xf_query who(const struct xf_catalog *c, const struct xf_serving_request *r,
                           struct xf_serving_answer *a) {
  struct xf_query q = {.user = XF_NO_ID, .at = (double)NAN};
  const uint32_t u = r->user ? xf_names_find(&c->users, r->user, strlen(r->user)) : XF_NO_ID;
  a->known = u != XF_NO_ID;
  a->ignored = 0;
  if (r->history) {
    q.n = read_history(c, r, a);
    q.item = a->given;
  } else if (a->known) {
    q.user = u;
    q.item = c->item + c->start[u];
    q.n = c->start[u + 1] - c->start[u];
  }
  return q;
}

static bool by_popularity(const struct xf_serving_answer *a) {
  return a->basis != XF_SERVING_USER && a->basis != XF_SERVING_HISTORY;
}

/* Scores of all items and what they rest on. */
static enum xf_rc score(const struct xf_serving *s, const struct xf_query *q,
                        struct xf_serving_answer *a, struct xf_diag *diag) {
  enum xf_rc rc = XF_E_NOTFOUND;
  a->basis = q->user != XF_NO_ID ? XF_SERVING_USER : XF_SERVING_HISTORY;
  if (s->scorer && (q->user != XF_NO_ID || q->n))
    rc = xf_scorer_score(s->scorer, q, a->score, diag);
  if (rc != XF_E_NOTFOUND) return rc;
  static const enum xf_serving_basis basis[] = {[XF_RECOMMENDER_CROWD_OWN] = XF_SERVING_POPULARITY,
                                                [XF_RECOMMENDER_CROWD_POOLED] = XF_SERVING_POOLED,
                                                [XF_RECOMMENDER_CROWD_OVERLAP] =
                                                    XF_SERVING_OVERLAP};
  const float *popular = s->strangers ? s->strangers : s->catalog->popular;
  a->basis = basis[s->crowd];
  memcpy(a->score, popular, s->catalog->items.n * sizeof *a->score);
  return XF_OK;
}

static void take_top(struct xf_serving_answer *a, uint32_t n) {
  a->n = n;
  for (uint32_t i = 0; i < n; i++)
    a->item[i] = (struct xf_serving_item){.item = a->top[i].item, .score = a->top[i].score};
}

/* One part is the whole score; a scorer that cannot tell gives no history items. */
static void explain_whole(const struct xf_serving *s, const struct xf_query *q,
                          struct xf_serving_answer *a) {
  const struct xf_scorer *scorer = by_popularity(a) ? NULL : s->scorer;
  for (uint32_t i = 0; i < a->n; i++) {
    struct xf_blend_why *why = &a->why[(size_t)i * XF_BLEND_PARTS];
    *why = (struct xf_blend_why){.part = 0, .share = a->item[i].score};
    if (scorer && scorer->kind->explain)
      why->n = scorer->kind->explain(scorer, q, a->item[i].item, why->why, XF_BLEND_WHY);
    a->item[i].why = why;
    a->item[i].n_why = 1;
  }
}

/* The history's items most like an item; equal ones in id order. */
static void find_like(const struct xf_serving *s, const struct xf_query *q,
                      struct xf_serving_item *of) {
  for (uint32_t h = 0; h < q->n; h++) {
    const float x = (float)xf_itemsim_get(s->alike.sim, of->item, q->item[h]);
    uint32_t at = of->n_like;
    while (at > 0 && of->like[at - 1].similarity < x) at--;
    if (!(x > 0) || at == XF_SERVING_LIKE || q->item[h] == of->item) continue;
    const uint32_t last = of->n_like < XF_SERVING_LIKE ? of->n_like++ : XF_SERVING_LIKE - 1;
    memmove(of->like + at + 1, of->like + at, (last - at) * sizeof *of->like);
    of->like[at].item = q->item[h];
    of->like[at].similarity = x;
  }
}

/* Of what the graph knows, how each item hangs together with the history. */
static enum xf_rc find_paths(const struct xf_serving *s, const struct xf_query *q,
                             struct xf_serving_answer *a, struct xf_diag *diag) {
  enum xf_rc rc = XF_OK;
  if (!s->kg || by_popularity(a)) return XF_OK;
  if (!a->path) a->path = xf_try_calloc(XF_SERVING_EXPLAIN_MAX, sizeof *a->path);
  if (!a->path) return xf_diag_set(diag, XF_E_NOMEM, "not enough memory for explanations");
  for (uint32_t i = 0; i < a->n && !rc; i++) {
    rc = xf_kg_side_path(a->path[i], s->kg, &s->catalog->items, q->item, q->n, a->item[i].item,
                         diag);
    if (!rc && a->path[i][0]) a->item[i].path = a->path[i];
  }
  return rc;
}

static enum xf_rc explain(const struct xf_serving *s, const struct xf_query *q,
                          struct xf_serving_answer *a, struct xf_diag *diag) {
  uint32_t item[XF_SERVING_EXPLAIN_MAX], n[XF_SERVING_EXPLAIN_MAX];
  for (uint32_t i = 0; i < a->n && s->alike.sim; i++) find_like(s, q, &a->item[i]);
  enum xf_rc rc = find_paths(s, q, a, diag);
  if (rc) return rc;
  if (by_popularity(a) || !xf_blend_is(s->scorer)) {
    explain_whole(s, q, a);
    return XF_OK;
  }
  for (uint32_t i = 0; i < a->n; i++) item[i] = a->item[i].item;
  rc = xf_blend_explain_items(s->scorer, q, item, a->n, a->why, n, diag);
  for (uint32_t i = 0; i < a->n && !rc; i++) {
    a->item[i].why = &a->why[(size_t)i * XF_BLEND_PARTS];
    a->item[i].n_why = n[i];
  }
  return rc;
}

enum xf_rc xf_serving_recommend(const struct xf_serving *serving,
                                const struct xf_serving_request *request,
                                struct xf_serving_answer *answer, struct xf_diag *diag) {
  const struct xf_serving_request *r = request;
  const struct xf_catalog *c = serving->catalog;
  struct xf_serving_answer *a = answer;
  a->n = 0;
  uint32_t n = 0;
  enum xf_rc rc = check(serving, r, diag);
  if (!rc) rc = room(a, c->items.n, r->explain, diag);
  if (rc) return rc;
  const struct xf_query q = who(c, r, a);
  const struct xf_rerank_row row = {.score = a->score,
                                    .n_items = c->items.n,
                                    .exclude = q.item,
                                    .n_exclude = r->seen ? 0 : q.n,
                                    .history = q.item,
                                    .n_history = q.n};
  rc = score(serving, &q, a, diag);
  if (!rc) rc = xf_rerank_top(a->top, &n, r->k, r->rerank, &serving->alike, &row, diag);
  if (rc) return rc;
  take_top(a, n);
  return r->explain ? explain(serving, &q, a, diag) : XF_OK;
}

static enum xf_rc score_alike(const struct xf_serving *s, uint32_t item, float *out,
                              struct xf_diag *diag) {
  if (!s->alike.sim)
    return s->scorer
               ? xf_diag_set(diag, XF_E_UNSUPPORTED,
                             "the served model \"%s\" scores for users only, and the silo has no "
                             "categories of its items",
                             s->meta.kind)
               : xf_diag_set(diag, XF_E_STATE,
                             "no model is served, and the silo has no categories of its items");
  for (uint32_t i = 0; i < s->catalog->items.n; i++)
    out[i] = (float)xf_itemsim_get(s->alike.sim, item, i);
  return XF_OK;
}

enum xf_rc xf_serving_similar(const struct xf_serving *serving, const char *item, uint32_t k,
                              struct xf_serving_answer *answer, struct xf_diag *diag) {
  const struct xf_catalog *c = serving->catalog;
  struct xf_serving_answer *a = answer;
  const uint32_t id = xf_names_find(&c->items, item, strlen(item));
  a->n = 0;
  enum xf_rc rc = check_k(k, diag);
  if (rc) return rc;
  if (id == XF_NO_ID) return xf_diag_set(diag, XF_E_NOTFOUND, "the silo has no such item");
  rc = room(a, c->items.n, false, diag);
  if (rc) return rc;
  const struct xf_query q = {.user = XF_NO_ID, .item = &id, .n = 1, .at = (double)NAN};
  a->known = false;
  a->ignored = 0;
  a->basis = XF_SERVING_HISTORY;
  rc = serving->scorer ? xf_scorer_score(serving->scorer, &q, a->score, diag) : XF_E_NOTFOUND;
  if (rc == XF_E_NOTFOUND) rc = score_alike(serving, id, a->score, diag);
  if (rc) return rc;
  take_top(a, xf_topk(a->top, k, a->score, c->items.n, &id, 1));
  return XF_OK;
}

const char *xf_serving_part_name(const struct xf_serving *serving,
                                 const struct xf_serving_answer *answer, uint32_t part) {
  if (by_popularity(answer)) return xf_recommender_crowd_text(serving->crowd);
  if (!serving->scorer) return "popularity";
  if (xf_blend_is(serving->scorer)) return xf_blend_part_name(serving->scorer, part);
  return serving->meta.kind;
}
