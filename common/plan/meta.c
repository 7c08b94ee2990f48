/* Meta-learning in a plan: what its algorithms need, and the generated sinusoids to try them on. */
#include "plan/stages.h"
#include "plan/view.h"

#define REFUSE(...) return xf_diag_set(diag, XF_E_CONFIG, __VA_ARGS__)

bool xf_plan_is_meta(const struct xf_plan_stage_part *stage) {
  switch (stage->fed.algorithm) {
  case XF_PLAN_ALGORITHM_FEDAVG:
  case XF_PLAN_ALGORITHM_FEDPROX:
  case XF_PLAN_ALGORITHM_REPTILE:
  case XF_PLAN_ALGORITHM_FEDPER:
  case XF_PLAN_ALGORITHM_FEDREP:
  case XF_PLAN_ALGORITHM_FEDBN:
  case XF_PLAN_ALGORITHM_DITTO:
  case XF_PLAN_ALGORITHM_PFEDME:
  case XF_PLAN_ALGORITHM_APFL:
  case XF_PLAN_ALGORITHM_SCAFFOLD:
  case XF_PLAN_ALGORITHM_FEDNOVA: return false;
  case XF_PLAN_ALGORITHM_MAML:
  case XF_PLAN_ALGORITHM_FOMAML:
  case XF_PLAN_ALGORITHM_ANIL:
  case XF_PLAN_ALGORITHM_BOIL:
  case XF_PLAN_ALGORITHM_METASGD:
  case XF_PLAN_ALGORITHM_PERFEDAVG: break;
  }
  return true;
}

bool xf_plan_optimises(const struct xf_plan_stage_part *stage) {
  return !xf_plan_is_meta(stage) || stage->fed.algorithm == XF_PLAN_ALGORITHM_PERFEDAVG;
}

bool xf_plan_adapts(const struct xf_plan *plan) {
  struct xf_metric m;
  for (uint32_t i = 0; i < plan->eval.n_metrics; i++)
    if (!xf_plan_metric(&m, plan, i) && m.adapt) return true;
  return false;
}

enum xf_plan_hessian xf_plan_hessian_of(enum xf_plan_algorithm algorithm) {
  if (algorithm == XF_PLAN_ALGORITHM_FOMAML) return XF_PLAN_HESSIAN_NONE;
  return algorithm == XF_PLAN_ALGORITHM_PERFEDAVG ? XF_PLAN_HESSIAN_DIFFERENCE
                                                  : XF_PLAN_HESSIAN_EXACT;
}

uint32_t xf_plan_meta_gradients(const struct xf_plan_stage_part *stage) {
  uint64_t back = 0; /* of an inner step on the way back */
  if (stage->local.meta.hessian == XF_PLAN_HESSIAN_EXACT) back = 1;
  if (stage->local.meta.hessian == XF_PLAN_HESSIAN_DIFFERENCE) back = 2;
  uint64_t n = stage->local.meta.tasks * ((1 + back) * stage->local.meta.steps + 1);
  if (stage->fed.algorithm == XF_PLAN_ALGORITHM_PERFEDAVG) n *= stage->local.steps;
  return n < UINT32_MAX ? (uint32_t)n : UINT32_MAX;
}

static bool alone(const struct xf_plan *plan) {
  for (uint32_t i = 0; i < plan->n_arms; i++)
    if (plan->arms[i] == XF_PLAN_ARM_ALONE) return true;
  return false;
}

static enum xf_rc check_hessian(const struct xf_plan_stage_part *s, struct xf_diag *diag) {
  const bool none = s->local.meta.hessian == XF_PLAN_HESSIAN_NONE;
  if (s->fed.algorithm == XF_PLAN_ALGORITHM_FOMAML && !none)
    REFUSE("local.meta.hessian: fomaml leaves the Hessian out; leave out the key, or write "
           "fed.algorithm: maml");
  if (s->fed.algorithm == XF_PLAN_ALGORITHM_MAML && none)
    REFUSE("local.meta.hessian: maml without the Hessian is fomaml; write fed.algorithm: fomaml");
  return XF_OK;
}

enum xf_rc xf_plan_check_meta(const struct xf_plan *plan, const struct xf_plan_stage_part *s,
                              struct xf_diag *diag) {
  const char *name = xf_plan_algorithm_text(s->fed.algorithm);
  const bool meta = xf_plan_is_meta(s);
  if (!meta && !xf_plan_adapts(plan) && !(s->local.meta.lr > 0)) return XF_OK;
  if (!meta && !xf_plan_adapts(plan))
    REFUSE("local.meta: fed.algorithm %s has no inner loop and no metric adapts; leave it out, or "
           "write eval.metrics [rmse@adapt5] or [acc@adapt5]",
           name);
  const bool table = plan->data.kind == XF_PLAN_DATA_TABLE || plan->data.kind == XF_PLAN_DATA_IDX;
  if (!meta && !table) return XF_OK; /* the metric is refused */
  if (!table)
    REFUSE("fed.algorithm: %s takes support and query from a table or images, and data.kind is "
           "%s; write reptile, which needs neither",
           name, xf_plan_data_text(plan->data.kind));
  if (!(s->local.meta.lr > 0)) REFUSE("local.meta.lr: the rate of inner steps is missing");
  if (!meta) return XF_OK;
  if (s->fed.algorithm == XF_PLAN_ALGORITHM_PERFEDAVG && !s->local.steps)
    REFUSE("local.steps: perfedavg counts the meta-steps of a round, not epochs; write steps");
  if (!xf_plan_optimises(s) && alone(plan) && !(s->local.optimizer.lr > 0))
    REFUSE("local.optimizer.lr: %s does without, but the arm alone trains by it; write it, or "
           "leave alone out of arms",
           name);
  return check_hessian(s, diag);
}

enum xf_rc xf_plan_check_sinusoid(const struct xf_plan *plan, struct xf_diag *diag) {
  const struct xf_plan_sim_part *sim = &plan->sim;
  if (sim->clients.by != XF_PLAN_CLIENTS_SINUSOID) {
    if (sim->clients.rows) REFUSE("sim.clients.rows: has no effect; write by: sinusoid");
    return XF_OK;
  }
  if (sim->data[0]) REFUSE("sim.data: sinusoids are generated; leave it out");
  if (plan->data.kind != XF_PLAN_DATA_TABLE || plan->data.split.kind != XF_PLAN_SPLIT_RANDOM ||
      plan->data.table.n_drop || plan->data.table.n_one_hot || plan->data.table.label ||
      plan->data.table.binary)
    REFUSE("sim.clients.by: sinusoid makes tables of one input and one number; write data: {kind: "
           "table, split: {kind: random}} and no columns");
  if (plan->data.table.scale != XF_PLAN_SCALE_NONE)
    REFUSE("data.table.scale: sinusoids are generated as they are; leave it out");
  if (plan->model.n_in != 1 || plan->model.loss != XF_PLAN_LOSS_MSE)
    REFUSE("sim.clients.by: sinusoid needs model.n_in: 1 and loss: mse");
  return XF_OK;
}
