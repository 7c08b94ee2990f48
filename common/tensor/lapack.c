/* Debian's OpenBLAS has it without a header: declared here (decision 44). */
#include "tensor/lapack.h"

#include <inttypes.h>
#include <stddef.h>

// Fortran: everything by reference, and the length of each character argument behind the others.
void dpotrf_(const char *uplo, const int *n, double *a, const int *lda, int *info, size_t);
void dpotri_(const char *uplo, const int *n, double *a, const int *lda, int *info, size_t);
void dpotrs_(const char *uplo, const int *n, const int *nrhs, const double *a, const int *lda,
             double *b, const int *ldb, int *info, size_t);

enum { N_MAX = 46340 }; /* n * n fits an int */

static enum xf_rc factorise(double *a, uint32_t n, struct xf_diag *diag) {
  if (n > N_MAX)
    return xf_diag_set(diag, XF_E_LIMIT,
                       "a matrix of %" PRIu32 " rows is too large to factorise (limit %d)", n,
                       N_MAX);
  const int order = (int)n;
  int info = 0;
  dpotrf_("L", &order, a, &order, &info, 1);
  if (info == 0) return XF_OK;
  return xf_diag_set(diag, XF_E_RANGE,
                     "the matrix is not positive definite at row %d of %" PRIu32
                     "; a larger regularisation makes it so",
                     info, n);
}

enum xf_rc xf_spd_invert(double *a, uint32_t n, struct xf_diag *diag) {
  if (n == 0) return XF_OK;
  const enum xf_rc rc = factorise(a, n, diag);
  if (rc) return rc;
  const int order = (int)n;
  int info = 0;
  dpotri_("L", &order, a, &order, &info, 1);
  if (info != 0)
    return xf_diag_set(diag, XF_E_RANGE, "the matrix is singular at row %d of %" PRIu32, info, n);
  /* LAPACK's lower half is our upper one */
  for (size_t i = 0; i < n; i++)
    for (size_t j = i + 1; j < n; j++) a[j * n + i] = a[i * n + j];
  return XF_OK;
}

enum xf_rc xf_spd_solve(double *a, double *x, uint32_t n, struct xf_diag *diag) {
  if (n == 0) return XF_OK;
  const enum xf_rc rc = factorise(a, n, diag);
  if (rc) return rc;
  const int order = (int)n, one = 1;
  int info = 0;
  dpotrs_("L", &order, &one, a, &order, x, &order, &info, 1);
  return info == 0 ? XF_OK : xf_diag_set(diag, XF_E_INVAL, "LAPACK refused argument %d", -info);
}
