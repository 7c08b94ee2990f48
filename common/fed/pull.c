#include "fed/pull.h"

void xf_pull_prior(float *prior, const float *global_row, const float *own_row, size_t cols,
                   uint32_t holders, uint32_t min_holders, double kappa) {
  const uint32_t least = min_holders > 2 ? min_holders : 2;
  if (holders < least) {
    for (size_t i = 0; i < cols; i++) prior[i] = 0;
    return;
  }
  const double n = (double)holders;
  for (size_t i = 0; i < cols; i++)
    prior[i] = (float)(kappa * ((n * (double)global_row[i] - (double)own_row[i]) / (n - 1)));
}
