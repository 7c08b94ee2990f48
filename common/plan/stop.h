/*
 * stop.h - early_stop: a run ends when evaluations no longer improve. One function of the committed evaluations in their order,
 * so that a coordinator, the one that follows it after a crash, the simulator and `crossfed verify` decide alike.
 *
 * An evaluation improves when its figure is better than the best so far by more than min_delta (the first always does); after
 * `patience` ones in a row that did not, no further round is opened. One without a figure - no silo reported any on its
 * validation part - counts for nothing. The model that remains is the last one, not the best one.
 * Owner: caller's struct. Thread: any. @source Prechelt 1998, "Early stopping - but when?", criterion UP
 */
#ifndef XF_PLAN_STOP_H
#define XF_PLAN_STOP_H

#include "plan/plan.h"

/* All zero: before the first evaluation. */
struct xf_plan_stop {
  bool any;
  double best;      /* figure of the last improvement */
  uint64_t best_at; /* commits before it */
  uint32_t without; /* evaluations since */
};

/* Takes the figure of the evaluation after `committed` commits: early_stop.metric over all silos, federated, on the
   validation part; NAN: none. Without early_stop nothing happens. @thread any */
void xf_plan_stop_take(struct xf_plan_stop *stop, const struct xf_plan *plan, uint64_t committed,
                       double figure);
/* Whether the run is over. @thread any */
bool xf_plan_stop_over(const struct xf_plan_stop *stop, const struct xf_plan *plan);
/* Why, as one line. @err E_LIMIT */
XF_WARN_UNUSED enum xf_rc xf_plan_stop_print(struct xf_buf *out, const struct xf_plan_stop *stop,
                                             const struct xf_plan *plan);

#endif
