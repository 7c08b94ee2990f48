/*
 * expected.h - what a held-out item's rank among all negatives promises for a list with n negatives drawn at random.
 *
 * A positive with `above` of `n_all` negatives at or above it meets Binom(j; n, above/n_all) of them in a list of n draws:
 *   E[ndcg@k] = sum_{j<k} Binom(j; n, above/n_all) / log2(j + 2),  E[hr@k] = sum_{j<k} Binom(j; n, above/n_all)
 * It removes the noise of the negatives at the price of one full ranking: for every choice on validation data. `distinct`
 * draws without repetition (hypergeometric), as rank_eval.h samples; then n is at most n_all.
 * Terms are made in logarithms, so no n, k or share underflows early.
 * Not for: final figures (rank_eval.h). Owner: nobody, numbers only. Thread: any.
 */
#ifndef XF_REC_EXPECTED_H
#define XF_REC_EXPECTED_H

#include <stdbool.h>
#include <stdint.h>

struct xf_expected {
  double ndcg, hr;
};

/* Both expectations for one positive. above > n_all counts as n_all; n_all = 0 or n = 0: 1. @unit 1
   @source docs/internals/rec.md "Choosing"; binomial and hypergeometric laws */
struct xf_expected xf_expected_rank(uint64_t above, uint64_t n_all, uint32_t n, uint32_t k,
                                    bool distinct);

#endif
