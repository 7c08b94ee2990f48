/*
 * dgauss.h - exact samples of the discrete Gaussian: P(x) proportional to exp(-x^2 / (2 sigma^2)) on the
 * integers, sigma^2 = a/b. Integer arithmetic and uniform random bits only: no floating point, no table, no
 * truncation, so the accountant's sigma is the sampler's.
 *
 * The bits come from a callback: the cryptographic generator in a daemon (noise.h), a seeded one in the
 * simulator, whose results are then stamped NOT PRIVATE by whoever prints them.
 * The number of bits a sample takes depends on its value: draw a vector's noise before touching data.
 * Thread: one at a time. Owner: the caller; deinit wipes unused bits.
 * @source C. Canonne, G. Kamath, T. Steinke 2020, arXiv 2004.00010, algorithms 1 to 3
 */
#ifndef XF_PRIV_DGAUSS_H
#define XF_PRIV_DGAUSS_H

#include "base/rc.h"

#include <stddef.h>
#include <stdint.h>

/* Uniform random words. */
struct xf_dgauss_source {
  void (*fill)(void *arg, uint64_t *out, size_t n);
  void *arg;
};

enum { XF_DGAUSS_WORDS = 512 };

struct xf_dgauss {
  struct xf_dgauss_source source;
  uint64_t a, b, t; /* t: floor(sigma) + 1, scale of the discrete Laplace that is thinned */
  uint64_t tb;
  unsigned __int128 den; /* 2 a b t^2 */
  uint64_t bits;         /* single bits not yet used */
  unsigned n_bits;
  size_t at; /* first unused word */
  uint64_t word[XF_DGAUSS_WORDS];
};

/* Variance a/b, 0 < a, b < 2^31. @own caller, release with xf_dgauss_deinit; borrows the source's arg
   @err E_RANGE */
XF_WARN_UNUSED enum xf_rc xf_dgauss_init(struct xf_dgauss *dgauss, uint64_t a, uint64_t b,
                                         struct xf_dgauss_source source);
/* One sample. @thread one at a time */
int64_t xf_dgauss_next(struct xf_dgauss *dgauss);
/* n samples, held within +-2^30 (a value that grid.h saturates anyhow). @shape out[n] */
void xf_dgauss_fill(struct xf_dgauss *dgauss, int32_t *out, size_t n);
/* Wipes; idempotent. @own dgauss */
void xf_dgauss_deinit(struct xf_dgauss *dgauss);

#endif
