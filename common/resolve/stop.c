#include "resolve/stop.h"

#include <math.h>
#include <string.h>

size_t xf_resolve_stop_measure(const struct xf_plan *plan, const struct xf_measures *measures) {
  if (!plan->early_stop.patience) return measures->n;
  for (uint32_t i = 0; i < plan->eval.n_metrics && i < measures->n; i++)
    if (strcmp(plan->eval.metrics[i], plan->early_stop.metric) == 0) return i;
  return measures->n;
}

double xf_resolve_stop_value(const struct xf_plan *plan, const struct xf_measures *measures,
                             double sum, uint64_t count) {
  const size_t i = xf_resolve_stop_measure(plan, measures);
  const struct xf_measure_sum s = {sum, (double)count};
  return i < measures->n ? xf_measure_value(measures->measure[i].kind, s) : (double)NAN;
}
