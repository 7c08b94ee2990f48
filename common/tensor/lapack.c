/* Declares the Fortran symbols itself: Debian's OpenBLAS ships LAPACK without a header (decision 44). */
#include "tensor/lapack.h"

#include "base/alloc.h"

#include <inttypes.h>
#include <limits.h>
#include <math.h>

/* Everything by reference; the trailing lengths are those of the character arguments. */
extern void dpotrf_(const char *uplo, const int *n, double *a, const int *lda, int *info, size_t);
extern void dpotri_(const char *uplo, const int *n, double *a, const int *lda, int *info, size_t);
extern void dsyevd_(const char *jobz, const char *uplo, const int *n, double *a, const int *lda,
                    double *w, double *work, const int *lwork, int *iwork, const int *liwork,
                    int *info, size_t, size_t);
extern void sposv_(const char *uplo, const int *n, const int *nrhs, float *a, const int *lda,
                   float *b, const int *ldb, int *info, size_t);

/* The first is the largest n with n * n an int. */
enum { INVERT_MAX = 46340, MAX_N = 1 << 14, SMALL_N = 24 };

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
  int info = 0, lwork = -1, liwork = -1, least = 0;
  double best = 0;
  dsyevd_("V", "L", &N, a, &N, w, &best, &lwork, &least, &liwork, &info, 1, 1);
  if (info || best < 1 || best > INT_MAX || least < 1) return XF_E_NAN;
  lwork = (int)best;
  liwork = least;
  double *work = xf_try_calloc((size_t)lwork, sizeof *work);
  int *iwork = xf_try_calloc((size_t)liwork, sizeof *iwork);
  if (work && iwork) dsyevd_("V", "L", &N, a, &N, w, work, &lwork, iwork, &liwork, &info, 1, 1);
  const enum xf_rc rc = !work || !iwork ? XF_E_NOMEM : info ? XF_E_NAN : XF_OK;
  xf_free(work);
  xf_free(iwork);
  return rc;
}

/* Cholesky by rows and two substitutions, without the calls that LAPACK makes for each column. a = U^T U. */
static enum xf_rc solve_small(float *a, float *b, size_t n) {
  for (size_t i = 0; i < n; i++) {
    float *row = a + i * n;
    if (!(row[i] > 0) || !isfinite(row[i])) return XF_E_NAN;
    const float root = sqrtf(row[i]), inverse = 1 / root;
    row[i] = root;
    for (size_t j = i + 1; j < n; j++) row[j] *= inverse;
    b[i] *= inverse;
    for (size_t k = i + 1; k < n; k++) {
      const float f = row[k];
      float *to = a + k * n;
      for (size_t j = k; j < n; j++) to[j] -= f * row[j];
      b[k] -= f * b[i];
    }
  }
  for (size_t i = n; i-- > 0;) {
    const float *row = a + i * n;
    float s = b[i];
    for (size_t j = i + 1; j < n; j++) s -= row[j] * b[j];
    b[i] = s / row[i];
  }
  return XF_OK;
}

enum xf_rc xf_lapack_sposv(float *a, float *b, size_t n) {
  if (n > MAX_N) return XF_E_LIMIT;
  if (n <= SMALL_N) return solve_small(a, b, n);
  const int N = (int)n, one = 1;
  int info = 0;
  sposv_("L", &N, &one, a, &N, b, &N, &info, 1);
  return info ? XF_E_NAN : XF_OK;
}
