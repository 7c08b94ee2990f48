/* SCAFFOLD: its control variates are mean gradients only when the local steps are plain ones at one rate. */
#include "plan/stages.h"
#include "plan/view.h"

#define REFUSE(...) return xf_diag_set(diag, XF_E_CONFIG, __VA_ARGS__)

enum xf_rc xf_plan_check_control(const struct xf_plan *plan, const struct xf_plan_stage_part *s,
                                 struct xf_diag *diag) {
  const char *name = xf_plan_algorithm_text(s->fed.algorithm);
  if (s->fed.algorithm != XF_PLAN_ALGORITHM_SCAFFOLD) return XF_OK;
  if (plan->model.kind == XF_PLAN_MODEL_RECOMMENDER)
    REFUSE("fed.algorithm: a recommender's scorer is trained with fedavg, not %s; write fedavg",
           name);
  if (xf_plan_is_aligned(plan))
    REFUSE("model.users: rows of aligned users are held by some silos only, and fed.algorithm %s "
           "has control variates for what all hold; write users: user, or algorithm: fedavg",
           name);
  if (s->local.optimizer.kind != XF_PLAN_OPTIMIZER_SGD)
    REFUSE("local.optimizer.kind: fed.algorithm %s takes a silo's mean gradient from its plain "
           "steps, and %s takes others; write kind: sgd, or algorithm: fedavg",
           name, xf_plan_optimizer_text(s->local.optimizer.kind));
  if (s->fed.server.kind != XF_PLAN_SERVER_SGD)
    REFUSE("fed.server.kind: fed.algorithm %s moves the model by server.lr times the mean, and %s "
           "does not; write kind: sgd, or algorithm: fedavg",
           name, xf_plan_server_text(s->fed.server.kind));
  if (plan->privacy.clip > 0 || plan->privacy.noise_multiplier > 0 || xf_plan_by_units(plan))
    REFUSE("privacy.clip: fed.algorithm %s takes a silo's mean gradient from what its steps moved, "
           "which clip and noise change; leave privacy out, or write algorithm: fedavg",
           name);
  return XF_OK;
}
