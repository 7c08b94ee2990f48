// Images and normalisation: convolution with strides and padding, pooling and its duals, norms, dropout.
#include "ops.h"

// 4 x 3 images; windows with stride and padding
static const struct xf_window w22 = {.h = 4, .w = 3, .kh = 2, .kw = 2};
static const struct xf_window w32 = {
    .h = 4, .w = 3, .kh = 3, .kw = 2, .stride_h = 2, .stride_w = 1, .pad_h = 1, .pad_w = 1};
static const struct xf_window pool = {
    .h = 4, .w = 3, .kh = 2, .kw = 2, .stride_h = 2, .stride_w = 1};
static const struct xf_window padded = {
    .h = 4, .w = 3, .kh = 3, .kw = 3, .stride_h = 2, .stride_w = 2, .pad_h = 1, .pad_w = 2};

EXPR(b_conv, xf_op_conv(g, x[0], x[1], x[2], &w22))
EXPR(b_conv_stride, xf_op_conv(g, x[0], x[1], XF_NO_NODE, &w32))
EXPR(b_conv_dx, xf_op_conv_dx(g, x[0], x[1], &w32))
EXPR(b_conv_dw, xf_op_conv_dw(g, x[0], x[1], &w32))
EXPR(b_conv_deep, xf_op_tanh(g, xf_op_conv(g, xf_op_tanh(g, x[0]), x[1], x[2], &w22)))
EXPR(b_max_pool, xf_op_max_pool(g, xf_op_mul(g, x[0], x[0]), &pool, NULL))
EXPR(b_max_padded, xf_op_tanh(g, xf_op_max_pool(g, x[0], &padded, NULL)))
EXPR(b_avg_pool, xf_op_avg_pool(g, xf_op_mul(g, x[0], x[0]), &pool))
EXPR(b_avg_padded, xf_op_tanh(g, xf_op_avg_pool(g, x[0], &padded)))
EXPR(b_avg_spread, xf_op_tanh(g, xf_op_avg_spread(g, x[0], &padded)))
EXPR(b_pool_gather, xf_op_tanh(g, xf_op_pool_gather(g, x[0], id[0], &pool)))
EXPR(b_pool_scatter, xf_op_tanh(g, xf_op_pool_scatter(g, x[0], id[0], &pool)))
EXPR(b_layer_norm, xf_op_layer_norm(g, x[0], x[1], x[2], 1e-3))
EXPR(b_norm_rows, xf_op_norm(g, x[0], XF_NORM_ROWS, 1e-3, NULL, NULL))
EXPR(b_norm_cols, xf_op_norm(g, x[0], XF_NORM_COLS, 1e-3, NULL, NULL))
EXPR(b_norm_lowered, xf_op_norm_lowered(g, x[0], XF_NORM_COLS, 1e-3, NULL, NULL))
EXPR(b_rows_lowered, xf_op_norm_lowered(g, x[0], XF_NORM_ROWS, 1e-3, NULL, NULL))
EXPR(b_norm_pair, xf_op_sub(g, xf_op_norm(g, x[0], XF_NORM_COLS, 1e-3, NULL, NULL),
                            xf_op_norm_lowered(g, x[0], XF_NORM_COLS, 1e-3, NULL, NULL)))
BUILD(b_norm_shared) { // shares are squares, so that no variance is negative
  (void)id;
  const struct xf_batch_norm norm = {.gain = x[1], .shift = x[2], .eps = 1e-1};
  return xf_op_tanh(g, xf_op_batch_norm_shared(g, x[0], xf_op_mul(g, x[3], x[3]), &norm));
}
EXPR(b_col_scale, xf_op_col_scale(g, x[0], x[1]))
EXPR(b_dropout, xf_op_tanh(g, xf_op_dropout(g, x[0], 0.4, 3)))
BUILD(b_cnn) { // convolution, batch norm, pooling, flattening, class
  const struct xf_window half = {.h = 4, .w = 3, .kh = 2, .kw = 3, .stride_h = 2};
  int h = xf_op_conv(g, x[0], x[1], XF_NO_NODE,
                     &(struct xf_window){.h = 4, .w = 3, .kh = 3, .kw = 3, .pad_h = 1, .pad_w = 1});
  h = xf_op_tanh(g, xf_op_norm(g, h, XF_NORM_COLS, 1e-2, NULL, NULL));
  h = xf_op_flatten(g, xf_op_max_pool(g, h, &half, NULL), 2, 1);
  return xf_op_mean(g, xf_op_softmax_ce(g, xf_op_dense_nobias(g, h, x[2], XF_ACT_NONE), id[0]));
}

// Factors of units have no derivative: here they do not depend on the inputs.
BUILD(b_unit) {
  (void)id;
  const int rows = xf_graph_fill(g, (struct xf_dim){2, XF_SYM_B}, XF_DIM(3), 0.5),
            param = xf_graph_fill(g, XF_DIM(1), XF_DIM(3), 0);
  const struct xf_unit_use use = {.kind = XF_UNIT_SUM, .in = {rows}};
  const int factor = xf_op_unit_factor(g, xf_op_unit_norm2(g, XF_BATCH, param, &use, 1), 0.25);
  return xf_op_row_scale(g, xf_op_mul(g, x[0], x[0]), factor);
}

const struct op_case image_cases[] = {
    {"conv", XF_OP_CONV, b_conv, {B(12, 2), C(8, 3), C(3, 1)}, {{0}}},
    {"conv, stride and padding", XF_OP_CONV, b_conv_stride, {B(12, 2), C(12, 3)}, {{0}}},
    {"conv of tanh", XF_OP_CONV_DX, b_conv_deep, {B(12, 2), C(8, 2), C(1, 2)}, {{0}}},
    {"conv_dx", XF_OP_CONV_DX, b_conv_dx, {B(8, 3), C(12, 3)}, {{0}}},
    {"conv_dw", XF_OP_CONV_DW, b_conv_dw, {B(12, 2), B(8, 3)}, {{0}}},
    {"max_pool", XF_OP_MAX_POOL, b_max_pool, {B(12, 2)}, {{0}}},
    {"max_pool, padding", XF_OP_MAX_POOL, b_max_padded, {B(12, 2)}, {{0}}},
    {"pool_gather", XF_OP_POOL_GATHER, b_pool_gather, {B(12, 2)}, {{XF_SYM_B, 4, 2, 12}}},
    {"pool_scatter", XF_OP_POOL_SCATTER, b_pool_scatter, {B(4, 2)}, {{XF_SYM_B, 4, 2, 12}}},
    {"avg_pool", XF_OP_AVG_POOL, b_avg_pool, {B(12, 2)}, {{0}}},
    {"avg_pool, padding", XF_OP_AVG_POOL, b_avg_padded, {B(12, 2)}, {{0}}},
    {"avg_spread", XF_OP_AVG_SPREAD, b_avg_spread, {B(6, 2)}, {{0}}},
    {"layer_norm", XF_OP_COL_SCALE, b_layer_norm, {B(1, 5), C(5, 1), C(1, 5)}, {{0}}},
    {"norm of rows", XF_OP_NORM, b_norm_rows, {B(1, 5)}, {{0}}},
    {"norm of columns", XF_OP_NORM, b_norm_cols, {B(2, 3)}, {{0}}},
    {"norm gradient", XF_OP_NORM_GRAD, b_norm_cols, {B(3, 2)}, {{0}}},
    {"norm of columns, lowered", XF_N_OP, b_norm_lowered, {B(2, 3)}, {{0}}},
    {"norm of rows, lowered", XF_N_OP, b_rows_lowered, {B(1, 5)}, {{0}}},
    {"norm, both", XF_N_OP, b_norm_pair, {B(3, 2)}, {{0}}},
    {"batch norm by shares", XF_N_OP, b_norm_shared, {B(2, 3), C(3, 1), C(1, 3), B(2, 1)}, {{0}}},
    {"col_scale", XF_OP_COL_SCALE, b_col_scale, {B(1, 3), C(3, 1)}, {{0}}},
    {"dropout", XF_OP_DROP_MASK, b_dropout, {B(2, 5)}, {{0}}},
    {"unit_norm2", XF_OP_UNIT_NORM2, b_unit, {B(1, 3)}, {{0}}},
    {"unit_factor", XF_OP_UNIT_FACTOR, b_unit, {B(1, 3)}, {{0}}},
    {"cnn", XF_N_OP, b_cnn, {B(12, 1), C(9, 2), C(4, 3)}, {{XF_SYM_B, 1, 1, 3}}},
    {0},
};
