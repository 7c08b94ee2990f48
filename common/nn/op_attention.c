/*
 * Self-attention of one head with causal and padding masks, fused; its gradient, fused; the same from primitives (lowered).
 *
 * Rows are sequence-major: row b*T + t is position t of sequence b. Position t sees position s when both are unmasked and, if
 * causal, s <= t. A masked position, and one that sees nothing, gives zeros and no gradient.
 * @source Vaswani et al. 2017, eq. 1; Kang & McAuley 2018 (causal, padded)
 */
#ifndef RUN
#include "nn/lowered.h"

#include <math.h>

/* inputs of both; P [B*T x T]: the weights. attr: k[0] T, k[1] causal, alpha the scale */
enum { QUERY, KEY, VALUE, MASK, P, UP };

/* What a masked weight is lowered by before softmax; its exp is 0. */
static const double hidden = 1e9;

static struct xf_dim two(const struct xf_graph *g, const struct xf_node *n) {
  (void)g, (void)n;
  return XF_DIM(2);
}

/* --- shapes */

static bool shape_attention(struct xf_graph *g, struct xf_node *n) {
  if (!xf_shape_check_ids(g, n, MASK)) return false;
  const struct xf_dim rows = ROWS(QUERY);
  const uint32_t T = n->attr.k[0];
  if (!xf_dim_equal(rows, ROWS(KEY)) || !xf_dim_equal(rows, ROWS(VALUE)) ||
      !xf_dim_equal(COLS(QUERY), COLS(KEY)))
    return xf_shape_fail(g, n, "needs q and k of one shape and a row of v for each of theirs");
  if (T == 0 || rows.n % T != 0)
    return xf_shape_fail(g, n, "needs a multiple of T rows (sequence-major)");
  if (!xf_dim_equal(rows, ROWS(MASK)) || !xf_dim_is(COLS(MASK), 1))
    return xf_shape_fail(g, n, "needs one number of the mask per row");
  return xf_shape_set(n, rows, COLS(VALUE));
}

static bool proj_attention(struct xf_graph *g, const struct xf_node *n, struct xf_node *proj) {
  return xf_shape_set(proj, ROWS(QUERY), XF_DIM(n->attr.k[0]));
}

static bool shape_attention_grad(struct xf_graph *g, struct xf_node *n) {
  return shape_attention(g, n) && xf_shape_set(n, ROWS(QUERY), COLS(QUERY));
}

static bool proj_attention_grad(struct xf_graph *g, const struct xf_node *n, struct xf_node *proj) {
  if (proj->attr.index == 3) return proj_attention(g, n, proj);
  const int of = proj->attr.index == 1 ? KEY : VALUE;
  return xf_shape_set(proj, ROWS(of), COLS(of));
}

/* --- from primitives */

static int lower(struct xf_graph *g, const int *x, const struct xf_attr *attr) {
  const uint32_t T = attr->k[0];
  const struct xf_dim rows = g->node[x[QUERY]].rows;
  const int mask = xf_op_mask(g, x[MASK]);
  int sees = xf_op_batch_matmul(g, mask, mask, T, T, false, true);
  if (attr->k[1]) sees = xf_op_mul(g, sees, xf_op_causal(g, rows, T));
  const int hide = xf_op_scale(g, xf_op_sub(g, sees, xf_graph_fill(g, rows, XF_DIM(T), 1)), hidden);
  const int scores =
      xf_op_scale(g, xf_op_batch_matmul(g, x[QUERY], x[KEY], T, T, false, true), attr->alpha);
  const int p = xf_op_mul(g, xf_op_softmax(g, xf_op_add(g, scores, hide)), sees);
  return xf_op_batch_matmul(g, p, x[VALUE], T, T, false, false);
}

/* --- derivatives */

VJP(attention) {
  NODE;
  if (gout[1] != XF_NO_NODE) {
    (void)xf_graph_fail(
        g, XF_E_UNSUPPORTED,
        "attention: its weights have no derivative; build it with xf_op_attention_lowered");
    return;
  }
  const int d = xf_graph_add_outputs(
      g,
      (struct xf_node){.op = XF_OP_ATTENTION_GRAD,
                       .n_in = 6,
                       .in = {n->in[QUERY], n->in[KEY], n->in[VALUE], n->in[MASK], y + 1, gout[0]},
                       .attr = n->attr});
  if (d == XF_NO_NODE) return;
  gin[QUERY] = d;
  gin[KEY] = d + 1;
  gin[VALUE] = d + 2;
}

VJP(attention_grad) {
  static const struct xf_lowered what = {.lower = lower,
                                         .n_x = 4,
                                         .ids = MASK,
                                         .n_out = 3,
                                         .of = {QUERY, KEY, VALUE},
                                         .name = "attention"};
  xf_vjp_lowered(g, y, gout, gin, &what);
}

/* --- builders */

int xf_op_attention(struct xf_graph *g, const struct xf_attention_in *in) {
  if (in->q == XF_NO_NODE) return XF_NO_NODE;
  const double scale = 1 / sqrt((double)g->node[in->q].cols.n);
  return xf_graph_add_outputs(
      g, (struct xf_node){.op = XF_OP_ATTENTION,
                          .n_in = 4,
                          .in = {in->q, in->k, in->v, in->mask},
                          .attr = {.alpha = scale, .k = {in->T, in->causal ? 1 : 0}}});
}

int xf_op_attention_lowered(struct xf_graph *g, const struct xf_attention_in *in) {
  /* the fused one checks the shapes; unused, it costs nothing when run */
  const int y = xf_op_attention(g, in);
  if (y == XF_NO_NODE) return y;
  const struct xf_attr attr = g->node[y].attr;
  return lower(g, (const int[4]){in->q, in->k, in->v, in->mask}, &attr);
}

/* --- the table */

#define XF_SELF "nn/op_attention.c"
#include "nn/op_both.inc"

/* out, weights */
XF_OP(ATTENTION, .name = "attention", .min_in = 4, .max_in = 4, .n_out = 2, .ids_in = MASK + 1,
      .ids_below = two, .shape = shape_attention, .proj = proj_attention, .vjp = vjp_attention,
      XF_KERNEL(attention));
/* d q, d k, d v; and d scores, which the kernel needs room for */
XF_OP(ATTENTION_GRAD, .name = "attention_grad", .min_in = 6, .max_in = 6, .n_out = 4,
      .ids_in = MASK + 1, .ids_below = two, .shape = shape_attention_grad,
      .proj = proj_attention_grad, .vjp = vjp_attention_grad, XF_KERNEL(attention_grad));

#else /* kernels: float, then double */

/* Scores of one row [T] become its weights; what it may not see becomes 0. */
static void RUN(weigh)(const struct K *k, xf_real *p, const int32_t *mask, size_t n, size_t T) {
  xf_real top = 0;
  bool any = false;
  for (size_t c = 0; c < n; c++)
    if (mask[c] && (!any || p[c] > top)) {
      top = p[c];
      any = true;
    }
  if (!any) {
    memset(p, 0, T * sizeof *p);
    return;
  }
  for (size_t c = 0; c < n; c++) p[c] = mask[c] ? p[c] - top : 0;
  k->exp(p, p, n);
  for (size_t c = 0; c < n; c++) p[c] = mask[c] ? p[c] : 0;
  k->scale(p, p, 1 / k->sum(p, n), n);
  memset(p + n, 0, (T - n) * sizeof *p);
}

static void RUN(attention)(const struct xf_kargs *a) {
  const size_t T = a->attr->k[0], d = a->in_C[QUERY], dv = a->C, n_seq = a->R / T;
  const struct xf_gemm s = {.m = T, .n = T, .k = d, .tb = true, .alpha = a->attr->alpha};
  const struct xf_gemm v = {.m = T, .n = dv, .k = T, .alpha = 1};
  for (size_t b = 0; b < n_seq; b++) {
    const int32_t *mask = IDS(a, MASK) + b * T;
    xf_real *p = OUTK(a, 1) + b * T * T;
    TABLE(a)->gemm(p, IN(a, QUERY) + b * T * d, IN(a, KEY) + b * T * d, &s);
    for (size_t t = 0; t < T; t++) {
      if (mask[t]) RUN(weigh)(TABLE(a), p + t * T, mask, a->attr->k[1] ? t + 1 : T, T);
      else memset(p + t * T, 0, T * sizeof *p);
    }
    TABLE(a)->gemm(OUT(a) + b * T * dv, p, IN(a, VALUE) + b * T * dv, &v);
  }
}

static void RUN(attention_grad)(const struct xf_kargs *a) {
  const size_t T = a->attr->k[0], d = a->C, dv = a->in_C[VALUE], n_seq = a->R / T;
  const double scale = a->attr->alpha;
  const struct xf_gemm sp = {.m = T, .n = T, .k = dv, .tb = true, .alpha = 1};
  const struct xf_gemm sv = {.m = T, .n = dv, .k = T, .ta = true, .alpha = 1};
  const struct xf_gemm sq = {.m = T, .n = d, .k = T, .alpha = scale};
  const struct xf_gemm sk = {.m = T, .n = d, .k = T, .ta = true, .alpha = scale};
  for (size_t b = 0; b < n_seq; b++) {
    const xf_real *p = IN(a, P) + b * T * T, *up = IN(a, UP) + b * T * dv;
    xf_real *ds = OUTK(a, 3) + b * T * T;
    TABLE(a)->gemm(ds, up, IN(a, VALUE) + b * T * dv, &sp);
    for (size_t t = 0; t < T; t++) {
      const xf_real *pt = p + t * T;
      xf_real *dt = ds + t * T;
      const xf_real dot = TABLE(a)->dot(pt, dt, T);
      for (size_t c = 0; c < T; c++) dt[c] = pt[c] * (dt[c] - dot);
    }
    TABLE(a)->gemm(OUT(a) + b * T * d, ds, IN(a, KEY) + b * T * d, &sq);
    TABLE(a)->gemm(OUTK(a, 1) + b * T * d, ds, IN(a, QUERY) + b * T * d, &sk);
    TABLE(a)->gemm(OUTK(a, 2) + b * T * dv, p, up, &sv);
  }
}

#endif
