/*
 * stale.h - what an update counts whose base is some versions old: s(tau) of asynchronous rounds.
 *
 *   w += eta (1/K) sum s(tau_i) D_i     over the K updates of a flush; D_i = silo's model - its base
 *
 * The division is by the number of updates, not by the sum of weights: a flush of old updates moves little.
 *   constant      1
 *   inverse-sqrt  1 / sqrt(1 + tau)
 *   inverse       1 / (1 + tau)
 *   polynomial    (1 + tau)^-a
 *   hinge         1 while tau <= b, then 1 / (a (tau - b) + 1)
 *   adasgd        exp(-beta tau), beta = ln(T/2 + 1) / (T/2): meets 1 / (1 + tau) at half of the threshold T
 *
 * FLeet divides AdaSGD's by the similarity of a silo's labels with everybody's. Their histogram would leave the silo and say what
 * its data are, so here the similarity is 1.
 * Not for: the fold (fold.h), which takes s as an integer weight and XF_STALE_ONE times K as divisor.
 * Thread: any. Owner: the caller's struct.
 * @source Nguyen et al. 2022 (FedBuff), algorithm 1; Xie et al. 2019 (FedAsync), section 5.2 (polynomial, hinge); Damaskinos et
 * al. 2020 (FLeet), section 2.3 (AdaSGD)
 */
#ifndef XF_FED_STALE_H
#define XF_FED_STALE_H

#include <stdint.h>

enum xf_stale_kind {
  XF_STALE_CONSTANT,
  XF_STALE_INVERSE_SQRT,
  XF_STALE_INVERSE,
  XF_STALE_POLYNOMIAL,
  XF_STALE_HINGE,
  XF_STALE_ADASGD
};

struct xf_stale {
  enum xf_stale_kind kind;
  double a;         /* polynomial, hinge: above 0 */
  double b;         /* hinge: at least 0 */
  double threshold; /* adasgd: above 0; a high percentile of the staleness that is expected */
};

#define XF_STALE_ONE ((uint32_t)1 << 28) /* the weight of s = 1 */

/* s(tau), in (0, 1]. @thread any */
double xf_stale_get(const struct xf_stale *stale, uint64_t tau);
/* s(tau) in units of 1 / XF_STALE_ONE, rounded to the nearest, at least 1. @thread any */
uint32_t xf_stale_weight(const struct xf_stale *stale, uint64_t tau);

#endif
