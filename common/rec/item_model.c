/* EASE keeps dense rows, the kernel the Gram's pattern; both add up the rows of the history. */
#include "rec/item_model.h"

#include "base/alloc.h"
#include "tensor/lapack.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

struct item_model {
  struct xf_scorer base; /* first */
  uint32_t n;
  float *dense;    /* [n x n] EASE, else NULL */
  uint64_t *start; /* kernel: [n + 1], the Gram's pattern */
  uint32_t *item;
  float *value;
};

static const struct item_model *self(const struct xf_scorer *s) {
  return (const struct item_model *)s;
}

static enum xf_rc check_history(const struct item_model *m, const struct xf_query *q,
                                struct xf_diag *diag) {
  for (uint32_t k = 0; k < q->n; k++)
    if (q->item[k] >= m->n)
      return xf_diag_set(diag, XF_E_NOTFOUND,
                         "history item %" PRIu32 " is not among the model's %" PRIu32 " items",
                         q->item[k], m->n);
  return XF_OK;
}

static enum xf_rc score_dense(const struct xf_scorer *s, const struct xf_query *q, float *out,
                              struct xf_diag *diag) {
  const struct item_model *m = self(s);
  const enum xf_rc rc = check_history(m, q, diag);
  if (rc) return rc;
  memset(out, 0, m->n * sizeof *out);
  for (uint32_t k = 0; k < q->n; k++) {
    const float *row = m->dense + (size_t)q->item[k] * m->n;
    for (uint32_t i = 0; i < m->n; i++) out[i] += row[i];
  }
  return XF_OK;
}

static enum xf_rc score_sparse(const struct xf_scorer *s, const struct xf_query *q, float *out,
                               struct xf_diag *diag) {
  const struct item_model *m = self(s);
  const enum xf_rc rc = check_history(m, q, diag);
  if (rc) return rc;
  memset(out, 0, m->n * sizeof *out);
  for (uint32_t k = 0; k < q->n; k++)
    for (uint64_t e = m->start[q->item[k]]; e < m->start[q->item[k] + 1]; e++)
      out[m->item[e]] += m->value[e];
  return XF_OK;
}

static float weight_of(const struct item_model *m, uint32_t from, uint32_t to) {
  if (m->dense) return m->dense[(size_t)from * m->n + to];
  for (uint64_t e = m->start[from]; e < m->start[from + 1]; e++)
    if (m->item[e] == to) return m->value[e];
  return 0;
}

/* Equal shares in history order. */
static uint32_t explain(const struct xf_scorer *s, const struct xf_query *q, uint32_t item,
                        struct xf_why *out, uint32_t k) {
  const struct item_model *m = self(s);
  uint32_t n = 0;
  for (uint32_t h = 0; h < q->n && item < m->n; h++) {
    if (q->item[h] >= m->n) continue;
    xf_why_insert(out, &n, k, (struct xf_why){q->item[h], weight_of(m, q->item[h], item)});
  }
  return n;
}

static void item_model_free(struct xf_scorer *s) {
  struct item_model *m = (struct item_model *)s;
  xf_free(m->dense);
  xf_free(m->start);
  xf_free(m->item);
  xf_free(m->value);
  xf_free(m);
}

static const struct xf_scorer_kind ease_kind = {"ease", score_dense, explain, item_model_free};
static const struct xf_scorer_kind kernel_kind = {"kernel", score_sparse, explain, item_model_free};

static struct item_model *new_model(const struct xf_scorer_kind *kind, uint32_t n) {
  struct item_model *m = xf_calloc(1, sizeof *m);
  m->base = (struct xf_scorer){.kind = kind, .n_items = n};
  m->n = n;
  return m;
}

/* The upper half of G + r I. */
static double *ridged(const struct xf_gram *gram, double r) {
  const size_t n = gram->n;
  double *p = xf_try_calloc(n * n + 1, sizeof *p);
  for (size_t i = 0; i < n && p; i++) {
    for (uint64_t e = gram->start[i + 1]; e-- > gram->start[i] && gram->item[e] > i;)
      p[i * n + gram->item[e]] = (double)gram->value[e];
    p[i * n + i] = (double)gram->diag[i] + r;
  }
  return p;
}

/* B from the upper half of P, tile by tile: what is read by rows is also written by columns. */
static void weights(float *restrict b, const double *restrict p, size_t n) {
  enum { TILE = 64 };
  for (size_t r = 0; r < n; r += TILE)
    for (size_t c = r; c < n; c += TILE)
      for (size_t i = r; i < n && i < r + TILE; i++)
        for (size_t j = c > i ? c : i + 1; j < n && j < c + TILE; j++) {
          const double v = -p[i * n + j];
          b[i * n + j] = (float)(v / p[j * n + j]);
          b[j * n + i] = (float)(v / p[i * n + i]);
        }
}

enum xf_rc xf_ease_fit(struct xf_scorer **out, const struct xf_gram *gram, double r,
                       uint32_t max_items, struct xf_diag *diag) {
  *out = NULL;
  const uint32_t limit = max_items ? max_items : XF_EASE_MAX_ITEMS;
  const size_t n = gram->n;
  if (!(r > 0) || !isfinite(r))
    return xf_diag_set(diag, XF_E_RANGE, "EASE: the ridge is %g; it must be above 0", r);
  if (n > limit)
    return xf_diag_set(diag, XF_E_LIMIT,
                       "EASE inverts a matrix of all items: %zu items, the limit is %" PRIu32
                       "; use the item kernel, which inverts nothing",
                       n, limit);
  double *p = ridged(gram, r);
  struct item_model *m = new_model(&ease_kind, gram->n);
  m->dense = xf_try_calloc(n * n + 1, sizeof *m->dense);
  enum xf_rc rc = XF_OK;
  if (!p || !m->dense) rc = xf_diag_set(diag, XF_E_NOMEM, "no memory for EASE over %zu items", n);
  if (!rc) rc = xf_lapack_invert_half(p, gram->n, diag);
  if (!rc) weights(m->dense, p, n);
  xf_free(p);
  m->base.cost.memory = n * n * sizeof *m->dense;
  if (rc) item_model_free(&m->base);
  else *out = &m->base;
  return rc;
}

static bool copy_pattern(struct item_model *m, const struct xf_gram *gram) {
  const uint64_t n_entry = gram->start[gram->n];
  m->start = xf_try_calloc((size_t)m->n + 1, sizeof *m->start);
  m->item = xf_try_calloc((size_t)n_entry + 1, sizeof *m->item);
  m->value = xf_try_calloc((size_t)n_entry + 1, sizeof *m->value);
  if (!m->start || !m->item || !m->value) return false;
  memcpy(m->start, gram->start, ((size_t)m->n + 1) * sizeof *m->start);
  if (n_entry) memcpy(m->item, gram->item, (size_t)n_entry * sizeof *m->item);
  return true;
}

enum xf_rc xf_kernel_fit(struct xf_scorer **out, const struct xf_gram *gram, double a, double b,
                         struct xf_diag *diag) {
  *out = NULL;
  if (!(a >= 0) || !(b >= 0) || !isfinite(a + b))
    return xf_diag_set(diag, XF_E_RANGE,
                       "item kernel: the exponents are %g and %g; they must be 0 or above", a, b);
  struct item_model *m = new_model(&kernel_kind, gram->n);
  double *to = xf_try_calloc((size_t)gram->n + 1, sizeof *to);
  if (!to || !copy_pattern(m, gram)) {
    xf_free(to);
    item_model_free(&m->base);
    return xf_diag_set(diag, XF_E_NOMEM, "no memory for the kernel of %" PRIu32 " items", gram->n);
  }
  for (uint32_t j = 0; j < m->n; j++) to[j] = pow((double)gram->diag[j] + 1, b);
  for (uint32_t i = 0; i < m->n; i++) {
    const double from = pow((double)gram->diag[i] + 1, a);
    for (uint64_t e = m->start[i]; e < m->start[i + 1]; e++)
      m->value[e] = (float)((double)gram->value[e] / (from * to[m->item[e]]));
  }
  xf_free(to);
  m->base.cost.memory = m->start[m->n] * (sizeof *m->item + sizeof *m->value);
  *out = &m->base;
  return XF_OK;
}
