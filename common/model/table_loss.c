/* What models of tables share: their losses, and which of them fit their outputs. */
#include "model/impl.h"

enum xf_rc xf_model_table_check(const struct xf_model *m, const struct xf_model_loss *spec,
                                struct xf_diag *diag) {
  const struct xf_model_config *c = &m->config;
  if (c->loss == XF_LOSS_BPR)
    return xf_diag_set(diag, XF_E_UNSUPPORTED, "model %s has no loss bpr; it has bce, softmax, mse",
                       xf_model_kind_name(c->kind));
  if (c->loss == XF_LOSS_SOFTMAX ? c->n_out < 2 : c->n_out != 1)
    return xf_diag_set(diag, XF_E_CONFIG, "model.n_out is %u; loss %s needs %s", c->n_out,
                       xf_loss_name(c->loss), c->loss == XF_LOSS_SOFTMAX ? "at least 2" : "1");
  if (spec && spec->pull > 0)
    return xf_diag_set(diag, XF_E_CONFIG, "a pull needs aligned users; model %s has none",
                       xf_model_kind_name(c->kind));
  return XF_OK;
}

void xf_model_table_loss(struct xf_model_net *net, const struct xf_model *m, double l2, int z,
                         int squares) {
  struct xf_graph *g = net->graph;
  if (m->config.loss == XF_LOSS_SOFTMAX) {
    net->feed[XF_FEED_CLASS] = xf_graph_ids(g, "class", XF_BATCH, 1);
    const int ce = xf_op_softmax_ce(g, z, net->feed[XF_FEED_CLASS]),
              part = net->feed[XF_FEED_WEIGHT];
    net->data = part == XF_NO_NODE ? xf_op_mean(g, ce) : xf_op_sum(g, xf_op_mul(g, ce, part));
  } else {
    net->feed[XF_FEED_Y] = xf_graph_input(g, "y", XF_BATCH, 1);
    net->data = xf_op_mean(g, m->config.loss == XF_LOSS_BCE
                                  ? xf_op_bce(g, z, net->feed[XF_FEED_Y])
                                  : xf_op_squared_error(g, z, net->feed[XF_FEED_Y]));
  }
  net->loss = net->data;
  if (squares != XF_NO_NODE && l2 > 0)
    net->loss = xf_op_add(g, net->data, xf_op_scale(g, squares, l2 / 2));
}
