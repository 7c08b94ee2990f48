// Markets' scorers and lists for the table of decisions.
#include "bench/scorer/world.h"

#include "base/alloc.h"
#include "rec/inner.h"

static const double beta = .5;
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

int market_model_fit(struct xf_feature_models *out, const struct world *world, int d,
                     const struct xf_csr *train, uint32_t version) {
  struct market *k = &world->markets->market[d];
  const uint64_t n = xf_triangle_count(k->n_shared);
  const struct xf_rec_data data = {k->data.n_users, k->data.n_items, train};
  float *others = xf_calloc(n + 1, sizeof *others);
  float *diagonal = xf_calloc(k->n_shared + 1, sizeof *diagonal);
  markets_take(world->markets, d, world->sum, world->diagonal, others, diagonal);
  for (uint64_t i = 0; i < n; i++) others[i] -= k->triangle[i];
  for (uint32_t a = 0; a < k->n_shared; a++) diagonal[a] -= k->diagonal[a];
  const struct xf_recommender_gram gram = {.shared = k->shared,
                                           .m = k->n_shared,
                                           .triangle = others,
                                           .diagonal = diagonal,
                                           .beta = beta};
  const struct xf_feature_models_spec spec = {.version = version, .gram = &gram, .seed = SEED};
  const enum xf_rc rc = xf_feature_models_fit(out, &data, &spec, &world->markets->diag);
  xf_free(others);
  xf_free(diagonal);
  return rc ? markets_fail(world->markets, k->name) : 0;
}

int market_lists(struct xf_listset *out, const struct world *world, int d, uint32_t version) {
  struct market *k = &world->markets->market[d];
  struct xf_split inner;
  struct xf_feature_models model;
  *out = (struct xf_listset){0};
  if (xf_inner_init(&inner, &k->split, 0, SEED, &world->markets->diag))
    return markets_fail(world->markets, k->name);
  const struct xf_features_draw draw = {.seed = SEED};
  int status = market_model_fit(&model, world, d, &inner.part[XF_PART_TRAIN], version);
  if (!status && xf_features_draw(out, &model.features, &inner.part[XF_PART_TRAIN],
                                  &inner.part[XF_PART_VALID], &draw, &world->markets->diag))
    status = markets_fail(world->markets, k->name);
  xf_feature_models_deinit(&model);
  xf_split_deinit(&inner);
  return status;
}
