/*
 * learn.h - for the table of decisions: weights of the unit-free net, by the silos' procedure and the coordinator's fold.
 *
 * Functions of type int print what went wrong and return the program's exit status.
 * Owner: caller's arrays. Thread: main.
 */
#ifndef XF_TESTS_BENCH_SCORER_LEARN_H
#define XF_TESTS_BENCH_SCORER_LEARN_H

#include "data/dataset.h"
#include "fed/strategy.h"
#include "model/model.h"

enum { LEARN_ROUNDS = 300, LEARN_STEPS = 10, LEARN_BATCH = 32, LEARN_DOMAINS = 8 };

/* Start weights of a seed. @shape w[layout.n] @err exit status */
int learn_start(const struct xf_model *model, uint64_t seed, float *w);
/* Rounds over n domains of equal weight, each `steps` local SGD steps of rate .1 on batches of 32 lists.
   @shape w[layout.n], overwritten @err exit status */
int learn_rounds(const struct xf_model *model, const struct xf_dataset *const *domain, size_t n,
                 enum xf_strategy_kind kind, uint32_t steps, uint64_t seed, float *w);
/* All lists in one place: Adam .003, batches of 128, as many lists as FedAvg over n domains sees. @err exit status */
int learn_joint(const struct xf_model *model, const struct xf_dataset *const *domain, size_t n,
                uint64_t seed, float *w);
/* SGD steps of a rate on batches of 16 of the train lists; 0 steps: a copy. @shape from, to[layout.n] @err exit status */
int learn_adapt(const struct xf_model *model, const struct xf_dataset *data, uint32_t steps,
                float rate, uint64_t seed, const float *from, float *to);

#endif
