/*
 * kern.h - the numeric kernels as tables of functions: the fast ones for this CPU and the plain loops they
 * are tested against, in float and double. What each computes is in kern_table.inc.
 *
 * Caller code picks a table once and calls `k->add(out, a, b, n)`. Every fast table gives the same bits on
 * every x86-64 CPU (no FMA, fixed order of partial sums), but for two kinds: `gemm`, which is BLAS, and the products
 * in tiles (conv_*, panel_*), which use FMA where there is one: their bits are those of avx2 and avx512, or of base.
 * Not for: aggregation of deltas (fed), norms and checks of flat vectors (param/vec.h).
 * Thread: any; constant data.
 */
#ifndef XF_TENSOR_KERN_H
#define XF_TENSOR_KERN_H

#include "tensor/conv.h"
#include "tensor/panel.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* c [m x n] = alpha op(a) op(b) + beta c; op(a) is [m x k], op(b) [k x n], transposed if ta / tb. All
   row-major without gaps; beta 0 does not read c. */
struct xf_gemm {
  size_t m, n, k;
  bool ta, tb;
  double alpha, beta;
};

/* Smallest first moment (and second: its square would be denormal anyway) that optimisers keep. */
#define XF_TINY 1e-30f

#define xf_real float
#define xf_kern_table xf_kern
#include "tensor/kern_table.inc"
#undef xf_real
#undef xf_kern_table
#define xf_real double
#define xf_kern_table xf_kern64
#include "tensor/kern_table.inc"
#undef xf_real
#undef xf_kern_table

/* The environment variable that chooses a table by its name: base, avx2, avx512. For tests of one machine with the kernels
   of another; xf_blas_start refuses a name that this CPU has no table for. */
#define XF_KERN_ENV "CROSSFED_KERNELS"

/* The fastest table for this CPU, or the one that XF_KERN_ENV names. @own static @thread any */
const struct xf_kern *xf_kern_get(void);
/* The i-th fast table that this CPU can run, from the most portable one; NULL behind the last. For tests.
   @own static @thread any */
const struct xf_kern *xf_kern_next(size_t i);
/* The fast table of a name, NULL: this CPU has none. @own static @thread any */
const struct xf_kern *xf_kern_find(const char *isa);
/* Plain loops, the specification of the fast ones. @own static @thread any */
extern const struct xf_kern xf_kern_ref;
/* Plain loops in double. @own static @thread any */
extern const struct xf_kern64 xf_kern_ref64;

#endif
