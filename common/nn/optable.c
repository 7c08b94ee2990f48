/* The table of operations, and what their files share: checks of shapes, adding nodes. */
#include "nn/oprule.h"

#include <stdio.h>

static const struct xf_op_info *const table[XF_N_OP] = {
#define XF_OP_ROW(n) &xf_op_info_##n,
    XF_OP_LIST(XF_OP_ROW)
#undef XF_OP_ROW
};

const struct xf_op_info *xf_op_info(enum xf_op op) { return table[op]; }

uint64_t xf_op_scratch(const struct xf_graph *g, const struct xf_node *node) {
  const struct xf_op_info *info = table[node->op];
  return info->scratch ? info->scratch(g, node) : 0;
}

/* --- shapes */

enum { NEED_LEN = 512 };

bool xf_shape_fail(struct xf_graph *g, const struct xf_node *n, const char *need) {
  char list[NEED_LEN] = "";
  size_t len = 0;
  for (int k = 0; k < n->n_in; k++) {
    char text[XF_NODE_TEXT];
    const int add = snprintf(list + len, sizeof list - len, "%s%s", k ? ", " : "",
                             xf_graph_describe(g, n->in[k], text));
    if (add < 0 || (size_t)add >= sizeof list - len) break; /* cut: the message is for people */
    len += (size_t)add;
  }
  return xf_graph_fail(g, XF_E_SHAPE, "%s(%s): %s", xf_op_info(n->op)->name, list, need);
}

bool xf_shape_check_ids(struct xf_graph *g, const struct xf_node *n, int ids_at) {
  for (int k = 0; k < n->n_in; k++)
    if (g->node[n->in[k]].ints != (k == ids_at))
      return xf_shape_fail(g, n,
                           k == ids_at ? "needs an ids input here" : "cannot compute with ids");
  return true;
}

bool xf_shape_set(struct xf_node *n, struct xf_dim rows, struct xf_dim cols) {
  n->rows = rows;
  n->cols = cols;
  return true;
}

bool xf_shape_given(struct xf_graph *g, struct xf_node *n) {
  if (n->rows.sym < XF_N_SYM && n->cols.sym < XF_N_SYM) return true;
  return xf_shape_fail(g, n, "unknown symbol in an extent");
}

bool xf_shape_same1(struct xf_graph *g, struct xf_node *n) {
  return xf_shape_check_ids(g, n, -1) && xf_shape_set(n, ROWS(0), COLS(0));
}

bool xf_shape_same2(struct xf_graph *g, struct xf_node *n) {
  if (!xf_shape_check_ids(g, n, -1)) return false;
  if (!xf_dim_equal(ROWS(0), ROWS(1)) || !xf_dim_equal(COLS(0), COLS(1)))
    return xf_shape_fail(g, n, "needs two equal shapes");
  return xf_shape_set(n, ROWS(0), COLS(0));
}

void xf_vjp_none(struct xf_graph *g, int y, const int *gout, int *gin) {
  (void)g, (void)y, (void)gout, (void)gin;
}

/* --- nodes */

int xf_op_add1(struct xf_graph *g, enum xf_op op, int a, struct xf_attr attr) {
  return xf_graph_add(g, (struct xf_node){.op = op, .n_in = 1, .in = {a}, .attr = attr});
}

int xf_op_add2(struct xf_graph *g, enum xf_op op, int a, int b, struct xf_attr attr) {
  return xf_graph_add(g, (struct xf_node){.op = op, .n_in = 2, .in = {a, b}, .attr = attr});
}

bool xf_node_is_fill(const struct xf_graph *g, int a) {
  return a != XF_NO_NODE && g->node[a].op == XF_OP_FILL;
}

bool xf_node_same_shape(const struct xf_graph *g, int a, int b) {
  return a != XF_NO_NODE && b != XF_NO_NODE && xf_dim_equal(g->node[a].rows, g->node[b].rows) &&
         xf_dim_equal(g->node[a].cols, g->node[b].cols);
}

int xf_op_as_row(struct xf_graph *g, int v) {
  if (v == XF_NO_NODE || !xf_dim_is(g->node[v].cols, 1)) return v;
  return xf_op_reshape(g, v, XF_DIM(1), g->node[v].rows);
}
