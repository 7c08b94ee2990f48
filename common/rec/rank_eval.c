/* Ranking evaluation: blocks of users, candidates by protocol, ranks, sums in user order. */
#include "rec/rank_eval.h"

#include "base/alloc.h"
#include "data/sampler.h"
#include "model/score.h"
#include "param/vec.h"

#include <math.h>
#include <string.h>

struct eval {
  const struct xf_split *split;
  const struct xf_rank_spec *spec;
  struct xf_measure_sum *sum;
  bool auc;
  float *neg;              /* [n_items] scores of the candidates that are not relevant */
  float *pos;              /* [n_items] */
  uint32_t *rank;          /* [n_items] */
  uint32_t *mark;          /* [n_items] for sampling */
  uint32_t *sample;        /* [n_neg] */
  uint32_t of, n_sample;   /* whose sample it is: user + 1, 0 for nobody's yet */
  const struct eval *twin; /* an earlier one that draws the same, or NULL */
};

static enum xf_rc check(const struct xf_rank_spec *spec, struct eval *e, struct xf_diag *diag) {
  for (size_t m = 0; m < spec->n_measure; m++) {
    const enum xf_measure_kind kind = spec->measure[m].kind;
    if (!xf_measure_fits(kind, true))
      return xf_diag_set(diag, XF_E_INVAL, "measure \"%s\" is of tables; the data are interactions",
                         xf_measure_name(kind));
    if (kind == XF_MEASURE_RMSE && !e->split->part[spec->part].value)
      return xf_diag_set(diag, XF_E_INVAL,
                         "measure \"rmse\" needs values; the interactions have none");
    e->auc = e->auc || kind == XF_MEASURE_AUC;
  }
  return XF_OK;
}

static uint32_t row_count(const struct xf_csr *csr, uint32_t u) {
  return csr->start[u + 1] - csr->start[u];
}

/* All items but the user's positives, as scores; what is left out scores -inf. */
static uint32_t full_candidates(struct eval *e, uint32_t u, const float *score) {
  const uint32_t n = e->split->n_items;
  uint32_t left = n;
  memcpy(e->neg, score, n * sizeof *e->neg);
  for (int p = 0; p < XF_N_PART; p++) {
    const struct xf_csr *csr = &e->split->part[p];
    for (uint32_t k = csr->start[u]; k < csr->start[u + 1]; k++) e->neg[csr->item[k]] = -INFINITY;
    left -= row_count(csr, u);
  }
  for (uint32_t i = 0; e->spec->train_items && i < n; i++) {
    if (e->split->item_count[i] || e->neg[i] == -INFINITY) continue;
    e->neg[i] = -INFINITY;
    left--;
  }
  return left;
}

/* The candidates are of no part, so evaluations of several parts share them. */
static uint32_t draw(struct eval *e, uint32_t u) {
  const uint32_t stamp = u + 1;
  uint32_t n_pos = 0;
  for (int p = 0; p < XF_N_PART; p++) {
    const struct xf_csr *csr = &e->split->part[p];
    for (uint32_t k = csr->start[u]; k < csr->start[u + 1]; k++) e->mark[csr->item[k]] = stamp;
    n_pos += row_count(csr, u);
  }
  for (uint32_t i = 0; e->spec->train_items && i < e->split->n_items; i++) {
    if (e->split->item_count[i] || e->mark[i] == stamp) continue;
    e->mark[i] = stamp;
    n_pos++;
  }
  struct xf_rng rng;
  xf_rng_init(&rng, e->spec->seed, u);
  e->of = stamp;
  e->n_sample = xf_sampler_distinct(&rng, e->sample, e->spec->n_neg, e->split->n_items, n_pos,
                                    e->mark, stamp);
  return e->n_sample;
}

static uint32_t sampled_candidates(struct eval *e, uint32_t u, const float *score) {
  const bool shared = e->twin && e->twin->of == u + 1;
  const uint32_t n = shared ? e->twin->n_sample : draw(e, u);
  const uint32_t *sample = shared ? e->twin->sample : e->sample;
  for (uint32_t i = 0; i < n; i++) e->neg[i] = score[sample[i]];
  return n;
}

/* Share of (positive, negative) pairs won, ties half; left-out candidates score -inf and are not counted. */
static double user_auc(const struct eval *e, uint32_t n_pos, uint32_t n_slot, uint32_t n_neg) {
  double won = 0;
  for (uint32_t p = 0; p < n_pos; p++) {
    uint32_t above = 0, equal = 0;
    for (uint32_t i = 0; i < n_slot; i++) {
      above += e->neg[i] > e->pos[p];
      equal += e->neg[i] == e->pos[p];
    }
    won += (double)(n_neg - above) - 0.5 * equal;
  }
  return won / ((double)n_pos * n_neg);
}

static void add(struct eval *e, uint32_t u, size_t m, double value, double sum, double count) {
  if (isnan(value)) return;
  e->sum[m].sum += sum;
  e->sum[m].count += count;
  if (e->spec->per_user) e->spec->per_user[(size_t)u * e->spec->n_measure + m] = (float)value;
}

static void one_user(struct eval *e, uint32_t u, const float *score) {
  const struct xf_csr *held = &e->split->part[e->spec->part];
  const uint32_t n_pos = row_count(held, u);
  const bool sampled = e->spec->n_neg > 0;
  const uint32_t n_neg = sampled ? sampled_candidates(e, u, score) : full_candidates(e, u, score);
  const uint32_t n_slot = sampled ? n_neg : e->split->n_items;
  double error = 0;
  for (uint32_t k = 0; k < n_pos; k++) {
    const uint32_t at = held->start[u] + k;
    e->pos[k] = score[held->item[at]];
    const double d = held->value ? (double)e->pos[k] - (double)held->value[at] : 0;
    error += d * d;
  }
  xf_measure_rank(e->rank, e->pos, n_pos, e->neg, n_slot);
  const double auc = e->auc && n_neg ? user_auc(e, n_pos, n_slot, n_neg) : (double)NAN;
  for (size_t m = 0; m < e->spec->n_measure; m++) {
    const struct xf_measure measure = e->spec->measure[m];
    if (measure.kind == XF_MEASURE_RMSE) {
      add(e, u, m, sqrt(error / n_pos), error, n_pos);
      continue;
    }
    const double v =
        measure.kind == XF_MEASURE_AUC ? auc : xf_measure_ranks(measure, e->rank, n_pos);
    add(e, u, m, v, v, 1);
  }
}

static bool is_asked(const struct eval *e, uint32_t u) {
  return row_count(&e->split->part[e->spec->part], u) > 0 && (!e->spec->users || e->spec->users[u]);
}

static enum xf_rc block(struct eval *e, size_t n_eval, const uint32_t *users, uint32_t n,
                        xf_rank_score score, void *arg, struct xf_diag *diag) {
  const float *s = NULL;
  const size_t n_items = e->split->n_items;
  const enum xf_rc rc = n ? score(arg, users, n, &s, diag) : XF_OK;
  if (rc || !n) return rc;
  const size_t bad = xf_vec_find_nonfinite(s, n * n_items);
  if (bad != SIZE_MAX)
    return xf_diag_set(diag, XF_E_NAN,
                       "the score of item %zu for user %u is not a number; the "
                       "model has diverged",
                       bad % n_items, users[bad / n_items]);
  for (uint32_t i = 0; i < n; i++)
    for (size_t k = 0; k < n_eval; k++)
      if (is_asked(&e[k], users[i])) one_user(&e[k], users[i], s + i * n_items);
  return XF_OK;
}

static bool eval_init(struct eval *e) {
  const size_t n = (size_t)e->split->n_items + 1;
  e->neg = xf_try_calloc(n, sizeof *e->neg);
  e->pos = xf_try_calloc(n, sizeof *e->pos);
  e->rank = xf_try_calloc(n, sizeof *e->rank);
  if (!e->neg || !e->pos || !e->rank) return false;
  if (!e->spec->n_neg) return true;
  e->mark = xf_try_calloc(n, sizeof *e->mark);
  e->sample = xf_try_calloc(n, sizeof *e->sample);
  return e->mark && e->sample;
}

static void eval_deinit(struct eval *e) {
  xf_free(e->neg);
  xf_free(e->pos);
  xf_free(e->rank);
  xf_free(e->mark);
  xf_free(e->sample);
}

static enum xf_rc eval_start(struct eval *e, struct xf_diag *diag) {
  const struct xf_rank_spec *spec = e->spec;
  for (size_t m = 0; m < spec->n_measure; m++) e->sum[m] = (struct xf_measure_sum){0};
  if (spec->per_user)
    for (size_t i = 0; i < (size_t)e->split->n_users * spec->n_measure; i++)
      spec->per_user[i] = NAN;
  const enum xf_rc rc = check(spec, e, diag);
  if (!rc && !eval_init(e))
    return xf_diag_set(diag, XF_E_NOMEM, "not enough memory to rank %u items", e->split->n_items);
  return rc;
}

enum xf_rc xf_rank_eval_parts(struct xf_measure_sum *const *sum, const struct xf_split *split,
                              const struct xf_rank_spec *spec, size_t n_spec, xf_rank_score score,
                              void *arg, struct xf_diag *diag) {
  struct eval e[XF_RANK_SPECS] = {{0}};
  uint32_t users[XF_SCORE_BLOCK], n = 0;
  enum xf_rc rc = XF_OK;
  if (n_spec < 1 || n_spec > XF_RANK_SPECS)
    return xf_diag_set(diag, XF_E_INVAL, "%zu evaluations at once; give 1 to %d", n_spec,
                       XF_RANK_SPECS);
  for (size_t k = 0; !rc && k < n_spec; k++) {
    e[k] = (struct eval){.split = split, .spec = &spec[k], .sum = sum[k]};
    for (size_t j = 0; j < k && !e[k].twin; j++)
      if (spec[j].n_neg == spec[k].n_neg && spec[j].seed == spec[k].seed &&
          spec[j].train_items == spec[k].train_items)
        e[k].twin = &e[j];
    rc = eval_start(&e[k], diag);
  }
  for (uint32_t u = 0; !rc && u < split->n_users; u++) {
    bool asked = false;
    for (size_t k = 0; k < n_spec; k++) asked |= is_asked(&e[k], u);
    if (!asked) continue;
    users[n++] = u;
    if (n < XF_SCORE_BLOCK) continue;
    rc = block(e, n_spec, users, n, score, arg, diag);
    n = 0;
  }
  if (!rc) rc = block(e, n_spec, users, n, score, arg, diag);
  for (size_t k = 0; k < n_spec; k++) eval_deinit(&e[k]);
  return rc;
}

enum xf_rc xf_rank_eval(struct xf_measure_sum *sum, const struct xf_split *split,
                        const struct xf_rank_spec *spec, xf_rank_score score, void *arg,
                        struct xf_diag *diag) {
  return xf_rank_eval_parts(&sum, split, spec, 1, score, arg, diag);
}
