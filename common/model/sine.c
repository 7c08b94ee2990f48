/* The regression net of meta-learning's sinusoids: an mlp 1-64-64-1 with tanh and MSE (decision 51). */
#include "model/impl.h"

static enum xf_rc layout(struct xf_model *m, struct xf_diag *diag) {
  struct xf_model_config *c = &m->config;
  if (c->n_in != 1 || c->n_out != 1 || c->loss != XF_LOSS_MSE)
    return xf_diag_set(diag, XF_E_CONFIG,
                       "model sine-mlp has 1 input, 1 output and loss mse; model.n_in is %u, "
                       "model.n_out %u, model.loss %s",
                       c->n_in, c->n_out, xf_loss_name(c->loss));
  c->n_hidden = 2;
  c->hidden[0] = c->hidden[1] = 64;
  c->activation = XF_ACT_TANH;
  return xf_model_mlp.layout(m, diag);
}

static enum xf_rc loss(struct xf_model_net *net, const struct xf_model *m,
                       const struct xf_model_loss *spec, struct xf_diag *diag) {
  return xf_model_mlp.loss(net, m, spec, diag);
}

static void score(struct xf_model_net *net, const struct xf_model *m) {
  xf_model_mlp.score(net, m);
}

static struct xf_init_rule init(const struct xf_model *m, const struct xf_segment *seg) {
  return xf_model_mlp.init(m, seg);
}

static enum xf_model_axis axis(const struct xf_segment *seg) { return xf_model_mlp.axis(seg); }

const struct xf_model_ops xf_model_sine = {.data = XF_DATASET_TABLE,
                                           .head = true,
                                           .layout = layout,
                                           .loss = loss,
                                           .score = score,
                                           .init = init,
                                           .axis = axis};
