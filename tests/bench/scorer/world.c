// Markets' scorers and lists for the table of decisions. Settings are fixed beforehand, the same in every market.
#include "bench/scorer/world.h"

#include "base/alloc.h"
#include "rec/als.h"
#include "rec/inner.h"
#include "rec/item_model.h"

#include <string.h>

static const double beta = .5, lambda = .3;
enum { SEED = 1 };

int world_init(struct world *out, struct markets *markets) {
  const bool all[N_MARKET] = {true, true, true, true, true};
  *out = (struct world){.markets = markets};
  for (int d = 0; d < N_MARKET; d++)
    if (markets_release(markets, d, beta, 0)) return 1;
  out->sum = xf_calloc(xf_triangle_count(markets->n_shared) + 1, sizeof *out->sum);
  out->diagonal = xf_calloc(markets->n_shared + 1, sizeof *out->diagonal);
  return markets_sum(markets, all, out->sum, out->diagonal);
}

void world_free(struct world *world) {
  xf_free(world->sum);
  xf_free(world->diagonal);
  *world = (struct world){0};
}

// own + lambda x the others', who are the sum without this market's release.
static int pooled(struct xf_gram *out, const struct xf_gram *own, const struct world *w, int d) {
  struct market *k = &w->markets->market[d];
  const uint64_t n = xf_triangle_count(k->n_shared);
  float *others = xf_calloc(n + 1, sizeof *others);
  float *diagonal = xf_calloc(k->n_shared + 1, sizeof *diagonal);
  markets_take(w->markets, d, w->sum, w->diagonal, others, diagonal);
  for (uint64_t i = 0; i < n; i++) others[i] -= k->triangle[i];
  for (uint32_t a = 0; a < k->n_shared; a++) diagonal[a] -= k->diagonal[a];
  const enum xf_rc rc = xf_gram_combine(out, own, lambda, k->shared, k->n_shared, others, diagonal,
                                        0, &w->markets->diag);
  xf_free(others);
  xf_free(diagonal);
  return rc ? markets_fail(w->markets, k->name) : 0;
}

static enum xf_rc fit_als(struct xf_scorer **out, const char *slot, const struct xf_rec_data *data,
                          struct xf_diag *diag) {
  struct xf_als als;
  struct xf_als_spec spec = {.dim = 128, .w = {.01, .3, .5}, .sweeps = 8, .seed = SEED};
  if (strcmp(slot, "als.faint") == 0) spec.w.a = .003;
  if (strcmp(slot, "als.sharp") == 0) {
    spec.dim = 64;
    spec.w.a = .03;
    spec.w.rho = .003;
  }
  enum xf_rc rc = xf_als_init(&als, data, &spec, diag);
  if (rc) return rc;
  rc = xf_als_fit(&als, diag);
  if (!rc) rc = xf_als_scorer(out, &als, NULL, diag);
  xf_als_deinit(&als);
  return rc;
}

// "ease.own", "kernel.even.pooled", "als": the model a slot's name says.
static enum xf_rc fit_slot(struct xf_scorer **out, const char *slot, const struct xf_rec_data *data,
                           const struct xf_gram *own, const struct xf_gram *both,
                           struct xf_diag *diag) {
  const struct xf_gram *g = strstr(slot, ".pooled") ? both : own;
  if (strncmp(slot, "als", 3) == 0) return fit_als(out, slot, data, diag);
  if (strncmp(slot, "ease", 4) == 0) return xf_ease_fit(out, g, 30, 0, diag);
  return xf_kernel_fit(out, g, .5, strncmp(slot, "kernel.even", 11) == 0 ? .5 : .25, diag);
}

int market_model_fit(struct market_model *out, const struct world *world, int d,
                     const struct xf_csr *train, uint32_t version) {
  struct market *k = &world->markets->market[d];
  struct xf_diag *diag = &world->markets->diag;
  const struct xf_rec_data data = {k->data.n_users, k->data.n_items, train};
  const struct xf_gram_spec spec = {.beta = beta};
  uint32_t *count = xf_calloc(k->data.n_items + 1, sizeof *count);
  for (uint32_t e = 0; e < xf_csr_count(train); e++) count[train->item[e]]++;
  struct xf_gram own = {0}, both = {0};
  *out = (struct market_model){0};
  enum xf_rc rc = xf_features_init(&out->features, version, count, k->data.n_items, diag);
  if (!rc) rc = xf_gram_build(&own, &data, &spec, diag);
  int status = rc ? markets_fail(world->markets, k->name) : pooled(&both, &own, world, d);
  const struct xf_feature_set *set = xf_feature_set_find(version);
  for (uint32_t s = 0; !status && s < set->n_slot; s++) {
    rc = fit_slot(&out->scorer[s], set->slot[s], &data, &own, &both, diag);
    if (rc == XF_E_LIMIT) continue; // EASE over s1's 9,762 items: an empty slot
    if (!rc) rc = xf_features_bind(&out->features, set->slot[s], out->scorer[s], diag);
    if (rc) status = markets_fail(world->markets, set->slot[s]);
  }
  xf_free(count);
  xf_gram_deinit(&own);
  xf_gram_deinit(&both);
  return status;
}

void market_model_free(struct market_model *model) {
  xf_features_deinit(&model->features);
  for (int s = 0; s < N_SLOT; s++) xf_scorer_free(model->scorer[s]);
  *model = (struct market_model){0};
}

const struct xf_scorer *market_model_find(const struct market_model *model, const char *slot) {
  const struct xf_feature_set *set = model->features.set;
  for (uint32_t s = 0; s < set->n_slot; s++)
    if (strcmp(set->slot[s], slot) == 0) return model->scorer[s];
  return NULL;
}

int market_lists(struct xf_listset *out, const struct world *world, int d, uint32_t version) {
  struct market *k = &world->markets->market[d];
  struct xf_split inner;
  struct market_model model;
  *out = (struct xf_listset){0};
  if (xf_inner_init(&inner, &k->split, 0, SEED, &world->markets->diag))
    return markets_fail(world->markets, k->name);
  const struct xf_features_draw draw = {.seed = SEED};
  int status = market_model_fit(&model, world, d, &inner.part[XF_PART_TRAIN], version);
  if (!status && xf_features_draw(out, &model.features, &inner.part[XF_PART_TRAIN],
                                  &inner.part[XF_PART_VALID], &draw, &world->markets->diag))
    status = markets_fail(world->markets, k->name);
  market_model_free(&model);
  xf_split_deinit(&inner);
  return status;
}
