#include "model/seqnet.h"

#include <math.h>
#include <string.h>

enum { MAX_STEPS = 1 << 14, MAX_WIDTH = 1 << 14, MAX_TOKENS = 1 << 20 };

enum xf_rc xf_seqnet_check(const struct xf_model *m, enum xf_loss loss, struct xf_diag *diag) {
  const struct xf_model_config *c = &m->config;
  const char *kind = xf_model_kind_name(c->kind);
  if (c->loss != loss)
    return xf_diag_set(diag, XF_E_UNSUPPORTED, "model %s has no loss %s; it has %s", kind,
                       xf_loss_name(c->loss), xf_loss_name(loss));
  bool fits = c->n_hidden >= 1 && c->n_hidden <= XF_SEQNET_LAYERS;
  for (uint32_t l = 0; l < c->n_hidden && fits; l++)
    fits = c->hidden[l] >= 1 && c->hidden[l] <= MAX_WIDTH;
  if (!fits)
    return xf_diag_set(
        diag, XF_E_CONFIG,
        "model %s has one or two recurrent layers; model.hidden must be one or two widths of 1 to "
        "%d",
        kind, MAX_WIDTH);
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

static enum xf_rc add(struct xf_model *m, const char *name, uint32_t rows, uint32_t cols,
                      struct xf_diag *diag) {
  return xf_layout_add(&m->layout, name, XF_ROLE_SHARED, "", rows, cols, diag);
}

enum xf_rc xf_seqnet_layout(struct xf_model *m, struct xf_diag *diag) {
  const uint32_t *H = m->config.hidden, gates = xf_seqnet_gates(m), bias = gates == 3;
  enum xf_rc rc = add(m, "u", H[0] + bias, gates * H[0], diag);
  if (rc || m->config.n_hidden == 1) return rc;
  rc = add(m, "in2", H[0], gates * H[1], diag);
  if (!rc) rc = add(m, "in2_bias", gates * H[1], 1, diag);
  return rc ? rc : add(m, "u2", H[1] + bias, gates * H[1], diag);
}

uint32_t xf_seqnet_width(const struct xf_model *m) {
  return m->config.hidden[m->config.n_hidden - 1];
}

struct xf_dim xf_seqnet_rows(const struct xf_model *m) {
  return (struct xf_dim){m->config.steps, XF_SYM_B};
}

/* The state a chunk starts from: zeros in training, what the caller carries on in scoring. */
static int start(struct xf_model_net *net, uint32_t H, enum xf_feed feed, const char *name,
                 bool score) {
  if (!score) return xf_graph_fill(net->graph, XF_BATCH, XF_DIM(H), 0);
  return net->feed[feed] = xf_graph_input(net->graph, name, XF_BATCH, H);
}

/* One layer over x [T*B x gates H]: its states after each step; *before the start state. */
static int layer(struct xf_model_net *net, const struct xf_model *m, uint32_t l, int x, bool score,
                 int *before) {
  static const char *const u_name[] = {"u", "u2"}, *const h_name[] = {"h", "h2"},
                           *const c_name[] = {"c", "c2"};
  struct xf_graph *g = net->graph;
  const struct xf_dim rows = xf_seqnet_rows(m),
                      last = {rows.n - 1, rows.n > 1 ? rows.sym : XF_SYM_ONE};
  const uint32_t H = m->config.hidden[l];
  const int mask = net->feed[XF_FEED_MASK], u = xf_graph_param(g, u_name[l]),
            h0 = *before = start(net, H, l ? XF_FEED_H2 : XF_FEED_H, h_name[l], score);
  int h, c = XF_NO_NODE;
  if (xf_seqnet_gates(m) == 3) {
    h = xf_op_gru(g, &(struct xf_gru_in){.x = x, .u = u, .mask = mask, .h0 = h0});
  } else {
    const int c0 = start(net, H, l ? XF_FEED_C2 : XF_FEED_C, c_name[l], score);
    h = xf_op_lstm(g, &(struct xf_lstm_in){.x = x, .u = u, .mask = mask, .h0 = h0, .c0 = c0},
                   score ? &c : NULL);
  }
  if (score) {
    net->state[2 * l] = xf_op_slice_rows(g, h, last, XF_BATCH);
    net->state[2 * l + 1] = c == XF_NO_NODE ? c : xf_op_slice_rows(g, c, last, XF_BATCH);
  }
  return h;
}

int xf_seqnet_states(struct xf_model_net *net, const struct xf_model *m, int x, bool score) {
  struct xf_graph *g = net->graph;
  const struct xf_dim rows = xf_seqnet_rows(m);
  int h0 = XF_NO_NODE;
  net->feed[XF_FEED_MASK] = xf_graph_ids(g, "mask", rows, 1);
  int h = layer(net, m, 0, x, score, &h0);
  if (m->config.n_hidden > 1) {
    const int x2 =
        xf_op_dense(g, h, xf_graph_param(g, "in2"), xf_graph_param(g, "in2_bias"), XF_ACT_NONE);
    h = layer(net, m, 1, x2, score, &h0);
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
  static const char *const names[] = {"u", "out", "in2", "u2"};
  int sum = XF_NO_NODE;
  for (int k = 0; k < (m->config.n_hidden > 1 ? 4 : 2); k++) {
    const int w = xf_graph_param(g, names[k]), norm2 = xf_op_sum(g, xf_op_mul(g, w, w));
    sum = k ? xf_op_add(g, sum, norm2) : norm2;
  }
  net->loss = xf_op_add(g, net->data, xf_op_scale(g, sum, l2 / 2));
}

struct xf_init_rule xf_seqnet_init(const struct xf_model *m, const struct xf_segment *seg) {
  const bool top = strncmp(seg->name, "out", 3) == 0 || strchr(seg->name, '2') != NULL;
  const uint32_t H = top ? xf_seqnet_width(m) : m->config.hidden[0];
  const double scale = m->config.init_std > 0 ? m->config.init_std : 1 / sqrt(H);
  return (struct xf_init_rule){m->config.init_std > 0 ? XF_INIT_NORMAL : XF_INIT_UNIFORM, scale};
}

enum xf_model_axis xf_seqnet_axis(const struct xf_segment *seg) {
  (void)seg;
  return XF_AXIS_NONE;
}
