// Recurrent steps and attention, fused and from primitives; parts, blocks, masks, sparse products, alignment, losses.
#include "ops.h"

static const struct xf_dim three = {3, XF_SYM_B}, one_b = {1, XF_SYM_B};

EXPR(b_slice, xf_op_exp(g, xf_op_slice(g, x[0], one_b, one_b, 1, XF_DIM(2))))
EXPR(b_pad, xf_op_exp(g, xf_op_pad(g, x[0], one_b, three, 1, XF_DIM(4))))
EXPR(b_concat, xf_op_exp(g, xf_op_concat_cols(g, xf_op_concat_rows(g, x[0], x[1]), x[2])))
EXPR(b_bmm_nn, xf_op_batch_matmul(g, x[0], x[1], 2, 3, false, false))
EXPR(b_bmm_tn, xf_op_batch_matmul(g, x[0], x[1], 2, 2, true, false))
EXPR(b_bmm_nt, xf_op_batch_matmul(g, x[0], x[1], 2, 4, false, true))
EXPR(b_bmm_tt, xf_op_batch_matmul(g, x[0], x[1], 2, 3, true, true))
EXPR(b_causal, xf_op_mul(g, xf_op_exp(g, x[0]), xf_op_causal(g, three, 3)))
EXPR(b_spmm, xf_op_tanh(g, xf_op_spmm(g, id[0], id[1], x[0], x[1], XF_DIM(4))))
EXPR(b_bag, xf_op_tanh(g, xf_op_bag(g, x[0], id[0], id[1], x[1], XF_DIM(3))))
EXPR(b_bag_plain, xf_op_tanh(g, xf_op_bag(g, x[0], id[0], id[1], XF_NO_NODE, one_b)))
// reversed twice with lambda 1: a true derivative again
EXPR(b_reverse, xf_op_reverse(g, xf_op_reverse(g, xf_op_exp(g, x[0]), 1), 1))
EXPR(b_mmd, xf_op_mmd(g, x[0], x[1], ((const double[2]){1, 2}), 2, false))
EXPR(b_mmd_u, xf_op_mmd(g, x[0], x[1], ((const double[1]){0.7}), 1, true))
EXPR(b_mmd_linear, xf_op_mmd_linear(g, x[0], x[1]))
EXPR(b_coral, xf_op_coral(g, x[0], x[1]))
EXPR(b_sampled, xf_op_mean(g, xf_op_sampled_softmax(g, x[0], x[1], id[0])))
EXPR(b_top1, xf_op_mean(g, xf_op_top1(g, x[0], x[1])))

static struct xf_lstm_in lstm_in(const int *x, const int *id) {
  return (struct xf_lstm_in){.x = x[0], .u = x[1], .mask = id[0], .h0 = x[2], .c0 = x[3]};
}
static struct xf_gru_in gru_in(const int *x, const int *id) {
  return (struct xf_gru_in){.x = x[0], .u = x[1], .mask = id[0], .h0 = x[2]};
}
static struct xf_attention_in attention_in(const int *x, const int *id, bool causal) {
  return (struct xf_attention_in){
      .q = x[0], .k = x[1], .v = x[2], .mask = id[0], .T = 3, .causal = causal};
}
BUILD(b_lstm) {
  const struct xf_lstm_in in = lstm_in(x, id);
  return xf_op_lstm(g, &in, NULL);
}
BUILD(b_lstm_lowered) {
  const struct xf_lstm_in in = lstm_in(x, id);
  return xf_op_lstm_lowered(g, &in);
}
BUILD(
    b_lstm_pair) { // fused - lowered is 0 with all its derivatives: scaled up, no difference hides
  const struct xf_lstm_in in = lstm_in(x, id);
  return xf_op_add(g, xf_op_scale(g, xf_op_lstm(g, &in, NULL), 2),
                   xf_op_scale(g, xf_op_lstm_lowered(g, &in), -1));
}
BUILD(b_gru) {
  const struct xf_gru_in in = gru_in(x, id);
  return xf_op_gru(g, &in);
}
BUILD(b_gru_lowered) {
  const struct xf_gru_in in = gru_in(x, id);
  return xf_op_gru_lowered(g, &in);
}
BUILD(b_attention) {
  const struct xf_attention_in in = attention_in(x, id, false);
  return xf_op_attention(g, &in);
}
BUILD(b_attention_causal) {
  const struct xf_attention_in in = attention_in(x, id, true);
  return xf_op_attention(g, &in);
}
BUILD(b_attention_lowered) {
  const struct xf_attention_in in = attention_in(x, id, true);
  return xf_op_attention_lowered(g, &in);
}

#define LSTM_IN                           \
  {B(3, 8), C(2, 8), B(1, 2), B(1, 2)}, { \
    { XF_SYM_B, 3, 1, 2 }                 \
  }
#define GRU_IN                   \
  {B(3, 6), C(3, 6), B(1, 2)}, { \
    { XF_SYM_B, 3, 1, 2 }        \
  }
#define ATTENTION_IN             \
  {B(3, 2), B(3, 2), B(3, 3)}, { \
    { XF_SYM_B, 3, 1, 2 }        \
  }
const struct op_case sequence_cases[] = {
    {"slice", XF_OP_SLICE, b_slice, {B(3, 4)}, {{0}}},
    {"pad", XF_OP_PAD, b_pad, {B(1, 2)}, {{0}}},
    {"concat", XF_OP_PAD, b_concat, {B(1, 2), B(2, 2), B(3, 1)}, {{0}}},
    {"batch_matmul nn", XF_OP_BATCH_MATMUL, b_bmm_nn, {B(2, 3), B(3, 2)}, {{0}}},
    {"batch_matmul tn", XF_OP_BATCH_MATMUL, b_bmm_tn, {B(2, 3), B(2, 2)}, {{0}}},
    {"batch_matmul nt", XF_OP_BATCH_MATMUL, b_bmm_nt, {B(4, 3), B(8, 3)}, {{0}}},
    {"batch_matmul tt", XF_OP_BATCH_MATMUL, b_bmm_tt, {B(2, 4), B(3, 2)}, {{0}}},
    {"causal", XF_OP_CAUSAL, b_causal, {B(3, 3)}, {{0}}},
    {"spmm", XF_OP_SPMM, b_spmm, {B(3, 1), C(5, 2)}, {{XF_SYM_B, 3, 1, 4}, {XF_SYM_B, 3, 1, 5}}},
    {"bag", XF_N_OP, b_bag, {C(5, 2), B(2, 1)}, {{XF_SYM_B, 2, 1, 5}, {XF_SYM_B, 2, 1, 3}}},
    {"bag, plain", XF_N_OP, b_bag_plain, {C(5, 2)}, {{XF_SYM_B, 2, 1, 5}, {XF_SYM_B, 2, 1, 1}}},
    {"reverse", XF_OP_REVERSE, b_reverse, {B(1, 3)}, {{0}}},
    {"mmd", XF_N_OP, b_mmd, {B(1, 2), C(3, 2)}, {{0}}},
    {"mmd unbiased", XF_N_OP, b_mmd_u, {B(1, 2), C(3, 2)}, {{0}}},
    {"mmd linear", XF_N_OP, b_mmd_linear, {B(1, 2), C(3, 2)}, {{0}}},
    {"coral", XF_N_OP, b_coral, {B(1, 2), C(3, 2)}, {{0}}},
    {"sampled softmax", XF_N_OP, b_sampled, {B(1, 4), B(1, 4)}, {{XF_SYM_B, 1, 1, 4}}},
    {"top1", XF_N_OP, b_top1, {B(1, 1), B(1, 3)}, {{0}}},
    {"lstm", XF_OP_LSTM, b_lstm, LSTM_IN},
    {"lstm gradient", XF_OP_LSTM_GRAD, b_lstm, LSTM_IN},
    {"lstm, lowered", XF_N_OP, b_lstm_lowered, LSTM_IN},
    {"lstm, both", XF_N_OP, b_lstm_pair, LSTM_IN},
    {"gru", XF_OP_GRU, b_gru, GRU_IN},
    {"gru gradient", XF_OP_GRU_GRAD, b_gru, GRU_IN},
    {"gru, lowered", XF_N_OP, b_gru_lowered, GRU_IN},
    {"attention", XF_OP_ATTENTION, b_attention, ATTENTION_IN},
    {"attention, causal", XF_OP_ATTENTION, b_attention_causal, ATTENTION_IN},
    {"attention gradient", XF_OP_ATTENTION_GRAD, b_attention_causal, ATTENTION_IN},
    {"attention, lowered", XF_N_OP, b_attention_lowered, ATTENTION_IN},
    {0},
};
