/*
 * op.h - the operations: functions that add a node to a graph and return it (XF_NO_NODE after an error, see
 * nn.h). The primitives are rows of one table (optable.h); what is composed of them says so.
 *
 * Shapes: a [R x C] and so on; nothing is broadcast silently. Every primitive has a derivative made of
 * primitives, so anything here may be differentiated any number of times.
 * Owner: the graph. Thread: the graph's builder.
 */
#ifndef XF_NN_OP_H
#define XF_NN_OP_H

#include "nn/graph.h"

/* X(NAME, text) */
#define XF_ACT_LIST(X) \
  X(NONE, "none")      \
  X(RELU, "relu")      \
  X(TANH, "tanh")      \
  X(SIGMOID, "sigmoid")

enum xf_act {
#define XF_ACT_ENUM(n, t) XF_ACT_##n,
  XF_ACT_LIST(XF_ACT_ENUM)
#undef XF_ACT_ENUM
};

/* Elementwise. @shape all [R x C] */
int xf_op_add(struct xf_graph *g, int a, int b);
int xf_op_sub(struct xf_graph *g, int a, int b);
int xf_op_mul(struct xf_graph *g, int a, int b);
int xf_op_div(struct xf_graph *g, int a, int b);
int xf_op_neg(struct xf_graph *g, int a);
int xf_op_scale(struct xf_graph *g, int a, double alpha);
/* a / (value of the extent), and 0 when that is 0: how a sum becomes a mean. @shape [R x C] */
int xf_op_div_dim(struct xf_graph *g, int a, struct xf_dim count);
int xf_op_exp(struct xf_graph *g, int a);
int xf_op_log(struct xf_graph *g, int a);
int xf_op_sqrt(struct xf_graph *g, int a);
/* log(1 + exp(a)), stable. @shape [R x C] */
int xf_op_softplus(struct xf_graph *g, int a);
/* 1 where a > 0, else 0; derivative 0. @shape [R x C] */
int xf_op_step(struct xf_graph *g, int a);
/* relu, tanh or sigmoid. @shape [R x C] */
int xf_op_act(struct xf_graph *g, int a, enum xf_act act);
static inline int xf_op_relu(struct xf_graph *g, int a) { return xf_op_act(g, a, XF_ACT_RELU); }
static inline int xf_op_tanh(struct xf_graph *g, int a) { return xf_op_act(g, a, XF_ACT_TANH); }
static inline int xf_op_sigmoid(struct xf_graph *g, int a) {
  return xf_op_act(g, a, XF_ACT_SIGMOID);
}

/* op(a) op(b), op = transpose if ta / tb. @shape op(a) [M x K], op(b) [K x N], out [M x N] */
int xf_op_matmul(struct xf_graph *g, int a, int b, bool ta, bool tb);
/* act(x w + bias), fused. @shape x [R x K], w [K x N], bias [N x 1] or [1 x N], out [R x N] */
int xf_op_dense(struct xf_graph *g, int x, int w, int bias, enum xf_act act);
int xf_op_dense_nobias(struct xf_graph *g, int x, int w, enum xf_act act);
/* x + bias in every row. @shape x [R x N], bias [1 x N] or [N x 1] */
int xf_op_bias_add(struct xf_graph *g, int x, int bias);

/* Rows of a table, e.g. an embedding. Gradient: row-sparse. @shape table [N x C], ids [n x k], out [n k x C] */
int xf_op_gather(struct xf_graph *g, int table, int ids);
/* Its dual: out[ids[i]] += x[i], in order of i. @shape ids [n x k], x [n k x C], out [rows x C] */
int xf_op_scatter_add(struct xf_graph *g, int ids, int x, struct xf_dim rows);

/* sum over columns of a*b. @shape a, b [R x C], out [R x 1] */
int xf_op_row_dot(struct xf_graph *g, int a, int b);
/* x[r][c] * s[r]. @shape x [R x C], s [R x 1] */
int xf_op_row_scale(struct xf_graph *g, int x, int s);
/* Reductions, in a fixed order. @shape a [R x C], out [1 x 1], [1 x C] (over rows), [R x 1] (over columns) */
int xf_op_sum(struct xf_graph *g, int a);
int xf_op_sum_rows(struct xf_graph *g, int a);
int xf_op_sum_cols(struct xf_graph *g, int a);
/* Repeats a scalar, a row or a column. @shape a [1 x 1], [1 x C] or [R x 1], out [rows x cols] */
int xf_op_broadcast(struct xf_graph *g, int a, struct xf_dim rows, struct xf_dim cols);
/* The same numbers under another shape, without a copy. @shape rows*cols as before */
int xf_op_reshape(struct xf_graph *g, int a, struct xf_dim rows, struct xf_dim cols);
/* sum / actual number of elements; 0 for none. Composed. @shape out [1 x 1] */
int xf_op_mean(struct xf_graph *g, int a);

/* Probabilities per row. @shape z [R x C] */
int xf_op_softmax(struct xf_graph *g, int z);
/* -log softmax(z)[t] per row, fused and stable. @shape z [R x C], t ids [R x 1], out [R x 1] */
int xf_op_softmax_ce(struct xf_graph *g, int z, int t);
/* max(z,0) - z y + log(1 + exp(-|z|)), elementwise; y in [0,1]. @shape [R x C] */
int xf_op_bce(struct xf_graph *g, int z, int y);
/* softplus(-(pos - neg)) per row. Composed. @shape [R x 1] @source Rendle et al. 2009, BPR-Opt */
int xf_op_bpr(struct xf_graph *g, int pos, int neg);
/* (a - y)^2, elementwise; mean it for MSE. Composed. @shape [R x C] */
int xf_op_squared_error(struct xf_graph *g, int a, int y);
/* coef/2 * sum of squares / rows: L2 on the rows of a batch. Composed. @shape x [R x C], out [1 x 1] */
int xf_op_l2(struct xf_graph *g, int x, double coef);

#endif
