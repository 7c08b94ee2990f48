#include "rec/kgcontent.h"

#include "base/alloc.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

struct kgcontent {
  struct xf_scorer base; /* first */
  uint32_t n_node;
  uint64_t *start; /* [n_items + 1] */
  uint32_t *node;
  float *value; /* rows of length 1 */
};

static const struct kgcontent *self(const struct xf_scorer *s) {
  return (const struct kgcontent *)s;
}

/* u / |u| of a history over all nodes; NULL without memory. */
static double *profile(const struct kgcontent *c, const struct xf_query *q) {
  double *u = xf_try_calloc((size_t)c->n_node + 1, sizeof *u), square = 0;
  if (!u) return NULL;
  for (uint32_t k = 0; k < q->n; k++)
    for (uint64_t e = c->start[q->item[k]]; e < c->start[q->item[k] + 1]; e++)
      u[c->node[e]] += (double)c->value[e];
  for (uint32_t v = 0; v < c->n_node; v++) square += u[v] * u[v];
  for (uint32_t v = 0; v < c->n_node && square > 0; v++) u[v] /= sqrt(square);
  u[c->n_node] = sqrt(square); /* behind: the length */
  return u;
}

static double along(const struct kgcontent *c, uint32_t item, const double *u) {
  double sum = 0;
  for (uint64_t e = c->start[item]; e < c->start[item + 1]; e++)
    sum += (double)c->value[e] * u[c->node[e]];
  return sum;
}

static enum xf_rc check_history(const struct kgcontent *c, const struct xf_query *q,
                                struct xf_diag *diag) {
  for (uint32_t k = 0; k < q->n; k++)
    if (q->item[k] >= c->base.n_items)
      return xf_diag_set(diag, XF_E_NOTFOUND,
                         "history item %" PRIu32 " is not among the graph's %" PRIu32 " items",
                         q->item[k], c->base.n_items);
  return XF_OK;
}

static enum xf_rc kgcontent_score(const struct xf_scorer *s, const struct xf_query *q, float *out,
                                  struct xf_diag *diag) {
  const struct kgcontent *c = self(s);
  const enum xf_rc rc = check_history(c, q, diag);
  if (rc) return rc;
  double *u = profile(c, q);
  if (!u) return xf_diag_set(diag, XF_E_NOMEM, "no memory for a profile of %u nodes", c->n_node);
  for (uint32_t i = 0; i < s->n_items; i++) out[i] = (float)along(c, i, u);
  xf_free(u);
  return XF_OK;
}

static uint32_t kgcontent_explain(const struct xf_scorer *s, const struct xf_query *q,
                                  uint32_t item, struct xf_why *out, uint32_t k) {
  const struct kgcontent *c = self(s);
  uint32_t n = 0;
  double *u = item < s->n_items && !check_history(c, q, NULL) ? profile(c, q) : NULL;
  double *a = u ? xf_try_calloc((size_t)c->n_node + 1, sizeof *a) : NULL;
  for (uint64_t e = a ? c->start[item] : 0; a && e < c->start[item + 1]; e++)
    a[c->node[e]] = (double)c->value[e];
  for (uint32_t h = 0; a && h < q->n; h++) {
    const double length = u[c->n_node];
    const struct xf_why why = {q->item[h],
                               length > 0 ? (float)(along(c, q->item[h], a) / length) : 0};
    xf_why_insert(out, &n, k, why);
  }
  xf_free(u);
  xf_free(a);
  return n;
}

static void kgcontent_free(struct xf_scorer *s) {
  struct kgcontent *c = (struct kgcontent *)s;
  xf_free(c->start);
  xf_free(c->node);
  xf_free(c->value);
  xf_free(c);
}

static const struct xf_scorer_kind KGCONTENT = {"kgcontent", kgcontent_score, kgcontent_explain,
                                                kgcontent_free};

enum xf_rc xf_kgcontent_fit(struct xf_scorer **out, const struct xf_kg_graph *graph,
                            struct xf_diag *diag) {
  struct kgcontent *c = xf_calloc(1, sizeof *c);
  const size_t n = (size_t)graph->start[graph->n_items];
  *out = NULL;
  c->base = (struct xf_scorer){.kind = &KGCONTENT, .n_items = graph->n_items};
  c->base.cost.memory = n * (sizeof *c->node + sizeof *c->value);
  c->n_node = graph->n_node;
  c->start = xf_try_calloc((size_t)graph->n_items + 1, sizeof *c->start);
  c->node = xf_try_calloc(n + 1, sizeof *c->node);
  c->value = xf_try_calloc(n + 1, sizeof *c->value);
  if (!c->start || !c->node || !c->value) {
    kgcontent_free(&c->base);
    return xf_diag_set(diag, XF_E_NOMEM, "no memory for %zu edges", n);
  }
  memcpy(c->start, graph->start, ((size_t)graph->n_items + 1) * sizeof *c->start);
  if (n) memcpy(c->node, graph->node, n * sizeof *c->node);
  for (uint32_t i = 0; i < graph->n_items; i++) {
    double square = 0;
    for (uint64_t e = c->start[i]; e < c->start[i + 1]; e++)
      square += (double)graph->weight[e] * (double)graph->weight[e];
    for (uint64_t e = c->start[i]; e < c->start[i + 1]; e++)
      c->value[e] = (float)((double)graph->weight[e] / sqrt(square));
  }
  *out = &c->base;
  return XF_OK;
}
