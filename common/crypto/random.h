/*
 * random.h - unpredictable numbers: the system's CSPRNG, and a fast generator for privacy noise.
 *
 * need a key, nonce, id               -> xf_random_bytes, xf_random_u64
 * need many numbers for private noise -> struct xf_noise_rng, a new one per vector
 * need repeatable experiments         -> base/rng.h through stream.h, never this file
 * Owner: the caller. Thread: xf_random_* any; a generator belongs to one thread.
 * Fork: a generator copied by fork() gives the same numbers in both processes. Never fork with one.
 */
#ifndef XF_CRYPTO_RANDOM_H
#define XF_CRYPTO_RANDOM_H

#include "crypto/chacha.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Fills out with unpredictable bytes (getrandom); the library aborts if the system has none.
   @thread any */
void xf_random_bytes(void *out, size_t len);
/* 64 unpredictable bits. @thread any */
uint64_t xf_random_u64(void);

enum { XF_NOISE_BLOCK = 4096 };

/* ChaCha20 key stream under a fresh key: as unpredictable as its key, a few ns a word. */
struct xf_noise_rng {
  struct xf_chacha chacha;
  uint8_t buf[XF_NOISE_BLOCK]; /* key stream not yet used from `at` on; used bytes are wiped */
  size_t at;
  bool seeded; /* true: repeatable, NOT PRIVATE; whoever prints results must say so */
};

/* Keyed from the CSPRNG. @own caller, release with xf_noise_rng_deinit */
void xf_noise_rng_init(struct xf_noise_rng *rng);
/* Repeatable, for the simulator only: results are stamped "NOT PRIVATE: seeded" by the caller and
   daemons refuse it. Key: xf_stream_key(plan_seed, "noise_sim", round, member). @own caller */
void xf_noise_rng_init_seeded(struct xf_noise_rng *rng, uint64_t plan_seed, uint64_t round,
                              const char *member);
/* Uniform 32 or 64 bits. @thread one at a time */
uint32_t xf_noise_rng_u32(struct xf_noise_rng *rng);
uint64_t xf_noise_rng_u64(struct xf_noise_rng *rng);
/* Uniform in [0, n), n > 0, exactly (rejection). @source D. Lemire 2019, 64-bit variant */
uint64_t xf_noise_rng_below(struct xf_noise_rng *rng, uint64_t n);
/* Wipes key and buffered bytes; idempotent. @own takes the state */
void xf_noise_rng_deinit(struct xf_noise_rng *rng);

#endif
