/* What clipping by unit needs (units.h): the squared norm of each unit's gradient of one parameter, and the factor that bounds it.
   Neither has a derivative: a clipped gradient is not differentiated through its factors. */
#ifndef RUN
#include "nn/units.h"
#include "nn/window.h"

#include <math.h>

/* attr.k: 0..7 the window of convolutions; then: */
enum { LEAVES = 8, PARAM_ROWS, PARAM_COLS, KIND_BITS = 4 };

static enum xf_unit_leaf kind_of(const struct xf_attr *attr, int leaf) {
  return (enum xf_unit_leaf)(attr->k[LEAVES] >> (KIND_BITS * leaf) & ((1u << KIND_BITS) - 1));
}

static int n_in_of(enum xf_unit_leaf kind) { return kind == XF_UNIT_SUM ? 1 : 2; }

/* Every input is a whole number of rows a unit; node->rows is the number of units. */
static bool shape_unit_norm2(struct xf_graph *g, struct xf_node *n) {
  for (int k = 0; k < n->n_in; k++)
    if (ROWS(k).sym != n->rows.sym || ROWS(k).n % n->rows.n != 0)
      return xf_shape_fail(g, n, "needs the same number of rows for each unit");
  return xf_shape_set(n, n->rows, XF_DIM(1));
}

/* One unit's gradient, and for convolutions that of a use and the kernel's scratch. */
static uint64_t scratch_unit_norm2(const struct xf_graph *g, const struct xf_node *n) {
  const uint64_t size = (uint64_t)n->attr.k[PARAM_ROWS] * n->attr.k[PARAM_COLS];
  uint64_t conv = 0;
  for (int k = 0, leaf = 0; k < n->n_in; k += n_in_of(kind_of(&n->attr, leaf++)))
    if (kind_of(&n->attr, leaf) == XF_UNIT_CONV) {
      const struct xf_conv_shape s = xf_conv_shape_of(&n->attr, 1, COLS(k).n, COLS(k + 1).n);
      conv = xf_conv_scratch(&s);
    }
  return 2 * size + conv;
}

int xf_op_unit_norm2(struct xf_graph *g, struct xf_dim units, int param,
                     const struct xf_unit_use *use, int n_use) {
  struct xf_node n = {.op = XF_OP_UNIT_NORM2, .rows = units};
  for (int i = 0; i < n_use; i++) {
    if (use[i].kind == XF_UNIT_CONV) n.attr = xf_window_store(&use[i].window);
  }
  for (int i = 0; i < n_use; i++) {
    n.attr.k[LEAVES] |= (uint32_t)use[i].kind << (KIND_BITS * i);
    for (int k = 0; k < n_in_of(use[i].kind); k++) n.in[n.n_in++] = use[i].in[k];
  }
  n.attr.k[PARAM_ROWS] = g->node[param].rows.n;
  n.attr.k[PARAM_COLS] = g->node[param].cols.n;
  return xf_graph_add(g, n);
}

int xf_op_unit_factor(struct xf_graph *g, int norm2, double clip) {
  return xf_op_add1(g, XF_OP_UNIT_FACTOR, norm2, (struct xf_attr){.alpha = clip});
}

#define XF_SELF "nn/op_unit.c"
#include "nn/op_both.inc"

XF_OP(UNIT_NORM2, .name = "unit_norm2", .min_in = 1, .max_in = XF_IN_MAX, .shape = shape_unit_norm2,
      .scratch = scratch_unit_norm2, .vjp = xf_vjp_none, XF_KERNEL(unit_norm2));
XF_OP(UNIT_FACTOR, .name = "unit_factor", .min_in = 1, .max_in = 1, .shape = xf_shape_same1,
      .vjp = xf_vjp_none, XF_KERNEL(unit_factor));

#else /* kernels: float, then double */

/* Adds unit u's part of one use to its gradient G; `spare` holds another one and the scratch of a convolution. */
static void RUN(add_use)(const struct xf_kargs *a, int k, enum xf_unit_leaf kind, size_t u,
                         xf_real *G, xf_real *spare) {
  const struct K *t = TABLE(a);
  const size_t rows = a->attr->k[PARAM_ROWS], cols = a->attr->k[PARAM_COLS];
  const size_t T = a->in_R[k] / a->R, C = a->in_C[k];
  const size_t T2 = kind == XF_UNIT_SUM ? 0 : a->in_R[k + 1] / a->R,
               C2 = kind == XF_UNIT_SUM ? 0 : a->in_C[k + 1];
  const xf_real *x = IN(a, k) + u * T * C, *y = T2 ? IN(a, k + 1) + u * T2 * C2 : NULL;
  if (kind == XF_UNIT_PRODUCT) {
    const struct xf_gemm s = {.m = C, .n = C2, .k = T, .ta = true, .alpha = 1, .beta = 1};
    t->gemm(G, x, y, &s);
  } else if (kind == XF_UNIT_SUM) {
    for (size_t r = 0; r < T; r++) t->add(G, G, x + r * C, rows * cols);
  } else if (kind == XF_UNIT_ROWS) {
    t->scatter_add(G, IDS(a, k) + u * T * C, y, T * C, cols);
  } else {
    const struct xf_conv_shape s = xf_conv_shape_of(a->attr, 1, (uint32_t)C, (uint32_t)C2);
    t->conv_dw(spare, x, y, spare + rows * cols, &s);
    t->add(G, G, spare, rows * cols);
  }
}

/* Of a table only rows that the unit names are touched: its squared norm by pairs, no table is formed. */
static double RUN(rows_norm2)(const struct xf_kargs *a, size_t u) {
  const size_t cols = a->attr->k[PARAM_COLS];
  double sum = 0;
  for (int i = 0; i < a->n_in; i += 2)
    for (int j = 0; j < a->n_in; j += 2) {
      const size_t n = a->in_R[i] * a->in_C[i] / a->R, m = a->in_R[j] * a->in_C[j] / a->R;
      const int32_t *p = IDS(a, i) + u * n, *q = IDS(a, j) + u * m;
      for (size_t r = 0; r < n; r++)
        for (size_t s = 0; s < m; s++)
          if (p[r] == q[s])
            for (size_t c = 0; c < cols; c++)
              sum += (double)IN(a, i + 1)[(u * n + r) * cols + c] *
                     (double)IN(a, j + 1)[(u * m + s) * cols + c];
    }
  return sum < 0 ? 0 : sum; /* a NaN stays one */
}

static bool RUN(only_rows)(const struct xf_kargs *a) {
  for (int leaf = 0; 2 * leaf < a->n_in; leaf++)
    if (kind_of(a->attr, leaf) != XF_UNIT_ROWS) return false;
  return true;
}

static void RUN(unit_norm2)(const struct xf_kargs *a) {
  const size_t size = (size_t)a->attr->k[PARAM_ROWS] * a->attr->k[PARAM_COLS];
  xf_real *G = (xf_real *)a->scratch;
  for (size_t u = 0; u < a->R; u++) {
    double sum = 0;
    if (RUN(only_rows)(a)) {
      OUT(a)[u] = (xf_real)RUN(rows_norm2)(a, u);
      continue;
    }
    TABLE(a)->fill(G, 0, size);
    for (int k = 0, leaf = 0; k < a->n_in; k += n_in_of(kind_of(a->attr, leaf++)))
      RUN(add_use)(a, k, kind_of(a->attr, leaf), u, G, G + size);
    for (size_t i = 0; i < size; i++) sum += (double)G[i] * (double)G[i];
    OUT(a)[u] = (xf_real)sum;
  }
}

/* min(1, clip / norm), a little towards 0 so that rounding does not exceed the bound; 0 where the squared norm is no number or,
   by rounding, negative: it says nothing about the unit, which is left out. */
static void RUN(unit_factor)(const struct xf_kargs *a) {
  for (size_t i = 0; i < N(a); i++) {
    const double norm2 = (double)IN(a, 0)[i], norm = sqrt(norm2);
    const double f = norm > a->attr->alpha ? a->attr->alpha / norm * (1 - 1e-6) : 1;
    OUT(a)[i] = (xf_real)(norm2 >= 0 ? f : 0);
  }
}

#endif
