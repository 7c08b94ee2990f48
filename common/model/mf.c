/* Matrix factorisation with biases. Scores: user . item + item_bias (+ user_bias + bias for bce and mse). */
#include "model/impl.h"

#include <string.h>

enum { MAX_DIM = 4096, MAX_NEGATIVES = 4096 };
/* Rows that silos hold in common start large enough that their direction survives the first steps: it is what makes
   the silos' item spaces comparable. Own rows start small, as in the literature. */
static const double own_std = 0.01, aligned_std = 0.1;

/* bce and mse predict a level, so all three biases matter; in bpr and softmax those of user and whole cancel. */
static bool has_levels(const struct xf_model *m) {
  return m->config.bias && (m->config.loss == XF_LOSS_BCE || m->config.loss == XF_LOSS_MSE);
}

static enum xf_rc add_rows(struct xf_model *m, const char *name, enum xf_model_rows rows,
                           enum xf_role own, const char *ns, uint32_t n, uint32_t cols,
                           struct xf_diag *diag) {
  enum xf_role role = own;
  if (rows == XF_ROWS_ALIGNED) role = XF_ROLE_ALIGNED;
  if (rows == XF_ROWS_SHARED) role = XF_ROLE_SHARED;
  return xf_layout_add(&m->layout, name, role, role == XF_ROLE_ALIGNED ? ns : "", n, cols, diag);
}

static enum xf_rc layout(struct xf_model *m, struct xf_diag *diag) {
  const struct xf_model_config *c = &m->config;
  if (c->dim < 1 || c->dim > MAX_DIM)
    return xf_diag_set(diag, XF_E_CONFIG, "model.dim is %u; it must be 1 to %d", c->dim, MAX_DIM);
  if (c->users == XF_ROWS_SHARED)
    return xf_diag_set(diag, XF_E_UNSUPPORTED,
                       "model mf: user rows cannot be shared as a whole; "
                       "align them by pseudonyms");
  enum xf_rc rc =
      add_rows(m, "user", c->users, XF_ROLE_USER, c->user_ns, m->size.n_users, c->dim, diag);
  if (!rc && has_levels(m))
    rc = add_rows(m, "user_bias", c->users, XF_ROLE_USER, c->user_ns, m->size.n_users, 1, diag);
  if (!rc)
    rc = add_rows(m, "item", c->items, XF_ROLE_DOMAIN, c->item_ns, m->size.n_items, c->dim, diag);
  if (!rc && c->bias)
    rc = add_rows(m, "item_bias", c->items, XF_ROLE_DOMAIN, c->item_ns, m->size.n_items, 1, diag);
  if (!rc && has_levels(m)) rc = xf_layout_add(&m->layout, "bias", XF_ROLE_SHARED, "", 1, 1, diag);
  return rc;
}

static struct xf_init_rule init(const struct xf_model *m, const struct xf_segment *seg) {
  if (strcmp(seg->name, "user") != 0 && strcmp(seg->name, "item") != 0)
    return (struct xf_init_rule){XF_INIT_ZERO, 0};
  double std = m->config.init_std;
  if (std == 0) std = seg->role == XF_ROLE_ALIGNED ? aligned_std : own_std;
  return (struct xf_init_rule){XF_INIT_NORMAL, std};
}

static enum xf_model_axis axis(const struct xf_segment *seg) {
  if (!strncmp(seg->name, "user", 4)) return XF_AXIS_USER;
  if (!strncmp(seg->name, "item", 4)) return XF_AXIS_ITEM;
  return XF_AXIS_NONE;
}

/* Scores of rows (user, item). @shape user [R x dim], ids [R x 1], out [R x 1] */
static int pair_score(struct xf_graph *g, const struct xf_model *m, int user, int item,
                      int item_ids) {
  int z = xf_op_row_dot(g, user, item);
  if (m->config.bias)
    z = xf_op_add(g, z, xf_op_gather(g, xf_graph_param(g, "item_bias"), item_ids));
  return z;
}

/* Adds user_bias and bias, where they matter. @shape z [R x C], user_ids [R x 1] */
static int add_levels(struct xf_graph *g, const struct xf_model *m, int z, int user_ids) {
  if (!has_levels(m)) return z;
  struct xf_dim rows, cols;
  xf_graph_get_shape(g, z, &rows, &cols);
  const int user = xf_op_gather(g, xf_graph_param(g, "user_bias"), user_ids);
  z = xf_op_add(
      g, z, cols.n == 1 && cols.sym == XF_SYM_ONE ? user : xf_op_broadcast(g, user, rows, cols));
  return xf_op_add(g, z, xf_op_broadcast(g, xf_graph_param(g, "bias"), rows, cols));
}

static enum xf_rc check_loss(const struct xf_model *m, const struct xf_model_loss *spec,
                             struct xf_diag *diag) {
  if (spec->negatives > MAX_NEGATIVES)
    return xf_diag_set(diag, XF_E_CONFIG, "local.negatives is %u; at most %d", spec->negatives,
                       MAX_NEGATIVES);
  if (spec->pull > 0 && m->config.users != XF_ROWS_ALIGNED)
    return xf_diag_set(diag, XF_E_CONFIG, "a pull needs aligned users; these are the silo's own");
  return XF_OK;
}

static uint32_t group_of(const struct xf_model *m, const struct xf_model_loss *spec) {
  const uint32_t n = spec->negatives;
  switch (m->config.loss) {
  case XF_LOSS_BPR: return n ? n : 1;
  case XF_LOSS_BCE: return 1 + (n ? n : 4);
  case XF_LOSS_SOFTMAX: return 1 + (n ? n : 16);
  default: return 1;
  }
}

/* The regularisation of the batch's rows: towards 0, and of user rows towards their prior. */
static int regularised(struct xf_model_net *net, const struct xf_model *m,
                       const struct xf_model_loss *spec, int loss, int user, struct xf_dim rows) {
  struct xf_graph *g = net->graph;
  if (spec->l2 > 0) loss = xf_op_add(g, loss, xf_op_l2(g, user, spec->l2));
  if (spec->pull <= 0) return loss;
  net->feed[XF_FEED_PRIOR] = xf_graph_input(g, "prior", rows, m->config.dim);
  net->pulled = xf_layout_find(&m->layout, "user");
  const int d = xf_op_sub(g, user, net->feed[XF_FEED_PRIOR]);
  return xf_op_add(g, loss, xf_op_l2(g, d, spec->pull));
}

static enum xf_rc loss(struct xf_model_net *net, const struct xf_model *m,
                       const struct xf_model_loss *spec, struct xf_diag *diag) {
  const enum xf_rc rc = check_loss(m, spec, diag);
  if (rc) return rc;
  struct xf_graph *g = net->graph;
  net->group = group_of(m, spec);
  const struct xf_dim rows = {net->group, XF_SYM_B};
  const int user_ids = net->feed[XF_FEED_USER] = xf_graph_ids(g, "user", rows, 1);
  const int item_ids = net->feed[XF_FEED_ITEM] = xf_graph_ids(g, "item", rows, 1);
  const int items = xf_graph_param(g, "item");
  const int user = xf_op_gather(g, xf_graph_param(g, "user"), user_ids);
  const int item = xf_op_gather(g, items, item_ids);
  int neg = XF_NO_NODE;
  const int z = add_levels(g, m, pair_score(g, m, user, item, item_ids), user_ids);
  switch (m->config.loss) {
  case XF_LOSS_BPR: {
    const int neg_ids = net->feed[XF_FEED_NEG] = xf_graph_ids(g, "neg", rows, 1);
    neg = xf_op_gather(g, items, neg_ids);
    net->data = xf_op_mean(g, xf_op_bpr(g, z, pair_score(g, m, user, neg, neg_ids)));
    break;
  }
  case XF_LOSS_SOFTMAX:
    net->feed[XF_FEED_CLASS] = xf_graph_ids(g, "class", XF_BATCH, 1);
    net->data = xf_op_mean(g, xf_op_softmax_ce(g, xf_op_reshape(g, z, XF_BATCH, XF_DIM(net->group)),
                                               net->feed[XF_FEED_CLASS]));
    break;
  default:
    net->feed[XF_FEED_Y] = xf_graph_input(g, "y", rows, 1);
    net->data = xf_op_mean(g, m->config.loss == XF_LOSS_BCE
                                  ? xf_op_bce(g, z, net->feed[XF_FEED_Y])
                                  : xf_op_squared_error(g, z, net->feed[XF_FEED_Y]));
  }
  net->loss = regularised(net, m, spec, net->data, user, rows);
  if (spec->l2 > 0) net->loss = xf_op_add(g, net->loss, xf_op_l2(g, item, spec->l2));
  if (spec->l2 > 0 && neg != XF_NO_NODE)
    net->loss = xf_op_add(g, net->loss, xf_op_l2(g, neg, spec->l2));
  return XF_OK;
}

static void score(struct xf_model_net *net, const struct xf_model *m) {
  struct xf_graph *g = net->graph;
  const int ids = net->feed[XF_FEED_USER] = xf_graph_ids(g, "user", XF_BATCH, 1);
  const int user = xf_op_gather(g, xf_graph_param(g, "user"), ids);
  int z = xf_op_matmul(g, user, xf_graph_param(g, "item"), false, true);
  if (m->config.bias) z = xf_op_bias_add(g, z, xf_graph_param(g, "item_bias"));
  net->score = add_levels(g, m, z, ids);
}

const struct xf_model_ops xf_model_mf = {.data = XF_DATASET_INTERACTIONS,
                                         .layout = layout,
                                         .loss = loss,
                                         .score = score,
                                         .init = init,
                                         .axis = axis};
