/* falsify.h - figures that must show nothing, beside the same ones on data as they are. */
#ifndef TESTS_BENCH_FALSIFY_H
#define TESTS_BENCH_FALSIFY_H

#include "base/worker.h"
#include "rec/recommender.h"

enum { SEEDS = 5 };

/* The others' item co-occurrence of XMRec's markets: sources with permuted item keys; all markets with random items. 77: no data. */
int falsify_markets(struct xf_worker *pool);
/* Rows of Ciao's categories with permuted pseudonyms. 77: no data. */
int falsify_ciao(struct xf_worker *pool);

/* What the federation brought to an arm of a decision, in words and numbers of a line. */
struct brought {
  uint32_t shared; /* candidates that need the federation and got this far */
  uint32_t chosen; /* of these with weight in the guarded arm */
  double lambda;   /* largest of a Gram candidate with weight; 0: none */
};
struct brought brought(const struct xf_recommender *rec,
                       const struct xf_recommender_choice *choice);

#endif
