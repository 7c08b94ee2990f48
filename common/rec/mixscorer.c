/* A mix as a scorer: its candidates are asked, standardised and bent. */
#include "rec/mix.h"

#include "base/alloc.h"

#include <string.h>

struct mix {
  struct xf_scorer base; /* first */
  uint32_t n;
  struct xf_blend_part part[XF_BLEND_PARTS]; /* scorers borrowed, names own, weight 1 */
  struct xf_guard_mix weight[XF_BLEND_PARTS];
};

static float curve(const struct xf_guard_mix *w, float z) {
  return (float)w->linear * z + (float)w->bend * xf_guard_bend(z);
}

/* A candidate that cannot serve counts as its mean everywhere, as in the guard. */
static void add_curve(const void *arg, uint32_t part, bool served, const float *row, size_t n_items,
                      float *out) {
  const struct xf_guard_mix *w = &((const struct mix *)arg)->weight[part];
  (void)served;
  for (size_t k = 0; k < n_items; k++) out[k] += curve(w, row[k]);
}

static enum xf_rc many(const struct xf_scorer *s, const struct xf_query *q, uint32_t n, float *out,
                       bool *served, struct xf_diag *diag) {
  const struct mix *m = (const struct mix *)s;
  return xf_blend_sum(m->part, m->n, add_curve, m, q, n, out, served, diag);
}

static enum xf_rc score(const struct xf_scorer *s, const struct xf_query *q, float *out,
                        struct xf_diag *diag) {
  bool served = false;
  const enum xf_rc rc = many(s, q, 1, out, &served, diag);
  if (!rc && !served)
    return xf_diag_set(diag, XF_E_NOTFOUND, "no candidate of the mix can serve user %u", q->user);
  return rc;
}

/* Of each candidate what it adds to the average item's score, dealt to its own reasons; without any under XF_NO_ID. */
static uint32_t explain(const struct xf_scorer *s, const struct xf_query *q, uint32_t item,
                        struct xf_why *out, uint32_t k) {
  const struct mix *m = (const struct mix *)s;
  struct xf_why all[XF_BLEND_PARTS * (XF_BLEND_WHY + 1)];
  uint32_t n = 0;
  float *row = xf_try_calloc((size_t)s->n_items + 1, sizeof *row);
  for (uint32_t p = 0; row && item < s->n_items && p < m->n; p++) {
    const struct xf_scorer *part = m->part[p].scorer;
    struct xf_why why[XF_BLEND_WHY];
    double unit = 0;
    if (xf_blend_row(&m->part[p], q, row, &unit, NULL)) continue;
    const float z = row[item], share = curve(&m->weight[p], z) - curve(&m->weight[p], 0);
    const uint32_t got =
        part->kind->explain ? part->kind->explain(part, q, item, why, XF_BLEND_WHY) : 0;
    const float scale = z != 0 ? share / z * (float)unit : 0;
    for (uint32_t i = 0; i < got; i++)
      xf_why_add(all, &n, (struct xf_why){why[i].item, why[i].share * scale});
    if (got == 0) xf_why_add(all, &n, (struct xf_why){XF_NO_ID, share});
  }
  xf_free(row);
  return xf_why_best(out, k, all, n);
}

static void mix_free(struct xf_scorer *s) {
  struct mix *m = (struct mix *)s;
  for (uint32_t p = 0; p < m->n; p++) xf_free((void *)(uintptr_t)m->part[p].name);
  xf_free(m);
}

static const struct xf_scorer_kind MIX = {"mix", score, explain, mix_free};

enum xf_rc xf_mix_scorer(struct xf_scorer **out, const struct xf_mix *mix,
                         const struct xf_blend_part *part, uint32_t n, struct xf_diag *diag) {
  *out = NULL;
  if (n == 0 || n > XF_BLEND_PARTS)
    return xf_diag_set(diag, XF_E_INVAL, "a mix of %u candidates; there must be 1 to %d", n,
                       XF_BLEND_PARTS);
  for (uint32_t p = 0; p < n; p++)
    if (part[p].scorer->n_items != part[0].scorer->n_items)
      return xf_diag_set(diag, XF_E_SHAPE, "\"%s\" scores %u items, \"%s\" %u", part[p].name,
                         part[p].scorer->n_items, part[0].name, part[0].scorer->n_items);
  struct mix *m = xf_calloc(1, sizeof *m);
  m->base = (struct xf_scorer){.kind = &MIX, .n_items = part[0].scorer->n_items, .many = many};
  m->n = n;
  memcpy(m->weight, mix->weight, n * sizeof *m->weight);
  for (uint32_t p = 0; p < n; p++) {
    m->part[p] = (struct xf_blend_part){xf_strdup(part[p].name), part[p].scorer, 1};
    m->base.cost.memory += part[p].scorer->cost.memory;
  }
  *out = &m->base;
  return XF_OK;
}
