/*
 * stack.h - several scorers as one by a linear decision over unit-free features, fitted on lists.
 *
 *   loss(w) = mean over lists of -log softmax(X w)[0] + l2 / 2 |w|^2        X: the list's features, the positive first
 *
 * Strictly convex: Newton's method with halved steps from w = 0, the whole set at once, in double and in the order of the
 * lists, until the gradient is below 1e-9. Lists: xf_features_draw on split A (the scorers below must not have seen
 * the items set aside), then the scorers are fitted on everything and bound to the features that xf_stack_scorer gets.
 * Not for: nets with hidden units (unitfree.h). Owner: caller. Thread: any after xf_blas_start.
 */
#ifndef XF_REC_STACK_H
#define XF_REC_STACK_H

#include "rec/listnet.h"

#define XF_STACK_L2 1e-3

struct xf_stack {
  uint32_t version, n_feature; /* of the features */
  float w[XF_FEATURES_MAX];
  double loss; /* with the penalty, at w */
  uint32_t n_list, n_step;
};

/* Fits on the lists of part `part` (enum xf_part). l2 > 0. Features that are 0 everywhere get weight 0.
   @own out: no memory @err E_SHAPE (the lists' width) E_RANGE (l2, no list) E_NAN (a feature, or no convergence) E_NOMEM */
XF_WARN_UNUSED enum xf_rc xf_stack_fit(struct xf_stack *out, uint32_t version,
                                       const struct xf_listset *lists, int part, double l2,
                                       struct xf_diag *diag);
/* The stack as a scorer named "stack". @own out: xf_scorer_free; borrows features @err E_VERSION E_INVAL E_SHAPE */
XF_WARN_UNUSED enum xf_rc xf_stack_scorer(struct xf_scorer **out, const struct xf_stack *stack,
                                          const struct xf_features *features, struct xf_diag *diag);
/* Weights by name, for people. @err E_LIMIT E_NOMEM */
XF_WARN_UNUSED enum xf_rc xf_stack_print(const struct xf_stack *stack, struct xf_buf *text);

#endif
