/*
 * units.h - gradients clipped unit by unit, as a rewrite of the graph (decision 32): sum over units u of
 * min(1, clip / |g_u|) g_u, where g_u is the gradient of unit u's loss with respect to all parameters together.
 *
 * No gradient of a unit is kept: one backward pass gives squared norms, a second one, of the loss with each unit's rows times its
 * factor, gives the sum. All uses of a parameter (tied weights, a table gathered twice, rows of a sequence) are added before
 * the norm is taken. Units are blocks of consecutive rows of the batch. What mixes them is refused by name: batch norm, sums over
 * the batch, propagation, time-major recurrence.
 * Not for: noise and accounting (priv), units of several steps (train). Owner: the graph. Thread: its builder.
 */
#ifndef XF_NN_UNITS_H
#define XF_NN_UNITS_H

#include "nn/graph.h"
#include "nn/op_image.h"

/* Makes the clipped sum the gradient that a plan with `.train` computes. loss_rows: losses [k units x 1], consecutive rows of one
   unit; loss: the [1 x 1] node that the plan watches (usually their mean). *norm2 (may be NULL): the squared norms [units x 1].
   wrt NULL: every parameter that loss_rows depends on. @shape units = n B
   @err E_UNSUPPORTED (what mixes units, by name) E_SHAPE E_INVAL @source Lee & Kifer 2021; Opacus' ghost clipping */
XF_WARN_UNUSED enum xf_rc xf_graph_backward_units(struct xf_graph *graph, int loss, int loss_rows,
                                                  struct xf_dim units, double clip, const int *wrt,
                                                  size_t n, int *norm2, struct xf_diag *diag);

/* Whether units of a training keep apart when each is a batch by itself: nothing follows the data without a gradient (running
   means of batch norm), nothing is normalised over a batch, nothing propagates over a graph of users. @err E_UNSUPPORTED (which
   operation, what to use) */
XF_WARN_UNUSED enum xf_rc xf_graph_check_units(const struct xf_graph *graph, struct xf_diag *diag);

/* --- inside nn: one way in which a parameter's gradient comes from rows of units */
enum xf_unit_leaf {
  XF_UNIT_PRODUCT, /* in[0]' in[1] */
  XF_UNIT_SUM,     /* sum of the rows of in[0] */
  XF_UNIT_ROWS,    /* in[1]'s rows added at the ids in[0] */
  XF_UNIT_CONV,    /* conv_dw(in[0], in[1]) */
};
struct xf_unit_use {
  enum xf_unit_leaf kind;
  int in[2];
  struct xf_window window; /* CONV */
};
/* Squared norm of each unit's gradient of a parameter, all its uses added. @shape out [units x 1] */
int xf_op_unit_norm2(struct xf_graph *g, struct xf_dim units, int param,
                     const struct xf_unit_use *use, int n_use);
/* min(1, clip / sqrt(norm2)). @shape [units x 1] */
int xf_op_unit_factor(struct xf_graph *g, int norm2, double clip);

#endif
