/* Local implicit ALS: a small search, then several seeds averaged. */
#include "rec/tune.h"

#include "base/alloc.h"

#include <math.h>
#include <stdio.h>

enum { EXTEND = 3 };
static const double BEYOND = 1.5;

static enum xf_rc value(void *arg, const struct xf_als *als, double *out, struct xf_diag *diag) {
  struct xf_scorer *scorer;
  enum xf_rc rc = xf_als_scorer(&scorer, als, NULL, diag);
  if (rc) return rc;
  rc = xf_tune_try(arg, scorer, out, diag);
  xf_scorer_free(scorer);
  return rc;
}

/* One more try; *better says whether it became the spec. */
static enum xf_rc try_one(struct xf_tune *t, struct xf_als_spec *spec, double a, double rho,
                          uint32_t dim, struct xf_recommender_candidate *c, bool *better,
                          struct xf_diag *diag) {
  const struct xf_als_grid grid = {
      .dim = {dim}, .n_dim = 1, .a = {a}, .n_a = 1, .rho = {rho}, .n_rho = 1};
  struct xf_als_search s;
  const enum xf_rc rc = xf_als_search(&s, &t->inner_data, spec, &grid, t->in->pool, value, t, diag);
  if (rc) return rc;
  c->tries += s.n;
  *better = s.tries[0].value > c->tuned;
  if (!*better) return XF_OK;
  *spec = xf_als_search_spec(&s, spec);
  c->tuned = s.tries[0].value;
  return XF_OK;
}

/* Beyond the border of the grid while that helps: a and rho in turn, at most EXTEND tries each. */
static enum xf_rc extend(struct xf_tune *t, struct xf_als_spec *spec,
                         struct xf_recommender_candidate *c, struct xf_diag *diag) {
  const struct xf_als_grid *g = &t->spec->als;
  enum xf_rc rc = XF_OK;
  for (int side = 0; side < 2; side++) {
    const double *x = side ? g->rho : g->a, now = side ? spec->w.rho : spec->w.a;
    const uint32_t n = side ? g->n_rho : g->n_a;
    const bool low = now <= x[0], high = now >= x[n - 1];
    bool better = n > 1 && (low || high);
    for (int k = 0; !rc && better && k < EXTEND; k++) {
      const double f = low ? 1 / BEYOND : BEYOND;
      rc = try_one(t, spec, side ? spec->w.a : spec->w.a * f, side ? spec->w.rho * f : spec->w.rho,
                   spec->dim, c, &better, diag);
    }
    c->edge |= better; /* it would have gone further */
  }
  return rc;
}

/* a x rho at the first dim, beyond the border where the best lies there, then every other dim at the best of them. */
static enum xf_rc search(struct xf_tune *t, struct xf_als_spec *spec,
                         struct xf_recommender_candidate *c, struct xf_diag *diag) {
  const struct xf_als_grid *g = &t->spec->als;
  struct xf_als_grid first = *g;
  struct xf_als_search s;
  bool better;
  first.n_dim = 1;
  enum xf_rc rc = xf_als_search(&s, &t->inner_data, spec, &first, t->in->pool, value, t, diag);
  if (rc) return rc;
  *spec = xf_als_search_spec(&s, spec);
  c->tuned = s.tries[s.best].value;
  c->tries = s.n;
  rc = extend(t, spec, c, diag);
  for (uint32_t d = 1; !rc && d < g->n_dim; d++)
    rc = try_one(t, spec, spec->w.a, spec->w.rho, g->dim[d], c, &better, diag);
  return rc;
}

static enum xf_rc fit_one(struct xf_scorer **out, const struct xf_tune *t,
                          const struct xf_rec_data *data, const struct xf_als_spec *spec,
                          struct xf_diag *diag) {
  struct xf_als als;
  enum xf_rc rc = xf_als_init(&als, data, spec, diag);
  if (rc) return rc;
  als.pool = t->in->pool;
  rc = xf_als_fit(&als, diag);
  if (!rc) rc = xf_als_scorer(out, &als, NULL, diag);
  xf_als_deinit(&als);
  return rc;
}

/* One model, or the mean of several seeds' standardised scores. */
static enum xf_rc fit(struct xf_scorer **out, const struct xf_tune *t,
                      const struct xf_rec_data *data, const struct xf_als_spec *spec,
                      struct xf_diag *diag) {
  const uint32_t n = t->spec->als_seeds ? t->spec->als_seeds : 1;
  struct xf_blend_part part[XF_BLEND_PARTS];
  uint32_t made = 0;
  enum xf_rc rc = XF_OK;
  for (; !rc && made < n && made < XF_BLEND_PARTS; made += !rc) {
    struct xf_als_spec s = *spec;
    s.seed = spec->seed + made;
    part[made] = (struct xf_blend_part){"als", NULL, 1};
    rc = fit_one(&part[made].scorer, t, data, &s, diag);
  }
  if (!rc && n == 1) *out = part[0].scorer;
  else if (!rc) rc = xf_blend_new(out, part, made, true, diag);
  for (uint32_t i = 0; rc && i < made; i++) xf_scorer_free(part[i].scorer);
  return rc;
}

enum xf_rc xf_tune_als(struct xf_tune *tune, struct xf_diag *diag) {
  const struct xf_als_grid *g = &tune->spec->als;
  struct xf_recommender_candidate *c;
  struct xf_als_spec spec = {.dim = g->dim[0],
                             .w = {g->a[g->n_a / 2], g->rho[g->n_rho / 2], tune->spec->als_nu},
                             .sweeps = tune->spec->als_sweeps,
                             .seed = tune->spec->seed,
                             .key = tune->in->key};
  enum xf_rc rc = xf_tune_candidate(tune, &c, "als", 0, diag);
  if (!rc && tune->possible) rc = search(tune, &spec, c, diag);
  if (!rc) rc = fit(&c->scorer, tune, &tune->data, &spec, diag);
  if (!rc && tune->possible && tune->spec->keep_inner)
    rc = fit(&c->inner, tune, &tune->inner_data, &spec, diag);
  if (!rc) {
    c->dim = spec.dim;
    c->als = spec.w;
  }
  if (!rc)
    (void)snprintf(c->setting, sizeof c->setting, "dim %u, a %g, rho %g, %u seeds", spec.dim,
                   spec.w.a, spec.w.rho, tune->spec->als_seeds ? tune->spec->als_seeds : 1);
  return rc;
}
