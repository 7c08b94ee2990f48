/* Declares the Fortran symbols itself: Debian's OpenBLAS ships LAPACK without a header (decision 44). */
#include "tensor/lapack.h"

#include "base/alloc.h"

#include <inttypes.h>
#include <limits.h>
#include <math.h>

/* Everything by reference; the trailing lengths are those of the character arguments. */
extern void dpotrf_(const char *uplo, const int *n, double *a, const int *lda, int *info, size_t);
extern void dpotri_(const char *uplo, const int *n, double *a, const int *lda, int *info, size_t);
extern void dsyev_(const char *jobz, const char *uplo, const int *n, double *a, const int *lda,
                   double *w, double *work, const int *lwork, int *info, size_t, size_t);
extern void sposv_(const char *uplo, const int *n, const int *nrhs, float *a, const int *lda,
                   float *b, const int *ldb, int *info, size_t);

/* The first is the largest n with n * n an int. */
enum { INVERT_MAX = 46340, MAX_N = 1 << 14 };

enum xf_rc xf_lapack_invert_half(double *a, uint32_t n, struct xf_diag *diag) {
  if (n == 0) return XF_OK;
  if (n > INVERT_MAX)
    return xf_diag_set(diag, XF_E_LIMIT,
                       "a matrix of %" PRIu32 " rows is too large to invert (limit %d)", n,
                       INVERT_MAX);
  const int order = (int)n;
  int info = 0;
  dpotrf_("L", &order, a, &order, &info, 1);
  if (info != 0)
    return xf_diag_set(diag, XF_E_RANGE,
                       "the matrix is not positive definite at row %d of %" PRIu32
                       "; a larger regularisation makes it so",
                       info, n);
  dpotri_("L", &order, a, &order, &info, 1);
  if (info != 0)
    return xf_diag_set(diag, XF_E_RANGE, "the matrix is singular at row %d of %" PRIu32, info, n);
  return XF_OK;
}

enum xf_rc xf_lapack_invert(double *a, uint32_t n, struct xf_diag *diag) {
  const enum xf_rc rc = xf_lapack_invert_half(a, n, diag);
  /* LAPACK's lower half is our upper one */
  for (size_t i = 0; i < n && !rc; i++)
    for (size_t j = i + 1; j < n; j++) a[j * n + i] = a[i * n + j];
  return rc;
}

enum xf_rc xf_lapack_dsyev(double *a, double *w, size_t n) {
  if (n > MAX_N) return XF_E_LIMIT;
  if (n == 0) return XF_OK;
  for (size_t i = 0; i < n * n; i++)
    if (!isfinite(a[i])) return XF_E_NAN;
  const int N = (int)n;
  int info = 0, lwork = -1;
  double best = 0;
  dsyev_("V", "L", &N, a, &N, w, &best, &lwork, &info, 1, 1);
  if (info || best < 1 || best > INT_MAX) return XF_E_NAN;
  lwork = (int)best;
  double *work = xf_try_calloc((size_t)lwork, sizeof *work);
  if (!work) return XF_E_NOMEM;
  dsyev_("V", "L", &N, a, &N, w, work, &lwork, &info, 1, 1);
  xf_free(work);
  return info ? XF_E_NAN : XF_OK;
}

enum xf_rc xf_lapack_sposv(float *a, float *b, size_t n) {
  if (n > MAX_N) return XF_E_LIMIT;
  if (n == 0) return XF_OK;
  const int N = (int)n, one = 1;
  int info = 0;
  sposv_("L", &N, &one, a, &N, b, &N, &info, 1);
  return info ? XF_E_NAN : XF_OK;
}
