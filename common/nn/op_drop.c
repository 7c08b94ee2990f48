/* Dropout: a mask from a counter-based stream, and what multiplies by it. */
#ifndef RUN
#include "base/rng.h"
#include "nn/op_norm.h"
#include "nn/oprule.h"

/* attr.alpha: p; attr.index: number */

static bool shape_drop_mask(struct xf_graph *g, struct xf_node *n) {
  if (!(n->attr.alpha >= 0 && n->attr.alpha < 1))
    return xf_shape_fail(g, n, "p must be at least 0 and below 1");
  return xf_shape_given(g, n);
}

int xf_op_drop_mask(struct xf_graph *g, struct xf_dim rows, struct xf_dim cols, double p,
                    uint32_t number) {
  return xf_graph_add(g, (struct xf_node){.op = XF_OP_DROP_MASK,
                                          .rows = rows,
                                          .cols = cols,
                                          .attr = {.alpha = p, .index = number}});
}

int xf_op_dropout(struct xf_graph *g, int x, double p, uint32_t number) {
  if (x == XF_NO_NODE || p == 0) return x;
  return xf_op_mul(g, x, xf_op_drop_mask(g, g->node[x].rows, g->node[x].cols, p, number));
}

#define XF_SELF "nn/op_drop.c"
#include "nn/op_both.inc"

XF_OP(DROP_MASK, .name = "drop_mask", .min_in = 0, .max_in = 0, .shape = shape_drop_mask,
      .vjp = xf_vjp_none, XF_KERNEL(drop_mask));

#else /* kernels: float, then double */

static void RUN(drop_mask)(const struct xf_kargs *a) {
  struct xf_rng rng;
  xf_rng_init(&rng, a->seed, a->attr->index);
  const uint32_t drop = (uint32_t)(a->attr->alpha * 4294967296.0);
  const xf_real keep = (xf_real)(1 / (1 - a->attr->alpha));
  for (size_t i = 0; i < N(a); i++) OUT(a)[i] = xf_rng_u32(&rng) >= drop ? keep : 0;
}

#endif
