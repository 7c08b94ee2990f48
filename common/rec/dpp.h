/*
 * dpp.h - a relevant and diverse list: greedy maximum of a determinantal point process.
 *
 *   L = diag(q) ((1 - e) S + e I) diag(q)      log q_i = a (r_i - 1),  a = theta / (2 (1 - theta))
 *
 * Each step picks the candidate that raises log det L of the picks most; the Cholesky row of every candidate grows by one
 * entry, so k picks of n cost O(k^2 n) and k n numbers. Since q factors out of L, the rows are of S alone and small q lose
 * no digits. theta 0 looks at S only, towards 1 at relevance only. When what is left of every candidate is below 1e-10 of its
 * diagonal (all lie in the span of the picks), the rest are taken by relevance.
 * Not for: choosing candidates (rerank.h). Owner: caller's arrays. Thread: any.
 * @source Chen, Zhang, Zhou 2018, "Fast Greedy MAP Inference for Determinantal Point Process", algorithm 1
 */
#ifndef XF_REC_DPP_H
#define XF_REC_DPP_H

#include "rec/itemsim.h"

/* e of the kernel: what keeps equal items apart. */
#define XF_DPP_RIDGE 1e-3

/* log q of a relevance r, for theta in [0, 1). @unit natural logarithm */
double xf_dpp_quality(double theta, double r);
/* Picks min(k, n) candidates, as indices into the slate, in order; slate->rel is log q. gain[t], if asked for: what pick t added
   to log det L, -INFINITY for those taken by relevance. Equal gains go to the first candidate. @shape pick[k], gain[k] or
   NULL @err E_NOMEM */
XF_WARN_UNUSED enum xf_rc xf_dpp(uint32_t *pick, double *gain, const struct xf_slate *slate,
                                 uint32_t k, double ridge);

#endif
