#include "model/seqnet.h"

#include <math.h>

enum { MAX_STEPS = 1 << 14, MAX_WIDTH = 1 << 14, MAX_TOKENS = 1 << 20 };

enum xf_rc xf_seqnet_check(const struct xf_model *m, enum xf_loss loss, struct xf_diag *diag) {
  const struct xf_model_config *c = &m->config;
  const char *kind = xf_model_kind_name(c->kind);
  if (c->loss != loss)
    return xf_diag_set(diag, XF_E_UNSUPPORTED, "model %s has no loss %s; it has %s", kind,
                       xf_loss_name(c->loss), xf_loss_name(loss));
  if (c->n_hidden != 1 || c->hidden[0] < 1 || c->hidden[0] > MAX_WIDTH)
    return xf_diag_set(
        diag, XF_E_CONFIG,
        "model %s has one recurrent layer; model.hidden must be one width of 1 to %d", kind,
        MAX_WIDTH);
  if (c->steps < 1 || c->steps > MAX_STEPS)
    return xf_diag_set(diag, XF_E_CONFIG, "model.steps is %u; it must be 1 to %d", c->steps,
                       MAX_STEPS);
  if (c->n_in < 1 || c->n_in > MAX_TOKENS)
    return xf_diag_set(diag, XF_E_CONFIG,
                       "model.n_in is %u; %s needs the number of tokens, 1 to %d", c->n_in, kind,
                       MAX_TOKENS);
  return XF_OK;
}

uint32_t xf_seqnet_gates(const struct xf_model *m) {
  return m->config.kind == XF_MODEL_CHAR_GRU ? 3 : 4;
}

enum xf_rc xf_seqnet_layout(struct xf_model *m, struct xf_diag *diag) {
  const uint32_t H = m->config.hidden[0], gates = xf_seqnet_gates(m);
  return xf_layout_add(&m->layout, "u", XF_ROLE_SHARED, "", gates == 3 ? H + 1 : H, gates * H,
                       diag);
}

struct xf_dim xf_seqnet_rows(const struct xf_model *m) {
  return (struct xf_dim){m->config.steps, XF_SYM_B};
}

/* The state a chunk starts from: zeros in training, what the caller carries on in scoring. */
static int start(struct xf_model_net *net, const struct xf_model *m, enum xf_feed feed,
                 const char *name, bool score) {
  const uint32_t H = m->config.hidden[0];
  if (!score) return xf_graph_fill(net->graph, XF_BATCH, XF_DIM(H), 0);
  return net->feed[feed] = xf_graph_input(net->graph, name, XF_BATCH, H);
}

int xf_seqnet_states(struct xf_model_net *net, const struct xf_model *m, int x, bool score) {
  struct xf_graph *g = net->graph;
  const struct xf_dim rows = xf_seqnet_rows(m),
                      last = {rows.n - 1, rows.n > 1 ? rows.sym : XF_SYM_ONE};
  const int mask = net->feed[XF_FEED_MASK] = xf_graph_ids(g, "mask", rows, 1);
  const int h0 = start(net, m, XF_FEED_H, "h", score), u = xf_graph_param(g, "u");
  int h, c = XF_NO_NODE;
  if (xf_seqnet_gates(m) == 3) {
    h = xf_op_gru(g, &(struct xf_gru_in){.x = x, .u = u, .mask = mask, .h0 = h0});
  } else {
    const int c0 = start(net, m, XF_FEED_C, "c", score);
    h = xf_op_lstm(g, &(struct xf_lstm_in){.x = x, .u = u, .mask = mask, .h0 = h0, .c0 = c0},
                   score ? &c : NULL);
  }
  if (score) {
    net->state[0] = xf_op_slice_rows(g, h, last, XF_BATCH);
    net->state[1] = c == XF_NO_NODE ? c : xf_op_slice_rows(g, c, last, XF_BATCH);
  }
  if (rows.n == 1) return h0;
  return xf_op_concat_rows(
      g, h0, xf_op_slice_rows(g, h, XF_DIM(0), (struct xf_dim){rows.n - 1, rows.sym}));
}

void xf_seqnet_loss(struct xf_model_net *net, const struct xf_model *m, int each, double l2) {
  struct xf_graph *g = net->graph;
  const int weight = net->feed[XF_FEED_WEIGHT] = xf_graph_input(g, "weight", xf_seqnet_rows(m), 1);
  net->data = net->loss = xf_op_sum(g, xf_op_mul(g, each, weight));
  if (!(l2 > 0)) return;
  const int u = xf_graph_param(g, "u"), out = xf_graph_param(g, "out");
  const int sum =
      xf_op_add(g, xf_op_sum(g, xf_op_mul(g, u, u)), xf_op_sum(g, xf_op_mul(g, out, out)));
  net->loss = xf_op_add(g, net->data, xf_op_scale(g, sum, l2 / 2));
}

struct xf_init_rule xf_seqnet_init(const struct xf_model *m, const struct xf_segment *seg) {
  (void)seg;
  const double scale = m->config.init_std > 0 ? m->config.init_std : 1 / sqrt(m->config.hidden[0]);
  return (struct xf_init_rule){m->config.init_std > 0 ? XF_INIT_NORMAL : XF_INIT_UNIFORM, scale};
}

enum xf_model_axis xf_seqnet_axis(const struct xf_segment *seg) {
  (void)seg;
  return XF_AXIS_NONE;
}
