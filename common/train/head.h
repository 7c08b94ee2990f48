/*
 * head.h - a model's output layer in closed form: the ridge head (ridge.h) on what the last hidden layer makes of the train rows.
 *
 * Targets by the model's loss: mse the values, drawn to the head there is; softmax 1 for the row's class, else 0, and bce +1
 * and -1, drawn to 0, because logits say nothing about these. The outputs of a classifier's ridge head rank classes; they are no
 * logits. The bias is a weight of a constant 1.
 * Not for: models without a linear head (xf_model_get_head). Owner: caller. Thread: any after xf_blas_start.
 */
#ifndef XF_TRAIN_HEAD_H
#define XF_TRAIN_HEAD_H

#include "data/dataset.h"
#include "model/model.h"

struct xf_head_report {
  double lambda, loo; /* as in struct xf_ridge_job */
};

/* Replaces the head in `params`; the body stays. Without train rows all stays.
   @shape params[layout.n] @err E_UNSUPPORTED (no head) E_SHAPE (the data do not fit) E_LIMIT E_NAN E_NOMEM and nn's
   @source Bertinetto et al. 2019, section 3.1 */
XF_WARN_UNUSED enum xf_rc xf_head_fit(const struct xf_model *model, float *params,
                                      const struct xf_dataset *data, struct xf_head_report *report,
                                      struct xf_diag *diag);

#endif
