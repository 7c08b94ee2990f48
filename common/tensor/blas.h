/*
 * blas.h - starting the BLAS library: one thread, a flavour that is safe under several callers, results
 * checked. Not for: products (kern.h, `gemm`).
 *
 * Thread: xf_blas_start once, from main, before any other thread computes. Do not fork afterwards.
 */
#ifndef XF_TENSOR_BLAS_H
#define XF_TENSOR_BLAS_H

#include "base/diag.h"

#include <stdbool.h>
#include <stddef.h>

/* What ran, for summary.json: results depend on it (decision 35). */
struct xf_blas_info {
  char config[160]; /* "OpenBLAS 0.3.21 ... MAX_THREADS=64" */
  char core[32];    /* kernels in use: "Haswell", "Cooperlake" ... */
  char isa[16];     /* our own kernels: "base", "avx2", "avx512" */
};

/* Sets one BLAS thread; refuses the openmp flavour (spins under several callers) and the serial one (wrong
   products under several callers); multiplies small integer matrices on two threads at once and compares
   exactly. `info` may be NULL. @err E_UNSUPPORTED (flavour; XF_KERN_ENV names kernels that this CPU has not) E_CORRUPT (wrong product)
   @source docs/internals/tensor.md "BLAS" */
XF_WARN_UNUSED enum xf_rc xf_blas_start(struct xf_blas_info *info, struct xf_diag *diag);

/* Lets n_threads make n_products small integer products each, at once, and compares exactly: what the serial flavour gets
   wrong. xf_blas_start does a little of it; the test suite begins with a lot. @err E_CORRUPT (how many, on what core)
   E_NOMEM */
XF_WARN_UNUSED enum xf_rc xf_blas_check(unsigned n_threads, unsigned n_products,
                                        struct xf_diag *diag);
/* c = op(a) op(a)^T + beta c, only the entries with column >= row; op(a) is [n x k], the transpose of a [k x n] if ta. beta 0 does
   not read c. Half the work of gemm where that is long enough to matter. @shape c[n x n] @thread any */
void xf_blas_syrk(float *c, const float *a, size_t n, size_t k, bool ta, float beta);
/* y = a x by BLAS: the limit that scoring is measured against. @shape a[m x n], x[n], y[m] @thread any */
void xf_blas_gemv(float *y, const float *a, const float *x, size_t m, size_t n);

#endif
