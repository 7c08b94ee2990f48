/*
 * The optimisers: one step over dense and row-sparse gradients, and making up the steps a row has missed.
 *
 * Steps are numbered from 1. last[row] is the number of the step after which the row's parameters and
 * moments are what a dense optimiser would hold; 0 = never touched, so its moments are zero.
 */
#include "nn/optim.h"

#include "base/alloc.h"
#include "nn/planimpl.h"

#include <math.h>
#include <string.h>

enum { RING = 1024, CHUNK = 64 };

struct xf_optim {
  struct xf_optim_config c;
  struct xf_layout layout;
  const struct xf_kern *k;
  uint64_t step;                /* made so far */
  float *state;                 /* momentum: [n]; Adam: m [n], v [n] */
  size_t n_state;               /* floats in all */
  uint32_t *last;               /* [rows of all segments]; NULL when steps are never made up */
  size_t *row_base;             /* [n_seg] first row of the segment in last */
  bool *sparse;                 /* [n_seg] has been touched by rows */
  bool *dense;                  /* [n_seg] has been updated whole */
  float alpha[RING], eps[RING]; /* Adam's scalars of step t at t % RING */
};

static const char *const kind_name[] = {
#define XF_OPTIM_TEXT(n, t) t,
    XF_OPTIM_LIST(XF_OPTIM_TEXT)
#undef XF_OPTIM_TEXT
};
enum { N_KIND = sizeof kind_name / sizeof *kind_name };

const char *xf_optim_name(enum xf_optim_kind kind) { return kind_name[kind]; }

enum xf_rc xf_optim_parse(enum xf_optim_kind *out, const char *s, size_t len) {
  for (int i = 0; i < N_KIND; i++)
    if (strlen(kind_name[i]) == len && memcmp(kind_name[i], s, len) == 0) {
      *out = (enum xf_optim_kind)i;
      return XF_OK;
    }
  return XF_E_INVAL;
}

struct xf_optim_config xf_optim_default(enum xf_optim_kind kind, float lr) {
  return (struct xf_optim_config){
      .kind = kind, .lr = lr, .momentum = 0.9f, .beta1 = 0.9f, .beta2 = 0.999f, .eps = 1e-8f};
}

static bool is_adam(enum xf_optim_kind kind) {
  return kind == XF_OPTIM_ADAM || kind == XF_OPTIM_ADAMW;
}

static enum xf_rc check_config(const struct xf_optim_config *c, struct xf_diag *diag) {
  const struct {
    const char *name;
    float v, lo, below;
  } range[] = {{"lr", c->lr, 0, INFINITY},
               {"momentum", c->momentum, 0, 1},
               {"beta1", c->beta1, 0, 1},
               {"beta2", c->beta2, 0, 1},
               {"eps", c->eps, 0, INFINITY},
               {"l2", c->l2, 0, INFINITY},
               {"weight_decay", c->weight_decay, 0, 1}};
  for (size_t i = 0; i < sizeof range / sizeof *range; i++)
    if (!(range[i].v >= range[i].lo && range[i].v < range[i].below))
      return xf_diag_set(diag, XF_E_INVAL, "optimizer %s: %s is %g, must be in [%g, %g)",
                         kind_name[c->kind], range[i].name, (double)range[i].v, (double)range[i].lo,
                         (double)range[i].below);
  if ((is_adam(c->kind) || c->kind == XF_OPTIM_ADAGRAD) && c->eps == 0)
    return xf_diag_set(diag, XF_E_INVAL, "optimizer %s: eps is 0, must be above 0",
                       kind_name[c->kind]);
  if (c->weight_decay > 0 && c->kind != XF_OPTIM_ADAMW)
    return xf_diag_set(diag, XF_E_INVAL, "optimizer %s: weight_decay belongs to adamw; use l2",
                       kind_name[c->kind]);
  return XF_OK;
}

enum xf_rc xf_optim_new(struct xf_optim **out, const struct xf_optim_config *config,
                        const struct xf_layout *layout, struct xf_diag *diag) {
  *out = NULL;
  enum xf_rc rc = check_config(config, diag);
  if (rc) return rc;
  struct xf_optim *o = xf_calloc(1, sizeof *o);
  o->c = *config;
  o->k = xf_kern_get();
  xf_layout_copy(&o->layout, layout);
  o->row_base = xf_calloc(layout->n_seg, sizeof *o->row_base);
  o->sparse = xf_calloc(layout->n_seg, sizeof *o->sparse);
  o->dense = xf_calloc(layout->n_seg, sizeof *o->dense);
  size_t rows = 0;
  for (size_t s = 0; s < layout->n_seg; s++) {
    o->row_base[s] = rows;
    rows += layout->seg[s].rows;
  }
  const size_t moments = config->kind == XF_OPTIM_SGD ? 0 : (is_adam(config->kind) ? 2 : 1);
  o->n_state = moments * (size_t)layout->n;
  bool ok = true;
  if (o->n_state > 0) {
    o->state = xf_try_pages(o->n_state * sizeof *o->state);
    ok = o->state != NULL;
  }
  /* SGD and Adagrad do not move without a gradient */
  if (ok && moments > 0 && config->kind != XF_OPTIM_ADAGRAD && !config->lazy) {
    o->last = xf_try_calloc(rows, sizeof *o->last);
    ok = o->last != NULL || rows == 0;
  }
  if (!ok) {
    xf_optim_free(o);
    return xf_diag_set(diag, XF_E_NOMEM, "no memory for the optimizer's %zu floats", o->n_state);
  }
  *out = o;
  return XF_OK;
}

void xf_optim_free(struct xf_optim *o) {
  if (!o) return;
  if (o->state) xf_free_pages(o->state, o->n_state * sizeof *o->state);
  xf_free(o->last);
  xf_free(o->row_base);
  xf_free(o->sparse);
  xf_free(o->dense);
  xf_layout_deinit(&o->layout);
  xf_free(o);
}

void xf_optim_reset(struct xf_optim *o) {
  o->step = 0;
  if (o->state) memset(o->state, 0, o->n_state * sizeof *o->state);
  const size_t n = o->layout.n_seg;
  if (n == 0) return;
  if (o->last)
    memset(o->last, 0, (o->row_base[n - 1] + o->layout.seg[n - 1].rows) * sizeof *o->last);
  memset(o->sparse, 0, n * sizeof *o->sparse);
  memset(o->dense, 0, n * sizeof *o->dense);
}

float *xf_optim_get_state(struct xf_optim *o, size_t *n) {
  *n = o->n_state;
  return o->state;
}

/* --- one step over n floats at `at` of the flat vector */

/* Adam's two scalars of step t with both bias corrections folded in; double, then rounded once. */
static void adam_scalars(const struct xf_optim *o, uint64_t t, float *alpha, float *eps) {
  const double c1 = 1 - pow((double)o->c.beta1, (double)t),
               c2 = sqrt(1 - pow((double)o->c.beta2, (double)t));
  *alpha = (float)((double)o->c.lr * c2 / c1);
  *eps = (float)((double)o->c.eps * c2);
}

/* Sums of squares in s. */
static void adagrad(float *p, float *s, const float *g, float lr, float eps, size_t n) {
  for (size_t i = 0; i < n; i++) {
    s[i] += g[i] * g[i];
    p[i] -= lr * g[i] / (sqrtf(s[i]) + eps);
  }
}

/* AdamW's shrinking of the parameters; nothing otherwise. */
static void decay(const struct xf_optim *o, float *p, size_t n) {
  if (o->c.kind == XF_OPTIM_ADAMW && o->c.weight_decay > 0)
    o->k->scale(p, p, 1 - o->c.lr * o->c.weight_decay, n);
}

static void update(struct xf_optim *o, float *params, size_t at, float *g, size_t n) {
  const struct xf_optim_config *c = &o->c;
  float *p = params + at;
  if (c->l2 > 0) o->k->axpy(g, c->l2, p, n);
  switch (c->kind) {
  case XF_OPTIM_SGD: o->k->sgd(p, g, c->lr, n); break;
  case XF_OPTIM_MOMENTUM:
  case XF_OPTIM_NESTEROV:
    o->k->momentum(p, o->state + at, g, c->lr, c->momentum, c->kind == XF_OPTIM_NESTEROV, n);
    break;
  case XF_OPTIM_ADAGRAD: adagrad(p, o->state + at, g, c->lr, c->eps, n); break;
  case XF_OPTIM_ADAM:
  case XF_OPTIM_ADAMW:
    decay(o, p, n);
    o->k->adam(p, o->state + at, o->state + o->layout.n + at, g,
               (const float[2]){c->beta1, c->beta2}, o->alpha[o->step % RING],
               o->eps[o->step % RING], n);
    break;
  }
}

/* --- making up missed steps */

/* k idle steps after step `from`. */
static void idle_adam(struct xf_optim *o, float *params, size_t at, size_t n, uint64_t from,
                      uint64_t k) {
  const float beta[2] = {o->c.beta1, o->c.beta2};
  float alpha[CHUNK], eps[CHUNK];
  while (k > 0) {
    const size_t now = k < CHUNK ? (size_t)k : CHUNK;
    for (size_t i = 0; i < now; i++) {
      const uint64_t t = from + 1 + i;
      if (o->step - t < RING) {
        alpha[i] = o->alpha[t % RING];
        eps[i] = o->eps[t % RING];
      } else {
        adam_scalars(o, t, &alpha[i], &eps[i]);
      }
    }
    const size_t at_once =
        o->c.weight_decay > 0 ? 1 : now; /* between the steps of AdamW p shrinks */
    for (size_t i = 0; i < now; i += at_once) {
      decay(o, params + at, n);
      o->k->adam_idle(params + at, o->state + at, o->state + o->layout.n + at, beta, alpha + i,
                      eps + i, at_once, n);
    }
    from += now;
    k -= now;
  }
}

/* Brings one row up to step `upto`. */
static void make_up(struct xf_optim *o, float *params, size_t s, uint32_t row, uint64_t upto) {
  uint32_t *last = &o->last[o->row_base[s] + row];
  /* a row without moments stands still, but for the decay */
  if (*last >= upto || (*last == 0 && o->c.weight_decay <= 0)) return;
  const struct xf_segment *seg = &o->layout.seg[s];
  const size_t at = (size_t)seg->offset + (size_t)row * seg->cols;
  const uint64_t k = upto - *last;
  if (is_adam(o->c.kind)) idle_adam(o, params, at, seg->cols, *last, k);
  else
    o->k->momentum_idle(params + at, o->state + at, o->c.lr, o->c.momentum,
                        o->c.kind == XF_OPTIM_NESTEROV, (size_t)k, seg->cols);
  *last = (uint32_t)upto;
}

void xf_optim_catchup(struct xf_optim *o, float *params) {
  for (size_t s = 0; o->last && s < o->layout.n_seg; s++)
    for (uint32_t r = 0; o->sparse[s] && r < o->layout.seg[s].rows; r++)
      make_up(o, params, s, r, o->step);
}

void xf_optim_set_lr(struct xf_optim *o, float *params, float lr) {
  xf_optim_catchup(o, params);
  o->c.lr = lr;
}

void xf_optim_touch(struct xf_optim *o, float *params, const struct xf_nnplan *p,
                    const uint32_t extent[XF_N_SYM]) {
  if (!o->last || o->step == 0) return;
  for (size_t i = 0; i < p->n_sink; i++) {
    const struct xf_sink *sink = &p->sink[i];
    const size_t s = (size_t)(sink->seg - p->g->layout.seg);
    if (sink->rowset < 0 || !o->sparse[s]) continue;
    const struct xf_rowset *set = &p->rowset[sink->rowset];
    for (int l = 0; l < set->n_leaf; l++) {
      const struct xf_node *n = &p->g->node[set->ids[l]];
      const size_t sym = n->rows.sym == XF_SYM_ONE ? 1 : extent[n->rows.sym];
      const int32_t *ids = p->input[n->attr.index];
      for (size_t j = 0; ids && j < (size_t)n->rows.n * n->cols.n * sym; j++)
        if ((uint32_t)ids[j] < sink->seg->rows) make_up(o, params, s, (uint32_t)ids[j], o->step);
    }
  }
}

/* --- a step */

/* Says that every row of a segment is up to date after step `upto`. */
static void settle(struct xf_optim *o, size_t s, uint64_t upto) {
  for (uint32_t r = 0; r < o->layout.seg[s].rows; r++) o->last[o->row_base[s] + r] = (uint32_t)upto;
}

static void step_rows(struct xf_optim *o, float *params, size_t s,
                      const struct xf_grad_piece *piece) {
  const struct xf_segment *seg = &o->layout.seg[s];
  if (o->last && o->dense[s] && !o->sparse[s]) settle(o, s, o->step - 1);
  o->sparse[s] = true;
  for (uint32_t u = 0; u < piece->n_row; u++) {
    const uint32_t r = piece->row[u];
    if (o->last) {
      make_up(o, params, s, r, o->step - 1);
      o->last[o->row_base[s] + r] = (uint32_t)o->step;
    }
    update(o, params, (size_t)seg->offset + (size_t)r * seg->cols, piece->g + (size_t)u * seg->cols,
           seg->cols);
  }
}

/* Before a dense gradient of a segment that may have been touched by rows. */
static void before_dense(struct xf_optim *o, float *params, size_t s) {
  o->dense[s] = true;
  if (!o->last || !o->sparse[s]) return;
  for (uint32_t r = 0; r < o->layout.seg[s].rows; r++) make_up(o, params, s, r, o->step - 1);
  settle(o, s, o->step);
}

void xf_optim_step(struct xf_optim *o, float *params, const struct xf_grad_piece *piece,
                   size_t n_piece) {
  o->step++;
  if (is_adam(o->c.kind))
    adam_scalars(o, o->step, &o->alpha[o->step % RING], &o->eps[o->step % RING]);
  for (size_t i = 0; i < n_piece;) {
    const struct xf_grad_piece *first = &piece[i];
    const size_t s = (size_t)(xf_layout_find(&o->layout, first->seg->name) - o->layout.seg);
    if (first->row) {
      step_rows(o, params, s, first);
      i++;
      continue;
    }
    size_t n = 0; /* dense neighbours go in one pass */
    do {
      before_dense(o, params, s + (size_t)(piece[i].seg - first->seg));
      n += (size_t)piece[i].seg->rows * piece[i].seg->cols;
      i++;
    } while (i < n_piece && !piece[i].row && piece[i].g == first->g + n &&
             piece[i].seg->offset == first->seg->offset + n);
    update(o, params, (size_t)first->seg->offset, first->g, n);
  }
}
