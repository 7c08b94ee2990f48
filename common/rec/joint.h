/*
 * joint.h - what a federation of domains with common users computes with ALS rows, in one process: for tables, tests and
 * comparison with the stages that do it over the network. Only sums of user rows would leave a domain.
 *
 *   pull  common start rows; a users' step towards the plain mean of all holders' rows (kappa 1); then `rounds` times a users'
 *         step towards the leave-own-out mean with kappa and an items' step; a users' step ends it
 *   sums  exact federated ALS: each sweep every domain adds A_u and b_u of its users, solves from the sum, then its items
 *
 * Not for: the network (fed/pull.h), tuning. Owner: caller, xf_joint_deinit. Thread: one; the pool helps.
 * @source docs/internals/rec.md "ALS"
 */
#ifndef XF_REC_JOINT_H
#define XF_REC_JOINT_H

#include "rec/als.h"

struct xf_joint_domain {
  const struct xf_rec_data *data;
  const uint32_t *global; /* [n_users] number of the user in all domains, < n_global */
};

struct xf_joint_spec {
  struct xf_als_spec als; /* key is ignored: the start rows' keys are the global numbers */
  float kappa;
  uint32_t rounds; /* of the pull, or sweeps of the sums */
  uint32_t min_holders;
};

struct xf_joint {
  uint32_t n;
  struct xf_als *als;       /* [n] */
  struct xf_als_pull *pull; /* [n] of the last users' step; sums: NULL targets */
  uint64_t *bytes;          /* [n] sent in all rounds; as much comes back */
  double seconds;
};

/* Runs the pull. @own out: xf_joint_deinit @err those of xf_als_init and the steps */
XF_WARN_UNUSED enum xf_rc xf_joint_pull(struct xf_joint *out, const struct xf_joint_domain *domain,
                                        uint32_t n, uint32_t n_global,
                                        const struct xf_joint_spec *spec, struct xf_worker *pool,
                                        struct xf_diag *diag);
/* Runs the sums. @own out: xf_joint_deinit @err those of xf_als_init and the steps */
XF_WARN_UNUSED enum xf_rc xf_joint_sums(struct xf_joint *out, const struct xf_joint_domain *domain,
                                        uint32_t n, uint32_t n_global,
                                        const struct xf_joint_spec *spec, struct xf_worker *pool,
                                        struct xf_diag *diag);
/* Releases; idempotent. @own joint */
void xf_joint_deinit(struct xf_joint *joint);

#endif
