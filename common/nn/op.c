/* The builders: each fills a node and adds it; a few obvious simplifications; what is composed. */
#include "nn/optable.h"

static int add1(struct xf_graph *g, enum xf_op op, int a, struct xf_attr attr) {
  return xf_graph_add(g, (struct xf_node){.op = op, .n_in = 1, .in = {a}, .attr = attr});
}

static int add2(struct xf_graph *g, enum xf_op op, int a, int b, struct xf_attr attr) {
  return xf_graph_add(g, (struct xf_node){.op = op, .n_in = 2, .in = {a, b}, .attr = attr});
}

#define NO_ATTR ((struct xf_attr){0})

static bool is_fill(const struct xf_graph *g, int a) {
  return a != XF_NO_NODE && g->node[a].op == XF_OP_FILL;
}
static bool same_shape(const struct xf_graph *g, int a, int b) {
  return a != XF_NO_NODE && b != XF_NO_NODE && xf_dim_equal(g->node[a].rows, g->node[b].rows) &&
         xf_dim_equal(g->node[a].cols, g->node[b].cols);
}
static bool is_zero(const struct xf_graph *g, int a) {
  return is_fill(g, a) && g->node[a].attr.alpha == 0;
}

int xf_op_add(struct xf_graph *g, int a, int b) {
  if (is_zero(g, b) && same_shape(g, a, b)) return a;
  if (is_zero(g, a) && same_shape(g, a, b)) return b;
  return add2(g, XF_OP_ADD, a, b, NO_ATTR);
}

int xf_op_sub(struct xf_graph *g, int a, int b) {
  if (is_zero(g, b) && same_shape(g, a, b)) return a;
  return add2(g, XF_OP_SUB, a, b, NO_ATTR);
}

int xf_op_mul(struct xf_graph *g, int a, int b) {
  if (is_fill(g, b) && same_shape(g, a, b)) return xf_op_scale(g, a, g->node[b].attr.alpha);
  if (is_fill(g, a) && same_shape(g, a, b)) return xf_op_scale(g, b, g->node[a].attr.alpha);
  return add2(g, XF_OP_MUL, a, b, NO_ATTR);
}

int xf_op_div(struct xf_graph *g, int a, int b) { return add2(g, XF_OP_DIV, a, b, NO_ATTR); }
int xf_op_neg(struct xf_graph *g, int a) { return xf_op_scale(g, a, -1); }

int xf_op_scale(struct xf_graph *g, int a, double alpha) {
  if (is_fill(g, a))
    return xf_graph_fill(g, g->node[a].rows, g->node[a].cols, g->node[a].attr.alpha * alpha);
  return alpha == 1 ? a : add1(g, XF_OP_SCALE, a, (struct xf_attr){.alpha = alpha});
}

int xf_op_div_dim(struct xf_graph *g, int a, struct xf_dim count) {
  if (xf_dim_is(count, 1)) return a;
  return add1(g, XF_OP_DIV_DIM, a, (struct xf_attr){.dim = count});
}

int xf_op_exp(struct xf_graph *g, int a) { return add1(g, XF_OP_EXP, a, NO_ATTR); }
int xf_op_log(struct xf_graph *g, int a) { return add1(g, XF_OP_LOG, a, NO_ATTR); }
int xf_op_sqrt(struct xf_graph *g, int a) { return add1(g, XF_OP_SQRT, a, NO_ATTR); }
int xf_op_softplus(struct xf_graph *g, int a) { return add1(g, XF_OP_SOFTPLUS, a, NO_ATTR); }
int xf_op_step(struct xf_graph *g, int a) { return add1(g, XF_OP_STEP, a, NO_ATTR); }

int xf_op_act(struct xf_graph *g, int a, enum xf_act act) {
  return act == XF_ACT_NONE ? a : add1(g, XF_OP_ACT, a, (struct xf_attr){.act = act});
}

int xf_op_act_grad(struct xf_graph *g, int grad, int y, enum xf_act act) {
  return act == XF_ACT_NONE ? grad : add2(g, XF_OP_ACT_GRAD, grad, y, (struct xf_attr){.act = act});
}

int xf_op_matmul(struct xf_graph *g, int a, int b, bool ta, bool tb) {
  return add2(g, XF_OP_MATMUL, a, b, (struct xf_attr){.ta = ta, .tb = tb});
}

/* A [n x 1] vector as [1 x n]. */
static int as_row(struct xf_graph *g, int v) {
  if (v == XF_NO_NODE || !xf_dim_is(g->node[v].cols, 1)) return v;
  return xf_op_reshape(g, v, XF_DIM(1), g->node[v].rows);
}

int xf_op_dense(struct xf_graph *g, int x, int w, int bias, enum xf_act act) {
  return xf_graph_add(
      g, (struct xf_node){
             .op = XF_OP_DENSE, .n_in = 3, .in = {x, w, as_row(g, bias)}, .attr = {.act = act}});
}

int xf_op_dense_nobias(struct xf_graph *g, int x, int w, enum xf_act act) {
  return add2(g, XF_OP_DENSE, x, w, (struct xf_attr){.act = act});
}

int xf_op_bias_add(struct xf_graph *g, int x, int bias) {
  return add2(g, XF_OP_BIAS_ADD, x, as_row(g, bias), NO_ATTR);
}

int xf_op_gather(struct xf_graph *g, int table, int ids) {
  return add2(g, XF_OP_GATHER, table, ids, NO_ATTR);
}

int xf_op_scatter_add(struct xf_graph *g, int ids, int x, struct xf_dim rows) {
  return xf_graph_add(
      g, (struct xf_node){.op = XF_OP_SCATTER_ADD, .n_in = 2, .in = {ids, x}, .rows = rows});
}

int xf_op_row_dot(struct xf_graph *g, int a, int b) {
  return add2(g, XF_OP_ROW_DOT, a, b, NO_ATTR);
}

int xf_op_row_scale(struct xf_graph *g, int x, int s) {
  if (is_fill(g, s) && x != XF_NO_NODE && xf_dim_equal(g->node[s].rows, g->node[x].rows))
    return xf_op_scale(g, x, g->node[s].attr.alpha);
  return add2(g, XF_OP_ROW_SCALE, x, s, NO_ATTR);
}

int xf_op_sum(struct xf_graph *g, int a) { return add1(g, XF_OP_SUM, a, NO_ATTR); }
int xf_op_sum_rows(struct xf_graph *g, int a) { return add1(g, XF_OP_SUM_ROWS, a, NO_ATTR); }
int xf_op_sum_cols(struct xf_graph *g, int a) { return add1(g, XF_OP_SUM_COLS, a, NO_ATTR); }

int xf_op_broadcast(struct xf_graph *g, int a, struct xf_dim rows, struct xf_dim cols) {
  if (a == XF_NO_NODE) return XF_NO_NODE;
  if (is_fill(g, a)) return xf_graph_fill(g, rows, cols, g->node[a].attr.alpha);
  if (xf_dim_equal(g->node[a].rows, rows) && xf_dim_equal(g->node[a].cols, cols)) return a;
  return xf_graph_add(
      g, (struct xf_node){.op = XF_OP_BROADCAST, .n_in = 1, .in = {a}, .rows = rows, .cols = cols});
}

int xf_op_reshape(struct xf_graph *g, int a, struct xf_dim rows, struct xf_dim cols) {
  if (a == XF_NO_NODE) return XF_NO_NODE;
  if (xf_dim_equal(g->node[a].rows, rows) && xf_dim_equal(g->node[a].cols, cols)) return a;
  return xf_graph_add(
      g, (struct xf_node){.op = XF_OP_RESHAPE, .n_in = 1, .in = {a}, .rows = rows, .cols = cols});
}

int xf_op_mean(struct xf_graph *g, int a) {
  if (a == XF_NO_NODE) return XF_NO_NODE;
  const struct xf_dim rows = g->node[a].rows, cols = g->node[a].cols;
  return xf_op_div_dim(g, xf_op_div_dim(g, xf_op_sum(g, a), rows), cols);
}

int xf_op_softmax(struct xf_graph *g, int z) { return add1(g, XF_OP_SOFTMAX, z, NO_ATTR); }

int xf_op_softmax_ce(struct xf_graph *g, int z, int t) {
  const int loss = add2(g, XF_OP_SOFTMAX_CE, z, t, NO_ATTR);
  if (loss != XF_NO_NODE) (void)add1(g, XF_OP_PROJ, loss, NO_ATTR);
  return loss;
}

int xf_op_xent_grad(struct xf_graph *g, int p, int t, int s) {
  return xf_graph_add(g, (struct xf_node){.op = XF_OP_XENT_GRAD, .n_in = 3, .in = {p, t, s}});
}

int xf_op_bce(struct xf_graph *g, int z, int y) { return add2(g, XF_OP_BCE, z, y, NO_ATTR); }

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
