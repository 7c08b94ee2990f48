/*
 * policy.h - what a silo refuses: limits of its own `policy:` section that no plan and no coordinator can
 * weaken (decision 12). Pure checks; every refusal names its key.
 *
 * Effective values: clip = min of plan and policy, noise = max, weight = min(samples, max_weight). In a plan whose training is private
 * per unit, clip, noise_multiplier and max_epsilon are about a record or user, not about the silo's update: `unit` must allow it.
 * Not for: the coordinator's own checks (server/core). Thread: any. Owner: values.
 */
#ifndef XF_CLIENT_CORE_POLICY_H
#define XF_CLIENT_CORE_POLICY_H

#include "base/diag.h"
#include "plan/view.h"

struct xf_policy {
  uint64_t max_rounds;     /* updates released in one run; 0: no limit */
  uint32_t max_epochs;     /* local epochs per round; 0: no limit */
  uint32_t max_steps;      /* local steps per round; 0: no limit */
  uint32_t min_cohort;     /* members selected, as the coordinator claims; 0: no limit */
  uint32_t max_weight;     /* 0: no limit */
  double clip;             /* largest L2 bound this silo sends with; 0: the plan's */
  double noise_multiplier; /* least noise; 0: the plan's */
  double max_epsilon;      /* of this silo's account, replace-one; 0: no limit */
  enum xf_plan_unit unit;  /* weakest unit of training that the three above may be about */
  bool allow_aligned;      /* rows keyed by pseudonyms may leave */
  bool export_metrics;     /* n_k, loss and evaluation sums may leave although noise is on */
  char models[8][XF_PLAN_NAME_MAX]; /* allowed model kinds; none: all */
  uint32_t n_models;
};

/* What a silo will do under plan and policy together. */
struct xf_policy_effect {
  double clip, noise_multiplier;
  uint32_t max_weight;
  bool metrics; /* n_k, loss, evaluation sums are sent */
};

/* Judges a whole plan. `key` gets the policy key that refuses. @err E_POLICY with diag
   @own key static */
XF_WARN_UNUSED enum xf_rc xf_policy_check_plan(const struct xf_policy *policy,
                                               const struct xf_plan *plan, const char **key,
                                               struct xf_diag *diag);
/* Judges one offer: released updates so far, the claimed cohort, epsilon spent. @err E_POLICY */
XF_WARN_UNUSED enum xf_rc xf_policy_check_offer(const struct xf_policy *policy, uint64_t released,
                                                uint32_t cohort, double epsilon, const char **key,
                                                struct xf_diag *diag);
/* Values in force. @own caller's struct */
void xf_policy_effect_get(struct xf_policy_effect *out, const struct xf_policy *policy,
                          const struct xf_plan *plan);

#endif
