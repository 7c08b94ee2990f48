/*
 * sparse.h - a vector of floats without its zeros, as it travels and lies in a file, and reading any part of it again.
 *
 *   u64le floats
 *   for each block of 65,536 floats (the last may be shorter): u64le entries up to and with it
 *   for each entry, ascending: u16le place in its block, f32le value, not +0
 *
 * 6 bytes an entry against 4 a float: worth it below two thirds. Exact: -0 and NaN travel as they are, +0 is what is left out.
 * WHERE the zeros are is shown to whoever sees the bytes, and it is as private as the values: without noise both are.
 * Reading trusts nothing: a reader meets E_CORRUPT, never a place outside. Blocks read in order are decoded once.
 * Not for: several vectors at once. Owner: caller. Thread: a reader one at a time.
 */
#ifndef XF_PARAM_SPARSE_H
#define XF_PARAM_SPARSE_H

#include "base/buf.h"
#include "base/diag.h"

enum { XF_SPARSE_BLOCK = 65536, XF_SPARSE_ENTRY = 6 };

/* Bytes that x takes without its zeros. @shape x[n] @unit bytes */
uint64_t xf_sparse_len(const float *x, uint64_t n);
/* Appends. @shape x[n] @err E_LIMIT E_NOMEM */
XF_WARN_UNUSED enum xf_rc xf_sparse_put(struct xf_buf *out, const float *x, uint64_t n);

/* Bytes [at, at + len) of what was put. */
typedef enum xf_rc (*xf_sparse_bytes)(void *arg, uint64_t at, uint8_t *out, size_t len);

struct xf_sparse {
  xf_sparse_bytes read;
  void *arg;
  uint64_t n, n_block;
  uint64_t *end;  /* [n_block] entries up to and with the block */
  float *block;   /* [65536] the one decoded last */
  uint8_t *bytes; /* of its entries */
  uint64_t at;    /* which; n_block: none */
};

/* Of n floats in len bytes. @own out: xf_sparse_deinit, also after an error @err E_CORRUPT E_NOMEM and the callback's */
XF_WARN_UNUSED enum xf_rc xf_sparse_init(struct xf_sparse *out, uint64_t n, uint64_t len,
                                         xf_sparse_bytes read, void *arg, struct xf_diag *diag);
/* Releases; idempotent, legal on a zeroed struct. @own sparse */
void xf_sparse_deinit(struct xf_sparse *sparse);
/* Floats [at, at + n). @shape out[n] @err E_RANGE E_CORRUPT and the callback's */
XF_WARN_UNUSED enum xf_rc xf_sparse_get(struct xf_sparse *sparse, uint64_t at, float *out, size_t n,
                                        struct xf_diag *diag);

#endif
