/* Answering from serve/: the best items, how diverse, and why. */
#include "client/io/serve.h"

#include "base/alloc.h"
#include "rec/catalog.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static enum xf_rc no_items(struct xf_diag *diag) {
  return xf_diag_set(diag, XF_E_UNSUPPORTED,
                     "this silo's data are a table: there are no items to recommend");
}

enum xf_rc xf_serve_categorise(struct xf_serve *serve, const char *path, struct xf_diag *diag) {
  struct xf_serve *s = serve;
  if (!s->ranking) return no_items(diag);
  if (s->has_categories) xf_categories_deinit(&s->categories);
  xf_itemsim_deinit(&s->sim);
  if (s->has_gram) xf_gram_deinit(&s->gram);
  s->has_sim = s->has_gram = false;
  const enum xf_rc rc = xf_categories_load(&s->categories, path, &s->items, NULL, diag);
  s->has_categories = rc == XF_OK;
  if (rc) return rc;
  xf_itemsim_categories(&s->sim, &s->categories, s->items.n);
  s->has_sim = true;
  return XF_OK;
}

static bool has_params(const struct xf_serve *s, enum xf_silo_arm arm) {
  char name[XF_SAFETENSORS_NAME_MAX];
  (void)snprintf(name, sizeof name, "params.%s", xf_silo_arm_name(arm));
  return xf_safetensors_find(&s->file, name) != NULL;
}

/* The arm whose item factors say what is alike; POPULARITY: none has any. */
static enum xf_silo_arm factors_of(const struct xf_serve *s, enum xf_silo_arm used) {
  const enum xf_silo_arm by_worth[] = {used, s->served, XF_SILO_FEDERATED, XF_SILO_ALONE};
  for (size_t i = 0; i < sizeof by_worth / sizeof by_worth[0]; i++)
    if (by_worth[i] != XF_SILO_POPULARITY && has_params(s, by_worth[i])) return by_worth[i];
  return XF_SILO_POPULARITY;
}

const char *xf_serve_similarity(const struct xf_serve *serve) {
  if (!serve->has_sim) return "none";
  if (serve->has_categories) return "categories";
  return serve->has_gram ? "co-occurrence" : "factors";
}

/* By who took what in train: the same as a daemon's answers (catalog.h), beta 0. */
static enum xf_rc by_cooccurrence(struct xf_serve *s, struct xf_diag *diag) {
  const struct xf_csr train = {.n_row = s->users.n, .start = s->start, .item = s->item};
  const struct xf_rec_data data = {s->users.n, s->items.n, &train};
  const struct xf_gram_spec spec = {.max_bytes = XF_CATALOG_GRAM_MAX};
  if (s->has_gram) return XF_OK;
  const enum xf_rc rc = xf_gram_build(&s->gram, &data, &spec, diag);
  if (rc)
    return xf_diag_prefix(diag, rc,
                          "what items are like, counted as nobody named --categories FILE");
  xf_itemsim_deinit(&s->sim);
  xf_itemsim_gram(&s->sim, &s->gram);
  s->has_gram = s->has_sim = true;
  return XF_OK;
}

/* Similarity of items by categories, else by factors, else by co-occurrence. */
static enum xf_rc find_sim(struct xf_serve *s, enum xf_silo_arm used, struct xf_diag *diag) {
  if (s->has_categories) return XF_OK;
  const enum xf_silo_arm arm = s->model ? factors_of(s, used) : XF_SILO_POPULARITY;
  const struct xf_segment *item =
      s->model ? xf_layout_find(xf_model_get_layout(s->model), "item") : NULL;
  if (arm == XF_SILO_POPULARITY || !item || item->rows != s->items.n)
    return by_cooccurrence(s, diag);
  if (s->has_sim && s->sim_arm == arm) return XF_OK;
  enum xf_rc rc = xf_serve_load(s, arm, diag);
  if (rc) return rc;
  xf_itemsim_deinit(&s->sim);
  rc = xf_itemsim_vectors(&s->sim, s->params + item->offset, item->rows, item->cols, diag);
  s->has_sim = rc == XF_OK;
  s->sim_arm = arm;
  return rc;
}

static enum xf_rc score_user(struct xf_serve *s, uint32_t user, const float **score,
                             struct xf_diag *diag) {
  if (s->model) return xf_score_users(s->scorer, s->params, &user, 1, score, diag);
  const struct xf_query query = {user, s->item + s->start[user],
                                 s->start[user + 1] - s->start[user], (double)NAN};
  if (!s->row) s->row = xf_try_calloc((size_t)s->items.n + 1, sizeof *s->row);
  if (!s->row) return XF_E_NOMEM;
  const enum xf_rc rc = xf_scorer_score(s->lists, &query, s->row, diag);
  if (!rc) *score = s->row;
  return rc;
}

enum xf_rc xf_serve_top(struct xf_serve *serve, struct xf_topk_item *out, uint32_t *n,
                        enum xf_silo_arm *used, const struct xf_serve_ask *ask,
                        struct xf_diag *diag) {
  struct xf_serve *s = serve;
  if (!s->ranking) return no_items(diag);
  if (!s->model && ask->k > XF_TOPLIST)
    return xf_diag_set(
        diag, XF_E_RANGE,
        "%u items were asked for; a recommender's silo keeps the best %d of each user", ask->k,
        XF_TOPLIST);
  if (ask->k == 0 || ask->k > XF_SERVE_TOP_MAX)
    return xf_diag_set(diag, XF_E_RANGE, "%u items were asked for, 1 to %d can be had", ask->k,
                       XF_SERVE_TOP_MAX);
  const uint32_t u = xf_names_find(&s->users, ask->user, strlen(ask->user));
  const bool known = u != XF_NO_ID;
  const uint32_t from = known ? s->start[u] : 0, to = known ? s->start[u + 1] : 0;
  const float *score = !known && s->strangers ? s->strangers : s->popularity;
  enum xf_rc rc = XF_OK;
  *used = known ? ask->arm : XF_SILO_POPULARITY;
  if (ask->rerank.kind != XF_RERANK_NONE) rc = find_sim(s, *used, diag);
  if (!rc && *used != XF_SILO_POPULARITY) {
    rc = xf_serve_load(s, *used, diag);
    if (!rc) rc = score_user(s, u, &score, diag);
    if (rc == XF_E_NOTFOUND && s->has_loaded) { /* no list of this user: popularity, saying so */
      *used = XF_SILO_POPULARITY;
      rc = XF_OK;
    }
  }
  if (rc) return rc;
  const struct xf_rerank_source source = {s->has_sim ? &s->sim : NULL,
                                          s->has_categories ? &s->categories : NULL};
  const struct xf_rerank_row row = {score,     s->items.n,     s->item + from,
                                    to - from, s->item + from, to - from};
  return xf_rerank_top(out, n, ask->k, ask->rerank, &source, &row, diag);
}

/* --- why ----------------------------------------------------------------------------------------- */

static void add_part(struct xf_serve_why *w, const char *name, float share) {
  w->part[w->n_part].name = name;
  w->part[w->n_part++].share = share;
}

/* A factor model's score taken apart; false for other models. */
static bool take_apart(const struct xf_serve *s, struct xf_serve_why *w, uint32_t u, uint32_t i) {
  if (!s->model) return false;
  const struct xf_layout *l = xf_model_get_layout(s->model);
  const struct xf_segment *user = xf_layout_find(l, "user"), *item = xf_layout_find(l, "item");
  const struct xf_segment *ib = xf_layout_find(l, "item_bias"),
                          *ub = xf_layout_find(l, "user_bias");
  const struct xf_segment *b = xf_layout_find(l, "bias");
  double dot = 0;
  if (xf_model_get_config(s->model)->kind != XF_MODEL_MF || !user || !item) return false;
  const float *p = s->params + user->offset + (uint64_t)u * user->cols;
  const float *q = s->params + item->offset + (uint64_t)i * item->cols;
  for (uint32_t d = 0; d < item->cols; d++) dot += (double)p[d] * (double)q[d];
  add_part(w, "taste", (float)dot);
  if (ib) add_part(w, "item", s->params[ib->offset + i]);
  if (ub) add_part(w, "user", s->params[ub->offset + u]);
  if (b) add_part(w, "level", s->params[b->offset]);
  return true;
}

/* The user's items most like it; equal ones in id order. */
static void find_like(const struct xf_serve *s, struct xf_serve_why *w, uint32_t u, uint32_t i) {
  for (uint32_t e = s->start[u]; e < s->start[u + 1]; e++) {
    const float x = (float)xf_itemsim_get(&s->sim, i, s->item[e]);
    uint32_t at = w->n_like;
    while (at > 0 && w->like[at - 1].similarity < x) at--;
    if (!(x > 0) || at == XF_SERVE_LIKE) continue;
    const uint32_t last = w->n_like < XF_SERVE_LIKE ? w->n_like++ : XF_SERVE_LIKE - 1;
    memmove(w->like + at + 1, w->like + at, (last - at) * sizeof *w->like);
    w->like[at].item = s->item[e];
    w->like[at].similarity = x;
  }
}

/* The category kept as reason of a listed item. */
static const char *find_shelf(const struct xf_serve *s, uint32_t u, uint32_t i) {
  for (size_t at = (size_t)u * XF_TOPLIST; s->shelf && at < ((size_t)u + 1) * XF_TOPLIST; at++)
    if (s->listed[at] == i)
      return s->shelf[at] == XF_NO_ID ? NULL : xf_names_get(&s->shelves, s->shelf[at]);
  return NULL;
}

enum xf_rc xf_serve_explain(struct xf_serve *serve, struct xf_serve_why *out, const char *user,
                            enum xf_silo_arm used, struct xf_topk_item of, struct xf_diag *diag) {
  struct xf_serve *s = serve;
  *out = (struct xf_serve_why){0};
  if (!s->ranking) return no_items(diag);
  const uint32_t u = xf_names_find(&s->users, user, strlen(user));
  enum xf_rc rc = find_sim(s, used, diag);
  if (rc == XF_E_LIMIT)
    rc = XF_OK; /* too many pairs: the parts can be told, only not what is alike */
  if (!rc && used != XF_SILO_POPULARITY) rc = xf_serve_load(s, used, diag);
  if (rc) return rc;
  if (of.item >= s->items.n || (used != XF_SILO_POPULARITY && u == XF_NO_ID))
    return xf_diag_set(diag, XF_E_NOTFOUND, "arm %s gave user \"%.40s\" no item number %u",
                       xf_silo_arm_name(used), user, of.item);
  if (used == XF_SILO_POPULARITY)
    add_part(out, xf_recommender_crowd_text(u == XF_NO_ID ? s->crowd : XF_RECOMMENDER_CROWD_OWN),
             of.score);
  else if (!take_apart(s, out, u, of.item)) add_part(out, "model", of.score);
  if (s->has_sim && u != XF_NO_ID) find_like(s, out, u, of.item);
  if (u != XF_NO_ID && used != XF_SILO_POPULARITY) out->category = find_shelf(s, u, of.item);
  if (!s->kg || u == XF_NO_ID || !(s->paths >> used & 1)) return XF_OK;
  return xf_kg_side_path(out->path, s->kg, &s->items, s->item + s->start[u],
                         s->start[u + 1] - s->start[u], of.item, diag);
}
