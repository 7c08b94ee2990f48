/* Products: matmul, dense (product, bias and activation in one), bias_add. */
#ifndef RUN
#include "nn/oprule.h"

/* --- shapes */

static bool shape_matmul(struct xf_graph *g, struct xf_node *n) {
  if (!xf_shape_check_ids(g, n, -1)) return false;
  const struct xf_dim ka = n->attr.ta ? ROWS(0) : COLS(0), kb = n->attr.tb ? COLS(1) : ROWS(1);
  if (!xf_dim_equal(ka, kb))
    return xf_shape_fail(g, n,
                         n->attr.ta || n->attr.tb
                             ? "inner extents differ (after transposing)"
                             : "columns of the first must equal rows of the second");
  return xf_shape_set(n, n->attr.ta ? COLS(0) : ROWS(0), n->attr.tb ? ROWS(1) : COLS(1));
}

static bool shape_dense(struct xf_graph *g, struct xf_node *n) {
  if (!xf_shape_check_ids(g, n, -1)) return false;
  if (!xf_dim_equal(COLS(0), ROWS(1)))
    return xf_shape_fail(g, n, "columns of x must equal rows of w");
  if (n->n_in == 3 && (!xf_dim_is(ROWS(2), 1) || !xf_dim_equal(COLS(2), COLS(1))))
    return xf_shape_fail(g, n, "the bias must have one number per column of w");
  return xf_shape_set(n, ROWS(0), COLS(1));
}

static bool shape_bias_add(struct xf_graph *g, struct xf_node *n) {
  if (!xf_shape_check_ids(g, n, -1)) return false;
  if (!xf_dim_is(ROWS(1), 1) || !xf_dim_equal(COLS(1), COLS(0)))
    return xf_shape_fail(g, n, "the bias must have one number per column of x");
  return xf_shape_set(n, ROWS(0), COLS(0));
}

/* --- derivatives */

VJP(matmul) { /* y = A B: dA = dy B^T, dB = A^T dy, with the transposes folded in */
  NODE;
  const int a = n->in[0], b = n->in[1], go = gout[0];
  const bool ta = n->attr.ta, tb = n->attr.tb;
  gin[0] = ta ? xf_op_matmul(g, b, go, tb, true) : xf_op_matmul(g, go, b, false, !tb);
  gin[1] = tb ? xf_op_matmul(g, go, a, true, ta) : xf_op_matmul(g, a, go, !ta, false);
}

VJP(dense) {
  NODE;
  const int d = xf_op_act_grad(g, gout[0], y, n->attr.act);
  gin[0] = xf_op_matmul(g, d, n->in[1], false, true);
  gin[1] = xf_op_matmul(g, n->in[0], d, true, false);
  if (n->n_in == 3) gin[2] = xf_op_sum_rows(g, d);
}

VJP(bias_add) {
  (void)y;
  gin[0] = gout[0];
  gin[1] = xf_op_sum_rows(g, gout[0]);
}

/* --- builders */

int xf_op_matmul(struct xf_graph *g, int a, int b, bool ta, bool tb) {
  return xf_op_add2(g, XF_OP_MATMUL, a, b, (struct xf_attr){.ta = ta, .tb = tb});
}

int xf_op_dense(struct xf_graph *g, int x, int w, int bias, enum xf_act act) {
  return xf_graph_add(g, (struct xf_node){.op = XF_OP_DENSE,
                                          .n_in = 3,
                                          .in = {x, w, xf_op_as_row(g, bias)},
                                          .attr = {.act = act}});
}

int xf_op_dense_nobias(struct xf_graph *g, int x, int w, enum xf_act act) {
  return xf_op_add2(g, XF_OP_DENSE, x, w, (struct xf_attr){.act = act});
}

int xf_op_bias_add(struct xf_graph *g, int x, int bias) {
  return xf_op_add2(g, XF_OP_BIAS_ADD, x, xf_op_as_row(g, bias), XF_NO_ATTR);
}

/* --- the table */

#define XF_SELF "nn/op_matmul.c"
#include "nn/op_both.inc"

XF_OP(MATMUL, .name = "matmul", .min_in = 2, .max_in = 2, .shape = shape_matmul, .vjp = vjp_matmul,
      XF_KERNEL(matmul));
XF_OP(DENSE, .name = "dense", .min_in = 2, .max_in = 3, .shape = shape_dense, .vjp = vjp_dense,
      XF_KERNEL(dense));
XF_OP(BIAS_ADD, .name = "bias_add", .min_in = 2, .max_in = 2, .shape = shape_bias_add,
      .vjp = vjp_bias_add, XF_KERNEL(bias_add));

#else /* kernels: float, then double */

static void RUN(matmul)(const struct xf_kargs *a) {
  const struct xf_gemm s = {.m = a->R,
                            .n = a->C,
                            .k = a->attr->ta ? a->in_R[0] : a->in_C[0],
                            .ta = a->attr->ta,
                            .tb = a->attr->tb,
                            .alpha = 1};
  TABLE(a)->gemm(OUT(a), IN(a, 0), IN(a, 1), &s);
}

static void RUN(activate)(const struct K *k, enum xf_act act, xf_real *y, const xf_real *x,
                          size_t n) {
  if (act == XF_ACT_RELU) k->relu(y, x, n);
  else if (act == XF_ACT_TANH) k->tanh(y, x, n);
  else if (act == XF_ACT_SIGMOID) k->sigmoid(y, x, n);
}

/* The bias is where the product starts; the activation follows while the result is in cache. */
static void RUN(dense)(const struct xf_kargs *a) {
  const struct xf_gemm s = {
      .m = a->R, .n = a->C, .k = a->in_C[0], .alpha = 1, .beta = a->n_in == 3 ? 1 : 0};
  if (a->n_in == 3)
    for (size_t r = 0; r < a->R; r++) memcpy(OUT(a) + r * a->C, IN(a, 2), a->C * sizeof(xf_real));
  TABLE(a)->gemm(OUT(a), IN(a, 0), IN(a, 1), &s);
  RUN(activate)(TABLE(a), a->attr->act, OUT(a), OUT(a), N(a));
}

static void RUN(bias_add)(const struct xf_kargs *a) {
  TABLE(a)->bias_add(OUT(a), IN(a, 0), IN(a, 1), a->R, a->C);
}

#endif
