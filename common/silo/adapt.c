/* The data set of a draw is the client's with another part for each row; everything else is the silo's own machinery. */
#include "silo/adapt.h"

#include "base/alloc.h"
#include "base/str.h"
#include "crypto/stream.h"
#include "plan/view.h"
#include "rec/evaluate.h"

#include <string.h>

struct xf_adapt {
  const struct xf_plan *plan;
  char member[64];
  uint32_t support, query;
  struct xf_dataset data; /* borrowed but for its parts */
  uint8_t *part;          /* [n] */
  uint32_t *row, *order;  /* [n_row] the train rows, ascending and dealt */
  size_t n_row;
  uint64_t draw;
  struct xf_model *model;
  struct xf_trainer *trainer; /* NULL: the plan's algorithm adapts by inner loops */
  struct xf_metawork *meta;
  double lr;
  struct xf_evaluator *evaluator;
  struct xf_measures measures;
  float *x; /* [layout.n] */
};

enum xf_rc xf_adapt_check(const struct xf_plan *plan, struct xf_diag *diag) {
  if (xf_resolve_recommends(plan))
    return xf_diag_set(diag, XF_E_UNSUPPORTED,
                       "model.kind: a recommender takes no steps at a new silo: it joins and "
                       "decides from what was committed; ask it with crossfed recommend, and cold "
                       "users with a plan of statistic.of map");
  if (plan->data.kind == XF_PLAN_DATA_INTERACTIONS)
    return xf_diag_set(diag, XF_E_UNSUPPORTED,
                       "model.kind: mf and neumf learn rows of their own users and items, which a "
                       "new domain has not; write model.kind: recommender and ask it with "
                       "crossfed recommend");
  if (xf_plan_is_personal(&plan->stages[0]))
    return xf_diag_set(diag, XF_E_UNSUPPORTED,
                       "fed.algorithm: %s leaves each silo layers or a net of its own, which a new "
                       "client has not; train the start with fedavg, reptile or a meta-learning "
                       "algorithm",
                       xf_plan_algorithm_text(plan->stages[0].fed.algorithm));
  return XF_OK;
}

size_t xf_adapt_rows(const struct xf_dataset *data) {
  const bool table = data->kind == XF_DATASET_TABLE;
  const uint8_t *part = table ? data->table.part : data->seqs.part;
  const size_t n = table ? data->table.n : data->seqs.n;
  size_t rows = 0;
  for (size_t i = 0; i < n; i++) rows += part[i] == XF_PART_TRAIN;
  return rows;
}

static enum xf_rc deal_rows(struct xf_adapt *a, const struct xf_dataset *data,
                            struct xf_diag *diag) {
  const bool table = data->kind == XF_DATASET_TABLE;
  const uint8_t *part = table ? data->table.part : data->seqs.part;
  const size_t n = table ? data->table.n : data->seqs.n;
  a->part = xf_try_calloc(n, 1);
  a->row = xf_try_calloc(n, sizeof *a->row);
  a->order = xf_try_calloc(n, sizeof *a->order);
  if (!a->part || !a->row || !a->order) return XF_E_NOMEM;
  for (size_t i = 0; i < n; i++) {
    a->part[i] = XF_PART_VALID;
    if (part[i] == XF_PART_TRAIN) a->row[a->n_row++] = (uint32_t)i;
  }
  const uint64_t need = (uint64_t)a->support + (a->query ? a->query : 1);
  if (!a->support || a->n_row < need)
    return xf_diag_set(
        diag, XF_E_RANGE, "%s: has %zu train rows; a support of %u and a query of %u need %llu",
        a->member, a->n_row, a->support, a->query ? a->query : 1, (unsigned long long)need);
  if (!a->query) a->query = (uint32_t)a->n_row - a->support;
  a->data = *data;
  if (table) a->data.table.part = a->part;
  else a->data.seqs.part = a->part;
  return XF_OK;
}

static enum xf_rc trainer(struct xf_adapt *a, const struct xf_adapt_spec *spec,
                          const struct xf_dataset *data, struct xf_diag *diag) {
  struct xf_local_config local = xf_resolve_local(spec->plan, 0);
  local.unit = XF_UNIT_NONE; /* nothing of it leaves */
  if (spec->lr > 0) local.optimizer.lr = (float)spec->lr;
  a->lr = spec->lr > 0 ? spec->lr : spec->plan->stages[0].local.optimizer.lr;
  const size_t n =
      data->kind == XF_DATASET_TABLE ? a->support : xf_model_samples(a->model, data, XF_PART_TRAIN);
  if (n > UINT32_MAX) return XF_E_LIMIT;
  return xf_trainer_new(&a->trainer, a->model, &local, (uint32_t)n, diag);
}

/* The plan's adaptation before a measure @adapt: SGD on the whole support, of what adapts, at learnt rates where there are some. */
static enum xf_rc inner_loops(struct xf_adapt *a, const struct xf_adapt_spec *spec,
                              struct xf_diag *diag) {
  struct xf_metawork_config meta = xf_resolve_meta(spec->plan, 0);
  if (spec->lr > 0 && spec->plan->stages[0].fed.algorithm == XF_PLAN_ALGORITHM_METASGD)
    return xf_diag_set(diag, XF_E_CONFLICT,
                       "a rate is given, but fed.algorithm metasgd has learnt one for each "
                       "parameter; leave it out");
  if (spec->lr > 0) meta.inner_lr = spec->lr;
  a->lr = meta.inner_lr;
  meta.kind = XF_META_FOMAML; /* nothing is differentiated */
  meta.support = a->support;
  meta.query = meta.tasks = meta.steps = 0;
  return xf_metawork_new(&a->meta, a->model, &meta, a->support, diag);
}

/* The plan's measures but those after an adaptation of their own. */
static enum xf_rc measures(struct xf_adapt *a, struct xf_diag *diag) {
  struct xf_measures all;
  const enum xf_rc rc = xf_resolve_measures(&all, a->plan, diag);
  for (size_t i = 0; i < all.n && !rc; i++) {
    if (all.adapt[i]) continue;
    a->measures.measure[a->measures.n] = all.measure[i];
    memcpy(a->measures.key[a->measures.n++], all.key[i], sizeof all.key[i]);
  }
  if (!rc && !a->measures.n)
    return xf_diag_set(diag, XF_E_CONFIG,
                       "eval.metrics: the plan measures nothing without an adaptation of its own; "
                       "add one, such as acc, auc or rmse");
  return rc;
}

static enum xf_rc build(struct xf_adapt *a, const struct xf_adapt_spec *spec,
                        const struct xf_dataset *data, struct xf_diag *diag) {
  struct xf_model_config config;
  enum xf_rc rc = xf_resolve_model(&config, spec->plan, diag);
  config.feedback = false; /* whoever adapts sends nothing */
  if (!rc) rc = measures(a, diag);
  if (!rc) rc = xf_model_new(&a->model, &config, (struct xf_model_size){0}, diag);
  if (!rc && data->kind != xf_model_get_data(a->model))
    rc = xf_diag_set(diag, XF_E_SHAPE, "the model needs %s, not %s",
                     xf_dataset_name(xf_model_get_data(a->model)), xf_dataset_name(data->kind));
  if (!rc) rc = deal_rows(a, data, diag);
  if (rc) return rc;
  a->x = xf_try_calloc(xf_model_get_layout(a->model)->n, sizeof *a->x);
  if (!a->x) return XF_E_NOMEM;
  rc = xf_plan_is_meta(&spec->plan->stages[0]) ? inner_loops(a, spec, diag)
                                               : trainer(a, spec, data, diag);
  return rc ? rc : xf_evaluator_new(&a->evaluator, a->model, diag);
}

enum xf_rc xf_adapt_new(struct xf_adapt **out, const struct xf_adapt_spec *spec,
                        const struct xf_dataset *data, struct xf_diag *diag) {
  *out = NULL;
  enum xf_rc rc = xf_adapt_check(spec->plan, diag);
  if (rc) return rc;
  struct xf_adapt *a = xf_calloc(1, sizeof *a);
  a->plan = spec->plan;
  a->support = spec->support;
  a->query = spec->query;
  rc = xf_str_copy(a->member, sizeof a->member, spec->member);
  if (!rc) rc = build(a, spec, data, diag);
  if (rc) {
    xf_adapt_free(a);
    return rc;
  }
  xf_adapt_draw(a, 1);
  *out = a;
  return XF_OK;
}

void xf_adapt_free(struct xf_adapt *adapt) {
  if (!adapt) return;
  xf_trainer_free(adapt->trainer);
  xf_metawork_free(adapt->meta);
  xf_evaluator_free(adapt->evaluator);
  xf_model_free(adapt->model);
  xf_free(adapt->part);
  xf_free(adapt->row);
  xf_free(adapt->order);
  xf_free(adapt->x);
  xf_free(adapt);
}

const struct xf_model *xf_adapt_model(const struct xf_adapt *adapt) { return adapt->model; }
const struct xf_measures *xf_adapt_measures(const struct xf_adapt *adapt) {
  return &adapt->measures;
}
double xf_adapt_lr(const struct xf_adapt *adapt) { return adapt->lr; }
const uint8_t *xf_adapt_parts(const struct xf_adapt *adapt) { return adapt->part; }

void xf_adapt_draw(struct xf_adapt *adapt, uint64_t draw) {
  struct xf_rng rng;
  adapt->draw = draw;
  memcpy(adapt->order, adapt->row, adapt->n_row * sizeof *adapt->row);
  xf_stream_init(&rng, adapt->plan->seed, "task", draw, adapt->member);
  xf_rng_shuffle(&rng, adapt->order, adapt->n_row);
  for (size_t i = 0; i < adapt->n_row; i++)
    adapt->part[adapt->order[i]] = i < adapt->support                  ? XF_PART_TRAIN
                                   : i - adapt->support < adapt->query ? XF_PART_TEST
                                                                       : XF_PART_VALID;
}

enum xf_rc xf_adapt_scratch(const struct xf_adapt *adapt, float *x, struct xf_diag *diag) {
  struct xf_rng rng;
  xf_stream_init(&rng, adapt->plan->seed, "init", adapt->draw, NULL);
  return xf_model_init(adapt->model, x, &(struct xf_model_seed){.shared = &rng}, diag);
}

static enum xf_rc ask(struct xf_adapt *a, const float *x, struct xf_measure_sum *sum,
                      struct xf_diag *diag) {
  const struct xf_rank_spec spec = {
      .part = XF_PART_TEST, .measure = a->measures.measure, .n_measure = a->measures.n};
  memset(sum, 0, a->measures.n * sizeof *sum);
  return xf_evaluator_run(a->evaluator, x, &a->data, &spec, sum, diag);
}

/* adapt->x = start after k steps of the trainer. */
static enum xf_rc train(struct xf_adapt *a, const float *start, uint32_t k, struct xf_diag *diag) {
  struct xf_train_job job = {.start = start, .data = &a->data, .out = a->x};
  xf_stream_init(&job.shuffle, a->plan->seed, "shuffle", a->draw, a->member);
  xf_stream_init(&job.negative, a->plan->seed, "negative", a->draw, a->member);
  xf_trainer_set_steps(a->trainer, k);
  return xf_trainer_run(a->trainer, &job, diag);
}

enum xf_rc xf_adapt_steps(struct xf_adapt *adapt, const float *start, uint32_t k,
                          struct xf_measure_sum *sum, struct xf_diag *diag) {
  struct xf_rng rng;
  if (k == 0) return ask(adapt, start, sum, diag);
  xf_stream_init(&rng, adapt->plan->seed, "task", adapt->draw, adapt->member);
  const enum xf_rc rc =
      adapt->meta ? xf_metawork_adapt(adapt->meta, start, &adapt->data, &rng, k, adapt->x, diag)
                  : train(adapt, start, k, diag);
  return rc ? rc : ask(adapt, adapt->x, sum, diag);
}

enum xf_rc xf_adapt_ridge(struct xf_adapt *adapt, const float *start, struct xf_measure_sum *sum,
                          struct xf_head_report *report, struct xf_diag *diag) {
  memcpy(adapt->x, start, xf_model_get_layout(adapt->model)->n * sizeof *start);
  const enum xf_rc rc = xf_head_fit(adapt->model, adapt->x, &adapt->data, report, diag);
  return rc ? rc : ask(adapt, adapt->x, sum, diag);
}
