/* Personalisation in a plan: which key belongs to which algorithm, and what does not go together. */
#include "plan/stages.h"
#include "plan/view.h"

#define REFUSE(...) return xf_diag_set(diag, XF_E_CONFIG, __VA_ARGS__)

bool xf_plan_is_personal(const struct xf_plan_stage_part *stage) {
  switch (stage->fed.algorithm) {
  case XF_PLAN_ALGORITHM_FEDPER:
  case XF_PLAN_ALGORITHM_FEDREP:
  case XF_PLAN_ALGORITHM_FEDBN:
  case XF_PLAN_ALGORITHM_DITTO:
  case XF_PLAN_ALGORITHM_PFEDME:
  case XF_PLAN_ALGORITHM_APFL: return true;
  default: return false;
  }
}

uint32_t xf_plan_personal_times(const struct xf_plan_stage_part *stage) {
  const enum xf_plan_algorithm a = stage->fed.algorithm;
  if (a == XF_PLAN_ALGORITHM_PFEDME) return stage->local.personal.steps;
  return a == XF_PLAN_ALGORITHM_DITTO || a == XF_PLAN_ALGORITHM_APFL ? 2 : 1;
}

uint32_t xf_plan_personal_epochs(const struct xf_plan_stage_part *stage) {
  return stage->fed.algorithm == XF_PLAN_ALGORITHM_FEDREP ? stage->local.personal.head_epochs : 0;
}

/* Keys that the algorithm does not read, and those it cannot do without. */
static enum xf_rc check_keys(const struct xf_plan_stage_part *s, struct xf_diag *diag) {
  const enum xf_plan_algorithm a = s->fed.algorithm;
  const bool rep = a == XF_PLAN_ALGORITHM_FEDREP, me = a == XF_PLAN_ALGORITHM_PFEDME,
             apfl = a == XF_PLAN_ALGORITHM_APFL, pulls = me || a == XF_PLAN_ALGORITHM_DITTO;
  const struct {
    const char *key, *of;
    bool read, needed;
    double value, def; /* the schema's */
  } each[] = {
      {"head_epochs", "fedrep", rep, rep, s->local.personal.head_epochs, 0},
      {"steps", "pfedme", me, false, s->local.personal.steps, 5},
      {"lambda", "ditto or pfedme", pulls, pulls, s->local.personal.lambda, 0},
      {"lr", "pfedme or apfl", me || apfl, me, s->local.personal.lr, 0},
      {"alpha", "apfl", apfl, false, s->local.personal.alpha, 0.5},
  };
  for (size_t i = 0; i < sizeof each / sizeof each[0]; i++) {
    if (!each[i].read && each[i].value != each[i].def)
      REFUSE("local.personal.%s: has no effect with fed.algorithm %s; leave it out, or write "
             "fed.algorithm: %s",
             each[i].key, xf_plan_algorithm_text(a), each[i].of);
    if (each[i].needed && !(each[i].value > 0))
      REFUSE("local.personal.%s: fed.algorithm %s needs it, above 0; write it, or fed.algorithm: "
             "fedper",
             each[i].key, xf_plan_algorithm_text(a));
  }
  return XF_OK;
}

enum xf_rc xf_plan_check_personal(const struct xf_plan *plan, const struct xf_plan_stage_part *s,
                                  struct xf_diag *diag) {
  const enum xf_plan_algorithm a = s->fed.algorithm;
  const char *name = xf_plan_algorithm_text(a);
  const enum xf_rc rc = check_keys(s, diag);
  if (rc || !xf_plan_is_personal(s)) return rc;
  if (plan->model.kind == XF_PLAN_MODEL_RECOMMENDER)
    REFUSE("fed.algorithm: %s keeps layers or a net in each silo, and model.kind recommender has "
           "them decide for themselves already; write fed.algorithm: fedavg",
           name);
  if (xf_plan_adapts(plan))
    REFUSE("eval.metrics: @adapt measures steps from a start that all share, and fed.algorithm %s "
           "leaves each silo its own; write the metric without @adapt, or fed.algorithm: fedavg",
           name);
  const bool second = xf_plan_personal_times(s) > 1 || a == XF_PLAN_ALGORITHM_PFEDME;
  if (second && s->local.optimizer.kind != XF_PLAN_OPTIMIZER_SGD)
    REFUSE("local.optimizer.kind: the steps of fed.algorithm %s are plain SGD; write kind: sgd, or "
           "fed.algorithm: fedper",
           name);
  if (a == XF_PLAN_ALGORITHM_PFEDME && s->fed.server.kind != XF_PLAN_SERVER_SGD)
    REFUSE("fed.server.kind: fed.algorithm pfedme mixes by beta, which is fed.server.lr; write "
           "kind: sgd, or fed.algorithm: ditto");
  return XF_OK;
}
