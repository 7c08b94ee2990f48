/*
 * factors.h - a scorer from the rows of a trained matrix factorisation (model.h, "mf").
 *
 * A user with a row: user . item, plus biases where the model has some. Anyone else with a history: the mean cosine of the
 * item's row to those of the history, which is also what "similar items" asks; that score explains itself, a row's
 * product does not.
 * Not for: fitting (train), the models of als.h. Owner: caller, xf_scorer_free. Thread: immutable once made.
 */
#ifndef XF_REC_FACTORS_H
#define XF_REC_FACTORS_H

#include "model/model.h"
#include "rec/scorer.h"

/* Copies the rows it needs out of a parameter vector. @shape params[layout.n] @own out: xf_scorer_free
   @err E_UNSUPPORTED (a model without rows of users and items) E_NAN E_NOMEM */
XF_WARN_UNUSED enum xf_rc xf_factors_scorer(struct xf_scorer **out, const struct xf_model *model,
                                            const float *params, struct xf_diag *diag);

#endif
