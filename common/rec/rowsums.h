/*
 * rowsums.h - inside rec: sums over rows with labels (a table's rows, the steps of sequences) that measures are made of.
 * Not for other modules (evaluate.h). Owner: caller. Thread: any.
 */
#ifndef XF_REC_ROWSUMS_H
#define XF_REC_ROWSUMS_H

#include "model/model.h"
#include "rec/metrics.h"

/* Right answers, squared errors, negative log-likelihoods. */
struct xf_row_sums {
  double right, squared, nll;
};

/* Whether a measure of rows exists under a loss. @thread any */
bool xf_row_fits(enum xf_measure_kind kind, enum xf_loss loss);
/* Adds one row. @shape z[n_out] */
void xf_row_sums_add(struct xf_row_sums *sums, const struct xf_model_config *config, const float *z,
                     float label);
/* acc, rmse or logloss of n rows. @own value */
struct xf_measure_sum xf_row_sums_get(const struct xf_row_sums *sums, enum xf_measure_kind kind,
                                      size_t n);

#endif
