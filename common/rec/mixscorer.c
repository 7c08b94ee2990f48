/* A mix as a scorer: its candidates are asked, standardised and bent. */
#include "rec/mix.h"

#include "base/alloc.h"

#include <string.h>

struct mix {
  struct xf_scorer base; /* first */
  uint32_t n;
  struct xf_scorer *part[XF_BLEND_PARTS]; /* borrowed */
  char *name[XF_BLEND_PARTS];
  struct xf_guard_mix weight[XF_BLEND_PARTS];
};

static float curve(const struct xf_guard_mix *w, float z) {
  return (float)w->linear * z + (float)w->bend * xf_guard_bend(z);
}

static enum xf_rc standardise(const struct mix *m, uint32_t p, const struct xf_query *q, float *row,
                              double *unit, struct xf_diag *diag) {
  uint32_t bad = 0;
  const enum xf_rc rc = xf_blend_standardise(row, m->base.n_items, q->item, q->n, unit, &bad);
  if (rc)
    return xf_diag_set(diag, rc, "the score of item %u by \"%s\" is not a number", bad, m->name[p]);
  return XF_OK;
}

static enum xf_rc many(const struct xf_scorer *s, const struct xf_query *q, uint32_t n, float *out,
                       bool *served, struct xf_diag *diag) {
  const struct mix *m = (const struct mix *)s;
  const size_t items = s->n_items;
  float *row = xf_try_calloc(n * items + 1, sizeof *row);
  bool *can = xf_try_calloc((size_t)n + 1, sizeof *can);
  enum xf_rc rc = XF_OK;
  if (!row || !can) rc = xf_diag_set(diag, XF_E_NOMEM, "not enough memory for %u users", n);
  memset(out, 0, n * items * sizeof *out);
  memset(served, 0, n * sizeof *served);
  for (uint32_t p = 0; !rc && p < m->n; p++) {
    rc = xf_scorer_score_many(m->part[p], q, n, row, can, diag);
    for (uint32_t i = 0; !rc && i < n; i++) {
      double unit = 0;
      float *r = row + i * items, *o = out + i * items;
      if (can[i]) rc = standardise(m, p, &q[i], r, &unit, diag);
      served[i] |= can[i]; /* one that cannot counts as its mean everywhere, as in the guard */
      for (size_t k = 0; !rc && k < items; k++) o[k] += curve(&m->weight[p], r[k]);
    }
  }
  xf_free(row);
  xf_free(can);
  return rc;
}

static enum xf_rc score(const struct xf_scorer *s, const struct xf_query *q, float *out,
                        struct xf_diag *diag) {
  bool served = false;
  const enum xf_rc rc = many(s, q, 1, out, &served, diag);
  if (!rc && !served)
    return xf_diag_set(diag, XF_E_NOTFOUND, "no candidate of the mix can serve user %u", q->user);
  return rc;
}

static void insert(struct xf_why *all, uint32_t *n, struct xf_why why) {
  uint32_t at = 0;
  while (at < *n && all[at].item != why.item) at++;
  if (at == *n) all[(*n)++] = (struct xf_why){why.item, 0};
  all[at].share += why.share;
}

/* Of each candidate what it adds to the average item's score, dealt to its own reasons; without any under XF_NO_ID. */
static uint32_t explain(const struct xf_scorer *s, const struct xf_query *q, uint32_t item,
                        struct xf_why *out, uint32_t k) {
  const struct mix *m = (const struct mix *)s;
  struct xf_why all[XF_BLEND_PARTS * (XF_BLEND_WHY + 1)];
  uint32_t n = 0;
  float *row = xf_try_calloc((size_t)s->n_items + 1, sizeof *row);
  for (uint32_t p = 0; row && item < s->n_items && p < m->n; p++) {
    const struct xf_scorer *part = m->part[p];
    struct xf_why why[XF_BLEND_WHY];
    double unit = 0;
    if (xf_scorer_score(part, q, row, NULL) || standardise(m, p, q, row, &unit, NULL)) continue;
    const float z = row[item], share = curve(&m->weight[p], z) - curve(&m->weight[p], 0);
    const uint32_t got =
        part->kind->explain ? part->kind->explain(part, q, item, why, XF_BLEND_WHY) : 0;
    const float scale = z != 0 ? share / z * (float)unit : 0;
    for (uint32_t i = 0; i < got; i++)
      insert(all, &n, (struct xf_why){why[i].item, why[i].share * scale});
    if (got == 0) insert(all, &n, (struct xf_why){XF_NO_ID, share});
  }
  xf_free(row);
  for (uint32_t i = 1; i < n; i++) /* few: insertion, largest first, then by item */
    for (uint32_t at = i; at > 0; at--) {
      struct xf_why *a = &all[at - 1], *b = &all[at];
      if (a->share > b->share || (a->share == b->share && a->item < b->item)) break;
      const struct xf_why swap = *a;
      *a = *b;
      *b = swap;
    }
  if (n > k) n = k;
  memcpy(out, all, n * sizeof *out);
  return n;
}

static void mix_free(struct xf_scorer *s) {
  struct mix *m = (struct mix *)s;
  for (uint32_t p = 0; p < m->n; p++) xf_free(m->name[p]);
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
    m->part[p] = part[p].scorer;
    m->name[p] = xf_strdup(part[p].name);
    m->base.cost.memory += part[p].scorer->cost.memory;
  }
  *out = &m->base;
  return XF_OK;
}
