#include "fed/strategy.h"

#include <inttypes.h>
#include <math.h>

static const struct xf_strategy_entry table[] = {
    [XF_STRATEGY_FEDAVG] = {"fedavg", false, true,
                            "weighted mean of the deltas; any server optimiser"},
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
  const struct xf_server_step *server = &strategy->server;
  if (!entry->any_server && server->kind != XF_SERVER_SGD)
    return xf_diag_set(diag, XF_E_UNSUPPORTED, "%s has no server optimiser; set server.kind: sgd",
                       entry->name);
  if (!(server->eta > 0) || !isfinite(server->eta))
    return xf_diag_set(diag, XF_E_RANGE, "server.lr is %g; it must be above 0", server->eta);
  if (!xf_server_in_range(server))
    return xf_diag_set(diag, XF_E_RANGE,
                       "server momentum or b1 %g, b2 %g, tau %g, v0 %g: momentum, b1 and b2 must "
                       "lie in [0, 1), tau above 0, v0 not below",
                       server->b1, server->b2, server->tau, server->v0);
  return xf_schedule_check(&strategy->schedule, diag);
}

struct xf_server_step xf_strategy_get(const struct xf_strategy *strategy, uint32_t commit) {
  struct xf_server_step step = strategy->server;
  step.first = commit == 0;
  step.eta *= xf_schedule_get(&strategy->schedule, commit);
  if (strategy->bias_correction)
    step.eta *= sqrt(1 - xf_schedule_power(step.b2, (uint64_t)commit + 1)) /
                (1 - xf_schedule_power(step.b1, (uint64_t)commit + 1));
  return step;
}
