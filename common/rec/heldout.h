/*
 * heldout.h - which negatives a user's held-out items compete with, and what a scorer's ranks promise for each user.
 *
 * Negatives: all items except the user's positives of the other parts, or those of a given list; with `train_items` only
 * items that have a train event. The figure is the expected NDCG@k with n_neg random negatives (expected.h), or with n_neg 0,
 * and where there are fewer negatives than that, the NDCG@k of the full list. Ties count against the held-out item. Scorers see the train history and, where the
 * data have times, the instant of the held-out event.
 * Not for: sampled test figures (rank_eval.h). Owner: caller's arrays. Thread: any.
 */
#ifndef XF_REC_HELDOUT_H
#define XF_REC_HELDOUT_H

#include "rec/scorer.h"

enum { XF_HELDOUT_BLOCK = 64 };

struct xf_heldout_spec {
  const struct xf_split *split;
  enum xf_part part;
  const struct xf_csr *list; /* negatives of each user, or NULL: all items */
  bool train_items;          /* negatives have a train event; needs the split's item_count */
  uint32_t k, n_neg;
};

/* The user's negatives, ascending unless given as a list; returns how many. @shape out[n_items], or the list's length */
uint32_t xf_heldout_rivals(const struct xf_heldout_spec *spec, uint32_t user, uint32_t *out);
/* Room for the negatives of any user. @unit ids */
size_t xf_heldout_most(const struct xf_heldout_spec *spec);
/* The user's query: train history, instant of the first held-out event. @own borrows the split */
struct xf_query xf_heldout_query(const struct xf_heldout_spec *spec, uint32_t user);
/* Figure of one held-out item with `above` of n negatives at or above it; `whole`: the n are all negatives that there are, no sample
   of them. @unit NDCG@k */
double xf_heldout_rank(const struct xf_heldout_spec *spec, uint32_t above, uint32_t n, bool whole);
/* Every user's figure; NaN without a held-out item. user NULL: all; else only users with user[u] true.
   @shape figure[n_users], user[n_users] @err E_SHAPE E_NAN E_NOMEM and the scorer's */
XF_WARN_UNUSED enum xf_rc xf_heldout_eval(const struct xf_scorer *scorer,
                                          const struct xf_heldout_spec *spec, const bool *user,
                                          float *figure, struct xf_diag *diag);
/* Mean of the numbers among n figures; NaN without one. @unit as the figures */
double xf_heldout_mean(const float *figure, size_t n);

#endif
