/*
 * world.h - for the table of decisions: a market's scorers, its features, its lists; one set without split A, one with everything.
 *
 * Functions of type int print what went wrong and return the program's exit status.
 * Owner: the program. Thread: main.
 */
#ifndef XF_TESTS_BENCH_SCORER_WORLD_H
#define XF_TESTS_BENCH_SCORER_WORLD_H

#include "bench/common/markets.h"
#include "rec/featuremodels.h"

/* The sum of all releases over the directory. */
struct world {
  struct markets *markets;
  float *sum, *diagonal;
};

/* Releases of all markets and their sum; markets are loaded. @own out: world_free @err exit status */
int world_init(struct world *out, struct markets *markets);
/* Releases; idempotent. @own world */
void world_free(struct world *world);
/* Fits market d's scorers on a train part (its own, or without split A) and the others' sum: total - own release.
   @own out: xf_feature_models_deinit @err exit status */
int market_model_fit(struct xf_feature_models *out, const struct world *world, int d,
                     const struct xf_csr *train, uint32_t version);
/* Lists of split A from scorers that did not see it. @own out: xf_listset_deinit @err exit status */
int market_lists(struct xf_listset *out, const struct world *world, int d, uint32_t version);

#endif
