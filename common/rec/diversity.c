#include "rec/diversity.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "rec/calibrate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const name[XF_N_DIVERSITY] = {
#define ROW(n, t) t,
    XF_DIVERSITY_LIST(ROW)
#undef ROW
};

const char *xf_diversity_name(enum xf_diversity_kind kind) {
  return (unsigned)kind < XF_N_DIVERSITY ? name[kind] : "?";
}

enum xf_rc xf_diversity_init(struct xf_diversity *out, uint32_t n_items) {
  *out = (struct xf_diversity){.n_items = n_items};
  out->shown = xf_try_calloc((size_t)n_items + 1, sizeof *out->shown);
  return out->shown ? XF_OK : XF_E_NOMEM;
}

void xf_diversity_deinit(struct xf_diversity *diversity) {
  xf_free(diversity->shown);
  *diversity = (struct xf_diversity){0};
}

static double ild(const struct xf_itemsim *sim, const uint32_t *item, uint32_t n) {
  double sum = 0;
  for (uint32_t i = 0; i < n; i++)
    for (uint32_t j = i + 1; j < n; j++) sum += 1 - xf_itemsim_get(sim, item[i], item[j]);
  return n > 1 ? sum / ((double)n * (n - 1) / 2) : (double)NAN;
}

static double novelty(const struct xf_diversity_spec *spec, const uint32_t *item, uint32_t n) {
  double sum = 0;
  for (uint32_t i = 0; i < n; i++) {
    const uint32_t count = spec->item_count[item[i]];
    sum -= log2((count ? count : 1) / (double)spec->n_users);
  }
  return n ? sum / n : (double)NAN;
}

enum xf_rc xf_diversity_list(double *value, const struct xf_diversity_spec *spec,
                             const uint32_t *item, uint32_t n, const double *target) {
  const struct xf_categories *c = spec->categories;
  double *share = NULL, whole = 0;
  for (int m = 0; m < XF_N_DIVERSITY; m++) value[m] = (double)NAN;
  if (spec->sim) value[XF_DIVERSITY_ILD] = ild(spec->sim, item, n);
  if (spec->item_count && spec->n_users) value[XF_DIVERSITY_NOVELTY] = novelty(spec, item, n);
  if (!c) return XF_OK;
  share = xf_try_calloc((size_t)c->n + 1, sizeof *share);
  if (!share) return XF_E_NOMEM;
  (void)xf_calibrate_shares(share, c, item, n);
  value[XF_DIVERSITY_CATEGORIES] = 0;
  for (uint32_t g = 0; g < c->n; g++) value[XF_DIVERSITY_CATEGORIES] += share[g] > 0;
  for (uint32_t g = 0; target && g < c->n; g++) whole += target[g];
  if (whole > 0) value[XF_DIVERSITY_KL] = xf_calibrate_kl(target, share, c->n);
  xf_free(share);
  return XF_OK;
}

void xf_diversity_add(struct xf_diversity *diversity, const uint32_t *item, uint32_t n,
                      const double *value) {
  for (uint32_t i = 0; i < n; i++) {
    XF_ASSERT(item[i] < diversity->n_items);
    diversity->shown[item[i]]++;
  }
  for (int m = 0; m < XF_N_DIVERSITY; m++) {
    if (isnan(value[m])) continue;
    diversity->of[m].sum += value[m];
    diversity->of[m].count++;
  }
}

void xf_diversity_merge(struct xf_diversity *diversity, const struct xf_diversity *other) {
  XF_ASSERT(diversity->n_items == other->n_items);
  for (uint32_t i = 0; i < other->n_items; i++) diversity->shown[i] += other->shown[i];
  for (int m = 0; m < XF_N_DIVERSITY; m++) {
    diversity->of[m].sum += other->of[m].sum;
    diversity->of[m].count += other->of[m].count;
  }
}

double xf_diversity_mean(const struct xf_diversity *diversity, enum xf_diversity_kind kind) {
  const struct xf_measure_sum s = diversity->of[kind];
  return s.count > 0 ? s.sum / s.count : (double)NAN;
}

double xf_diversity_coverage(const uint64_t *shown, uint32_t n) {
  uint32_t some = 0;
  for (uint32_t i = 0; i < n; i++) some += shown[i] > 0;
  return n ? (double)some / n : 0;
}

static int ascending(const void *a, const void *b) {
  const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
  return (x > y) - (x < y);
}

enum xf_rc xf_diversity_gini(double *out, const uint64_t *shown, uint32_t n) {
  double sum = 0, weighted = 0;
  *out = 0;
  if (n == 0) return XF_OK;
  uint64_t *sorted = xf_try_calloc(n, sizeof *sorted);
  if (!sorted) return XF_E_NOMEM;
  memcpy(sorted, shown, n * sizeof *sorted);
  qsort(sorted, n, sizeof *sorted, ascending);
  for (uint32_t i = 0; i < n; i++) {
    sum += (double)sorted[i];
    weighted += (2.0 * i + 1 - n) * (double)sorted[i];
  }
  if (sum > 0) *out = weighted / (n * sum);
  xf_free(sorted);
  return XF_OK;
}

double xf_diversity_entropy(const uint64_t *shown, uint32_t n) {
  double sum = 0, entropy = 0;
  for (uint32_t i = 0; i < n; i++) sum += (double)shown[i];
  for (uint32_t i = 0; i < n; i++)
    if (shown[i] > 0) entropy -= (double)shown[i] / sum * log2((double)shown[i] / sum);
  return entropy;
}
