/*
 * blend.h - several scorers as one: the sum of weight x score, each scorer standardised per user.
 *
 * A user's scores of one scorer lose their mean and unit over the items outside the user's history (constant scores
 * become 0). A scorer that cannot serve the user (E_NOTFOUND) counts 0; when none can, the blend cannot either.
 * It is what the guard chooses; kind->explain gives history items, xf_blend_explain each candidate with its own.
 * Owner: caller; the blend borrows its candidates or, with `owned`, frees them. Thread: immutable once made.
 */
#ifndef XF_REC_BLEND_H
#define XF_REC_BLEND_H

#include "rec/scorer.h"

enum { XF_BLEND_PARTS = 32, XF_BLEND_WHY = 8 };

struct xf_blend_part {
  const char *name;
  struct xf_scorer *scorer;
  double weight; /* 0: not asked */
};

/* A candidate's part in a blended score, and its own reasons in the blend's unit. */
struct xf_blend_why {
  uint32_t part; /* index of the candidate */
  float share;   /* additive: shares of all candidates sum to the score */
  uint32_t n;
  struct xf_why why[XF_BLEND_WHY];
};

/* Makes a blend of at most XF_BLEND_PARTS candidates, names copied. @own out: caller; candidates as `owned` says, also
   after an error not taken @err E_INVAL (none, too many, weights all 0 or not finite) E_SHAPE (numbers of items differ) */
XF_WARN_UNUSED enum xf_rc xf_blend_new(struct xf_scorer **out, const struct xf_blend_part *part,
                                       uint32_t n_part, bool owned, struct xf_diag *diag);
/* Shares of an item's score, largest first; returns how many (candidates with a weight that can serve the user).
   @shape out[XF_BLEND_PARTS] @err E_NOTFOUND E_NAN E_NOMEM */
XF_WARN_UNUSED enum xf_rc xf_blend_explain(const struct xf_scorer *blend,
                                           const struct xf_query *query, uint32_t item,
                                           struct xf_blend_why *out, uint32_t *n,
                                           struct xf_diag *diag);
/* The same for several items at once; each candidate scores only once. @shape item[n_item], out[n_item x XF_BLEND_PARTS],
   n[n_item] @err as xf_blend_explain */
XF_WARN_UNUSED enum xf_rc xf_blend_explain_items(const struct xf_scorer *blend,
                                                 const struct xf_query *query, const uint32_t *item,
                                                 uint32_t n_item, struct xf_blend_why *out,
                                                 uint32_t *n, struct xf_diag *diag);
/* Whether a scorer is a blend, and so may be asked as one. @thread any */
bool xf_blend_is(const struct xf_scorer *scorer);
/* Name of a blend's candidate; "" for a foreign number. @own blend */
const char *xf_blend_part_name(const struct xf_scorer *blend, uint32_t part);
/* Standardises a row in place over the items outside the ascending history; returns 1 / sd, 0 for constant scores (the
   row becomes 0). Deterministic, in double. @shape row[n_items], history[n] @err E_NAN: *bad is the item */
XF_WARN_UNUSED enum xf_rc xf_blend_standardise(float *row, uint32_t n_items,
                                               const uint32_t *history, uint32_t n, double *unit,
                                               uint32_t *bad);
/* What a scorer over candidates does with one of them: adds a user's standardised scores to out. Where the candidate cannot serve the
   user, `served` is false and the row is 0. @shape row[n_items], out[n_items] */
typedef void (*xf_blend_add)(const void *arg, uint32_t part, bool served, const float *row,
                             size_t n_items, float *out);
/* Several users' sums over candidates with a weight, each asked once for all; served[i]: by one of them.
   @shape out[n x n_items], served[n] @err E_NAN (names the candidate) E_NOMEM and the scorers' */
XF_WARN_UNUSED enum xf_rc xf_blend_sum(const struct xf_blend_part *part, uint32_t n_part,
                                       xf_blend_add add, const void *arg, const struct xf_query *q,
                                       uint32_t n, float *out, bool *served, struct xf_diag *diag);
/* A candidate's standardised scores of a user. @shape row[n_items] @err as kind->score, E_NAN (names the candidate) */
XF_WARN_UNUSED enum xf_rc xf_blend_row(const struct xf_blend_part *part, const struct xf_query *q,
                                       float *row, double *unit, struct xf_diag *diag);
/* Sorts, largest share first, then by part. @shape why[n] */
void xf_blend_sort(struct xf_blend_why *why, uint32_t n);

#endif
