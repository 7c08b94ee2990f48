/*
 * seqnet.h - inside model: what nets over sequences share. At step t they predict from the state before it and then take the
 * step in: the first prediction is made from the start state.
 *
 * Rows of step inputs and outputs are time-major over a chunk of config.steps steps: row t*B + b.
 * Not for other modules. Owner: see model.h. Thread: see model.h.
 */
#ifndef XF_MODEL_SEQNET_H
#define XF_MODEL_SEQNET_H

#include "model/impl.h"

/* Layers of cells; the second one's inputs are the states of the first after each step. */
enum { XF_SEQNET_LAYERS = 2 };

/* steps, hidden and n_in within their limits; one loss; n_out as said. @err E_CONFIG E_UNSUPPORTED */
XF_WARN_UNUSED enum xf_rc xf_seqnet_check(const struct xf_model *m, enum xf_loss loss,
                                          struct xf_diag *diag);
/* Segment "u" of the cell, gates times width; of a second layer "in2", "in2_bias", "u2". @err those of xf_layout_add */
XF_WARN_UNUSED enum xf_rc xf_seqnet_layout(struct xf_model *m, struct xf_diag *diag);
/* Width of the last layer. @unit floats */
uint32_t xf_seqnet_width(const struct xf_model *m);
/* Gates of the cell: 4 (LSTM) or 3 (GRU). @thread any */
uint32_t xf_seqnet_gates(const struct xf_model *m);
/* [T*B]. @unit rows */
struct xf_dim xf_seqnet_rows(const struct xf_model *m);
/* The last layer's states before each step from the first cell's inputs x [T*B x gates H]; adds MASK and, to score, H, C, H2, C2 and
   net->state. @shape out [T*B x width] */
int xf_seqnet_states(struct xf_model_net *net, const struct xf_model *m, int x, bool score);
/* Sum of each [T*B x 1] times WEIGHT: the mean over real steps. Sets data and loss (with l2/2 |.|^2 of u, `out`, in2 and u2).
   @own net */
void xf_seqnet_loss(struct xf_model_net *net, const struct xf_model *m, int each, double l2);
/* Uniform +-1/sqrt(hidden), of the layer the segment belongs to (out: the last). @own value */
struct xf_init_rule xf_seqnet_init(const struct xf_model *m, const struct xf_segment *seg);
/* XF_AXIS_NONE. @thread any */
enum xf_model_axis xf_seqnet_axis(const struct xf_segment *seg);

#endif
