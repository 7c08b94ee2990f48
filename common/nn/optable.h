/*
 * optable.h - inside nn: the list of primitive operations, what a node is, and the rules of each operation.
 *
 * Adding an operation = a line here, its shape rule and derivative in rules.c, its kernel in run_body.inc,
 * a builder in op.c and a row in tests/grad/ops.c (docs/internals/nn.md).
 * Not for: users of the engine (nn.h). Owner: the graph owns its nodes. Thread: as graph.h.
 */
#ifndef XF_NN_OPTABLE_H
#define XF_NN_OPTABLE_H

#include "nn/graph.h"
#include "nn/op.h"
#include "tensor/kern.h"

/* X(NAME, text, inputs at least, at most, outputs, shape rule, derivative (rules.c), kernel (run_body.inc)) */
#define XF_OP_LIST(X)                                                                        \
  X(INPUT, "input", 0, 0, 1, given, none, none)                                              \
  X(IDS, "ids", 0, 0, 1, given, none, none)                                                  \
  X(PARAM, "param", 0, 0, 1, given, none, none)                                              \
  X(FILL, "fill", 0, 0, 1, given, none, fill)                                                \
  X(PROJ, "proj", 1, 1, 1, proj, none, none) /* second output of the node before it */       \
  X(RESHAPE, "reshape", 1, 1, 1, reshape, reshape, none)                                     \
  X(ADD, "add", 2, 2, 1, same2, add, add)                                                    \
  X(SUB, "sub", 2, 2, 1, same2, sub, sub)                                                    \
  X(MUL, "mul", 2, 2, 1, same2, mul, mul)                                                    \
  X(DIV, "div", 2, 2, 1, same2, div, div)                                                    \
  X(SCALE, "scale", 1, 1, 1, same1, scale, scale)                                            \
  X(DIV_DIM, "div_dim", 1, 1, 1, div_dim, div_dim, div_dim)                                  \
  X(EXP, "exp", 1, 1, 1, same1, exp, exp)                                                    \
  X(LOG, "log", 1, 1, 1, same1, log, log)                                                    \
  X(SQRT, "sqrt", 1, 1, 1, same1, sqrt, sqrt)                                                \
  X(SOFTPLUS, "softplus", 1, 1, 1, same1, softplus, softplus)                                \
  X(STEP, "step", 1, 1, 1, same1, none, step)                                                \
  X(ACT, "act", 1, 1, 1, same1, act, act)                                                    \
  X(ACT_GRAD, "act_grad", 2, 2, 1, same2, act_grad, act_grad) /* g, y = act(x): g act'(x) */ \
  X(BCE, "bce", 2, 2, 1, same2, bce, bce)                                                    \
  X(MATMUL, "matmul", 2, 2, 1, matmul, matmul, matmul)                                       \
  X(DENSE, "dense", 2, 3, 1, dense, dense, dense)                                            \
  X(BIAS_ADD, "bias_add", 2, 2, 1, bias_add, bias_add, bias_add)                             \
  X(GATHER, "gather", 2, 2, 1, gather, gather, gather)                                       \
  X(SCATTER_ADD, "scatter_add", 2, 2, 1, scatter_add, scatter_add, scatter_add)              \
  X(ROW_DOT, "row_dot", 2, 2, 1, row_dot, row_dot, row_dot)                                  \
  X(ROW_SCALE, "row_scale", 2, 2, 1, row_scale, row_scale, row_scale)                        \
  X(SUM, "sum", 1, 1, 1, sum, sum, sum)                                                      \
  X(SUM_ROWS, "sum_rows", 1, 1, 1, sum_rows, sum, sum_rows)                                  \
  X(SUM_COLS, "sum_cols", 1, 1, 1, sum_cols, sum, sum_cols)                                  \
  X(BROADCAST, "broadcast", 1, 1, 1, broadcast, broadcast, broadcast)                        \
  X(SOFTMAX, "softmax", 1, 1, 1, same1, softmax, softmax)                                    \
  X(SOFTMAX_CE, "softmax_ce", 2, 2, 2, softmax_ce, softmax_ce,                               \
    softmax_ce) /* loss [R x 1], p [R x C] */                                                \
  X(XENT_GRAD, "xent_grad", 3, 3, 1, xent_grad, xent_grad,                                   \
    xent_grad) /* p, t, s: s[r] (p - onehot(t)) */

enum xf_op {
#define XF_OP_ENUM(n, text, lo, hi, outs, shape, vjp, run) XF_OP_##n,
  XF_OP_LIST(XF_OP_ENUM)
#undef XF_OP_ENUM
      XF_N_OP
};

enum { XF_IN_MAX = 3, XF_NODE_MAX = 1 << 20, XF_GRAPH_INPUT_MAX = 64 };

/* What an operation needs beside its inputs; unused members are zero. */
struct xf_attr {
  double alpha;      /* SCALE, FILL */
  struct xf_dim dim; /* DIV_DIM: the divisor */
  uint32_t index;    /* INPUT, IDS: input number; PARAM: segment number */
  enum xf_act act;   /* ACT, ACT_GRAD, DENSE */
  bool ta, tb;       /* MATMUL */
};

struct xf_node {
  enum xf_op op;
  int n_in;
  int in[XF_IN_MAX];
  struct xf_dim rows,
      cols; /* given for INPUT, FILL, RESHAPE, BROADCAST, SCATTER_ADD; else by the rule */
  struct xf_attr attr;
};

struct xf_graph_input {
  char name[XF_NAME_MAX];
  int node;
};

struct xf_graph {
  struct xf_layout layout;
  struct xf_node *node;
  int n, cap;
  struct xf_graph_input input[XF_GRAPH_INPUT_MAX];
  uint32_t n_input;
  struct xf_diag diag; /* the first error */
  int loss;            /* xf_graph_backward: d loss / d param[i] is grad[i] */
  int *param, *grad;
  size_t n_grad;
};

struct xf_op_info {
  const char *name;
  int min_in, max_in, n_out;
  /* Sets node->rows and cols or fails the graph with what it got and needs. */
  bool (*shape)(struct xf_graph *g, struct xf_node *node);
  /* Given d loss / d output k in gout[k] (XF_NO_NODE: none), sets d loss / d input i in gin[i]; leaves
     XF_NO_NODE where there is none (ids, piecewise constants). NULL: has no derivative. */
  void (*vjp)(struct xf_graph *g, int node, const int *gout, int *gin);
};

/* What a kernel gets; all extents are actual. */
struct xf_kargs {
  const void *k; /* struct xf_kern or xf_kern64 */
  void *out, *out2;
  const void *in[XF_IN_MAX];
  size_t R, C; /* of out */
  size_t in_R[XF_IN_MAX], in_C[XF_IN_MAX];
  const struct xf_attr *attr;
  int n_in;
  double divisor; /* DIV_DIM */
  void
      *scratch; /* xf_op_scratch numbers, shared by all nodes of a plan; garbage before and after */
};

/* The rules of an operation. @own static */
const struct xf_op_info *xf_op_info(enum xf_op op);
/* The kernels in float and double, NULL for operations without one (leaves, views). @own static */
extern void (*const xf_op_run_f[XF_N_OP])(const struct xf_kargs *a);
extern void (*const xf_op_run_d[XF_N_OP])(const struct xf_kargs *a);

/* Numbers of scratch that a node's kernel may write, at most for any extents of the symbols. @unit numbers */
uint64_t xf_op_scratch(const struct xf_graph *g, const struct xf_node *node);

/* The two operations that only derivatives need. @shape see XF_OP_LIST */
int xf_op_act_grad(struct xf_graph *g, int grad, int y, enum xf_act act);
int xf_op_xent_grad(struct xf_graph *g, int p, int t, int s);

/* Adds a node after checking its shape, or finds an equal one. @err XF_NO_NODE */
int xf_graph_add(struct xf_graph *graph, struct xf_node node);
/* Records the first error of the graph; returns false. @err E_SHAPE E_INVAL E_LIMIT E_NOTFOUND */
bool xf_graph_fail(struct xf_graph *graph, enum xf_rc rc, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
enum { XF_NODE_TEXT = 128 };
/* "param w1 [784 x 200]" for messages; returns out. @own caller's buffer */
const char *xf_graph_describe(const struct xf_graph *graph, int node, char out[XF_NODE_TEXT]);

/* Whether two extents are equal for every value of the symbols; whether one is the constant n. @unit rows */
static inline bool xf_dim_equal(struct xf_dim a, struct xf_dim b) {
  return a.n == b.n && a.sym == b.sym;
}
/* @unit rows */
static inline bool xf_dim_is(struct xf_dim a, uint32_t n) {
  return a.n == n && a.sym == XF_SYM_ONE;
}

#endif
