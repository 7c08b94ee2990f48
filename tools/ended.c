/* Where a run ends by its plan and the evaluations in its ledger. */
#include "tools/recompute.h"

#include "base/alloc.h"
#include "plan/stop.h"
#include "plan/view.h"
#include "resolve/stop.h"
#include "store/roundmetrics.h"

#include <math.h>

struct ended {
  struct xf_plan plan;
  struct xf_measures measures;
  struct xf_plan_stop stop;
  uint64_t commits;
  struct xf_diag *diag;
};

static enum xf_rc on_evaluation(struct ended *e, const struct xf_ledger_round *r) {
  const size_t i = xf_resolve_stop_measure(&e->plan, &e->measures);
  double sum = 0, figure = (double)NAN;
  uint64_t count = 0;
  enum xf_rc rc = XF_OK;
  if (i < e->measures.n) {
    rc = xf_roundmetrics_valid(&sum, &count, r->metrics, e->measures.key[i], e->diag);
    figure = xf_resolve_stop_value(&e->plan, &e->measures, sum, count);
  }
  if (!rc) xf_plan_stop_take(&e->stop, &e->plan, e->commits, figure);
  return rc;
}

static enum xf_rc on_round(void *arg, const struct xf_ledger_round *r) {
  struct ended *e = arg;
  const bool committed = r->state == XF_LEDGER_ROUND_COMMITTED;
  if (xf_plan_stop_over(&e->stop, &e->plan))
    return xf_diag_set(e->diag, XF_E_CORRUPT,
                       "round %llu was opened after early_stop had ended the run (commit %llu)",
                       (unsigned long long)r->round, (unsigned long long)e->commits);
  if (r->kind == XF_LEDGER_KIND_EVALUATE) return committed ? on_evaluation(e, r) : XF_OK;
  if (e->commits >= xf_plan_rounds(&e->plan))
    return xf_diag_set(e->diag, XF_E_CORRUPT, "round %llu was opened after all %llu commits",
                       (unsigned long long)r->round, (unsigned long long)e->commits);
  e->commits += committed;
  return XF_OK;
}

enum xf_rc xf_tool_ended(void *arg, struct xf_ledger *ledger, const struct xf_ledger_status *status,
                         const uint8_t *plan, size_t plan_len, struct xf_diag *diag) {
  (void)arg;
  struct ended *e = xf_calloc(1, sizeof *e); /* a plan is too large for the stack */
  e->diag = diag;
  enum xf_rc rc = xf_plan_decode(&e->plan, plan, plan_len, diag);
  if (rc) rc = xf_diag_prefix(diag, rc, "the plan in the ledger");
  if (!rc) rc = xf_resolve_measures(&e->measures, &e->plan, diag);
  if (!rc && status->rounds) rc = xf_ledger_rounds(ledger, 1, status->rounds, on_round, e, diag);
  if (!rc && status->state == XF_LEDGER_RUN_DONE && e->commits < xf_plan_rounds(&e->plan) &&
      !xf_plan_stop_over(&e->stop, &e->plan))
    rc = xf_diag_set(diag, XF_E_CORRUPT,
                     "the run is done after %llu of %llu commits, and early_stop did not end it",
                     (unsigned long long)e->commits, (unsigned long long)xf_plan_rounds(&e->plan));
  xf_free(e);
  return rc;
}
