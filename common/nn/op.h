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

/* -log softmax(s - log_q)[t] per row: logits s of a few sampled classes, log_q the logarithm of each one's chance to be
   sampled (XF_NO_NODE: all alike). Composed. @shape s, log_q [R x n], t ids [R x 1], out [R x 1]
   @source Bengio & Senecal 2008; Yi et al. 2019, eq. 3 */
int xf_op_sampled_softmax(struct xf_graph *g, int s, int log_q, int t);
/* mean_j [sigmoid(neg_j - pos) + sigmoid(neg_j^2)] per row. Composed. @shape pos [R x 1], neg [R x n], out [R x 1]
   @source Hidasi et al. 2016, TOP1 */
int xf_op_top1(struct xf_graph *g, int pos, int neg);

/* a / (value of the extent - less), and 0 where that is not above 0. @shape [R x C] */
int xf_op_div_dim_less(struct xf_graph *g, int a, struct xf_dim count, uint32_t less);

/* --- parts (op_slice.c). Row extents are constants or multiples of the symbol of a's rows. */

/* Rows row .. and columns col .. of a. @shape out [rows x cols] */
int xf_op_slice(struct xf_graph *g, int a, struct xf_dim row, struct xf_dim rows, uint32_t col,
                struct xf_dim cols);
/* Its dual: a at (row, col) of a matrix of zeros. @shape out [rows x cols] */
int xf_op_pad(struct xf_graph *g, int a, struct xf_dim row, struct xf_dim rows, uint32_t col,
              struct xf_dim cols);
/* Some rows with all columns, some columns with all rows. @shape [rows x C], [R x cols] */
int xf_op_slice_rows(struct xf_graph *g, int a, struct xf_dim row, struct xf_dim rows);
int xf_op_slice_cols(struct xf_graph *g, int a, uint32_t col, uint32_t cols);
/* b below a; b to the right of a. Composed. @shape [Ra + Rb x C], [R x Ca + Cb] */
int xf_op_concat_rows(struct xf_graph *g, int a, int b);
int xf_op_concat_cols(struct xf_graph *g, int a, int b);

/* --- products over blocks, masks (op_batch.c) */

/* op(a_i) op(b_i) for each pair of blocks of rows_a and rows_b rows. @shape a [n rows_a x Ca], b [n rows_b x Cb], out
   [n M x N] */
int xf_op_batch_matmul(struct xf_graph *g, int a, int b, uint32_t rows_a, uint32_t rows_b, bool ta,
                       bool tb);
/* 1 where column <= row mod T, else 0. @shape rows a multiple of T, out [rows x T] */
int xf_op_causal(struct xf_graph *g, struct xf_dim rows, uint32_t T);
/* Ids 0 and 1 as the numbers 0 and 1. @shape ids [n x k], out [n k x 1] */
int xf_op_mask(struct xf_graph *g, int ids);

/* --- sparse (op_spmm.c) */

/* out[row[e]] += w[e] x[col[e]] over the entries e of a sparse matrix. @shape row, col ids and w [nnz x 1], x [n x C], out
   [rows x C] @source LightGCN, He et al. 2020, eq. 3, with w = 1/sqrt(n_row n_col) */
int xf_op_spmm(struct xf_graph *g, int row, int col, int w, int x, struct xf_dim rows);
/* Sums of rows of a table by bags, each row times its w (XF_NO_NODE: 1); a bag without rows is 0. The table's gradient is
   row-sparse. Composed. @shape ids, bag ids and w [n x 1], out [bags x C] */
int xf_op_bag(struct xf_graph *g, int table, int ids, int bag, int w, struct xf_dim bags);

/* --- sequences: fused, and the same from primitives. Masks are ids 0 and 1; a masked step changes nothing. */

struct xf_lstm_in {
  int x;      /* [T*B x 4H] input times weights plus bias, time-major; gates i, f, g, o */
  int u;      /* [H x 4H] */
  int mask;   /* ids [T*B x 1] */
  int h0, c0; /* [B x H] */
};
/* h of every step; *cell (may be NULL): c of every step, without derivative. @shape out, *cell [T*B x H]
   @source Hochreiter & Schmidhuber 1997; Gers et al. 2000 */
int xf_op_lstm(struct xf_graph *g, const struct xf_lstm_in *in, int *cell);
int xf_op_lstm_lowered(struct xf_graph *g, const struct xf_lstm_in *in);

struct xf_gru_in {
  int x;    /* [T*B x 3H] input times weights plus bias, time-major; gates r, z, n */
  int u;    /* [H+1 x 3H], the last row is the recurrent bias */
  int mask; /* ids [T*B x 1] */
  int h0;   /* [B x H] */
};
/* h of every step; z keeps the old state, the reset comes after the product. @shape out [T*B x H]
   @source Cho et al. 2014 */
int xf_op_gru(struct xf_graph *g, const struct xf_gru_in *in);
int xf_op_gru_lowered(struct xf_graph *g, const struct xf_gru_in *in);

struct xf_attention_in {
  int q, k, v; /* [B*T x d], [B*T x d], [B*T x dv], sequence-major */
  int mask;    /* ids [B*T x 1] */
  uint32_t T;  /* positions of a sequence */
  bool causal; /* position t sees no s > t */
};
/* softmax(q k' / sqrt(d)) v within each sequence, over unmasked positions; masked ones give 0. @shape out [B*T x dv]
   @source Vaswani et al. 2017, eq. 1 */
int xf_op_attention(struct xf_graph *g, const struct xf_attention_in *in);
int xf_op_attention_lowered(struct xf_graph *g, const struct xf_attention_in *in);

/* --- domains brought together (op_align.c) */

/* a; what flows back is multiplied by -lambda. Not a derivative: finite differences do not see it. @shape as a
   @source Ganin & Lempitsky 2015 */
int xf_op_reverse(struct xf_graph *g, int a, double lambda);
/* Squared maximum mean discrepancy with Gaussian kernels exp(-d^2/(2 sigma^2)), summed over sigma; the V-statistic (>= 0), or
   unbiased the U-statistic. Composed. @shape s [Ns x C], t [Nt x C], out [1 x 1] @source Gretton et al. 2012, eqs. 3 and 5 */
int xf_op_mmd(struct xf_graph *g, int s, int t, const double *sigma, size_t n_sigma, bool unbiased);
/* |mean s - mean t|^2. Composed. @shape out [1 x 1] */
int xf_op_mmd_linear(struct xf_graph *g, int s, int t);
/* |cov s - cov t|_F^2 / (4 C^2), covariances with n - 1. Composed. @shape out [1 x 1] @source Sun & Saenko 2016, eq. 1 */
int xf_op_coral(struct xf_graph *g, int s, int t);

#endif
