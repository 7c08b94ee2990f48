/*
 * rng.h - seeded, counter-based random streams (Philox4x32-10). Same key, same numbers, on any
 * thread and machine. For experiments: sampling, initialisation, shuffles, negatives.
 *
 * Not for: keys, nonces, privacy noise (use crypto's CSPRNG). Keys are derived in crypto/stream.h
 * from (plan seed, purpose, round, member id).
 * @source J. Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
 */
#ifndef XF_BASE_RNG_H
#define XF_BASE_RNG_H

#include <stddef.h>
#include <stdint.h>

struct xf_rng {
  uint32_t key[2];
  uint32_t ctr[4];
  uint32_t out[4];
  uint32_t left;
};

/* A stream from a 64-bit key; the high counter words are `stream_hi` (independent sub-streams).
   @own caller */
void xf_rng_init(struct xf_rng *rng, uint64_t key, uint64_t stream_hi);
/* The next 32 or 64 uniform bits. @thread one at a time */
uint32_t xf_rng_u32(struct xf_rng *rng);
uint64_t xf_rng_u64(struct xf_rng *rng);
/* Uniform in [0, n), n > 0, without modulo bias (Lemire's rejection). @source D. Lemire 2019 */
uint32_t xf_rng_below(struct xf_rng *rng, uint32_t n);
/* Uniform in [0, 1) with 53 bits. @unit 1 */
double xf_rng_double(struct xf_rng *rng);
/* Standard normal (Box-Muller, one of the pair). @unit 1 */
double xf_rng_normal(struct xf_rng *rng);
/* Fisher-Yates shuffle of n ids in place. @shape ids[n] */
void xf_rng_shuffle(struct xf_rng *rng, uint32_t *ids, size_t n);
/* One block of the generator, for the known-answer test. @source Random123 kat_vectors */
void xf_rng_philox(uint32_t out[4], const uint32_t ctr[4], const uint32_t key[2]);

#endif
