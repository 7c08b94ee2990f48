/* Normalisation of rows or columns, and factors per column. */
#ifndef RUN
#include "nn/op_norm.h"
#include "nn/lowered.h"

#include <math.h>

/* attr.k[0]: the axis; attr.alpha: eps */

static bool shape_norm(struct xf_graph *g, struct xf_node *n) {
  if (!(n->attr.alpha > 0)) return xf_shape_fail(g, n, "eps must be above 0");
  if (COLS(0).sym != XF_SYM_ONE) return xf_shape_fail(g, n, "needs a constant number of columns");
  return xf_shape_same1(g, n);
}

/* Statistics: one per row, or one per column. */
static bool proj_norm(struct xf_graph *g, const struct xf_node *src, struct xf_node *proj) {
  (void)g;
  if (src->attr.k[0] == XF_NORM_ROWS) return xf_shape_set(proj, src->rows, XF_DIM(1));
  return xf_shape_set(proj, XF_DIM(1), src->cols);
}

/* x, normalised x, rstd, d loss / d normalised x */
static bool shape_norm_grad(struct xf_graph *g, struct xf_node *n) {
  if (!xf_shape_check_ids(g, n, -1)) return false;
  for (int k = 1; k < 4; k += 2)
    if (!xf_dim_equal(ROWS(0), ROWS(k)) || !xf_dim_equal(COLS(0), COLS(k)))
      return xf_shape_fail(g, n, "needs x, its normalised values and their gradient alike");
  return xf_shape_set(n, ROWS(0), COLS(0));
}

static bool shape_col_scale(struct xf_graph *g, struct xf_node *n) {
  if (!xf_shape_check_ids(g, n, -1)) return false;
  if (!xf_dim_is(ROWS(1), 1) || !xf_dim_equal(COLS(0), COLS(1)))
    return xf_shape_fail(g, n, "needs one factor per column");
  return xf_shape_set(n, ROWS(0), COLS(0));
}

static uint64_t scratch_norm_grad(const struct xf_graph *g, const struct xf_node *n) {
  (void)g;
  return n->cols.sym == XF_SYM_ONE ? 2 * (uint64_t)n->cols.n : 0;
}

/* --- from primitives */

static int lower_norm(struct xf_graph *g, int x, enum xf_norm_axis axis, double eps, int *mean,
                      int *rstd) {
  if (x == XF_NO_NODE) return XF_NO_NODE;
  const struct xf_dim rows = g->node[x].rows, cols = g->node[x].cols;
  const bool by_row = axis == XF_NORM_ROWS;
  const struct xf_dim count = by_row ? cols : rows, r = by_row ? rows : XF_DIM(1),
                      c = by_row ? XF_DIM(1) : cols;
  const int sum = by_row ? xf_op_sum_cols(g, x) : xf_op_sum_rows(g, x);
  *mean = xf_op_div_dim(g, sum, count);
  const int d = xf_op_sub(g, x, xf_op_broadcast(g, *mean, rows, cols));
  const int sq = xf_op_mul(g, d, d);
  const int var = xf_op_div_dim(g, by_row ? xf_op_sum_cols(g, sq) : xf_op_sum_rows(g, sq), count);
  const int root = xf_op_sqrt(g, xf_op_add(g, var, xf_graph_fill(g, r, c, eps)));
  *rstd = xf_op_div(g, xf_graph_fill(g, r, c, 1), root);
  return by_row ? xf_op_row_scale(g, d, *rstd) : xf_op_col_scale(g, d, *rstd);
}

static int lower(struct xf_graph *g, const int *x, const struct xf_attr *attr) {
  int mean, rstd;
  return lower_norm(g, x[0], (enum xf_norm_axis)attr->k[0], attr->alpha, &mean, &rstd);
}

/* --- derivatives */

VJP(norm) {
  NODE;
  if (gout[1] != XF_NO_NODE || gout[2] != XF_NO_NODE) {
    (void)xf_graph_fail(
        g, XF_E_UNSUPPORTED,
        "norm: its statistics have no derivative; build it with xf_op_norm_lowered");
    return;
  }
  gin[0] = xf_graph_add(g, (struct xf_node){.op = XF_OP_NORM_GRAD,
                                            .n_in = 4,
                                            .in = {n->in[0], y, y + 2, gout[0]},
                                            .attr = n->attr});
}

VJP(norm_grad) {
  static const struct xf_lowered what = {
      .lower = lower, .n_x = 1, .ids = -1, .n_out = 1, .of = {0}, .name = "xf_op_norm"};
  xf_vjp_lowered(g, y, gout, gin, &what);
}

VJP(col_scale) {
  NODE;
  gin[0] = xf_op_col_scale(g, gout[0], n->in[1]);
  gin[1] = xf_op_sum_rows(g, xf_op_mul(g, gout[0], n->in[0]));
}

/* --- builders */

int xf_op_norm(struct xf_graph *g, int x, enum xf_norm_axis axis, double eps, int *mean,
               int *rstd) {
  const int y = xf_graph_add_outputs(
      g,
      (struct xf_node){
          .op = XF_OP_NORM, .n_in = 1, .in = {x}, .attr = {.alpha = eps, .k = {(uint32_t)axis}}});
  if (mean) *mean = y == XF_NO_NODE ? XF_NO_NODE : y + 1;
  if (rstd) *rstd = y == XF_NO_NODE ? XF_NO_NODE : y + 2;
  return y;
}

int xf_op_norm_lowered(struct xf_graph *g, int x, enum xf_norm_axis axis, double eps, int *mean,
                       int *rstd) {
  int m, r;
  const int y = lower_norm(g, x, axis, eps, &m, &r);
  if (mean) *mean = y == XF_NO_NODE ? XF_NO_NODE : m;
  if (rstd) *rstd = y == XF_NO_NODE ? XF_NO_NODE : r;
  return y;
}

int xf_op_col_scale(struct xf_graph *g, int x, int s) {
  return xf_op_add2(g, XF_OP_COL_SCALE, x, xf_op_as_row(g, s), XF_NO_ATTR);
}

int xf_op_layer_norm(struct xf_graph *g, int x, int gain, int shift, double eps) {
  const int y = xf_op_norm(g, x, XF_NORM_ROWS, eps, NULL, NULL);
  return xf_op_bias_add(g, xf_op_col_scale(g, y, gain), shift);
}

/* (1 - momentum) running + momentum batch, of the segment's shape. */
static void move(struct xf_graph *g, const char *segment, int batch, double momentum) {
  const int running = xf_graph_param(g, segment);
  if (running == XF_NO_NODE || batch == XF_NO_NODE) return;
  const int to = xf_op_reshape(g, batch, g->node[running].rows, g->node[running].cols);
  xf_graph_update(
      g, segment,
      xf_op_add(g, xf_op_scale(g, running, 1 - momentum), xf_op_scale(g, to, momentum)));
}

int xf_op_batch_norm_train(struct xf_graph *g, int x, const struct xf_batch_norm *b) {
  int mean, rstd;
  const int y = xf_op_norm(g, x, XF_NORM_COLS, b->eps, &mean, &rstd);
  if (y == XF_NO_NODE) return XF_NO_NODE;
  const struct xf_dim c = g->node[x].cols;
  const int one = xf_graph_fill(g, XF_DIM(1), c, 1);
  const int var = xf_op_sub(g, xf_op_div(g, one, xf_op_mul(g, rstd, rstd)),
                            xf_graph_fill(g, XF_DIM(1), c, b->eps));
  move(g, b->mean, mean, b->momentum);
  move(g, b->var, var, b->momentum);
  return xf_op_bias_add(g, xf_op_col_scale(g, y, b->gain), b->shift);
}

int xf_op_batch_norm_shared(struct xf_graph *g, int x, int share, const struct xf_batch_norm *b) {
  if (x == XF_NO_NODE) return XF_NO_NODE;
  const struct xf_dim c = g->node[x].cols;
  const int mean = xf_op_matmul(g, share, x, true, false);
  const int d = xf_op_bias_add(g, x, xf_op_neg(g, mean));
  const int var = xf_op_matmul(g, share, xf_op_mul(g, d, d), true, false);
  const int root = xf_op_sqrt(g, xf_op_add(g, var, xf_graph_fill(g, XF_DIM(1), c, b->eps)));
  const int factor = xf_op_div(g, xf_op_as_row(g, b->gain), root);
  return xf_op_bias_add(g, xf_op_col_scale(g, d, factor), b->shift);
}

int xf_op_batch_norm_eval(struct xf_graph *g, int x, const struct xf_batch_norm *b) {
  if (x == XF_NO_NODE) return XF_NO_NODE;
  const struct xf_dim c = g->node[x].cols;
  const int mean = xf_op_as_row(g, xf_graph_param(g, b->mean)),
            var = xf_op_as_row(g, xf_graph_param(g, b->var));
  /* noise or a server's step may have carried a variance below 0 */
  const int root =
      xf_op_sqrt(g, xf_op_add(g, xf_op_relu(g, var), xf_graph_fill(g, XF_DIM(1), c, b->eps)));
  const int factor = xf_op_div(g, xf_op_as_row(g, b->gain), root);
  return xf_op_bias_add(g, xf_op_col_scale(g, xf_op_bias_add(g, x, xf_op_neg(g, mean)), factor),
                        b->shift);
}

/* --- the table */

#define XF_SELF "nn/op_norm.c"
#include "nn/op_both.inc"

/* normalised x, mean, rstd */
XF_OP(NORM, .name = "norm", .min_in = 1, .max_in = 1, .n_out = 3, .shape = shape_norm,
      .proj = proj_norm, .vjp = vjp_norm, XF_KERNEL(norm));
XF_OP(NORM_GRAD, .name = "norm_grad", .min_in = 4, .max_in = 4, .shape = shape_norm_grad,
      .scratch = scratch_norm_grad, .vjp = vjp_norm_grad, XF_KERNEL(norm_grad));
XF_OP(COL_SCALE, .name = "col_scale", .min_in = 2, .max_in = 2, .shape = shape_col_scale,
      .vjp = vjp_col_scale, XF_KERNEL(col_scale));

#else /* kernels: float, then double */

/* Statistics are sums in double, in the order of the rows. */
static void RUN(norm_rows)(const struct xf_kargs *a) {
  const size_t C = a->C;
  for (size_t r = 0; r < a->R; r++) {
    const xf_real *x = IN(a, 0) + r * C;
    double sum = 0, sq = 0;
    for (size_t c = 0; c < C; c++) sum += (double)x[c];
    const double mean = sum / (double)C;
    for (size_t c = 0; c < C; c++) sq += ((double)x[c] - mean) * ((double)x[c] - mean);
    const double rstd = 1 / sqrt(sq / (double)C + a->attr->alpha);
    OUTK(a, 1)[r] = (xf_real)mean;
    OUTK(a, 2)[r] = (xf_real)rstd;
    for (size_t c = 0; c < C; c++) OUT(a)[r * C + c] = (xf_real)(((double)x[c] - mean) * rstd);
  }
}

static void RUN(norm_cols)(const struct xf_kargs *a) {
  const size_t C = a->C, R = a->R;
  xf_real *mean = OUTK(a, 1), *rstd = OUTK(a, 2);
  const struct K *k = TABLE(a);
  const double count = R > 0 ? 1 / (double)R : 0;
  k->sum_rows(mean, IN(a, 0), R, C);
  k->scale(mean, mean, (xf_real)count, C);
  for (size_t c = 0; c < C; c++) rstd[c] = 0;
  for (size_t r = 0; r < R; r++) {
    const xf_real *x = IN(a, 0) + r * C;
    xf_real *y = OUT(a) + r * C;
    for (size_t c = 0; c < C; c++) {
      y[c] = x[c] - mean[c];
      rstd[c] += y[c] * y[c];
    }
  }
  for (size_t c = 0; c < C; c++)
    rstd[c] = (xf_real)(1 / sqrt((double)rstd[c] * count + a->attr->alpha));
  for (size_t r = 0; r < R; r++)
    for (size_t c = 0; c < C; c++) OUT(a)[r * C + c] *= rstd[c];
}

static void RUN(norm)(const struct xf_kargs *a) {
  if (a->attr->k[0] == XF_NORM_ROWS) RUN(norm_rows)(a);
  else RUN(norm_cols)(a);
}

/* d x = rstd (g - mean g - y mean(g y)) */
static void RUN(norm_grad)(const struct xf_kargs *a) {
  const size_t C = a->C, R = a->R;
  const xf_real *y = IN(a, 1), *rstd = IN(a, 2), *g = IN(a, 3);
  if (a->attr->k[0] == XF_NORM_ROWS) {
    for (size_t r = 0; r < R; r++) {
      double m = 0, my = 0;
      for (size_t c = 0; c < C; c++) {
        m += (double)g[r * C + c];
        my += (double)g[r * C + c] * (double)y[r * C + c];
      }
      const xf_real mean = (xf_real)(m / (double)C), mean_y = (xf_real)(my / (double)C);
      for (size_t c = 0; c < C; c++)
        OUT(a)[r * C + c] = rstd[r] * (g[r * C + c] - mean - y[r * C + c] * mean_y);
    }
    return;
  }
  xf_real *mean = (xf_real *)a->scratch, *mean_y = mean + C;
  const xf_real count = R > 0 ? 1 / (xf_real)R : 0;
  for (size_t c = 0; c < 2 * C; c++) mean[c] = 0;
  for (size_t r = 0; r < R; r++)
    for (size_t c = 0; c < C; c++) {
      mean[c] += g[r * C + c];
      mean_y[c] += g[r * C + c] * y[r * C + c];
    }
  for (size_t c = 0; c < 2 * C; c++) mean[c] *= count;
  for (size_t r = 0; r < R; r++)
    for (size_t c = 0; c < C; c++)
      OUT(a)[r * C + c] = rstd[c] * (g[r * C + c] - mean[c] - y[r * C + c] * mean_y[c]);
}

static void RUN(col_scale)(const struct xf_kargs *a) {
  for (size_t r = 0; r < a->R; r++)
    for (size_t c = 0; c < a->C; c++) OUT(a)[r * a->C + c] = IN(a, 0)[r * a->C + c] * IN(a, 1)[c];
}

#endif
