#include "fed/edges.h"

bool xf_edges_mean(float *out, const float *const *x, const uint64_t *weight, uint32_t n,
                   size_t len) {
  double total = 0;
  for (uint32_t e = 0; e < n; e++) total += (double)weight[e];
  if (!(total > 0)) return false;
  for (size_t j = 0; j < len; j++) {
    double sum = 0;
    for (uint32_t e = 0; e < n; e++)
      if (weight[e]) sum += (double)weight[e] * (double)x[e][j];
    out[j] = (float)(sum / total);
  }
  return true;
}
