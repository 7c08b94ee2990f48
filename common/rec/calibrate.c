#include "rec/calibrate.h"

#include "base/alloc.h"

#include <math.h>
#include <string.h>

#define SMOOTH .01

static uint32_t count_of(const struct xf_categories *c, uint32_t item) {
  return item < c->of.n_row ? c->of.start[item + 1] - c->of.start[item] : 0;
}

/* Adds 1 / |categories| to each category of an item. */
static void add(double *sum, const struct xf_categories *c, uint32_t item) {
  const uint32_t n = count_of(c, item);
  for (uint32_t k = 0; k < n; k++) sum[c->of.item[c->of.start[item] + k]] += 1.0 / n;
}

uint32_t xf_calibrate_shares(double *out, const struct xf_categories *categories,
                             const uint32_t *item, uint32_t n) {
  uint32_t counted = 0;
  memset(out, 0, categories->n * sizeof *out);
  for (uint32_t i = 0; i < n; i++) {
    add(out, categories, item[i]);
    counted += count_of(categories, item[i]) > 0;
  }
  for (uint32_t g = 0; counted && g < categories->n; g++) out[g] /= counted;
  return counted;
}

static double term(double p, double q) { return p * log(p / ((1 - SMOOTH) * q + SMOOTH * p)); }

double xf_calibrate_kl(const double *p, const double *q, uint32_t n) {
  double sum = 0;
  for (uint32_t g = 0; g < n; g++)
    if (p[g] > 0) sum += term(p[g], q[g]);
  return sum;
}

struct work {
  const struct xf_categories *categories;
  const double *target;
  double *sum;       /* [categories] over the picks */
  uint32_t *support; /* categories with a target */
  uint32_t n_support, counted;
  uint8_t *taken;
};

/* KL with one more item; supports and rows are ascending. */
static double kl_with(const struct work *w, uint32_t item) {
  const struct xf_csr *of = &w->categories->of;
  const uint32_t n = count_of(w->categories, item), m = w->counted + (n > 0);
  uint32_t e = n ? of->start[item] : 0;
  const uint32_t end = e + n;
  double kl = 0;
  for (uint32_t s = 0; s < w->n_support; s++) {
    const uint32_t g = w->support[s];
    while (e < end && of->item[e] < g) e++;
    const double sum = w->sum[g] + (e < end && of->item[e] == g ? 1.0 / n : 0);
    kl += term(w->target[g], m ? sum / m : 0);
  }
  return kl;
}

static void pick_all(struct work *w, uint32_t *pick, const struct xf_slate *slate, uint32_t k,
                     double lambda) {
  for (uint32_t g = 0; g < w->categories->n; g++)
    if (w->target[g] > 0) w->support[w->n_support++] = g;
  for (uint32_t t = 0; t < k; t++) {
    double most = -(double)INFINITY;
    uint32_t at = slate->n;
    for (uint32_t i = 0; i < slate->n; i++) {
      if (w->taken[i]) continue;
      const double v = lambda * slate->rel[i] - (1 - lambda) * kl_with(w, slate->item[i]);
      if (at < slate->n && !(v > most)) continue;
      most = v;
      at = i;
    }
    w->taken[at] = 1;
    pick[t] = at;
    add(w->sum, w->categories, slate->item[at]);
    w->counted += count_of(w->categories, slate->item[at]) > 0;
  }
}

enum xf_rc xf_calibrate(uint32_t *pick, const struct xf_slate *slate, uint32_t k, double lambda,
                        const struct xf_categories *categories, const double *target) {
  struct work w = {.categories = categories, .target = target};
  w.sum = xf_try_calloc((size_t)categories->n + 1, sizeof *w.sum);
  w.support = xf_try_calloc((size_t)categories->n + 1, sizeof *w.support);
  w.taken = xf_try_calloc((size_t)slate->n + 1, 1);
  const bool ok = w.sum && w.support && w.taken;
  if (ok) pick_all(&w, pick, slate, k < slate->n ? k : slate->n, lambda);
  xf_free(w.sum);
  xf_free(w.support);
  xf_free(w.taken);
  return ok ? XF_OK : XF_E_NOMEM;
}
