#include "plan/stop.h"

#include "plan/metric.h"
#include "plan/stages.h"

#include <math.h>

#define REFUSE(...) return xf_diag_set(diag, XF_E_CONFIG, __VA_ARGS__)

static bool better_up(const struct xf_plan *plan) {
  struct xf_metric m;
  return xf_metric_parse(&m, plan->early_stop.metric, NULL) || xf_metric_is_better_up(m.kind);
}

void xf_plan_stop_take(struct xf_plan_stop *stop, const struct xf_plan *plan, uint64_t committed,
                       double figure) {
  if (!plan->early_stop.patience || isnan(figure) || xf_plan_stop_over(stop, plan)) return;
  const double gain = better_up(plan) ? figure - stop->best : stop->best - figure;
  if (stop->any && !(gain > plan->early_stop.min_delta)) {
    stop->without++;
    return;
  }
  *stop = (struct xf_plan_stop){.any = true, .best = figure, .best_at = committed};
}

bool xf_plan_stop_over(const struct xf_plan_stop *stop, const struct xf_plan *plan) {
  return plan->early_stop.patience && stop->without >= plan->early_stop.patience;
}

enum xf_rc xf_plan_stop_print(struct xf_buf *out, const struct xf_plan_stop *stop,
                              const struct xf_plan *plan) {
  return xf_buf_printf(
      out, "early_stop: %s %.6g after commit %llu was not improved in %u evaluations",
      plan->early_stop.metric, stop->best, (unsigned long long)stop->best_at, stop->without);
}

enum xf_rc xf_plan_check_stop(const struct xf_plan *plan, struct xf_diag *diag) {
  if (!plan->early_stop.patience) return XF_OK;
  if (plan->eval.every == 0)
    REFUSE("early_stop: with eval.every 0 nothing is evaluated before the end");
  if (plan->n_stages > 1)
    REFUSE("early_stop: ends a plan of one stage, and there are %u; lower their fed.rounds",
           plan->n_stages);
  if (plan->data.split.valid_fraction == 0 &&
      (plan->data.split.kind == XF_PLAN_SPLIT_RANDOM || plan->data.kind == XF_PLAN_DATA_IDX))
    REFUSE("early_stop: judges the validation part, and data.split.valid_fraction is 0");
  return XF_OK;
}
