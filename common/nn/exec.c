/* Running a plan: check what the caller gave, call the kernels in order, gather gradients, check the loss. */
#include "nn/planimpl.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

void xf_nnplan_set_input(struct xf_nnplan *plan, int node, const void *data) {
  plan->input[plan->g->node[node].attr.index] = data;
}

void xf_nnplan_set_seed(struct xf_nnplan *plan, uint64_t seed) { plan->seed = seed; }

static size_t extent(const struct xf_nnplan *p, struct xf_dim d) {
  return (size_t)d.n * p->actual[d.sym];
}

static size_t count(const struct xf_nnplan *p, int node) {
  const struct xf_node *n = &p->g->node[node];
  return extent(p, n->rows) * extent(p, n->cols);
}

/* --- checks */

static enum xf_rc check_extents(struct xf_nnplan *p, const uint32_t *actual, struct xf_diag *diag) {
  static const char *const name[XF_N_SYM] = {
#define XF_SYM_TEXT(n, t) t,
      XF_SYM_LIST(XF_SYM_TEXT)
#undef XF_SYM_TEXT
  };
  for (int s = 0; s < XF_N_SYM; s++) {
    p->actual[s] = s == XF_SYM_ONE ? 1 : actual[s];
    if (p->sym_used[s] && s != XF_SYM_ONE && actual[s] > p->spec.max[s])
      return xf_diag_set(diag, XF_E_LIMIT, "extent %s is %" PRIu32 ", planned for at most %" PRIu32,
                         name[s], actual[s], p->spec.max[s]);
  }
  return XF_OK;
}

static enum xf_rc check_inputs(const struct xf_nnplan *p, struct xf_diag *diag) {
  for (uint32_t i = 0; i < p->g->n_input; i++)
    if (p->input_used[i] && !p->input[i] && count(p, p->g->input[i].node) > 0)
      return xf_diag_set(diag, XF_E_INVAL, "input \"%s\" was not set before the run",
                         p->g->input[i].name);
  for (size_t c = 0; c < p->n_id_check; c++) {
    const uint32_t input = p->g->node[p->id_check[c].ids].attr.index;
    const int32_t *ids = p->input[input];
    const size_t n = count(p, p->id_check[c].ids), below = extent(p, p->id_check[c].below);
    for (size_t i = 0; i < n; i++)
      if ((uint32_t)ids[i] >= below)
        return xf_diag_set(diag, XF_E_RANGE,
                           "input \"%s\": id %" PRId32 " at position %zu is not in [0, %zu)",
                           p->g->input[input].name, ids[i], i, below);
  }
  return XF_OK;
}

/* --- running */

/* Pointers are to const because parameters and inputs are; outputs never lie there. */
static const void *at(const struct xf_nnplan *p, int node) {
  const struct xf_place *place = &p->place[node];
  switch (place->kind) {
  case XF_AT_ARENA: return p->arena + place->at;
  case XF_AT_PARAM: return p->params + place->at * p->real;
  case XF_AT_GRAD: return p->grad + place->at * p->real;
  case XF_AT_INPUT: return p->input[place->at] ? p->input[place->at] : p->arena; /* empty */
  case XF_AT_NOWHERE: break;
  }
  return NULL;
}

static void *at_out(const struct xf_nnplan *p, int node) {
  const struct xf_place *place = &p->place[node];
  return place->kind == XF_AT_GRAD ? p->grad + place->at * p->real : p->arena + place->at;
}

static void run_node(const struct xf_nnplan *p, int y) {
  const struct xf_node *n = &p->g->node[y];
  struct xf_kargs a = {.k = p->kern,
                       .out = at_out(p, y),
                       .R = extent(p, n->rows),
                       .C = extent(p, n->cols),
                       .attr = &n->attr,
                       .n_in = n->n_in,
                       .divisor = (double)extent(p, n->attr.dim),
                       .seed = p->seed,
                       .scratch = p->scratch};
  a.out_k[0] = a.out;
  for (int k = 1; k < xf_op_n_out(n->op); k++) a.out_k[k] = at_out(p, y + k);
  for (int k = 0; k < n->n_in; k++) {
    const struct xf_node *in = &p->g->node[n->in[k]];
    a.in[k] = at(p, n->in[k]);
    a.in_R[k] = extent(p, in->rows);
    a.in_C[k] = extent(p, in->cols);
  }
  if (p->how[y].kind != XF_HOW_OP) xf_panel_run(p, y, &a);
  else if (p->spec.mode == XF_NN_REF64) xf_op_info(n->op)->run_d(&a);
  else xf_op_info(n->op)->run_f(&a);
}

static void build_rowsets(struct xf_nnplan *p) {
  for (size_t s = 0; s < p->n_rowset; s++) {
    struct xf_rowset *set = &p->rowset[s];
    const int32_t *ids[XF_LEAF_MAX];
    uint32_t n[XF_LEAF_MAX];
    for (int l = 0; l < set->n_leaf; l++) {
      ids[l] = p->input[p->g->node[set->ids[l]].attr.index];
      n[l] = (uint32_t)count(p, set->ids[l]);
    }
    xf_rowset_build(set, ids, n);
  }
}

static void fill_sinks(struct xf_nnplan *p) {
  build_rowsets(p);
  p->n_piece = 0;
  for (size_t i = 0; i < p->n_sink; i++) {
    struct xf_sink *s = &p->sink[i];
    if (s->rowset < 0 && p->how[s->grad].kind == XF_HOW_PANEL_SGD) continue;
    const size_t n = (size_t)s->seg->rows * s->seg->cols;
    uint8_t *flat = p->grad + s->seg->offset * p->real;
    if (s->rowset >= 0) {
      const struct xf_rowset *set = &p->rowset[s->rowset];
      const float *x[XF_LEAF_MAX];
      for (int l = 0; l < set->n_leaf; l++) x[l] = at(p, s->x[l]);
      xf_rowset_sum(set, p->kern, s->g, x, s->seg->cols);
      p->piece[p->n_piece++] = (struct xf_grad_piece){s->seg, set->row, set->n_row, s->g};
      continue;
    }
    const void *from = at(p, s->grad);
    if (from != flat) memcpy(flat, from, n * p->real);
    p->piece[p->n_piece++] =
        (struct xf_grad_piece){s->seg, NULL, s->seg->rows, (float *)(void *)flat};
  }
}

static enum xf_rc read_loss(struct xf_nnplan *p, struct xf_diag *diag) {
  const void *loss = at(p, p->spec.loss);
  if (p->spec.mode == XF_NN_REF64) p->loss = *(const double *)loss;
  else p->loss = (double)*(const float *)loss;
  if (isfinite(p->loss)) return XF_OK;
  return xf_diag_set(diag, XF_E_NAN,
                     "the loss is %s (B = %" PRIu32 "); the input has a NaN or infinity, or the "
                     "learning rate is too large",
                     isnan(p->loss) ? "NaN" : "infinite", p->actual[XF_SYM_B]);
}

static enum xf_rc run(struct xf_nnplan *p, const uint32_t *actual, struct xf_diag *diag) {
  if (p->spec.train && !p->grad)
    return xf_diag_set(diag, XF_E_INVAL, "a training run needs a gradient vector");
  enum xf_rc rc = check_extents(p, actual, diag);
  if (!rc) rc = check_inputs(p, diag);
  if (rc) return rc;
  xf_panel_light(p);
  for (int i = 0; i < p->n_step; i++) run_node(p, p->step[i]);
  if (p->spec.train) fill_sinks(p);
  return p->spec.train || p->spec.has_loss ? read_loss(p, diag) : XF_OK;
}

enum xf_rc xf_nnplan_run(struct xf_nnplan *p, const float *params, float *grad,
                         const uint32_t actual[XF_N_SYM], struct xf_diag *diag) {
  if (p->spec.mode == XF_NN_REF64)
    return xf_diag_set(diag, XF_E_STATE, "a double plan runs with xf_nnplan_run64");
  if (p->spec.fuse_sgd)
    return xf_diag_set(diag, XF_E_STATE, "a plan with fuse_sgd runs with xf_nnplan_run_sgd");
  p->params = (const uint8_t *)params;
  p->grad = (uint8_t *)grad;
  return run(p, actual, diag);
}

enum xf_rc xf_nnplan_run_sgd(struct xf_nnplan *p, float *params, float *grad, float lr,
                             const uint32_t actual[XF_N_SYM], struct xf_diag *diag) {
  if (!p->spec.fuse_sgd || p->spec.mode != XF_NN_FAST)
    return xf_diag_set(diag, XF_E_STATE,
                       "only a fast plan with fuse_sgd runs with xf_nnplan_run_sgd");
  p->params = (const uint8_t *)params;
  p->weights = params;
  p->lr = lr;
  p->grad = (uint8_t *)grad;
  return run(p, actual, diag);
}

enum xf_rc xf_nnplan_run64(struct xf_nnplan *p, const double *params, double *grad,
                           const uint32_t actual[XF_N_SYM], struct xf_diag *diag) {
  if (p->spec.mode != XF_NN_REF64)
    return xf_diag_set(diag, XF_E_STATE, "a float plan runs with xf_nnplan_run");
  p->params = (const uint8_t *)params;
  p->grad = (uint8_t *)grad;
  return run(p, actual, diag);
}

/* --- results */

double xf_nnplan_get_loss(const struct xf_nnplan *p) { return p->loss; }

const void *xf_nnplan_get(const struct xf_nnplan *p, int node, uint32_t *rows, uint32_t *cols) {
  for (size_t i = 0; i < p->spec.n_output; i++) {
    if (p->spec.outputs[i] != node) continue;
    if (rows) *rows = (uint32_t)extent(p, p->g->node[node].rows);
    if (cols) *cols = (uint32_t)extent(p, p->g->node[node].cols);
    return at(p, node);
  }
  return NULL;
}

const struct xf_grad_piece *xf_nnplan_get_pieces(const struct xf_nnplan *p, size_t *n) {
  *n = p->spec.mode == XF_NN_REF64 ? 0 : p->n_piece;
  return p->piece;
}

size_t xf_nnplan_get_bytes(const struct xf_nnplan *p, size_t *without_reuse) {
  if (without_reuse) *without_reuse = p->unshared_len;
  return p->tensor_len;
}

void xf_nnplan_apply(const struct xf_nnplan *p, float *params) {
  for (size_t i = 0; p->spec.train && i < p->g->n_update; i++) {
    const struct xf_graph_update *u = &p->g->update[i];
    const struct xf_segment *seg = &p->g->layout.seg[p->g->node[u->param].attr.index];
    memcpy(params + seg->offset, at(p, u->value), (size_t)seg->rows * seg->cols * sizeof *params);
  }
}
