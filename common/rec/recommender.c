/* The silo's decision: candidates, then the guard over subsets of them. */
#include "rec/recommender.h"

#include "base/alloc.h"
#include "base/time.h"
#include "rec/metrics.h"
#include "rec/poptime.h"
#include "rec/tune.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

struct xf_recommender_spec xf_recommender_defaults(void) {
  const double day = XF_POPTIME_DAY;
  struct xf_recommender_spec s = {.families = XF_RECOMMENDER_POPULARITY | XF_RECOMMENDER_DECAYED |
                                              XF_RECOMMENDER_ALS | XF_RECOMMENDER_KERNEL |
                                              XF_RECOMMENDER_EASE,
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
                                  .lambda = {.3, .1, 1},
                                  .n_lambda = 3,
                                  .lambda_se = 1,
                                  .tau = {30 * day, 90 * day, 365 * day},
                                  .n_tau = 3,
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

/* Every tau is a candidate: the guard may want several. */
static enum xf_rc decayed(struct xf_tune *t, struct xf_diag *diag) {
  enum xf_rc rc = XF_OK;
  for (uint32_t i = 0; !rc && t->data.train->time && i < t->spec->n_tau; i++) {
    struct xf_recommender_candidate *c;
    char name[XF_RECOMMENDER_NAME];
    (void)snprintf(name, sizeof name, "decayed %gd", t->spec->tau[i] / XF_POPTIME_DAY);
    rc = xf_tune_candidate(t, &c, name, XF_RECOMMENDER_TIMED, diag);
    if (!rc) rc = xf_poptime_fit(&c->scorer, &t->data, t->spec->tau[i], diag);
    if (!rc && t->possible && t->spec->keep_inner)
      rc = xf_poptime_fit(&c->inner, &t->inner_data, t->spec->tau[i], diag);
  }
  return rc;
}

/* One row for everybody: log(1 + train events of the users that other silos have too). */
struct overlap {
  struct xf_scorer base; /* first */
  float *row;
};

static enum xf_rc overlap_score(const struct xf_scorer *s, const struct xf_query *q, float *out,
                                struct xf_diag *diag) {
  (void)q;
  (void)diag;
  memcpy(out, ((const struct overlap *)s)->row, s->n_items * sizeof *out);
  return XF_OK;
}

static void overlap_free(struct xf_scorer *s) {
  xf_free(((struct overlap *)s)->row);
  xf_free(s);
}

static const struct xf_scorer_kind OVERLAP = {"overlap", overlap_score, NULL, overlap_free};

static enum xf_rc overlap(struct xf_tune *t, struct xf_diag *diag) {
  struct xf_recommender_candidate *c;
  if (!t->in->overlap) return XF_OK;
  const enum xf_rc rc = xf_tune_candidate(t, &c, "overlap", XF_RECOMMENDER_SHARED, diag);
  if (rc) return rc;
  struct overlap *o = xf_calloc(1, sizeof *o);
  const uint32_t n = t->data.n_items;
  o->base = (struct xf_scorer){.kind = &OVERLAP, .n_items = n};
  o->base.cost.memory = n * sizeof *o->row;
  c->scorer = &o->base;
  o->row = xf_try_calloc((size_t)n + 1, sizeof *o->row);
  if (!o->row) return xf_diag_set(diag, XF_E_NOMEM, "no memory for %u items", n);
  for (uint32_t i = 0; i < n; i++) {
    if (!(t->in->overlap[i] >= 0) || !isfinite(t->in->overlap[i]))
      return xf_diag_set(diag, XF_E_NAN, "the count of item %u among overlapping users is %g", i,
                         (double)t->in->overlap[i]);
    o->row[i] = log1pf(t->in->overlap[i]);
  }
  return XF_OK;
}

static enum xf_rc rows(struct xf_tune *t, struct xf_diag *diag) {
  enum xf_rc rc = XF_OK;
  for (uint32_t r = 0; !rc && r < t->in->n_rows; r++) {
    const struct xf_recommender_rows *in = &t->in->rows[r];
    struct xf_recommender_candidate *c;
    if (in->als->n_users != t->data.n_users || in->als->n_items != t->data.n_items)
      return xf_diag_set(
          diag, XF_E_SHAPE, "rows \"%s\" are of %u users and %u items, the data have %u and %u",
          in->name, in->als->n_users, in->als->n_items, t->data.n_users, t->data.n_items);
    rc = xf_tune_candidate(t, &c, in->name, XF_RECOMMENDER_SHARED, diag);
    if (!rc) rc = xf_als_scorer(&c->scorer, in->als, in->pull, diag);
    if (rc) return xf_diag_prefix(diag, rc, "rows \"%s\"", in->name);
    c->kappa = in->pull ? (double)in->pull->kappa : 0;
    (void)snprintf(c->setting, sizeof c->setting, "dim %u, a %g, rho %g, kappa %g",
                   in->als->spec.dim, in->als->spec.w.a, in->als->spec.w.rho, c->kappa);
  }
  return rc;
}

/* ---- fit ---- */

static enum xf_rc check(const struct xf_recommender_input *in, const struct xf_recommender_spec *s,
                        struct xf_diag *diag) {
  const uint32_t list[] = {s->n_kernel_to, s->n_ridge, s->n_lambda, s->n_tau};
  for (size_t i = 0; i < sizeof list / sizeof *list; i++)
    if (list[i] > XF_RECOMMENDER_GRID || (i < 2 && list[i] == 0))
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
  if (!rc && f & XF_RECOMMENDER_DECAYED) rc = decayed(t, diag);
  if (!rc && f & XF_RECOMMENDER_ALS) rc = xf_tune_als(t, diag);
  if (!rc && f & (XF_RECOMMENDER_KERNEL | XF_RECOMMENDER_EASE)) rc = xf_tune_items(t, diag);
  if (!rc) rc = overlap(t, diag);
  return rc ? rc : rows(t, diag);
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
  rc = xf_tune_init(&tune, rec, in, spec, diag);
  if (!rc) rc = families(&tune, diag);
  if (!rc && spec->keep_inner) {
    rec->inner = tune.inner;
    tune.inner = (struct xf_split){0};
  }
  xf_tune_deinit(&tune);
  rec->seconds = xf_time_diff_s(xf_time_now(), from);
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
}

void xf_recommender_free(struct xf_recommender *rec) {
  if (!rec) return;
  for (int a = 0; a < XF_RECOMMENDER_N_ARM; a++) xf_recommender_choice_deinit(&rec->arm[a]);
  for (uint32_t c = 0; c < rec->n_candidate; c++) candidate_free(&rec->candidate[c]);
  xf_split_deinit(&rec->inner);
  xf_free(rec);
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
  rec->memory += c.scorer->cost.memory;
  rec->candidate[rec->n_candidate++] = c;
  return XF_OK;
}

/* ---- choose ---- */

static struct xf_guard_candidate guard_candidate(const struct xf_recommender_candidate *c) {
  return (struct xf_guard_candidate){c->name, c->scorer, (c->flags & XF_RECOMMENDER_SHARED) != 0};
}

enum xf_rc xf_recommender_table(struct xf_guard_table *out, const struct xf_recommender *rec,
                                const struct xf_guard_spec *guard, struct xf_diag *diag) {
  struct xf_guard_candidate c[XF_BLEND_PARTS];
  for (uint32_t i = 0; i < rec->n_candidate; i++) c[i] = guard_candidate(&rec->candidate[i]);
  return xf_guard_table_init(out, c, rec->n_candidate, guard ? guard : &rec->guard, diag);
}

void xf_recommender_choice_deinit(struct xf_recommender_choice *choice) {
  xf_scorer_free(choice->scorer);
  xf_free(choice->figure);
  *choice = (struct xf_recommender_choice){0};
}

static enum xf_rc choose(struct xf_recommender_choice *out, const struct xf_recommender *rec,
                         const struct xf_guard_table *table, const bool *use, const bool *users,
                         uint32_t max_add, struct xf_diag *diag) {
  struct xf_guard_candidate c[XF_BLEND_PARTS];
  struct xf_scorer *scorer[XF_BLEND_PARTS];
  struct xf_guard_spec spec = rec->guard;
  uint32_t n = 0;
  *out = (struct xf_recommender_choice){0};
  spec.split = table->held.split;
  spec.part = table->held.part;
  spec.list = table->held.list;
  spec.max_add = max_add;
  for (uint32_t i = 0; i < rec->n_candidate; i++) {
    if (use && !use[i]) continue;
    c[n] = guard_candidate(&rec->candidate[i]);
    scorer[n] = rec->candidate[i].scorer;
    out->index[n++] = i;
  }
  if (n == 0) return xf_diag_set(diag, XF_E_NOTFOUND, "no candidate to choose from");
  enum xf_rc rc = xf_guard_table_fit(&out->guard, table, c, out->index, n, users, &spec, diag);
  if (rc) return rc;
  out->figure = xf_try_calloc((size_t)table->n_all_users + 1, sizeof *out->figure);
  if (!out->figure) rc = XF_E_NOMEM;
  if (!rc) rc = xf_guard_table_eval(table, &out->guard, out->index, out->figure);
  if (rc) rc = xf_diag_set(diag, rc, "the figures of %u users", table->n_all_users);
  if (!rc) rc = xf_guard_blend(&out->scorer, &out->guard, c, scorer, false, diag);
  if (rc) xf_recommender_choice_deinit(out);
  return rc;
}

enum xf_rc xf_recommender_choose(struct xf_recommender_choice *out,
                                 const struct xf_recommender *rec,
                                 const struct xf_guard_table *table, const bool *use,
                                 const bool *users, struct xf_diag *diag) {
  return choose(out, rec, table, use, users, rec->guard.max_add, diag);
}

/* ---- decide ---- */

/* Which candidates an arm may use; returns how many. */
static uint32_t arm_use(const struct xf_recommender *rec, enum xf_recommender_arm arm, bool *use) {
  uint32_t n = 0;
  for (uint32_t i = 0; i < rec->n_candidate; i++) {
    const struct xf_recommender_candidate *c = &rec->candidate[i];
    const bool shared = (c->flags & XF_RECOMMENDER_SHARED) != 0;
    use[i] = arm == XF_RECOMMENDER_ARM_POPULARITY  ? strcmp(c->name, "popularity") == 0
             : arm == XF_RECOMMENDER_ARM_ALONE     ? !shared
             : arm == XF_RECOMMENDER_ARM_FEDERATED ? shared
                                                   : true;
    n += use[i];
  }
  return n;
}

static enum xf_rc decide(struct xf_recommender *rec, const struct xf_guard_table *table,
                         struct xf_diag *diag) {
  enum xf_rc rc = XF_OK;
  for (int a = 0; !rc && a < XF_RECOMMENDER_N_ARM; a++) {
    const enum xf_recommender_arm arm = (enum xf_recommender_arm)a;
    bool use[XF_BLEND_PARTS];
    xf_recommender_choice_deinit(&rec->arm[a]);
    if (arm_use(rec, arm, use) == 0) continue;
    const bool one = arm == XF_RECOMMENDER_ARM_POPULARITY || arm == XF_RECOMMENDER_ARM_FEDERATED;
    rc = choose(&rec->arm[a], rec, table, use, NULL, one ? 0 : rec->guard.max_add, diag);
  }
  const float *guarded = rec->arm[XF_RECOMMENDER_ARM_GUARDED].figure;
  const float *alone = rec->arm[XF_RECOMMENDER_ARM_ALONE].figure;
  rec->gain = rec->gain_se = NAN;
  if (!rc && guarded && alone)
    (void)xf_measure_paired(guarded, alone, table->n_all_users, &rec->gain, &rec->gain_se);
  return rc;
}

/* Without a judged user nothing speaks for the federation: the local candidate that split A likes best, else the first. */
static enum xf_rc decide_blind(struct xf_recommender *rec, struct xf_diag *diag) {
  uint32_t best = XF_NO_ID;
  enum xf_rc rc = XF_OK;
  for (uint32_t i = 0; i < rec->n_candidate; i++) {
    const struct xf_recommender_candidate *c = &rec->candidate[i];
    if (c->flags & XF_RECOMMENDER_SHARED) continue;
    if (best == XF_NO_ID || c->tuned > rec->candidate[best].tuned ||
        (isnan(rec->candidate[best].tuned) && !isnan(c->tuned)))
      best = i;
  }
  if (best == XF_NO_ID) return xf_diag_set(diag, XF_E_NOTFOUND, "no local candidate to serve");
  for (int a = 0; a < XF_RECOMMENDER_N_ARM; a++) xf_recommender_choice_deinit(&rec->arm[a]);
  const enum xf_recommender_arm arm[] = {XF_RECOMMENDER_ARM_ALONE, XF_RECOMMENDER_ARM_GUARDED};
  const struct xf_guard_candidate c = guard_candidate(&rec->candidate[best]);
  for (int a = 0; !rc && a < 2; a++) {
    struct xf_recommender_choice *choice = &rec->arm[arm[a]];
    choice->index[0] = best;
    choice->guard = (struct xf_guard){.n_candidate = 1, .n_step = 1};
    choice->guard.weight[0] = 1;
    choice->guard.alone[0] = choice->guard.value = NAN;
    rc = xf_guard_blend(&choice->scorer, &choice->guard, &c, &rec->candidate[best].scorer, false,
                        diag);
  }
  rec->gain = rec->gain_se = NAN;
  if (!rc && rec->n_note < XF_RECOMMENDER_NOTES)
    (void)snprintf(rec->note[rec->n_note++], XF_RECOMMENDER_NOTE,
                   "no validation event: nothing speaks for the federation; the local candidate "
                   "that split A likes best is served");
  return rc;
}

enum xf_rc xf_recommender_decide(struct xf_recommender *rec, const struct xf_guard_table *table,
                                 struct xf_diag *diag) {
  const struct xf_time from = xf_time_now();
  struct xf_guard_table own = {0};
  enum xf_rc rc = table ? XF_OK : xf_recommender_table(&own, rec, NULL, diag);
  if (rc == XF_E_NOTFOUND && !table) return decide_blind(rec, diag);
  if (!rc) rc = decide(rec, table ? table : &own, diag);
  xf_guard_table_deinit(&own);
  rec->seconds += xf_time_diff_s(xf_time_now(), from);
  return rc;
}

const struct xf_scorer *xf_recommender_served(const struct xf_recommender *rec) {
  return rec->arm[XF_RECOMMENDER_ARM_GUARDED].scorer;
}
