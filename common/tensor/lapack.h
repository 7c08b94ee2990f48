/*
 * lapack.h - what is used of the LAPACK inside OpenBLAS, on symmetric matrices: inverse, eigenvectors, a small solve.
 *
 * A symmetric matrix reads the same by rows and by columns, so callers need not care that LAPACK is column-major;
 * eigenvectors come back as the ROWS of the matrix. One BLAS thread (blas.h); results depend on OpenBLAS's kernels.
 * Not for: products (kern.h). Owner: the caller's arrays. Thread: any after xf_blas_start.
 */
#ifndef XF_TENSOR_LAPACK_H
#define XF_TENSOR_LAPACK_H

#include "base/diag.h"

#include <stddef.h>
#include <stdint.h>

/* a <- inverse of a, positive definite; both halves are read as equal and both are written. @shape a[n x n]
   @err E_RANGE (not positive definite; the diagnostic names the row) E_LIMIT (n above 46,340)
   @source LAPACK dpotrf, dpotri */
XF_WARN_UNUSED enum xf_rc xf_lapack_invert(double *a, uint32_t n, struct xf_diag *diag);
/* The same, but only the entries with column >= row are read and written. @shape a[n x n] @err as xf_lapack_invert */
XF_WARN_UNUSED enum xf_rc xf_lapack_invert_half(double *a, uint32_t n, struct xf_diag *diag);
/* a = V^T diag(w) V: w ascending, row k of a becomes the k-th eigenvector. @shape a[n x n], w[n]
   @err E_LIMIT (n above 16,384) E_NAN (not finite, or no convergence) E_NOMEM @source LAPACK dsyevd */
XF_WARN_UNUSED enum xf_rc xf_lapack_dsyev(double *a, double *w, size_t n);
/* Solves a x = b for one right side, a symmetric positive definite (its lower triangle by columns = upper by rows is
   read); a is overwritten by its factor, b by x. @shape a[n x n], b[n] @err E_LIMIT (n above 16,384) E_NAN (not
   positive definite) @source LAPACK sposv; up to n = 24 plain loops, which are faster */
XF_WARN_UNUSED enum xf_rc xf_lapack_sposv(float *a, float *b, size_t n);

#endif
