#include "rec/evaluate.h"

#include "base/alloc.h"
#include "model/score.h"
#include "param/vec.h"
#include "rec/popularity.h"
#include "rec/rowsums.h"
#include "rec/seq_eval.h"

#include <math.h>
#include <string.h>

struct xf_evaluator {
  const struct xf_model *model;
  struct xf_score *scorer;   /* users, rows, lists */
  struct xf_seqscore *steps; /* sequences */
  const float *params;       /* of the run under way */
};

enum xf_rc xf_evaluator_new(struct xf_evaluator **out, const struct xf_model *model,
                            struct xf_diag *diag) {
  *out = NULL;
  struct xf_evaluator *e = xf_calloc(1, sizeof *e);
  e->model = model;
  const enum xf_rc rc = xf_model_get_data(model) == XF_DATASET_SEQUENCES
                            ? xf_seqscore_new(&e->steps, model, diag)
                            : xf_score_new(&e->scorer, model, diag);
  if (rc) {
    xf_free(e);
    return rc;
  }
  *out = e;
  return XF_OK;
}

void xf_evaluator_free(struct xf_evaluator *evaluator) {
  if (!evaluator) return;
  xf_score_free(evaluator->scorer);
  xf_seqscore_free(evaluator->steps);
  xf_free(evaluator);
}

static enum xf_rc score_users(void *arg, const uint32_t *users, uint32_t n, const float **out,
                              struct xf_diag *diag) {
  const struct xf_evaluator *e = arg;
  return xf_score_users(e->scorer, e->params, users, n, out, diag);
}

static enum xf_rc check_table(const struct xf_model *model, const struct xf_table *t,
                              const struct xf_rank_spec *spec, struct xf_diag *diag) {
  const struct xf_model_config *c = xf_model_get_config(model);
  for (size_t m = 0; m < spec->n_measure; m++)
    if (!xf_row_fits(spec->measure[m].kind, c->loss))
      return xf_diag_set(diag, XF_E_INVAL, "measure \"%s\" does not fit a table with loss %s",
                         xf_measure_name(spec->measure[m].kind), xf_loss_name(c->loss));
  if (t->n_in != c->n_in)
    return xf_diag_set(diag, XF_E_SHAPE, "the table has %u inputs, the model %u", t->n_in, c->n_in);
  if (c->loss == XF_LOSS_SOFTMAX && (t->n_class == 0 || t->n_class > c->n_out))
    return xf_diag_set(diag, XF_E_SHAPE, "labels must be classes 0 .. %u; the table has %u classes",
                       c->n_out - 1, t->n_class);
  return XF_OK;
}

/* Outputs of the rows ids[0..n) in blocks; the first output of each goes to score. */
static enum xf_rc table_rows(struct xf_evaluator *e, const struct xf_table *t, const uint32_t *ids,
                             size_t n, float *x, float *score, struct xf_row_sums *sums,
                             struct xf_diag *diag) {
  const struct xf_model_config *c = xf_model_get_config(e->model);
  for (size_t from = 0; from < n; from += XF_SCORE_BLOCK) {
    const uint32_t m = n - from < XF_SCORE_BLOCK ? (uint32_t)(n - from) : XF_SCORE_BLOCK;
    const float *z = NULL;
    xf_table_gather(t, ids + from, m, x);
    const enum xf_rc rc = xf_score_rows(e->scorer, e->params, x, m, &z, diag);
    if (rc) return rc;
    if (xf_vec_find_nonfinite(z, (size_t)m * c->n_out) != SIZE_MAX)
      return xf_diag_set(diag, XF_E_NAN, "an output of the model is not a number; it has diverged");
    for (uint32_t i = 0; i < m; i++) {
      score[from + i] = z[(size_t)i * c->n_out];
      xf_row_sums_add(sums, c, z + (size_t)i * c->n_out, t->y[ids[from + i]]);
    }
  }
  return XF_OK;
}

static enum xf_rc run_table(struct xf_evaluator *e, const struct xf_table *t,
                            const struct xf_rank_spec *spec, struct xf_measure_sum *sum,
                            struct xf_diag *diag) {
  enum xf_rc rc = check_table(e->model, t, spec, diag);
  if (rc) return rc;
  size_t n = 0;
  struct xf_row_sums sums = {0};
  uint32_t *ids = xf_table_rows(t, spec->part, &n);
  float *x = xf_calloc(XF_SCORE_BLOCK, t->n_in * sizeof *x);
  float *score = xf_calloc(n + 1, sizeof *score), *label = xf_calloc(n + 1, sizeof *label);
  for (size_t i = 0; i < n; i++) label[i] = t->y[ids[i]];
  rc = table_rows(e, t, ids, n, x, score, &sums, diag);
  for (size_t m = 0; !rc && m < spec->n_measure; m++) {
    sum[m] = xf_row_sums_get(&sums, spec->measure[m].kind, n);
    if (spec->measure[m].kind == XF_MEASURE_AUC) sum[m] = xf_measure_auc(score, label, n, ids);
  }
  xf_free(ids);
  xf_free(x);
  xf_free(score);
  xf_free(label);
  return rc;
}

/* One user's list: rank of the first candidate among all. */
static enum xf_rc one_list(struct xf_evaluator *e, const struct xf_listset *l, uint32_t list,
                           float *score, uint32_t *rank, struct xf_diag *diag) {
  const float *x = l->x + list * xf_listset_size(l);
  for (uint32_t from = 0; from < l->n_list; from += XF_SCORE_BLOCK) {
    const uint32_t m = l->n_list - from < XF_SCORE_BLOCK ? l->n_list - from : XF_SCORE_BLOCK;
    const float *z = NULL;
    const enum xf_rc rc =
        xf_score_rows(e->scorer, e->params, x + (size_t)from * l->n_in, m, &z, diag);
    if (rc) return rc;
    memcpy(score + from, z, m * sizeof *score);
  }
  if (xf_vec_find_nonfinite(score, l->n_list) != SIZE_MAX)
    return xf_diag_set(diag, XF_E_NAN, "an output of the model is not a number; it has diverged");
  xf_measure_rank(rank, score, 1, score + 1, l->n_list - 1);
  return XF_OK;
}

static double list_auc(const float *score, uint32_t n) {
  double won = 0;
  for (uint32_t i = 1; i < n; i++) won += score[i] < score[0] ? 1 : score[i] == score[0] ? .5 : 0;
  return won / (n - 1);
}

static enum xf_rc run_lists(struct xf_evaluator *e, const struct xf_listset *l,
                            const struct xf_rank_spec *spec, struct xf_measure_sum *sum,
                            struct xf_diag *diag) {
  const struct xf_model_config *c = xf_model_get_config(e->model);
  enum xf_rc rc = XF_OK;
  for (size_t m = 0; m < spec->n_measure; m++)
    if (!xf_measure_fits(spec->measure[m].kind, true) || spec->measure[m].kind == XF_MEASURE_RMSE)
      return xf_diag_set(diag, XF_E_INVAL, "measure \"%s\" does not fit lists of candidates",
                         xf_measure_name(spec->measure[m].kind));
  if (l->n_in != c->n_in)
    return xf_diag_set(diag, XF_E_SHAPE, "the lists have %u features, the model %u", l->n_in,
                       c->n_in);
  float *score = xf_try_calloc((size_t)l->n_list + 1, sizeof *score);
  if (!score) return xf_diag_set(diag, XF_E_NOMEM, "not enough memory for lists of %u", l->n_list);
  for (uint32_t k = 0; !rc && k < l->n; k++) {
    uint32_t rank = 0;
    for (size_t m = 0; spec->per_user && m < spec->n_measure; m++)
      spec->per_user[(size_t)k * spec->n_measure + m] = NAN;
    if (l->part[k] != spec->part) continue;
    rc = one_list(e, l, k, score, &rank, diag);
    for (size_t m = 0; !rc && m < spec->n_measure; m++) {
      const double v = spec->measure[m].kind == XF_MEASURE_AUC
                           ? list_auc(score, l->n_list)
                           : xf_measure_ranks(spec->measure[m], &rank, 1);
      if (spec->per_user) spec->per_user[(size_t)k * spec->n_measure + m] = (float)v;
      sum[m].sum += v;
      sum[m].count += 1;
    }
  }
  xf_free(score);
  return rc;
}

enum xf_rc xf_evaluator_run(struct xf_evaluator *evaluator, const float *params,
                            const struct xf_dataset *data, const struct xf_rank_spec *spec,
                            struct xf_measure_sum *sum, struct xf_diag *diag) {
  const enum xf_dataset_kind eats = xf_model_get_data(evaluator->model);
  for (size_t m = 0; m < spec->n_measure; m++) sum[m] = (struct xf_measure_sum){0};
  if (eats != data->kind)
    return xf_diag_set(diag, XF_E_SHAPE, "the model eats %s, the data are %s",
                       xf_dataset_name(eats), xf_dataset_name(data->kind));
  evaluator->params = params;
  if (eats == XF_DATASET_TABLE) return run_table(evaluator, &data->table, spec, sum, diag);
  if (eats == XF_DATASET_LISTS) return run_lists(evaluator, &data->lists, spec, sum, diag);
  if (eats == XF_DATASET_SEQUENCES)
    return xf_seq_eval(sum, evaluator->steps, evaluator->model, params, &data->seqs, spec, diag);
  const struct xf_model_size size = xf_model_get_size(evaluator->model);
  if (size.n_users != data->split.n_users || size.n_items != data->split.n_items)
    return xf_diag_set(diag, XF_E_SHAPE, "the model has %u users and %u items, the data %u and %u",
                       size.n_users, size.n_items, data->split.n_users, data->split.n_items);
  return xf_rank_eval(sum, &data->split, spec, score_users, evaluator, diag);
}

enum xf_rc xf_evaluate_popularity(const struct xf_split *split, const struct xf_rank_spec *spec,
                                  struct xf_measure_sum *sum, struct xf_diag *diag) {
  struct xf_popularity pop;
  if (xf_popularity_init(&pop, split))
    return xf_diag_set(diag, XF_E_NOMEM, "not enough memory for popularity of %u items",
                       split->n_items);
  const enum xf_rc rc = xf_rank_eval(sum, split, spec, xf_popularity_score, &pop, diag);
  xf_popularity_deinit(&pop);
  return rc;
}
