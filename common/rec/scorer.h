/*
 * scorer.h - one interface for everything that scores items for a user: popularity, kernel, EASE, ALS, graph, stack.
 *
 * A scorer is made by its own file's `fit` (ease.h, als.h, ...), from a silo's train part and, where it has one, the
 * federation's artifact; without the artifact it is the honest local baseline. Then it is asked through this table
 * only. Higher is better; scales differ between scorers (features.h standardises them).
 *
 * Not for: choosing between scorers (guard.h), measuring them (rank_eval.h).
 * Owner: caller, xf_scorer_free. Thread: immutable once fitted; any number of readers.
 */
#ifndef XF_REC_SCORER_H
#define XF_REC_SCORER_H

#include "base/diag.h"
#include "data/split.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a scorer may learn from: a silo's train part. Borrowed. */
struct xf_rec_data {
  uint32_t n_users, n_items;
  const struct xf_csr *train; /* items of a user, ascending; its `time` may be NULL */
};

/* Who asks: a user with a history. Item-based scorers read `item` only and so serve users they never saw. */
struct xf_query {
  uint32_t user;        /* XF_NO_ID: not a user of the train part */
  const uint32_t *item; /* [n] history, ascending */
  uint32_t n;
  double at; /* instant of the request, seconds as in the data; NaN: now, after every event */
};

/* A history item's, a category's, or a knowledge-graph path's part in a score. */
struct xf_why {
  uint32_t item; /* history item, XF_WHY_CATEGORY and a category's number, or XF_NO_ID */
  float share;   /* additive part of the score */
};
#define XF_WHY_CATEGORY 0x80000000u /* items have lower numbers */
/* Whether it is a category's; *category its number. @thread any */
static inline bool xf_why_category(const struct xf_why *why, uint32_t *category) {
  *category = why->item & ~XF_WHY_CATEGORY;
  return why->item != XF_NO_ID && (why->item & XF_WHY_CATEGORY);
}

/* What fitting cost; bytes also of what travels. */
struct xf_scorer_cost {
  double seconds;
  uint64_t memory, bytes_up, bytes_down; /* bytes */
};

struct xf_scorer;
struct xf_scorer_kind {
  const char *name; /* "ease" */
  /* Scores of all items, also those of the history. @shape out[n_items] @err E_NOTFOUND (needs a known user) E_NOMEM */
  enum xf_rc (*score)(const struct xf_scorer *s, const struct xf_query *q, float *out,
                      struct xf_diag *diag);
  /* The at most k largest parts of one item's score, best first; returns how many. NULL: cannot tell. */
  uint32_t (*explain)(const struct xf_scorer *s, const struct xf_query *q, uint32_t item,
                      struct xf_why *out, uint32_t k);
  void (*free)(struct xf_scorer *s);
};

/* First member of every scorer's own struct. */
struct xf_scorer {
  const struct xf_scorer_kind *kind;
  uint32_t n_items;
  struct xf_scorer_cost cost;
  /* NULL: one by one. Several users at once, as xf_scorer_score_many; equal to kind->score up to rounding. */
  enum xf_rc (*many)(const struct xf_scorer *s, const struct xf_query *q, uint32_t n, float *out,
                     bool *served, struct xf_diag *diag);
};

/* Releases; NULL is legal. @own takes scorer */
static inline void xf_scorer_free(struct xf_scorer *scorer) {
  if (scorer) scorer->kind->free(scorer);
}
/* Scores of all items. @shape out[n_items] @err as kind->score */
XF_WARN_UNUSED static inline enum xf_rc xf_scorer_score(const struct xf_scorer *scorer,
                                                        const struct xf_query *query, float *out,
                                                        struct xf_diag *diag) {
  return scorer->kind->score(scorer, query, out, diag);
}
/* Scores of all items for n users; served[i] false and a row of zeros where the scorer cannot serve (E_NOTFOUND).
   @shape out[n x n_items], served[n] @err as kind->score, but E_NOTFOUND */
XF_WARN_UNUSED enum xf_rc xf_scorer_score_many(const struct xf_scorer *scorer,
                                               const struct xf_query *query, uint32_t n, float *out,
                                               bool *served, struct xf_diag *diag);
/* Puts a part among the k largest, best first; equal shares stay in the order they come. n is how many there are. @shape out[k] */
void xf_why_insert(struct xf_why *out, uint32_t *n, uint32_t k, struct xf_why why);
/* Adds a share to the item's own among n parts, at the end where it has none yet. @shape all[n + 1] */
void xf_why_add(struct xf_why *all, uint32_t *n, struct xf_why why);
/* The k largest of n parts of distinct items, sorted in place; equal shares by item. Returns how many. @shape out[k], all[n] */
uint32_t xf_why_best(struct xf_why *out, uint32_t k, struct xf_why *all, uint32_t n);

#endif
