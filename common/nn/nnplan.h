/*
 * nnplan.h - from a graph to something that runs: every tensor gets an offset in one arena from its
 * liveness; running allocates nothing.
 *
 * Gradients: dense parameters land in the caller's flat gradient vector at their layout offset. A parameter
 * that is only gathered from lands in a row-sparse piece: sorted unique rows and their sums (decision 31).
 * Not for: building (graph.h), updating (optim.h).
 * Owner: caller; the graph must outlive the plan; results are valid until the next run.
 * Thread: one at a time; one plan per worker. Same inputs give the same bytes on any thread.
 */
#ifndef XF_NN_NNPLAN_H
#define XF_NN_NNPLAN_H

#include "nn/graph.h"

enum xf_nn_mode {
  XF_NN_FAST,  /* float, BLAS and vectorised kernels */
  XF_NN_REF,   /* float, plain loops */
  XF_NN_REF64, /* double, plain loops: params, inputs, gradients and results are doubles */
};

enum { XF_NN_OUT_MAX = 16 };

struct xf_nnplan_spec {
  int outputs[XF_NN_OUT_MAX]; /* nodes to read with xf_nnplan_get */
  size_t n_output;
  int loss;         /* [1 x 1] node checked for NaN/Inf; used when has_loss or train */
  bool has_loss;    /* compute the loss without gradients */
  bool train;       /* compute loss and the gradient of xf_graph_backward */
  bool dense_grads; /* gathered parameters too get dense gradients */
  bool no_reuse;    /* every tensor gets its own memory: for tests */
  bool
      packed; /* params and grad come with weights in panels where the plan can: xf_nnplan_pack. FAST */
  bool
      fuse_sgd; /* weights in panels whose gradient nobody else reads are updated in place: xf_nnplan_run_sgd */
  enum xf_nn_mode mode;
  uint32_t max[XF_N_SYM]; /* largest value of each symbol that occurs */
};

/* One gradient: dense (row NULL, n_row = rows of the segment) or row-sparse. */
struct xf_grad_piece {
  const struct xf_segment *seg; /* the graph's layout's */
  const uint32_t *row;          /* ascending, unique; NULL: all rows */
  uint32_t n_row;
  float *g; /* [n_row x seg->cols] */
};

struct xf_nnplan;

/* Plans. @own caller @err what the graph met while building, E_INVAL E_SHAPE E_LIMIT E_NOMEM E_UNSUPPORTED */
XF_WARN_UNUSED enum xf_rc xf_nnplan_new(struct xf_nnplan **out, const struct xf_graph *graph,
                                        const struct xf_nnplan_spec *spec, struct xf_diag *diag);
/* Releases; NULL is legal. @own takes plan */
void xf_nnplan_free(struct xf_nnplan *plan);
/* Where an input's numbers are from now on: float (double in REF64) or int32_t, row-major. @own borrowed
   until replaced */
void xf_nnplan_set_input(struct xf_nnplan *plan, int node, const void *data);
/* The seed of masks (xf_op_drop_mask) of the following runs; 0 at first. Give each training step another one. @own plan */
void xf_nnplan_set_seed(struct xf_nnplan *plan, uint64_t seed);
/* After a training run: the segments of xf_graph_update become what the run computed. @shape params[layout.n] */
void xf_nnplan_apply(const struct xf_nnplan *plan, float *params);
/* Runs everything once. `params` is the whole flat vector; `grad` a flat vector of the same length whose
   dense segments are overwritten (NULL without train). extent[sym] is the actual value of each symbol.
   @shape params[layout.n], grad[layout.n] @err E_NAN (loss) E_RANGE (id outside its table) E_LIMIT (extent
   above the plan's maximum) E_INVAL (input not set) */
XF_WARN_UNUSED enum xf_rc xf_nnplan_run(struct xf_nnplan *plan, const float *params, float *grad,
                                        const uint32_t extent[XF_N_SYM], struct xf_diag *diag);
/* The same with one step of plain SGD for the parameters of a fuse_sgd plan; their gradients are neither in grad nor in the
   pieces, which the caller's optimiser still has to apply. Same bits as without fusing. @shape as xf_nnplan_run
   @err as xf_nnplan_run; after one, params are undefined */
XF_WARN_UNUSED enum xf_rc xf_nnplan_run_sgd(struct xf_nnplan *plan, float *params, float *grad,
                                            float lr, const uint32_t extent[XF_N_SYM],
                                            struct xf_diag *diag);
/* How many segments lie in panels; 0: packing would be a copy. @unit segments */
size_t xf_nnplan_get_packed(const struct xf_nnplan *plan);
/* A flat vector of the layout (parameters, gradients, moments) as a `packed` plan has it, and back. Elementwise work may be
   done on either. @shape to[layout.n], from[layout.n], apart */
void xf_nnplan_pack(const struct xf_nnplan *plan, float *to, const float *from);
/* @shape as xf_nnplan_pack */
void xf_nnplan_unpack(const struct xf_nnplan *plan, float *to, const float *from);
/* The same for a REF64 plan. @shape as xf_nnplan_run @err as xf_nnplan_run */
XF_WARN_UNUSED enum xf_rc xf_nnplan_run64(struct xf_nnplan *plan, const double *params,
                                          double *grad, const uint32_t extent[XF_N_SYM],
                                          struct xf_diag *diag);
/* Loss of the last run. @unit as the loss node */
double xf_nnplan_get_loss(const struct xf_nnplan *plan);
/* An output of the last run, NULL if the node is not one; rows and cols (may be NULL) are actual extents.
   Pointer to double in REF64. @own plan, until the next run */
const void *xf_nnplan_get(const struct xf_nnplan *plan, int node, uint32_t *rows, uint32_t *cols);
/* The gradient pieces of the last run, ascending by segment (empty in REF64: read the flat vector).
   @own plan, until the next run */
const struct xf_grad_piece *xf_nnplan_get_pieces(const struct xf_nnplan *plan, size_t *n);
/* Bytes of the arena, and what it would be without reuse (NULL legal). @unit bytes */
size_t xf_nnplan_get_bytes(const struct xf_nnplan *plan, size_t *without_reuse);

#endif
