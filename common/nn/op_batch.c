/* Products block by block, and what masks are made of. */
#ifndef RUN
#include "nn/oprule.h"

/* attr.k[0], k[1]: rows of a block of a and of b. */

static bool shape_batch_matmul(struct xf_graph *g, struct xf_node *n) {
  if (!xf_shape_check_ids(g, n, -1)) return false;
  const uint32_t ra = n->attr.k[0], rb = n->attr.k[1], ca = COLS(0).n, cb = COLS(1).n;
  if (COLS(0).sym != XF_SYM_ONE || COLS(1).sym != XF_SYM_ONE || ra == 0 || rb == 0)
    return xf_shape_fail(g, n, "needs blocks of constant size");
  if (ROWS(0).sym != ROWS(1).sym || ROWS(0).n % ra != 0 || ROWS(1).n % rb != 0 ||
      ROWS(0).n / ra != ROWS(1).n / rb)
    return xf_shape_fail(g, n, "needs as many blocks of the first as of the second");
  if ((n->attr.ta ? ra : ca) != (n->attr.tb ? cb : rb))
    return xf_shape_fail(g, n, "the blocks' inner extents differ (after transposing)");
  const struct xf_dim rows = {ROWS(0).n / ra * (n->attr.ta ? ca : ra), ROWS(0).sym};
  return xf_shape_set(n, rows, XF_DIM(n->attr.tb ? rb : cb));
}

static bool shape_causal(struct xf_graph *g, struct xf_node *n) {
  if (n->cols.sym != XF_SYM_ONE || n->cols.n == 0 || n->rows.n % n->cols.n != 0)
    return xf_shape_fail(g, n, "needs a multiple of T rows and T columns");
  return xf_shape_given(g, n);
}

VJP(batch_matmul) { /* as matmul, block by block */
  NODE;
  const int a = n->in[0], b = n->in[1], go = gout[0];
  const bool ta = n->attr.ta, tb = n->attr.tb;
  const uint32_t ra = n->attr.k[0], rb = n->attr.k[1], ry = ta ? COLS(0).n : ra;
  gin[0] = ta ? xf_op_batch_matmul(g, b, go, rb, ry, tb, true)
              : xf_op_batch_matmul(g, go, b, ry, rb, false, !tb);
  gin[1] = tb ? xf_op_batch_matmul(g, go, a, ry, ra, true, ta)
              : xf_op_batch_matmul(g, a, go, ra, ry, !ta, false);
}

int xf_op_batch_matmul(struct xf_graph *g, int a, int b, uint32_t rows_a, uint32_t rows_b, bool ta,
                       bool tb) {
  return xf_op_add2(g, XF_OP_BATCH_MATMUL, a, b,
                    (struct xf_attr){.k = {rows_a, rows_b}, .ta = ta, .tb = tb});
}

int xf_op_causal(struct xf_graph *g, struct xf_dim rows, uint32_t T) {
  return xf_graph_add(g, (struct xf_node){.op = XF_OP_CAUSAL, .rows = rows, .cols = XF_DIM(T)});
}

/* The ids 0 and 1 look up the numbers 0 and 1. */
int xf_op_mask(struct xf_graph *g, int ids) {
  const int one = xf_graph_fill(g, XF_DIM(1), XF_DIM(1), 1);
  return xf_op_gather(g, xf_op_pad(g, one, XF_DIM(1), XF_DIM(2), 0, XF_DIM(1)), ids);
}

#define XF_SELF "nn/op_batch.c"
#include "nn/op_both.inc"

XF_OP(BATCH_MATMUL, .name = "batch_matmul", .min_in = 2, .max_in = 2, .shape = shape_batch_matmul,
      .vjp = vjp_batch_matmul, XF_KERNEL(batch_matmul));
/* 1 where column <= row mod T, else 0 */
XF_OP(CAUSAL, .name = "causal", .min_in = 0, .max_in = 0, .shape = shape_causal, .vjp = xf_vjp_none,
      XF_KERNEL(causal));

#else /* kernels: float, then double */

static void RUN(batch_matmul)(const struct xf_kargs *a) {
  const size_t ra = a->attr->k[0], rb = a->attr->k[1], ca = a->in_C[0], cb = a->in_C[1];
  const struct xf_gemm s = {.m = a->attr->ta ? ca : ra,
                            .n = a->C,
                            .k = a->attr->ta ? ra : ca,
                            .ta = a->attr->ta,
                            .tb = a->attr->tb,
                            .alpha = 1};
  for (size_t i = 0; i < a->in_R[0] / ra; i++)
    TABLE(a)->gemm(OUT(a) + i * s.m * s.n, IN(a, 0) + i * ra * ca, IN(a, 1) + i * rb * cb, &s);
}

static void RUN(causal)(const struct xf_kargs *a) {
  for (size_t r = 0; r < a->R; r++)
    for (size_t c = 0; c < a->C; c++) OUT(a)[r * a->C + c] = c <= r % a->C ? 1 : 0;
}

#endif
