/* Popularity that the federation knows more of: among users whom other silos have too, and counted in all silos. */
#include "rec/tune.h"

#include "base/alloc.h"
#include "rec/metrics.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* One row for everybody. */
struct crowd {
  struct xf_scorer base; /* first */
  float *row;
};

static enum xf_rc crowd_score(const struct xf_scorer *s, const struct xf_query *q, float *out,
                              struct xf_diag *diag) {
  (void)q;
  (void)diag;
  memcpy(out, ((const struct crowd *)s)->row, s->n_items * sizeof *out);
  return XF_OK;
}

static void crowd_free(struct xf_scorer *s) {
  xf_free(((struct crowd *)s)->row);
  xf_free(s);
}

static const struct xf_scorer_kind CROWD = {"crowd", crowd_score, NULL, crowd_free};

/* log(1 + own + lambda x others'), own: the events of `train`, NULL: none. */
static enum xf_rc crowd_new(struct xf_scorer **out, uint32_t n, const struct xf_csr *train,
                            double lambda, const float *others, struct xf_diag *diag) {
  struct crowd *c = xf_calloc(1, sizeof *c);
  double *count = xf_try_calloc((size_t)n + 1, sizeof *count);
  c->base = (struct xf_scorer){.kind = &CROWD, .n_items = n};
  c->base.cost.memory = n * sizeof *c->row;
  c->row = xf_try_calloc((size_t)n + 1, sizeof *c->row);
  *out = &c->base;
  if (!count || !c->row) {
    xf_free(count);
    return xf_diag_set(diag, XF_E_NOMEM, "no memory for the counts of %" PRIu32 " items", n);
  }
  for (uint32_t k = 0; train && k < xf_csr_count(train); k++) count[train->item[k]]++;
  for (uint32_t i = 0; i < n; i++) c->row[i] = (float)log1p(count[i] + lambda * (double)others[i]);
  xf_free(count);
  return XF_OK;
}

static enum xf_rc check(const float *count, uint32_t n, const char *of, struct xf_diag *diag) {
  for (uint32_t i = 0; count && i < n; i++)
    if (!(count[i] >= 0) || !isfinite(count[i]))
      return xf_diag_set(diag, XF_E_NAN, "the count of item %" PRIu32 " %s is %g", i, of,
                         (double)count[i]);
  return XF_OK;
}

static enum xf_rc overlap(struct xf_tune *t, struct xf_diag *diag) {
  struct xf_recommender_candidate *c;
  if (!t->in->overlap) return XF_OK;
  enum xf_rc rc = check(t->in->overlap, t->data.n_items, "among overlapping users", diag);
  if (!rc) rc = xf_tune_candidate(t, &c, "overlap", XF_RECOMMENDER_SHARED, diag);
  return rc ? rc : crowd_new(&c->scorer, t->data.n_items, NULL, 1, t->in->overlap, diag);
}

/* The best lambda above 0, and what it gains on split A over the silo's own counts. */
struct found {
  double lambda, gain, se, tuned;
};

static enum xf_rc search(struct xf_tune *t, struct found *f, struct xf_diag *diag) {
  const uint32_t n = t->inner.n_users;
  struct xf_scorer *s = NULL;
  double mean = 0;
  enum xf_rc rc = crowd_new(&s, t->data.n_items, t->inner_data.train, 0, t->in->counts, diag);
  if (!rc) rc = xf_tune_try(t, s, &mean, diag);
  xf_scorer_free(s);
  if (rc) return rc;
  memcpy(t->best, t->figure, n * sizeof *t->best);
  f->gain = -INFINITY;
  for (uint32_t i = 0; !rc && i < t->spec->n_lambda; i++) {
    double gain = 0, se = 0;
    rc = crowd_new(&s, t->data.n_items, t->inner_data.train, t->spec->lambda[i], t->in->counts,
                   diag);
    if (!rc) rc = xf_tune_try(t, s, &mean, diag);
    xf_scorer_free(s);
    if (rc) break;
    (void)xf_measure_paired(t->figure, t->best, n, &gain, &se);
    if (gain > f->gain) *f = (struct found){t->spec->lambda[i], gain, se, mean};
  }
  return rc;
}

/* Own + lambda x others' counts, by the same lambdas and the same rule as the others' Gram. */
static enum xf_rc pooled(struct xf_tune *t, struct xf_diag *diag) {
  struct xf_recommender_candidate *c;
  if (!t->in->counts || t->spec->n_lambda == 0) return XF_OK;
  struct found f = {t->spec->lambda[0], 0, 0, NAN};
  enum xf_rc rc = check(t->in->counts, t->data.n_items, "in other silos", diag);
  if (!rc && t->possible) rc = search(t, &f, diag);
  if (rc) return rc;
  if (t->possible && !(f.gain > t->spec->lambda_se * f.se && f.gain > 0)) {
    xf_tune_note(
        t,
        "popularity.pooled: lambda 0: the others' counts are switched off (best lambda %g: "
        "gain %.4f, SE %.4f on split A)",
        f.lambda, f.gain, f.se);
    return XF_OK;
  }
  rc = xf_tune_candidate(t, &c, "popularity.pooled", XF_RECOMMENDER_SHARED, diag);
  if (rc) return rc;
  c->lambda = f.lambda;
  c->tuned = f.tuned;
  c->tries = t->possible ? t->spec->n_lambda + 1 : 0;
  (void)snprintf(c->setting, sizeof c->setting, "own + %g x others' counts (gain %.4f, SE %.4f)",
                 f.lambda, f.gain, f.se);
  rc = crowd_new(&c->scorer, t->data.n_items, t->data.train, f.lambda, t->in->counts, diag);
  if (!rc && t->possible && t->spec->keep_inner)
    rc = crowd_new(&c->inner, t->data.n_items, t->inner_data.train, f.lambda, t->in->counts, diag);
  return rc;
}

enum xf_rc xf_tune_popular(struct xf_tune *tune, struct xf_diag *diag) {
  const enum xf_rc rc = pooled(tune, diag);
  return rc ? rc : overlap(tune, diag);
}

/* --- strangers ---------------------------------------------------------------------------------- */

const char *xf_recommender_crowd_text(enum xf_recommender_crowd crowd) {
  switch (crowd) {
  case XF_RECOMMENDER_CROWD_POOLED: return "popularity in all silos";
  case XF_RECOMMENDER_CROWD_OVERLAP: return "popularity among users of several silos";
  case XF_RECOMMENDER_CROWD_OWN: break;
  }
  return "popularity";
}

enum xf_rc xf_recommender_strangers(const struct xf_recommender *rec, float *out,
                                    enum xf_recommender_crowd *crowd, struct xf_diag *diag) {
  const uint32_t n = rec->split->n_items;
  const struct xf_recommender_candidate *o = xf_recommender_find(rec, "overlap"),
                                        *p = xf_recommender_find(rec, "popularity.pooled");
  const struct xf_query nobody = {XF_NO_ID, NULL, 0, (double)NAN};
  double all = 1;
  bool any = false;
  *crowd = XF_RECOMMENDER_CROWD_OWN;
  memset(out, 0, n * sizeof *out);
  enum xf_rc rc = o ? xf_scorer_score(o->scorer, &nobody, out, diag) : XF_OK;
  for (uint32_t i = 0; i < n; i++) any |= out[i] > 0, all += rec->split->item_count[i];
  if (any) *crowd = XF_RECOMMENDER_CROWD_OVERLAP;
  else if (!rc && p) {
    rc = xf_scorer_score(p->scorer, &nobody, out, diag);
    *crowd = XF_RECOMMENDER_CROWD_POOLED;
  }
  if (*crowd == XF_RECOMMENDER_CROWD_OWN) {
    for (uint32_t i = 0; i < n; i++) out[i] = (float)log1p((double)rec->split->item_count[i]);
    return rc;
  }
  /* Where the counts are equal the silo's own decide: their part stays below that of one event more. */
  for (uint32_t i = 0; i < n; i++)
    out[i] = (float)log1p(expm1((double)out[i]) + .5 * rec->split->item_count[i] / all);
  return rc;
}
