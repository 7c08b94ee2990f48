/*
 * stop.h - the figure that early_stop judges: which of the plan's measures it is, and its value from the sums that silos report.
 * Owner: nobody. Thread: any.
 */
#ifndef XF_RESOLVE_STOP_H
#define XF_RESOLVE_STOP_H

#include "resolve/resolve.h"

/* Index of early_stop.metric, under the first protocol, or measures->n: none. @thread any */
size_t xf_resolve_stop_measure(const struct xf_plan *plan, const struct xf_measures *measures);
/* Its value from a sum and a count over silos, as wire and ledger carry them; NAN of nothing. @thread any */
double xf_resolve_stop_value(const struct xf_plan *plan, const struct xf_measures *measures,
                             double sum, uint64_t count);

#endif
