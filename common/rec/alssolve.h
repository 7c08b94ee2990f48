/*
 * alssolve.h - the row systems of implicit ALS: with the other side's factors O fixed, each row x with observed set I
 *
 *   (a O^T O + lambda E + sum_{j in I} o_j o_j^T) x = sum_{j in I} o_j + lambda kappa m,   lambda = rho (n + a N)^nu
 *
 * n = |I|, N = active columns, m = pull target. All rows are solved in the eigenbasis of O^T O, where the first two terms
 * are a diagonal D: rows with n < dim then need only an n x n system (Woodbury), the others a dim x dim one.
 * Rows without observations are 0 (active-only mask). Each row depends on nothing but O, so any number of threads gives
 * the same bits.
 * Not for: what to solve when (als.h). Owner: caller. Thread: a basis is immutable once built; a workspace has one user.
 * @source Hu, Koren & Volinsky 2008; Rendle et al. 2022 (frequency-scaled regularisation); Woodbury 1950
 */
#ifndef XF_REC_ALSSOLVE_H
#define XF_REC_ALSSOLVE_H

#include "base/diag.h"
#include "base/worker.h"
#include "data/split.h"

enum xf_als_form { XF_ALS_AUTO, XF_ALS_PRIMAL, XF_ALS_DUAL }; /* AUTO: dual when n < dim */

/* Weights of the objective. */
struct xf_als_weight {
  double a, rho, nu; /* unobserved weight, regularisation, exponent */
};

/* The fixed side, rotated. */
struct xf_als_basis {
  uint32_t n, n_active, dim;
  float *o;     /* [n x dim] rotated factors O V */
  float *v;     /* [dim x dim] V: column k is the k-th eigenvector */
  double *gram; /* [dim x dim] O^T O */
  double *eig;  /* [dim] its eigenvalues, >= 0 */
};

/* Scratch of one thread. */
struct xf_als_work {
  uint32_t dim;
  float *x, *a, *d, *z, *t; /* gathered rows, [dim x dim] system, [dim] each */
  double flops;             /* counted while solving; of a symmetric product, one half */
};

/* Gram matrix, eigenvectors and rotation of `factor`; *flops += the work, or NULL. @own out: xf_als_basis_deinit
   @shape factor[n x dim] @err E_NAN E_NOMEM */
XF_WARN_UNUSED enum xf_rc xf_als_basis_init(struct xf_als_basis *out, const float *factor,
                                            uint32_t n, uint32_t n_active, uint32_t dim,
                                            double *flops);
/* Releases; idempotent. @own basis */
void xf_als_basis_deinit(struct xf_als_basis *basis);
/* Scratch for dim. @own caller: xf_als_work_deinit @err E_NOMEM */
XF_WARN_UNUSED enum xf_rc xf_als_work_init(struct xf_als_work *out, uint32_t dim);
/* Releases; idempotent. @own work */
void xf_als_work_deinit(struct xf_als_work *work);

/* lambda of a row with n observations (fractional when terms are weighted). @unit as the objective */
double xf_als_lambda(const struct xf_als_weight *w, double n, double n_other);
/* One system in rotated coordinates: A out = t sum_{j in item} o_j + c, t 0 or 1, c NULL for 0.
   @shape item[n], c[dim], out[dim] (may be c) @err E_NAN */
XF_WARN_UNUSED enum xf_rc xf_als_row(struct xf_als_work *work, const struct xf_als_basis *basis,
                                     const struct xf_als_weight *w, enum xf_als_form form,
                                     const uint32_t *item, uint32_t n, float t, const float *c,
                                     float *out);
/* Rotates n rows into (or, back, out of) the basis; in and out differ. @shape in[n x dim], out[n x dim] */
void xf_als_rotate(const struct xf_als_basis *basis, const float *in, uint32_t n, bool back,
                   float *out);

/* What one half-step solves. */
struct xf_als_side {
  const struct xf_csr *observed; /* [n_row] of columns */
  const struct xf_als_basis *basis;
  struct xf_als_weight w;
  enum xf_als_form form;
  const float *target; /* [n_row x dim] m, NULL: none */
  float kappa;         /* used with target */
  bool stay;           /* leave solved rows in the basis */
  float *row;          /* [n_row x dim] solved; rows without observation become 0 */
};
/* Solves all rows on the pool's threads (NULL or idle pool only: the caller's thread); *flops += the work, or NULL.
   @shape side->row @err E_NAN E_NOMEM E_STATE (the pool has other jobs) @thread the pool's owner */
XF_WARN_UNUSED enum xf_rc xf_als_solve(const struct xf_als_side *side, struct xf_worker *pool,
                                       double *flops);

#endif
