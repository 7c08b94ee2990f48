/* Rows: tables read and written by ids, products and factors per row. */
#ifndef RUN
#include "nn/oprule.h"

/* The number of ids of an ids input [n x k] as an extent. */
static struct xf_dim ids_count(const struct xf_graph *g, int ids) {
  const struct xf_node *n = &g->node[ids];
  return (struct xf_dim){n->rows.n * n->cols.n, n->rows.sym};
}

static struct xf_dim rows_of_table(const struct xf_graph *g, const struct xf_node *n) {
  return ROWS(0);
}

static struct xf_dim rows_of_out(const struct xf_graph *g, const struct xf_node *n) {
  (void)g;
  return n->rows;
}

/* --- shapes */

static bool shape_gather(struct xf_graph *g, struct xf_node *n) {
  return xf_shape_check_ids(g, n, 1) && xf_shape_set(n, ids_count(g, n->in[1]), COLS(0));
}

static bool shape_scatter_add(struct xf_graph *g, struct xf_node *n) {
  if (!xf_shape_check_ids(g, n, 0)) return false;
  if (!xf_dim_equal(ids_count(g, n->in[0]), ROWS(1)))
    return xf_shape_fail(g, n, "needs one row per id");
  return xf_shape_set(n, n->rows, COLS(1));
}

static bool shape_row_dot(struct xf_graph *g, struct xf_node *n) {
  return xf_shape_same2(g, n) && xf_shape_set(n, ROWS(0), XF_DIM(1));
}

static bool shape_row_scale(struct xf_graph *g, struct xf_node *n) {
  if (!xf_shape_check_ids(g, n, -1)) return false;
  if (!xf_dim_equal(ROWS(0), ROWS(1)) || !xf_dim_is(COLS(1), 1))
    return xf_shape_fail(g, n, "needs one factor per row");
  return xf_shape_set(n, ROWS(0), COLS(0));
}

/* --- derivatives */

VJP(gather) {
  NODE;
  gin[0] = xf_op_scatter_add(g, n->in[1], gout[0], ROWS(0));
}

VJP(scatter_add) { gin[1] = xf_op_gather(g, gout[0], g->node[y].in[0]); }

VJP(row_dot) {
  NODE;
  gin[0] = xf_op_row_scale(g, n->in[1], gout[0]);
  gin[1] = xf_op_row_scale(g, n->in[0], gout[0]);
}

VJP(row_scale) {
  NODE;
  gin[0] = xf_op_row_scale(g, gout[0], n->in[1]);
  gin[1] = xf_op_row_dot(g, gout[0], n->in[0]);
}

/* --- builders */

int xf_op_gather(struct xf_graph *g, int table, int ids) {
  return xf_op_add2(g, XF_OP_GATHER, table, ids, XF_NO_ATTR);
}

int xf_op_scatter_add(struct xf_graph *g, int ids, int x, struct xf_dim rows) {
  return xf_graph_add(
      g, (struct xf_node){.op = XF_OP_SCATTER_ADD, .n_in = 2, .in = {ids, x}, .rows = rows});
}

int xf_op_row_dot(struct xf_graph *g, int a, int b) {
  return xf_op_add2(g, XF_OP_ROW_DOT, a, b, XF_NO_ATTR);
}

int xf_op_row_scale(struct xf_graph *g, int x, int s) {
  if (xf_node_is_fill(g, s) && x != XF_NO_NODE && xf_dim_equal(g->node[s].rows, g->node[x].rows))
    return xf_op_scale(g, x, g->node[s].attr.alpha);
  return xf_op_add2(g, XF_OP_ROW_SCALE, x, s, XF_NO_ATTR);
}

/* --- the table */

#define XF_SELF "nn/op_rows.c"
#include "nn/op_both.inc"

XF_OP(GATHER, .name = "gather", .min_in = 2, .max_in = 2, .ids_in = 2, .ids_below = rows_of_table,
      .shape = shape_gather, .vjp = vjp_gather, XF_KERNEL(gather));
XF_OP(SCATTER_ADD, .name = "scatter_add", .min_in = 2, .max_in = 2, .ids_in = 1,
      .ids_below = rows_of_out, .shape = shape_scatter_add, .vjp = vjp_scatter_add,
      XF_KERNEL(scatter_add));
XF_OP(ROW_DOT, .name = "row_dot", .min_in = 2, .max_in = 2, .shape = shape_row_dot,
      .vjp = vjp_row_dot, XF_KERNEL(row_dot));
XF_OP(ROW_SCALE, .name = "row_scale", .min_in = 2, .max_in = 2, .shape = shape_row_scale,
      .vjp = vjp_row_scale, XF_KERNEL(row_scale));

#else /* kernels: float, then double */

static void RUN(gather)(const struct xf_kargs *a) {
  TABLE(a)->gather(OUT(a), IN(a, 0), IDS(a, 1), a->R, a->C);
}

static void RUN(scatter_add)(const struct xf_kargs *a) {
  TABLE(a)->fill(OUT(a), 0, N(a));
  TABLE(a)->scatter_add(OUT(a), IDS(a, 0), IN(a, 1), a->in_R[1], a->C);
}

static void RUN(row_dot)(const struct xf_kargs *a) {
  TABLE(a)->row_dot(OUT(a), IN(a, 0), IN(a, 1), a->R, a->in_C[0]);
}

static void RUN(row_scale)(const struct xf_kargs *a) {
  TABLE(a)->row_scale(OUT(a), IN(a, 0), IN(a, 1), a->R, a->C);
}

#endif
