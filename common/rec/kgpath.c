/* Paths of kggraph.h: layer after layer, the best product into each node (Viterbi), then back from the item. */
#include "rec/kggraph.h"

#include "base/alloc.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

struct layers {
  double *best;   /* [max_hops + 1][n_node] 0: not reached */
  uint64_t *edge; /* [max_hops + 1][n_node] the edge at the node, towards where it came from */
  double *root;   /* [n_node] sqrt of the sum of weights; NULL: hops are given */
};

/* Where an edge lies at its other end: hops may differ by direction, so the way there is looked up. */
static uint64_t other_end(const struct xf_kg_graph *g, uint32_t v, uint64_t e) {
  const uint32_t u = g->node[e];
  uint64_t low = g->start[u], high = g->start[u + 1];
  while (low < high) {
    const uint64_t middle = low + (high - low) / 2;
    if (g->node[middle] < v) low = middle + 1;
    else high = middle;
  }
  return low;
}

static void step(const struct xf_kg_graph *g, struct layers *l, const float *hop, uint32_t k) {
  const double *from = l->best + (size_t)(k - 1) * g->n_node;
  double *to = l->best + (size_t)k * g->n_node;
  for (uint32_t v = 0; v < g->n_node; v++)
    for (uint64_t e = g->start[v]; e < g->start[v + 1]; e++) {
      const uint32_t u = g->node[e];
      if (from[u] == 0) continue;
      const double w =
          hop ? (double)hop[other_end(g, v, e)] : (double)g->weight[e] / (l->root[v] * l->root[u]);
      const double x = from[u] * w;
      if (x <= to[v]) continue;
      to[v] = x;
      l->edge[(size_t)k * g->n_node + v] = e;
    }
}

static void trace(struct xf_kg_path *out, const struct xf_kg_graph *g, const struct layers *l,
                  uint32_t item, uint32_t hops) {
  out->n = hops;
  uint32_t v = item;
  for (uint32_t k = hops; k > 0; k--) {
    const uint64_t e = l->edge[(size_t)k * g->n_node + v];
    out->node[k] = v;
    out->relation[k - 1] = g->relation[e];
    v = g->node[e];
  }
  out->node[0] = v;
}

static enum xf_rc check(const struct xf_kg_graph *g, const uint32_t *history, uint32_t n,
                        uint32_t item, uint32_t max_hops, struct xf_diag *diag) {
  if (max_hops < 1 || max_hops > XF_KG_HOPS_MAX)
    return xf_diag_set(diag, XF_E_RANGE, "paths of at most %u hops; give 1 to %d", max_hops,
                       XF_KG_HOPS_MAX);
  for (uint32_t k = 0; k <= n; k++) {
    const uint32_t i = k < n ? history[k] : item;
    if (i >= g->n_items)
      return xf_diag_set(diag, XF_E_RANGE, "item %u; the graph has %u items", i, g->n_items);
  }
  return XF_OK;
}

enum xf_rc xf_kg_path_find(struct xf_kg_path *out, const struct xf_kg_graph *graph,
                           const float *hop, const uint32_t *history, const float *first,
                           uint32_t n, uint32_t item, uint32_t max_hops, struct xf_diag *diag) {
  *out = (struct xf_kg_path){0};
  enum xf_rc rc = check(graph, history, n, item, max_hops, diag);
  if (rc) return rc;
  const size_t cells = ((size_t)max_hops + 1) * graph->n_node;
  struct layers l = {xf_try_calloc(cells, sizeof *l.best), xf_try_calloc(cells, sizeof *l.edge),
                     hop ? NULL : xf_try_calloc(graph->n_node, sizeof *l.root)};
  if (!l.best || !l.edge || (!hop && !l.root))
    rc = xf_diag_set(diag, XF_E_NOMEM, "no memory for paths among %u nodes", graph->n_node);
  for (uint32_t v = 0; v < graph->n_node && !rc && l.root; v++) {
    for (uint64_t e = graph->start[v]; e < graph->start[v + 1]; e++)
      l.root[v] += (double)graph->weight[e];
    l.root[v] = sqrt(l.root[v]);
  }
  for (uint32_t k = 0; k < n && !rc; k++)
    if (history[k] != item) l.best[history[k]] = first ? (double)first[k] : 1;
  for (uint32_t k = 1; k <= max_hops && !rc; k++) {
    step(graph, &l, hop, k);
    const double x = l.best[(size_t)k * graph->n_node + item];
    if (x <= out->score) continue;
    out->score = x;
    trace(out, graph, &l, item, k);
  }
  xf_free(l.best);
  xf_free(l.edge);
  xf_free(l.root);
  return rc;
}

static const char *node_text(const struct xf_kg_graph *g, const struct xf_kg *kg,
                             const struct xf_names *items, uint32_t v) {
  return v < g->n_items ? xf_names_get(items, v) : xf_names_get(&kg->entities, g->entity[v]);
}

const char *xf_kg_path_print(char *buf, size_t len, const struct xf_kg_path *path,
                             const struct xf_kg_graph *graph, const struct xf_kg *kg,
                             const struct xf_names *items) {
  size_t at = 0;
  buf[0] = 0;
  for (uint32_t k = 0; path->n && k <= path->n && at < len; k++) {
    const uint32_t r = k ? path->relation[k - 1] : 0;
    const int n = snprintf(buf + at, len - at, "%s%s%s%s", k ? " -" : "",
                           !k                ? ""
                           : r == XF_KG_SAME ? "is"
                                             : xf_names_get(&kg->relations, r),
                           k ? "- " : "", node_text(graph, kg, items, path->node[k]));
    if (n < 0) break;
    at += (size_t)n;
  }
  return buf;
}
