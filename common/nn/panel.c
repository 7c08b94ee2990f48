/*
 * Weights in panels (tensor/panel.h): which parameters of a plan may lie so, and the steps that then read and write them.
 *
 * A parameter may lie in panels when everything that touches it can: the products of layers, their gradients,
 * elementwise operations whose other operands may too, and sums over all its numbers. What is combined elementwise, a
 * parameter and its gradient among it, lies alike or not at all: a union of nodes for which one mark decides.
 */
#include "nn/planimpl.h"

#include "base/alloc.h"

#include <string.h>

/* Beyond this many rows BLAS is as fast; below this many columns most of a vector would be empty. */
enum { ROWS_MAX = 64, COLS_MIN = 8 };

struct packing {
  struct xf_nnplan *p;
  const struct xf_graph *g;
  const bool *need;
  int *up;      /* [g->n] union: towards the root of a node's set */
  bool *bad;    /* [g->n] of a root: something touches the set that knows no panels */
  bool *wanted; /* [g->n] of a root: a layer multiplies with it */
};

static int set_of(const struct packing *k, int y) {
  while (k->up[y] != y) y = k->up[y];
  return y;
}

static void unite(struct packing *k, int a, int b) {
  const int ra = set_of(k, a), rb = set_of(k, b);
  if (ra == rb) return;
  k->up[rb] = ra;
  k->bad[ra] = k->bad[ra] || k->bad[rb];
  k->wanted[ra] = k->wanted[ra] || k->wanted[rb];
}

static void spoil(struct packing *k, int y) { k->bad[set_of(k, y)] = true; }

static bool small(const struct packing *k, struct xf_dim rows) {
  return (uint64_t)rows.n * (rows.sym == XF_SYM_ONE ? 1 : k->p->spec.max[rows.sym]) <= ROWS_MAX;
}

/* y multiplies with the weights w = in[1] from the right. */
static void use_weights(struct packing *k, int y, bool transposed) {
  const struct xf_node *n = &k->g->node[y], *w = &k->g->node[n->in[1]];
  spoil(k, y);
  spoil(k, n->in[0]);
  if (!small(k, n->rows) || w->rows.sym != XF_SYM_ONE || w->cols.sym != XF_SYM_ONE ||
      w->cols.n < COLS_MIN)
    spoil(k, n->in[1]);
  else if (!transposed) k->wanted[set_of(k, n->in[1])] = true;
}

static void look_at(struct packing *k, int y) {
  const struct xf_node *n = &k->g->node[y];
  switch (n->op) {
  case XF_OP_ADD:
  case XF_OP_SUB:
  case XF_OP_MUL:
  case XF_OP_SCALE:
  case XF_OP_DIV_DIM:
    for (int i = 0; i < n->n_in; i++) unite(k, y, n->in[i]);
    return;
  case XF_OP_DENSE:
    use_weights(k, y, false);
    if (n->n_in == 3) spoil(k, n->in[2]);
    return;
  case XF_OP_MATMUL:
    if (!n->attr.ta) use_weights(k, y, n->attr.tb);
    else
      for (int i = 0; i < 2; i++) spoil(k, n->in[i]); /* y = x^T d may be written in panels */
    if (n->attr.ta && n->attr.tb) spoil(k, y);
    return;
  case XF_OP_SUM: spoil(k, y); return;
  case XF_OP_FILL:
  case XF_OP_PARAM: return;
  default:
    spoil(k, y);
    for (int i = 0; i < n->n_in; i++) spoil(k, n->in[i]);
    return;
  }
}

static void look_at_ends(struct packing *k) {
  const struct xf_nnplan *p = k->p;
  for (size_t i = 0; i < p->spec.n_output; i++) spoil(k, p->spec.outputs[i]);
  if (p->spec.train || p->spec.has_loss) spoil(k, p->spec.loss);
  for (size_t i = 0; p->spec.train && i < k->g->n_grad; i++)
    unite(k, k->g->param[i], k->g->grad[i]);
  for (size_t i = 0; p->spec.train && i < k->g->n_update;
       i++) { /* xf_nnplan_apply copies number by number, also into a segment that no step reads */
    spoil(k, k->g->update[i].param);
    spoil(k, k->g->update[i].value);
  }
  for (size_t i = 0; i < p->n_sink; i++)
    if (p->sink[i].rowset >= 0) /* rows of a table are found by number */
      for (size_t j = 0; j < k->g->n_grad; j++)
        if (k->g->grad[j] == p->sink[i].grad) spoil(k, k->g->param[j]);
}

static bool packed(const struct packing *k, int y) {
  const int set = set_of(k, y);
  return k->wanted[set] && !k->bad[set];
}

/* The lit columns of an input are found once a run, for all that multiply with it. */
static int share_lit(struct xf_nnplan *p, int x) {
  if (p->g->node[x].op != XF_OP_INPUT) return -1;
  for (int i = 0; i < p->n_lit; i++)
    if (p->lit[i].node == x) return i;
  if (p->n_lit == XF_LIT_MAX) return -1;
  p->lit[p->n_lit].node = x;
  return p->n_lit++;
}

static void choose_steps(struct packing *k) {
  struct xf_nnplan *p = k->p;
  for (int y = 0; y < k->g->n; y++) {
    const struct xf_node *n = &k->g->node[y];
    struct xf_how *how = &p->how[y];
    how->lit = -1;
    if (!k->need[y]) continue;
    if (n->op == XF_OP_PARAM && packed(k, y)) p->packed[p->n_packed++] = n->attr.index;
    if (n->op != XF_OP_DENSE && n->op != XF_OP_MATMUL) continue;
    if (packed(k, y)) how->kind = XF_HOW_PANEL_DW;
    else if (packed(k, n->in[1]))
      how->kind = n->op == XF_OP_MATMUL && n->attr.tb ? XF_HOW_PANEL_DX : XF_HOW_PANEL_FWD;
    if (how->kind == XF_HOW_PANEL_DW || how->kind == XF_HOW_PANEL_FWD)
      how->lit = share_lit(p, n->in[0]);
    const uint64_t scratch =
        xf_panel_scratch(ROWS_MAX, n->in[0] >= 0 ? k->g->node[n->in[0]].cols.n : 0);
    if (how->kind == XF_HOW_PANEL_DX && scratch > p->n_scratch) p->n_scratch = scratch;
  }
}

/* A gradient that is nothing but the product, of a parameter that is read for the last time at step `after`. */
static void fuse(struct packing *k, size_t i) {
  const int w = k->g->param[i], y = k->g->grad[i];
  struct xf_how *how = &k->p->how[y];
  if (how->kind != XF_HOW_PANEL_DW || k->g->node[w].op != XF_OP_PARAM) return;
  int after = y;
  for (int r = 0; r < k->g->n; r++)
    for (int j = 0; k->need[r] && j < k->g->node[r].n_in; j++) {
      if (k->g->node[r].in[j] == y) return;
      if (k->g->node[r].in[j] == w && r > after) after = r;
    }
  for (size_t j = 0; j < k->g->n_grad; j++)
    if (j != i && k->g->grad[j] == y) return;
  how->kind = XF_HOW_PANEL_SGD;
  how->after = after;
}

void xf_panel_plan(struct xf_nnplan *p, const bool *need) {
  const size_t n = (size_t)p->g->n;
  if (p->spec.mode != XF_NN_FAST || !p->spec.packed) return;
  struct packing k = {.p = p, .g = p->g, .need = need};
  k.up = xf_alloc(n * sizeof *k.up);
  k.bad = xf_calloc(n, sizeof *k.bad);
  k.wanted = xf_calloc(n, sizeof *k.wanted);
  for (int y = 0; y < p->g->n; y++) k.up[y] = y;
  for (int y = 0; y < p->g->n; y++)
    if (need[y]) look_at(&k, y);
  look_at_ends(&k);
  choose_steps(&k);
  for (size_t i = 0; p->spec.train && p->spec.fuse_sgd && i < p->g->n_grad; i++) fuse(&k, i);
  xf_free(k.up);
  xf_free(k.bad);
  xf_free(k.wanted);
}

/* --- running */

void xf_panel_light(struct xf_nnplan *p) {
  const struct xf_kern *k = p->kern;
  for (int i = 0; i < p->n_lit; i++) {
    const struct xf_node *x = &p->g->node[p->lit[i].node];
    p->lit[i].n =
        k->lit(p->lit[i].span, p->input[x->attr.index], (size_t)x->rows.n * p->actual[x->rows.sym],
               (size_t)x->cols.n * p->actual[x->cols.sym]);
  }
}

void xf_panel_run(const struct xf_nnplan *p, int y, const struct xf_kargs *a) {
  const struct xf_kern *k = p->kern;
  const struct xf_how *how = &p->how[y];
  struct xf_panel_shape s = {.B = a->in_R[0], .K = a->in_C[0], .N = a->C};
  if (how->lit >= 0) {
    s.span = p->lit[how->lit].span;
    s.n_span = p->lit[how->lit].n;
  }
  switch (how->kind) {
  case XF_HOW_OP: break;
  case XF_HOW_PANEL_FWD: {
    k->panel_fwd(a->out, a->in[0], a->in[1], a->n_in == 3 ? a->in[2] : NULL, &s);
    struct xf_kargs act = *a;
    act.in[0] = a->out;
    if (p->g->node[y].op == XF_OP_DENSE) xf_op_info(XF_OP_ACT)->run_f(&act);
    break;
  }
  case XF_HOW_PANEL_DX: /* here in[0] is the gradient [B x N] and the output [B x K] */
    s.N = a->in_C[0];
    s.K = a->C;
    k->panel_dx(a->out, a->in[0], a->in[1], a->scratch, &s);
    break;
  case XF_HOW_PANEL_DW: k->panel_dw(a->out, a->in[0], a->in[1], &s); break;
  case XF_HOW_PANEL_SGD:
    k->panel_sgd(p->weights + p->place[y].at, a->in[0], a->in[1], p->lr, &s);
    break;
  }
}

/* --- the flat vector, there and back */

typedef void permute(float *out, const float *w, size_t K, size_t N);

static void each_packed(const struct xf_nnplan *p, float *to, const float *from, permute *f) {
  memcpy(to, from, (size_t)p->g->layout.n * sizeof *to);
  for (size_t i = 0; i < p->n_packed; i++) {
    const struct xf_segment *seg = &p->g->layout.seg[p->packed[i]];
    f(to + seg->offset, from + seg->offset, seg->rows, seg->cols);
  }
}

size_t xf_nnplan_get_packed(const struct xf_nnplan *p) { return p->n_packed; }

void xf_nnplan_pack(const struct xf_nnplan *p, float *to, const float *from) {
  each_packed(p, to, from, ((const struct xf_kern *)p->kern)->to_panels);
}

void xf_nnplan_unpack(const struct xf_nnplan *p, float *to, const float *from) {
  each_packed(p, to, from, ((const struct xf_kern *)p->kern)->from_panels);
}
