/*
 * inner.h - split A: a train part without one event of each user, and that event as what scorers are tuned on.
 *
 * Taken is the user's latest train event, or without times a seeded one, from users with at least `min` train events, when its
 * item keeps another train event. out: TRAIN without them, VALID = them, TEST = the original validation part (so that its
 * items are no negatives); the original test part is not read.
 * Not for: the split of a data set (data/split.h). Owner: caller, xf_split_deinit. Thread: any.
 */
#ifndef XF_REC_INNER_H
#define XF_REC_INNER_H

#include "data/split.h"

/* Splits. min 0: 3. @own out: xf_split_deinit @err E_NOTFOUND (no user has so many events) E_NOMEM */
XF_WARN_UNUSED enum xf_rc xf_inner_init(struct xf_split *out, const struct xf_split *split,
                                        uint32_t min, uint64_t seed, struct xf_diag *diag);
/* Marks at most `most` (0: all) users with a held-out item, drawn by seed; returns how many. @shape user[n_users] */
uint32_t xf_inner_judges(const struct xf_split *inner, uint32_t most, uint64_t seed, bool *user);

#endif
