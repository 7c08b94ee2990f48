/*
 * stream.h - keys of the seeded random streams of an experiment.
 *
 * Every use of randomness in a run has its own stream, keyed by (plan seed, purpose, round, member).
 * The run id never enters, so daemons and simulator draw the same numbers.
 * Not for: keys, nonces, private noise (random.h).
 * Owner: the caller. Thread: any.
 */
#ifndef XF_CRYPTO_STREAM_H
#define XF_CRYPTO_STREAM_H

#include "base/rng.h"

#include <stdint.h>

/* The purposes. Two uses never share one: a new use of randomness adds its line here, and existing
   names never change (they are part of every recorded run). X(name) */
#define XF_STREAM_PURPOSES(X)                                            \
  X("init")         /* model initialisation */                           \
  X("cohort")       /* which members a round selects */                  \
  X("shuffle")      /* order of examples in an epoch */                  \
  X("batch")        /* which examples or tasks form a batch */           \
  X("negative")     /* negatives in training */                          \
  X("split")        /* train, validation, test */                        \
  X("partition")    /* examples over simulated clients */                \
  X("synth")        /* synthetic data */                                 \
  X("task")         /* episodes: support and query */                    \
  X("dropout")      /* dropout masks */                                  \
  X("eval")         /* candidates in evaluation */                       \
  X("bootstrap")    /* resampling in statistics */                       \
  X("compress")     /* random coordinates, stochastic rounding */        \
  X("robust")       /* randomness of an aggregation rule */              \
  X("availability") /* simulated clients that are away */                \
  X("cost")         /* simulated speeds and links */                     \
  X("attack")       /* simulated malicious clients */                    \
  X("schedule")     /* interleavings of the deterministic simulation */  \
  X("noise_sim")    /* repeatable noise of the simulator: NOT PRIVATE */ \
  X("test")         /* unit tests */

enum { XF_STREAM_KEY_LEN = 32 };

/* The 256-bit key: BLAKE2b-256 of "crossfed stream 1" then u64le(seed), field(purpose),
   u64le(round), field(member), where field(x) = u64le(len(x)) x. `purpose` is one of the list above;
   member NULL means "" (the federation as a whole). @thread any @source RFC 7693 */
void xf_stream_key(uint8_t out[XF_STREAM_KEY_LEN], uint64_t plan_seed, const char *purpose,
                   uint64_t round, const char *member);
/* The generator under that key: its first 16 bytes, little-endian, are Philox's key and high counter
   words. @own caller */
void xf_stream_init(struct xf_rng *rng, uint64_t plan_seed, const char *purpose, uint64_t round,
                    const char *member);

#endif
