/*
 * ridge.h - linear heads in closed form, one column for each target:
 *
 *   W = W0 + (Phi^T Phi + lambda I)^-1 Phi^T (Y - Phi W0)
 *
 * W0 is what a head is drawn to, 0 without one. lambda is the one with the least leave-one-out error,
 * e_i = (y_i - yhat_i) / (1 - h_i), summed over targets; of equal ones (to 1e-9) the largest. One eigendecomposition, of the smaller of
 * Phi^T Phi [d x d] and Phi Phi^T [n x n], serves the whole search. An intercept is a column of ones, drawn like the others.
 * Not for: features of a model (head.h). Owner: the caller's arrays. Thread: any after xf_blas_start.
 */
#ifndef XF_TRAIN_RIDGE_H
#define XF_TRAIN_RIDGE_H

#include "base/diag.h"

#include <stdint.h>

struct xf_ridge_job {
  /* in */
  uint32_t n, d, m;     /* samples, features, targets; n may be 0 */
  const double *phi;    /* [n x d] */
  const double *y;      /* [n x m] */
  const double *prior;  /* [d x m] W0, or NULL */
  const double *lambda; /* [n_lambda] each > 0, ascending; NULL: 13 from .001 to 1000 */
  uint32_t n_lambda;
  /* out */
  double *w;     /* [d x m] may be prior */
  double chosen; /* lambda */
  double loo;    /* mean squared leave-one-out error over samples and targets; 0 without samples */
};

/* Solves. @err E_INVAL (lambda; d or m 0) E_LIMIT (both n and d above 16,384) E_NAN (not finite) E_NOMEM
   @source Hoerl & Kennard 1970; leave-one-out: Allen 1974 (PRESS); n < d: Bertinetto et al. 2019, eq. 4 */
XF_WARN_UNUSED enum xf_rc xf_ridge_solve(struct xf_ridge_job *job, struct xf_diag *diag);

#endif
