/*
 * popularity.h - the baseline that everything is printed beside: score(i) = log(1 + train events of i).
 * Owner: caller. Thread: immutable once built.
 */
#ifndef XF_REC_POPULARITY_H
#define XF_REC_POPULARITY_H

#include "data/split.h"

struct xf_popularity {
  float *score; /* [64 x n_items]: one row per user of a block */
  uint32_t n_items;
};

/* Counts. @own caller: xf_popularity_deinit @err E_NOMEM */
XF_WARN_UNUSED enum xf_rc xf_popularity_init(struct xf_popularity *out,
                                             const struct xf_split *split);
/* Releases; idempotent. @own popularity */
void xf_popularity_deinit(struct xf_popularity *popularity);
/* An xf_rank_score; arg is the struct xf_popularity. @err never */
XF_WARN_UNUSED enum xf_rc xf_popularity_score(void *arg, const uint32_t *users, uint32_t n,
                                              const float **out, struct xf_diag *diag);

#endif
