#include "rec/list_eval.h"

#include "base/alloc.h"

#include <math.h>

struct eval {
  const struct xf_lists *lists;
  const struct xf_rec_data *data;
  const struct xf_scorer *scorer;
  xf_list_rank rank_list; /* NULL: scores of all items */
  const struct xf_list_spec *spec;
  struct xf_measure_sum *sum;
  float *score;     /* [n_items], or [longest list] */
  float *pos, *neg; /* [longest list] */
  uint32_t *rank;   /* [most relevant] */
};

static enum xf_rc check(const struct eval *e, struct xf_diag *diag) {
  const struct xf_list_spec *spec = e->spec;
  for (size_t m = 0; m < spec->n_measure; m++) {
    const enum xf_measure_kind kind = spec->measure[m].kind;
    if (!xf_measure_fits(kind, true) || kind == XF_MEASURE_RMSE)
      return xf_diag_set(
          diag, XF_E_INVAL,
          "measure \"%s\" is not of ranked lists; use hr, recall, precision, ndcg, mrr "
          "or auc",
          xf_measure_name(kind));
  }
  if (e->lists->n == 0) return xf_diag_set(diag, XF_E_INVAL, "there are no candidate lists");
  for (uint32_t k = 0; k < e->lists->start[e->lists->n]; k++)
    if (e->lists->item[k] >= e->scorer->n_items)
      return xf_diag_set(diag, XF_E_SHAPE,
                         "candidate %u, but scorer \"%s\" knows %u items; load the lists before "
                         "fitting, so that the catalogue has their items",
                         e->lists->item[k], e->scorer->kind->name, e->scorer->n_items);
  return XF_OK;
}

static bool eval_init(struct eval *e) {
  uint32_t longest = 0, most = 0;
  for (uint32_t k = 0; k < e->lists->n; k++) {
    const uint32_t n = e->lists->start[k + 1] - e->lists->start[k];
    if (n > longest) longest = n;
    if (e->lists->n_relevant[k] > most) most = e->lists->n_relevant[k];
  }
  e->score =
      xf_try_calloc((size_t)(e->rank_list ? longest : e->scorer->n_items) + 1, sizeof *e->score);
  e->pos = xf_try_calloc((size_t)longest + 1, sizeof *e->pos);
  e->neg = xf_try_calloc((size_t)longest + 1, sizeof *e->neg);
  e->rank = xf_try_calloc((size_t)most + 1, sizeof *e->rank);
  return e->score && e->pos && e->neg && e->rank;
}

static void eval_deinit(struct eval *e) {
  xf_free(e->score);
  xf_free(e->pos);
  xf_free(e->neg);
  xf_free(e->rank);
}

static double list_auc(const struct eval *e, uint32_t n_pos, uint32_t n_neg) {
  double won = 0;
  for (uint32_t p = 0; p < n_pos; p++)
    for (uint32_t i = 0; i < n_neg; i++)
      won += e->neg[i] < e->pos[p] ? 1 : e->neg[i] == e->pos[p] ? .5 : 0;
  return won / ((double)n_pos * n_neg);
}

static double value(const struct eval *e, struct xf_measure measure, uint32_t n_pos, uint32_t n_neg,
                    uint32_t n_relevant) {
  if (measure.kind == XF_MEASURE_AUC)
    return n_pos && n_neg ? list_auc(e, n_pos, n_neg) : (double)NAN;
  if (measure.kind == XF_MEASURE_MRR && n_pos == 0) return 0;
  return xf_measure_ranks(measure, e->rank, n_relevant);
}

static enum xf_rc one_list(struct eval *e, uint32_t list, struct xf_diag *diag) {
  const struct xf_lists *l = e->lists;
  const struct xf_csr *train = e->data->train;
  struct xf_query q = {.user = XF_NO_ID, .at = (double)NAN};
  if (l->user[list] < train->n_row && l->user[list] < e->data->n_users) {
    q.user = l->user[list];
    q.item = train->item + train->start[q.user];
    q.n = train->start[q.user + 1] - train->start[q.user];
  }
  const uint32_t begin = l->start[list], n = l->start[list + 1] - begin;
  const enum xf_rc rc = e->rank_list
                            ? e->rank_list(e->scorer, &q, l->item + begin, n, e->score, diag)
                            : xf_scorer_score(e->scorer, &q, e->score, diag);
  if (rc) return rc;
  uint32_t n_pos = 0, n_neg = 0;
  for (uint32_t k = begin; k < begin + n; k++) {
    const float s = e->score[e->rank_list ? k - begin : l->item[k]];
    if (!isfinite(s))
      return xf_diag_set(diag, XF_E_NAN,
                         "the score of item %u for user %u by \"%s\" is not a number", l->item[k],
                         l->user[list], e->scorer->kind->name);
    if (l->relevant[k]) e->pos[n_pos++] = s;
    else e->neg[n_neg++] = s;
  }
  xf_measure_rank(e->rank, e->pos, n_pos, e->neg, n_neg);
  for (uint32_t p = n_pos; p < l->n_relevant[list]; p++) e->rank[p] = UINT32_MAX; /* missed */
  for (size_t m = 0; m < e->spec->n_measure; m++) {
    const double v = value(e, e->spec->measure[m], n_pos, n_neg, l->n_relevant[list]);
    if (e->spec->per_user) e->spec->per_user[list * e->spec->n_measure + m] = (float)v;
    if (isnan(v)) continue;
    e->sum[m].sum += v;
    e->sum[m].count += 1;
  }
  return XF_OK;
}

enum xf_rc xf_list_eval(struct xf_measure_sum *sum, const struct xf_lists *lists,
                        const struct xf_rec_data *data, const struct xf_scorer *scorer,
                        const struct xf_list_spec *spec, struct xf_diag *diag) {
  return xf_list_eval_ranked(sum, lists, data, scorer, NULL, spec, diag);
}

enum xf_rc xf_list_eval_ranked(struct xf_measure_sum *sum, const struct xf_lists *lists,
                               const struct xf_rec_data *data, const struct xf_scorer *scorer,
                               xf_list_rank rank, const struct xf_list_spec *spec,
                               struct xf_diag *diag) {
  struct eval e = {
      .lists = lists, .data = data, .scorer = scorer, .rank_list = rank, .spec = spec, .sum = sum};
  for (size_t m = 0; m < spec->n_measure; m++) sum[m] = (struct xf_measure_sum){0};
  enum xf_rc rc = check(&e, diag);
  if (!rc && !eval_init(&e)) rc = xf_diag_set(diag, XF_E_NOMEM, "not enough memory to rank lists");
  for (uint32_t k = 0; !rc && k < lists->n; k++) rc = one_list(&e, k, diag);
  eval_deinit(&e);
  return rc;
}
