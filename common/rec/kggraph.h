/*
 * kggraph.h - a knowledge graph beside the items of the data, as an undirected weighted graph; paths through it.
 *
 * Nodes 0 .. n_items - 1 are the items. An entity that exactly one item is, is that item's node; every other entity has a
 * node of its own behind them, and items that share an entity are joined to it. Directions are dropped. Of several
 * relations between two nodes the one with the largest weight counts (then the lowest id).
 *
 * Not for: users (diffuse.h adds them). Owner: caller, xf_kg_graph_deinit. Thread: immutable once built.
 */
#ifndef XF_REC_KGGRAPH_H
#define XF_REC_KGGRAPH_H

#include "base/diag.h"
#include "rec/kg.h"

#define XF_KG_SAME (XF_NO_ID - 1) /* relation of an item with the entity it shares */

/* Neighbours of v: node[start[v] .. start[v + 1]), ascending; each edge is there from both ends. */
struct xf_kg_graph {
  uint32_t n_items, n_node;
  uint64_t *start; /* [n_node + 1] */
  uint32_t *node, *relation;
  float *weight;
  uint32_t *entity; /* [n_node] XF_NO_ID: an item without entity */
};

/* Builds; tells kg's findings which entities lie apart. relation_weight[kg->relations.n]: 0 drops a relation's edges; NULL: 1
   each. @own out: xf_kg_graph_deinit @err E_RANGE (a weight) E_LIMIT E_NOMEM */
XF_WARN_UNUSED enum xf_rc xf_kg_graph_init(struct xf_kg_graph *out, struct xf_kg *kg,
                                           const struct xf_kg_link *link,
                                           const float *relation_weight, struct xf_diag *diag);
/* Releases; idempotent. @own graph */
void xf_kg_graph_deinit(struct xf_kg_graph *graph);

enum { XF_KG_HOPS_MAX = 6 };
struct xf_kg_path {
  uint32_t n; /* hops; 0: no path */
  uint32_t node[XF_KG_HOPS_MAX + 1], relation[XF_KG_HOPS_MAX];
  double score; /* product over the hops */
};

/* The path with the largest product of hop weights from a history item to `item`, of at most max_hops; equal ones: the shorter,
   then that of smaller node numbers. hop[start[n_node]] in 0 .. 1, from a row's node to its neighbour; NULL: weight / sqrt(both ends' sums of
   weights). first[n]: weight of entering at history[k]; NULL: 1. `item` itself is no start.
   @shape history[n] below n_items @err E_RANGE (item, history, max_hops) E_NOMEM */
XF_WARN_UNUSED enum xf_rc xf_kg_path_find(struct xf_kg_path *out, const struct xf_kg_graph *graph,
                                          const float *hop, const uint32_t *history,
                                          const float *first, uint32_t n, uint32_t item,
                                          uint32_t max_hops, struct xf_diag *diag);
/* "item 7 -film.actor.film- Some Film -film.actor.film- item 9": items by key where they have one. Returns buf.
   @own caller's buffer */
const char *xf_kg_path_print(char *buf, size_t len, const struct xf_kg_path *path,
                             const struct xf_kg_graph *graph, const struct xf_kg *kg,
                             const struct xf_names *items);

#endif
