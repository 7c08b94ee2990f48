/*
 * Planning: which nodes are needed, where gradients go, how long each tensor lives, which bytes it gets.
 *
 * Memory is first fit over live blocks in execution order. Views (reshape, parameters, inputs) have no
 * memory of their own: everything about them is asked of their root.
 */
#include "nn/planimpl.h"

#include "base/alloc.h"
#include "base/assert.h"

#include <inttypes.h>
#include <string.h>

enum { ALIGN = 64 };
#define NUMBERS_MAX ((uint64_t)INT32_MAX) /* in one tensor: BLAS counts in int */
#define FOREVER INT32_MAX

/* What planning knows and running does not. */
struct planner {
  struct xf_nnplan *p;
  const struct xf_graph *g;
  struct xf_diag *diag;
  bool *need;  /* [g->n] */
  int *last;   /* [g->n] of a root: last step that reads it */
  size_t *len; /* [g->n] bytes at most */
  int *live;   /* roots that hold memory, ascending by offset */
  int n_live;
};

static int root_of(const struct xf_graph *g, int node) {
  while (g->node[node].op == XF_OP_RESHAPE) node = g->node[node].in[0];
  return node;
}

/* --- what was asked */

static enum xf_rc check_spec(const struct planner *pl) {
  const struct xf_nnplan_spec *s = &pl->p->spec;
  const struct xf_graph *g = pl->g;
  if (s->n_output > XF_NN_OUT_MAX)
    return xf_diag_set(pl->diag, XF_E_LIMIT, "%zu outputs, at most %d", s->n_output, XF_NN_OUT_MAX);
  for (size_t i = 0; i < s->n_output; i++) {
    const int y = s->outputs[i];
    if (y < 0 || y >= g->n || g->node[y].ints)
      return xf_diag_set(pl->diag, XF_E_INVAL, "output %zu (node %d) is not a float node", i, y);
  }
  if (s->train && g->loss == XF_NO_NODE)
    return xf_diag_set(pl->diag, XF_E_STATE, "a training plan needs xf_graph_backward first");
  if (s->train && s->loss != g->loss)
    return xf_diag_set(pl->diag, XF_E_INVAL,
                       "the plan's loss is node %d, xf_graph_backward was given node %d", s->loss,
                       g->loss);
  if (!s->train && !s->has_loss) return XF_OK;
  if (s->loss < 0 || s->loss >= g->n || !xf_dim_is(g->node[s->loss].rows, 1) ||
      !xf_dim_is(g->node[s->loss].cols, 1))
    return xf_diag_set(pl->diag, XF_E_SHAPE, "the loss (node %d) is not a [1 x 1] node", s->loss);
  return XF_OK;
}

static bool is_output(const struct xf_nnplan_spec *s, const struct xf_graph *g, int root) {
  for (size_t i = 0; i < s->n_output; i++)
    if (root_of(g, s->outputs[i]) == root) return true;
  return false;
}

/* --- gradients: dense or row-sparse */

/* Collects the scatter-adds that a gradient is the sum of; false when it is anything else. */
static bool collect_leaves(const struct xf_graph *g, int grad, struct xf_rowset *set, int *x) {
  const struct xf_node *n = &g->node[grad];
  if (n->op == XF_OP_ADD)
    return collect_leaves(g, n->in[0], set, x) && collect_leaves(g, n->in[1], set, x);
  if (n->op != XF_OP_SCATTER_ADD || g->node[n->in[0]].op != XF_OP_IDS || set->n_leaf == XF_LEAF_MAX)
    return false;
  set->ids[set->n_leaf] = n->in[0];
  x[set->n_leaf++] = n->in[1];
  return true;
}

/* The number of a row set with these ids for a table of `rows` rows; tables gathered alike share one. */
static int share_rowset(struct xf_nnplan *p, const struct xf_rowset *want) {
  for (size_t i = 0; i < p->n_rowset; i++) {
    struct xf_rowset *have = &p->rowset[i];
    if (have->n_leaf == want->n_leaf && have->max_row == want->max_row &&
        memcmp(have->ids, want->ids, (size_t)want->n_leaf * sizeof *want->ids) == 0)
      return (int)i;
  }
  p->rowset[p->n_rowset] = *want;
  return (int)p->n_rowset++;
}

static uint64_t max_of(const struct xf_nnplan *p, struct xf_dim d) {
  return (uint64_t)d.n * (d.sym == XF_SYM_ONE ? 1 : p->spec.max[d.sym]);
}

static enum xf_rc plan_sink(struct planner *pl, size_t i) {
  struct xf_nnplan *p = pl->p;
  const struct xf_graph *g = pl->g;
  struct xf_sink sink = {
      .seg = &g->layout.seg[g->node[g->param[i]].attr.index], .grad = g->grad[i], .rowset = -1};
  struct xf_rowset set = {.n_leaf = 0};
  if (!p->spec.dense_grads && p->spec.mode != XF_NN_REF64 &&
      collect_leaves(g, sink.grad, &set, sink.x)) {
    uint64_t pos = 0;
    for (int l = 0; l < set.n_leaf; l++)
      pos += max_of(p, g->node[set.ids[l]].rows) * max_of(p, g->node[set.ids[l]].cols);
    if (pos > NUMBERS_MAX)
      return xf_diag_set(pl->diag, XF_E_LIMIT, "more than %d ids in one run", INT32_MAX);
    set.max_pos = (uint32_t)pos;
    set.max_row = pos < sink.seg->rows ? (uint32_t)pos : sink.seg->rows;
    sink.rowset = share_rowset(p, &set);
  }
  size_t at = p->n_sink++;
  for (; at > 0 && p->sink[at - 1].seg->offset > sink.seg->offset; at--)
    p->sink[at] = p->sink[at - 1];
  p->sink[at] = sink;
  return XF_OK;
}

/* --- which nodes are needed */

static void need_rec(struct planner *pl) {
  for (int y = pl->g->n - 1; y >= 0; y--) {
    const struct xf_node *n = &pl->g->node[y];
    for (int k = 0; pl->need[y] && k < n->n_in; k++) pl->need[n->in[k]] = true;
  }
  for (int y = 0; y < pl->g->n; y++) /* second outputs are written anyway */
    for (int k = 1; pl->need[y] && k < xf_op_n_out(pl->g->node[y].op); k++) pl->need[y + k] = true;
}

static void mark_need(struct planner *pl) {
  const struct xf_nnplan *p = pl->p;
  for (size_t i = 0; i < p->spec.n_output; i++) pl->need[p->spec.outputs[i]] = true;
  if (p->spec.train || p->spec.has_loss) pl->need[p->spec.loss] = true;
  for (size_t i = 0; i < p->n_sink; i++) {
    const struct xf_sink *s = &p->sink[i];
    if (s->rowset < 0) pl->need[s->grad] = true;
    for (int l = 0; s->rowset >= 0 && l < p->rowset[s->rowset].n_leaf; l++) {
      pl->need[s->x[l]] = true;
      pl->need[p->rowset[s->rowset].ids[l]] = true;
    }
  }
  for (size_t i = 0; p->spec.train && i < pl->g->n_update; i++)
    pl->need[pl->g->update[i].value] = true;
  need_rec(pl);
}

static enum xf_rc size_node(struct planner *pl, int y) {
  struct xf_nnplan *p = pl->p;
  const struct xf_node *n = &pl->g->node[y];
  const struct xf_dim dim[3] = {n->rows, n->cols, n->attr.dim};
  for (int d = 0; d < 3; d++) {
    p->sym_used[dim[d].sym] = true;
    if (dim[d].sym != XF_SYM_ONE && p->spec.max[dim[d].sym] == 0)
      return xf_diag_set(pl->diag, XF_E_INVAL,
                         "node %d has symbolic extent %d but the plan gives no maximum for it", y,
                         (int)dim[d].sym);
  }
  const uint64_t rows = max_of(p, n->rows), cols = max_of(p, n->cols);
  char text[XF_NODE_TEXT];
  if (rows > NUMBERS_MAX || cols > NUMBERS_MAX || rows * cols > NUMBERS_MAX)
    return xf_diag_set(pl->diag, XF_E_LIMIT,
                       "node %d, %s, would have %" PRIu64 " x %" PRIu64
                       " numbers, at most %" PRIu64,
                       y, xf_graph_describe(pl->g, y, text), rows, cols, NUMBERS_MAX);
  pl->len[y] = (rows * cols * p->real + ALIGN - 1) / ALIGN * ALIGN;
  return XF_OK;
}

/* Adds node y to the steps; what it reads is read until now. */
static void add_step(struct planner *pl, int y) {
  struct xf_nnplan *p = pl->p;
  const struct xf_node *n = &pl->g->node[y];
  for (int k = 0; k < n->n_in; k++) pl->last[root_of(pl->g, n->in[k])] = p->n_step;
  if (!xf_op_info(n->op)->run_f) return;
  const uint64_t scratch = xf_op_scratch(pl->g, n);
  if (scratch > p->n_scratch) p->n_scratch = scratch;
  p->step[p->n_step++] = y;
}

/* Steps in node order, but updates in place after the last reader; sizes, the last use of every root. */
static enum xf_rc plan_steps(struct planner *pl) {
  struct xf_nnplan *p = pl->p;
  const struct xf_graph *g = pl->g;
  for (int y = 0; y < g->n; y++) {
    if (!pl->need[y]) continue;
    enum xf_rc rc = size_node(pl, y);
    if (rc) return rc;
    const struct xf_node *n = &g->node[y];
    if (p->how[y].kind != XF_HOW_PANEL_SGD) add_step(pl, y);
    for (int u = 0; p->spec.fuse_sgd && u <= y; u++)
      if (p->how[u].kind == XF_HOW_PANEL_SGD && p->how[u].after == y) add_step(pl, u);
    if (n->op == XF_OP_INPUT || n->op == XF_OP_IDS) p->input_used[n->attr.index] = true;
  }
  for (size_t i = 0; i < p->spec.n_output; i++) pl->last[root_of(g, p->spec.outputs[i])] = FOREVER;
  if (p->spec.train || p->spec.has_loss) pl->last[root_of(g, p->spec.loss)] = FOREVER;
  for (size_t i = 0; p->spec.train && i < g->n_update; i++)
    pl->last[root_of(g, g->update[i].value)] = FOREVER;
  for (size_t i = 0; i < p->n_sink; i++) {
    const struct xf_sink *s = &p->sink[i];
    if (s->rowset < 0) pl->last[root_of(g, s->grad)] = FOREVER;
    for (int l = 0; s->rowset >= 0 && l < p->rowset[s->rowset].n_leaf; l++)
      pl->last[root_of(g, s->x[l])] = FOREVER;
  }
  return XF_OK;
}

/* --- where everything lies */

static void place_leaves(struct planner *pl) {
  struct xf_nnplan *p = pl->p;
  const struct xf_graph *g = pl->g;
  for (int y = 0; y < g->n; y++) {
    const struct xf_node *n = &g->node[y];
    if (n->op == XF_OP_PARAM)
      p->place[y] = (struct xf_place){XF_AT_PARAM, (size_t)g->layout.seg[n->attr.index].offset};
    if (n->op == XF_OP_INPUT || n->op == XF_OP_IDS)
      p->place[y] = (struct xf_place){XF_AT_INPUT, n->attr.index};
  }
  for (size_t i = 0; i < p->n_sink; i++) { /* a dense gradient is computed right where it belongs */
    const int root = root_of(g, p->sink[i].grad);
    if (p->how[root].kind == XF_HOW_PANEL_SGD)
      p->place[root] = (struct xf_place){XF_AT_PARAM, (size_t)p->sink[i].seg->offset};
    if (p->sink[i].rowset >= 0 || p->place[root].kind != XF_AT_NOWHERE ||
        is_output(&p->spec, g, root))
      continue;
    p->place[root] = (struct xf_place){XF_AT_GRAD, (size_t)p->sink[i].seg->offset};
  }
}

/* Gives root y the first gap that is large enough. */
static void allocate(struct planner *pl, int y) {
  struct xf_nnplan *p = pl->p;
  if (p->place[y].kind != XF_AT_NOWHERE) return;
  size_t at = 0;
  int i = 0;
  for (; i < pl->n_live; i++) {
    const size_t next = p->place[pl->live[i]].at;
    if (next - at >= pl->len[y]) break;
    at = next + pl->len[pl->live[i]];
  }
  memmove(pl->live + i + 1, pl->live + i, (size_t)(pl->n_live - i) * sizeof *pl->live);
  pl->live[i] = y;
  pl->n_live++;
  p->place[y] = (struct xf_place){XF_AT_ARENA, at};
  p->unshared_len += pl->len[y];
  if (at + pl->len[y] > p->tensor_len) p->tensor_len = at + pl->len[y];
}

static void release_dead(struct planner *pl, int step) {
  int n = 0;
  for (int i = 0; i < pl->n_live; i++)
    if (pl->last[pl->live[i]] > step || pl->p->spec.no_reuse) pl->live[n++] = pl->live[i];
  pl->n_live = n;
}

static void place_tensors(struct planner *pl) {
  struct xf_nnplan *p = pl->p;
  place_leaves(pl);
  for (int i = 0; i < p->n_step; i++) {
    const int y = p->step[i];
    allocate(pl, y);
    for (int k = 1; k < xf_op_n_out(pl->g->node[y].op); k++) allocate(pl, y + k);
    release_dead(pl, i);
  }
  for (int y = 0; y < pl->g->n; y++) p->place[y] = p->place[root_of(pl->g, y)];
}

/* --- ids */

/* Input number in - 1 of a node must lie below; each check is made once. */
static void plan_id_check(struct xf_nnplan *p, const struct xf_node *n, int in,
                          struct xf_dim below) {
  const int ids = n->in[in - 1];
  if (p->g->node[ids].op != XF_OP_IDS) return; /* computed, so right by construction */
  for (size_t i = 0; i < p->n_id_check; i++)
    if (p->id_check[i].ids == ids && xf_dim_equal(p->id_check[i].below, below)) return;
  p->id_check[p->n_id_check++] = (struct xf_id_check){ids, below};
}

static void plan_id_checks(struct planner *pl) {
  for (int y = 0; y < pl->g->n; y++) {
    const struct xf_node *n = &pl->g->node[y];
    const struct xf_op_info *info = xf_op_info(n->op);
    if (pl->need[y] && info->ids_in)
      plan_id_check(pl->p, n, info->ids_in, info->ids_below(pl->g, n));
    if (pl->need[y] && info->ids2_in)
      plan_id_check(pl->p, n, info->ids2_in, info->ids2_below(pl->g, n));
  }
}

/* --- memory: tensors first, then scratch, then what row-sparse gradients keep */

static size_t reserve(size_t *len, uint64_t n, size_t size) {
  const size_t at = *len;
  *len += (size_t)((n * size + ALIGN - 1) / ALIGN * ALIGN);
  return at;
}

/* Walks over what is no tensor: once to add it up (base NULL), once to hand it out. */
static size_t lay_out_rest(struct xf_nnplan *p, uint8_t *base) {
  size_t len = p->tensor_len;
  const size_t scratch = reserve(&len, p->n_scratch, p->real);
  if (base) p->scratch = base + scratch;
  for (size_t i = 0; i < p->n_rowset; i++) {
    struct xf_rowset *s = &p->rowset[i];
    const size_t key = reserve(&len, s->max_pos, sizeof *s->key),
                 key2 = reserve(&len, s->max_pos, sizeof *s->key2);
    const size_t row = reserve(&len, s->max_row, sizeof *s->row);
    const size_t start = reserve(&len, (uint64_t)s->max_row + 1, sizeof *s->start);
    if (!base) continue;
    s->key = (uint64_t *)(void *)(base + key);
    s->key2 = (uint64_t *)(void *)(base + key2);
    s->row = (uint32_t *)(void *)(base + row);
    s->start = (uint32_t *)(void *)(base + start);
  }
  for (size_t i = 0; i < p->n_sink; i++) {
    struct xf_sink *s = &p->sink[i];
    if (s->rowset < 0) continue;
    const size_t g =
        reserve(&len, (uint64_t)p->rowset[s->rowset].max_row * s->seg->cols, sizeof *s->g);
    if (base) s->g = (float *)(void *)(base + g);
  }
  return len;
}

static enum xf_rc allocate_arena(struct planner *pl) {
  struct xf_nnplan *p = pl->p;
  p->arena_len = lay_out_rest(p, NULL) + ALIGN;
  p->arena = xf_try_pages(p->arena_len);
  if (!p->arena)
    return xf_diag_set(pl->diag, XF_E_NOMEM,
                       "no memory for a plan of %zu bytes; lower the batch size", p->arena_len);
  (void)lay_out_rest(p, p->arena);
  return XF_OK;
}

static enum xf_rc make_plan(struct planner *pl) {
  struct xf_nnplan *p = pl->p;
  enum xf_rc rc = check_spec(pl);
  for (size_t i = 0; !rc && p->spec.train && i < pl->g->n_grad; i++) rc = plan_sink(pl, i);
  if (rc) return rc;
  mark_need(pl);
  xf_panel_plan(p, pl->need);
  rc = plan_steps(pl);
  if (rc) return rc;
  place_tensors(pl);
  plan_id_checks(pl);
  return allocate_arena(pl);
}

enum xf_rc xf_nnplan_new(struct xf_nnplan **out, const struct xf_graph *g,
                         const struct xf_nnplan_spec *spec, struct xf_diag *diag) {
  *out = NULL;
  enum xf_rc rc = xf_graph_check(g, diag);
  if (rc) return rc;
  const size_t n = (size_t)g->n;
  struct xf_nnplan *p = xf_calloc(1, sizeof *p);
  p->g = g;
  p->spec = *spec;
  p->real = spec->mode == XF_NN_REF64 ? sizeof(double) : sizeof(float);
  p->kern = spec->mode == XF_NN_FAST ? (const void *)xf_kern_get()
                                     : (spec->mode == XF_NN_REF ? (const void *)&xf_kern_ref
                                                                : (const void *)&xf_kern_ref64);
  p->step = xf_calloc(n, sizeof *p->step);
  p->place = xf_calloc(n, sizeof *p->place);
  p->how = xf_calloc(n, sizeof *p->how);
  p->packed = xf_calloc(g->layout.n_seg + 1, sizeof *p->packed);
  p->id_check = xf_calloc(2 * n, sizeof *p->id_check);
  p->rowset = xf_calloc(g->n_grad, sizeof *p->rowset);
  p->sink = xf_calloc(g->n_grad, sizeof *p->sink);
  p->piece = xf_calloc(g->n_grad, sizeof *p->piece);
  struct planner pl = {.p = p, .g = g, .diag = diag};
  pl.need = xf_calloc(n, sizeof *pl.need);
  pl.last = xf_calloc(n, sizeof *pl.last);
  pl.len = xf_calloc(n, sizeof *pl.len);
  pl.live = xf_calloc(n + 1, sizeof *pl.live);
  rc = make_plan(&pl);
  xf_free(pl.need);
  xf_free(pl.last);
  xf_free(pl.len);
  xf_free(pl.live);
  if (rc) xf_nnplan_free(p);
  else *out = p;
  return rc;
}

void xf_nnplan_free(struct xf_nnplan *p) {
  if (!p) return;
  if (p->arena) xf_free_pages(p->arena, p->arena_len);
  xf_free(p->step);
  xf_free(p->place);
  xf_free(p->how);
  xf_free(p->packed);
  xf_free(p->id_check);
  xf_free(p->rowset);
  xf_free(p->sink);
  xf_free(p->piece);
  xf_free(p);
}
