/*
 * item_model.h - linear item-item models on a Gram: EASE and the item kernel, as scorers.
 *
 *   score(x) = x B            x: the history, 0 or 1; B has a zero diagonal
 *   EASE      P = (G + r I)^-1,  B_ij = -P_ij / P_jj                  dense, up to max_items
 *   kernel    B_ij = G_ij / ((G_ii + 1)^a (G_jj + 1)^b)               sparse, no inversion
 *
 * On a silo's own Gram they are the local baseline; on own + lambda others (xf_gram_combine) they are the federated model.
 * Both serve users they never saw, and explain exactly: a score is the sum over the history of B_ji.
 * Owner: caller, xf_scorer_free. Thread: immutable once fitted.
 * @source Steck 2019, "Embarrassingly Shallow Autoencoders for Sparse Data", eq. 8
 */
#ifndef XF_REC_ITEM_MODEL_H
#define XF_REC_ITEM_MODEL_H

#include "rec/gram.h"

#define XF_EASE_MAX_ITEMS 6000 /* 288 MB of doubles while it inverts, a few seconds */

/* Fits EASE with ridge r > 0. max_items 0: XF_EASE_MAX_ITEMS. @own out: xf_scorer_free @err E_RANGE (r; not positive
   definite) E_LIMIT (more items: the diagnostic offers the kernel) E_NOMEM */
XF_WARN_UNUSED enum xf_rc xf_ease_fit(struct xf_scorer **out, const struct xf_gram *gram, double r,
                                      uint32_t max_items, struct xf_diag *diag);
/* Fits the kernel with exponents a, b >= 0. @own out: xf_scorer_free @err E_RANGE E_NOMEM */
XF_WARN_UNUSED enum xf_rc xf_kernel_fit(struct xf_scorer **out, const struct xf_gram *gram,
                                        double a, double b, struct xf_diag *diag);

#endif
