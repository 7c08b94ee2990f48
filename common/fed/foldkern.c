/* The plain loops, and the choice of a table for the CPU. */
#include "fed/foldkern.h"

#include <math.h>

static void add_ref(double *acc, const double *w, const float *const *x, size_t n_x, size_t n) {
  for (size_t k = 0; k < n_x; k++)
    for (size_t j = 0; j < n; j++) acc[j] += w[k] * (double)x[k][j];
}

static bool finish_ref(const struct xf_fold_finish *f, double lane[XF_FOLD_LANES], size_t n) {
  bool ok = true;
  for (size_t j = 0; j < n; j++) {
    double step = f->acc[j] / f->weight;
    lane[j % XF_FOLD_LANES] += step * step;
    if (f->state) {
      step = f->mu * (double)f->state[j] + step;
      f->state[j] = (float)step;
      ok &= isfinite(f->state[j]) != 0;
    }
    f->new_value[j] = (float)((double)f->old_value[j] + f->eta * step);
    ok &= isfinite(f->new_value[j]) != 0;
  }
  return ok;
}

const struct xf_fold_kern xf_fold_kern_ref = {"plain", add_ref, finish_ref};

#ifdef __x86_64__
static bool has_avx2(void) {
  return xf_fold_kern_avx2.add && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}
#else
static bool has_avx2(void) { return false; }
#endif

const struct xf_fold_kern *xf_fold_kern_get(void) {
  return has_avx2() ? &xf_fold_kern_avx2 : &xf_fold_kern_sse2;
}

const struct xf_fold_kern *xf_fold_kern_next(size_t i) {
  if (i == 0) return &xf_fold_kern_ref;
  if (i == 1) return &xf_fold_kern_sse2;
  return i == 2 && has_avx2() ? &xf_fold_kern_avx2 : NULL;
}
