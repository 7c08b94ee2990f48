/* Local implicit ALS: a small search, then several seeds averaged. */
#include "rec/tune.h"

#include "base/alloc.h"

#include <math.h>
#include <stdio.h>

static enum xf_rc value(void *arg, const struct xf_als *als, double *out, struct xf_diag *diag) {
  struct xf_scorer *scorer;
  enum xf_rc rc = xf_als_scorer(&scorer, als, NULL, diag);
  if (rc) return rc;
  rc = xf_tune_try(arg, scorer, out, diag);
  xf_scorer_free(scorer);
  return rc;
}

/* a x rho at the first dim, then every other dim at the best of them. */
static enum xf_rc search(struct xf_tune *t, struct xf_als_spec *spec,
                         struct xf_recommender_candidate *c, struct xf_diag *diag) {
  struct xf_als_grid first = t->spec->als, rest = t->spec->als;
  struct xf_als_search s;
  first.n_dim = 1;
  enum xf_rc rc = xf_als_search(&s, &t->inner_data, spec, &first, t->in->pool, value, t, diag);
  if (rc) return rc;
  *spec = xf_als_search_spec(&s, spec);
  c->tuned = s.tries[s.best].value;
  c->tries = s.n;
  c->edge = s.edge;
  rest.n_dim--;
  for (uint32_t d = 0; d < rest.n_dim; d++) rest.dim[d] = t->spec->als.dim[d + 1];
  if (rest.n_dim == 0) return XF_OK;
  rest.a[0] = spec->w.a;
  rest.rho[0] = spec->w.rho;
  rest.n_a = rest.n_rho = 1;
  rc = xf_als_search(&s, &t->inner_data, spec, &rest, t->in->pool, value, t, diag);
  if (rc) return rc;
  c->tries += s.n;
  if (!(s.tries[s.best].value > c->tuned)) return XF_OK;
  *spec = xf_als_search_spec(&s, spec);
  c->tuned = s.tries[s.best].value;
  return XF_OK;
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
