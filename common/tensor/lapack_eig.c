/* Declares the Fortran symbols itself: OpenBLAS ships them without a header. */
#include "tensor/lapack_eig.h"

#include "base/alloc.h"

#include <limits.h>
#include <math.h>
#include <stdint.h>

/* The trailing lengths are those of the character arguments (Fortran calling convention). */
extern void dsyev_(const char *jobz, const char *uplo, const int *n, double *a, const int *lda,
                   double *w, double *work, const int *lwork, int *info, size_t, size_t);
extern void sposv_(const char *uplo, const int *n, const int *nrhs, float *a, const int *lda,
                   float *b, const int *ldb, int *info, size_t);

enum { MAX_N = 1 << 14 };

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
