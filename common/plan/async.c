/* fed.async: rounds that commit every so many updates, whatever model these started from. */
#include "plan/stages.h"
#include "plan/view.h"

#define REFUSE(...) return xf_diag_set(diag, XF_E_CONFIG, __VA_ARGS__)

bool xf_plan_is_async(const struct xf_plan_stage_part *stage) {
  return stage->fed.async.buffer > 0;
}

static enum xf_rc check_staleness(const struct xf_plan_stage_part *s, struct xf_diag *diag) {
  const enum xf_plan_staleness kind = s->fed.async.staleness;
  const bool hinge = kind == XF_PLAN_STALENESS_HINGE;
  const bool a = hinge || kind == XF_PLAN_STALENESS_POLYNOMIAL;
  const bool adasgd = kind == XF_PLAN_STALENESS_ADASGD;
  if (a != (s->fed.async.a > 0))
    REFUSE("fed.async.a: belongs to fed.async.staleness polynomial and hinge, above 0; %s",
           a ? "write it" : "leave it out");
  if (!hinge && s->fed.async.b > 0)
    REFUSE("fed.async.b: belongs to fed.async.staleness hinge; leave it out");
  if (adasgd != (s->fed.async.threshold > 0))
    REFUSE("fed.async.threshold: belongs to fed.async.staleness adasgd, above 0; %s",
           adasgd ? "write a staleness that few updates exceed" : "leave it out");
  return XF_OK;
}

static enum xf_rc check_rounds(const struct xf_plan_stage_part *s, struct xf_diag *diag) {
  if (s->fed.cohort_count || s->fed.cohort != 1)
    REFUSE("fed.cohort, cohort_count: with fed.async.buffer nobody is drawn for a round; write "
           "fed.async.concurrency, how many train at a time");
  if (s->fed.edge_rounds)
    REFUSE(
        "fed.edge_rounds: counts rounds of everybody, and with fed.async.buffer a commit is of a "
        "few; leave one of the two out");
  if (s->fed.select.policy != XF_PLAN_SELECT_STRATIFIED)
    REFUSE("fed.select.policy: with fed.async.buffer nobody is drawn for a round; leave one of the "
           "two out");
  if (s->fed.quorum_count || s->fed.quorum != 0.75)
    REFUSE("fed.quorum, quorum_count: with fed.async.buffer a commit takes exactly that many "
           "updates; leave them out");
  if (s->fed.min_domains > 1)
    REFUSE("fed.min_domains: with fed.async.buffer the first updates make a commit, whoever sends "
           "them; leave one of the two out");
  if (s->fed.async.concurrency < s->fed.async.buffer)
    REFUSE("fed.async.concurrency: %u at a time never fill fed.async.buffer %u, because a silo "
           "counts once in each commit; write at least that many",
           s->fed.async.concurrency, s->fed.async.buffer);
  if (s->fed.schedule.kind != XF_PLAN_SCHEDULE_CONSTANT || s->fed.schedule.warmup ||
      s->fed.server.anneal != XF_PLAN_ANNEAL_NONE)
    REFUSE(
        "fed.schedule, fed.server.anneal: count rounds of everybody, and with fed.async.buffer a "
        "commit is of a few; leave one of the two out");
  if (s->local.schedule.kind != XF_PLAN_SCHEDULE_CONSTANT || s->local.schedule.warmup)
    REFUSE(
        "local.schedule: counts rounds of everybody, and with fed.async.buffer each silo has its "
        "own; leave one of the two out");
  return XF_OK;
}

enum xf_rc xf_plan_check_async(const struct xf_plan *plan, const struct xf_plan_stage_part *s,
                               struct xf_diag *diag) {
  if (!xf_plan_is_async(s)) {
    if (s->fed.async.concurrency)
      REFUSE("fed.async.concurrency: has no effect without fed.async.buffer; write both or none");
    return XF_OK;
  }
  if (s->kind != XF_PLAN_STAGE_TRAIN || plan->model.kind == XF_PLAN_MODEL_RECOMMENDER)
    REFUSE("fed.async.buffer: the stages of model.kind recommender need every silo's part at once; "
           "leave it out, or write another model.kind");
  if (xf_plan_is_aligned(plan))
    REFUSE("fed.async.buffer: model.users or model.items are exchanged as rows, whose mean is over "
           "all their holders; write user and item, or leave fed.async out");
  if (s->fed.algorithm != XF_PLAN_ALGORITHM_FEDAVG && s->fed.algorithm != XF_PLAN_ALGORITHM_FEDPROX)
    REFUSE("fed.async.buffer: fed.algorithm %s needs silos that start from the same model; write "
           "fedavg or fedprox, or leave fed.async out",
           xf_plan_algorithm_text(s->fed.algorithm));
  if (s->fed.weighting != XF_PLAN_WEIGHTING_UNIFORM)
    REFUSE("fed.weighting: with fed.async.buffer an update counts by its staleness and the sum is "
           "divided by the buffer; write weighting: uniform");
  if (plan->privacy.secure_aggregation)
    REFUSE("privacy.secure_aggregation: masks cancel in a round of known silos, and with "
           "fed.async.buffer nobody knows who comes; leave one of the two out");
  if (s->fed.encoding == XF_PLAN_ENCODING_MASK)
    REFUSE("fed.encoding: mask takes the same parameters of all silos of a round, and with "
           "fed.async.buffer their tasks are of several; write topk or qsgd");
  const enum xf_rc rc = check_rounds(s, diag);
  return rc ? rc : check_staleness(s, diag);
}
