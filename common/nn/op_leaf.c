/* What has no inputs of its own, and views: inputs, parameters, constants, further outputs, reshape. */
#ifndef RUN
#include "nn/oprule.h"

static bool shape_ids(struct xf_graph *g, struct xf_node *n) {
  n->ints = true;
  return xf_shape_given(g, n);
}

/* Output attr.index of the node before it. */
static bool shape_proj(struct xf_graph *g, struct xf_node *n) {
  const struct xf_node *src = &g->node[n->in[0]];
  if (n->attr.index < 1 || (int)n->attr.index >= xf_op_n_out(src->op))
    return xf_shape_fail(g, n, "has no such output");
  const struct xf_op_info *info = xf_op_info(src->op);
  if (info->proj) return info->proj(g, src, n);
  return xf_shape_set(n, g->node[src->in[0]].rows, g->node[src->in[0]].cols);
}

/* --- shapes */

/* n of the product of two extents and its symbols must agree: only B x C against C x B style changes of a
   constant factor, or a swap, are reshapes that hold for every B. */
static bool shape_reshape(struct xf_graph *g, struct xf_node *n) {
  const struct xf_dim a = ROWS(0), b = COLS(0);
  const bool symbols = (a.sym == n->rows.sym && b.sym == n->cols.sym) ||
                       (a.sym == n->cols.sym && b.sym == n->rows.sym);
  if (!symbols || (uint64_t)a.n * b.n != (uint64_t)n->rows.n * n->cols.n)
    return xf_shape_fail(g, n, "must keep the number of elements for every extent");
  return xf_shape_check_ids(g, n, -1);
}

/* --- derivatives */

VJP(reshape) {
  NODE;
  gin[0] = xf_op_reshape(g, gout[0], ROWS(0), COLS(0));
}

/* --- builders */

int xf_op_reshape(struct xf_graph *g, int a, struct xf_dim rows, struct xf_dim cols) {
  if (a == XF_NO_NODE) return XF_NO_NODE;
  if (xf_dim_equal(g->node[a].rows, rows) && xf_dim_equal(g->node[a].cols, cols)) return a;
  return xf_graph_add(
      g, (struct xf_node){.op = XF_OP_RESHAPE, .n_in = 1, .in = {a}, .rows = rows, .cols = cols});
}

/* --- the table */

#define XF_SELF "nn/op_leaf.c"
#include "nn/op_both.inc"

XF_OP(INPUT, .name = "input", .min_in = 0, .max_in = 0, .shape = xf_shape_given,
      .vjp = xf_vjp_none);
XF_OP(IDS, .name = "ids", .min_in = 0, .max_in = 0, .shape = shape_ids, .vjp = xf_vjp_none);
XF_OP(PARAM, .name = "param", .min_in = 0, .max_in = 0, .shape = xf_shape_given,
      .vjp = xf_vjp_none);
XF_OP(FILL, .name = "fill", .min_in = 0, .max_in = 0, .shape = xf_shape_given, .vjp = xf_vjp_none,
      XF_KERNEL(fill));
XF_OP(PROJ, .name = "proj", .min_in = 1, .max_in = 1, .shape = shape_proj, .vjp = xf_vjp_none);
XF_OP(RESHAPE, .name = "reshape", .min_in = 1, .max_in = 1, .shape = shape_reshape,
      .vjp = vjp_reshape);

#else /* kernels: float, then double */

static void RUN(fill)(const struct xf_kargs *a) {
  TABLE(a)->fill(OUT(a), (xf_real)a->attr->alpha, N(a));
}

#endif
