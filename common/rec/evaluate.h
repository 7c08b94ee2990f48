/*
 * evaluate.h - measures of a model, or of popularity, on a part of a silo's data, as sums and counts.
 *
 * Owner: caller; the model must outlive the evaluator. Thread: one at a time; one evaluator per worker.
 */
#ifndef XF_REC_EVALUATE_H
#define XF_REC_EVALUATE_H

#include "data/dataset.h"
#include "model/model.h"
#include "rec/rank_eval.h"

struct xf_evaluator;

/* Plans the model's scoring graph. @own caller: xf_evaluator_free @err nn's */
XF_WARN_UNUSED enum xf_rc xf_evaluator_new(struct xf_evaluator **out, const struct xf_model *model,
                                           struct xf_diag *diag);
/* Releases; NULL is legal. @own takes evaluator */
void xf_evaluator_free(struct xf_evaluator *evaluator);
/* Measures a parameter vector; of spec, tables and lists use part and measures only, lists per_user,
   too (a row per list). Of a list the first candidate is
   relevant, the others are what it is ranked against. @shape params[layout.n], sum[n_measure]
   @err E_INVAL (measure does not fit the data) E_SHAPE E_NAN E_NOMEM */
XF_WARN_UNUSED enum xf_rc xf_evaluator_run(struct xf_evaluator *evaluator, const float *params,
                                           const struct xf_dataset *data,
                                           const struct xf_rank_spec *spec,
                                           struct xf_measure_sum *sum, struct xf_diag *diag);
/* The popularity baseline on interactions. @shape sum[n_measure] @err as xf_rank_eval */
XF_WARN_UNUSED enum xf_rc xf_evaluate_popularity(const struct xf_split *split,
                                                 const struct xf_rank_spec *spec,
                                                 struct xf_measure_sum *sum, struct xf_diag *diag);

#endif
