#include "rec/features.h"

#include "base/alloc.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define ROW(text) text,
static const char *const slots_1[] = {XF_FEATURES_LIST_1(ROW)};
static const char *const slots_2[] = {XF_FEATURES_LIST_2(ROW)};
#undef ROW
enum { N_1 = sizeof slots_1 / sizeof slots_1[0], N_2 = sizeof slots_2 / sizeof slots_2[0] };
static const struct xf_feature_set sets[] = {{1, N_1, 1 + 2 * N_1, slots_1},
                                             {2, N_2, 1 + 2 * N_2, slots_2}};

const struct xf_feature_set *xf_feature_set_find(uint32_t version) {
  for (size_t i = 0; i < sizeof sets / sizeof sets[0]; i++)
    if (sets[i].version == version) return &sets[i];
  return NULL;
}

void xf_feature_name(const struct xf_feature_set *set, uint32_t feature, char text[64]) {
  if (feature == 0) (void)snprintf(text, 64, "log(popularity)");
  else (void)snprintf(text, 64, feature % 2 ? "%.50s" : "log(%.50s)", set->slot[(feature - 1) / 2]);
}

enum xf_rc xf_features_init(struct xf_features *out, uint32_t version, const uint32_t *item_count,
                            uint32_t n_items, struct xf_diag *diag) {
  *out = (struct xf_features){.set = xf_feature_set_find(version), .n_items = n_items};
  if (!out->set)
    return xf_diag_set(diag, XF_E_VERSION,
                       "features of version %" PRIu32 "; this program knows 1 to %d", version,
                       XF_FEATURES_VERSION);
  if (n_items == 0) return xf_diag_set(diag, XF_E_INVAL, "features of a catalogue without items");
  out->log_pop = xf_try_calloc(n_items, sizeof *out->log_pop);
  if (!out->log_pop)
    return xf_diag_set(diag, XF_E_NOMEM, "not enough memory for %" PRIu32 " items", n_items);
  for (uint32_t i = 0; i < n_items; i++) out->log_pop[i] = (float)log1p((double)item_count[i]);
  return XF_OK;
}

void xf_features_deinit(struct xf_features *features) {
  xf_free(features->log_pop);
  *features = (struct xf_features){0};
}

enum xf_rc xf_features_bind(struct xf_features *features, const char *slot,
                            const struct xf_scorer *scorer, struct xf_diag *diag) {
  const struct xf_feature_set *set = features->set;
  char names[256] = "";
  size_t len = 0;
  if (scorer->n_items != features->n_items)
    return xf_diag_set(diag, XF_E_SHAPE,
                       "slot \"%s\": the scorer knows %" PRIu32 " items, the features %" PRIu32,
                       slot, scorer->n_items, features->n_items);
  for (uint32_t s = 0; s < set->n_slot; s++) {
    if (strcmp(set->slot[s], slot) == 0) {
      if (features->scorer[s])
        return xf_diag_set(diag, XF_E_EXISTS, "slot \"%s\" has a scorer already", slot);
      features->scorer[s] = scorer;
      return XF_OK;
    }
    if (len < sizeof names)
      len += (size_t)snprintf(names + len, sizeof names - len, "%s%s", s ? ", " : "", set->slot[s]);
  }
  return xf_diag_set(diag, XF_E_NOTFOUND,
                     "features of version %" PRIu32 " have no slot \"%.60s\"; they have %s",
                     set->version, slot, names);
}

enum xf_rc xf_features_print(const struct xf_features *features, struct xf_buf *text) {
  const struct xf_feature_set *set = features->set;
  enum xf_rc rc = xf_buf_printf(text, "features version %" PRIu32 ", %" PRIu32 " per candidate\n",
                                set->version, set->n_feature);
  if (!rc) rc = xf_buf_printf(text, "  popularity      present\n");
  for (uint32_t s = 0; !rc && s < set->n_slot; s++)
    rc = xf_buf_printf(text, "  %-15s %s\n", set->slot[s],
                       features->scorer[s] ? "present" : "missing: zeros");
  return rc;
}

/* One column: z over the rows that count (all, or those not skipped), 0 where they are constant. In double. */
static void standardise(float *x, size_t stride, uint32_t n, const uint8_t *skip) {
  double sum = 0, sq = 0;
  uint32_t m = 0;
  for (uint32_t i = 0; i < n; i++) {
    if (skip && skip[i]) continue;
    sum += (double)x[i * stride];
    m++;
  }
  const double mean = m ? sum / m : 0;
  for (uint32_t i = 0; i < n; i++) {
    const double d = (double)x[i * stride] - mean;
    if (!skip || !skip[i]) sq += d * d;
  }
  const double sd = m ? sqrt(sq / m) : 0;
  /* what rounding leaves of a constant column is no signal */
  double unit = sd > 1e-6 * fabs(mean) && sd > 0 ? 1 / sd : 0;
  if (!isfinite(unit)) unit = 0;
  for (uint32_t i = 0; i < n; i++) x[i * stride] = (float)(((double)x[i * stride] - mean) * unit);
}

static enum xf_rc check_list(const struct xf_features *f, const uint32_t *list, uint32_t n,
                             struct xf_diag *diag) {
  for (uint32_t i = 0; list && i < n; i++)
    if (list[i] >= f->n_items)
      return xf_diag_set(diag, XF_E_NOTFOUND,
                         "candidate %" PRIu32 ", but the catalogue has %" PRIu32 " items; load the "
                         "lists before fitting, so that the catalogue has their items",
                         list[i], f->n_items);
  return XF_OK;
}

/* The two columns of a slot from its scores of all items. */
static enum xf_rc slot_columns(const struct xf_features *f, uint32_t slot, const float *score,
                               const uint32_t *list, uint32_t n, float *out, const uint8_t *skip,
                               struct xf_diag *diag) {
  const size_t stride = f->set->n_feature, at = 1 + 2 * (size_t)slot;
  for (uint32_t i = 0; i < n; i++) {
    const float s = score[list ? list[i] : i];
    if (!isfinite(s))
      return xf_diag_set(diag, XF_E_NAN, "the score of item %" PRIu32 " by \"%s\" is not a number",
                         list ? list[i] : i, f->set->slot[slot]);
    out[i * stride + at] = s;
    out[i * stride + at + 1] = (float)log((s > 0 ? (double)s : 0) + XF_FEATURES_LOG_OFFSET);
  }
  standardise(out + at, stride, n, skip);
  standardise(out + at + 1, stride, n, skip);
  return XF_OK;
}

enum xf_rc xf_features_make(const struct xf_features *f, const struct xf_query *query,
                            const uint32_t *list, uint32_t n, float *out, uint32_t *served,
                            struct xf_diag *diag) {
  const size_t stride = f->set->n_feature;
  uint32_t mask = 0;
  if (!list) n = f->n_items;
  enum xf_rc rc = check_list(f, list, n, diag);
  if (rc) return rc;
  float *score = xf_try_calloc(f->n_items, sizeof *score);
  uint8_t *skip = list ? NULL : xf_try_calloc(f->n_items, 1);
  if (!score || (!list && !skip))
    rc = xf_diag_set(diag, XF_E_NOMEM, "not enough memory for the scores of %" PRIu32 " items",
                     f->n_items);
  for (uint32_t k = 0; !rc && skip && k < query->n; k++)
    if (query->item[k] < f->n_items) skip[query->item[k]] = 1;
  if (!rc) {
    for (uint32_t i = 0; i < n; i++) out[i * stride] = f->log_pop[list ? list[i] : i];
    standardise(out, stride, n, skip);
  }
  for (uint32_t s = 0; !rc && s < f->set->n_slot; s++) {
    rc = f->scorer[s] ? xf_scorer_score(f->scorer[s], query, score, diag) : XF_E_NOTFOUND;
    if (rc == XF_E_NOTFOUND) {
      rc = XF_OK;
      for (uint32_t i = 0; i < n; i++) memset(out + i * stride + 1 + 2 * s, 0, 2 * sizeof *out);
      continue;
    }
    if (!rc) rc = slot_columns(f, s, score, list, n, out, skip, diag);
    mask |= 1U << s;
  }
  xf_free(score);
  xf_free(skip);
  if (served) *served = mask;
  return rc;
}
