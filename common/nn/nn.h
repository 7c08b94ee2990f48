/*
 * nn.h - the learning engine in one include: graph (graph.h), operations (op.h), plan (nnplan.h) and
 * optimiser (optim.h). Not for: models (model), local procedures (train), BLAS start-up (tensor/blas.h,
 * xf_blas_start, once in main before the first run).
 *
 *   build          struct xf_graph *g = xf_graph_new(&layout);
 *                  int x = xf_graph_input(g, "x", XF_BATCH, 784), t = xf_graph_ids(g, "t", XF_BATCH, 1);
 *                  int h = xf_op_dense(g, x, xf_graph_param(g, "w1"), xf_graph_param(g, "b1"), XF_ACT_RELU);
 *                  int z = xf_op_dense(g, h, xf_graph_param(g, "w2"), xf_graph_param(g, "b2"), XF_ACT_NONE);
 *                  int loss = xf_op_mean(g, xf_op_softmax_ce(g, z, t));
 *   differentiate  rc = xf_graph_backward(g, loss, diag);        (the gradient is more nodes of g)
 *   plan           rc = xf_nnplan_new(&p, g, &(struct xf_nnplan_spec){.loss = loss, .train = true,
 *                       .max = {[XF_SYM_B] = 64}}, diag);        (one per worker thread)
 *   run            xf_nnplan_set_input(p, x, rows); xf_nnplan_set_input(p, t, labels);
 *                  xf_optim_touch(o, params, p, extent);          (matters for tables with momentum or Adam)
 *                  rc = xf_nnplan_run(p, params, grad, (uint32_t[XF_N_SYM]){[XF_SYM_B] = n}, diag);
 *   step           xf_optim_step(o, params, xf_nnplan_get_pieces(p, &n_piece), n_piece);
 *
 * Nodes are small integers; a builder that fails returns XF_NO_NODE, the graph keeps the first reason, and
 * every later builder given XF_NO_NODE passes it on, so a chain needs one check (xf_graph_check, which
 * xf_graph_backward and xf_nnplan_new also do).
 * Owner: who called *_new. Thread: a built graph is immutable and shared; a plan is one thread's at a time;
 * parameters are an argument, so many clients share one plan.
 */
#ifndef XF_NN_NN_H
#define XF_NN_NN_H

#include "nn/graph.h"
#include "nn/nnplan.h"
#include "nn/op.h"
#include "nn/op_image.h"
#include "nn/op_norm.h"
#include "nn/optim.h"
#include "nn/units.h"

#endif
