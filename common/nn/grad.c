/* Reverse accumulation: the gradient as more nodes of the same graph. */
#include "nn/optable.h"

#include "base/alloc.h"
#include "base/assert.h"

#include <string.h>

struct reverse {
  int n;       /* nodes that existed when differentiation started */
  bool *reach; /* depends on some wrt */
  int *grad;   /* [n x XF_OUT_MAX] d loss / d each output of the node */
};

static void mark_reach(const struct xf_graph *g, const int *wrt, size_t n_wrt, struct reverse *r) {
  for (size_t i = 0; i < n_wrt; i++) r->reach[wrt[i]] = true;
  for (int i = 0; i < r->n; i++)
    for (int k = 0; k < g->node[i].n_in; k++)
      if (r->reach[g->node[i].in[k]]) r->reach[i] = true;
}

/* Adds `d` to what node `to` has collected at output `out`. */
static void collect(struct xf_graph *g, struct reverse *r, int to, int out, int d) {
  int *sum = &r->grad[XF_OUT_MAX * to + out];
  *sum = *sum == XF_NO_NODE ? d : xf_op_add(g, *sum, d);
}

/* Passes what node i has collected on to its inputs. */
static bool pass_on(struct xf_graph *g, struct reverse *r, int i) {
  const int *gout = &r->grad[XF_OUT_MAX * i];
  bool any = false;
  for (int k = 0; k < XF_OUT_MAX; k++) any = any || gout[k] != XF_NO_NODE;
  if (!any) return true;
  const struct xf_node n = g->node[i];
  if (n.op == XF_OP_PROJ) {
    collect(g, r, n.in[0], (int)n.attr.index, gout[0]);
    return true;
  }
  const struct xf_op_info *info = xf_op_info(n.op);
  if (!info->vjp)
    return xf_graph_fail(g, XF_E_UNSUPPORTED, "%s (node %d) has no derivative", info->name, i);
  int gin[XF_IN_MAX];
  for (int k = 0; k < XF_IN_MAX; k++) gin[k] = XF_NO_NODE;
  info->vjp(g, i, gout, gin);
  if (g->diag.rc) return false;
  for (int k = 0; k < n.n_in; k++)
    if (gin[k] != XF_NO_NODE && r->reach[n.in[k]]) collect(g, r, n.in[k], 0, gin[k]);
  return g->diag.rc == XF_OK;
}

enum xf_rc xf_graph_grad(struct xf_graph *g, int loss, const int *wrt, size_t n_wrt, int *out,
                         struct xf_diag *diag) {
  enum xf_rc rc = xf_graph_check(g, diag);
  if (rc) return rc;
  if (loss < 0 || loss >= g->n || !xf_dim_is(g->node[loss].rows, 1) ||
      !xf_dim_is(g->node[loss].cols, 1))
    return xf_diag_set(diag, XF_E_SHAPE,
                       "the loss (node %d) must be a [1 x 1] node; mean or sum it", loss);
  for (size_t i = 0; i < n_wrt; i++)
    if (wrt[i] < 0 || wrt[i] >= g->n || g->node[wrt[i]].ints)
      return xf_diag_set(diag, XF_E_INVAL, "cannot differentiate with respect to node %d", wrt[i]);
  struct reverse r = {.n = g->n};
  r.reach = xf_calloc((size_t)r.n, sizeof *r.reach);
  r.grad = xf_alloc((size_t)r.n * XF_OUT_MAX * sizeof *r.grad);
  for (int i = 0; i < XF_OUT_MAX * r.n; i++) r.grad[i] = XF_NO_NODE;
  mark_reach(g, wrt, n_wrt, &r);
  r.grad[XF_OUT_MAX * loss] = xf_graph_fill(g, XF_DIM(1), XF_DIM(1), 1);
  for (int i = loss; i >= 0; i--)
    if (r.reach[i] && !pass_on(g, &r, i)) break;
  for (size_t i = 0; i < n_wrt; i++) {
    const int d = r.grad[XF_OUT_MAX * wrt[i]];
    out[i] = d != XF_NO_NODE ? d : xf_graph_fill(g, g->node[wrt[i]].rows, g->node[wrt[i]].cols, 0);
  }
  xf_free(r.reach);
  xf_free(r.grad);
  return xf_graph_check(g, diag);
}

enum xf_rc xf_graph_backward_to(struct xf_graph *g, int loss, const int *wrt, size_t n,
                                struct xf_diag *diag) {
  for (size_t i = 0; i < n; i++)
    if (wrt[i] < 0 || wrt[i] >= g->n || g->node[wrt[i]].op != XF_OP_PARAM)
      return xf_diag_set(diag, XF_E_INVAL, "node %d is not a parameter", wrt[i]);
  xf_free(g->param);
  xf_free(g->grad);
  g->param = xf_alloc(n * sizeof *g->param);
  g->grad = xf_alloc(n * sizeof *g->grad);
  g->n_grad = n;
  g->loss = loss;
  if (n > 0) memcpy(g->param, wrt, n * sizeof *wrt);
  return xf_graph_grad(g, loss, wrt, n, g->grad, diag);
}

enum xf_rc xf_graph_backward(struct xf_graph *g, int loss, struct xf_diag *diag) {
  enum xf_rc rc = xf_graph_check(g, diag);
  if (rc) return rc;
  if (loss < 0 || loss >= g->n) return xf_diag_set(diag, XF_E_INVAL, "the loss is not a node");
  /* parameters that the loss depends on */
  bool *used = xf_calloc((size_t)loss + 1, sizeof *used);
  int *wrt = xf_alloc(((size_t)loss + 1) * sizeof *wrt);
  size_t n = 0;
  used[loss] = true;
  for (int i = loss; i >= 0; i--)
    for (int k = 0; used[i] && k < g->node[i].n_in; k++) used[g->node[i].in[k]] = true;
  for (int i = 0; i <= loss; i++)
    if (used[i] && g->node[i].op == XF_OP_PARAM) wrt[n++] = i;
  for (size_t i = 0; !rc && i < g->n_update; i++)
    if (g->update[i].param <= loss && used[g->update[i].param])
      rc = xf_diag_set(diag, XF_E_INVAL,
                       "segment \"%s\" is updated by the graph, so the loss must not depend on it",
                       g->layout.seg[g->node[g->update[i].param].attr.index].name);
  if (!rc) rc = xf_graph_backward_to(g, loss, wrt, n, diag);
  xf_free(used);
  xf_free(wrt);
  return rc;
}
