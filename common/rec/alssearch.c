#include "rec/alssearch.h"

#include <math.h>

struct xf_als_grid xf_als_grid_defaults(void) {
  return (struct xf_als_grid){
      .dim = {96}, .n_dim = 1, .a = {.006, .01, .02}, .n_a = 3, .rho = {.2, .3, .4}, .n_rho = 3};
}

struct xf_als_spec xf_als_search_spec(const struct xf_als_search *search,
                                      const struct xf_als_spec *spec) {
  struct xf_als_spec out = *spec;
  const struct xf_als_try *t = &search->tries[search->best];
  out.dim = t->dim;
  out.w.a = t->a;
  out.w.rho = t->rho;
  return out;
}

static enum xf_rc check(const struct xf_als_grid *g, struct xf_diag *diag) {
  const bool fits = g->n_dim >= 1 && g->n_a >= 1 && g->n_rho >= 1 && g->n_dim <= XF_ALS_GRID &&
                    g->n_a <= XF_ALS_GRID && g->n_rho <= XF_ALS_GRID &&
                    g->n_dim * g->n_a * g->n_rho <= XF_ALS_TRIES;
  if (fits) return XF_OK;
  return xf_diag_set(diag, XF_E_INVAL,
                     "a grid of %u x %u x %u; give 1 to %d of each, at most %d tries", g->n_dim,
                     g->n_a, g->n_rho, XF_ALS_GRID, XF_ALS_TRIES);
}

static enum xf_rc one(struct xf_als_try *t, const struct xf_rec_data *data,
                      const struct xf_als_spec *spec, struct xf_worker *pool, xf_als_value value,
                      void *arg, struct xf_diag *diag) {
  struct xf_als als;
  enum xf_rc rc = xf_als_init(&als, data, spec, diag);
  if (rc) return rc;
  als.pool = pool;
  rc = xf_als_fit(&als, diag);
  t->seconds = als.seconds;
  if (!rc) rc = value(arg, &als, &t->value, diag);
  xf_als_deinit(&als);
  if (!rc && isnan(t->value))
    rc = xf_diag_set(diag, XF_E_NAN, "dim %u, a %g, rho %g: the figure is not a number", t->dim,
                     t->a, t->rho);
  return rc;
}

static bool outermost(const double *x, uint32_t n, double v) {
  return n > 1 && (v <= x[0] || v >= x[n - 1]);
}

enum xf_rc xf_als_search(struct xf_als_search *out, const struct xf_rec_data *data,
                         const struct xf_als_spec *spec, const struct xf_als_grid *grid,
                         struct xf_worker *pool, xf_als_value value, void *arg,
                         struct xf_diag *diag) {
  *out = (struct xf_als_search){0};
  enum xf_rc rc = check(grid, diag);
  if (rc) return rc;
  const uint32_t n = grid->n_dim * grid->n_a * grid->n_rho;
  for (uint32_t i = 0; i < n; i++) {
    struct xf_als_try *t = &out->tries[i];
    struct xf_als_spec s = *spec;
    s.dim = t->dim = grid->dim[i / (grid->n_a * grid->n_rho)];
    s.w.a = t->a = grid->a[i / grid->n_rho % grid->n_a];
    s.w.rho = t->rho = grid->rho[i % grid->n_rho];
    rc = one(t, data, &s, pool, value, arg, diag);
    if (rc) return rc;
    out->n = i + 1;
    if (t->value > out->tries[out->best].value) out->best = i;
  }
  const struct xf_als_try *best = &out->tries[out->best];
  out->edge =
      outermost(grid->a, grid->n_a, best->a) || outermost(grid->rho, grid->n_rho, best->rho);
  return XF_OK;
}
