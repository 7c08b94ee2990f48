/*
 * LSTM over T steps of B sequences, fused; its gradient, fused; the same from primitives (lowered).
 *
 * Rows are time-major: row t*B + b is step t of sequence b. Gates lie i, f, g, o; c' = f c + i g, h' = o tanh(c').
 * Where the mask is 0 the step is skipped: h and c stay what they were (a sequence without any step gives h0, and no gradient
 * but to h0 and c0). Steps behind the last unmasked row of a block are not computed, so sorting a batch by length pays.
 * @source Hochreiter & Schmidhuber 1997; Gers et al. 2000 (forget gate)
 */
#ifndef RUN
#include "nn/lowered.h"

/* inputs of both; SAVED is [T*B x 5H]: the gates [T*B x 4H], then c [T*B x H] */
enum { XP, U, MASK, H0, C0, HS, SAVED, UP };

static struct xf_dim two(const struct xf_graph *g, const struct xf_node *n) {
  (void)g, (void)n;
  return XF_DIM(2);
}

/* --- shapes */

static bool shape_lstm(struct xf_graph *g, struct xf_node *n) {
  if (!xf_shape_check_ids(g, n, MASK)) return false;
  const struct xf_dim B = ROWS(H0), H = COLS(H0);
  const uint32_t T = B.n ? ROWS(XP).n / B.n : 0;
  if (H.sym != XF_SYM_ONE || H.n == 0 || !xf_dim_equal(B, ROWS(C0)) || !xf_dim_equal(H, COLS(C0)))
    return xf_shape_fail(g, n, "needs h0 and c0 of one shape [B x H]");
  if (!xf_dim_is(ROWS(U), H.n) || !xf_dim_is(COLS(U), 4 * H.n) || !xf_dim_is(COLS(XP), 4 * H.n))
    return xf_shape_fail(g, n, "needs x and u with 4 H columns and u with H rows");
  if (ROWS(XP).sym != B.sym || T == 0 || T * B.n != ROWS(XP).n)
    return xf_shape_fail(g, n, "needs T rows of x for each row of h0");
  if (!xf_dim_equal(ROWS(MASK), ROWS(XP)) || !xf_dim_is(COLS(MASK), 1))
    return xf_shape_fail(g, n, "needs one number of the mask per row of x");
  n->attr.k[0] = T;
  return xf_shape_set(n, ROWS(XP), H);
}

static bool proj_lstm(struct xf_graph *g, const struct xf_node *n, struct xf_node *proj) {
  return xf_shape_set(proj, ROWS(XP), XF_DIM(5 * COLS(H0).n));
}

static bool shape_lstm_grad(struct xf_graph *g, struct xf_node *n) {
  return shape_lstm(g, n) && xf_shape_set(n, ROWS(XP), COLS(XP));
}

static bool proj_lstm_grad(struct xf_graph *g, const struct xf_node *n, struct xf_node *proj) {
  const int of = proj->attr.index == 1 ? U : proj->attr.index == 2 ? H0 : C0;
  return xf_shape_set(proj, ROWS(of), COLS(of));
}

/* --- from primitives */

/* Columns of gate k. */
static int gate(struct xf_graph *g, int z, uint32_t k, uint32_t H, enum xf_act act) {
  return xf_op_act(g, xf_op_slice_cols(g, z, k * H, H), act);
}

/* m a + (1 - m) b per row */
static int choose(struct xf_graph *g, int m, int a, int b) {
  return xf_op_add(g, b, xf_op_row_scale(g, xf_op_sub(g, a, b), m));
}

static int lower(struct xf_graph *g, const int *x, const struct xf_attr *attr) {
  const struct xf_dim B = g->node[x[H0]].rows;
  const uint32_t H = g->node[x[H0]].cols.n;
  const int mask = xf_op_mask(g, x[MASK]);
  int h = x[H0], c = x[C0], hs = XF_NO_NODE;
  for (uint32_t t = 0; t < attr->k[0]; t++) {
    const struct xf_dim at = {t * B.n, B.sym};
    const int m = xf_op_slice_rows(g, mask, at, B);
    const int z =
        xf_op_add(g, xf_op_slice_rows(g, x[XP], at, B), xf_op_matmul(g, h, x[U], false, false));
    const int i = gate(g, z, 0, H, XF_ACT_SIGMOID), f = gate(g, z, 1, H, XF_ACT_SIGMOID);
    const int n = gate(g, z, 2, H, XF_ACT_TANH), o = gate(g, z, 3, H, XF_ACT_SIGMOID);
    const int next = xf_op_add(g, xf_op_mul(g, f, c), xf_op_mul(g, i, n));
    h = choose(g, m, xf_op_mul(g, o, xf_op_tanh(g, next)), h);
    c = choose(g, m, next, c);
    hs = t == 0 ? h : xf_op_concat_rows(g, hs, h);
  }
  return hs;
}

/* --- derivatives */

VJP(lstm) {
  NODE;
  if (gout[1] != XF_NO_NODE) {
    (void)xf_graph_fail(g, XF_E_UNSUPPORTED,
                        "lstm: its cell state has no derivative; build it with xf_op_lstm_lowered");
    return;
  }
  const int d =
      xf_graph_add_outputs(g, (struct xf_node){.op = XF_OP_LSTM_GRAD,
                                               .n_in = 8,
                                               .in = {n->in[XP], n->in[U], n->in[MASK], n->in[H0],
                                                      n->in[C0], y, y + 1, gout[0]}});
  if (d == XF_NO_NODE) return;
  gin[XP] = d;
  gin[U] = d + 1;
  gin[H0] = d + 2;
  gin[C0] = d + 3;
}

VJP(lstm_grad) {
  static const struct xf_lowered what = {
      .lower = lower, .n_x = 5, .ids = MASK, .n_out = 4, .of = {XP, U, H0, C0}, .name = "lstm"};
  xf_vjp_lowered(g, y, gout, gin, &what);
}

/* --- builders */

int xf_op_lstm(struct xf_graph *g, const struct xf_lstm_in *in, int *cell) {
  const int y = xf_graph_add_outputs(
      g, (struct xf_node){
             .op = XF_OP_LSTM, .n_in = 5, .in = {in->x, in->u, in->mask, in->h0, in->c0}});
  if (!cell) return y;
  *cell = XF_NO_NODE;
  if (y == XF_NO_NODE) return y;
  const struct xf_dim rows = g->node[y].rows, H = g->node[y].cols;
  const int all = xf_op_reshape(g, y + 1, (struct xf_dim){5 * rows.n, rows.sym}, H);
  *cell = xf_op_slice_rows(g, all, (struct xf_dim){4 * rows.n, rows.sym}, rows);
  return y;
}

int xf_op_lstm_lowered(struct xf_graph *g, const struct xf_lstm_in *in) {
  /* the fused one checks the shapes; unused, it costs nothing when run */
  const int y = xf_op_lstm(g, in, NULL);
  if (y == XF_NO_NODE) return y;
  const struct xf_attr attr = g->node[y].attr;
  return lower(g, (const int[5]){in->x, in->u, in->mask, in->h0, in->c0}, &attr);
}

/* --- the table */

#define XF_SELF "nn/op_lstm.c"
#include "nn/op_both.inc"

/* h [T*B x H], saved */
XF_OP(LSTM, .name = "lstm", .min_in = 5, .max_in = 5, .n_out = 2, .ids_in = MASK + 1,
      .ids_below = two, .shape = shape_lstm, .proj = proj_lstm, .vjp = vjp_lstm, XF_KERNEL(lstm));
/* d x, d u, d h0, d c0 */
XF_OP(LSTM_GRAD, .name = "lstm_grad", .min_in = 8, .max_in = 8, .n_out = 4, .ids_in = MASK + 1,
      .ids_below = two, .shape = shape_lstm_grad, .proj = proj_lstm_grad, .vjp = vjp_lstm_grad,
      XF_KERNEL(lstm_grad));

#else /* kernels: float, then double */

/* One unmasked row: gates from what they are before their activations. */
static void RUN(lstm_row)(const struct K *k, xf_real *h, xf_real *c, xf_real *z, const xf_real *cp,
                          size_t H) {
  k->sigmoid(z, z, 2 * H);
  k->tanh(z + 2 * H, z + 2 * H, H);
  k->sigmoid(z + 3 * H, z + 3 * H, H);
  for (size_t j = 0; j < H; j++) c[j] = z[H + j] * cp[j] + z[j] * z[2 * H + j];
  k->tanh(h, c, H);
  k->mul(h, h, z + 3 * H, H);
}

static void RUN(lstm)(const struct xf_kargs *a) {
  const size_t T = a->attr->k[0], B = a->in_R[H0], H = a->C;
  xf_real *z = OUTK(a, 1), *c = z + T * B * 4 * H, *h = OUT(a);
  const xf_real *hp = IN(a, H0), *cp = IN(a, C0);
  for (size_t t = 0; t < T && B > 0; t++) {
    const int32_t *mask = IDS(a, MASK) + t * B;
    size_t m = B;
    while (m > 0 && mask[m - 1] == 0) m--;
    memcpy(z, IN(a, XP) + t * B * 4 * H, m * 4 * H * sizeof *z);
    memset(z + m * 4 * H, 0, (B - m) * 4 * H * sizeof *z);
    const struct xf_gemm s = {.m = m, .n = 4 * H, .k = H, .alpha = 1, .beta = 1};
    if (m > 0) TABLE(a)->gemm(z, hp, IN(a, U), &s);
    for (size_t b = 0; b < B; b++, z += 4 * H, h += H, c += H, hp += H, cp += H) {
      if (mask[b]) {
        RUN(lstm_row)(TABLE(a), h, c, z, cp, H);
        continue;
      }
      memset(z, 0, 4 * H * sizeof *z);
      memcpy(h, hp, H * sizeof *h);
      memcpy(c, cp, H * sizeof *c);
    }
    hp = h - B * H;
    cp = c - B * H;
  }
}

/* One unmasked row: d gates before activation; dc becomes that of the step before, dh what the product starts from. */
static void RUN(lstm_row_grad)(const struct K *k, xf_real *dz, xf_real *dh, xf_real *dc,
                               const xf_real *z, const xf_real *c, const xf_real *cp, size_t H) {
  xf_real *tc = dz + 2 * H;
  k->tanh(tc, c, H);
  for (size_t j = 0; j < H; j++) {
    const xf_real i = z[j], f = z[H + j], n = z[2 * H + j], o = z[3 * H + j], t = tc[j];
    const xf_real d = dc[j] + dh[j] * o * (1 - t * t);
    dz[3 * H + j] = dh[j] * t * (o * (1 - o));
    dz[j] = d * n * (i * (1 - i));
    dz[H + j] = d * cp[j] * (f * (1 - f));
    tc[j] = d * i * (1 - n * n);
    dc[j] = d * f;
    dh[j] = 0;
  }
}

static void RUN(lstm_grad)(const struct xf_kargs *a) {
  const size_t T = a->attr->k[0], B = a->in_R[H0], H = a->in_C[H0], BH = B * H;
  const xf_real *cs = IN(a, SAVED) + T * BH * 4;
  xf_real *du = OUTK(a, 1), *dh = OUTK(a, 2), *dc = OUTK(a, 3);
  TABLE(a)->fill(dh, 0, BH);
  TABLE(a)->fill(dc, 0, BH);
  TABLE(a)->fill(du, 0, 4 * H * H);
  if (B == 0) return;
  for (size_t t = T; t-- > 0;) {
    const int32_t *mask = IDS(a, MASK) + t * B;
    const xf_real *z = IN(a, SAVED) + t * BH * 4, *c = cs + t * BH, *cp = t ? c - BH : IN(a, C0);
    xf_real *dz = OUT(a) + t * BH * 4;
    size_t m = B;
    while (m > 0 && mask[m - 1] == 0) m--;
    TABLE(a)->add(dh, dh, IN(a, UP) + t * BH, BH);
    for (size_t b = 0; b < B; b++) {
      const size_t r = b * H;
      if (mask[b])
        RUN(lstm_row_grad)(TABLE(a), dz + 4 * r, dh + r, dc + r, z + 4 * r, c + r, cp + r, H);
      else memset(dz + 4 * r, 0, 4 * H * sizeof *dz);
    }
    const struct xf_gemm s = {.m = m, .n = H, .k = 4 * H, .tb = true, .alpha = 1, .beta = 1};
    if (m > 0) TABLE(a)->gemm(dh, dz, IN(a, U), &s);
  }
  const struct xf_gemm s0 = {.m = H, .n = 4 * H, .k = B, .ta = true, .alpha = 1, .beta = 1};
  TABLE(a)->gemm(du, IN(a, H0), OUT(a), &s0);
  const struct xf_gemm s = {
      .m = H, .n = 4 * H, .k = (T - 1) * B, .ta = true, .alpha = 1, .beta = 1};
  if (T > 1) TABLE(a)->gemm(du, IN(a, HS), OUT(a) + BH * 4, &s);
}

#endif
