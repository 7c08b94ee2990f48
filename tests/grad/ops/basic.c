// The operations that were there first: leaves, elementwise, products, rows, sums, softmax; and a few compositions.
#include "ops.h"

EXPR(b_fill, xf_op_mul(g, x[0], xf_graph_fill(g, XF_BATCH, XF_DIM(3), 2.5)))
EXPR(b_reshape, xf_op_reshape(g, xf_op_mul(g, x[0], x[0]), (struct xf_dim){3, XF_SYM_B}, XF_DIM(2)))
EXPR(b_add, xf_op_add(g, xf_op_mul(g, x[0], x[0]), x[1]))
EXPR(b_sub, xf_op_sub(g, x[0], xf_op_mul(g, x[1], x[1])))
EXPR(b_mul, xf_op_mul(g, x[0], x[1]))
EXPR(b_square, xf_op_mul(g, x[0], x[0]))
EXPR(b_div, xf_op_div(g, x[0], x[1]))
EXPR(b_scale, xf_op_scale(g, xf_op_exp(g, x[0]), -1.5))
EXPR(b_div_dim, xf_op_div_dim(g, xf_op_mul(g, x[0], x[0]), (struct xf_dim){2, XF_SYM_B}))
EXPR(b_exp, xf_op_exp(g, x[0]))
EXPR(b_log, xf_op_log(g, x[0]))
EXPR(b_sqrt, xf_op_sqrt(g, x[0]))
EXPR(b_softplus, xf_op_softplus(g, x[0]))
EXPR(b_step, xf_op_mul(g, xf_op_step(g, x[0]), xf_op_mul(g, x[0], x[0])))
EXPR(b_relu, xf_op_relu(g, x[0]))
EXPR(b_tanh, xf_op_tanh(g, x[0]))
EXPR(b_sigmoid, xf_op_sigmoid(g, x[0]))
EXPR(b_relu_grad, xf_op_act_grad(g, x[0], x[1], XF_ACT_RELU))
EXPR(b_tanh_grad, xf_op_act_grad(g, x[0], x[1], XF_ACT_TANH))
EXPR(b_sigmoid_grad, xf_op_act_grad(g, x[0], x[1], XF_ACT_SIGMOID))
EXPR(b_bce, xf_op_bce(g, x[0], x[1]))
EXPR(b_matmul_nn, xf_op_matmul(g, x[0], x[1], false, false))
EXPR(b_matmul_tn, xf_op_matmul(g, x[0], x[1], true, false))
EXPR(b_matmul_nt, xf_op_matmul(g, x[0], x[1], false, true))
EXPR(b_matmul_tt, xf_op_matmul(g, x[0], x[1], true, true))
EXPR(b_dense, xf_op_dense(g, x[0], x[1], x[2], XF_ACT_NONE))
EXPR(b_dense_relu, xf_op_dense(g, x[0], x[1], x[2], XF_ACT_RELU))
EXPR(b_dense_tanh, xf_op_dense(g, x[0], x[1], x[2], XF_ACT_TANH))
EXPR(b_dense_sigmoid, xf_op_dense_nobias(g, x[0], x[1], XF_ACT_SIGMOID))
EXPR(b_bias_add, xf_op_tanh(g, xf_op_bias_add(g, x[0], x[1])))
EXPR(b_gather, xf_op_tanh(g, xf_op_gather(g, x[0], id[0])))
EXPR(b_scatter_add, xf_op_tanh(g, xf_op_scatter_add(g, id[0], x[0], XF_DIM(4))))
EXPR(b_row_dot, xf_op_row_dot(g, x[0], x[1]))
EXPR(b_row_scale, xf_op_row_scale(g, x[0], x[1]))
EXPR(b_sum, xf_op_sum(g, xf_op_mul(g, x[0], x[0])))
EXPR(b_sum_rows, xf_op_sum_rows(g, xf_op_exp(g, x[0])))
EXPR(b_sum_cols, xf_op_sum_cols(g, xf_op_exp(g, x[0])))
EXPR(b_bc_scalar, xf_op_broadcast(g, xf_op_exp(g, x[0]), XF_BATCH, XF_DIM(3)))
EXPR(b_bc_row, xf_op_broadcast(g, xf_op_exp(g, x[0]), XF_BATCH, XF_DIM(3)))
EXPR(b_bc_col, xf_op_broadcast(g, xf_op_exp(g, x[0]), XF_BATCH, XF_DIM(3)))
EXPR(b_softmax, xf_op_softmax(g, x[0]))
EXPR(b_softmax_ce, xf_op_softmax_ce(g, x[0], id[0]))
EXPR(b_xent_grad, xf_op_xent_grad(g, x[0], id[0], x[1]))
// composed
EXPR(b_mean, xf_op_mean(g, xf_op_exp(g, x[0])))
EXPR(b_mse, xf_op_mean(g, xf_op_squared_error(g, x[0], x[1])))
EXPR(b_bpr, xf_op_mean(g, xf_op_bpr(g, x[0], x[1])))
EXPR(b_l2, xf_op_l2(g, x[0], 0.3))
BUILD(b_probs) { // the loss and the probabilities it computes anyway
  const int ce = xf_op_softmax_ce(g, x[0], id[0]), p = ce + 1;
  return xf_op_bias_add(g, xf_op_row_scale(g, p, ce), x[1]);
}
BUILD(b_mlp) {
  const int h = xf_op_dense(g, x[0], x[1], x[2], XF_ACT_TANH);
  return xf_op_mean(g, xf_op_softmax_ce(g, h, id[0]));
}
BUILD(b_mf) { // BPR on one item table gathered twice, L2 on the rows
  const int u = xf_op_gather(g, x[0], id[0]);
  const int both = xf_op_gather(g, x[1], id[1]); // [2B x 3]: used as two halves through a mask
  const int s = xf_op_row_dot(g, u, u), t = xf_op_row_dot(g, both, both);
  return xf_op_add(g, xf_op_mean(g, xf_op_softplus(g, s)),
                   xf_op_add(g, xf_op_mean(g, xf_op_sigmoid(g, t)), xf_op_l2(g, both, 0.1)));
}

const struct op_case basic_cases[] = {
    {"fill", XF_OP_FILL, b_fill, {B(1, 3)}, {{0}}},
    {"reshape", XF_OP_RESHAPE, b_reshape, {B(2, 3)}, {{0}}},
    {"add", XF_OP_ADD, b_add, {B(1, 3), B(1, 3)}, {{0}}},
    {"sub", XF_OP_SUB, b_sub, {B(1, 3), B(1, 3)}, {{0}}},
    {"mul", XF_OP_MUL, b_mul, {B(1, 3), B(1, 3)}, {{0}}},
    {"mul x x", XF_OP_MUL, b_square, {B(1, 3)}, {{0}}},
    {"div", XF_OP_DIV, b_div, {B(1, 3), BR(1, 3, POS)}, {{0}}},
    {"scale", XF_OP_SCALE, b_scale, {B(1, 3)}, {{0}}},
    {"div_dim", XF_OP_DIV_DIM, b_div_dim, {B(1, 3)}, {{0}}},
    {"exp", XF_OP_EXP, b_exp, {B(1, 3)}, {{0}}},
    {"log", XF_OP_LOG, b_log, {BR(1, 3, POS)}, {{0}}},
    {"sqrt", XF_OP_SQRT, b_sqrt, {BR(1, 3, POS)}, {{0}}},
    {"softplus", XF_OP_SOFTPLUS, b_softplus, {B(1, 3)}, {{0}}},
    {"step", XF_OP_STEP, b_step, {BR(1, 3, KINK)}, {{0}}},
    {"relu", XF_OP_ACT, b_relu, {BR(1, 3, KINK)}, {{0}}},
    {"tanh", XF_OP_ACT, b_tanh, {B(1, 3)}, {{0}}},
    {"sigmoid", XF_OP_ACT, b_sigmoid, {B(1, 3)}, {{0}}},
    {"relu_grad", XF_OP_ACT_GRAD, b_relu_grad, {B(1, 3), BR(1, 3, KINK)}, {{0}}},
    {"tanh_grad", XF_OP_ACT_GRAD, b_tanh_grad, {B(1, 3), B(1, 3)}, {{0}}},
    {"sigmoid_grad", XF_OP_ACT_GRAD, b_sigmoid_grad, {B(1, 3), BR(1, 3, UNIT)}, {{0}}},
    {"bce", XF_OP_BCE, b_bce, {B(1, 1), BR(1, 1, UNIT)}, {{0}}},
    {"matmul nn", XF_OP_MATMUL, b_matmul_nn, {B(1, 3), C(3, 2)}, {{0}}},
    {"matmul tn", XF_OP_MATMUL, b_matmul_tn, {B(1, 3), B(1, 2)}, {{0}}},
    {"matmul nt", XF_OP_MATMUL, b_matmul_nt, {B(1, 3), C(2, 3)}, {{0}}},
    {"matmul tt", XF_OP_MATMUL, b_matmul_tt, {C(3, 2), C(4, 3)}, {{0}}},
    {"dense", XF_OP_DENSE, b_dense, {B(1, 3), C(3, 2), C(2, 1)}, {{0}}},
    {"dense relu", XF_OP_DENSE, b_dense_relu, {B(1, 3), C(3, 2), C(1, 2)}, {{0}}},
    {"dense tanh", XF_OP_DENSE, b_dense_tanh, {B(1, 3), C(3, 2), C(1, 2)}, {{0}}},
    {"dense sigmoid, no bias", XF_OP_DENSE, b_dense_sigmoid, {B(1, 3), C(3, 2)}, {{0}}},
    {"bias_add", XF_OP_BIAS_ADD, b_bias_add, {B(1, 3), C(3, 1)}, {{0}}},
    {"gather", XF_OP_GATHER, b_gather, {C(4, 3)}, {{XF_SYM_B, 1, 2, 4}}},
    {"scatter_add", XF_OP_SCATTER_ADD, b_scatter_add, {B(1, 3)}, {{XF_SYM_B, 1, 1, 4}}},
    {"row_dot", XF_OP_ROW_DOT, b_row_dot, {B(1, 3), B(1, 3)}, {{0}}},
    {"row_scale", XF_OP_ROW_SCALE, b_row_scale, {B(1, 3), B(1, 1)}, {{0}}},
    {"sum", XF_OP_SUM, b_sum, {B(1, 3)}, {{0}}},
    {"sum_rows", XF_OP_SUM_ROWS, b_sum_rows, {B(1, 3)}, {{0}}},
    {"sum_cols", XF_OP_SUM_COLS, b_sum_cols, {B(1, 3)}, {{0}}},
    {"broadcast scalar", XF_OP_BROADCAST, b_bc_scalar, {C(1, 1)}, {{0}}},
    {"broadcast row", XF_OP_BROADCAST, b_bc_row, {C(1, 3)}, {{0}}},
    {"broadcast column", XF_OP_BROADCAST, b_bc_col, {B(1, 1)}, {{0}}},
    {"softmax", XF_OP_SOFTMAX, b_softmax, {B(1, 4)}, {{0}}},
    {"softmax_ce", XF_OP_SOFTMAX_CE, b_softmax_ce, {B(1, 4)}, {{XF_SYM_B, 1, 1, 4}}},
    {"softmax_ce, both outputs", XF_OP_PROJ, b_probs, {B(1, 4), C(1, 4)}, {{XF_SYM_B, 1, 1, 4}}},
    {"xent_grad", XF_OP_XENT_GRAD, b_xent_grad, {B(1, 4), B(1, 1)}, {{XF_SYM_B, 1, 1, 4}}},
    {"mean", XF_N_OP, b_mean, {B(1, 3)}, {{0}}},
    {"mse", XF_N_OP, b_mse, {B(1, 3), B(1, 3)}, {{0}}},
    {"bpr", XF_N_OP, b_bpr, {B(1, 1), B(1, 1)}, {{0}}},
    {"l2", XF_N_OP, b_l2, {B(1, 3)}, {{0}}},
    {"mlp", XF_N_OP, b_mlp, {B(1, 3), C(3, 4), C(4, 1)}, {{XF_SYM_B, 1, 1, 4}}},
    {"mf", XF_N_OP, b_mf, {C(5, 3), C(4, 3)}, {{XF_SYM_B, 1, 1, 5}, {XF_SYM_B, 2, 1, 4}}},
    {0},
};
