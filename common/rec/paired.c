#include "rec/paired.h"

#include "base/alloc.h"
#include "base/rng.h"
#include "rec/metrics.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { DRAWS = 10000, MAX_DRAWS = 10000000 };

static int ascending(const void *a, const void *b) {
  const double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static void resample(double *draw, uint32_t n_draw, const double *d, uint32_t n, uint64_t seed) {
  struct xf_rng rng;
  xf_rng_init(&rng, seed, 0);
  for (uint32_t b = 0; b < n_draw; b++) {
    double sum = 0;
    for (uint32_t i = 0; i < n; i++) sum += d[xf_rng_below(&rng, n)];
    draw[b] = sum / n;
  }
}

/* draw is ascending. */
static double quantile(const double *draw, uint32_t n, double q) {
  const double at = q * (n - 1);
  const uint32_t i = (uint32_t)at;
  return i + 1 < n ? draw[i] + (at - i) * (draw[i + 1] - draw[i]) : draw[n - 1];
}

static void summarise(struct xf_paired *out, double *draw, uint32_t n_draw, double level) {
  uint32_t above = 0, below = 0;
  for (uint32_t b = 0; b < n_draw; b++) {
    above += draw[b] >= 0;
    below += draw[b] <= 0;
  }
  qsort(draw, n_draw, sizeof *draw, ascending);
  out->low = quantile(draw, n_draw, (1 - level) / 2);
  out->high = quantile(draw, n_draw, (1 + level) / 2);
  out->p_below = (1.0 + above) / (1.0 + n_draw);
  out->p_above = (1.0 + below) / (1.0 + n_draw);
}

enum xf_rc xf_paired_bootstrap(struct xf_paired *out, const float *a, const float *b, size_t n,
                               const struct xf_paired_spec *spec, struct xf_diag *diag) {
  const uint32_t n_draw = spec->n_draw ? spec->n_draw : DRAWS;
  const double level = spec->level == 0 ? .95 : spec->level, nan = (double)NAN;
  *out = (struct xf_paired){0, nan, nan, nan, nan, 1, 1};
  if (!(level > 0 && level < 1) || n_draw > MAX_DRAWS || n > UINT32_MAX)
    return xf_diag_set(diag, XF_E_INVAL,
                       "bootstrap of %zu users, %u draws, level %g; need a level "
                       "between 0 and 1 and at most %d draws",
                       n, n_draw, level, MAX_DRAWS);
  double *d = xf_try_calloc(n + 1, sizeof *d), *draw = xf_try_calloc(n_draw, sizeof *draw);
  uint32_t m = 0;
  enum xf_rc rc = XF_OK;
  if (!d || !draw) {
    rc = xf_diag_set(diag, XF_E_NOMEM, "not enough memory for %u draws of %zu users", n_draw, n);
    goto out;
  }
  out->n = xf_measure_paired(a, b, n, &out->mean, &out->se);
  for (size_t i = 0; i < n; i++)
    if (!isnan(a[i]) && !isnan(b[i])) d[m++] = (double)a[i] - (double)b[i];
  if (m == 0) goto out;
  resample(draw, n_draw, d, m, spec->seed);
  summarise(out, draw, n_draw, level);
out:
  xf_free(d);
  xf_free(draw);
  return rc;
}

struct ranked {
  double p;
  size_t at;
};

static int by_p(const void *a, const void *b) {
  const struct ranked *x = a, *y = b;
  if (x->p != y->p) return x->p < y->p ? -1 : 1;
  return (x->at > y->at) - (x->at < y->at);
}

enum xf_rc xf_paired_holm(double *out, const double *p, size_t n) {
  struct ranked *r = xf_try_calloc(n + 1, sizeof *r);
  if (!r) return XF_E_NOMEM;
  size_t tested = 0;
  for (size_t i = 0; i < n; i++) {
    tested += isnan(p[i]) ? 0u : 1u;
    r[i] = (struct ranked){isnan(p[i]) ? INFINITY : p[i], i};
  }
  qsort(r, n, sizeof *r, by_p);
  double worst = 0;
  for (size_t i = 0; i < n; i++) {
    const double adjusted = i < tested ? fmin(1, r[i].p * (double)(tested - i)) : 1;
    if (adjusted > worst) worst = adjusted;
    out[r[i].at] = worst;
  }
  xf_free(r);
  return XF_OK;
}

enum xf_rc xf_paired_judge(struct xf_paired_verdict *out, bool *lose,
                           const struct xf_paired *domain, size_t n, double alpha) {
  double *p = xf_try_calloc(n + 1, sizeof *p), sum = 0;
  size_t counted = 0;
  *out = (struct xf_paired_verdict){.mean = (double)NAN};
  if (!p) return XF_E_NOMEM;
  for (size_t i = 0; i < n; i++) p[i] = domain[i].n ? domain[i].p_below : (double)NAN;
  const enum xf_rc rc = xf_paired_holm(p, p, n);
  for (size_t i = 0; !rc && i < n; i++) {
    const bool loses = p[i] < (alpha > 0 ? alpha : .05);
    if (lose) lose[i] = loses;
    out->n_lose += loses;
    if (!domain[i].n) continue;
    out->n_below_se += domain[i].mean < -domain[i].se;
    sum += domain[i].mean;
    counted++;
  }
  if (counted) out->mean = sum / (double)counted;
  out->good = !rc && counted && out->n_lose == 0 && out->mean > 0;
  xf_free(p);
  return rc;
}
