/*
 * calibrate.h - lists whose categories follow those of the user's history.
 *
 *   p(g)   mean over the history's items of 1/|categories| for each category of the item; q(g) the same over the list
 *   KL     sum over p(g) > 0 of p(g) log(p(g) / ((1 - e) q(g) + e p(g))),  e = .01, natural logarithm
 *   pick   lambda rel_i - (1 - lambda) KL(p, q of the picks and i), greedily
 *
 * Items without categories count in neither distribution; a list of such items has q = 0. A history without categories has no
 * p: KL is 0 and the order is that of relevance. lambda is the weight of relevance, as in mmr.h (Steck's is the other one).
 * Owner: caller's arrays. Thread: any. @source Steck 2018, "Calibrated Recommendations", eq. 2, 3, 6, 7
 */
#ifndef XF_REC_CALIBRATE_H
#define XF_REC_CALIBRATE_H

#include "rec/itemsim.h"

/* Mean shares of the categories over items; returns how many items count, 0: out is all 0. @shape out[categories->n], item[n] */
uint32_t xf_calibrate_shares(double *out, const struct xf_categories *categories,
                             const uint32_t *item, uint32_t n);
/* KL(p, q) as above; 0 where p is 0 everywhere. @shape p[n], q[n] @unit nats */
double xf_calibrate_kl(const double *p, const double *q, uint32_t n);
/* Picks min(k, n) candidates, as indices into the slate, in order. Equal values go to the first candidate.
   @shape pick[k], target[categories->n] is p @err E_NOMEM */
XF_WARN_UNUSED enum xf_rc xf_calibrate(uint32_t *pick, const struct xf_slate *slate, uint32_t k,
                                       double lambda, const struct xf_categories *categories,
                                       const double *target);

#endif
