/*
 * recency.h - how new an item is, and how lately anybody took it, as the request sees it; and logarithms of other scores.
 *
 *   newest   score(i, t) = -log(10 d + age of i's first event before t), an item without one: as 5,000 days
 *   latest   score(i, t) = -log(1 d + age of i's last event before t), an item without one: as 5,000 days
 *   logged   score = log(.1 + s^2), s another scorer's score: of decayed popularity (poptime.h), which is a root, the log
 *
 * None reads an event at or after the request's instant; a request for now (NaN) stands after the last event of the data.
 * Alone they are poor lists; a mix (mix.h) of them with popularity and a personal model is not.
 * Owner: caller, xf_scorer_free. Thread: immutable once fitted. @source docs/internals/rec.md "The decision"
 */
#ifndef XF_REC_RECENCY_H
#define XF_REC_RECENCY_H

#include "rec/scorer.h"

/* Fits. @own out: xf_scorer_free @err E_INVAL (the data have no times) E_NAN (a time) E_NOMEM */
XF_WARN_UNUSED enum xf_rc xf_newest_fit(struct xf_scorer **out, const struct xf_rec_data *data,
                                        struct xf_diag *diag);
/* Fits. @own out: xf_scorer_free @err as xf_newest_fit */
XF_WARN_UNUSED enum xf_rc xf_latest_fit(struct xf_scorer **out, const struct xf_rec_data *data,
                                        struct xf_diag *diag);
/* The logarithm of another scorer. @own out: xf_scorer_free; takes scorer, also after an error @err E_NOMEM */
XF_WARN_UNUSED enum xf_rc xf_logged_new(struct xf_scorer **out, struct xf_scorer *scorer,
                                        struct xf_diag *diag);

#endif
