/*
 * list_eval.h - how well a scorer ranks the relevant items of given candidate lists.
 *
 * Each list's user is asked with their train history (none for users the train part does not have); only the list's
 * items are ranked. Ties count against the relevant item (rank = others that score at least as much) and half in AUC. A relevant item
 * that is not in its list is missed: it counts in recall and in NDCG's ideal, not in AUC.
 * Not for: a split's held-out items (rank_eval.h). Owner: caller. Thread: any; no global state.
 */
#ifndef XF_REC_LIST_EVAL_H
#define XF_REC_LIST_EVAL_H

#include "data/lists.h"
#include "rec/metrics.h"
#include "rec/scorer.h"

struct xf_list_spec {
  const struct xf_measure *measure; /* hr recall precision ndcg mrr auc */
  size_t n_measure;
  float *
      per_user; /* [lists.n x n_measure] or NULL, for xf_measure_paired; NaN: the measure has no value */
};

/* Evaluates. Sums are folded in the order of the lists. @shape sum[n_measure] @err E_INVAL (measure, or no lists) E_SHAPE (an
   item the scorer does not know) E_NAN (a score) E_NOMEM and the scorer's */
XF_WARN_UNUSED enum xf_rc xf_list_eval(struct xf_measure_sum *sum, const struct xf_lists *lists,
                                       const struct xf_rec_data *data,
                                       const struct xf_scorer *scorer,
                                       const struct xf_list_spec *spec, struct xf_diag *diag);
/* Scores of a list's items only, e.g. xf_listnet_rank. @shape list[n], out[n] */
typedef enum xf_rc (*xf_list_rank)(const struct xf_scorer *scorer, const struct xf_query *query,
                                   const uint32_t *list, uint32_t n, float *out,
                                   struct xf_diag *diag);
/* Evaluates with `rank` in place of the scorer's own function. @err as xf_list_eval */
XF_WARN_UNUSED enum xf_rc
xf_list_eval_ranked(struct xf_measure_sum *sum, const struct xf_lists *lists,
                    const struct xf_rec_data *data, const struct xf_scorer *scorer,
                    xf_list_rank rank, const struct xf_list_spec *spec, struct xf_diag *diag);

#endif
