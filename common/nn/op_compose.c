/* What is composed of the primitives, so needs no rule: means and losses. */
#include "nn/oprule.h"

int xf_op_mean(struct xf_graph *g, int a) {
  if (a == XF_NO_NODE) return XF_NO_NODE;
  const struct xf_dim rows = g->node[a].rows, cols = g->node[a].cols;
  return xf_op_div_dim(g, xf_op_div_dim(g, xf_op_sum(g, a), rows), cols);
}

int xf_op_bpr(struct xf_graph *g, int pos, int neg) {
  return xf_op_softplus(g, xf_op_sub(g, neg, pos));
}

int xf_op_squared_error(struct xf_graph *g, int a, int y) {
  const int d = xf_op_sub(g, a, y);
  return xf_op_mul(g, d, d);
}

int xf_op_l2(struct xf_graph *g, int x, double coef) {
  if (x == XF_NO_NODE) return XF_NO_NODE;
  const int sum = xf_op_sum(g, xf_op_row_dot(g, x, x));
  return xf_op_div_dim(g, xf_op_scale(g, sum, coef / 2), g->node[x].rows);
}

int xf_op_sampled_softmax(struct xf_graph *g, int s, int log_q, int t) {
  return xf_op_softmax_ce(g, log_q == XF_NO_NODE ? s : xf_op_sub(g, s, log_q), t);
}

int xf_op_top1(struct xf_graph *g, int pos, int neg) {
  if (pos == XF_NO_NODE || neg == XF_NO_NODE) return XF_NO_NODE;
  const struct xf_dim rows = g->node[neg].rows, cols = g->node[neg].cols;
  const int diff = xf_op_sub(g, neg, xf_op_broadcast(g, pos, rows, cols));
  const int each = xf_op_add(g, xf_op_sigmoid(g, diff), xf_op_sigmoid(g, xf_op_mul(g, neg, neg)));
  return xf_op_div_dim(g, xf_op_sum_cols(g, each), cols);
}
