#include "rec/catmodel.h"

#include "base/alloc.h"
#include "base/rng.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

struct catmodel {
  struct xf_scorer base; /* first */
  const struct xf_categories *categories;
  uint64_t *start; /* K without its diagonal: the Gram's pattern */
  uint32_t *to;
  float *value, *same; /* same [categories] its diagonal */
  float *popular;      /* [n_items] (n_i + 1)^g */
  float *order;        /* [n_items] among items that the categories do not tell apart */
};

static const struct catmodel *self(const struct xf_scorer *s) { return (const struct catmodel *)s; }

static void of_item(const struct catmodel *m, uint32_t item, uint32_t *from, uint32_t *to) {
  const struct xf_csr *of = &m->categories->of;
  *from = item < of->n_row ? of->start[item] : 0;
  *to = item < of->n_row ? of->start[item + 1] : 0;
}

/* a(d) of a history, NULL without memory. @shape [categories->n + 1] */
static double *affinity(const struct catmodel *m, const struct xf_query *q) {
  const size_t n = m->categories->n;
  double *p = xf_try_calloc(n + 1, sizeof *p), *a = xf_try_calloc(n + 1, sizeof *a), all = 0;
  for (uint32_t k = 0; p && a && k < q->n; k++) {
    uint32_t from, to;
    of_item(m, q->item[k], &from, &to);
    for (uint32_t e = from; e < to; e++) p[m->categories->of.item[e]]++;
    all += to - from;
  }
  for (size_t c = 0; p && a && c < n; c++) {
    if (p[c] == 0) continue;
    const double share = p[c] / all;
    a[c] += share * (double)m->same[c];
    for (uint64_t e = m->start[c]; e < m->start[c + 1]; e++)
      a[m->to[e]] += share * (double)m->value[e];
  }
  xf_free(p);
  if (!p) xf_free(a);
  return p ? a : NULL;
}

static enum xf_rc score(const struct xf_scorer *s, const struct xf_query *q, float *out,
                        struct xf_diag *diag) {
  const struct catmodel *m = self(s);
  double *a = affinity(m, q);
  if (!a)
    return xf_diag_set(diag, XF_E_NOMEM, "no memory for a profile of %" PRIu32 " categories",
                       m->categories->n);
  for (uint32_t i = 0; i < s->n_items; i++) {
    uint32_t from, to;
    double sum = 0;
    of_item(m, i, &from, &to);
    for (uint32_t e = from; e < to; e++) sum += a[m->categories->of.item[e]];
    if (to > from) sum /= to - from;
    out[i] = (float)((double)m->popular[i] * (sum + (double)m->order[i]));
  }
  xf_free(a);
  return XF_OK;
}

static uint32_t explain(const struct xf_scorer *s, const struct xf_query *q, uint32_t item,
                        struct xf_why *out, uint32_t k) {
  const struct catmodel *m = self(s);
  double *a = item < s->n_items ? affinity(m, q) : NULL;
  uint32_t from, to, n = 0;
  of_item(m, item, &from, &to);
  for (uint32_t e = from; a && e < to; e++) {
    const uint32_t d = m->categories->of.item[e];
    const double share = (double)m->popular[item] * a[d] / (to - from);
    xf_why_insert(out, &n, k, (struct xf_why){XF_WHY_CATEGORY | d, (float)share});
  }
  xf_free(a);
  return n;
}

static void catmodel_free(struct xf_scorer *s) {
  struct catmodel *m = (struct catmodel *)s;
  xf_free(m->start);
  xf_free(m->to);
  xf_free(m->value);
  xf_free(m->same);
  xf_free(m->popular);
  xf_free(m->order);
  xf_free(m);
}

static const struct xf_scorer_kind CATEGORY = {"category", score, explain, catmodel_free};

/* 1 / (G_cc + 1)^.5; what noise or rounding made negative counts as 0. */
static double scale(const struct xf_gram *gram, uint32_t c) {
  return 1 / sqrt(fmax((double)gram->diag[c], 0) + 1);
}

static bool fill(struct catmodel *m, const struct xf_gram *gram, const struct xf_rec_data *data,
                 double g) {
  const size_t n = (size_t)gram->start[gram->n];
  m->start = xf_try_calloc((size_t)gram->n + 1, sizeof *m->start);
  m->to = xf_try_calloc(n + 1, sizeof *m->to);
  m->value = xf_try_calloc(n + 1, sizeof *m->value);
  m->same = xf_try_calloc((size_t)gram->n + 1, sizeof *m->same);
  m->popular = xf_try_calloc((size_t)data->n_items + 1, sizeof *m->popular);
  m->order = xf_try_calloc((size_t)data->n_items + 1, sizeof *m->order);
  if (!m->start || !m->to || !m->value || !m->same || !m->popular || !m->order) return false;
  memcpy(m->start, gram->start, ((size_t)gram->n + 1) * sizeof *m->start);
  if (n) memcpy(m->to, gram->item, n * sizeof *m->to);
  for (uint32_t c = 0; c < gram->n; c++) {
    const double from = scale(gram, c);
    m->same[c] = (float)((double)gram->diag[c] * from * from);
    for (uint64_t e = gram->start[c]; e < gram->start[c + 1]; e++)
      m->value[e] = (float)((double)gram->value[e] * from * scale(gram, gram->item[e]));
  }
  for (size_t e = 0; e < xf_csr_count(data->train); e++) m->popular[data->train->item[e]]++;
  struct xf_rng rng;
  xf_rng_init(&rng, 0, data->n_items);
  for (uint32_t i = 0; i < data->n_items; i++)
    m->order[i] = (float)(XF_CATEGORY_ORDER * (xf_rng_double(&rng) + 1) / 2);
  for (uint32_t i = 0; i < data->n_items; i++)
    m->popular[i] = (float)pow((double)m->popular[i] + 1, g);
  return true;
}

enum xf_rc xf_category_fit(struct xf_scorer **out, const struct xf_gram *gram,
                           const struct xf_categories *categories, const struct xf_rec_data *data,
                           double g, struct xf_diag *diag) {
  *out = NULL;
  if (!(g >= 0) || !isfinite(g))
    return xf_diag_set(diag, XF_E_RANGE, "categories: popularity to the power %g; 0 or above", g);
  if (gram->n != categories->n)
    return xf_diag_set(diag, XF_E_SHAPE, "a Gram over %" PRIu32 " of %" PRIu32 " categories",
                       gram->n, categories->n);
  struct catmodel *m = xf_calloc(1, sizeof *m);
  m->base = (struct xf_scorer){.kind = &CATEGORY, .n_items = data->n_items};
  m->categories = categories;
  if (!fill(m, gram, data, g)) {
    catmodel_free(&m->base);
    return xf_diag_set(diag, XF_E_NOMEM, "no memory for a model of %" PRIu32 " categories",
                       gram->n);
  }
  m->base.cost.memory = gram->start[gram->n] * (sizeof *m->to + sizeof *m->value) +
                        data->n_items * 2 * sizeof *m->popular;
  *out = &m->base;
  return XF_OK;
}
