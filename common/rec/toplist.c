#include "rec/toplist.h"

#include "base/alloc.h"
#include "rec/topk.h"

#include <math.h>
#include <string.h>

enum { BLOCK = 64 };

/* The lists of users [first, first + n), n <= BLOCK. */
static enum xf_rc make_block(uint32_t *item, float *score, const struct xf_scorer *scorer,
                             const struct xf_rec_data *data, uint32_t first, uint32_t n, float *row,
                             struct xf_diag *diag) {
  struct xf_query query[BLOCK] = {{0}};
  bool served[BLOCK] = {false};
  for (uint32_t i = 0; i < n; i++) {
    const uint32_t *start = data->train->start + first + i;
    query[i] = (struct xf_query){first + i, data->train->item + start[0], start[1] - start[0],
                                 (double)NAN};
  }
  enum xf_rc rc = xf_scorer_score_many(scorer, query, n, row, served, diag);
  for (uint32_t i = 0; i < n && !rc; i++) {
    struct xf_topk_item top[XF_TOPLIST];
    const size_t at = (size_t)(first + i) * XF_TOPLIST;
    const uint32_t got = served[i] ? xf_topk(top, XF_TOPLIST, row + (size_t)i * data->n_items,
                                             data->n_items, query[i].item, query[i].n)
                                   : 0;
    for (uint32_t k = 0; k < XF_TOPLIST; k++) {
      item[at + k] = k < got ? top[k].item : XF_NO_ID;
      score[at + k] = k < got ? top[k].score : 0;
    }
  }
  return rc;
}

enum xf_rc xf_toplist_make(uint32_t *item, float *score, const struct xf_scorer *scorer,
                           const struct xf_rec_data *data, struct xf_diag *diag) {
  float *row = xf_try_calloc((size_t)BLOCK * data->n_items + 1, sizeof *row);
  if (!row) return xf_diag_set(diag, XF_E_NOMEM, "no memory for scores of %u items", data->n_items);
  enum xf_rc rc = XF_OK;
  for (uint32_t u = 0; u < data->n_users && !rc; u += BLOCK) {
    const uint32_t n = data->n_users - u < BLOCK ? data->n_users - u : BLOCK;
    rc = make_block(item, score, scorer, data, u, n, row, diag);
  }
  xf_free(row);
  return rc;
}

enum xf_rc xf_toplist_categories(uint32_t *category, const uint32_t *item,
                                 const struct xf_scorer *scorer, const struct xf_rec_data *data) {
  if (!scorer->kind->explain) return XF_E_RANGE;
  for (uint32_t u = 0; u < data->n_users; u++) {
    const uint32_t *start = data->train->start + u;
    const struct xf_query q = {u, data->train->item + start[0], start[1] - start[0], (double)NAN};
    for (size_t at = (size_t)u * XF_TOPLIST; at < ((size_t)u + 1) * XF_TOPLIST; at++) {
      struct xf_why why;
      const bool told =
          item[at] != XF_NO_ID && scorer->kind->explain(scorer, &q, item[at], &why, 1) == 1;
      if (!told || !(why.share > 0) || !xf_why_category(&why, &category[at]))
        category[at] = XF_NO_ID;
    }
  }
  return XF_OK;
}

struct lists {
  struct xf_scorer base;
  uint32_t n_users;
  uint32_t *item; /* [n_users x XF_TOPLIST] */
  float *score;
};

static enum xf_rc score_user(const struct xf_scorer *scorer, const struct xf_query *q, float *out,
                             struct xf_diag *diag) {
  const struct lists *l = (const struct lists *)scorer;
  if (q->user >= l->n_users || l->item[(size_t)q->user * XF_TOPLIST] == XF_NO_ID)
    return xf_diag_set(diag, XF_E_NOTFOUND, "no list is kept for this user");
  const uint32_t *item = l->item + (size_t)q->user * XF_TOPLIST;
  const float *score = l->score + (size_t)q->user * XF_TOPLIST;
  uint32_t n = 0;
  while (n < XF_TOPLIST && item[n] != XF_NO_ID) n++;
  const float below = nextafterf(score[n - 1], -INFINITY);
  for (uint32_t i = 0; i < scorer->n_items; i++) out[i] = below;
  for (uint32_t k = 0; k < n; k++) out[item[k]] = score[k];
  return XF_OK;
}

static void free_lists(struct xf_scorer *scorer) {
  struct lists *l = (struct lists *)scorer;
  xf_free(l->item);
  xf_free(l->score);
  xf_free(l);
}

static const struct xf_scorer_kind kind = {
    .name = "lists", .score = score_user, .free = free_lists};

enum xf_rc xf_toplist_scorer(struct xf_scorer **out, const uint32_t *item, const float *score,
                             uint32_t n_users, uint32_t n_items, struct xf_diag *diag) {
  const size_t n = (size_t)n_users * XF_TOPLIST;
  *out = NULL;
  for (size_t i = 0; i < n; i++)
    if ((item[i] >= n_items && item[i] != XF_NO_ID) || !isfinite(score[i]))
      return xf_diag_set(diag, XF_E_CORRUPT, "list of user %zu, place %zu: item %u of %u, score %g",
                         i / XF_TOPLIST, i % XF_TOPLIST, item[i], n_items, (double)score[i]);
  struct lists *l = xf_try_calloc(1, sizeof *l);
  if (!l) return XF_E_NOMEM;
  *l = (struct lists){.base = {.kind = &kind, .n_items = n_items},
                      .n_users = n_users,
                      .item = xf_try_calloc(n + 1, sizeof *l->item),
                      .score = xf_try_calloc(n + 1, sizeof *l->score)};
  if (!l->item || !l->score) {
    free_lists(&l->base);
    return xf_diag_set(diag, XF_E_NOMEM, "no memory for the lists of %u users", n_users);
  }
  memcpy(l->item, item, n * sizeof *item);
  memcpy(l->score, score, n * sizeof *score);
  l->base.cost.memory = n * (sizeof *item + sizeof *score);
  *out = &l->base;
  return XF_OK;
}
