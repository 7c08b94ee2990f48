/*
 * GRU over T steps of B sequences, fused; its gradient, fused; the same from primitives (lowered).
 *
 * Rows are time-major: row t*B + b is step t of sequence b. Gates lie r, z, n; z keeps the old state and the reset comes after
 * the product: n = tanh(x_n + r (h U_n + b_n)), h' = (1 - z) n + z h. U has the recurrent bias as its last row.
 * Where the mask is 0 the step is skipped: h stays what it was. Rows behind the last unmasked one of a block are not computed.
 * @source Cho et al. 2014, with the reset after the product (arXiv 1406.1078v1; as cuDNN has it)
 */
#ifndef RUN
#include "nn/lowered.h"

/* inputs of both; RZN [T*B x 3H]: the gates, Q [T*B x H]: h U_n + b_n */
enum { XP, U, MASK, H0, HS, RZN, Q, UP };

static struct xf_dim two(const struct xf_graph *g, const struct xf_node *n) {
  (void)g, (void)n;
  return XF_DIM(2);
}

/* --- shapes */

static bool shape_gru(struct xf_graph *g, struct xf_node *n) {
  if (!xf_shape_check_ids(g, n, MASK)) return false;
  const struct xf_dim B = ROWS(H0), H = COLS(H0);
  const uint32_t T = B.n ? ROWS(XP).n / B.n : 0;
  if (H.sym != XF_SYM_ONE || H.n == 0) return xf_shape_fail(g, n, "needs h0 [B x H]");
  if (!xf_dim_is(ROWS(U), H.n + 1) || !xf_dim_is(COLS(U), 3 * H.n) || !xf_dim_is(COLS(XP), 3 * H.n))
    return xf_shape_fail(g, n,
                         "needs x and u with 3 H columns and u with H + 1 rows (the last: bias)");
  if (ROWS(XP).sym != B.sym || T == 0 || T * B.n != ROWS(XP).n)
    return xf_shape_fail(g, n, "needs T rows of x for each row of h0");
  if (!xf_dim_equal(ROWS(MASK), ROWS(XP)) || !xf_dim_is(COLS(MASK), 1))
    return xf_shape_fail(g, n, "needs one number of the mask per row of x");
  n->attr.k[0] = T;
  return xf_shape_set(n, ROWS(XP), H);
}

static bool proj_gru(struct xf_graph *g, const struct xf_node *n, struct xf_node *proj) {
  return xf_shape_set(proj, ROWS(XP), proj->attr.index == 1 ? COLS(XP) : COLS(H0));
}

static bool shape_gru_grad(struct xf_graph *g, struct xf_node *n) {
  return shape_gru(g, n) && xf_shape_set(n, ROWS(XP), COLS(XP));
}

static bool proj_gru_grad(struct xf_graph *g, const struct xf_node *n, struct xf_node *proj) {
  const int of = proj->attr.index == 1 ? U : proj->attr.index == 2 ? H0 : XP;
  return xf_shape_set(proj, ROWS(of), COLS(of));
}

/* --- from primitives */

static int lower(struct xf_graph *g, const int *x, const struct xf_attr *attr) {
  const struct xf_dim B = g->node[x[H0]].rows;
  const uint32_t H = g->node[x[H0]].cols.n;
  const int mask = xf_op_mask(g, x[MASK]);
  const int w = xf_op_slice_rows(g, x[U], XF_DIM(0), XF_DIM(H)),
            bias = xf_op_slice_rows(g, x[U], XF_DIM(H), XF_DIM(1));
  int h = x[H0], hs = XF_NO_NODE;
  for (uint32_t t = 0; t < attr->k[0]; t++) {
    const struct xf_dim at = {t * B.n, B.sym};
    const int m = xf_op_slice_rows(g, mask, at, B);
    const int xt = xf_op_slice_rows(g, x[XP], at, B);
    const int u = xf_op_bias_add(g, xf_op_matmul(g, h, w, false, false), bias);
    const int rz = xf_op_sigmoid(
        g, xf_op_add(g, xf_op_slice_cols(g, xt, 0, 2 * H), xf_op_slice_cols(g, u, 0, 2 * H)));
    const int r = xf_op_slice_cols(g, rz, 0, H), z = xf_op_slice_cols(g, rz, H, H);
    const int q = xf_op_slice_cols(g, u, 2 * H, H);
    const int n =
        xf_op_tanh(g, xf_op_add(g, xf_op_slice_cols(g, xt, 2 * H, H), xf_op_mul(g, r, q)));
    const int next = xf_op_add(g, n, xf_op_mul(g, z, xf_op_sub(g, h, n)));
    h = xf_op_add(g, h, xf_op_row_scale(g, xf_op_sub(g, next, h), m));
    hs = t == 0 ? h : xf_op_concat_rows(g, hs, h);
  }
  return hs;
}

/* --- derivatives */

VJP(gru) {
  NODE;
  if (gout[1] != XF_NO_NODE || gout[2] != XF_NO_NODE) {
    (void)xf_graph_fail(g, XF_E_UNSUPPORTED,
                        "gru: its gates have no derivative; build it with xf_op_gru_lowered");
    return;
  }
  const int d =
      xf_graph_add_outputs(g, (struct xf_node){.op = XF_OP_GRU_GRAD,
                                               .n_in = 8,
                                               .in = {n->in[XP], n->in[U], n->in[MASK], n->in[H0],
                                                      y, y + 1, y + 2, gout[0]}});
  if (d == XF_NO_NODE) return;
  gin[XP] = d;
  gin[U] = d + 1;
  gin[H0] = d + 2;
}

VJP(gru_grad) {
  static const struct xf_lowered what = {
      .lower = lower, .n_x = 4, .ids = MASK, .n_out = 3, .of = {XP, U, H0}, .name = "gru"};
  xf_vjp_lowered(g, y, gout, gin, &what);
}

/* --- builders */

int xf_op_gru(struct xf_graph *g, const struct xf_gru_in *in) {
  return xf_graph_add_outputs(
      g, (struct xf_node){.op = XF_OP_GRU, .n_in = 4, .in = {in->x, in->u, in->mask, in->h0}});
}

int xf_op_gru_lowered(struct xf_graph *g, const struct xf_gru_in *in) {
  /* the fused one checks the shapes; unused, it costs nothing when run */
  const int y = xf_op_gru(g, in);
  if (y == XF_NO_NODE) return y;
  const struct xf_attr attr = g->node[y].attr;
  return lower(g, (const int[4]){in->x, in->u, in->mask, in->h0}, &attr);
}

/* --- the table */

#define XF_SELF "nn/op_gru.c"
#include "nn/op_both.inc"

/* h [T*B x H], gates, q */
XF_OP(GRU, .name = "gru", .min_in = 4, .max_in = 4, .n_out = 3, .ids_in = MASK + 1,
      .ids_below = two, .shape = shape_gru, .proj = proj_gru, .vjp = vjp_gru, XF_KERNEL(gru));
/* d x, d u, d h0; and d (h u + bias), which the kernel needs room for */
XF_OP(GRU_GRAD, .name = "gru_grad", .min_in = 8, .max_in = 8, .n_out = 4, .ids_in = MASK + 1,
      .ids_below = two, .shape = shape_gru_grad, .proj = proj_gru_grad, .vjp = vjp_gru_grad,
      XF_KERNEL(gru_grad));

#else /* kernels: float, then double */

static void RUN(gru)(const struct xf_kargs *a) {
  const size_t T = a->attr->k[0], B = a->in_R[H0], H = a->C;
  const xf_real *bias = IN(a, U) + H * 3 * H, *hp = IN(a, H0), *x = IN(a, XP);
  xf_real *h = OUT(a), *z = OUTK(a, 1), *q = OUTK(a, 2);
  for (size_t t = 0; t < T && B > 0; t++) {
    const int32_t *mask = IDS(a, MASK) + t * B;
    size_t m = B;
    while (m > 0 && mask[m - 1] == 0) m--;
    for (size_t b = 0; b < m; b++) memcpy(z + b * 3 * H, bias, 3 * H * sizeof *z);
    const struct xf_gemm s = {.m = m, .n = 3 * H, .k = H, .alpha = 1, .beta = 1};
    if (m > 0) TABLE(a)->gemm(z, hp, IN(a, U), &s);
    for (size_t b = 0; b < B; b++, z += 3 * H, x += 3 * H, q += H, h += H, hp += H) {
      if (!mask[b]) {
        memset(z, 0, 3 * H * sizeof *z);
        memset(q, 0, H * sizeof *q);
        memcpy(h, hp, H * sizeof *h);
        continue;
      }
      memcpy(q, z + 2 * H, H * sizeof *q);
      TABLE(a)->add(z, z, x, 2 * H);
      TABLE(a)->sigmoid(z, z, 2 * H);
      for (size_t j = 0; j < H; j++) z[2 * H + j] = x[2 * H + j] + z[j] * q[j];
      TABLE(a)->tanh(z + 2 * H, z + 2 * H, H);
      for (size_t j = 0; j < H; j++) h[j] = z[2 * H + j] + z[H + j] * (hp[j] - z[2 * H + j]);
    }
    hp = h - B * H;
  }
}

/* One unmasked row: d x before activation, d (h u + bias); dh becomes its part that z keeps. */
static void RUN(gru_row_grad)(xf_real *dx, xf_real *du, xf_real *dh, const xf_real *z,
                              const xf_real *q, const xf_real *hp, size_t H) {
  for (size_t j = 0; j < H; j++) {
    const xf_real r = z[j], k = z[H + j], n = z[2 * H + j], d = dh[j];
    const xf_real dn = d * (1 - k) * (1 - n * n);
    dx[j] = du[j] = dn * q[j] * (r * (1 - r));
    dx[H + j] = du[H + j] = d * (hp[j] - n) * (k * (1 - k));
    dx[2 * H + j] = dn;
    du[2 * H + j] = dn * r;
    dh[j] = d * k;
  }
}

static void RUN(gru_grad)(const struct xf_kargs *a) {
  const size_t T = a->attr->k[0], B = a->in_R[H0], H = a->in_C[H0], BH = B * H;
  xf_real *du = OUTK(a, 1), *dh = OUTK(a, 2), *dp = OUTK(a, 3);
  TABLE(a)->fill(dh, 0, BH);
  TABLE(a)->fill(du, 0, (H + 1) * 3 * H);
  if (B == 0) return;
  for (size_t t = T; t-- > 0;) {
    const int32_t *mask = IDS(a, MASK) + t * B;
    const xf_real *hp = t ? IN(a, HS) + (t - 1) * BH : IN(a, H0), *z = IN(a, RZN) + t * BH * 3,
                  *q = IN(a, Q) + t * BH;
    xf_real *dx = OUT(a) + t * BH * 3, *dpt = dp + t * BH * 3;
    size_t m = B;
    while (m > 0 && mask[m - 1] == 0) m--;
    TABLE(a)->add(dh, dh, IN(a, UP) + t * BH, BH);
    for (size_t b = 0; b < B; b++) {
      const size_t r = b * H;
      if (mask[b]) {
        RUN(gru_row_grad)(dx + 3 * r, dpt + 3 * r, dh + r, z + 3 * r, q + r, hp + r, H);
        continue;
      }
      memset(dx + 3 * r, 0, 3 * H * sizeof *dx);
      memset(dpt + 3 * r, 0, 3 * H * sizeof *dpt);
    }
    const struct xf_gemm s = {.m = m, .n = H, .k = 3 * H, .tb = true, .alpha = 1, .beta = 1};
    if (m > 0) TABLE(a)->gemm(dh, dpt, IN(a, U), &s);
  }
  const struct xf_gemm s0 = {.m = H, .n = 3 * H, .k = B, .ta = true, .alpha = 1, .beta = 1};
  TABLE(a)->gemm(du, IN(a, H0), dp, &s0);
  const struct xf_gemm s = {
      .m = H, .n = 3 * H, .k = (T - 1) * B, .ta = true, .alpha = 1, .beta = 1};
  if (T > 1) TABLE(a)->gemm(du, IN(a, HS), dp + BH * 3, &s);
  TABLE(a)->sum_rows(du + H * 3 * H, dp, T * B, 3 * H);
}

#endif
