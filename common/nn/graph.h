/*
 * graph.h - the static dataflow graph: nodes, symbolic extents, inputs, parameters, gradients.
 *
 * A node is a matrix [rows x cols] of floats (or int32 ids); a scalar is [1 x 1], a vector [1 x n] or
 * [n x 1]. An extent is a constant or a multiple of a symbol (B, T, ...) whose maximum is known when
 * planning and whose value is given at each run; 0 is legal. Nodes are numbered in topological order and
 * never change; equal nodes are shared. Operations are added by op.h.
 * Not for: memory or execution (nnplan.h). Owner: caller. Thread: one builder; immutable afterwards.
 */
#ifndef XF_NN_GRAPH_H
#define XF_NN_GRAPH_H

#include "base/diag.h"
#include "param/layout.h"

#include <stddef.h>
#include <stdint.h>

enum { XF_NO_NODE = -1 };

/* X(NAME, text) symbols that an extent may be a multiple of */
#define XF_SYM_LIST(X) \
  X(ONE, "1")          \
  X(B, "B")            \
  X(T, "T")            \
  X(NNZ, "nnz")        \
  X(AUX, "aux")

enum xf_sym {
#define XF_SYM_ENUM(n, t) XF_SYM_##n,
  XF_SYM_LIST(XF_SYM_ENUM)
#undef XF_SYM_ENUM
      XF_N_SYM
};

/* n * value(sym); sym ONE means the constant n. */
struct xf_dim {
  uint32_t n;
  enum xf_sym sym;
};
#define XF_DIM(k) ((struct xf_dim){(k), XF_SYM_ONE})
#define XF_BATCH ((struct xf_dim){1, XF_SYM_B})

struct xf_graph;

/* An empty graph over the parameters of `layout` (copied). @own caller */
struct xf_graph *xf_graph_new(const struct xf_layout *layout);
/* Releases; NULL is legal. No plan may outlive its graph. @own takes graph */
void xf_graph_free(struct xf_graph *graph);

/* A float input filled by the caller at each run. @shape [rows x cols] */
int xf_graph_input(struct xf_graph *graph, const char *name, struct xf_dim rows, uint32_t cols);
/* An int32 input: rows of a table, class numbers. Checked against the table at each run.
   @shape [rows x cols] */
int xf_graph_ids(struct xf_graph *graph, const char *name, struct xf_dim rows, uint32_t cols);
/* The parameter segment of that name as [rows x cols], a view into the flat vector. @shape as layout */
int xf_graph_param(struct xf_graph *graph, const char *segment);
/* A constant matrix. @shape [rows x cols] */
int xf_graph_fill(struct xf_graph *graph, struct xf_dim rows, struct xf_dim cols, double value);

/* Adds the nodes of d loss / d wrt[i] and gives them in out[i]. The result is part of the graph: it may be
   used in further operations and differentiated again. A wrt that the loss does not depend on gives zeros.
   @shape loss [1 x 1], out[i] as wrt[i] @err E_SHAPE E_INVAL E_UNSUPPORTED (names the operation)
   @source reverse accumulation, Griewank & Walther 2008, ch. 3 */
XF_WARN_UNUSED enum xf_rc xf_graph_grad(struct xf_graph *graph, int loss, const int *wrt, size_t n,
                                        int *out, struct xf_diag *diag);
/* xf_graph_grad with respect to every parameter that the loss depends on (wrt NULL), or to the n parameter
   nodes given; remembers the result as *the* gradient that a plan with `.train` computes.
   @err as xf_graph_grad */
XF_WARN_UNUSED enum xf_rc xf_graph_backward(struct xf_graph *graph, int loss, struct xf_diag *diag);
XF_WARN_UNUSED enum xf_rc xf_graph_backward_to(struct xf_graph *graph, int loss, const int *wrt,
                                               size_t n, struct xf_diag *diag);

/* The segment becomes `value` (a node of its shape) after each training run, by xf_nnplan_apply: state that follows the data
   without a gradient. One value per segment; a segment the loss depends on must not have one.
   @shape as layout @err E_SHAPE E_EXISTS */
void xf_graph_update(struct xf_graph *graph, const char *segment, int value);

/* Name of the first segment that has one, or NULL. @own graph */
const char *xf_graph_get_update(const struct xf_graph *graph);

/* The first error a builder met, or OK. @err E_SHAPE E_INVAL E_NOTFOUND E_LIMIT */
XF_WARN_UNUSED enum xf_rc xf_graph_check(const struct xf_graph *graph, struct xf_diag *diag);
/* Number of nodes so far; ids are 0 .. n-1. @unit nodes */
int xf_graph_count(const struct xf_graph *graph);
/* Extents of a node. @own caller's out */
void xf_graph_get_shape(const struct xf_graph *graph, int node, struct xf_dim *rows,
                        struct xf_dim *cols);
/* The input or ids node of that name, or XF_NO_NODE. @thread any once built */
int xf_graph_find_input(const struct xf_graph *graph, const char *name);
/* One line per node ("12 dense [B x 200] relu <- 0 3 4"), for people. @own out @err E_LIMIT */
XF_WARN_UNUSED enum xf_rc xf_graph_print(const struct xf_graph *graph, struct xf_buf *out);

#endif
