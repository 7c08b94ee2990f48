#include "fed/drift.h"

#include "base/alloc.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int ascending(const void *a, const void *b) {
  const double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

struct xf_drift xf_drift_get(const double *norm, const uint32_t *weight, size_t n,
                             double norm_of_mean) {
  struct xf_drift out = {.ratio = NAN};
  if (!n) return out;
  double sum = 0, total = 0;
  for (size_t k = 0; k < n; k++) {
    sum += (double)weight[k] * norm[k];
    total += (double)weight[k];
  }
  out.mean = sum / total;
  if (out.mean > 0) out.ratio = norm_of_mean / out.mean;
  double *sorted = xf_memdup(norm, n * sizeof *norm);
  qsort(sorted, n, sizeof *sorted, ascending);
  out.min = sorted[0];
  out.max = sorted[n - 1];
  out.median = n % 2 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2;
  xf_free(sorted);
  return out;
}
