/*
 * lapack_eig.h - two LAPACK drivers for small symmetric systems: eigenvectors (double) and a Cholesky solve (float).
 *
 * Symmetric matrices read the same by rows and by columns, so callers need not care that LAPACK is column-major; the
 * eigenvectors come back as the ROWS of the matrix. Deterministic: one BLAS thread (blas.h).
 * Not for: large inverses and double Cholesky (lapack.h). Owner: caller's arrays. Thread: any.
 */
#ifndef XF_TENSOR_LAPACK_EIG_H
#define XF_TENSOR_LAPACK_EIG_H

#include "base/rc.h"

#include <stddef.h>

/* a = V^T diag(w) V: w ascending, row k of a becomes the k-th eigenvector. @shape a[n x n], w[n]
   @err E_LIMIT (n) E_NAN (not finite, or no convergence) E_NOMEM @source LAPACK dsyev */
XF_WARN_UNUSED enum xf_rc xf_lapack_dsyev(double *a, double *w, size_t n);
/* Solves a x = b for one right side, a symmetric positive definite (its lower triangle by columns = upper by rows is
   read); a is overwritten by its factor, b by x. @shape a[n x n], b[n] @err E_LIMIT (n) E_NAN (not positive definite)
   @source LAPACK spotrf, spotrs */
XF_WARN_UNUSED enum xf_rc xf_lapack_sposv(float *a, float *b, size_t n);

#endif
