/*
 * resolve.h - from a plan to what the libraries take: model, local work, strategy, measures. A plan knows no model
 * code and the libraries know no plan; the daemons' shells and the simulator meet here, so that both read a plan alike.
 *
 * What a plan may say and this version cannot do is refused here in words, never passed over.
 * Not for: data files (dataset.h), the global vector (global.h), a silo's work (silo/silo.h).
 * Owner: caller's structs. Thread: any.
 */
#ifndef XF_RESOLVE_RESOLVE_H
#define XF_RESOLVE_RESOLVE_H

#include "fed/strategy.h"
#include "fed/weight.h"
#include "model/model.h"
#include "plan/plan.h"
#include "rec/metrics.h"
#include "resolve/stages.h"
#include "train/metawork.h"
#include "train/personal.h"
#include "train/train.h"

/* Whether everything the plan asks for exists in this version. @err E_UNSUPPORTED naming the key */
XF_WARN_UNUSED enum xf_rc xf_resolve_check(const struct xf_plan *plan, struct xf_diag *diag);
/* The model. @err E_UNSUPPORTED */
XF_WARN_UNUSED enum xf_rc xf_resolve_model(struct xf_model_config *out, const struct xf_plan *plan,
                                           struct xf_diag *diag);
/* A stage's local work; rule `pull` draws user rows in every arm (train/train.h). @own value */
struct xf_local_config xf_resolve_local(const struct xf_plan *plan, uint32_t stage);
/* A stage's inner loops; `tasks` 0 where they only measure adaptation. @own value */
struct xf_metawork_config xf_resolve_meta(const struct xf_plan *plan, uint32_t stage);
/* What a stage's silos do beside: rule XF_PERSONAL_PLAIN where that is nothing. @own value */
struct xf_personal_config xf_resolve_personal(const struct xf_plan *plan, uint32_t stage);
/* The local rate of a stage's commit, counted from 0: optimizer.lr under local.schedule, never 0. @thread any */
float xf_resolve_rate(const struct xf_plan *plan, uint32_t stage, uint64_t commit);
/* What the coordinator does with a stage's mean. @own value */
struct xf_strategy xf_resolve_strategy(const struct xf_plan *plan, uint32_t stage);
/* What a stage's weighted sum is divided by where that is not the sum of the weights, else 0 (fed/stale.h). @thread any */
uint64_t xf_resolve_divisor(const struct xf_plan *plan, uint32_t stage);
enum xf_weight_rule xf_resolve_weight(const struct xf_plan *plan, uint32_t stage);
/* Vectors of the global model's length that the coordinator keeps beside it: the most of any stage. @unit vectors */
uint32_t xf_resolve_server_states(const struct xf_plan *plan);
/* Whether a stage pulls aligned rows (else it averages them, or aligns none). @thread any */
bool xf_resolve_pulls(const struct xf_plan *plan, uint32_t stage);

enum { XF_RESOLVE_MEASURES = 64 };
/* The plan's metrics under all its protocols, those of one protocol together. */
struct xf_measures {
  struct xf_measure measure[XF_RESOLVE_MEASURES];
  uint32_t n_neg[XF_RESOLVE_MEASURES]; /* 0: full */
  uint32_t adapt[XF_RESOLVE_MEASURES]; /* steps of adaptation before; 0: none */
  char key[XF_RESOLVE_MEASURES][XF_MEASURE_KEY];
  size_t n;
};
/* @err E_CONFIG E_LIMIT E_UNSUPPORTED */
XF_WARN_UNUSED enum xf_rc xf_resolve_measures(struct xf_measures *out, const struct xf_plan *plan,
                                              struct xf_diag *diag);
/* Index of the measure that decides (early stop, what is served): the first NDCG, else the first. @thread any */
size_t xf_measures_main(const struct xf_measures *measures);

#endif
