/*
 * als.h - implicit alternating least squares (iALS): fit, half-steps for rows, sums and pulls, and its scorer.
 *
 * Objective of one domain, U users and I items with a train event ("active"; the others have zero rows):
 *   sum_{(u,i) observed} (1 - p_u.q_i)^2 + a sum_{u in U, i in I} (p_u.q_i)^2
 *     + sum_u lambda_u |p_u - kappa m_u|^2 + sum_i lambda_i |q_i|^2,
 *   lambda_u = rho (n_u + a |I|)^nu, lambda_i = rho (n_i + a |U|)^nu.
 * One state, four uses:
 *   local      xf_als_init, xf_als_fit
 *   pull       users step with targets m_u and kappa (leave-own-out means of other domains' rows, xf_als_pull_target)
 *   sums       each domain adds A_u = sum q q^T + a Q^T Q, b_u = sum q, c_u = n_u + a |I| of its active users into one
 *              vector per user; xf_als_set_sums solves (A_u + rho c_u^nu E) p_u = b_u: exact federated iALS
 *   weighted   as sums with each domain's vector times its weight (1 for the target, less for the others)
 * Not for: row systems (alssolve.h), grids (alssearch.h). Owner: caller. Thread: one at a time; a pool may help.
 * @source Hu, Koren & Volinsky 2008; Rendle, Krichene, Zhang & Koren 2022; docs/internals/rec.md "ALS"
 */
#ifndef XF_REC_ALS_H
#define XF_REC_ALS_H

#include "rec/alssolve.h"
#include "rec/scorer.h"

struct xf_als_spec {
  uint32_t dim;
  struct xf_als_weight w; /* a .01, rho .3, nu .5 are good on small catalogues */
  uint32_t sweeps;        /* of xf_als_fit; 0: 6 */
  uint64_t seed;          /* of the start rows, common to all domains */
  const uint64_t *
      key; /* [n_users] keys of the start rows, common to all domains; NULL: row numbers. Read at init */
  enum xf_als_form form; /* AUTO but in tests */
};

struct xf_als {
  struct xf_als_spec spec;
  uint32_t n_users, n_items, n_active_users, n_active_items;
  struct xf_csr by_user;  /* borrowed */
  struct xf_csr by_item;  /* own */
  float *p, *q;           /* [n_users x dim], [n_items x dim] */
  struct xf_worker *pool; /* borrowed, may be NULL; set it any time */
  double flops, seconds;  /* of all half-steps so far; of a symmetric product, one half counts */
};

struct xf_als_pull {
  const float *target; /* [n_users x dim] m_u */
  float kappa;         /* 0: no pull */
};

/* Start rows p ~ N(0, .1^2) of active users from (seed, key), and q solved from them. Borrows data->train.
   @own out: xf_als_deinit @err E_INVAL (spec) E_SHAPE (train) E_NAN E_NOMEM */
XF_WARN_UNUSED enum xf_rc xf_als_init(struct xf_als *out, const struct xf_rec_data *data,
                                      const struct xf_als_spec *spec, struct xf_diag *diag);
/* Releases; idempotent. @own als */
void xf_als_deinit(struct xf_als *als);
/* Half-step: all users from the items. pull NULL: none. @err E_RANGE (kappa) E_NAN E_NOMEM E_STATE (pool is busy) */
XF_WARN_UNUSED enum xf_rc xf_als_step_users(struct xf_als *als, const struct xf_als_pull *pull,
                                            struct xf_diag *diag);
/* Half-step: all items from the users. @err E_NAN E_NOMEM E_STATE (pool is busy) */
XF_WARN_UNUSED enum xf_rc xf_als_step_items(struct xf_als *als, struct xf_diag *diag);
/* Local fit: users, then items and users by turns, so that the users' rows are the last solved. @err of the steps */
XF_WARN_UNUSED enum xf_rc xf_als_fit(struct xf_als *als, struct xf_diag *diag);
/* The objective, for tests and logs. @unit squared errors */
double xf_als_objective(const struct xf_als *als, const struct xf_als_pull *pull);

/* Rows of users [first, first + n): zeros for inactive ones. @shape out[n x dim] */
void xf_als_get_rows(const struct xf_als *als, uint32_t first, uint32_t n, float *out);
/* Overwrites rows of active users; rows of others are ignored. @shape in[n x dim] @err E_SHAPE E_NAN (nothing set) */
XF_WARN_UNUSED enum xf_rc xf_als_set_rows(struct xf_als *als, uint32_t first, uint32_t n,
                                          const float *in);
/* m_u = (sum_u - p_u) / (D_u - 1), 0 where D_u < min_holders or u is inactive; sum may include p_u clipped as here: `own`
   [n_users x dim] is what was sent. @shape sum, out [n_users x dim], holders[n_users] */
void xf_als_pull_target(const struct xf_als *als, const float *sum, const float *own,
                        const uint32_t *holders, uint32_t min_holders, float *out);

/* Numbers of one user's vector: packed lower triangle by rows of A_u, then b_u, then c_u. @unit numbers */
static inline size_t xf_als_sums_len(uint32_t dim) { return (size_t)dim * (dim + 1) / 2 + dim + 1; }
/* out += weight times the vectors of users [first, first + n) (0 for inactive ones). @shape out[n x sums_len] @err E_NOMEM */
XF_WARN_UNUSED enum xf_rc xf_als_add_sums(const struct xf_als *als, uint32_t first, uint32_t n,
                                          float weight, float *out);
/* Solves active users [first, first + n) from the sum over domains. @shape sums[n x sums_len]
   @err E_SHAPE E_NAN E_NOMEM */
XF_WARN_UNUSED enum xf_rc xf_als_set_sums(struct xf_als *als, uint32_t first, uint32_t n,
                                          const float *sums, struct xf_diag *diag);

/* A scorer of copies of the factors. Known users score with their row; unknown ones, or known ones with another history
   than the train part's, are folded in. explain: q_j^T A_u^-1 q_i of history item i, and the pull's part under XF_NO_ID;
   the parts sum to the folded-in score, which is the row's when the users' step came last. pull NULL: none.
   @own out: xf_scorer_free @err E_NAN E_NOMEM */
XF_WARN_UNUSED enum xf_rc xf_als_scorer(struct xf_scorer **out, const struct xf_als *als,
                                        const struct xf_als_pull *pull, struct xf_diag *diag);

#endif
