/*
 * foldkern.h - the two inner loops of a fold, as tables: plain loops that are the specification, and
 * fast ones that give the same bits. Between the files of fed and their tests only (fold.h is the door).
 *
 * Products of an integer below 2^29 and a float are exact in double, so a fused multiply-add rounds
 * exactly like a product and a sum, and only the order of the sums matters.
 * Thread: any. Owner: constant data. @source the sums of fold.h
 */
#ifndef XF_FED_FOLDKERN_H
#define XF_FED_FOLDKERN_H

#include <stdbool.h>
#include <stddef.h>

enum { XF_FOLD_GROUP = 16, XF_FOLD_LANES = 8 };

/* What one call of `finish` works on. */
struct xf_fold_finish {
  const double *acc;
  const float *old_value;
  float *state; /* in and out; NULL without momentum */
  float *new_value;
  double weight, eta, mu;
};

struct xf_fold_kern {
  const char *name;
  /* acc[j] += w[0] * x[0][j], then + w[1] * x[1][j], ... in this order; 1 <= n_x <= XF_FOLD_GROUP. */
  void (*add)(double *acc, const double *w, const float *const *x, size_t n_x, size_t n);
  /* mean = acc / weight; new = old + eta mean. Adds mean^2 of coordinate j to lane[j % LANES]; false
     when a new value or state is not finite. */
  bool (*finish)(const struct xf_fold_finish *f, double lane[XF_FOLD_LANES], size_t n);
};

extern const struct xf_fold_kern xf_fold_kern_ref;
extern const struct xf_fold_kern xf_fold_kern_sse2;
extern const struct xf_fold_kern xf_fold_kern_avx2;

/* The fastest table for this CPU. @own static @thread any */
const struct xf_fold_kern *xf_fold_kern_get(void);
/* The i-th table that this CPU can run, from the reference on; NULL behind the last. @own static */
const struct xf_fold_kern *xf_fold_kern_next(size_t i);

#endif
