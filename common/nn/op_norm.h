/*
 * op_norm.h - normalisation and dropout: layer norm, batch norm (training and evaluation), masks from a seeded stream.
 *
 * Batch norm's running statistics are segments without a gradient: the graph says what they become (xf_graph_update in
 * graph.h), the plan computes it, xf_nnplan_apply writes it. With convolutions a row is a pixel, so the same operation normalises each
 * channel over batch, height and width.
 * Owner: the graph. Thread: the graph's builder.
 */
#ifndef XF_NN_OP_NORM_H
#define XF_NN_OP_NORM_H

#include "nn/graph.h"

enum xf_norm_axis {
  XF_NORM_ROWS, /* each row over its columns: layer norm */
  XF_NORM_COLS, /* each column over all rows: batch norm */
};

/* (x - mean) / sqrt(variance + eps), variance with n. *mean and *rstd = 1 / sqrt(variance + eps) (either may be NULL) have no
   derivative: build xf_op_norm_lowered for that. @shape x [R x C], out [R x C], *mean, *rstd [R x 1] of ROWS, [1 x C] of COLS
   @source Ba et al. 2016, eq. 3; Ioffe & Szegedy 2015, algorithm 1 */
int xf_op_norm(struct xf_graph *g, int x, enum xf_norm_axis axis, double eps, int *mean, int *rstd);
/* The same from primitives. @shape as xf_op_norm */
int xf_op_norm_lowered(struct xf_graph *g, int x, enum xf_norm_axis axis, double eps, int *mean,
                       int *rstd);
/* x[r][c] * s[c]. @shape x [R x C], s [1 x C] or [C x 1] */
int xf_op_col_scale(struct xf_graph *g, int x, int s);

/* Layer norm with gain and shift. Composed. @shape x [R x C], gain, shift [1 x C] or [C x 1] */
int xf_op_layer_norm(struct xf_graph *g, int x, int gain, int shift, double eps);

struct xf_batch_norm {
  int gain, shift;        /* parameters [C x 1] */
  const char *mean, *var; /* segments [C x 1]: running statistics */
  double momentum, eps;   /* running = (1 - momentum) running + momentum batch; variance with n */
};
/* Of a training graph: by the batch's statistics, and the running ones move. Composed. @shape x [R x C]
   @source Ioffe & Szegedy 2015, algorithms 1 and 2 */
int xf_op_batch_norm_train(struct xf_graph *g, int x, const struct xf_batch_norm *norm);
/* By the statistics of some rows only: `share` says each row's part in them and adds up to 1, so a row of part 0 is normalised
   by the others and changes nothing for them. Statistics have derivatives, running ones do not move. Composed.
   @shape x [R x C], share [R x 1] */
int xf_op_batch_norm_shared(struct xf_graph *g, int x, int share, const struct xf_batch_norm *norm);
/* Of a scoring graph: by the running statistics, a variance below 0 as 0. Composed. @shape x [R x C] */
int xf_op_batch_norm_eval(struct xf_graph *g, int x, const struct xf_batch_norm *norm);

/* Numbers 1/(1-p) with probability 1-p, else 0, by the run's seed (xf_nnplan_set_seed), `number`, row and column; derivative 0.
   @shape [rows x cols] */
int xf_op_drop_mask(struct xf_graph *g, struct xf_dim rows, struct xf_dim cols, double p,
                    uint32_t number);
/* x times such a mask; x itself for p 0. For training graphs. Composed. @shape x [R x C] @source Srivastava et al. 2014 */
int xf_op_dropout(struct xf_graph *g, int x, double p, uint32_t number);

#endif
