/*
 * The rules of each operation side by side: its shape, and its derivative as operations.
 *
 * A derivative gets d loss / d output (`go`) and gives d loss / d input by calling builders, so that it is
 * itself part of the graph and can be differentiated again. @source Griewank & Walther 2008, ch. 3
 */
#include "nn/optable.h"

#define ROWS(k) (g->node[n->in[k]].rows)
#define COLS(k) (g->node[n->in[k]].cols)

/* --- checking shapes: each failure says what it got */

static bool fail_shape(struct xf_graph *g, const struct xf_node *n, const char *need) {
  char a[XF_NODE_TEXT] = "", b[XF_NODE_TEXT] = "", c[XF_NODE_TEXT] = "";
  if (n->n_in > 0) xf_graph_describe(g, n->in[0], a);
  if (n->n_in > 1) xf_graph_describe(g, n->in[1], b);
  if (n->n_in > 2) xf_graph_describe(g, n->in[2], c);
  return xf_graph_fail(g, XF_E_SHAPE, "%s(%s%s%s%s%s): %s", xf_op_info(n->op)->name, a,
                       *b ? ", " : "", b, *c ? ", " : "", c, need);
}

static bool is_ids(const struct xf_graph *g, int node) { return g->node[node].op == XF_OP_IDS; }

/* Ids may stand only where `ids_at` says (-1: nowhere). */
static bool check_ids(struct xf_graph *g, const struct xf_node *n, int ids_at) {
  for (int k = 0; k < n->n_in; k++)
    if (is_ids(g, n->in[k]) != (k == ids_at))
      return fail_shape(g, n, k == ids_at ? "needs an ids input here" : "cannot compute with ids");
  return true;
}

static bool set(struct xf_node *n, struct xf_dim rows, struct xf_dim cols) {
  n->rows = rows;
  n->cols = cols;
  return true;
}

static bool shape_given(struct xf_graph *g, struct xf_node *n) {
  if (n->rows.sym < XF_N_SYM && n->cols.sym < XF_N_SYM) return true;
  return fail_shape(g, n, "unknown symbol in an extent");
}

static bool shape_same1(struct xf_graph *g, struct xf_node *n) {
  return check_ids(g, n, -1) && set(n, ROWS(0), COLS(0));
}

static bool shape_same2(struct xf_graph *g, struct xf_node *n) {
  if (!check_ids(g, n, -1)) return false;
  if (!xf_dim_equal(ROWS(0), ROWS(1)) || !xf_dim_equal(COLS(0), COLS(1)))
    return fail_shape(g, n, "needs two equal shapes");
  return set(n, ROWS(0), COLS(0));
}

static bool shape_proj(struct xf_graph *g, struct xf_node *n) {
  const struct xf_node *src = &g->node[n->in[0]];
  if (xf_op_info(src->op)->n_out < 2) return fail_shape(g, n, "has no second output");
  return set(n, g->node[src->in[0]].rows, g->node[src->in[0]].cols);
}

/* n of the product of two extents and its symbols must agree: only B x C against C x B style changes of a
   constant factor, or a swap, are reshapes that hold for every B. */
static bool shape_reshape(struct xf_graph *g, struct xf_node *n) {
  const struct xf_dim a = ROWS(0), b = COLS(0);
  const bool symbols = (a.sym == n->rows.sym && b.sym == n->cols.sym) ||
                       (a.sym == n->cols.sym && b.sym == n->rows.sym);
  if (!symbols || (uint64_t)a.n * b.n != (uint64_t)n->rows.n * n->cols.n)
    return fail_shape(g, n, "must keep the number of elements for every extent");
  return check_ids(g, n, -1);
}

static bool shape_div_dim(struct xf_graph *g, struct xf_node *n) {
  if (n->attr.dim.sym >= XF_N_SYM) return fail_shape(g, n, "unknown symbol in the divisor");
  return shape_same1(g, n);
}

static bool shape_matmul(struct xf_graph *g, struct xf_node *n) {
  if (!check_ids(g, n, -1)) return false;
  const struct xf_dim ka = n->attr.ta ? ROWS(0) : COLS(0), kb = n->attr.tb ? COLS(1) : ROWS(1);
  if (!xf_dim_equal(ka, kb))
    return fail_shape(g, n,
                      n->attr.ta || n->attr.tb
                          ? "inner extents differ (after transposing)"
                          : "columns of the first must equal rows of the second");
  return set(n, n->attr.ta ? COLS(0) : ROWS(0), n->attr.tb ? ROWS(1) : COLS(1));
}

static bool shape_dense(struct xf_graph *g, struct xf_node *n) {
  if (!check_ids(g, n, -1)) return false;
  if (!xf_dim_equal(COLS(0), ROWS(1))) return fail_shape(g, n, "columns of x must equal rows of w");
  if (n->n_in == 3 && (!xf_dim_is(ROWS(2), 1) || !xf_dim_equal(COLS(2), COLS(1))))
    return fail_shape(g, n, "the bias must have one number per column of w");
  return set(n, ROWS(0), COLS(1));
}

static bool shape_bias_add(struct xf_graph *g, struct xf_node *n) {
  if (!check_ids(g, n, -1)) return false;
  if (!xf_dim_is(ROWS(1), 1) || !xf_dim_equal(COLS(1), COLS(0)))
    return fail_shape(g, n, "the bias must have one number per column of x");
  return set(n, ROWS(0), COLS(0));
}

/* The number of ids of an ids input [n x k] as an extent. */
static struct xf_dim ids_count(const struct xf_graph *g, int ids) {
  const struct xf_node *n = &g->node[ids];
  return (struct xf_dim){n->rows.n * n->cols.n, n->rows.sym};
}

static bool shape_gather(struct xf_graph *g, struct xf_node *n) {
  return check_ids(g, n, 1) && set(n, ids_count(g, n->in[1]), COLS(0));
}

static bool shape_scatter_add(struct xf_graph *g, struct xf_node *n) {
  if (!check_ids(g, n, 0)) return false;
  if (!xf_dim_equal(ids_count(g, n->in[0]), ROWS(1)))
    return fail_shape(g, n, "needs one row per id");
  return set(n, n->rows, COLS(1));
}

static bool shape_row_dot(struct xf_graph *g, struct xf_node *n) {
  return shape_same2(g, n) && set(n, ROWS(0), XF_DIM(1));
}

static bool shape_row_scale(struct xf_graph *g, struct xf_node *n) {
  if (!check_ids(g, n, -1)) return false;
  if (!xf_dim_equal(ROWS(0), ROWS(1)) || !xf_dim_is(COLS(1), 1))
    return fail_shape(g, n, "needs one factor per row");
  return set(n, ROWS(0), COLS(0));
}

static bool shape_sum(struct xf_graph *g, struct xf_node *n) {
  return check_ids(g, n, -1) && set(n, XF_DIM(1), XF_DIM(1));
}
static bool shape_sum_rows(struct xf_graph *g, struct xf_node *n) {
  return check_ids(g, n, -1) && set(n, XF_DIM(1), COLS(0));
}
static bool shape_sum_cols(struct xf_graph *g, struct xf_node *n) {
  return check_ids(g, n, -1) && set(n, ROWS(0), XF_DIM(1));
}

static bool shape_broadcast(struct xf_graph *g, struct xf_node *n) {
  if (!check_ids(g, n, -1)) return false;
  const bool rows = xf_dim_is(ROWS(0), 1) || xf_dim_equal(ROWS(0), n->rows);
  const bool cols = xf_dim_is(COLS(0), 1) || xf_dim_equal(COLS(0), n->cols);
  return (rows && cols) || fail_shape(g, n, "only a scalar, a row or a column can be repeated");
}

static bool shape_softmax_ce(struct xf_graph *g, struct xf_node *n) {
  if (!check_ids(g, n, 1)) return false;
  if (!xf_dim_equal(ROWS(0), ROWS(1)) || !xf_dim_is(COLS(1), 1) || xf_dim_is(COLS(0), 0))
    return fail_shape(g, n, "needs one class number per row of logits");
  return set(n, ROWS(0), XF_DIM(1));
}

static bool shape_xent_grad(struct xf_graph *g, struct xf_node *n) {
  if (!check_ids(g, n, 1)) return false;
  if (!xf_dim_equal(ROWS(0), ROWS(1)) || !xf_dim_equal(ROWS(0), ROWS(2)) || !xf_dim_is(COLS(2), 1))
    return fail_shape(g, n, "needs one class number and one factor per row");
  return set(n, ROWS(0), COLS(0));
}

/* --- derivatives. `n` is a copy: builders may move the node array. */

#define VJP(name) static void vjp_##name(struct xf_graph *g, int y, const int *gout, int *gin)
#define NODE const struct xf_node node = g->node[y], *const n = &node
#define UNUSED ((void)g, (void)y, (void)gout, (void)gin)

VJP(none) { UNUSED; }

VJP(reshape) {
  NODE;
  gin[0] = xf_op_reshape(g, gout[0], ROWS(0), COLS(0));
}
VJP(add) {
  (void)g, (void)y;
  gin[0] = gin[1] = gout[0];
}
VJP(sub) {
  (void)y;
  gin[0] = gout[0];
  gin[1] = xf_op_neg(g, gout[0]);
}
VJP(mul) {
  NODE;
  gin[0] = xf_op_mul(g, gout[0], n->in[1]);
  gin[1] = xf_op_mul(g, gout[0], n->in[0]);
}
VJP(div) { /* d(a/b) = da/b - y db/b */
  NODE;
  gin[0] = xf_op_div(g, gout[0], n->in[1]);
  gin[1] = xf_op_neg(g, xf_op_mul(g, gin[0], y));
}
VJP(scale) { gin[0] = xf_op_scale(g, gout[0], g->node[y].attr.alpha); }
VJP(div_dim) { gin[0] = xf_op_div_dim(g, gout[0], g->node[y].attr.dim); }
VJP(exp) { gin[0] = xf_op_mul(g, gout[0], y); }
VJP(log) { gin[0] = xf_op_div(g, gout[0], g->node[y].in[0]); }
VJP(sqrt) { gin[0] = xf_op_div(g, xf_op_scale(g, gout[0], 0.5), y); }
VJP(softplus) { gin[0] = xf_op_mul(g, gout[0], xf_op_sigmoid(g, g->node[y].in[0])); }
VJP(act) { gin[0] = xf_op_act_grad(g, gout[0], y, g->node[y].attr.act); }
VJP(act_grad) { /* of g0 act'(x) in terms of a = act(x): relu' constant; tanh' = 1-a^2; sigmoid' = a(1-a) */
  NODE;
  const enum xf_act act = n->attr.act;
  const int a = n->in[1];
  gin[0] = xf_op_act_grad(g, gout[0], a, act);
  if (act == XF_ACT_RELU) return;
  const int h = xf_op_mul(g, gout[0], n->in[0]);
  const int ha2 = xf_op_scale(g, xf_op_mul(g, h, a), -2);
  gin[1] = act == XF_ACT_TANH ? ha2 : xf_op_add(g, h, ha2);
}
VJP(bce) { /* d/dz = sigmoid(z) - t, d/dt = -z */
  NODE;
  gin[0] = xf_op_mul(g, gout[0], xf_op_sub(g, xf_op_sigmoid(g, n->in[0]), n->in[1]));
  gin[1] = xf_op_neg(g, xf_op_mul(g, gout[0], n->in[0]));
}
VJP(matmul) { /* y = A B: dA = dy B^T, dB = A^T dy, with the transposes folded in */
  NODE;
  const int a = n->in[0], b = n->in[1], go = gout[0];
  const bool ta = n->attr.ta, tb = n->attr.tb;
  gin[0] = ta ? xf_op_matmul(g, b, go, tb, true) : xf_op_matmul(g, go, b, false, !tb);
  gin[1] = tb ? xf_op_matmul(g, go, a, true, ta) : xf_op_matmul(g, a, go, !ta, false);
}
VJP(dense) {
  NODE;
  const int d = xf_op_act_grad(g, gout[0], y, n->attr.act);
  gin[0] = xf_op_matmul(g, d, n->in[1], false, true);
  gin[1] = xf_op_matmul(g, n->in[0], d, true, false);
  if (n->n_in == 3) gin[2] = xf_op_sum_rows(g, d);
}
VJP(bias_add) {
  (void)y;
  gin[0] = gout[0];
  gin[1] = xf_op_sum_rows(g, gout[0]);
}
VJP(gather) {
  NODE;
  gin[0] = xf_op_scatter_add(g, n->in[1], gout[0], ROWS(0));
}
VJP(scatter_add) { gin[1] = xf_op_gather(g, gout[0], g->node[y].in[0]); }
VJP(row_dot) {
  NODE;
  gin[0] = xf_op_row_scale(g, n->in[1], gout[0]);
  gin[1] = xf_op_row_scale(g, n->in[0], gout[0]);
}
VJP(row_scale) {
  NODE;
  gin[0] = xf_op_row_scale(g, gout[0], n->in[1]);
  gin[1] = xf_op_row_dot(g, gout[0], n->in[0]);
}
VJP(sum) { /* also sum_rows and sum_cols */
  NODE;
  gin[0] = xf_op_broadcast(g, gout[0], ROWS(0), COLS(0));
}
VJP(broadcast) {
  NODE;
  const bool rows = !xf_dim_equal(ROWS(0), n->rows), cols = !xf_dim_equal(COLS(0), n->cols);
  gin[0] = rows && cols ? xf_op_sum(g, gout[0])
                        : (rows ? xf_op_sum_rows(g, gout[0]) : xf_op_sum_cols(g, gout[0]));
}
/* p = softmax(z): dz = p (dp - sum_c dp p) */
static int softmax_vjp(struct xf_graph *g, int p, int dp) {
  return xf_op_sub(g, xf_op_mul(g, dp, p), xf_op_row_scale(g, p, xf_op_row_dot(g, dp, p)));
}
VJP(softmax) { gin[0] = softmax_vjp(g, y, gout[0]); }
VJP(softmax_ce) {
  NODE;
  const int p = y + 1; /* xf_op_softmax_ce adds the projection right behind */
  if (gout[0] != XF_NO_NODE) gin[0] = xf_op_xent_grad(g, p, n->in[1], gout[0]);
  if (gout[1] == XF_NO_NODE) return;
  const int dz = softmax_vjp(g, p, gout[1]);
  gin[0] = gout[0] == XF_NO_NODE ? dz : xf_op_add(g, gin[0], dz);
}
VJP(xent_grad) { /* y = s (p - onehot) per row */
  NODE;
  const int one = xf_graph_fill(g, n->rows, XF_DIM(1), 1);
  gin[0] = xf_op_row_scale(g, gout[0], n->in[2]);
  gin[2] = xf_op_row_dot(g, gout[0], xf_op_xent_grad(g, n->in[0], n->in[1], one));
}

/* --- the table */

static const struct xf_op_info table[XF_N_OP] = {
#define XF_OP_ROW(n, text, lo, hi, outs, shape, vjp, run) \
  {text, lo, hi, outs, shape_##shape, vjp_##vjp},
    XF_OP_LIST(XF_OP_ROW)
#undef XF_OP_ROW
};

const struct xf_op_info *xf_op_info(enum xf_op op) { return &table[op]; }
