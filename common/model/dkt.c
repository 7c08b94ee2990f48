/* Deep knowledge tracing: an LSTM over (skill, right or wrong) that predicts the answer to the skill asked next.
   @source Piech et al. 2015, eqs. 1-4 (the sum over one-hot outputs is one gathered row of the output weights) */
#include "model/seqnet.h"

static enum xf_rc layout(struct xf_model *m, struct xf_diag *diag) {
  const struct xf_model_config *c = &m->config;
  enum xf_rc rc = xf_seqnet_check(m, XF_LOSS_BCE, diag);
  if (rc) return rc;
  if (c->n_out != 1)
    return xf_diag_set(diag, XF_E_CONFIG, "model.n_out is %u; dkt predicts one answer: write 1",
                       c->n_out);
  const uint32_t H = c->hidden[0];
  rc = xf_layout_add(&m->layout, "in", XF_ROLE_SHARED, "", 2 * c->n_in, 4 * H, diag);
  if (!rc) rc = xf_layout_add(&m->layout, "in_bias", XF_ROLE_SHARED, "", 4 * H, 1, diag);
  if (!rc) rc = xf_seqnet_layout(m, diag);
  if (!rc)
    rc = xf_layout_add(&m->layout, "out", XF_ROLE_SHARED, "", c->n_in, xf_seqnet_width(m), diag);
  if (!rc) rc = xf_layout_add(&m->layout, "out_bias", XF_ROLE_SHARED, "", c->n_in, 1, diag);
  return rc;
}

/* Logits of the answers. @shape out [T*B x 1] */
static int forward(struct xf_model_net *net, const struct xf_model *m, bool score) {
  struct xf_graph *g = net->graph;
  const struct xf_dim rows = xf_seqnet_rows(m);
  const int step = net->feed[XF_FEED_STEP] = xf_graph_ids(g, "step", rows, 1);
  const int skill = net->feed[XF_FEED_ITEM] = xf_graph_ids(g, "item", rows, 1);
  const int x = xf_op_bias_add(g, xf_op_gather(g, xf_graph_param(g, "in"), step),
                               xf_graph_param(g, "in_bias"));
  const int before = xf_seqnet_states(net, m, x, score);
  const int z = xf_op_row_dot(g, before, xf_op_gather(g, xf_graph_param(g, "out"), skill));
  return xf_op_add(g, z, xf_op_gather(g, xf_graph_param(g, "out_bias"), skill));
}

static enum xf_rc loss(struct xf_model_net *net, const struct xf_model *m,
                       const struct xf_model_loss *spec, struct xf_diag *diag) {
  (void)diag;
  net->group = m->config.steps;
  const int z = forward(net, m, false);
  net->feed[XF_FEED_Y] = xf_graph_input(net->graph, "y", xf_seqnet_rows(m), 1);
  xf_seqnet_loss(net, m, xf_op_bce(net->graph, z, net->feed[XF_FEED_Y]), spec->l2);
  return XF_OK;
}

static void score(struct xf_model_net *net, const struct xf_model *m) {
  net->score = forward(net, m, true);
}

const struct xf_model_ops xf_model_dkt = {.data = XF_DATASET_SEQUENCES,
                                          .layout = layout,
                                          .loss = loss,
                                          .score = score,
                                          .init = xf_seqnet_init,
                                          .axis = xf_seqnet_axis};
