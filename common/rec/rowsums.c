#include "rec/rowsums.h"

#include <math.h>

static double softplus(double z) { return z > 0 ? z + log1p(exp(-z)) : log1p(exp(z)); }

void xf_row_sums_add(struct xf_row_sums *sums, const struct xf_model_config *c, const float *z,
                     float label) {
  const double y = (double)label, z0 = (double)z[0];
  if (c->loss == XF_LOSS_SOFTMAX) {
    uint32_t best = 0;
    double sum = 0;
    for (uint32_t k = 1; k < c->n_out; k++)
      if (z[k] > z[best]) best = k;
    for (uint32_t k = 0; k < c->n_out; k++) sum += exp((double)z[k] - (double)z[best]);
    sums->right += best == (uint32_t)label;
    sums->nll += log(sum) + (double)z[best] - (double)z[(uint32_t)label];
    return;
  }
  if (c->loss == XF_LOSS_BCE) {
    sums->right += (z0 > 0) == (y > 0.5);
    sums->nll += softplus(z0) - y * z0;
    const double p = 1 / (1 + exp(-z0));
    sums->squared += (p - y) * (p - y);
    return;
  }
  sums->squared += (z0 - y) * (z0 - y);
}

bool xf_row_fits(enum xf_measure_kind kind, enum xf_loss loss) {
  switch (kind) {
  case XF_MEASURE_ACC:
  case XF_MEASURE_LOGLOSS: return loss == XF_LOSS_BCE || loss == XF_LOSS_SOFTMAX;
  case XF_MEASURE_AUC: return loss == XF_LOSS_BCE;
  case XF_MEASURE_RMSE: return loss == XF_LOSS_MSE || loss == XF_LOSS_BCE;
  default: return false;
  }
}

struct xf_measure_sum xf_row_sums_get(const struct xf_row_sums *sums, enum xf_measure_kind kind,
                                      size_t n) {
  struct xf_measure_sum sum = {.count = (double)n};
  if (kind == XF_MEASURE_ACC) sum.sum = sums->right;
  if (kind == XF_MEASURE_LOGLOSS) sum.sum = sums->nll;
  if (kind == XF_MEASURE_RMSE) sum.sum = sums->squared;
  return sum;
}
