/*
 * listnet.h - a small net over unit-free features as a scorer: what stack.h and unitfree.h make.
 *
 *   n_hidden 0   f(x) = w2 . x                       x: features of one candidate (features.h)
 *   else         f(x) = w2 . act(x w1 + b1)
 *
 * No bias behind: it moves all candidates of a list alike. Several nets of one shape are averaged. Loops in a fixed
 * order and kernels that are not BLAS: the same bytes everywhere, whatever else is ranked with a candidate.
 * Shares: how much of f(x) - f(0) comes from each scorer; x = 0 is the average candidate of the list. For a linear net
 * w x exactly; else the gradient averaged on the way from 0 to x, times x (64 midpoints), whose sum is exact up to
 * quadrature; what is missing is dealt in proportion to the shares' sizes.
 * Not for: training (train). Owner: caller, xf_scorer_free; the scorer borrows the features and their scorers.
 * Thread: immutable once made. @source Sundararajan, Taly, Yan 2017 (integrated gradients)
 */
#ifndef XF_REC_LISTNET_H
#define XF_REC_LISTNET_H

#include "nn/op.h"
#include "rec/blend.h"
#include "rec/features.h"

enum { XF_LISTNET_HIDDEN = 256, XF_LISTNET_NETS = 16 };

struct xf_listnet {
  uint32_t n_in, n_hidden;
  enum xf_act act;
  const float *w1; /* [n_in x n_hidden] */
  const float *b1; /* [n_hidden] or NULL */
  const float *w2; /* [n_hidden], or [n_in] without hidden */
};

/* f of n rows. @shape x[n x n_in], out[n] */
void xf_listnet_run(const struct xf_listnet *net, const float *x, uint32_t n, float *out);
/* The mean of n_net nets as a scorer named `name` (static text), weights copied. @own out: xf_scorer_free
   @err E_SHAPE (nets and features differ) E_INVAL (a weight that is no number, hidden too wide, no net) E_NOMEM */
XF_WARN_UNUSED enum xf_rc xf_listnet_new(struct xf_scorer **out, const char *name,
                                         const struct xf_listnet *net, uint32_t n_net,
                                         const struct xf_features *features, struct xf_diag *diag);
/* Scores of a given list, standardised over it; xf_scorer_score standardises over the catalogue.
   @shape list[n], out[n] @err as xf_features_make; E_NOTFOUND also when no slot serves the user */
XF_WARN_UNUSED enum xf_rc xf_listnet_rank(const struct xf_scorer *scorer,
                                          const struct xf_query *query, const uint32_t *list,
                                          uint32_t n, float *out, struct xf_diag *diag);
/* Shares of an item's score in the catalogue, largest first: part 0 is popularity, 1 + s slot s; each with the history
   items its own scorer names, in the score's unit. @shape out[1 + XF_FEATURES_SLOTS] @err as xf_listnet_rank */
XF_WARN_UNUSED enum xf_rc xf_listnet_explain(const struct xf_scorer *scorer,
                                             const struct xf_query *query, uint32_t item,
                                             struct xf_blend_why *out, uint32_t *n,
                                             struct xf_diag *diag);

#endif
