/* Multi-layer perceptron; without hidden layers it is logistic (or linear) regression. A scorer is one over the candidates
   of a list, whose loss is the softmax over the list; its output has no bias, which would move all candidates alike. */
#include "model/impl.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MAX_WIDTH = 1 << 20, MAX_NEGATIVES = 1 << 16, NAME = 16 };

static uint32_t n_layer(const struct xf_model *m) {
  return m->config.kind == XF_MODEL_LOGREG ? 1 : m->config.n_hidden + 1;
}

static bool has_bias(const struct xf_model *m, uint32_t l) {
  return m->config.bias && (m->config.kind != XF_MODEL_SCORER || l + 1 < n_layer(m));
}

/* Width of layer l's input; l = n_layer: of the output. */
static uint32_t width(const struct xf_model *m, uint32_t l) {
  if (l == 0) return m->config.n_in;
  return l == n_layer(m) ? m->config.n_out : m->config.hidden[l - 1];
}

static const char *name(char out[NAME], const struct xf_model *m, char what, uint32_t l) {
  if (m->config.kind == XF_MODEL_LOGREG) (void)snprintf(out, NAME, "%c", what);
  else (void)snprintf(out, NAME, "%c%u", what, l + 1);
  return out;
}

static enum xf_rc check_out(const struct xf_model *m, struct xf_diag *diag) {
  const struct xf_model_config *c = &m->config;
  if (c->kind == XF_MODEL_SCORER) {
    if (c->loss != XF_LOSS_SOFTMAX)
      return xf_diag_set(diag, XF_E_UNSUPPORTED,
                         "model scorer has no loss %s; it has softmax, over the list",
                         xf_loss_name(c->loss));
    if (c->n_out != 1 || c->n_hidden > 1)
      return xf_diag_set(diag, XF_E_CONFIG,
                         "model scorer has 1 output and at most 1 hidden layer; model.n_out is %u, "
                         "model.hidden has %u layers",
                         c->n_out, c->n_hidden);
    return XF_OK;
  }
  return xf_model_table_check(m, NULL, diag);
}

static enum xf_rc check(const struct xf_model *m, struct xf_diag *diag) {
  const struct xf_model_config *c = &m->config;
  const char *kind = xf_model_kind_name(c->kind);
  if (c->loss == XF_LOSS_BPR)
    return xf_diag_set(diag, XF_E_UNSUPPORTED, "model %s has no loss bpr; it has bce, softmax, mse",
                       kind);
  if (c->n_hidden > XF_MODEL_HIDDEN_MAX)
    return xf_diag_set(diag, XF_E_CONFIG, "model.hidden has %u layers; at most %d", c->n_hidden,
                       XF_MODEL_HIDDEN_MAX);
  for (uint32_t l = 0; l <= n_layer(m); l++)
    if (width(m, l) < 1 || width(m, l) > MAX_WIDTH)
      return xf_diag_set(diag, XF_E_CONFIG,
                         "model %s: width %u of layer %u (0: inputs) must be 1 to %d", kind,
                         width(m, l), l, MAX_WIDTH);
  return check_out(m, diag);
}

static enum xf_rc layout(struct xf_model *m, struct xf_diag *diag) {
  char buf[NAME];
  enum xf_rc rc = check(m, diag);
  for (uint32_t l = 0; !rc && l < n_layer(m); l++) {
    rc = xf_layout_add(&m->layout, name(buf, m, 'w', l), XF_ROLE_SHARED, "", width(m, l),
                       width(m, l + 1), diag);
    if (!rc && has_bias(m, l))
      rc = xf_layout_add(&m->layout, name(buf, m, 'b', l), XF_ROLE_SHARED, "", width(m, l + 1), 1,
                         diag);
  }
  return rc;
}

/* Uniform +-1/sqrt(fan in) for weights and biases alike; or as asked for, with biases 0. */
static struct xf_init_rule init(const struct xf_model *m, const struct xf_segment *seg) {
  const bool bias = seg->name[0] == 'b';
  if (m->config.init_std > 0)
    return (struct xf_init_rule){bias ? XF_INIT_ZERO : XF_INIT_NORMAL, m->config.init_std};
  uint32_t fan_in = seg->rows;
  char buf[NAME];
  for (uint32_t l = 0; bias && l < n_layer(m); l++)
    if (!strcmp(seg->name, name(buf, m, 'b', l))) fan_in = width(m, l);
  return (struct xf_init_rule){XF_INIT_UNIFORM, 1.0 / sqrt(fan_in)};
}

static enum xf_model_axis axis(const struct xf_segment *seg) {
  (void)seg;
  return XF_AXIS_NONE;
}

/* Outputs of `rows` inputs; *l2 = the sum of squared weights. */
static int forward(struct xf_model_net *net, const struct xf_model *m, struct xf_dim rows,
                   int *l2) {
  struct xf_graph *g = net->graph;
  char buf[NAME];
  int h = net->feed[XF_FEED_X] = xf_graph_input(g, "x", rows, m->config.n_in);
  for (uint32_t l = 0; l < n_layer(m); l++) {
    const enum xf_act act = l + 1 == n_layer(m) ? XF_ACT_NONE : m->config.activation;
    const int w = xf_graph_param(g, name(buf, m, 'w', l));
    net->hidden = h;
    if (has_bias(m, l)) h = xf_op_dense(g, h, w, xf_graph_param(g, name(buf, m, 'b', l)), act);
    else h = xf_op_dense_nobias(g, h, w, act);
    if (!l2) continue;
    const int sq = xf_op_sum(g, xf_op_mul(g, w, w));
    *l2 = l == 0 ? sq : xf_op_add(g, *l2, sq);
  }
  return h;
}

static enum xf_rc check_loss(const struct xf_model *m, const struct xf_model_loss *spec,
                             struct xf_diag *diag) {
  if (spec->pull > 0)
    return xf_diag_set(diag, XF_E_CONFIG, "a pull needs aligned users; model %s has none",
                       xf_model_kind_name(m->config.kind));
  if (m->config.kind == XF_MODEL_SCORER && spec->negatives > MAX_NEGATIVES)
    return xf_diag_set(diag, XF_E_CONFIG, "local.negatives is %u; at most %d", spec->negatives,
                       MAX_NEGATIVES);
  return XF_OK;
}

static enum xf_rc loss(struct xf_model_net *net, const struct xf_model *m,
                       const struct xf_model_loss *spec, struct xf_diag *diag) {
  const enum xf_rc rc = check_loss(m, spec, diag);
  if (rc) return rc;
  struct xf_graph *g = net->graph;
  int l2 = XF_NO_NODE;
  const bool lists = m->config.kind == XF_MODEL_SCORER;
  if (lists) net->group = 1 + (spec->negatives ? spec->negatives : 99);
  int z = forward(net, m, (struct xf_dim){net->group, XF_SYM_B}, spec->l2 > 0 ? &l2 : NULL);
  if (lists) z = xf_op_reshape(g, z, XF_BATCH, XF_DIM(net->group));
  xf_model_table_loss(net, m, spec->l2, z, l2);
  return XF_OK;
}

static void score(struct xf_model_net *net, const struct xf_model *m) {
  net->score = forward(net, m, XF_BATCH, NULL);
}

const struct xf_model_ops xf_model_scorer = {.data = XF_DATASET_LISTS,
                                             .layout = layout,
                                             .loss = loss,
                                             .score = score,
                                             .init = init,
                                             .axis = axis};
const struct xf_model_ops xf_model_mlp = {.data = XF_DATASET_TABLE,
                                          .head = true,
                                          .layout = layout,
                                          .loss = loss,
                                          .score = score,
                                          .init = init,
                                          .axis = axis};
