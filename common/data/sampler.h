/*
 * sampler.h - seeded order of the train samples and seeded negatives.
 *
 * Negatives are uniform over the silo's items, excluding only the user's *train* positives (decision 37): excluding the
 * held-out ones would leak them. Owner: caller. Thread: one at a time.
 */
#ifndef XF_DATA_SAMPLER_H
#define XF_DATA_SAMPLER_H

#include "data/split.h"

/* Batches over n samples: a fresh shuffle per pass; the last batch of a pass may be short, and steps go on into the next pass. */
struct xf_batches {
  uint32_t *order; /* [n] */
  uint32_t n, batch, at;
  uint32_t pass; /* passes begun */
  struct xf_rng rng;
};

/* Over samples 0 .. n-1; batch 0: all at once. The stream is copied. @own batches @err E_INVAL E_NOMEM */
XF_WARN_UNUSED enum xf_rc xf_batches_init(struct xf_batches *batches, uint32_t n, uint32_t batch,
                                          const struct xf_rng *rng);
/* Starts again with another stream, keeping the memory. @own batches */
void xf_batches_reset(struct xf_batches *batches, const struct xf_rng *rng);
/* Releases; idempotent. @own batches */
void xf_batches_deinit(struct xf_batches *batches);
/* The next batch: *ids points at its *n samples. @own batches, until the next call */
void xf_batches_next(struct xf_batches *batches, const uint32_t **ids, uint32_t *n);
/* Batches in one pass. @unit batches */
uint32_t xf_batches_count(const struct xf_batches *batches);

/* An item that is no train positive of the user, uniformly. A user with every item as a positive gets a uniform
   item (there is no negative). @thread one per rng */
uint32_t xf_sampler_negative(struct xf_rng *rng, const struct xf_csr *train, uint32_t n_items,
                             uint32_t user);
/* Up to n distinct items that `exclude` says nothing against; fewer when there are not enough. mark[n_items] is scratch that
   the caller has zeroed once: on entry excluded items hold `stamp`, on return the sampled ones too.
   @shape out[n], mark[n_items] @unit items returned */
uint32_t xf_sampler_distinct(struct xf_rng *rng, uint32_t *out, uint32_t n, uint32_t n_items,
                             uint32_t n_excluded, uint32_t *mark, uint32_t stamp);

#endif
