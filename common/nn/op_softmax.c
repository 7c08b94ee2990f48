/* Softmax over the columns of a row, and its cross-entropy with a class number, fused and stable. */
#ifndef RUN
#include "nn/oprule.h"

static struct xf_dim classes(const struct xf_graph *g, const struct xf_node *n) { return COLS(0); }

/* p = softmax(z): dz = p (dp - sum_c dp p) */
static int softmax_vjp(struct xf_graph *g, int p, int dp) {
  return xf_op_sub(g, xf_op_mul(g, dp, p), xf_op_row_scale(g, p, xf_op_row_dot(g, dp, p)));
}

/* --- shapes */

static bool shape_softmax_ce(struct xf_graph *g, struct xf_node *n) {
  if (!xf_shape_check_ids(g, n, 1)) return false;
  if (!xf_dim_equal(ROWS(0), ROWS(1)) || !xf_dim_is(COLS(1), 1) || xf_dim_is(COLS(0), 0))
    return xf_shape_fail(g, n, "needs one class number per row of logits");
  return xf_shape_set(n, ROWS(0), XF_DIM(1));
}

static bool shape_xent_grad(struct xf_graph *g, struct xf_node *n) {
  if (!xf_shape_check_ids(g, n, 1)) return false;
  if (!xf_dim_equal(ROWS(0), ROWS(1)) || !xf_dim_equal(ROWS(0), ROWS(2)) || !xf_dim_is(COLS(2), 1))
    return xf_shape_fail(g, n, "needs one class number and one factor per row");
  return xf_shape_set(n, ROWS(0), COLS(0));
}

/* --- derivatives */

VJP(softmax) { gin[0] = softmax_vjp(g, y, gout[0]); }

VJP(softmax_ce) {
  NODE;
  const int p = y + 1; /* the projection right behind */
  if (gout[0] != XF_NO_NODE) gin[0] = xf_op_xent_grad(g, p, n->in[1], gout[0]);
  if (gout[1] == XF_NO_NODE) return;
  const int dz = softmax_vjp(g, p, gout[1]);
  gin[0] = gout[0] == XF_NO_NODE ? dz : xf_op_add(g, gin[0], dz);
}

VJP(xent_grad) { /* y = s (p - onehot) per row */
  NODE;
  const int one = xf_graph_fill(g, n->rows, XF_DIM(1), 1);
  gin[0] = xf_op_row_scale(g, gout[0], n->in[2]);
  gin[2] = xf_op_row_dot(g, gout[0], xf_op_xent_grad(g, n->in[0], n->in[1], one));
}

/* --- builders */

int xf_op_softmax(struct xf_graph *g, int z) { return xf_op_add1(g, XF_OP_SOFTMAX, z, XF_NO_ATTR); }

int xf_op_softmax_ce(struct xf_graph *g, int z, int t) {
  return xf_graph_add_outputs(g, (struct xf_node){.op = XF_OP_SOFTMAX_CE, .n_in = 2, .in = {z, t}});
}

int xf_op_xent_grad(struct xf_graph *g, int p, int t, int s) {
  return xf_graph_add(g, (struct xf_node){.op = XF_OP_XENT_GRAD, .n_in = 3, .in = {p, t, s}});
}

/* --- the table */

#define XF_SELF "nn/op_softmax.c"
#include "nn/op_both.inc"

XF_OP(SOFTMAX, .name = "softmax", .min_in = 1, .max_in = 1, .shape = xf_shape_same1,
      .vjp = vjp_softmax, XF_KERNEL(softmax));
/* loss [R x 1], p [R x C] */
XF_OP(SOFTMAX_CE, .name = "softmax_ce", .min_in = 2, .max_in = 2, .n_out = 2, .ids_in = 2,
      .ids_below = classes, .shape = shape_softmax_ce, .vjp = vjp_softmax_ce,
      XF_KERNEL(softmax_ce));
/* p, t, s: s[r] (p - onehot(t)) */
XF_OP(XENT_GRAD, .name = "xent_grad", .min_in = 3, .max_in = 3, .ids_in = 2, .ids_below = classes,
      .shape = shape_xent_grad, .vjp = vjp_xent_grad, XF_KERNEL(xent_grad));

#else /* kernels: float, then double */

static void RUN(softmax)(const struct xf_kargs *a) {
  TABLE(a)->softmax(OUT(a), IN(a, 0), a->R, a->C);
}

static void RUN(softmax_ce)(const struct xf_kargs *a) {
  TABLE(a)->softmax_ce(OUT(a), OUTK(a, 1), IN(a, 0), IDS(a, 1), a->R, a->in_C[0]);
}

static void RUN(xent_grad)(const struct xf_kargs *a) {
  TABLE(a)->xent_grad(OUT(a), IN(a, 0), IDS(a, 1), IN(a, 2), a->R, a->C);
}

#endif
