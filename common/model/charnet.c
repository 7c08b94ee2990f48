/* A language model letter by letter: embedding, LSTM or GRU, softmax over the letters.
   @source McMahan et al. 2017, section 3 (Shakespeare: two layers) */
#include "model/seqnet.h"

static enum xf_rc layout(struct xf_model *m, struct xf_diag *diag) {
  const struct xf_model_config *c = &m->config;
  enum xf_rc rc = xf_seqnet_check(m, XF_LOSS_SOFTMAX, diag);
  if (rc) return rc;
  if (c->n_out != c->n_in || c->n_in < 2 || c->dim < 1)
    return xf_diag_set(diag, XF_E_CONFIG,
                       "model.n_in is %u and n_out %u; a language model has the same letters, at "
                       "least 2, in both, and model.dim above 0",
                       c->n_in, c->n_out);
  const uint32_t G = xf_seqnet_gates(m) * c->hidden[0];
  rc = xf_layout_add(&m->layout, "letter", XF_ROLE_SHARED, "", c->n_in, c->dim, diag);
  if (!rc) rc = xf_layout_add(&m->layout, "in", XF_ROLE_SHARED, "", c->dim, G, diag);
  if (!rc) rc = xf_layout_add(&m->layout, "in_bias", XF_ROLE_SHARED, "", G, 1, diag);
  if (!rc) rc = xf_seqnet_layout(m, diag);
  if (!rc)
    rc = xf_layout_add(&m->layout, "out", XF_ROLE_SHARED, "", xf_seqnet_width(m), c->n_out, diag);
  if (!rc) rc = xf_layout_add(&m->layout, "out_bias", XF_ROLE_SHARED, "", c->n_out, 1, diag);
  return rc;
}

/* Logits of the letters. @shape out [T*B x n_out] */
static int forward(struct xf_model_net *net, const struct xf_model *m, bool score) {
  struct xf_graph *g = net->graph;
  const int item = net->feed[XF_FEED_ITEM] = xf_graph_ids(g, "item", xf_seqnet_rows(m), 1);
  const int e = xf_op_gather(g, xf_graph_param(g, "letter"), item);
  const int x =
      xf_op_dense(g, e, xf_graph_param(g, "in"), xf_graph_param(g, "in_bias"), XF_ACT_NONE);
  const int before = xf_seqnet_states(net, m, x, score);
  return xf_op_dense(g, before, xf_graph_param(g, "out"), xf_graph_param(g, "out_bias"),
                     XF_ACT_NONE);
}

static enum xf_rc loss(struct xf_model_net *net, const struct xf_model *m,
                       const struct xf_model_loss *spec, struct xf_diag *diag) {
  (void)diag;
  net->group = m->config.steps;
  const int z = forward(net, m, false);
  xf_seqnet_loss(net, m, xf_op_softmax_ce(net->graph, z, net->feed[XF_FEED_ITEM]), spec->l2);
  return XF_OK;
}

static void score(struct xf_model_net *net, const struct xf_model *m) {
  net->score = forward(net, m, true);
}

const struct xf_model_ops xf_model_charnet = {.data = XF_DATASET_SEQUENCES,
                                              .layout = layout,
                                              .loss = loss,
                                              .score = score,
                                              .init = xf_seqnet_init,
                                              .axis = xf_seqnet_axis};
