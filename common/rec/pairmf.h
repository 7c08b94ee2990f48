/*
 * pairmf.h - logistic matrix factorisation of labelled pairs (negatives included), as a scorer.
 *
 *   logit(u, i) = p_u . q_i + b_i       loss: sum of log losses + reg / 2 (|P|^2 + |Q|^2) + bias_reg / 2 |b|^2
 *
 * Items have a bias, users have none: where a data set has as many negatives as positives for each user, a user's bias would
 * learn how many of their positives are held out. All pairs at once with Adam for a fixed number of steps, in double.
 * Not for: events without negatives (als.h). Serves users of the train part only. Owner: caller, xf_scorer_free.
 * Thread: immutable once fitted.
 * @source Johnson 2014, "Logistic matrix factorization for implicit feedback data", here on given negatives
 */
#ifndef XF_REC_PAIRMF_H
#define XF_REC_PAIRMF_H

#include "data/pairs.h"
#include "rec/scorer.h"

struct xf_pairmf_spec {
  uint32_t dim, steps;
  double reg, bias_reg, lr;
  uint64_t seed;
};
#define XF_PAIRMF_DEFAULTS \
  ((struct xf_pairmf_spec){.dim = 32, .steps = 60, .reg = 1, .bias_reg = 2, .lr = .05})

/* Fits on the train part. @own out: xf_scorer_free @err E_RANGE (spec; no train pair) E_NAN E_NOMEM */
XF_WARN_UNUSED enum xf_rc xf_pairmf_fit(struct xf_scorer **out, const struct xf_pairs *pairs,
                                        const struct xf_pairmf_spec *spec, struct xf_diag *diag);

#endif
