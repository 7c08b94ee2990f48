/* Plans whose training is private per unit: a record, or a user with all of theirs (DP-SGD inside the silo). */
#include "plan/stages.h"
#include "plan/view.h"

#define REFUSE(...) return xf_diag_set(diag, XF_E_CONFIG, __VA_ARGS__)

static enum xf_rc check_unit(const struct xf_plan *plan, struct xf_diag *diag) {
  const bool user = plan->privacy.unit == XF_PLAN_UNIT_USER;
  switch (plan->data.kind) {
  case XF_PLAN_DATA_INTERACTIONS:
    REFUSE("privacy.unit: user is what noise on statistics hides; what %s exchanges are rows of "
           "single users, which no clipped sum hides; write unit: silo",
           xf_plan_model_text(plan->model.kind));
  case XF_PLAN_DATA_TEXT: REFUSE("privacy.unit: a silo's text is one speaker's; write unit: silo");
  case XF_PLAN_DATA_ANSWERS:
    if (!user) REFUSE("privacy.unit: records of answers are students; write unit: user");
    break;
  case XF_PLAN_DATA_TABLE:
  case XF_PLAN_DATA_IDX:
    if (user)
      REFUSE("privacy.unit: a %s does not say which records are one user's; write unit: record, "
             "if each is another person",
             plan->data.kind == XF_PLAN_DATA_IDX ? "set of images" : "table");
  }
  if (plan->model.kind == XF_PLAN_MODEL_CONV4)
    REFUSE("privacy.unit: the batch norm of conv4 mixes the units of a batch and keeps their means "
           "without clip or noise; write model.kind: cnn or cnn-small");
  if (plan->data.table.scale == XF_PLAN_SCALE_SILO)
    REFUSE("data.table.scale: with silo each record moves the inputs of all others, which "
           "privacy.unit does not cover; write none and scale by constants");
  return XF_OK;
}

static enum xf_rc check_local(const struct xf_plan *plan, const struct xf_plan_stage_part *s,
                              struct xf_diag *diag) {
  if (s->fed.algorithm != XF_PLAN_ALGORITHM_FEDAVG &&
      s->fed.algorithm != XF_PLAN_ALGORITHM_REPTILE &&
      s->fed.algorithm != XF_PLAN_ALGORITHM_FEDPROX &&
      s->fed.algorithm != XF_PLAN_ALGORITHM_SCAFFOLD &&
      s->fed.algorithm != XF_PLAN_ALGORITHM_FEDNOVA) /* refused by xf_plan_check_control */
    REFUSE("fed.algorithm: privacy.unit clips what a unit adds to one step, and %s takes several "
           "for each; write fedavg or reptile",
           xf_plan_algorithm_text(s->fed.algorithm));
  if (s->local.epochs)
    REFUSE("local.epochs: with privacy.unit record or user the number of steps must not depend on "
           "the data; write local.steps");
  if (!(s->local.sample_rate > 0))
    REFUSE("local.sample_rate: with privacy.unit record or user each unit takes part in a step "
           "with this probability; write e.g. 0.05, or 1");
  if (s->local.batch == 0)
    REFUSE("local.batch: with privacy.unit record or user a step's sum is divided by it, and 0 is "
           "the number of records; write sample_rate times a usual number of units");
  if (s->local.prox > 0)
    REFUSE("local.prox: a proximal term is no unit's gradient; write algorithm: fedavg");
  if (s->local.l2 > 0)
    REFUSE("local.l2: it would be clipped with each unit's gradient; write local.optimizer: {kind: "
           "adamw, weight_decay: ...}");
  if (plan->privacy.clip <= 0)
    REFUSE("privacy.clip: unit record and user bound each unit's gradient; write clip above 0");
  return XF_OK;
}

enum xf_rc xf_plan_check_units(const struct xf_plan *plan, struct xf_diag *diag) {
  enum xf_rc rc = check_unit(plan, diag);
  for (uint32_t i = 0; i < plan->n_stages && !rc; i++)
    if (plan->stages[i].kind == XF_PLAN_STAGE_TRAIN) {
      rc = check_local(plan, &plan->stages[i], diag);
      if (rc) rc = xf_diag_prefix(diag, rc, "stages[%u]", i);
    }
  if (!rc && plan->early_stop.patience && plan->privacy.noise_multiplier > 0)
    REFUSE("early_stop: needs metrics, which silos do not send with noise; leave it out");
  return rc;
}
