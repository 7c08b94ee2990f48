/*
 * drift.h - how much the silos disagree: statistics of the norms of a round's updates, and the ratio
 * |mean D| / mean |D| (1: all pull the same way; small: they cancel), published every round.
 *
 * Norms are sent by silos only where their policy allows it, or seen by the coordinator in plain mode.
 * Not for: the norm of the mean itself (xf_fold_stats). Thread: any. Owner: the caller's arrays.
 * @source docs/ALGORITHMS.md "client drift"
 */
#ifndef XF_FED_DRIFT_H
#define XF_FED_DRIFT_H

#include <stddef.h>
#include <stdint.h>

struct xf_drift {
  double min, median, max;
  double mean;  /* weighted like the aggregation */
  double ratio; /* norm_of_mean / mean; NaN when mean is 0 */
};

/* norm[k] and weight[k] of the participants, in the order of the fold; the sums are in that order. All
   zeros and ratio NaN when n is 0. @shape norm[n], weight[n] */
struct xf_drift xf_drift_get(const double *norm, const uint32_t *weight, size_t n,
                             double norm_of_mean);

#endif
