#include "fed/strategy.h"

#include <inttypes.h>
#include <math.h>

static const struct xf_strategy_entry table[] = {
    [XF_STRATEGY_FEDAVG] = {"fedavg", false, true,
                            "weighted mean of the deltas; server rate lr, optional momentum"},
    [XF_STRATEGY_REPTILE] = {"reptile", true, false,
                             "uniform mean of the deltas; rate epsilon, usually annealed to 0"},
};

const struct xf_strategy_entry *xf_strategy_find(size_t kind) {
  return kind < sizeof table / sizeof table[0] ? &table[kind] : NULL;
}

enum xf_rc xf_strategy_check(const struct xf_strategy *strategy, enum xf_weight_rule weighting,
                             struct xf_diag *diag) {
  const struct xf_strategy_entry *entry = xf_strategy_find(strategy->kind);
  if (!entry) return xf_diag_set(diag, XF_E_UNSUPPORTED, "no strategy %d", (int)strategy->kind);
  if (entry->uniform_only && weighting != XF_WEIGHT_UNIFORM)
    return xf_diag_set(diag, XF_E_UNSUPPORTED,
                       "%s averages tasks with equal weight; set weighting: uniform (it is %s)",
                       entry->name, xf_weight_text(weighting));
  if (!entry->momentum && strategy->server == XF_STRATEGY_MOMENTUM)
    return xf_diag_set(diag, XF_E_UNSUPPORTED, "%s has no server momentum; set server.kind: sgd",
                       entry->name);
  if (!(strategy->lr > 0) || !isfinite(strategy->lr))
    return xf_diag_set(diag, XF_E_RANGE, "server.lr is %g; it must be above 0", strategy->lr);
  if (strategy->server == XF_STRATEGY_MOMENTUM &&
      !(strategy->momentum >= 0 && strategy->momentum < 1))
    return xf_diag_set(diag, XF_E_RANGE, "server.momentum is %g; it must lie in [0, 1)",
                       strategy->momentum);
  return xf_schedule_check(&strategy->schedule, diag);
}

struct xf_strategy_step xf_strategy_get(const struct xf_strategy *strategy, uint32_t commit) {
  struct xf_strategy_step step = {.eta =
                                      strategy->lr * xf_schedule_get(&strategy->schedule, commit)};
  step.momentum = strategy->server == XF_STRATEGY_MOMENTUM;
  step.mu = step.momentum ? strategy->momentum : 0;
  return step;
}
