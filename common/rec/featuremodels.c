#include "rec/featuremodels.h"

#include "base/alloc.h"
#include "param/triangle.h"
#include "rec/item_model.h"

#include <math.h>
#include <string.h>

static const double BETA = .5, RIDGE = 30, FROM = .5;

static const struct {
  const char *slot;
  uint32_t dim;
  double a, rho;
} als_of[] = {{"als", 128, .01, .3}, {"als.faint", 128, .003, .3}, {"als.sharp", 64, .03, .003}};
static const struct {
  const char *slot;
  double to;
  bool pooled;
} kernel_of[] = {{"kernel.own", .25, false},
                 {"kernel.pooled", .25, true},
                 {"kernel.even.own", .5, false},
                 {"kernel.even.pooled", .5, true}};

struct grams {
  struct xf_gram own, both;
  bool pooled;
};

/* own + lambda x others', whose noise is cut first. */
static enum xf_rc pool(struct xf_gram *out, const struct xf_gram *own,
                       const struct xf_recommender_gram *g, double lambda, struct xf_diag *diag) {
  const size_t n = g->m ? (size_t)xf_triangle_count(g->m) : 0;
  if (!(g->noise_sd >= 0) || (!g->diagonal && !(g->noise_sd > 0)))
    return xf_diag_set(diag, XF_E_INVAL,
                       "the others' Gram: noise sd %g, %s diagonal; without noise it needs one",
                       g->noise_sd, g->diagonal ? "a" : "no");
  for (size_t i = 0; i < n; i++)
    if (!isfinite(g->triangle[i]))
      return xf_diag_set(diag, XF_E_NAN, "entry %zu of the others' Gram is not a number", i);
  if (!(g->noise_sd > 0))
    return xf_gram_combine(out, own, lambda, g->shared, g->m, g->triangle, g->diagonal, 0, diag);
  float *triangle = xf_try_calloc(n + 1, sizeof *triangle);
  float *diagonal = xf_try_calloc((size_t)g->m + 1, sizeof *diagonal);
  enum xf_rc rc = XF_OK;
  if (!triangle || !diagonal)
    rc = xf_diag_set(diag, XF_E_NOMEM, "no memory for a Gram over %u shared items", g->m);
  if (!rc) {
    if (n) memcpy(triangle, g->triangle, n * sizeof *triangle);
    (void)xf_gram_threshold(triangle, diagonal, g->m, g->noise_sd);
    rc = xf_gram_combine(out, own, lambda, g->shared, g->m, triangle, diagonal, 0, diag);
  }
  xf_free(triangle);
  xf_free(diagonal);
  return rc;
}

static enum xf_rc grams_init(struct grams *g, const struct xf_rec_data *data,
                             const struct xf_feature_models_spec *spec, struct xf_diag *diag) {
  const struct xf_gram_spec own = {.beta = BETA};
  const double lambda = spec->lambda != 0 ? spec->lambda : XF_FEATURE_MODELS_LAMBDA;
  *g = (struct grams){.pooled = spec->gram != NULL};
  if (!(lambda > 0) || !isfinite(lambda))
    return xf_diag_set(diag, XF_E_RANGE, "lambda of the pooled features is %g; it must be above 0",
                       lambda);
  enum xf_rc rc = xf_gram_build(&g->own, data, &own, diag);
  if (rc || !spec->gram) return rc;
  if (spec->gram->beta == BETA) return pool(&g->both, &g->own, spec->gram, lambda, diag);
  const struct xf_gram_spec as_artifact = {.beta = spec->gram->beta};
  struct xf_gram counted;
  rc = xf_gram_build(&counted, data, &as_artifact, diag);
  if (rc) return rc;
  rc = pool(&g->both, &counted, spec->gram, lambda, diag);
  xf_gram_deinit(&counted);
  return rc;
}

static enum xf_rc fit_als(struct xf_scorer **out, uint32_t dim, struct xf_als_weight w,
                          const struct xf_rec_data *data, const struct xf_feature_models_spec *spec,
                          struct xf_diag *diag) {
  const struct xf_als_spec als_spec = {.dim = dim, .w = w, .sweeps = 8, .seed = spec->seed};
  struct xf_als als;
  enum xf_rc rc = xf_als_init(&als, data, &als_spec, diag);
  if (rc) return rc;
  als.pool = spec->pool;
  rc = xf_als_fit(&als, diag);
  if (!rc) rc = xf_als_scorer(out, &als, NULL, diag);
  xf_als_deinit(&als);
  return rc;
}

/* The model of a slot; *out stays NULL where the slot is empty. */
static enum xf_rc fit_slot(struct xf_scorer **out, const char *slot, const struct xf_rec_data *data,
                           const struct grams *g, const struct xf_feature_models_spec *spec,
                           struct xf_diag *diag) {
  const uint32_t most = spec->max_items ? spec->max_items : XF_EASE_MAX_ITEMS;
  for (size_t i = 0; i < sizeof als_of / sizeof als_of[0]; i++)
    if (strcmp(slot, als_of[i].slot) == 0)
      return fit_als(out, als_of[i].dim, (struct xf_als_weight){als_of[i].a, als_of[i].rho, .5},
                     data, spec, diag);
  for (size_t i = 0; i < sizeof kernel_of / sizeof kernel_of[0]; i++)
    if (strcmp(slot, kernel_of[i].slot) == 0)
      return kernel_of[i].pooled && !g->pooled
                 ? XF_OK
                 : xf_kernel_fit(out, kernel_of[i].pooled ? &g->both : &g->own, FROM,
                                 kernel_of[i].to, diag);
  const bool pooled = strcmp(slot, "ease.pooled") == 0;
  if (!pooled && strcmp(slot, "ease.own") != 0)
    return xf_diag_set(diag, XF_E_UNSUPPORTED, "no model is known for slot \"%s\"", slot);
  if (data->n_items > most || (pooled && !g->pooled)) return XF_OK;
  return xf_ease_fit(out, pooled ? &g->both : &g->own, RIDGE, most, diag);
}

enum xf_rc xf_feature_models_fit(struct xf_feature_models *out, const struct xf_rec_data *data,
                                 const struct xf_feature_models_spec *spec, struct xf_diag *diag) {
  const struct xf_feature_set *set = xf_feature_set_find(spec->version);
  struct grams g = {0};
  *out = (struct xf_feature_models){0};
  if (xf_csr_count(data->train) == 0)
    return xf_diag_set(diag, XF_E_NOTFOUND, "there is no train event to fit scorers on");
  uint32_t *count = xf_try_calloc((size_t)data->n_items + 1, sizeof *count);
  if (!count) return xf_diag_set(diag, XF_E_NOMEM, "no memory for %u items", data->n_items);
  enum xf_rc rc = XF_OK;
  for (uint32_t e = 0; !rc && e < xf_csr_count(data->train); e++) {
    const uint32_t item = data->train->item[e];
    if (item < data->n_items) count[item]++;
    else rc = xf_diag_set(diag, XF_E_SHAPE, "an event of item %u of %u", item, data->n_items);
  }
  if (!rc) rc = xf_features_init(&out->features, spec->version, count, data->n_items, diag);
  if (!rc) rc = grams_init(&g, data, spec, diag);
  for (uint32_t s = 0; !rc && s < set->n_slot; s++) {
    rc = fit_slot(&out->scorer[s], set->slot[s], data, &g, spec, diag);
    if (!rc && out->scorer[s])
      rc = xf_features_bind(&out->features, set->slot[s], out->scorer[s], diag);
    if (rc) rc = xf_diag_prefix(diag, rc, "slot \"%s\"", set->slot[s]);
  }
  xf_free(count);
  xf_gram_deinit(&g.own);
  xf_gram_deinit(&g.both);
  if (rc) xf_feature_models_deinit(out);
  return rc;
}

void xf_feature_models_deinit(struct xf_feature_models *models) {
  xf_features_deinit(&models->features);
  for (int s = 0; s < XF_FEATURES_SLOTS; s++) xf_scorer_free(models->scorer[s]);
  *models = (struct xf_feature_models){0};
}

const struct xf_scorer *xf_feature_models_find(const struct xf_feature_models *models,
                                               const char *slot) {
  const struct xf_feature_set *set = models->features.set;
  for (uint32_t s = 0; set && s < set->n_slot; s++)
    if (strcmp(set->slot[s], slot) == 0) return models->scorer[s];
  return NULL;
}
