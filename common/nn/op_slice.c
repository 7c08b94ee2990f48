/* A rectangle of a matrix, and its dual: a matrix in a larger one of zeros. */
#ifndef RUN
#include "nn/oprule.h"

/* attr.dim: first row; attr.k[0]: first column. */

/* Whether rows [at, at + n) lie in `all` for every value of the symbols. */
static bool rows_fit(struct xf_dim at, struct xf_dim n, struct xf_dim all) {
  if (n.sym != all.sym || (at.n > 0 && at.sym != all.sym)) return false;
  return (uint64_t)at.n + n.n <= all.n;
}

static bool cols_fit(uint32_t at, struct xf_dim n, struct xf_dim all) {
  if (n.sym != XF_SYM_ONE || all.sym != XF_SYM_ONE) return at == 0 && xf_dim_equal(n, all);
  return (uint64_t)at + n.n <= all.n;
}

static bool shape_slice(struct xf_graph *g, struct xf_node *n) {
  if (!xf_shape_check_ids(g, n, -1)) return false;
  if (!rows_fit(n->attr.dim, n->rows, ROWS(0)) || !cols_fit(n->attr.k[0], n->cols, COLS(0)))
    return xf_shape_fail(g, n, "the part asked for does not lie in it");
  return true;
}

static bool shape_pad(struct xf_graph *g, struct xf_node *n) {
  if (!xf_shape_check_ids(g, n, -1)) return false;
  if (!rows_fit(n->attr.dim, ROWS(0), n->rows) || !cols_fit(n->attr.k[0], COLS(0), n->cols))
    return xf_shape_fail(g, n, "does not fit where it is to be put");
  return true;
}

VJP(slice) {
  NODE;
  gin[0] = xf_op_pad(g, gout[0], n->attr.dim, ROWS(0), n->attr.k[0], COLS(0));
}

VJP(pad) {
  NODE;
  gin[0] = xf_op_slice(g, gout[0], n->attr.dim, ROWS(0), n->attr.k[0], COLS(0));
}

static int add_part(struct xf_graph *g, enum xf_op op, int a, const struct xf_dim row[2],
                    uint32_t col, struct xf_dim cols) {
  struct xf_dim at = row[0];
  if (at.n == 0) at = (struct xf_dim){0, XF_SYM_ONE};
  if (a == XF_NO_NODE) return XF_NO_NODE;
  if (at.n == 0 && col == 0 && xf_dim_equal(g->node[a].rows, row[1]) &&
      xf_dim_equal(g->node[a].cols, cols))
    return a;
  return xf_graph_add(g, (struct xf_node){.op = op,
                                          .n_in = 1,
                                          .in = {a},
                                          .rows = row[1],
                                          .cols = cols,
                                          .attr = {.dim = at, .k = {col}}});
}

int xf_op_slice(struct xf_graph *g, int a, struct xf_dim row, struct xf_dim rows, uint32_t col,
                struct xf_dim cols) {
  return add_part(g, XF_OP_SLICE, a, (const struct xf_dim[2]){row, rows}, col, cols);
}

int xf_op_pad(struct xf_graph *g, int a, struct xf_dim row, struct xf_dim rows, uint32_t col,
              struct xf_dim cols) {
  return add_part(g, XF_OP_PAD, a, (const struct xf_dim[2]){row, rows}, col, cols);
}

int xf_op_slice_rows(struct xf_graph *g, int a, struct xf_dim row, struct xf_dim rows) {
  if (a == XF_NO_NODE) return XF_NO_NODE;
  return xf_op_slice(g, a, row, rows, 0, g->node[a].cols);
}

int xf_op_slice_cols(struct xf_graph *g, int a, uint32_t col, uint32_t cols) {
  if (a == XF_NO_NODE) return XF_NO_NODE;
  return xf_op_slice(g, a, XF_DIM(0), g->node[a].rows, col, XF_DIM(cols));
}

int xf_op_concat_rows(struct xf_graph *g, int a, int b) {
  if (a == XF_NO_NODE || b == XF_NO_NODE) return XF_NO_NODE;
  const struct xf_dim ra = g->node[a].rows, rb = g->node[b].rows, all = {ra.n + rb.n, ra.sym};
  const int top = xf_op_pad(g, a, XF_DIM(0), all, 0, g->node[a].cols);
  return xf_op_add(g, top, xf_op_pad(g, b, ra, all, 0, g->node[b].cols));
}

int xf_op_concat_cols(struct xf_graph *g, int a, int b) {
  if (a == XF_NO_NODE || b == XF_NO_NODE) return XF_NO_NODE;
  const uint32_t ca = g->node[a].cols.n, cb = g->node[b].cols.n;
  const int left = xf_op_pad(g, a, XF_DIM(0), g->node[a].rows, 0, XF_DIM(ca + cb));
  return xf_op_add(g, left, xf_op_pad(g, b, XF_DIM(0), g->node[b].rows, ca, XF_DIM(ca + cb)));
}

#define XF_SELF "nn/op_slice.c"
#include "nn/op_both.inc"

XF_OP(SLICE, .name = "slice", .min_in = 1, .max_in = 1, .shape = shape_slice, .vjp = vjp_slice,
      XF_KERNEL(slice));
XF_OP(PAD, .name = "pad", .min_in = 1, .max_in = 1, .shape = shape_pad, .vjp = vjp_pad,
      XF_KERNEL(pad));

#else /* kernels: float, then double */

static void RUN(slice)(const struct xf_kargs *a) {
  const size_t row = (size_t)a->divisor, col = a->attr->k[0], from_C = a->in_C[0];
  for (size_t r = 0; r < a->R; r++)
    memcpy(OUT(a) + r * a->C, IN(a, 0) + (row + r) * from_C + col, a->C * sizeof(xf_real));
}

static void RUN(pad)(const struct xf_kargs *a) {
  const size_t row = (size_t)a->divisor, col = a->attr->k[0], n = a->in_C[0];
  for (size_t r = 0; r < a->R; r++) {
    xf_real *to = OUT(a) + r * a->C;
    if (r < row || r >= row + a->in_R[0]) {
      memset(to, 0, a->C * sizeof(xf_real));
      continue;
    }
    memset(to, 0, col * sizeof(xf_real));
    memcpy(to + col, IN(a, 0) + (r - row) * n, n * sizeof(xf_real));
    memset(to + col + n, 0, (a->C - col - n) * sizeof(xf_real));
  }
}

#endif
