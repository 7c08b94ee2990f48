/* What brings two domains' features together: gradient reversal; MMD and CORAL, composed. */
#ifndef RUN
#include "nn/oprule.h"

/* Not a derivative of the forward function, and meant so: what is below is trained against what is above. */
VJP(reverse) { gin[0] = xf_op_scale(g, gout[0], -g->node[y].attr.alpha); }

int xf_op_reverse(struct xf_graph *g, int a, double lambda) {
  return xf_op_add1(g, XF_OP_REVERSE, a, (struct xf_attr){.alpha = lambda});
}

/* |a_i - b_j|^2 [rows of a x rows of b] */
static int distances(struct xf_graph *g, int a, int b) {
  const struct xf_dim na = g->node[a].rows, nb = g->node[b].rows;
  const int aa = xf_op_row_dot(g, a, a);
  const int bb = xf_op_reshape(g, xf_op_row_dot(g, b, b), XF_DIM(1), nb);
  const int sum = xf_op_add(g, xf_op_broadcast(g, aa, na, nb), xf_op_broadcast(g, bb, na, nb));
  return xf_op_sub(g, sum, xf_op_scale(g, xf_op_matmul(g, a, b, false, true), 2));
}

/* Sum over pairs of exp(-d / (2 sigma^2)) */
static int kernel_sum(struct xf_graph *g, int d, double sigma) {
  return xf_op_sum(g, xf_op_exp(g, xf_op_scale(g, d, -1 / (2 * sigma * sigma))));
}

/* Sum of the pairs of one side -> its mean: over all, or over those of two different rows. */
static int own_mean(struct xf_graph *g, int sum, struct xf_dim n, bool unbiased) {
  if (!unbiased) return xf_op_div_dim(g, xf_op_div_dim(g, sum, n), n);
  const int ones = xf_op_sum(g, xf_graph_fill(g, n, XF_DIM(1), 1)); /* a row and itself: exp(0) */
  return xf_op_div_dim(g, xf_op_div_dim_less(g, xf_op_sub(g, sum, ones), n, 1), n);
}

int xf_op_mmd(struct xf_graph *g, int s, int t, const double *sigma, size_t n_sigma,
              bool unbiased) {
  if (s == XF_NO_NODE || t == XF_NO_NODE) return XF_NO_NODE;
  const struct xf_dim ns = g->node[s].rows, nt = g->node[t].rows;
  const int ss = distances(g, s, s), tt = distances(g, t, t), st = distances(g, s, t);
  int all = xf_graph_fill(g, XF_DIM(1), XF_DIM(1), 0);
  for (size_t i = 0; i < n_sigma; i++) {
    const int cross = xf_op_div_dim(g, xf_op_div_dim(g, kernel_sum(g, st, sigma[i]), ns), nt);
    const int own = xf_op_add(g, own_mean(g, kernel_sum(g, ss, sigma[i]), ns, unbiased),
                              own_mean(g, kernel_sum(g, tt, sigma[i]), nt, unbiased));
    all = xf_op_add(g, all, xf_op_sub(g, own, xf_op_scale(g, cross, 2)));
  }
  return all;
}

static int row_mean(struct xf_graph *g, int a) {
  return xf_op_div_dim(g, xf_op_sum_rows(g, a), g->node[a].rows);
}

int xf_op_mmd_linear(struct xf_graph *g, int s, int t) {
  if (s == XF_NO_NODE || t == XF_NO_NODE) return XF_NO_NODE;
  const int d = xf_op_sub(g, row_mean(g, s), row_mean(g, t));
  return xf_op_sum(g, xf_op_mul(g, d, d));
}

/* Covariance with n - 1. */
static int covariance(struct xf_graph *g, int a) {
  const struct xf_dim n = g->node[a].rows;
  const int c = xf_op_sub(g, a, xf_op_broadcast(g, row_mean(g, a), n, g->node[a].cols));
  return xf_op_div_dim_less(g, xf_op_matmul(g, c, c, true, false), n, 1);
}

int xf_op_coral(struct xf_graph *g, int s, int t) {
  if (s == XF_NO_NODE || t == XF_NO_NODE) return XF_NO_NODE;
  const double d = g->node[s].cols.n;
  const int diff = xf_op_sub(g, covariance(g, s), covariance(g, t));
  return xf_op_scale(g, xf_op_sum(g, xf_op_mul(g, diff, diff)), 1 / (4 * d * d));
}

#define XF_SELF "nn/op_align.c"
#include "nn/op_both.inc"

XF_OP(REVERSE, .name = "reverse", .min_in = 1, .max_in = 1, .shape = xf_shape_same1,
      .vjp = vjp_reverse, XF_KERNEL(reverse));

#else /* kernels: float, then double */

static void RUN(reverse)(const struct xf_kargs *a) {
  memcpy(OUT(a), IN(a, 0), N(a) * sizeof(xf_real));
}

#endif
