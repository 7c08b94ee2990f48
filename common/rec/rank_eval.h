/*
 * rank_eval.h - how well a scorer ranks each user's held-out items among the others.
 *
 * full   all items except the user's positives of the other parts
 * sN     the held-out items and N items drawn uniformly, without repetition, from those the user has no positive of
 *        any part of; fewer where the catalogue is small; seeded by (seed, user)
 * With train_items the candidates are drawn from items that occur in train: the harder list of the two.
 * Users in blocks of 64 in id order, sums folded in that order (decision 35).
 * Not for: tables (evaluate.h). Owner: caller. Thread: any; no global state.
 */
#ifndef XF_REC_RANK_EVAL_H
#define XF_REC_RANK_EVAL_H

#include "data/split.h"
#include "rec/metrics.h"

/* Scores of all items for n <= 64 users. @shape *out [n x n_items] @own out: the scorer's until the next call */
typedef enum xf_rc (*xf_rank_score)(void *arg, const uint32_t *users, uint32_t n, const float **out,
                                    struct xf_diag *diag);

struct xf_rank_spec {
  enum xf_part part; /* VALID or TEST */
  uint32_t n_neg;    /* 0: full */
  const bool *users; /* [n_users] who is ranked; NULL: everyone with a held-out item */
  bool train_items;  /* only items with a train event are candidates beside the held-out ones */
  uint64_t seed;     /* of the sampled negatives */
  const struct xf_measure *measure;
  size_t n_measure;
  float *per_user; /* [n_users x n_measure] or NULL; NaN for users without a held-out item */
};

/* Evaluates. @shape sum[n_measure] @err E_INVAL (measure does not rank) E_NAN (a score) E_NOMEM and the scorer's */
XF_WARN_UNUSED enum xf_rc xf_rank_eval(struct xf_measure_sum *sum, const struct xf_split *split,
                                       const struct xf_rank_spec *spec, xf_rank_score score,
                                       void *arg, struct xf_diag *diag);
/* Several parts at once: a user is asked once for all specs, so scores must not depend on the part. The sums are those of one
   evaluation each. @shape sum[n_spec] of [spec.n_measure], n_spec <= XF_RANK_SPECS @err as xf_rank_eval */
enum { XF_RANK_SPECS = 4 };
XF_WARN_UNUSED enum xf_rc xf_rank_eval_parts(struct xf_measure_sum *const *sum,
                                             const struct xf_split *split,
                                             const struct xf_rank_spec *spec, size_t n_spec,
                                             xf_rank_score score, void *arg, struct xf_diag *diag);

#endif
