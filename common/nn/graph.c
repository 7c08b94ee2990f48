/* The graph: nodes with sharing of equal ones, leaves, the first error, printing. */
#include "nn/optable.h"

#include "base/alloc.h"
#include "base/assert.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct xf_graph *xf_graph_new(const struct xf_layout *layout) {
  struct xf_graph *g = xf_calloc(1, sizeof *g);
  xf_layout_copy(&g->layout, layout);
  xf_diag_init(&g->diag);
  g->loss = XF_NO_NODE;
  return g;
}

void xf_graph_free(struct xf_graph *g) {
  if (!g) return;
  xf_layout_deinit(&g->layout);
  xf_free(g->node);
  xf_free(g->param);
  xf_free(g->grad);
  xf_free(g->update);
  xf_free(g);
}

bool xf_graph_fail(struct xf_graph *g, enum xf_rc rc, const char *fmt, ...) {
  if (g->diag.rc) return false;
  char text[XF_DIAG_LEN];
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(text, sizeof text, fmt, ap);
  va_end(ap);
  (void)xf_diag_set(&g->diag, rc, "%s", text);
  return false;
}

enum xf_rc xf_graph_check(const struct xf_graph *g, struct xf_diag *diag) {
  return g->diag.rc ? xf_diag_set(diag, g->diag.rc, "%s", g->diag.text) : XF_OK;
}

int xf_graph_count(const struct xf_graph *g) { return g->n; }

void xf_graph_get_shape(const struct xf_graph *g, int node, struct xf_dim *rows,
                        struct xf_dim *cols) {
  XF_ASSERT(node >= 0 && node < g->n);
  *rows = g->node[node].rows;
  *cols = g->node[node].cols;
}

/* --- text */

static const char *const sym_name[XF_N_SYM] = {
#define XF_SYM_TEXT(n, t) t,
    XF_SYM_LIST(XF_SYM_TEXT)
#undef XF_SYM_TEXT
};
static const char *const act_name[] = {
#define XF_ACT_TEXT(n, t) t,
    XF_ACT_LIST(XF_ACT_TEXT)
#undef XF_ACT_TEXT
};

enum { DIM_TEXT = 24 };
static const char *dim_text(struct xf_dim d, char out[DIM_TEXT]) {
  if (d.sym == XF_SYM_ONE) snprintf(out, DIM_TEXT, "%u", d.n);
  else if (d.n == 1) snprintf(out, DIM_TEXT, "%s", sym_name[d.sym]);
  else snprintf(out, DIM_TEXT, "%u%s", d.n, sym_name[d.sym]);
  return out;
}

/* The name of an input or parameter, else "". */
static const char *leaf_name(const struct xf_graph *g, const struct xf_node *n) {
  if (n->op == XF_OP_INPUT || n->op == XF_OP_IDS) return g->input[n->attr.index].name;
  return n->op == XF_OP_PARAM ? g->layout.seg[n->attr.index].name : "";
}

const char *xf_graph_describe(const struct xf_graph *g, int node, char out[XF_NODE_TEXT]) {
  const struct xf_node *n = &g->node[node];
  char r[DIM_TEXT], c[DIM_TEXT];
  const char *name = leaf_name(g, n);
  snprintf(out, XF_NODE_TEXT, "%s%s%s [%s x %s]", xf_op_info(n->op)->name, *name ? " " : "", name,
           dim_text(n->rows, r), dim_text(n->cols, c));
  return out;
}

enum xf_rc xf_graph_print(const struct xf_graph *g, struct xf_buf *out) {
  for (int i = 0; i < g->n; i++) {
    const struct xf_node *n = &g->node[i];
    char text[XF_NODE_TEXT];
    enum xf_rc rc = xf_buf_printf(out, "%d %s", i, xf_graph_describe(g, i, text));
    if (!rc && n->attr.act) rc = xf_buf_printf(out, " %s", act_name[n->attr.act]);
    for (int k = 0; k < n->n_in && !rc; k++)
      rc = xf_buf_printf(out, "%s%d", k ? " " : " <- ", n->in[k]);
    if (!rc) rc = xf_buf_put_str(out, "\n");
    if (rc) return rc;
  }
  return XF_OK;
}

/* --- nodes */

static bool attr_equal(const struct xf_attr *a, const struct xf_attr *b) {
  return a->alpha == b->alpha && xf_dim_equal(a->dim, b->dim) && a->index == b->index &&
         a->act == b->act && a->ta == b->ta && a->tb == b->tb &&
         memcmp(a->k, b->k, sizeof a->k) == 0;
}

static bool node_equal(const struct xf_node *a, const struct xf_node *b) {
  if (a->op != b->op || a->n_in != b->n_in || !xf_dim_equal(a->rows, b->rows) ||
      !xf_dim_equal(a->cols, b->cols) || !attr_equal(&a->attr, &b->attr))
    return false;
  for (int k = 0; k < a->n_in; k++)
    if (a->in[k] != b->in[k]) return false;
  return true;
}

/* An equal node that exists; it cannot be older than its own inputs. */
static int find_equal(const struct xf_graph *g, const struct xf_node *n) {
  int oldest = 0;
  for (int k = 0; k < n->n_in; k++)
    if (n->in[k] > oldest) oldest = n->in[k];
  for (int i = g->n - 1; i >= oldest; i--)
    if (node_equal(&g->node[i], n)) return i;
  return XF_NO_NODE;
}

int xf_graph_add(struct xf_graph *g, struct xf_node node) {
  const struct xf_op_info *info = xf_op_info(node.op);
  XF_ASSERT(node.n_in >= info->min_in && node.n_in <= info->max_in);
  for (int k = 0; k < node.n_in; k++) {
    if (node.in[k] == XF_NO_NODE) { /* after an error, or a caller's mistake */
      (void)xf_graph_fail(g, XF_E_INVAL, "%s: input %d is not a node", info->name, k);
      return XF_NO_NODE;
    }
    XF_ASSERT(node.in[k] >= 0 && node.in[k] < g->n);
  }
  if (g->diag.rc || !info->shape(g, &node)) return XF_NO_NODE;
  const int same = find_equal(g, &node);
  if (same != XF_NO_NODE) return same;
  if (g->n == XF_NODE_MAX) {
    (void)xf_graph_fail(g, XF_E_LIMIT, "the graph has more than %d nodes", XF_NODE_MAX);
    return XF_NO_NODE;
  }
  if (g->n == g->cap) {
    g->cap = g->cap ? 2 * g->cap : 64;
    g->node = xf_realloc_array(g->node, (size_t)g->cap, sizeof *g->node);
  }
  g->node[g->n] = node;
  return g->n++;
}

int xf_graph_add_outputs(struct xf_graph *g, struct xf_node node) {
  const int y = xf_graph_add(g, node);
  for (int k = 1; y != XF_NO_NODE && k < xf_op_n_out(node.op); k++) {
    const struct xf_node proj = {
        .op = XF_OP_PROJ, .n_in = 1, .in = {y}, .attr = {.index = (uint32_t)k}};
    if (xf_graph_add(g, proj) == XF_NO_NODE) return XF_NO_NODE;
  }
  return y;
}

/* --- leaves */

static int add_input(struct xf_graph *g, enum xf_op op, const char *name, struct xf_dim rows,
                     uint32_t cols) {
  if (g->diag.rc) return XF_NO_NODE;
  if (g->n_input == XF_GRAPH_INPUT_MAX || strlen(name) >= XF_NAME_MAX) {
    (void)xf_graph_fail(g, XF_E_LIMIT,
                        "input \"%s\": more than %d inputs or a name of %d characters", name,
                        XF_GRAPH_INPUT_MAX, XF_NAME_MAX);
    return XF_NO_NODE;
  }
  if (xf_graph_find_input(g, name) != XF_NO_NODE) {
    (void)xf_graph_fail(g, XF_E_EXISTS, "input \"%s\" is declared twice", name);
    return XF_NO_NODE;
  }
  struct xf_graph_input *input = &g->input[g->n_input];
  const struct xf_node n = {
      .op = op, .rows = rows, .cols = XF_DIM(cols), .attr = {.index = g->n_input}};
  snprintf(input->name, sizeof input->name, "%s", name);
  input->node = xf_graph_add(g, n);
  if (input->node != XF_NO_NODE) g->n_input++;
  return input->node;
}

int xf_graph_input(struct xf_graph *g, const char *name, struct xf_dim rows, uint32_t cols) {
  return add_input(g, XF_OP_INPUT, name, rows, cols);
}

int xf_graph_ids(struct xf_graph *g, const char *name, struct xf_dim rows, uint32_t cols) {
  return add_input(g, XF_OP_IDS, name, rows, cols);
}

int xf_graph_find_input(const struct xf_graph *g, const char *name) {
  for (uint32_t i = 0; i < g->n_input; i++)
    if (strcmp(g->input[i].name, name) == 0) return g->input[i].node;
  return XF_NO_NODE;
}

int xf_graph_param(struct xf_graph *g, const char *segment) {
  const struct xf_segment *seg = xf_layout_find(&g->layout, segment);
  if (!seg) {
    (void)xf_graph_fail(g, XF_E_NOTFOUND, "the layout has no segment \"%s\"", segment);
    return XF_NO_NODE;
  }
  return xf_graph_add(g, (struct xf_node){.op = XF_OP_PARAM,
                                          .rows = XF_DIM(seg->rows),
                                          .cols = XF_DIM(seg->cols),
                                          .attr = {.index = (uint32_t)(seg - g->layout.seg)}});
}

int xf_graph_fill(struct xf_graph *g, struct xf_dim rows, struct xf_dim cols, double value) {
  return xf_graph_add(
      g, (struct xf_node){.op = XF_OP_FILL, .rows = rows, .cols = cols, .attr = {.alpha = value}});
}

const char *xf_graph_get_update(const struct xf_graph *g) {
  return g->n_update ? g->layout.seg[g->node[g->update[0].param].attr.index].name : NULL;
}

void xf_graph_update(struct xf_graph *g, const char *segment, int value) {
  const int param = xf_graph_param(g, segment);
  if (param == XF_NO_NODE || value == XF_NO_NODE) return;
  const struct xf_node *p = &g->node[param], *v = &g->node[value];
  char a[XF_NODE_TEXT], b[XF_NODE_TEXT];
  for (size_t i = 0; i < g->n_update; i++)
    if (g->update[i].param == param) {
      (void)xf_graph_fail(g, XF_E_EXISTS, "segment \"%s\" is updated twice", segment);
      return;
    }
  if (v->ints || !xf_dim_equal(p->rows, v->rows) || !xf_dim_equal(p->cols, v->cols)) {
    (void)xf_graph_fail(g, XF_E_SHAPE, "update: %s cannot become %s",
                        xf_graph_describe(g, param, a), xf_graph_describe(g, value, b));
    return;
  }
  g->update = xf_realloc_array(g->update, g->n_update + 1, sizeof *g->update);
  g->update[g->n_update++] = (struct xf_graph_update){param, value};
}
