#include "client/core/policy.h"

#include <stdio.h>
#include <string.h>

static const char *model_text(enum xf_plan_model kind) {
  static const char *const names[] = {
#define MODEL_NAME(n, t) t,
      XF_PLAN_MODEL_LIST(MODEL_NAME)
#undef MODEL_NAME
  };
  return (size_t)kind < sizeof names / sizeof names[0] ? names[kind] : "?";
}

static enum xf_rc refuse(const char **key, const char *name) {
  *key = name;
  return XF_E_POLICY;
}

static enum xf_rc refuse_model(const struct xf_policy *policy, const struct xf_plan *plan,
                               const char **key, struct xf_diag *diag) {
  char list[128] = "";
  for (uint32_t i = 0, at = 0; i < policy->n_models && at < sizeof list; i++) {
    int n = snprintf(list + at, sizeof list - at, "%s%s", i ? ", " : "", policy->models[i]);
    if (n < 0) break;
    at += (uint32_t)n;
  }
  return xf_diag_set(diag, refuse(key, "policy.models"),
                     "the plan trains model \"%s\", policy.models allows %s",
                     model_text(plan->model.kind), list);
}

/* Limits that were written of a silo's updates must not quietly become limits of a record's gradients. */
static enum xf_rc check_unit(const struct xf_policy *policy, const struct xf_plan *plan,
                             const char **key, struct xf_diag *diag) {
  const char *limit = policy->clip > 0               ? "policy.clip"
                      : policy->noise_multiplier > 0 ? "policy.noise_multiplier"
                      : policy->max_epsilon > 0      ? "policy.max_epsilon"
                                                     : NULL;
  /* the list goes from the strongest to the weakest */
  if (!limit || !xf_plan_by_units(plan) || plan->privacy.unit <= policy->unit) return XF_OK;
  const char *asked = xf_plan_unit_text(plan->privacy.unit);
  return xf_diag_set(diag, refuse(key, "policy.unit"),
                     "the plan's privacy.unit is %s, and with policy.unit %s %s is about more than "
                     "one %s: write policy.unit: %s if it may be about each %s, or leave out %s",
                     asked, xf_plan_unit_text(policy->unit), limit, asked, asked, asked, limit);
}

enum xf_rc xf_policy_check_plan(const struct xf_policy *policy, const struct xf_plan *plan,
                                const char **key, struct xf_diag *diag) {
  struct xf_plan_view v;
  xf_plan_policy_view(&v, plan);
  if (policy->max_rounds && v.rounds > policy->max_rounds)
    return xf_diag_set(diag, refuse(key, "policy.max_rounds"),
                       "the plan asks for %llu rounds, policy.max_rounds allows %llu",
                       (unsigned long long)v.rounds, (unsigned long long)policy->max_rounds);
  if (policy->max_epochs && v.max_epochs > policy->max_epochs)
    return xf_diag_set(diag, refuse(key, "policy.max_epochs"),
                       "the plan asks for %u local epochs a round, policy.max_epochs allows %u",
                       v.max_epochs, policy->max_epochs);
  if (policy->max_steps && v.max_steps > policy->max_steps)
    return xf_diag_set(diag, refuse(key, "policy.max_steps"),
                       "the plan asks for %u local steps a round, policy.max_steps allows %u",
                       v.max_steps, policy->max_steps);
  if (v.aligned && !policy->allow_aligned)
    return xf_diag_set(
        diag, refuse(key, "policy.allow_aligned"),
        "the plan exchanges rows keyed by pseudonyms, policy.allow_aligned is false");
  if ((policy->noise_multiplier > 0 || v.noise_multiplier > 0) && !v.uniform)
    return xf_diag_set(
        diag, refuse(key, "policy.noise_multiplier"),
        "with noise on (plan %.4g, policy.noise_multiplier %.4g), every stage must have weighting "
        "uniform; the plan weighs by samples",
        v.noise_multiplier, policy->noise_multiplier);
  if (policy->noise_multiplier > 0 && v.statistics && !(v.noise_multiplier > 0))
    return xf_diag_set(diag, refuse(key, "policy.noise_multiplier"),
                       "the plan sums statistics without noise, which bound no user: a silo with "
                       "policy.noise_multiplier %.4g needs a plan with privacy.noise_multiplier",
                       policy->noise_multiplier);
  const enum xf_rc rc = check_unit(policy, plan, key, diag);
  if (rc) return rc;
  struct xf_policy_effect e;
  xf_policy_effect_get(&e, policy, plan);
  if (e.noise_multiplier > 0 && !(e.clip > 0) && plan->privacy.unit != XF_PLAN_UNIT_USER)
    return xf_diag_set(
        diag, refuse(key, "policy.clip"),
        "noise of multiplier %.4g needs a clip: set policy.clip, or privacy.clip in the plan",
        e.noise_multiplier);
  if (!e.metrics && xf_plan_needs_losses(plan))
    return xf_diag_set(
        diag, refuse(key, "policy.export_metrics"),
        "the plan chooses silos by their losses (fed.select.policy), and with "
        "policy.noise_multiplier %.4g and policy.export_metrics false this silo says "
        "none: it needs a plan with policy stratified or uniform",
        policy->noise_multiplier);
  if (v.own_steps && (e.clip > 0 || e.noise_multiplier > 0))
    return xf_diag_set(
        diag, refuse(key, e.noise_multiplier > 0 ? "policy.noise_multiplier" : "policy.clip"),
        "updates of fed.algorithm %s must be what the local steps gave, and this silo has "
        "policy.clip "
        "or policy.noise_multiplier: it needs a plan with fed.algorithm: fedavg",
        xf_plan_algorithm_text(plan->stages[0].fed.algorithm));
  if (v.exact && (e.clip > 0 || e.noise_multiplier > 0))
    return xf_diag_set(
        diag, refuse(key, e.noise_multiplier > 0 ? "policy.noise_multiplier" : "policy.clip"),
        "the plan adds up exact sums of users' rows (rows.rule: sums), and this silo clips or "
        "noises "
        "what leaves: it needs a plan with rows.rule: pull");
  if (v.topk && e.noise_multiplier > 0)
    return xf_diag_set(diag, refuse(key, "policy.noise_multiplier"),
                       "the plan sends each silo's largest changes (fed.encoding: topk), and under "
                       "policy.noise_multiplier %.4g those are the noise's: this silo needs a plan "
                       "with fed.encoding: int8 or qsgd",
                       policy->noise_multiplier);
  bool allowed = policy->n_models == 0;
  for (uint32_t i = 0; i < policy->n_models && !allowed; i++)
    allowed = strcmp(policy->models[i], model_text(plan->model.kind)) == 0;
  if (!allowed) return refuse_model(policy, plan, key, diag);
  return XF_OK;
}

enum xf_rc xf_policy_check_offer(const struct xf_policy *policy, uint64_t released, uint32_t cohort,
                                 double epsilon, const char **key, struct xf_diag *diag) {
  if (policy->max_rounds && released >= policy->max_rounds)
    return xf_diag_set(diag, refuse(key, "policy.max_rounds"),
                       "%llu updates were released, policy.max_rounds allows %llu",
                       (unsigned long long)released, (unsigned long long)policy->max_rounds);
  if (cohort < policy->min_cohort)
    return xf_diag_set(diag, refuse(key, "policy.min_cohort"),
                       "the coordinator claims a cohort of %u, policy.min_cohort asks for %u",
                       cohort, policy->min_cohort);
  if (policy->max_epsilon > 0 && !(epsilon <= policy->max_epsilon))
    return xf_diag_set(diag, refuse(key, "policy.max_epsilon"),
                       "epsilon would reach %.4g, policy.max_epsilon is %.4g", epsilon,
                       policy->max_epsilon);
  return XF_OK;
}

void xf_policy_effect_get(struct xf_policy_effect *out, const struct xf_policy *policy,
                          const struct xf_plan *plan) {
  double clip = plan->privacy.clip;
  if (policy->clip > 0 && (!(clip > 0) || policy->clip < clip)) clip = policy->clip;
  double noise = plan->privacy.noise_multiplier;
  if (policy->noise_multiplier > noise) noise = policy->noise_multiplier;
  *out = (struct xf_policy_effect){clip, noise, policy->max_weight,
                                   noise <= 0 || policy->export_metrics};
}
