/*
 * oprule.h - inside nn: what the files op_*.c are written with.
 *
 * Such a file holds everything about a family of operations and looks like this:
 *
 *   #ifndef RUN
 *   #include "nn/oprule.h"
 *   static bool shape_twice(struct xf_graph *g, struct xf_node *n) { return xf_shape_same1(g, n); }
 *   VJP(twice) { gin[0] = xf_op_twice(g, gout[0]); (void)y; }           (calls builders only: a closed set)
 *   int xf_op_twice(struct xf_graph *g, int a) { return xf_op_add1(g, XF_OP_TWICE, a, XF_NO_ATTR); }
 *   #define XF_SELF "nn/op_twice.c"
 *   #include "nn/op_both.inc"                                            (defines f_twice and d_twice)
 *   XF_OP(TWICE, .name = "twice", .min_in = 1, .max_in = 1, .shape = shape_twice, .vjp = vjp_twice, XF_KERNEL(twice));
 *   #else
 *   static void RUN(twice)(const struct xf_kargs *a) { TABLE(a)->add(OUT(a), IN(a, 0), IN(a, 0), N(a)); }
 *   #endif
 *
 * A derivative gets d loss / d output and gives d loss / d input by calling builders, so that it is itself part of the
 * graph and can be differentiated again. @source Griewank & Walther 2008, ch. 3
 * Not for: users of the engine (nn.h). Owner, thread: as graph.h.
 */
#ifndef XF_NN_OPRULE_H
#define XF_NN_OPRULE_H

#include "nn/optable.h"

#include <stddef.h>
#include <string.h>

/* Extents of input k, in a function with `g` and `n`. */
#define ROWS(k) (g->node[n->in[k]].rows)
#define COLS(k) (g->node[n->in[k]].cols)

/* A derivative; NODE gives it `n`, a copy, because builders may move the node array. */
#define VJP(name) static void vjp_##name(struct xf_graph *g, int y, const int *gout, int *gin)
#define NODE const struct xf_node node = g->node[y], *const n = &node

/* The table's row of an operation, and its kernels by name. */
#define XF_OP(NAME, ...) const struct xf_op_info xf_op_info_##NAME = {__VA_ARGS__}
#define XF_KERNEL(kernel) .run_f = f_##kernel, .run_d = d_##kernel
#define XF_NO_ATTR ((struct xf_attr){0})

/* Fails the graph: the operation's name, its inputs with their shapes, and what it needs. Returns false. @err E_SHAPE */
bool xf_shape_fail(struct xf_graph *g, const struct xf_node *n, const char *need);
/* Ids may stand only at input `ids_at` (-1: nowhere) and must there. @err E_SHAPE */
bool xf_shape_check_ids(struct xf_graph *g, const struct xf_node *n, int ids_at);
/* Sets the shape; returns true. @shape [rows x cols] */
bool xf_shape_set(struct xf_node *n, struct xf_dim rows, struct xf_dim cols);
/* Rules: as the first input; two equal inputs; as given. @err E_SHAPE */
bool xf_shape_same1(struct xf_graph *g, struct xf_node *n);
bool xf_shape_same2(struct xf_graph *g, struct xf_node *n);
bool xf_shape_given(struct xf_graph *g, struct xf_node *n);
/* No derivative passes: leaves, piecewise constants. @own graph */
void xf_vjp_none(struct xf_graph *g, int y, const int *gout, int *gin);

/* Adds a node of one or two inputs. @err XF_NO_NODE */
int xf_op_add1(struct xf_graph *g, enum xf_op op, int a, struct xf_attr attr);
int xf_op_add2(struct xf_graph *g, enum xf_op op, int a, int b, struct xf_attr attr);
/* Whether a node is a constant; whether two nodes have equal shapes. XF_NO_NODE is neither. @thread builder */
bool xf_node_is_fill(const struct xf_graph *g, int a);
bool xf_node_same_shape(const struct xf_graph *g, int a, int b);
/* A [n x 1] vector as [1 x n]; anything else as it is. @shape [1 x n] */
int xf_op_as_row(struct xf_graph *g, int v);

#define XF_OP_DECLARE(n) extern const struct xf_op_info xf_op_info_##n;
XF_OP_LIST(XF_OP_DECLARE)
#undef XF_OP_DECLARE

#endif
