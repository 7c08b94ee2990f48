#include "tools/exper/stats.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

double xf_stats_mean(const double *v, size_t n) {
  double sum = 0;
  for (size_t i = 0; i < n; i++) sum += v[i];
  return n ? sum / (double)n : (double)NAN;
}

double xf_stats_sd(const double *v, size_t n) {
  const double mean = xf_stats_mean(v, n);
  double sum = 0;
  for (size_t i = 0; i < n; i++) sum += (v[i] - mean) * (v[i] - mean);
  return n > 1 ? sqrt(sum / (double)(n - 1)) : (double)NAN;
}

static int ascending(const void *a, const void *b) {
  const double x = *(const double *)a, y = *(const double *)b;
  return x < y ? -1 : x > y;
}

static double tenth(double *v, size_t n, bool smallest) {
  const size_t k = (n + 9) / 10;
  qsort(v, n, sizeof *v, ascending);
  return xf_stats_mean(smallest ? v : v + (n - k), k);
}

double xf_stats_worst_tenth(double *v, size_t n, bool up) { return tenth(v, n, up); }

double xf_stats_best_tenth(double *v, size_t n, bool up) { return tenth(v, n, !up); }

bool xf_stats_target(double out[XF_N_COST], const struct xf_curve_point *p, size_t n, double target,
                     bool up) {
  const double sign = up ? 1 : -1;
  double best = 0;
  for (size_t i = 0; i < n; i++) {
    const double value = sign * p[i].value;
    if (value >= sign * target) {
      const double part = i ? (sign * target - best) / (value - best) : 1;
      for (int c = 0; c < XF_N_COST; c++) {
        const double from = i ? p[i - 1].cost[c] : 0;
        out[c] = from + part * (p[i].cost[c] - from);
      }
      return true;
    }
    if (!i || value > best) best = value;
  }
  return false;
}
