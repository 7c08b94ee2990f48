/*
 * logit.h - logistic regression on a few features: several scores of labelled pairs as one.
 *
 *   loss(w, b) = sum over rows of log(1 + exp(-t (w . z + b))) + l2 / 2 |w|^2     t: label 1 or -1, z: standardised features
 *
 * Features lose the mean and the deviation of the rows fitted on; b is not penalised. Newton's method with halved steps, in
 * double and in the order of rows, until the gradient is below 1e-8 a row: the same settings, the same figures.
 * Not for: ranked lists (stack.h). Owner: caller, no memory inside. Thread: any after xf_blas_start.
 */
#ifndef XF_REC_LOGIT_H
#define XF_REC_LOGIT_H

#include "base/diag.h"

#include <stddef.h>
#include <stdint.h>

enum { XF_LOGIT_MAX = 64 };

struct xf_logit {
  uint32_t n_feature;
  double mean[XF_LOGIT_MAX], unit[XF_LOGIT_MAX]; /* unit 0: constant in the fit, does not count */
  double w[XF_LOGIT_MAX], b;
  double loss; /* with the penalty, at the end */
  uint32_t n_step;
};

/* Fits. l2 > 0. @shape x[n x n_feature], label[n] 0 or 1, both present @err E_SHAPE (n_feature) E_RANGE (l2; one label only)
   E_NAN (a feature) */
XF_WARN_UNUSED enum xf_rc xf_logit_fit(struct xf_logit *out, const double *x, const uint8_t *label,
                                       size_t n, uint32_t n_feature, double l2,
                                       struct xf_diag *diag);
/* w . z + b; above 0: rather 1. @shape x[n_feature] */
double xf_logit_score(const struct xf_logit *logit, const double *x);

#endif
