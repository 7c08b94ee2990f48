/*
 * world.h - for the table of decisions: a market's scorers, its features, its lists; one set without split A, one with everything.
 *
 * Functions of type int print what went wrong and return the program's exit status.
 * Owner: the program; market_model_free. Thread: main.
 */
#ifndef XF_TESTS_BENCH_SCORER_WORLD_H
#define XF_TESTS_BENCH_SCORER_WORLD_H

#include "bench/common/markets.h"
#include "rec/features.h"

enum { N_SLOT = XF_FEATURES_SLOTS };

/* The sum of all releases over the directory. */
struct world {
  struct markets *markets;
  float *sum, *diagonal;
};

/* Scorers of one market in the slots of a feature version. */
struct market_model {
  struct xf_scorer *scorer[N_SLOT];
  struct xf_features features;
};

/* Releases of all markets and their sum; markets are loaded. @own out: world_free @err exit status */
int world_init(struct world *out, struct markets *markets);
/* Releases; idempotent. @own world */
void world_free(struct world *world);
/* Fits market d's scorers on a train part (its own, or without split A) and the others' sum: total - own release.
   @own out: market_model_free @err exit status */
int market_model_fit(struct market_model *out, const struct world *world, int d,
                     const struct xf_csr *train, uint32_t version);
/* Releases; idempotent. @own model */
void market_model_free(struct market_model *model);
/* The scorer in a slot, or NULL. @own model's */
const struct xf_scorer *market_model_find(const struct market_model *model, const char *slot);
/* Lists of split A from scorers that did not see it. @own out: xf_listset_deinit @err exit status */
int market_lists(struct xf_listset *out, const struct world *world, int d, uint32_t version);

#endif
