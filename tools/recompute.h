/*
 * recompute.h - a committed round folded again from what the ledger and the spool hold, and where a run ends by its plan, for
 * `crossfed verify`.
 *
 * Nothing of the coordinator's process is used: the plan comes from its stored canonical bytes, the directory from
 * the members' manifests, weights from the frozen list, updates from the spool, old values and server state from
 * the parent's checkpoint. What two records say about the same thing must agree.
 * Not for: the other invariants (store/verify.h). Owner: the caller. Thread: any.
 */
#ifndef XF_TOOLS_RECOMPUTE_H
#define XF_TOOLS_RECOMPUTE_H

#include "store/verify.h"

/* An xf_verify_fold (arg unused). @shape model[n]
   @err E_CORRUPT (records disagree) E_SHAPE E_NOMEM E_IO and those of plan and fold */
XF_WARN_UNUSED enum xf_rc xf_tool_recompute(void *arg, const struct xf_verify_round *round,
                                            float *model, uint64_t n, struct xf_diag *diag);
/* An xf_verify_end (arg unused; ended.c). @err E_CORRUPT E_NOMEM E_IO and those of plan and ledger */
XF_WARN_UNUSED enum xf_rc xf_tool_ended(void *arg, struct xf_ledger *ledger,
                                        const struct xf_ledger_status *status, const uint8_t *plan,
                                        size_t plan_len, struct xf_diag *diag);

#endif
