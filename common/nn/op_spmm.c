/*
 * A sparse matrix times a dense one: out[row[e]] += w[e] x[col[e]] over its entries e, in their order.
 *
 * The entries are inputs (ids [nnz x 1] each, and w [nnz x 1]), so a graph may change between runs. The transposed product is
 * the same operation with row and col exchanged, which is its derivative. Entries sorted by row (CSR) read x once and write
 * each row of out while it is in cache.
 */
#ifndef RUN
#include "nn/oprule.h"

enum { ROW, COL, W, X };

static struct xf_dim rows_of_out(const struct xf_graph *g, const struct xf_node *n) {
  (void)g;
  return n->rows;
}

static struct xf_dim rows_of_x(const struct xf_graph *g, const struct xf_node *n) {
  return ROWS(X);
}

static bool shape_spmm(struct xf_graph *g, struct xf_node *n) {
  for (int k = ROW; k <= X; k++)
    if (g->node[n->in[k]].ints != (k <= COL))
      return xf_shape_fail(g, n, "needs ids of rows, ids of columns, weights and a matrix");
  for (int k = ROW; k <= W; k++)
    if (!xf_dim_equal(ROWS(k), ROWS(ROW)) || !xf_dim_is(COLS(k), 1))
      return xf_shape_fail(g, n, "needs one row, column and weight per entry, [nnz x 1] each");
  return xf_shape_set(n, n->rows, COLS(X));
}

VJP(spmm) {
  NODE;
  gin[W] =
      xf_op_row_dot(g, xf_op_gather(g, gout[0], n->in[ROW]), xf_op_gather(g, n->in[X], n->in[COL]));
  gin[X] = xf_op_spmm(g, n->in[COL], n->in[ROW], n->in[W], gout[0], ROWS(X));
}

int xf_op_spmm(struct xf_graph *g, int row, int col, int w, int x, struct xf_dim rows) {
  return xf_graph_add(
      g, (struct xf_node){.op = XF_OP_SPMM, .n_in = 4, .in = {row, col, w, x}, .rows = rows});
}

int xf_op_bag(struct xf_graph *g, int table, int ids, int bag, int w, struct xf_dim bags) {
  const int rows = xf_op_gather(g, table, ids);
  return xf_op_scatter_add(g, bag, w == XF_NO_NODE ? rows : xf_op_row_scale(g, rows, w), bags);
}

#define XF_SELF "nn/op_spmm.c"
#include "nn/op_both.inc"

XF_OP(SPMM, .name = "spmm", .min_in = 4, .max_in = 4, .ids_in = ROW + 1, .ids_below = rows_of_out,
      .ids2_in = COL + 1, .ids2_below = rows_of_x, .shape = shape_spmm, .vjp = vjp_spmm,
      XF_KERNEL(spmm));

#else /* kernels: float, then double */

static void RUN(spmm)(const struct xf_kargs *a) {
  TABLE(a)->fill(OUT(a), 0, N(a));
  TABLE(a)->spmm(OUT(a), IDS(a, ROW), IDS(a, COL), IN(a, W), IN(a, X), a->in_R[ROW], a->C);
}

#endif
