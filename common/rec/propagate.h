/*
 * propagate.h - sums over neighbours in a graph, in the forms that texts on graph networks write down.
 *
 *   SUM     h_v <- sum over u in N(v) of w_uv h_u                     the article's aggregation, there with a sigmoid
 *   MEAN    h_v <- 1 / |N(v)| times that sum                          the article's "knowledge transfer"
 *   WMEAN   h_v <- the sum over (sum over u of w_uv)
 *   SYM     h_v <- sum over u of w_uv / sqrt(d_v d_u) h_u             d: sums of weights, as LightGCN
 *
 * SUM grows with the degree, and with a sigmoid every coordinate is positive, so that no inner product can be negative:
 * it is here to be compared with, not to recommend with. MEAN is a weighted mean only where weights sum to the
 * neighbours' number. A node without neighbours becomes 0 (with a sigmoid 1/2).
 *
 * Not for: learned weights (a graph network), diffusion scores (diffuse.h). Owner: nobody. Thread: any.
 * @source docs/ALGORITHMS.md "Propagation"
 */
#ifndef XF_REC_PROPAGATE_H
#define XF_REC_PROPAGATE_H

#include "rec/kggraph.h"

#include <stdbool.h>

enum xf_propagate_form {
  XF_PROPAGATE_SUM,
  XF_PROPAGATE_MEAN,
  XF_PROPAGATE_WMEAN,
  XF_PROPAGATE_SYM
};

struct xf_propagate_spec {
  enum xf_propagate_form form;
  bool sigmoid; /* after each step */
  uint32_t steps;
};

/* `steps` sweeps over the graph, all nodes at once. @shape h, out [graph->n_node x dim], not the same
   @err E_NOMEM */
XF_WARN_UNUSED enum xf_rc xf_propagate(double *out, const struct xf_kg_graph *graph,
                                       const double *h, uint32_t dim,
                                       const struct xf_propagate_spec *spec, struct xf_diag *diag);

#endif
