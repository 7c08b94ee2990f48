/* SCAFFOLD and FedNova: both read something out of what a silo's local steps moved, so these must be steps they know. */
#include "plan/stages.h"
#include "plan/view.h"

#define REFUSE(...) return xf_diag_set(diag, XF_E_CONFIG, __VA_ARGS__)

/* FedNova's norm of the steps: plain ones, with momentum, or with a proximal term. */
static enum xf_rc check_nova(const struct xf_plan_stage_part *s, struct xf_diag *diag) {
  const enum xf_plan_optimizer kind = s->local.optimizer.kind;
  if (kind != XF_PLAN_OPTIMIZER_SGD && kind != XF_PLAN_OPTIMIZER_MOMENTUM)
    REFUSE(
        "local.optimizer.kind: fed.algorithm fednova knows what steps of sgd and momentum weigh, "
        "not of %s; write one of them, or algorithm: fedavg",
        xf_plan_optimizer_text(kind));
  if (s->local.prox > 0 && kind != XF_PLAN_OPTIMIZER_SGD)
    REFUSE("local.prox: fed.algorithm fednova does not know what steps with both it and momentum "
           "weigh; write local.optimizer.kind: sgd, or leave prox out");
  if (s->local.prox * s->local.optimizer.lr >= 1)
    REFUSE("local.prox: %g times local.optimizer.lr %g is not below 1, and fed.algorithm fednova "
           "needs it to be; lower one of them",
           s->local.prox, s->local.optimizer.lr);
  return XF_OK;
}

enum xf_rc xf_plan_check_control(const struct xf_plan *plan, const struct xf_plan_stage_part *s,
                                 struct xf_diag *diag) {
  const char *name = xf_plan_algorithm_text(s->fed.algorithm);
  const bool nova = s->fed.algorithm == XF_PLAN_ALGORITHM_FEDNOVA;
  if (!nova && s->fed.algorithm != XF_PLAN_ALGORITHM_SCAFFOLD) return XF_OK;
  if (plan->model.kind == XF_PLAN_MODEL_RECOMMENDER)
    REFUSE("fed.algorithm: a recommender's scorer is trained with fedavg, not %s; write fedavg",
           name);
  if (xf_plan_is_aligned(plan))
    REFUSE("model.users: rows of aligned users are held by some silos only, and fed.algorithm %s "
           "is for what all hold; write users: user, or algorithm: fedavg",
           name);
  if (!nova && s->local.optimizer.kind != XF_PLAN_OPTIMIZER_SGD)
    REFUSE("local.optimizer.kind: fed.algorithm %s takes a silo's mean gradient from its plain "
           "steps, and %s takes others; write kind: sgd, or algorithm: fedavg",
           name, xf_plan_optimizer_text(s->local.optimizer.kind));
  if (s->fed.server.kind != XF_PLAN_SERVER_SGD)
    REFUSE("fed.server.kind: fed.algorithm %s moves the model by server.lr times the mean, and %s "
           "does not; write kind: sgd, or algorithm: fedavg",
           name, xf_plan_server_text(s->fed.server.kind));
  if (plan->privacy.clip > 0 || plan->privacy.noise_multiplier > 0 || xf_plan_by_units(plan))
    REFUSE("privacy.clip: fed.algorithm %s reads what a silo's steps moved, which clip and noise "
           "change; leave privacy out, or write algorithm: fedavg",
           name);
  return nova ? check_nova(s, diag) : XF_OK;
}
