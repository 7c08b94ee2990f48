/*
 * seq_eval.h - inside rec: measures of a model over sequences; every step of a part counts, the first from the start state.
 * Not for other modules (evaluate.h). Owner, thread: as evaluate.h.
 */
#ifndef XF_REC_SEQ_EVAL_H
#define XF_REC_SEQ_EVAL_H

#include "model/seqscore.h"
#include "rec/rank_eval.h"

/* acc, auc, rmse, logloss as metrics.h has them for tables, a row being a step. Adds to sum.
   @shape params[layout.n], sum[n_measure] @err E_INVAL (measure does not fit) E_SHAPE E_NAN E_NOMEM */
XF_WARN_UNUSED enum xf_rc xf_seq_eval(struct xf_measure_sum *sum, struct xf_seqscore *scorer,
                                      const struct xf_model *model, const float *params,
                                      const struct xf_seqset *set, const struct xf_rank_spec *spec,
                                      struct xf_diag *diag);

#endif
