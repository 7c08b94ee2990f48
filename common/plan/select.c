/* fed.select: which key belongs to which policy, and what excludes a choice by what silos say of themselves. */
#include "plan/stages.h"
#include "plan/view.h"

#define REFUSE(...) return xf_diag_set(diag, XF_E_CONFIG, __VA_ARGS__)

bool xf_plan_remembers(const struct xf_plan_stage_part *stage) {
  return stage->fed.select.policy != XF_PLAN_SELECT_STRATIFIED &&
         stage->fed.select.policy != XF_PLAN_SELECT_UNIFORM;
}

bool xf_plan_needs_losses(const struct xf_plan *plan) {
  for (uint32_t i = 0; i < plan->n_stages; i++)
    if (plan->stages[i].fed.select.policy == XF_PLAN_SELECT_CHOICE ||
        plan->stages[i].fed.select.policy == XF_PLAN_SELECT_OORT)
      return true;
  return false;
}

static enum xf_rc check_keys(const struct xf_plan_stage_part *s, struct xf_diag *diag) {
  const enum xf_plan_select p = s->fed.select.policy;
  const bool oort = p == XF_PLAN_SELECT_OORT, choice = p == XF_PLAN_SELECT_CHOICE;
  const struct {
    const char *key, *policy;
    bool read;
    double value, def; /* the schema's */
  } each[] = {
      {"candidates", "power-of-choice", choice, s->fed.select.candidates, 0},
      {"explore", "oort", oort, s->fed.select.explore, 0.9},
      {"explore_decay", "oort", oort, s->fed.select.explore_decay, 0.98},
      {"explore_min", "oort", oort, s->fed.select.explore_min, 0.3},
      {"cutoff", "oort", oort, s->fed.select.cutoff, 0.95},
      {"clip", "oort", oort, s->fed.select.clip, 0.95},
      {"duration_quantile", "oort", oort, s->fed.select.duration_quantile, 1},
      {"duration_penalty", "oort", oort, s->fed.select.duration_penalty, 2},
      {"pacer_window", "oort", oort, s->fed.select.pacer_window, 0},
      {"pacer_step", "oort", oort, s->fed.select.pacer_step, 0.05},
      {"max_times", "oort", oort, s->fed.select.max_times, 0},
      {"max_times_part", "oort", oort, s->fed.select.max_times_part, 0.3},
  };
  for (size_t i = 0; i < sizeof each / sizeof each[0]; i++)
    if (!each[i].read && each[i].value != each[i].def)
      REFUSE("fed.select.%s: %g has no effect with policy %s; leave it out, or write policy: %s",
             each[i].key, each[i].value, xf_plan_select_text(p), each[i].policy);
  return XF_OK;
}

enum xf_rc xf_plan_check_select(const struct xf_plan *plan, const struct xf_plan_stage_part *s,
                                struct xf_diag *diag) {
  const enum xf_plan_select p = s->fed.select.policy;
  const enum xf_rc rc = check_keys(s, diag);
  if (rc || !xf_plan_remembers(s)) return rc;
  const char *name = xf_plan_select_text(p),
             *by = p == XF_PLAN_SELECT_WEIGHTED ? "numbers of samples" : "losses";
  if (s->kind != XF_PLAN_STAGE_TRAIN)
    REFUSE("fed.select.policy: %s chooses by what training reports, and this stage's kind is %s; "
           "write policy: stratified or uniform",
           name, xf_plan_stage_text(s->kind));
  if (plan->privacy.noise_multiplier > 0)
    REFUSE("fed.select.policy: %s chooses by %s, which silos do not send with "
           "privacy.noise_multiplier %g; write policy: stratified or uniform, or leave out the "
           "noise",
           name, by, plan->privacy.noise_multiplier);
  if (plan->privacy.secure_aggregation)
    REFUSE("fed.select.policy: %s chooses by each silo's %s, which "
           "privacy.secure_aggregation hides; write policy: stratified or uniform",
           name, by);
  if (p == XF_PLAN_SELECT_WEIGHTED && s->fed.weighting != XF_PLAN_WEIGHTING_UNIFORM)
    REFUSE("fed.select.policy: weighted asks silos in proportion to their samples, and "
           "fed.weighting counts them by samples again; write weighting: uniform, or policy: "
           "stratified");
  if (s->fed.select.candidates && s->fed.select.candidates < s->fed.cohort_count)
    REFUSE("fed.select.candidates: %u are fewer than fed.cohort_count %u; write more, or 0 for "
           "twice the members asked",
           s->fed.select.candidates, s->fed.cohort_count);
  if (s->fed.select.explore_min > s->fed.select.explore)
    REFUSE("fed.select.explore_min: %g is above fed.select.explore %g; write a smaller one",
           s->fed.select.explore_min, s->fed.select.explore);
  if (s->fed.select.pacer_window && s->fed.select.duration_quantile >= 1)
    REFUSE("fed.select.pacer_window: the pacer moves fed.select.duration_quantile, and 1 prefers "
           "every duration; write a quantile below 1, e.g. 0.3, or leave out pacer_window");
  return XF_OK;
}
