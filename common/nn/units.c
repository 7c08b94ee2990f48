/* The rewrite: which operations keep units apart, the uses of each parameter, norms, factors, the weighted second pass. */
#include "nn/units.h"

#include "base/alloc.h"
#include "nn/op_norm.h"
#include "nn/window.h"

#include <string.h>

enum { USE_MAX = XF_IN_MAX / 2 };

/* Whether output rows of an operation depend on the same rows of its per-unit inputs only (in blocks). */
static bool keeps_units(const struct xf_graph *g, const struct xf_node *n, const bool *per_unit) {
  switch (n->op) {
  case XF_OP_PROJ:
  case XF_OP_RESHAPE:
  case XF_OP_ADD:
  case XF_OP_SUB:
  case XF_OP_MUL:
  case XF_OP_DIV:
  case XF_OP_SCALE:
  case XF_OP_DIV_DIM:
  case XF_OP_EXP:
  case XF_OP_LOG:
  case XF_OP_SQRT:
  case XF_OP_SOFTPLUS:
  case XF_OP_STEP:
  case XF_OP_ACT:
  case XF_OP_ACT_GRAD:
  case XF_OP_BCE:
  case XF_OP_ROW_DOT:
  case XF_OP_ROW_SCALE:
  case XF_OP_SUM_COLS:
  case XF_OP_SOFTMAX:
  case XF_OP_SOFTMAX_CE:
  case XF_OP_XENT_GRAD:
  case XF_OP_MAX_POOL:
  case XF_OP_AVG_POOL:
  case XF_OP_BATCH_MATMUL:
  case XF_OP_ATTENTION: return true;
  case XF_OP_BROADCAST: return g->node[n->in[0]].rows.sym == n->rows.sym;
  case XF_OP_NORM: return n->attr.k[0] == XF_NORM_ROWS;
  case XF_OP_MATMUL: return !n->attr.ta && !per_unit[n->in[1]];
  case XF_OP_DENSE: return !per_unit[n->in[1]] && (n->n_in < 3 || !per_unit[n->in[2]]);
  case XF_OP_BIAS_ADD:
  case XF_OP_COL_SCALE: return !per_unit[n->in[1]];
  case XF_OP_CONV: return !per_unit[n->in[1]] && (n->n_in < 3 || !per_unit[n->in[2]]);
  case XF_OP_GATHER: return !per_unit[n->in[0]];
  default: return false;
  }
}

/* Rows that an operation computes with together: a block of them must lie within one unit. */
static uint32_t block_of(const struct xf_node *n) {
  switch (n->op) {
  case XF_OP_CONV:
  case XF_OP_MAX_POOL:
  case XF_OP_AVG_POOL: return n->attr.k[0] * n->attr.k[1]; /* an image */
  case XF_OP_BATCH_MATMUL:
  case XF_OP_ATTENTION: return n->attr.k[0];
  default: return 1;
  }
}

/* Nodes that depend on the batch are per unit; each on the way to the losses must keep units apart. */
static bool check_units(struct xf_graph *g, int loss_rows, struct xf_dim units, bool *per_unit) {
  bool *on_way = xf_calloc((size_t)loss_rows + 1, sizeof *on_way);
  on_way[loss_rows] = true;
  for (int i = loss_rows; i >= 0; i--)
    for (int k = 0; on_way[i] && k < g->node[i].n_in; k++) on_way[g->node[i].in[k]] = true;
  bool ok = true;
  for (int i = 0; i <= loss_rows && ok; i++) {
    const struct xf_node *n = &g->node[i];
    bool from_batch = n->n_in == 0 && n->rows.sym == units.sym;
    for (int k = 0; k < n->n_in; k++) from_batch = from_batch || per_unit[n->in[k]];
    per_unit[i] = from_batch;
    if (!from_batch || !on_way[i]) continue;
    char text[XF_NODE_TEXT];
    const uint32_t block = block_of(n), of_unit = n->n_in > 0 ? ROWS(0).n / units.n : 1;
    if (n->n_in > 0 && (!keeps_units(g, n, per_unit) || of_unit % block != 0))
      ok = xf_graph_fail(
          g, XF_E_UNSUPPORTED, "clipping by unit: %s (node %d) mixes the units of a batch%s",
          xf_graph_describe(g, i, text), i,
          n->op == XF_OP_NORM ? "; batch norm cannot be clipped by unit, use layer norm" : "");
    else if (n->rows.sym != units.sym || n->rows.n % units.n != 0)
      ok = xf_graph_fail(
          g, XF_E_SHAPE,
          "clipping by unit: %s (node %d) has not the same number of rows for each unit",
          xf_graph_describe(g, i, text), i);
  }
  xf_free(on_way);
  return ok;
}

/* Collects the uses that a gradient is the sum of, each times `by`. */
static bool collect(struct xf_graph *g, int grad, double by, struct xf_unit_use *use, int *n_use) {
  const struct xf_node n = g->node[grad];
  if (n.op == XF_OP_RESHAPE) return collect(g, n.in[0], by, use, n_use);
  if (n.op == XF_OP_SCALE) return collect(g, n.in[0], by * n.attr.alpha, use, n_use);
  if (n.op == XF_OP_ADD)
    return collect(g, n.in[0], by, use, n_use) && collect(g, n.in[1], by, use, n_use);
  if (n.op == XF_OP_FILL && n.attr.alpha == 0) return true;
  struct xf_unit_use u = {.in = {n.in[0], n.in[1]}};
  if (n.op == XF_OP_MATMUL && n.attr.ta && !n.attr.tb) u.kind = XF_UNIT_PRODUCT;
  else if (n.op == XF_OP_SUM_ROWS) u.kind = XF_UNIT_SUM;
  else if (n.op == XF_OP_SCATTER_ADD) u.kind = XF_UNIT_ROWS;
  else if (n.op == XF_OP_CONV_DW) u.kind = XF_UNIT_CONV;
  else {
    char text[XF_NODE_TEXT];
    return xf_graph_fail(g, XF_E_UNSUPPORTED,
                         "clipping by unit: a parameter's gradient comes from %s (node %d), whose "
                         "units are not known",
                         xf_graph_describe(g, grad, text), grad);
  }
  if (*n_use == USE_MAX)
    return xf_graph_fail(g, XF_E_UNSUPPORTED,
                         "clipping by unit: a parameter is used more than %d times", USE_MAX);
  if (u.kind == XF_UNIT_CONV) u.window = xf_window_load(&n.attr);
  const int last = u.kind == XF_UNIT_SUM ? 0 : 1;
  u.in[last] = xf_op_scale(g, u.in[last], by);
  use[(*n_use)++] = u;
  return g->diag.rc == XF_OK;
}

/* Products and sums of one row a unit: the norm of a sum of outer products by their cross-Grams, from primitives. */
static int norm2_by_grams(struct xf_graph *g, struct xf_dim units, const struct xf_unit_use *use,
                          int n_use) {
  int sum = XF_NO_NODE;
  for (int i = 0; i < n_use; i++)
    for (int j = 0; j < n_use; j++) {
      const int *a = use[i].in, *b = use[j].in;
      if (use[i].kind != use[0].kind || use[i].kind > XF_UNIT_SUM ||
          !xf_dim_equal(g->node[a[0]].rows, units) || !xf_node_same_shape(g, a[0], b[0]))
        return XF_NO_NODE;
      int dot = xf_op_row_dot(g, a[0], b[0]);
      if (use[i].kind == XF_UNIT_PRODUCT) dot = xf_op_mul(g, dot, xf_op_row_dot(g, a[1], b[1]));
      sum = sum == XF_NO_NODE ? dot : xf_op_add(g, sum, dot);
    }
  return sum;
}

/* The kernel of norms has one window, and rows of a table as wide as the parameter. */
static bool check_uses(struct xf_graph *g, int param, const struct xf_unit_use *use, int n_use) {
  const struct xf_unit_use *conv = NULL;
  for (int i = 0; i < n_use; i++) {
    if (use[i].kind == XF_UNIT_ROWS &&
        !xf_dim_equal(g->node[use[i].in[1]].cols, g->node[param].cols))
      return xf_graph_fail(
          g, XF_E_UNSUPPORTED,
          "clipping by unit: a parameter is gathered from in rows of another width");
    if (use[i].kind != XF_UNIT_CONV) continue;
    if (conv && memcmp(&conv->window, &use[i].window, sizeof conv->window) != 0)
      return xf_graph_fail(g, XF_E_UNSUPPORTED,
                           "clipping by unit: a parameter convolves with windows of two kinds");
    conv = &use[i];
  }
  return true;
}

static int norm2_of(struct xf_graph *g, struct xf_dim units, int param, int grad) {
  struct xf_unit_use use[USE_MAX];
  int n_use = 0;
  if (!collect(g, grad, 1, use, &n_use) || !check_uses(g, param, use, n_use)) return XF_NO_NODE;
  if (n_use == 0) return xf_graph_fill(g, units, XF_DIM(1), 0);
  const int by_grams = norm2_by_grams(g, units, use, n_use);
  return by_grams != XF_NO_NODE ? by_grams : xf_op_unit_norm2(g, units, param, use, n_use);
}

/* The losses' sum with each row times its unit's factor. */
static int weighted(struct xf_graph *g, int loss_rows, struct xf_dim units, int factor) {
  const uint32_t per = g->node[loss_rows].rows.n / units.n;
  const int each = xf_op_reshape(g, xf_op_broadcast(g, factor, units, XF_DIM(per)),
                                 g->node[loss_rows].rows, XF_DIM(1));
  return xf_op_sum(g, xf_op_mul(g, loss_rows, each));
}

static enum xf_rc rewrite(struct xf_graph *g, int loss_rows, struct xf_dim units, double clip,
                          int *norm2, struct xf_diag *diag) {
  bool *per_unit = xf_calloc((size_t)loss_rows + 1, sizeof *per_unit);
  int *grad = xf_calloc(g->n_grad, sizeof *grad);
  int total = xf_graph_fill(g, units, XF_DIM(1), 0);
  enum xf_rc rc = check_units(g, loss_rows, units, per_unit) ? XF_OK : xf_graph_check(g, diag);
  if (!rc) rc = xf_graph_grad(g, xf_op_sum(g, loss_rows), g->param, g->n_grad, grad, diag);
  for (size_t i = 0; i < g->n_grad && !rc; i++) {
    total = xf_op_add(g, total, norm2_of(g, units, g->param[i], grad[i]));
    rc = xf_graph_check(g, diag);
  }
  if (!rc) {
    const int factor = xf_op_unit_factor(g, total, clip);
    rc =
        xf_graph_grad(g, weighted(g, loss_rows, units, factor), g->param, g->n_grad, g->grad, diag);
  }
  if (norm2) *norm2 = rc ? XF_NO_NODE : total;
  xf_free(per_unit);
  xf_free(grad);
  return rc;
}

enum xf_rc xf_graph_check_units(const struct xf_graph *g, struct xf_diag *diag) {
  enum xf_rc rc = xf_graph_check(g, diag);
  if (!rc && g->n_update)
    rc = xf_diag_set(diag, XF_E_UNSUPPORTED,
                     "clipping by unit: the graph moves segment \"%s\" by statistics of the batch; "
                     "batch norm cannot be clipped by unit, use layer norm",
                     g->layout.seg[g->node[g->update[0].param].attr.index].name);
  for (int i = 0; i < g->n && !rc; i++) {
    const struct xf_node *n = &g->node[i];
    const bool norm = n->op == XF_OP_NORM && n->attr.k[0] != XF_NORM_ROWS;
    if (!norm && n->op != XF_OP_SPMM) continue;
    char text[XF_NODE_TEXT];
    rc = xf_diag_set(diag, XF_E_UNSUPPORTED, "clipping by unit: %s (node %d) mixes units%s",
                     xf_graph_describe(g, i, text), i,
                     norm ? "; batch norm cannot be clipped by unit, use layer norm"
                          : ": what one user did reaches others along the graph");
  }
  return rc;
}

enum xf_rc xf_graph_backward_units(struct xf_graph *g, int loss, int loss_rows, struct xf_dim units,
                                   double clip, const int *wrt, size_t n, int *norm2,
                                   struct xf_diag *diag) {
  enum xf_rc rc = xf_graph_check(g, diag);
  if (rc) return rc;
  if (!(clip > 0)) return xf_diag_set(diag, XF_E_INVAL, "clipping by unit: the bound is %g", clip);
  if (loss_rows < 0 || loss_rows >= g->n || units.sym == XF_SYM_ONE || units.n == 0 ||
      !xf_dim_is(g->node[loss_rows].cols, 1) || g->node[loss_rows].rows.sym != units.sym ||
      g->node[loss_rows].rows.n % units.n != 0)
    return xf_diag_set(diag, XF_E_SHAPE,
                       "clipping by unit: the losses (node %d) must be one column with the same "
                       "number of rows for each unit",
                       loss_rows);
  if (g->n_update)
    return xf_diag_set(
        diag, XF_E_UNSUPPORTED,
        "clipping by unit: the graph moves segment \"%s\" by statistics of the batch; "
        "batch norm cannot be clipped by unit",
        g->layout.seg[g->node[g->update[0].param].attr.index].name);
  /* which parameters; the gradient itself is replaced below */
  rc = wrt ? xf_graph_backward_to(g, loss, wrt, n, diag) : xf_graph_backward(g, loss, diag);
  return rc ? rc : rewrite(g, loss_rows, units, clip, norm2, diag);
}
