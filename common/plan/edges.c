/* fed.edge_rounds: what hierarchical averaging needs of a stage. */
#include "plan/stages.h"
#include "plan/view.h"

#define REFUSE(...) return xf_diag_set(diag, XF_E_CONFIG, __VA_ARGS__)

enum xf_rc xf_plan_check_edges(const struct xf_plan *plan, const struct xf_plan_stage_part *s,
                               struct xf_diag *diag) {
  const uint32_t every = s->fed.edge_rounds;
  if (!every) return XF_OK;
  if (s->kind != XF_PLAN_STAGE_TRAIN || plan->n_stages > 1)
    REFUSE("fed.edge_rounds: %u belongs to a plan of one train stage; leave it out", every);
  if (s->fed.algorithm != XF_PLAN_ALGORITHM_FEDAVG && s->fed.algorithm != XF_PLAN_ALGORITHM_FEDPROX)
    REFUSE("fed.edge_rounds: edges average models, and fed.algorithm is %s; write fedavg or "
           "fedprox, or leave edge_rounds out",
           xf_plan_algorithm_text(s->fed.algorithm));
  if (s->fed.server.kind != XF_PLAN_SERVER_SGD || s->fed.server.lr != 1 ||
      s->fed.server.anneal != XF_PLAN_ANNEAL_NONE ||
      s->fed.schedule.kind != XF_PLAN_SCHEDULE_CONSTANT || s->fed.schedule.warmup)
    REFUSE("fed.edge_rounds: edges and cloud take plain means, and fed.server or fed.schedule says "
           "otherwise; write kind: sgd, lr: 1 without a schedule, or leave edge_rounds out");
  if (xf_plan_is_aligned(plan))
    REFUSE("fed.edge_rounds: rows that several domains hold have no edge; leave out "
           "model.users and model.items aligned, or edge_rounds");
  if (s->fed.rounds % every)
    REFUSE("fed.edge_rounds: %u does not divide fed.rounds %u: the last rounds would stay with "
           "their edges; write a multiple",
           every, s->fed.rounds);
  return XF_OK;
}
