/*
 * unitfree.h - the federated decision: a tiny net over unit-free features, trained by the normal `train` stage.
 *
 * In a silo, in this order (docs/internals/rec.md "The decision layer ..."):
 *   features.h          scorers fitted without split A, bound to slots
 *   xf_unitfree_data    features -> lists: a data set of kind LISTS
 *   xf_unitfree_config  -> model of kind `scorer`: segments w1, b1, w2, all of role shared
 *   train/train.h       weights of the round -> new weights on these lists; the delta is folded like any other
 *   xf_unitfree_scorer  weights + features of the final scorers -> struct xf_scorer
 * Weights of one feature version fit every silo. A domain that trained nothing uses them as they are (0 steps), which is as good as
 * training there on all its lists; adapting is xf_train_once on its own lists, for the guard to allow.
 * Not for: the linear decision (stack.h). Owner: caller. Thread: any.
 */
#ifndef XF_REC_UNITFREE_H
#define XF_REC_UNITFREE_H

#include "data/dataset.h"
#include "model/model.h"
#include "rec/listnet.h"

enum { XF_UNITFREE_HIDDEN = 16, XF_UNITFREE_NEGATIVES = 99 };

/* The model: n_feature - hidden - 1, tanh. hidden 0: linear. @err E_VERSION */
XF_WARN_UNUSED enum xf_rc xf_unitfree_config(struct xf_model_config *out, uint32_t version,
                                             uint32_t hidden, struct xf_diag *diag);
/* Lists of the held-out items as train samples. @own out: xf_dataset_deinit @err as xf_features_draw */
XF_WARN_UNUSED enum xf_rc xf_unitfree_data(struct xf_dataset *out,
                                           const struct xf_features *features,
                                           const struct xf_csr *history, const struct xf_csr *held,
                                           const struct xf_features_draw *spec,
                                           struct xf_diag *diag);
/* The mean of n_weights trained nets (seeds, or 1) as a scorer named "unitfree".
   @shape weights[k][layout.n] of the model @own out: xf_scorer_free; weights are copied, features borrowed
   @err E_SHAPE (features of another width) E_INVAL (no scorer model; a weight that is no number) E_NOMEM */
XF_WARN_UNUSED enum xf_rc xf_unitfree_scorer(struct xf_scorer **out, const struct xf_model *model,
                                             const float *const *weights, uint32_t n_weights,
                                             const struct xf_features *features,
                                             struct xf_diag *diag);

#endif
