/*
 * mask.h - a seeded random part of the coordinates, the same for everybody who has the key: only their values travel.
 *
 * Of each block of n floats exactly count(fraction, n) are taken, each with the same probability, in ascending order. The receiver
 * multiplies what came by n / count, which makes it unbiased: linear, and after noise only arithmetic on what was released.
 * Owner: none. Thread: any.
 * @source Konecny et al. 2016, "Federated Learning: Strategies for Improving Communication Efficiency", section 3 (subsampling);
 *         selection sampling: Knuth, TAOCP 2, algorithm 3.4.2 S
 */
#ifndef XF_PARAM_MASK_H
#define XF_PARAM_MASK_H

#include "base/rng.h"

#include <stdbool.h>

struct xf_mask {
  struct xf_rng rng;
  uint32_t left, take; /* places to come, of which so many are taken */
};

/* The mask of block number `block`, of n floats of which `take` travel. @own caller */
void xf_mask_init(struct xf_mask *mask, uint64_t key, uint64_t block, uint32_t n, uint32_t take);
/* Whether the next place is taken; n calls in all. @thread one at a time */
bool xf_mask_next(struct xf_mask *mask);

#endif
