/*
 * paired.h - whether one method is better than another on the same users: bootstrap, Holm, and the verdict over domains.
 *
 * xf_measure_paired (metrics.h) gives mean and standard error; here users are resampled. A domain *loses* when its
 * difference to the strongest baseline (chosen on validation by the caller) is below 0 with a one-sided Holm-adjusted
 * p < alpha over the domains. The verdict is good when none loses and the mean difference over domains is above 0.
 * Owner: caller's arrays. Thread: any. @source B. Efron 1979 (bootstrap); S. Holm 1979 (adjustment)
 */
#ifndef XF_REC_PAIRED_H
#define XF_REC_PAIRED_H

#include "base/diag.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct xf_paired {
  size_t n;                /* users with both figures */
  double mean, se;         /* of a - b; se NaN below two users */
  double low, high;        /* percentile interval of the mean */
  double p_below, p_above; /* one-sided: of a mean below 0, above 0 */
};

struct xf_paired_spec {
  uint32_t n_draw; /* 0: 10000 */
  double level;    /* of the interval; 0: .95 */
  uint64_t seed;
};

struct xf_paired_verdict {
  size_t n_lose;     /* domains that lose */
  size_t n_below_se; /* mean below -1 standard error: printed, not gated */
  double mean;       /* over domains, each weighing the same */
  bool good;         /* none loses and mean > 0 */
};

/* Difference a - b over the users where both are numbers. Without such users all figures are NaN and both p are 1.
   @shape a[n], b[n] @err E_INVAL (level, n_draw) E_NOMEM @source Efron 1979; p = (1 + draws on the other side) / (n_draw + 1) */
XF_WARN_UNUSED enum xf_rc xf_paired_bootstrap(struct xf_paired *out, const float *a, const float *b,
                                              size_t n, const struct xf_paired_spec *spec,
                                              struct xf_diag *diag);
/* Holm's adjusted p values, in the order of p; NaN: not tested, adjusted 1. @shape p[n], out[n] (may be p) @err E_NOMEM
   @source Holm 1979 */
XF_WARN_UNUSED enum xf_rc xf_paired_holm(double *out, const double *p, size_t n);
/* The verdict over n domains; lose[n] may be NULL. alpha 0: .05. Domains without users neither lose nor count in the mean.
   @shape domain[n], lose[n] @err E_NOMEM */
XF_WARN_UNUSED enum xf_rc xf_paired_judge(struct xf_paired_verdict *out, bool *lose,
                                          const struct xf_paired *domain, size_t n, double alpha);

#endif
