/*
 * planimpl.h - inside nn: what a plan holds. nnplan.c fills it once, exec.c runs it, rowset.c does the
 * row-sparse gradients, optim.c reads which rows a run gathers.
 * Not for: other modules (nnplan.h). Owner: the plan. Thread: one at a time.
 */
#ifndef XF_NN_PLANIMPL_H
#define XF_NN_PLANIMPL_H

#include "nn/nnplan.h"
#include "nn/optable.h"

enum { XF_LEAF_MAX = 8, XF_LIT_MAX = 4 };

/* Where a node's numbers are. */
enum xf_place_kind { XF_AT_NOWHERE, XF_AT_ARENA, XF_AT_PARAM, XF_AT_INPUT, XF_AT_GRAD };
struct xf_place {
  enum xf_place_kind kind;
  size_t at; /* ARENA: bytes; PARAM, GRAD: first number in the flat vector; INPUT: input number */
};

/* The rows that a list of ids inputs names: sorted, unique, and where each occurs. */
struct xf_rowset {
  int ids[XF_LEAF_MAX]; /* nodes */
  int n_leaf;
  uint32_t max_pos, max_row; /* occurrences and distinct rows at most */
  uint64_t *key, *key2;      /* [max_pos] id << 32 | occurrence, sorted; scratch */
  uint32_t *row, *start;     /* [max_row], [max_row + 1]: row[u] occurs at key[start[u] ..] */
  uint32_t leaf_start[XF_LEAF_MAX + 1]; /* first occurrence of each leaf */
  uint32_t n_row;
};

/* Where the gradient of one parameter goes. */
struct xf_sink {
  const struct xf_segment *seg;
  int grad;           /* dense: its node, copied to the flat vector unless it already lies there */
  int rowset;         /* row-sparse: number of the row set, else -1 */
  int x[XF_LEAF_MAX]; /* row-sparse: node with the rows of each leaf */
  float *g;           /* row-sparse: [max_row x cols] */
};

/* Ids that must lie below an extent. */
struct xf_id_check {
  int ids;
  struct xf_dim below;
};

/* How a step is run: by its operation's kernel, or as a product with weights in panels (panel.c). */
enum xf_how_kind {
  XF_HOW_OP,
  XF_HOW_PANEL_FWD,
  XF_HOW_PANEL_DX,
  XF_HOW_PANEL_DW,
  XF_HOW_PANEL_SGD, /* the gradient goes right into the parameter */
};
struct xf_how {
  enum xf_how_kind kind;
  int lit;   /* number of the left operand's lit columns, -1: all */
  int after; /* PANEL_SGD: runs after this node, the parameter's last reader */
};

/* The columns of an input that are not zero in this run's batch. */
struct xf_lit {
  int node;
  struct xf_span span[XF_SPAN_MAX];
  size_t n;
};

struct xf_nnplan {
  const struct xf_graph *g;
  struct xf_nnplan_spec spec;
  size_t real; /* bytes of a number */
  const void *kern;
  int *step; /* nodes to run, in order */
  int n_step;
  struct xf_place *place; /* [g->n] */
  struct xf_how *how;     /* [g->n] */
  uint32_t *packed;       /* [n_packed] numbers of the segments that lie in panels */
  size_t n_packed;
  struct xf_lit lit[XF_LIT_MAX];
  int n_lit;
  const void *input[XF_GRAPH_INPUT_MAX];
  bool input_used[XF_GRAPH_INPUT_MAX];
  bool sym_used[XF_N_SYM];
  struct xf_id_check *id_check;
  size_t n_id_check;
  struct xf_rowset *rowset;
  size_t n_rowset;
  struct xf_sink *sink; /* ascending by segment */
  size_t n_sink;
  struct xf_grad_piece *piece; /* [n_piece], at most n_sink */
  size_t n_piece;
  uint8_t *arena, *scratch; /* scratch: n_scratch numbers within the arena */
  uint64_t n_scratch;
  size_t arena_len, tensor_len, unshared_len;
  uint32_t actual[XF_N_SYM]; /* of the last run, as are: */
  const uint8_t *params;
  uint8_t *grad;
  float *weights; /* params, of a run that updates them; and its rate */
  float lr;
  uint64_t seed;
  double loss;
};

/* Decides which parameters lie in panels and fills how, packed, lit. @shape need[g->n] */
void xf_panel_plan(struct xf_nnplan *p, const bool *need);
/* Finds the lit columns of this run's inputs. @own plan */
void xf_panel_light(struct xf_nnplan *p);
/* Runs a step whose how is not OP. @shape as the operation's */
void xf_panel_run(const struct xf_nnplan *p, int y, const struct xf_kargs *a);

/* Sorts the ids of a row set for actual leaf lengths. @shape ids[n_leaf][n[l]] */
void xf_rowset_build(struct xf_rowset *set, const int32_t *const *ids, const uint32_t *n);
/* g [n_row x cols] = sums over occurrences, in the order of leaves and positions. @shape x[n_leaf][. x cols] */
void xf_rowset_sum(const struct xf_rowset *set, const struct xf_kern *k, float *g,
                   const float *const *x, size_t cols);

#endif
