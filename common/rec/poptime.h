/*
 * poptime.h - popularity as a scorer: of all time, and of the recent past as the request sees it.
 *
 *   popular   score(i)    = log(1 + train events of i)
 *   poptime   score(i, t) = sqrt(sum over train events e of i with t_e < t of exp(-(t - t_e) / tau))
 *
 * poptime never reads an event at or after the request's instant, so a past request can be replayed without leaking
 * what came later. A request for now (query at NaN) stands at the last event of the data and counts it too. Both serve
 * everyone, with any history or none, and look at neither.
 *
 * A query walks all items with one binary search each; the decayed sum at each event is kept, no event is walked twice.
 * Not for: the baseline of silo reports (popularity.h). Owner: caller, xf_scorer_free. Thread: immutable once fitted.
 * @source docs/ALGORITHMS.md "Popularity"
 */
#ifndef XF_REC_POPTIME_H
#define XF_REC_POPTIME_H

#include "rec/scorer.h"

#define XF_POPTIME_DAY 86400.0 /* seconds */
enum { XF_POPTIME_TAUS = 3, XF_POPTIME_TAUS_MAX = 16 };
/* 30, 90, 365 days: what is tried when the caller has no better idea. @unit seconds */
extern const double xf_poptime_taus[XF_POPTIME_TAUS];

/* Counts. @own out: xf_scorer_free @err E_NOMEM */
XF_WARN_UNUSED enum xf_rc xf_popular_fit(struct xf_scorer **out, const struct xf_rec_data *data,
                                         struct xf_diag *diag);
/* Sorts events by time. @unit tau seconds, above 0 @own out: xf_scorer_free
   @err E_INVAL (the data have no times) E_RANGE (tau) E_NAN (a time) E_NOMEM */
XF_WARN_UNUSED enum xf_rc xf_poptime_fit(struct xf_scorer **out, const struct xf_rec_data *data,
                                         double tau, struct xf_diag *diag);

/* The caller's figure of a fitted scorer on validation data; larger is better, NaN is an error. */
typedef enum xf_rc (*xf_poptime_value)(void *arg, const struct xf_scorer *scorer, double *value,
                                       struct xf_diag *diag);
/* Fits and asks for each tau; *best is the first with the largest figure. @shape tau[n], value[n], 1 <= n <= 16
   @err E_INVAL (n) E_NAN (a figure) and those of fit and ask */
XF_WARN_UNUSED enum xf_rc xf_poptime_search(uint32_t *best, double *value,
                                            const struct xf_rec_data *data, const double *tau,
                                            uint32_t n, xf_poptime_value ask, void *arg,
                                            struct xf_diag *diag);

#endif
