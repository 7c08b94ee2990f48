#include "nn/lowered.h"

/* The same numbers as a node of its own, so that a derivative with respect to it is partial: nothing but what is built on the
   copy depends on it. A view, so it costs nothing. */
static int detach(struct xf_graph *g, int a) {
  return xf_graph_add(g, (struct xf_node){.op = XF_OP_RESHAPE,
                                          .n_in = 1,
                                          .in = {a},
                                          .rows = g->node[a].rows,
                                          .cols = g->node[a].cols,
                                          .attr = {.index = (uint32_t)g->n}});
}

/* Adds d loss / d wrt[i] as out[i]; a failure is the graph's. */
static bool grad(struct xf_graph *g, int loss, const int *wrt, int n, int *out) {
  struct xf_diag diag;
  xf_diag_init(&diag);
  const enum xf_rc rc = xf_graph_grad(g, loss, wrt, (size_t)n, out, &diag);
  return !rc || xf_graph_fail(g, rc, "%s", diag.text);
}

void xf_vjp_lowered(struct xf_graph *g, int y, const int *gout, int *gin,
                    const struct xf_lowered *what) {
  NODE;
  int x[XF_IN_MAX], wrt[XF_IN_MAX], at[XF_IN_MAX], d[XF_IN_MAX], n_wrt = 0;
  for (int k = what->n_out; k < XF_OUT_MAX; k++)
    if (gout[k] != XF_NO_NODE) {
      (void)xf_graph_fail(g, XF_E_UNSUPPORTED,
                          "output %d of %s has no derivative; build it with %s_lowered", k,
                          what->name, what->name);
      return;
    }
  for (int i = 0; i < what->n_x; i++) {
    x[i] = n->in[i];
    if (i == what->ids) continue;
    x[i] = wrt[n_wrt] = detach(g, n->in[i]);
    at[n_wrt++] = i;
  }
  const int last = n->n_in - 1, up = detach(g, n->in[last]);
  const int f = what->lower(g, x, &n->attr);
  if (f == XF_NO_NODE || up == XF_NO_NODE) return;
  int first[XF_OUT_MAX], of[XF_OUT_MAX], second = xf_graph_fill(g, XF_DIM(1), XF_DIM(1), 0);
  for (int k = 0; k < what->n_out; k++) of[k] = x[what->of[k]];
  if (!grad(g, xf_op_sum(g, xf_op_mul(g, f, up)), of, what->n_out, first)) return;
  for (int k = 0; k < what->n_out; k++)
    if (gout[k] != XF_NO_NODE)
      second = xf_op_add(g, second, xf_op_sum(g, xf_op_mul(g, first[k], gout[k])));
  wrt[n_wrt] = up;
  at[n_wrt++] = last;
  if (!grad(g, second, wrt, n_wrt, d)) return;
  for (int i = 0; i < n_wrt; i++) gin[at[i]] = d[i];
}
