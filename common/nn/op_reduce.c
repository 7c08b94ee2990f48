/* Sums in a fixed order, and their dual: repeating a scalar, a row, a column. */
#ifndef RUN
#include "nn/oprule.h"

/* --- shapes */

static bool shape_sum(struct xf_graph *g, struct xf_node *n) {
  return xf_shape_check_ids(g, n, -1) && xf_shape_set(n, XF_DIM(1), XF_DIM(1));
}

static bool shape_sum_rows(struct xf_graph *g, struct xf_node *n) {
  return xf_shape_check_ids(g, n, -1) && xf_shape_set(n, XF_DIM(1), COLS(0));
}

static bool shape_sum_cols(struct xf_graph *g, struct xf_node *n) {
  return xf_shape_check_ids(g, n, -1) && xf_shape_set(n, ROWS(0), XF_DIM(1));
}

static bool shape_broadcast(struct xf_graph *g, struct xf_node *n) {
  if (!xf_shape_check_ids(g, n, -1)) return false;
  const bool rows = xf_dim_is(ROWS(0), 1) || xf_dim_equal(ROWS(0), n->rows);
  const bool cols = xf_dim_is(COLS(0), 1) || xf_dim_equal(COLS(0), n->cols);
  return (rows && cols) || xf_shape_fail(g, n, "only a scalar, a row or a column can be repeated");
}

/* --- derivatives */

VJP(sum) { /* also sum_rows and sum_cols */
  NODE;
  gin[0] = xf_op_broadcast(g, gout[0], ROWS(0), COLS(0));
}

VJP(broadcast) {
  NODE;
  const bool rows = !xf_dim_equal(ROWS(0), n->rows), cols = !xf_dim_equal(COLS(0), n->cols);
  gin[0] = rows && cols ? xf_op_sum(g, gout[0])
                        : (rows ? xf_op_sum_rows(g, gout[0]) : xf_op_sum_cols(g, gout[0]));
}

/* --- builders */

int xf_op_sum(struct xf_graph *g, int a) { return xf_op_add1(g, XF_OP_SUM, a, XF_NO_ATTR); }

int xf_op_sum_rows(struct xf_graph *g, int a) {
  return xf_op_add1(g, XF_OP_SUM_ROWS, a, XF_NO_ATTR);
}

int xf_op_sum_cols(struct xf_graph *g, int a) {
  return xf_op_add1(g, XF_OP_SUM_COLS, a, XF_NO_ATTR);
}

int xf_op_broadcast(struct xf_graph *g, int a, struct xf_dim rows, struct xf_dim cols) {
  if (a == XF_NO_NODE) return XF_NO_NODE;
  if (xf_node_is_fill(g, a)) return xf_graph_fill(g, rows, cols, g->node[a].attr.alpha);
  if (xf_dim_equal(g->node[a].rows, rows) && xf_dim_equal(g->node[a].cols, cols)) return a;
  return xf_graph_add(
      g, (struct xf_node){.op = XF_OP_BROADCAST, .n_in = 1, .in = {a}, .rows = rows, .cols = cols});
}

/* --- the table */

#define XF_SELF "nn/op_reduce.c"
#include "nn/op_both.inc"

XF_OP(SUM, .name = "sum", .min_in = 1, .max_in = 1, .shape = shape_sum, .vjp = vjp_sum,
      XF_KERNEL(sum));
XF_OP(SUM_ROWS, .name = "sum_rows", .min_in = 1, .max_in = 1, .shape = shape_sum_rows,
      .vjp = vjp_sum, XF_KERNEL(sum_rows));
XF_OP(SUM_COLS, .name = "sum_cols", .min_in = 1, .max_in = 1, .shape = shape_sum_cols,
      .vjp = vjp_sum, XF_KERNEL(sum_cols));
XF_OP(BROADCAST, .name = "broadcast", .min_in = 1, .max_in = 1, .shape = shape_broadcast,
      .vjp = vjp_broadcast, XF_KERNEL(broadcast));

#else /* kernels: float, then double */

static void RUN(sum)(const struct xf_kargs *a) {
  OUT(a)[0] = TABLE(a)->sum(IN(a, 0), a->in_R[0] * a->in_C[0]);
}

static void RUN(sum_rows)(const struct xf_kargs *a) {
  TABLE(a)->sum_rows(OUT(a), IN(a, 0), a->in_R[0], a->C);
}

static void RUN(sum_cols)(const struct xf_kargs *a) {
  TABLE(a)->sum_cols(OUT(a), IN(a, 0), a->R, a->in_C[0]);
}

static void RUN(broadcast)(const struct xf_kargs *a) {
  const bool one_row = a->in_R[0] == 1, one_col = a->in_C[0] == 1;
  if (one_row && one_col) TABLE(a)->fill(OUT(a), IN(a, 0)[0], N(a));
  else
    for (size_t r = 0; r < a->R; r++) {
      if (one_row) memcpy(OUT(a) + r * a->C, IN(a, 0), a->C * sizeof(xf_real));
      else TABLE(a)->fill(OUT(a) + r * a->C, IN(a, 0)[r], a->C);
    }
}

#endif
