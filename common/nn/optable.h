/*
 * optable.h - inside nn: the list of primitive operations, what a node is, what an operation's file gives.
 *
 * Adding an operation = a name here, one file op_<family>.c with its builder, shape rule, derivative and kernels
 * (oprule.h says how such a file is built), and a case below tests/grad/ops (docs/HACKING.md).
 * Not for: users of the engine (nn.h). Owner: the graph owns its nodes. Thread: as graph.h.
 */
#ifndef XF_NN_OPTABLE_H
#define XF_NN_OPTABLE_H

#include "nn/graph.h"
#include "nn/op.h"
#include "tensor/kern.h"

/* X(NAME): each is a struct xf_op_info xf_op_info_NAME in one of the files op_*.c. */
#define XF_OP_LIST(X) \
  X(INPUT)            \
  X(IDS)              \
  X(PARAM)            \
  X(FILL)             \
  X(PROJ)             \
  X(RESHAPE)          \
  X(ADD)              \
  X(SUB)              \
  X(MUL)              \
  X(DIV)              \
  X(SCALE)            \
  X(DIV_DIM)          \
  X(EXP)              \
  X(LOG)              \
  X(SQRT)             \
  X(SOFTPLUS)         \
  X(STEP)             \
  X(ACT)              \
  X(ACT_GRAD)         \
  X(BCE)              \
  X(MATMUL)           \
  X(DENSE)            \
  X(BIAS_ADD)         \
  X(GATHER)           \
  X(SCATTER_ADD)      \
  X(ROW_DOT)          \
  X(ROW_SCALE)        \
  X(SUM)              \
  X(SUM_ROWS)         \
  X(SUM_COLS)         \
  X(BROADCAST)        \
  X(SOFTMAX)          \
  X(SOFTMAX_CE)       \
  X(XENT_GRAD)        \
  X(SLICE)            \
  X(PAD)              \
  X(BATCH_MATMUL)     \
  X(CAUSAL)           \
  X(SPMM)             \
  X(REVERSE)          \
  X(LSTM)             \
  X(LSTM_GRAD)        \
  X(GRU)              \
  X(GRU_GRAD)         \
  X(ATTENTION)        \
  X(ATTENTION_GRAD)   \
  X(CONV)             \
  X(CONV_DX)          \
  X(CONV_DW)          \
  X(MAX_POOL)         \
  X(POOL_GATHER)      \
  X(POOL_SCATTER)     \
  X(AVG_POOL)         \
  X(AVG_SPREAD)       \
  X(NORM)             \
  X(NORM_GRAD)        \
  X(COL_SCALE)        \
  X(DROP_MASK)        \
  X(UNIT_NORM2)       \
  X(UNIT_FACTOR)

enum xf_op {
#define XF_OP_ENUM(n) XF_OP_##n,
  XF_OP_LIST(XF_OP_ENUM)
#undef XF_OP_ENUM
      XF_N_OP
};

enum {
  XF_IN_MAX = 8,
  XF_OUT_MAX = 4,
  XF_ATTR_K = 12,
  XF_NODE_MAX = 1 << 20,
  XF_GRAPH_INPUT_MAX = 64
};

/* What an operation needs beside its inputs; unused members are zero. */
struct xf_attr {
  double alpha;      /* SCALE, FILL */
  struct xf_dim dim; /* DIV_DIM: the divisor */
  uint32_t index;  /* INPUT, IDS: input number; PARAM: segment number; PROJ: which output, from 1 */
  enum xf_act act; /* ACT, ACT_GRAD, DENSE */
  bool ta, tb;     /* MATMUL */
  uint32_t k[XF_ATTR_K]; /* sizes and switches whose order the operation's file defines */
};

struct xf_node {
  enum xf_op op;
  bool ints; /* int32: IDS, and outputs that an operation's proj rule says are */
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

/* Parameter node `param` becomes `value` after a training run. */
struct xf_graph_update {
  int param, value;
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
  struct xf_graph_update *update; /* what segments without a gradient become */
  size_t n_update;
};

struct xf_kargs;

struct xf_op_info {
  const char *name;
  int min_in, max_in;
  int n_out;  /* 0 means 1; the outputs behind the first are PROJ nodes right behind the node */
  int ids_in; /* 1 + number of the input that holds ids, 0: none (its shape rule checks that) */
  /* Sets node->rows and cols or fails the graph with what it got and needs. */
  bool (*shape)(struct xf_graph *g, struct xf_node *node);
  /* Output k >= 1 of src: sets proj->rows, cols, ints. NULL: floats of the shape of src's first input. */
  bool (*proj)(struct xf_graph *g, const struct xf_node *src, struct xf_node *proj);
  /* Given d loss / d output k in gout[k] (XF_NO_NODE: none), sets d loss / d input i in gin[i]; leaves
     XF_NO_NODE where there is none (ids, piecewise constants). NULL: has no derivative. */
  void (*vjp)(struct xf_graph *g, int node, const int *gout, int *gin);
  /* What the ids of an input must lie below; checked at each run when they are the caller's. */
  struct xf_dim (*ids_below)(const struct xf_graph *g, const struct xf_node *node);
  /* The same for a second input of ids. */
  int ids2_in;
  struct xf_dim (*ids2_below)(const struct xf_graph *g, const struct xf_node *node);
  /* Numbers of scratch its kernel needs, at most; NULL: none. */
  uint64_t (*scratch)(const struct xf_graph *g, const struct xf_node *node);
  /* The kernels in float (fast and reference: kargs' table decides) and double; NULL: leaves and views. */
  void (*run_f)(const struct xf_kargs *a);
  void (*run_d)(const struct xf_kargs *a);
};

/* What a kernel gets; all extents are actual. */
struct xf_kargs {
  const void *k;                 /* struct xf_kern or xf_kern64 */
  void *out, *out_k[XF_OUT_MAX]; /* out_k[0] is out */
  const void *in[XF_IN_MAX];
  size_t R, C; /* of out */
  size_t in_R[XF_IN_MAX], in_C[XF_IN_MAX];
  const struct xf_attr *attr;
  int n_in;
  uint64_t seed;  /* of the run */
  double divisor; /* actual value of attr->dim */
  void
      *scratch; /* xf_op_scratch numbers, shared by all nodes of a plan; garbage before and after */
};

/* What an operation's file says about it. @own static */
const struct xf_op_info *xf_op_info(enum xf_op op);
/* Number of outputs. @own static */
static inline int xf_op_n_out(enum xf_op op) {
  const int n = xf_op_info(op)->n_out;
  return n > 1 ? n : 1;
}

/* Numbers of scratch that a node's kernel may write, at most for any extents of the symbols. @unit numbers */
uint64_t xf_op_scratch(const struct xf_graph *g, const struct xf_node *node);

/* The two operations that only derivatives need: g act'(x) from y = act(x); s[r] (p - onehot(t)).
   @shape g, y [R x C]; p [R x C], t ids [R x 1], s [R x 1] */
int xf_op_act_grad(struct xf_graph *g, int grad, int y, enum xf_act act);
int xf_op_xent_grad(struct xf_graph *g, int p, int t, int s);

/* Adds a node after checking its shape, or finds an equal one. @err XF_NO_NODE */
int xf_graph_add(struct xf_graph *graph, struct xf_node node);
/* The same for an operation of several outputs: output k is the node returned + k. @err XF_NO_NODE */
int xf_graph_add_outputs(struct xf_graph *graph, struct xf_node node);
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
