#include "rec/propagate.h"

#include "base/alloc.h"

#include <math.h>
#include <string.h>

/* Sum of the weights around a node. */
static double degree(const struct xf_kg_graph *g, uint32_t v) {
  double d = 0;
  for (uint64_t e = g->start[v]; e < g->start[v + 1]; e++) d += (double)g->weight[e];
  return d;
}

/* What an edge's neighbour counts. */
static double share(const struct xf_kg_graph *g, const double *d, enum xf_propagate_form form,
                    uint32_t v, uint64_t e) {
  const double w = (double)g->weight[e];
  switch (form) {
  case XF_PROPAGATE_SUM: return w;
  case XF_PROPAGATE_MEAN: return w / (double)(g->start[v + 1] - g->start[v]);
  case XF_PROPAGATE_WMEAN: return d[v] > 0 ? w / d[v] : 0;
  case XF_PROPAGATE_SYM: break;
  }
  const double both = d[v] * d[g->node[e]];
  return both > 0 ? w / sqrt(both) : 0;
}

static void sweep(double *out, const struct xf_kg_graph *g, const double *h, const double *d,
                  uint32_t dim, const struct xf_propagate_spec *spec) {
  for (uint32_t v = 0; v < g->n_node; v++) {
    double *row = out + (size_t)v * dim;
    memset(row, 0, dim * sizeof *row);
    for (uint64_t e = g->start[v]; e < g->start[v + 1]; e++) {
      const double w = share(g, d, spec->form, v, e);
      const double *u = h + (size_t)g->node[e] * dim;
      for (uint32_t k = 0; k < dim; k++) row[k] += w * u[k];
    }
    for (uint32_t k = 0; k < dim && spec->sigmoid; k++) row[k] = 1 / (1 + exp(-row[k]));
  }
}

enum xf_rc xf_propagate(double *out, const struct xf_kg_graph *graph, const double *h, uint32_t dim,
                        const struct xf_propagate_spec *spec, struct xf_diag *diag) {
  const size_t n = (size_t)graph->n_node * dim;
  double *from = xf_try_calloc(n + 1, sizeof *from);
  double *d = xf_try_calloc((size_t)graph->n_node + 1, sizeof *d);
  enum xf_rc rc = XF_OK;
  if (!from || !d) {
    rc = xf_diag_set(diag, XF_E_NOMEM, "no memory for %u vectors of %u", graph->n_node, dim);
    goto out;
  }
  for (uint32_t v = 0; v < graph->n_node; v++) d[v] = degree(graph, v);
  if (n) memcpy(out, h, n * sizeof *out);
  for (uint32_t k = 0; k < spec->steps; k++) {
    if (n) memcpy(from, out, n * sizeof *from);
    sweep(out, graph, from, d, dim, spec);
  }
out:
  xf_free(from);
  xf_free(d);
  return rc;
}
