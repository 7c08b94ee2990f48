#include "rec/kggraph.h"

#include "base/alloc.h"
#include "data/lines.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void xf_kg_graph_deinit(struct xf_kg_graph *graph) {
  xf_free(graph->start);
  xf_free(graph->node);
  xf_free(graph->relation);
  xf_free(graph->weight);
  xf_free(graph->entity);
  *graph = (struct xf_kg_graph){0};
}

struct edge {
  uint32_t from, to, relation;
  float weight;
};

/* By ends, the heaviest first. */
static int by_ends(const void *a, const void *b) {
  const struct edge *x = a, *y = b;
  if (x->from != y->from) return x->from < y->from ? -1 : 1;
  if (x->to != y->to) return x->to < y->to ? -1 : 1;
  if (x->weight != y->weight) return x->weight > y->weight ? -1 : 1;
  return (x->relation > y->relation) - (x->relation < y->relation);
}

/* node_of[entity]: the item that alone is it, else a node behind the items. */
static void number(struct xf_kg_graph *g, const struct xf_kg *kg, const struct xf_kg_link *link,
                   uint32_t *node_of, uint32_t *owners) {
  for (uint32_t i = 0; i < link->n_items; i++) {
    const uint32_t e = link->entity[i];
    g->entity[i] = e;
    if (e == XF_NO_ID) continue;
    owners[e]++;
    node_of[e] = i;
  }
  g->n_node = link->n_items;
  for (uint32_t e = 0; e < kg->entities.n; e++) {
    if (owners[e] == 1) continue;
    g->entity[g->n_node] = e;
    node_of[e] = g->n_node++;
  }
}

static size_t collect(struct edge *edge, const struct xf_kg *kg, const struct xf_kg_link *link,
                      const uint32_t *node_of, const float *weight) {
  size_t n = 0;
  for (size_t k = 0; k < kg->n; k++) {
    const uint32_t a = node_of[kg->head[k]], b = node_of[kg->tail[k]], r = kg->relation[k];
    const float w = weight ? weight[r] : 1;
    if (w == 0) continue;
    edge[n++] = (struct edge){a, b, r, w};
    edge[n++] = (struct edge){b, a, r, w};
  }
  for (uint32_t i = 0; i < link->n_items; i++) {
    const uint32_t v = link->entity[i] == XF_NO_ID ? i : node_of[link->entity[i]];
    if (v == i) continue;
    edge[n++] = (struct edge){i, v, XF_KG_SAME, 1};
    edge[n++] = (struct edge){v, i, XF_KG_SAME, 1};
  }
  return n;
}

static bool store(struct xf_kg_graph *g, struct edge *edge, size_t n) {
  if (n) qsort(edge, n, sizeof *edge, by_ends);
  size_t kept = 0;
  for (size_t k = 0; k < n; k++)
    if (k == 0 || edge[k].from != edge[kept - 1].from || edge[k].to != edge[kept - 1].to)
      edge[kept++] = edge[k];
  g->start = xf_try_calloc((size_t)g->n_node + 1, sizeof *g->start);
  g->node = xf_try_calloc(kept + 1, sizeof *g->node);
  g->relation = xf_try_calloc(kept + 1, sizeof *g->relation);
  g->weight = xf_try_calloc(kept + 1, sizeof *g->weight);
  if (!g->start || !g->node || !g->relation || !g->weight) return false;
  for (size_t k = 0; k < kept; k++) {
    g->node[k] = edge[k].to;
    g->relation[k] = edge[k].relation;
    g->weight[k] = edge[k].weight;
    g->start[edge[k].from + 1]++;
  }
  for (uint32_t v = 0; v < g->n_node; v++) g->start[v + 1] += g->start[v];
  return true;
}

/* Breadth first from all items; what is not reached lies apart. */
static enum xf_rc find_apart(const struct xf_kg_graph *g, struct xf_kg *kg) {
  uint32_t *queue = xf_try_calloc((size_t)g->n_node + 1, sizeof *queue), n = 0;
  uint8_t *seen = xf_try_calloc((size_t)g->n_node + 1, 1);
  if (!queue || !seen) {
    xf_free(queue);
    xf_free(seen);
    return XF_E_NOMEM;
  }
  for (; n < g->n_items; n++) {
    queue[n] = n;
    seen[n] = 1;
  }
  for (uint32_t k = 0; k < n; k++)
    for (uint64_t e = g->start[queue[k]]; e < g->start[queue[k] + 1]; e++)
      if (!seen[g->node[e]]) {
        seen[g->node[e]] = 1;
        queue[n++] = g->node[e];
      }
  for (uint32_t v = g->n_items; v < g->n_node; v++) {
    if (seen[v]) continue;
    const char *text = xf_names_get(&kg->entities, g->entity[v]);
    char q[XF_LINES_QUOTE];
    xf_kg_found(kg, XF_KG_FINDING_APART, 0, "entity %s", xf_lines_quote(q, text, strlen(text)));
  }
  xf_free(queue);
  xf_free(seen);
  return XF_OK;
}

enum xf_rc xf_kg_graph_init(struct xf_kg_graph *out, struct xf_kg *kg,
                            const struct xf_kg_link *link, const float *relation_weight,
                            struct xf_diag *diag) {
  *out = (struct xf_kg_graph){.n_items = link->n_items};
  for (uint32_t r = 0; relation_weight && r < kg->relations.n; r++)
    if (!(relation_weight[r] >= 0) || !isfinite(relation_weight[r]))
      return xf_diag_set(diag, XF_E_RANGE, "relation %s: weight %g; it must be 0 or above",
                         xf_names_get(&kg->relations, r), (double)relation_weight[r]);
  const uint64_t n_node = (uint64_t)link->n_items + kg->entities.n;
  if (n_node >= XF_KG_SAME)
    return xf_diag_set(diag, XF_E_LIMIT, "%u items and %u entities are too many nodes",
                       link->n_items, kg->entities.n);
  const size_t n_edge = 2 * (kg->n + link->n_items);
  uint32_t *node_of = xf_try_calloc((size_t)kg->entities.n + 1, sizeof *node_of);
  uint32_t *owners = xf_try_calloc((size_t)kg->entities.n + 1, sizeof *owners);
  struct edge *edge = xf_try_calloc(n_edge + 1, sizeof *edge);
  out->entity = xf_try_calloc((size_t)n_node + 1, sizeof *out->entity);
  enum xf_rc rc = node_of && owners && edge && out->entity ? XF_OK : XF_E_NOMEM;
  if (!rc) {
    number(out, kg, link, node_of, owners);
    if (!store(out, edge, collect(edge, kg, link, node_of, relation_weight))) rc = XF_E_NOMEM;
  }
  if (!rc) rc = find_apart(out, kg);
  if (rc) rc = xf_diag_set(diag, rc, "no memory for a graph of %zu edges", n_edge);
  xf_free(node_of);
  xf_free(owners);
  xf_free(edge);
  if (rc) xf_kg_graph_deinit(out);
  return rc;
}
