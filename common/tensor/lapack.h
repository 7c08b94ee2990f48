/*
 * lapack.h - factorising and inverting symmetric positive definite matrices, by the LAPACK inside OpenBLAS.
 *
 * Row-major and symmetric, so LAPACK's column-major view is the same matrix. Not for: products (kern.h).
 * Owner: the caller's arrays. Thread: any after xf_blas_start; results depend on OpenBLAS's kernels (decision 35).
 */
#ifndef XF_TENSOR_LAPACK_H
#define XF_TENSOR_LAPACK_H

#include "base/diag.h"

#include <stdint.h>

/* a <- inverse of a; both halves are read as equal and both are written. @shape a[n x n]
   @err E_RANGE (not positive definite; the diagnostic names the row) E_LIMIT (n above 46,340) */
XF_WARN_UNUSED enum xf_rc xf_spd_invert(double *a, uint32_t n, struct xf_diag *diag);
/* x <- a^-1 x for one right-hand side; a is destroyed. @shape a[n x n], x[n] @err as xf_spd_invert */
XF_WARN_UNUSED enum xf_rc xf_spd_solve(double *a, double *x, uint32_t n, struct xf_diag *diag);

#endif
