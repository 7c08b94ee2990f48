/*
 * noise.h - where the sampler's random bits come from: crypto's generator, cryptographic or seeded.
 *
 * A daemon starts the generator with xf_noise_rng_init, a new one for each vector; the simulator may seed it,
 * and then says NOT PRIVATE. Thread: one at a time. Owner: the caller keeps the generator alive.
 * @source crypto/random.h (ChaCha20 key stream, RFC 8439)
 */
#ifndef XF_PRIV_NOISE_H
#define XF_PRIV_NOISE_H

#include "crypto/random.h"
#include "priv/dgauss.h"
#include "priv/grid.h"

/* Words of a started generator. @own borrows rng */
struct xf_dgauss_source xf_noise_source(struct xf_noise_rng *rng);
/* The whole noise of one vector for a grid. @shape out[n] @err E_RANGE */
XF_WARN_UNUSED enum xf_rc xf_noise_fill(int32_t *out, size_t n, const struct xf_grid *grid,
                                        struct xf_noise_rng *rng);

#endif
