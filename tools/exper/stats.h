/*
 * stats.h - the few numbers that experiments are compared by: mean and deviation over seeds, the worst tenth of clients, where a
 * curve reaches a target.
 *
 * Rounds to a target: the curve is made monotone (best so far) and interpolated linearly between evaluations; bytes and time are
 * taken at the same fraction between the same two evaluations. A target that the first evaluation meets counts there: what came
 * before was not measured.
 * Not for: confidence intervals of figures over users (rec/paired.h). Owner: the caller's arrays. Thread: any.
 * @source McMahan et al. 2017, section 3 ("monotonically improving", "linear interpolation")
 */
#ifndef XF_EXPER_STATS_H
#define XF_EXPER_STATS_H

#include <stdbool.h>
#include <stddef.h>

/* What a point of a curve took: commits, bytes of both directions, seconds. */
enum { XF_COST_COMMITS, XF_COST_BYTES, XF_COST_TIME, XF_N_COST };

struct xf_curve_point {
  double cost[XF_N_COST]; /* since the start; NaN: not known */
  double value;
};

/* NaN without values. @shape v[n] */
double xf_stats_mean(const double *v, size_t n);
/* With n - 1; NaN below two values. @shape v[n] */
double xf_stats_sd(const double *v, size_t n);
/* Mean of the worst (or best) tenth, rounded up, so at least one; NaN without values. Sorts v. @shape v[n] */
double xf_stats_worst_tenth(double *v, size_t n, bool up);
double xf_stats_best_tenth(double *v, size_t n, bool up);
/* Whether the curve reaches the target, and what that took. `up`: larger is better.
   @shape p[n], costs rising @own out untouched when it does not */
bool xf_stats_target(double out[XF_N_COST], const struct xf_curve_point *p, size_t n, double target,
                     bool up);

#endif
