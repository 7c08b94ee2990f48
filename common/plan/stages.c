/* What the stages of a plan may say, and which go together. */
#include "plan/stages.h"

#include "plan/view.h"

#include <string.h>

#define REFUSE(...) return xf_diag_set(diag, XF_E_CONFIG, __VA_ARGS__)

/* Exact sums stay exact, and are large. */
static enum xf_rc check_sums(const struct xf_plan *plan, const struct xf_plan_stage_part *s,
                             struct xf_diag *diag) {
  const uint32_t d = s->rows.dim, numbers = d * (d + 1) / 2 + d + 1;
  if (d > XF_PLAN_SUMS_DIM_MAX)
    REFUSE("rows.dim: with rule sums a user's row is %u numbers, %u bytes, in every round at dim "
           "%u; write at most %d, or rule: pull",
           numbers, 4 * numbers, d, XF_PLAN_SUMS_DIM_MAX);
  if (plan->privacy.clip > 0 || s->rows.clip_row > 0)
    REFUSE("%s: a clipped sum is no sum of anything; leave it out, or write rows.rule: pull",
           s->rows.clip_row > 0 ? "rows.clip_row" : "privacy.clip");
  return XF_OK;
}

/* What a stage that does not train may say. */
enum xf_rc xf_plan_check_keyed(const struct xf_plan *plan, const struct xf_plan_stage_part *s,
                               struct xf_diag *diag) {
  const char *kind = xf_plan_stage_text(s->kind);
  if (s->fed.weighting != XF_PLAN_WEIGHTING_UNIFORM)
    REFUSE("fed.weighting: in a stage of kind %s each silo counts once; leave it out", kind);
  if (s->fed.algorithm != XF_PLAN_ALGORITHM_FEDAVG || s->fed.server.kind != XF_PLAN_SERVER_SGD ||
      s->fed.server.lr != 1 || s->fed.server.anneal != XF_PLAN_ANNEAL_NONE)
    REFUSE("fed: a stage of kind %s takes the plain sum or mean; leave out algorithm and server",
           kind);
  if (s->kind == XF_PLAN_STAGE_ROWS) {
    if (s->rows.others != 1 && s->rows.rule != XF_PLAN_ROW_RULE_SUMS)
      REFUSE("rows.others: weighs sums; write rows.rule: sums, or leave it out");
    if (s->rows.rule == XF_PLAN_ROW_RULE_SUMS) {
      const enum xf_rc rc = check_sums(plan, s, diag);
      if (rc) return rc;
    }
    if (s->rows.inner > s->fed.rounds)
      REFUSE("rows.inner: %u rounds without split A, and fed.rounds is %u", s->rows.inner,
             s->fed.rounds);
    return XF_OK;
  }
  if (s->fed.encoding == XF_PLAN_ENCODING_SPARSE && plan->privacy.noise_multiplier > 0)
    REFUSE("fed.encoding: sparse leaves out what is 0, and with noise nothing is; leave it out");
  if (s->fed.encoding == XF_PLAN_ENCODING_SPARSE && plan->privacy.secure_aggregation)
    REFUSE("fed.encoding: sparse shows which entries are 0, which secure aggregation is to hide; "
           "leave it out");
  if (s->fed.rounds != 1)
    REFUSE("fed.rounds: a statistic is summed once, not %u times; leave it out", s->fed.rounds);
  if (s->statistic.beta != 0 && s->statistic.beta != .5 && s->statistic.beta != 1)
    REFUSE("statistic.beta: %g; write 0, 0.5 or 1", s->statistic.beta);
  if (plan->privacy.noise_multiplier > 0) {
    if (s->statistic.of != XF_PLAN_STATISTIC_GRAM &&
        s->statistic.of != XF_PLAN_STATISTIC_CATEGORIES)
      REFUSE("statistic.of: with noise only gram and categories have a bound for each user");
    if (s->statistic.beta != 1)
      REFUSE("statistic.beta: with noise only 1 bounds what one user adds (below 0.7071), and it "
             "is %g",
             s->statistic.beta);
  }
  return XF_OK;
}

/* Names and artifacts of a plan of several stages. */
static enum xf_rc check_names(const struct xf_plan *plan, struct xf_diag *diag) {
  for (uint32_t i = 0; i < plan->n_stages; i++) {
    const struct xf_plan_stage_part *s = &plan->stages[i];
    const bool needs = plan->n_stages > 1 || s->kind != XF_PLAN_STAGE_TRAIN;
    if (needs && !s->name[0] && s->kind != XF_PLAN_STAGE_EVALUATE)
      REFUSE("stages[%u].name: is missing; its artifact needs one", i);
    if (s->name[0] && xf_plan_stage_find(plan, s->name) != i)
      REFUSE("stages[%u].name: \"%s\" is the name of another stage, too", i, s->name);
    if (strlen(s->name) > XF_PLAN_STAGE_NAME_MAX)
      REFUSE("stages[%u].name: \"%s\" is longer than %d characters", i, s->name,
             XF_PLAN_STAGE_NAME_MAX);
    for (uint32_t k = 0; k < s->n_in; k++) {
      const uint32_t from = xf_plan_stage_find(plan, s->in[k]);
      if (from >= i) REFUSE("stages[%u].in: \"%s\" is no stage before this one", i, s->in[k]);
      if (plan->stages[from].kind != XF_PLAN_STAGE_STATISTIC &&
          plan->stages[from].kind != XF_PLAN_STAGE_ROWS)
        REFUSE("stages[%u].in: \"%s\" is of kind %s and leaves no artifact to read", i, s->in[k],
               xf_plan_stage_text(plan->stages[from].kind));
    }
  }
  return XF_OK;
}

/* Which stages go with the model. */
static enum xf_rc check_kinds(const struct xf_plan *plan, struct xf_diag *diag) {
  const bool recommender = plan->model.kind == XF_PLAN_MODEL_RECOMMENDER;
  uint32_t works = 0, kinds = 0;
  for (uint32_t i = 0; i < plan->n_stages; i++) {
    const struct xf_plan_stage_part *s = &plan->stages[i];
    works += s->kind != XF_PLAN_STAGE_EVALUATE;
    kinds |= 1u << s->kind;
    if (s->kind == XF_PLAN_STAGE_STATISTIC && s->statistic.of == XF_PLAN_STATISTIC_OVERLAP)
      kinds |= 1u << XF_PLAN_STAGE_ROWS; /* it names users as well */
    if (s->kind == XF_PLAN_STAGE_EVALUATE && s->fed.rounds)
      REFUSE("stages[%u].fed.rounds: an evaluation commits no model; leave it out", i);
    if (s->kind != XF_PLAN_STAGE_EVALUATE && !s->fed.rounds)
      REFUSE("stages[%u].fed.rounds: is missing", i);
    if (s->kind == XF_PLAN_STAGE_TRAIN && xf_plan_optimises(s) && !(s->local.optimizer.lr > 0))
      REFUSE("stages[%u].local.optimizer.lr: is missing", i);
    const bool keyed = s->kind == XF_PLAN_STAGE_STATISTIC || s->kind == XF_PLAN_STAGE_ROWS;
    if (s->rows.rule == XF_PLAN_ROW_RULE_SUMS && s->kind != XF_PLAN_STAGE_ROWS)
      REFUSE("stages[%u].rows.rule: sums belongs to a stage of kind rows", i);
    if (s->rows.inner && s->kind != XF_PLAN_STAGE_ROWS)
      REFUSE("stages[%u].rows.inner: belongs to a stage of kind rows; leave it out", i);
    if (s->kind != XF_PLAN_STAGE_STATISTIC && s->fed.encoding == XF_PLAN_ENCODING_SPARSE)
      REFUSE("stages[%u].fed.encoding: only a statistic has zeros to leave out; leave out sparse",
             i);
    if (keyed && !recommender)
      REFUSE("stages[%u].kind: %s feeds the recommender's scorers; write model.kind: recommender",
             i, xf_plan_stage_text(s->kind));
    if (s->learns == XF_PLAN_LEARNS_SCORER && (s->kind != XF_PLAN_STAGE_TRAIN || !recommender))
      REFUSE("stages[%u].learns: scorer belongs to a train stage of model.kind recommender", i);
    if (recommender && s->kind == XF_PLAN_STAGE_TRAIN && s->learns == XF_PLAN_LEARNS_MODEL)
      REFUSE("stages[%u].learns: a recommender has no model of its own to train; write scorer", i);
  }
  if (works == 0) REFUSE("stages: none of them learns anything");
  if (xf_plan_maps(plan) &&
      (plan->n_stages != 1 || plan->data.split.kind != XF_PLAN_SPLIT_PREDEFINED))
    REFUSE("statistic.of: map is the plan's only stage, and its split is given: write data.split "
           "{kind: predefined, by: file}");
  if (recommender && plan->data.kind != XF_PLAN_DATA_INTERACTIONS)
    REFUSE("model.kind: recommender learns from interactions, and data.kind is %s",
           xf_plan_data_text(plan->data.kind));
  const uint32_t both = 1u << XF_PLAN_STAGE_STATISTIC | 1u << XF_PLAN_STAGE_ROWS;
  if (recommender && (kinds & both) == both &&
      strcmp(plan->model.user_ns, plan->model.item_ns) == 0)
    REFUSE("model.user_ns: \"%s\" is also model.item_ns; statistics name items, rows and overlap "
           "users, "
           "which need namespaces of their own",
           plan->model.user_ns);
  if (recommender && plan->model.loss != XF_PLAN_LOSS_BPR)
    REFUSE("model.loss: %s belongs to a network; leave it out",
           xf_plan_loss_text(plan->model.loss));
  return XF_OK;
}

/* A stage over categories has a namespace of its own, and needs the file in the simulator. */
static enum xf_rc check_categories(const struct xf_plan *plan, struct xf_diag *diag) {
  const bool categories = xf_plan_categories(plan);
  const bool items = strcmp(plan->model.item_ns, XF_PLAN_CATEGORY_NS) == 0;
  if (categories && (items || strcmp(plan->model.user_ns, XF_PLAN_CATEGORY_NS) == 0))
    REFUSE("model.%s: \"" XF_PLAN_CATEGORY_NS "\" is the namespace of the categories that a stage "
           "sums over (statistic.of: categories); write another name",
           items ? "item_ns" : "user_ns");
  if (!plan->sim.data[0]) return XF_OK; /* a plan for daemons */
  if (categories && !plan->sim.categories[0])
    REFUSE("sim.categories: is missing; a stage sums over categories (statistic.of: categories)");
  if (!categories && plan->sim.categories[0])
    REFUSE("sim.categories: no stage sums over them; add one with statistic.of: categories, or "
           "leave it out");
  return XF_OK;
}

enum xf_rc xf_plan_check_stages(const struct xf_plan *plan, struct xf_diag *diag) {
  enum xf_rc rc = check_kinds(plan, diag);
  if (!rc) rc = check_categories(plan, diag);
  return rc ? rc : check_names(plan, diag);
}
