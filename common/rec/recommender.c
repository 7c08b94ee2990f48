/* The silo's decision: candidates, then the guard over subsets of them. */
#include "rec/recommender.h"

#include "base/alloc.h"
#include "base/time.h"
#include "data/csr.h"
#include "rec/inner.h"
#include "rec/metrics.h"
#include "rec/mix.h"
#include "rec/poptime.h"
#include "rec/recency.h"
#include "rec/tune.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MIX_NEGATIVES = 99 };

struct xf_recommender_spec xf_recommender_defaults(void) {
  const double day = XF_POPTIME_DAY;
  struct xf_recommender_spec s = {.families = XF_RECOMMENDER_POPULARITY | XF_RECOMMENDER_DECAYED |
                                              XF_RECOMMENDER_ALS | XF_RECOMMENDER_KERNEL |
                                              XF_RECOMMENDER_EASE | XF_RECOMMENDER_KG |
                                              XF_RECOMMENDER_CATEGORY,
                                  .tune_users = 2000,
                                  .als = {.dim = {96, 192},
                                          .n_dim = 2,
                                          .a = {.006, .01, .02},
                                          .n_a = 3,
                                          .rho = {.2, .3, .4},
                                          .n_rho = 3},
                                  .als_nu = .5,
                                  .als_sweeps = 6,
                                  .als_seeds = 3,
                                  .kernel_to = {.5, .25},
                                  .n_kernel_to = 2,
                                  .ridge = {30, 10, 100, 300},
                                  .n_ridge = 4,
                                  .max_items = 4000,
                                  .kg_w = {.3, .1, 1},
                                  .n_kg_w = 3,
                                  .popular = {1, .5, 0},
                                  .n_popular = 3,
                                  .lambda = {.3, .1, 1},
                                  .n_lambda = 3,
                                  .lambda_se = 1,
                                  .tau = {7 * day, 30 * day, 90 * day, 365 * day},
                                  .n_tau = 4,
                                  .tau_log = {30 * day, 365 * day},
                                  .n_tau_log = 2,
                                  .keep_inner = true,
                                  .mix_l2 = XF_MIX_L2,
                                  .beta = .5,
                                  .guard = xf_guard_defaults(NULL)};
  s.guard.train_items = true;
  return s;
}

/* ---- candidates without settings ---- */

static enum xf_rc popularity(struct xf_tune *t, struct xf_diag *diag) {
  struct xf_recommender_candidate *c;
  enum xf_rc rc = xf_tune_candidate(t, &c, "popularity", 0, diag);
  if (!rc) rc = xf_popular_fit(&c->scorer, &t->data, diag);
  if (!rc && t->possible && t->spec->keep_inner)
    rc = xf_popular_fit(&c->inner, &t->inner_data, diag);
  return rc;
}

/* What one timed family makes from data. */
typedef enum xf_rc (*timed_fit)(struct xf_scorer **out, const struct xf_rec_data *data, double tau,
                                struct xf_diag *diag);

static enum xf_rc logged(struct xf_scorer **out, const struct xf_rec_data *data, double tau,
                         struct xf_diag *diag) {
  struct xf_scorer *s;
  *out = NULL;
  const enum xf_rc rc = xf_poptime_fit(&s, data, tau, diag);
  return rc ? rc : xf_logged_new(out, s, diag);
}
static enum xf_rc newest(struct xf_scorer **out, const struct xf_rec_data *data, double tau,
                         struct xf_diag *diag) {
  (void)tau;
  return xf_newest_fit(out, data, diag);
}
static enum xf_rc latest(struct xf_scorer **out, const struct xf_rec_data *data, double tau,
                         struct xf_diag *diag) {
  (void)tau;
  return xf_latest_fit(out, data, diag);
}

static enum xf_rc timed_one(struct xf_tune *t, const char *name, timed_fit fit, double tau,
                            struct xf_diag *diag) {
  struct xf_recommender_candidate *c;
  enum xf_rc rc = xf_tune_candidate(t, &c, name, XF_RECOMMENDER_TIMED, diag);
  if (!rc) rc = fit(&c->scorer, &t->data, tau, diag);
  if (!rc && t->possible && t->spec->keep_inner) rc = fit(&c->inner, &t->inner_data, tau, diag);
  return rc;
}

/* Every tau is a candidate: the guard and the mixes may want several. */
static enum xf_rc timed(struct xf_tune *t, struct xf_diag *diag) {
  char name[XF_RECOMMENDER_NAME];
  enum xf_rc rc = XF_OK;
  if (!t->data.train->time) return XF_OK;
  for (uint32_t i = 0; !rc && i < t->spec->n_tau; i++) {
    (void)snprintf(name, sizeof name, "decayed %gd", t->spec->tau[i] / XF_POPTIME_DAY);
    rc = timed_one(t, name, xf_poptime_fit, t->spec->tau[i], diag);
  }
  for (uint32_t i = 0; !rc && i < t->spec->n_tau_log; i++) {
    (void)snprintf(name, sizeof name, "log decayed %gd", t->spec->tau_log[i] / XF_POPTIME_DAY);
    rc = timed_one(t, name, logged, t->spec->tau_log[i], diag);
  }
  if (!rc) rc = timed_one(t, "newest", newest, 0, diag);
  return rc ? rc : timed_one(t, "latest", latest, 0, diag);
}

/* ---- fit ---- */

static enum xf_rc check(const struct xf_recommender_input *in, const struct xf_recommender_spec *s,
                        struct xf_diag *diag) {
  const uint32_t list[] = {s->n_kernel_to, s->n_ridge,   s->n_popular, s->n_lambda,
                           s->n_tau,       s->n_tau_log, s->n_kg_w};
  for (size_t i = 0; i < sizeof list / sizeof *list; i++)
    if (list[i] > XF_RECOMMENDER_GRID || (i < 3 && list[i] == 0))
      return xf_diag_set(diag, XF_E_INVAL, "a list of %u settings; give 1 to %d", list[i],
                         XF_RECOMMENDER_GRID);
  if (s->als.n_dim < 1 || s->als.n_a < 1 || s->als.n_rho < 1 || s->als.n_dim > XF_ALS_GRID ||
      s->als.n_a > XF_ALS_GRID || s->als.n_rho > XF_ALS_GRID || s->als_seeds > XF_BLEND_PARTS)
    return xf_diag_set(diag, XF_E_INVAL, "an ALS grid of %u x %u x %u with %u seeds: give 1 to %d",
                       s->als.n_dim, s->als.n_a, s->als.n_rho, s->als_seeds, XF_ALS_GRID);
  if (!(s->lambda_se >= 0) || !(s->beta >= 0))
    return xf_diag_set(diag, XF_E_INVAL, "lambda_se is %g, beta %g; neither may be negative",
                       s->lambda_se, s->beta);
  if (xf_csr_count(&in->split->part[XF_PART_TRAIN]) == 0)
    return xf_diag_set(diag, XF_E_NOTFOUND, "no train event; there is nothing to recommend from");
  return XF_OK;
}

static enum xf_rc families(struct xf_tune *t, struct xf_diag *diag) {
  const uint32_t f = t->spec->families;
  enum xf_rc rc = f & XF_RECOMMENDER_POPULARITY ? popularity(t, diag) : XF_OK;
  if (!rc && f & XF_RECOMMENDER_DECAYED) rc = timed(t, diag);
  if (!rc) rc = xf_tune_go_on(t, diag);
  if (!rc && f & XF_RECOMMENDER_ALS) rc = xf_tune_als(t, diag);
  if (!rc) rc = xf_tune_go_on(t, diag);
  const bool graph = f & XF_RECOMMENDER_KG && t->in->kg && t->spec->n_kg_w;
  if (!rc && (graph || f & (XF_RECOMMENDER_KERNEL | XF_RECOMMENDER_EASE)))
    rc = xf_tune_items(t, diag);
  if (!rc && graph) rc = xf_tune_content(t, diag);
  if (!rc && f & XF_RECOMMENDER_CATEGORY && t->in->categories) rc = xf_tune_categories(t, diag);
  if (!rc) rc = xf_tune_popular(t, diag);
  for (uint32_t r = 0; !rc && r < t->in->n_rows; r++)
    rc = xf_recommender_add_rows(t->rec, &t->in->rows[r], diag);
  return rc;
}

enum xf_rc xf_recommender_fit(struct xf_recommender **out, const struct xf_recommender_input *in,
                              const struct xf_recommender_spec *spec, struct xf_diag *diag) {
  const struct xf_time from = xf_time_now();
  struct xf_tune tune = {0};
  *out = NULL;
  enum xf_rc rc = check(in, spec, diag);
  if (rc) return rc;
  struct xf_recommender *rec = xf_calloc(1, sizeof *rec);
  rec->split = in->split;
  rec->guard = spec->guard;
  rec->guard.split = in->split;
  rec->tune_users = spec->tune_users;
  rec->seed = spec->seed;
  rec->mix_l2 = spec->mix_l2;
  rc = xf_tune_init(&tune, rec, in, spec, diag);
  if (!rc) rc = families(&tune, diag);
  if (!rc && spec->keep_inner) {
    rec->inner = tune.inner;
    tune.inner = (struct xf_split){0};
  }
  xf_tune_deinit(&tune);
  rec->seconds = xf_time_diff_s(xf_time_now(), from);
  rec->memory = 0;
  for (uint32_t c = 0; !rc && c < rec->n_candidate; c++)
    rec->memory += rec->candidate[c].scorer->cost.memory;
  if (rc) xf_recommender_free(rec);
  else *out = rec;
  return rc;
}

static void candidate_free(struct xf_recommender_candidate *c) {
  if (!c->owned) return;
  xf_scorer_free(c->scorer);
  xf_scorer_free(c->inner);
  xf_free((void *)(uintptr_t)c->mix);
}

void xf_recommender_free(struct xf_recommender *rec) {
  if (!rec) return;
  for (int a = 0; a < XF_RECOMMENDER_N_ARM; a++) xf_recommender_choice_deinit(&rec->arm[a]);
  for (uint32_t c = 0; c < rec->n_candidate; c++) candidate_free(&rec->candidate[c]);
  xf_split_deinit(&rec->inner);
  xf_free(rec);
}

void xf_recommender_free_inner(struct xf_recommender *rec) {
  for (uint32_t c = 0; c < rec->n_candidate; c++) {
    if (!rec->candidate[c].owned) continue;
    xf_scorer_free(rec->candidate[c].inner);
    rec->candidate[c].inner = NULL;
  }
  xf_split_deinit(&rec->inner);
}

const struct xf_recommender_candidate *xf_recommender_find(const struct xf_recommender *rec,
                                                           const char *name) {
  for (uint32_t c = 0; c < rec->n_candidate; c++)
    if (strcmp(rec->candidate[c].name, name) == 0) return &rec->candidate[c];
  return NULL;
}

enum xf_rc xf_recommender_add(struct xf_recommender *rec,
                              const struct xf_recommender_candidate *candidate,
                              struct xf_diag *diag) {
  struct xf_recommender_candidate c = *candidate;
  enum xf_rc rc = XF_OK;
  if (!memchr(c.name, 0, sizeof c.name) || !c.name[0] || xf_recommender_find(rec, c.name))
    rc = xf_diag_set(diag, XF_E_INVAL,
                     "candidate \"%.*s\": the name is empty, taken or longer than %d characters",
                     XF_RECOMMENDER_NAME, c.name, XF_RECOMMENDER_NAME - 1);
  else if (rec->n_candidate == XF_BLEND_PARTS)
    rc = xf_diag_set(diag, XF_E_LIMIT, "more than %d candidates; \"%s\" does not fit",
                     XF_BLEND_PARTS, c.name);
  else if (!c.scorer || c.scorer->n_items != rec->split->n_items)
    rc = xf_diag_set(diag, XF_E_SHAPE, "candidate \"%s\" scores %u items, the data have %u", c.name,
                     c.scorer ? c.scorer->n_items : 0, rec->split->n_items);
  if (rc) {
    candidate_free(&c);
    return rc;
  }
  if (!c.mix) rec->memory += c.scorer->cost.memory; /* a mix borrows */
  rec->candidate[rec->n_candidate++] = c;
  return XF_OK;
}

enum xf_rc xf_recommender_add_rows(struct xf_recommender *rec,
                                   const struct xf_recommender_rows *rows, struct xf_diag *diag) {
  const struct xf_als *als = rows->als;
  struct xf_recommender_candidate c = {.flags = XF_RECOMMENDER_SHARED,
                                       .tuned = NAN,
                                       .kappa = rows->pull ? (double)rows->pull->kappa : 0,
                                       .dim = als->spec.dim,
                                       .als = als->spec.w,
                                       .owned = true};
  if (als->n_users != rec->split->n_users || als->n_items != rec->split->n_items)
    return xf_diag_set(
        diag, XF_E_SHAPE, "rows \"%s\" are of %u users and %u items, the data have %u and %u",
        rows->name, als->n_users, als->n_items, rec->split->n_users, rec->split->n_items);
  if (strlen(rows->name) >= sizeof c.name)
    return xf_diag_set(diag, XF_E_INVAL, "rows \"%s\": the name is longer than %d characters",
                       rows->name, XF_RECOMMENDER_NAME - 1);
  (void)snprintf(c.name, sizeof c.name, "%s", rows->name);
  (void)snprintf(c.setting, sizeof c.setting, "dim %u, a %g, rho %g, kappa %g", c.dim, c.als.a,
                 c.als.rho, c.kappa);
  enum xf_rc rc = xf_als_scorer(&c.scorer, als, rows->pull, diag);
  if (!rc && rows->inner) rc = xf_als_scorer(&c.inner, rows->inner, rows->inner_pull, diag);
  if (rc) xf_scorer_free(c.scorer);
  if (rc) return xf_diag_prefix(diag, rc, "rows \"%s\"", rows->name);
  return xf_recommender_add(rec, &c, diag);
}

/* ---- mixes ---- */

/* Candidates with a model without split A, as columns of a table: column k is candidate of[k]. */
struct lists {
  struct xf_guard_table table;
  uint32_t of[XF_BLEND_PARTS], n;
};

static enum xf_rc lists_init(struct lists *l, const struct xf_recommender *rec,
                             struct xf_diag *diag) {
  struct xf_guard_candidate c[XF_BLEND_PARTS];
  struct xf_guard_spec spec = rec->guard;
  struct xf_csr negatives = {0};
  bool *judge = xf_try_calloc((size_t)rec->split->n_users + 1, sizeof *judge);
  enum xf_rc rc = judge ? XF_OK : XF_E_NOMEM;
  *l = (struct lists){0};
  for (uint32_t i = 0; i < rec->n_candidate; i++) {
    if (!rec->candidate[i].inner) continue;
    c[l->n] = (struct xf_guard_candidate){rec->candidate[i].name, rec->candidate[i].inner, false};
    l->of[l->n++] = i;
  }
  if (!rc) rc = xf_mix_negatives(&negatives, &rec->inner, XF_PART_VALID, MIX_NEGATIVES, rec->seed);
  if (rc) rc = xf_diag_set(diag, rc, "no memory for lists of %u users", rec->split->n_users);
  if (!rc && l->n > 0) {
    (void)xf_inner_judges(&rec->inner, rec->tune_users, rec->seed, judge);
    spec.split = &rec->inner;
    spec.part = XF_PART_VALID;
    spec.list = &negatives;
    spec.users = judge;
    rc = xf_guard_table_init(&l->table, c, l->n, &spec, diag);
    l->table.held.list = NULL;
  }
  xf_csr_deinit(&negatives);
  xf_free(judge);
  return rc;
}

/* The blend of final scorers with weights learnt on their models without split A. */
static enum xf_rc mix_one(struct xf_recommender *rec, const struct lists *l, const char *name,
                          uint32_t allowed, uint32_t wanted, struct xf_diag *diag) {
  struct xf_recommender_candidate out = {.tuned = NAN, .owned = true};
  struct xf_blend_part part[XF_BLEND_PARTS];
  uint32_t column[XF_BLEND_PARTS], n = 0;
  struct xf_mix mix;
  for (uint32_t k = 0; k < l->n; k++) {
    const struct xf_recommender_candidate *c = &rec->candidate[l->of[k]];
    const uint32_t flags = c->flags & (XF_RECOMMENDER_SHARED | XF_RECOMMENDER_TIMED);
    if (flags & ~allowed || c->mix || strcmp(c->name, "pooled") == 0) continue;
    out.flags |= flags;
    column[n++] = k;
  }
  if (n < 2 || out.flags != wanted) return XF_OK;
  enum xf_rc rc = xf_mix_fit(&mix, &l->table, column, n, rec->mix_l2, diag);
  struct xf_guard_mix *weight = xf_try_calloc(XF_BLEND_PARTS, sizeof *weight);
  if (!rc && !weight) rc = xf_diag_set(diag, XF_E_NOMEM, "no memory for a mix");
  for (uint32_t k = 0; !rc && k < n; k++) {
    const struct xf_recommender_candidate *c = &rec->candidate[l->of[column[k]]];
    weight[l->of[column[k]]] = mix.weight[k];
    part[k] = (struct xf_blend_part){c->name, c->scorer, 1};
  }
  if (!rc) rc = xf_mix_scorer(&out.scorer, &mix, part, n, diag);
  if (rc) {
    xf_free(weight);
    return xf_diag_prefix(diag, rc, "%s", name);
  }
  out.mix = weight;
  (void)snprintf(out.name, sizeof out.name, "%s", name);
  (void)snprintf(out.setting, sizeof out.setting, "%u candidates on %u lists, loss %.3f", n,
                 mix.n_list, mix.loss);
  return xf_recommender_add(rec, &out, diag);
}

enum xf_rc xf_recommender_mix(struct xf_recommender *rec, struct xf_diag *diag) {
  const struct xf_time from = xf_time_now();
  const uint32_t shared = XF_RECOMMENDER_SHARED, timed = XF_RECOMMENDER_TIMED;
  struct lists l;
  if (rec->inner.n_users == 0) return XF_OK;
  enum xf_rc rc = lists_init(&l, rec, diag);
  if (!rc && l.table.n_user > 0) {
    rc = mix_one(rec, &l, "mix", 0, 0, diag);
    if (!rc) rc = mix_one(rec, &l, "mix+time", timed, timed, diag);
    if (!rc) rc = mix_one(rec, &l, "mix.shared", shared, shared, diag);
    if (!rc) rc = mix_one(rec, &l, "mix.shared+time", shared | timed, shared | timed, diag);
  }
  xf_guard_table_deinit(&l.table);
  rec->seconds += xf_time_diff_s(xf_time_now(), from);
  return rc;
}
