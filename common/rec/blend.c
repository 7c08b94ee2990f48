#include "rec/blend.h"

#include "base/alloc.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct blend {
  struct xf_scorer base;
  uint32_t n_part;
  bool owned;
  struct xf_blend_part part[XF_BLEND_PARTS];
};

/* Sums of n numbers, or of their squared distances from mean: eight partial sums in a fixed order, so that the processor
   need not wait for one addition before the next. */
enum { LANES = 8 };

static double fold_lanes(const double *s) {
  return ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]));
}

static double sum_of(const float *x, uint32_t n) {
  double s[LANES] = {0};
  uint32_t i = 0;
  for (; i + LANES <= n; i += LANES)
    for (int k = 0; k < LANES; k++) s[k] += (double)x[i + (uint32_t)k];
  for (int k = 0; i < n; i++, k++) s[k] += (double)x[i];
  return fold_lanes(s);
}

static double squares_of(const float *x, uint32_t n, double mean) {
  double s[LANES] = {0};
  uint32_t i = 0;
  for (; i + LANES <= n; i += LANES)
    for (int k = 0; k < LANES; k++) {
      const double d = (double)x[i + (uint32_t)k] - mean;
      s[k] += d * d;
    }
  for (int k = 0; i < n; i++, k++) s[k] += ((double)x[i] - mean) * ((double)x[i] - mean);
  return fold_lanes(s);
}

/* The next run of items outside the history from *from on: its length, its start in *from; *at walks the history. */
static uint32_t next_run(uint32_t n_items, const uint32_t *history, uint32_t n, uint32_t *at,
                         uint32_t *from) {
  while (*at < n && history[*at] <= *from) *from += history[(*at)++] == *from;
  return (*at < n && history[*at] < n_items ? history[*at] : n_items) - *from;
}

enum xf_rc xf_blend_standardise(float *row, uint32_t n_items, const uint32_t *history, uint32_t n,
                                double *unit, uint32_t *bad) {
  double sum = 0, sq = 0;
  uint32_t m = 0;
  for (uint32_t from = 0, at = 0, run; from < n_items; from += run) {
    run = next_run(n_items, history, n, &at, &from);
    sum += sum_of(row + from, run);
    m += run;
  }
  bool finite = isfinite(sum); /* doubles do not overflow from floats */
  for (uint32_t at = 0; at < n; at++)
    finite &= history[at] >= n_items || isfinite(row[history[at]]);
  for (uint32_t i = 0; !finite && i < n_items; i++)
    if (!isfinite(row[i])) {
      *bad = i;
      return XF_E_NAN;
    }
  const double mean = m ? sum / m : 0;
  for (uint32_t from = 0, at = 0, run; from < n_items; from += run) {
    run = next_run(n_items, history, n, &at, &from);
    sq += squares_of(row + from, run, mean);
  }
  const double sd = m ? sqrt(sq / m) : 0;
  /* what rounding leaves of a constant row is no signal */
  *unit = sd > 1e-6 * fabs(mean) && sd > 0 ? 1 / sd : 0;
  if (!isfinite(*unit)) *unit = 0;
  for (uint32_t i = 0; i < n_items; i++) row[i] = (float)(((double)row[i] - mean) * *unit);
  return XF_OK;
}

static enum xf_rc standardise(const struct xf_blend_part *part, const struct xf_query *q,
                              float *row, double *unit, struct xf_diag *diag) {
  uint32_t bad = 0;
  const enum xf_rc rc = xf_blend_standardise(row, part->scorer->n_items, q->item, q->n, unit, &bad);
  if (rc)
    return xf_diag_set(diag, rc, "the score of item %u by \"%s\" is not a number", bad, part->name);
  return XF_OK;
}

enum xf_rc xf_blend_row(const struct xf_blend_part *part, const struct xf_query *q, float *row,
                        double *unit, struct xf_diag *diag) {
  const enum xf_rc rc = xf_scorer_score(part->scorer, q, row, diag);
  return rc ? rc : standardise(part, q, row, unit, diag);
}

enum xf_rc xf_blend_sum(const struct xf_blend_part *part, uint32_t n_part, xf_blend_add add,
                        const void *arg, const struct xf_query *q, uint32_t n, float *out,
                        bool *served, struct xf_diag *diag) {
  const size_t m = part->scorer->n_items;
  float *row = xf_try_calloc(n * m + 1, sizeof *row);
  bool *can = xf_try_calloc((size_t)n + 1, sizeof *can);
  enum xf_rc rc = XF_OK;
  if (!row || !can) rc = xf_diag_set(diag, XF_E_NOMEM, "not enough memory for %u users", n);
  memset(out, 0, n * m * sizeof *out);
  memset(served, 0, n * sizeof *served);
  for (uint32_t p = 0; !rc && p < n_part; p++) {
    if (part[p].weight == 0) continue;
    rc = xf_scorer_score_many(part[p].scorer, q, n, row, can, diag);
    for (uint32_t i = 0; !rc && i < n; i++) {
      double unit = 0;
      if (can[i]) rc = standardise(&part[p], &q[i], row + i * m, &unit, diag);
      served[i] |= can[i];
      if (!rc) add(arg, p, can[i], row + i * m, m, out + i * m);
    }
  }
  xf_free(row);
  xf_free(can);
  return rc;
}

static enum xf_rc nobody(const struct xf_query *q, struct xf_diag *diag) {
  return xf_diag_set(diag, XF_E_NOTFOUND, "no candidate of the blend can serve user %u", q->user);
}

static enum xf_rc score(const struct xf_scorer *s, const struct xf_query *q, float *out,
                        struct xf_diag *diag) {
  const struct blend *b = (const struct blend *)s;
  float *row = xf_try_calloc((size_t)s->n_items + 1, sizeof *row);
  if (!row) return xf_diag_set(diag, XF_E_NOMEM, "not enough memory for %u scores", s->n_items);
  uint32_t served = 0;
  enum xf_rc rc = XF_OK;
  memset(out, 0, s->n_items * sizeof *out);
  for (uint32_t p = 0; !rc && p < b->n_part; p++) {
    double unit = 0;
    if (b->part[p].weight == 0) continue;
    rc = xf_blend_row(&b->part[p], q, row, &unit, diag);
    if (rc == XF_E_NOTFOUND) {
      rc = XF_OK;
      continue;
    }
    served += !rc;
    const float w = (float)b->part[p].weight;
    for (uint32_t i = 0; !rc && i < s->n_items; i++) out[i] += w * row[i];
  }
  xf_free(row);
  return !rc && !served ? nobody(q, diag) : rc;
}

static void add_weighted(const void *arg, uint32_t part, bool served, const float *row,
                         size_t n_items, float *out) {
  const float w = (float)((const struct blend *)arg)->part[part].weight;
  for (size_t k = 0; served && k < n_items; k++) out[k] += w * row[k];
}

static enum xf_rc many(const struct xf_scorer *s, const struct xf_query *q, uint32_t n, float *out,
                       bool *served, struct xf_diag *diag) {
  const struct blend *b = (const struct blend *)s;
  return xf_blend_sum(b->part, b->n_part, add_weighted, b, q, n, out, served, diag);
}

static int by_share(const void *a, const void *b) {
  const struct xf_blend_why *x = a, *y = b;
  if (x->share != y->share) return x->share > y->share ? -1 : 1;
  return (x->part > y->part) - (x->part < y->part);
}

void xf_blend_sort(struct xf_blend_why *why, uint32_t n) { qsort(why, n, sizeof *why, by_share); }

/* Adds one candidate's parts to those of each item. */
static enum xf_rc explain_part(const struct blend *b, uint32_t p, const struct xf_query *q,
                               const uint32_t *item, uint32_t n_item, float *row,
                               struct xf_blend_why *out, uint32_t *n, struct xf_diag *diag) {
  const struct xf_scorer *s = b->part[p].scorer;
  double unit = 0;
  const enum xf_rc rc = xf_blend_row(&b->part[p], q, row, &unit, diag);
  if (rc) return rc == XF_E_NOTFOUND ? XF_OK : rc;
  const float scale = (float)(b->part[p].weight * unit);
  for (uint32_t k = 0; k < n_item; k++) {
    struct xf_blend_why *why = &out[(size_t)k * XF_BLEND_PARTS + n[k]++];
    *why = (struct xf_blend_why){.part = p, .share = (float)b->part[p].weight * row[item[k]]};
    if (s->kind->explain) why->n = s->kind->explain(s, q, item[k], why->why, XF_BLEND_WHY);
    for (uint32_t i = 0; i < why->n; i++) why->why[i].share *= scale;
  }
  return XF_OK;
}

enum xf_rc xf_blend_explain_items(const struct xf_scorer *blend, const struct xf_query *query,
                                  const uint32_t *item, uint32_t n_item, struct xf_blend_why *out,
                                  uint32_t *n, struct xf_diag *diag) {
  const struct blend *b = (const struct blend *)blend;
  for (uint32_t k = 0; k < n_item; k++) {
    n[k] = 0;
    if (item[k] >= blend->n_items) return xf_diag_set(diag, XF_E_NOTFOUND, "no item %u", item[k]);
  }
  if (!n_item) return XF_OK;
  float *row = xf_try_calloc(blend->n_items, sizeof *row);
  if (!row) return xf_diag_set(diag, XF_E_NOMEM, "not enough memory for %u scores", blend->n_items);
  enum xf_rc rc = XF_OK;
  for (uint32_t p = 0; !rc && p < b->n_part; p++)
    if (b->part[p].weight != 0) rc = explain_part(b, p, query, item, n_item, row, out, n, diag);
  xf_free(row);
  if (rc) return rc;
  if (!n[0]) return nobody(query, diag);
  for (uint32_t k = 0; k < n_item; k++) xf_blend_sort(out + (size_t)k * XF_BLEND_PARTS, n[k]);
  return XF_OK;
}

enum xf_rc xf_blend_explain(const struct xf_scorer *blend, const struct xf_query *query,
                            uint32_t item, struct xf_blend_why *out, uint32_t *n,
                            struct xf_diag *diag) {
  return xf_blend_explain_items(blend, query, &item, 1, out, n, diag);
}

/* History items of all candidates in the blend's unit; candidates that cannot tell come together under XF_NO_ID. */
static uint32_t explain(const struct xf_scorer *s, const struct xf_query *q, uint32_t item,
                        struct xf_why *out, uint32_t k) {
  struct xf_blend_why part[XF_BLEND_PARTS];
  struct xf_why all[XF_BLEND_PARTS * XF_BLEND_WHY];
  uint32_t n = 0, n_all = 0;
  if (xf_blend_explain(s, q, item, part, &n, NULL)) return 0;
  for (uint32_t p = 0; p < n; p++) {
    struct xf_why whole = {XF_NO_ID, part[p].share};
    const struct xf_why *why = part[p].n ? part[p].why : &whole;
    for (uint32_t i = 0; i < (part[p].n ? part[p].n : 1); i++) xf_why_add(all, &n_all, why[i]);
  }
  return xf_why_best(out, k, all, n_all);
}

static void blend_free(struct xf_scorer *s) {
  struct blend *b = (struct blend *)s;
  for (uint32_t p = 0; p < b->n_part; p++) {
    if (b->owned) xf_scorer_free(b->part[p].scorer);
    xf_free((void *)(uintptr_t)b->part[p].name);
  }
  xf_free(b);
}

static const struct xf_scorer_kind blend_kind = {"blend", score, explain, blend_free};

bool xf_blend_is(const struct xf_scorer *scorer) { return scorer->kind == &blend_kind; }

const char *xf_blend_part_name(const struct xf_scorer *blend, uint32_t part) {
  const struct blend *b = (const struct blend *)blend;
  return part < b->n_part ? b->part[part].name : "";
}

enum xf_rc xf_blend_new(struct xf_scorer **out, const struct xf_blend_part *part, uint32_t n_part,
                        bool owned, struct xf_diag *diag) {
  double size = 0;
  *out = NULL;
  if (n_part == 0 || n_part > XF_BLEND_PARTS)
    return xf_diag_set(diag, XF_E_INVAL, "a blend of %u candidates; there must be 1 to %d", n_part,
                       XF_BLEND_PARTS);
  for (uint32_t p = 0; p < n_part; p++) {
    if (part[p].scorer->n_items != part[0].scorer->n_items)
      return xf_diag_set(diag, XF_E_SHAPE, "\"%s\" scores %u items, \"%s\" %u", part[p].name,
                         part[p].scorer->n_items, part[0].name, part[0].scorer->n_items);
    size += fabs(part[p].weight);
  }
  if (!(size > 0) || !isfinite(size))
    return xf_diag_set(diag, XF_E_INVAL, "the weights of a blend must be numbers, not all 0");
  struct blend *b = xf_calloc(1, sizeof *b);
  b->base =
      (struct xf_scorer){.kind = &blend_kind, .n_items = part[0].scorer->n_items, .many = many};
  b->n_part = n_part;
  b->owned = owned;
  for (uint32_t p = 0; p < n_part; p++) {
    const struct xf_scorer_cost *c = &part[p].scorer->cost;
    b->part[p] = part[p];
    b->part[p].name = xf_strdup(part[p].name);
    if (part[p].weight == 0) continue;
    b->base.cost.seconds += c->seconds;
    b->base.cost.memory += c->memory;
    b->base.cost.bytes_up += c->bytes_up;
    b->base.cost.bytes_down += c->bytes_down;
  }
  *out = &b->base;
  return XF_OK;
}
