/*
 * NeuMF: factors multiplied (GMF) beside a perceptron over the concatenated factors of its own, one linear output over both.
 *
 * hidden[0] is the perceptron's input, half of it user, half item; the others are its layers, with ReLU. What a silo shares is how
 * factors become a score (w*, b*, out); its users' and items' factors stay.
 * @source He et al. 2017, eqs. 7-12
 */
#include "model/impl.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MAX_WIDTH = 4096, MAX_NEGATIVES = 4096, NAME = 16 };
static const double factor_std = 0.01;

static uint32_t n_layer(const struct xf_model *m) { return m->config.n_hidden - 1; }
static uint32_t last_width(const struct xf_model *m) { return m->config.hidden[n_layer(m)]; }

static enum xf_rc check(const struct xf_model *m, struct xf_diag *diag) {
  const struct xf_model_config *c = &m->config;
  if (c->loss != XF_LOSS_BCE && c->loss != XF_LOSS_BPR)
    return xf_diag_set(diag, XF_E_UNSUPPORTED, "model neumf has no loss %s; it has bce, bpr",
                       xf_loss_name(c->loss));
  if (c->users != XF_ROWS_LOCAL || c->items != XF_ROWS_LOCAL)
    return xf_diag_set(diag, XF_E_UNSUPPORTED,
                       "model neumf: users and items stay in the silo; leave out users and items");
  if (c->dim < 1 || c->dim > MAX_WIDTH)
    return xf_diag_set(diag, XF_E_CONFIG, "model.dim is %u; it must be 1 to %d", c->dim, MAX_WIDTH);
  if (c->n_hidden < 2 || c->n_hidden > XF_MODEL_HIDDEN_MAX || c->hidden[0] % 2)
    return xf_diag_set(diag, XF_E_CONFIG,
                       "model.hidden: neumf needs 2 to %d widths, the first (user and item "
                       "together) even, e.g. [64, 32, 16, 8]",
                       XF_MODEL_HIDDEN_MAX);
  for (uint32_t l = 0; l < c->n_hidden; l++)
    if (c->hidden[l] < 1 || c->hidden[l] > MAX_WIDTH)
      return xf_diag_set(diag, XF_E_CONFIG, "model.hidden: width %u must be 1 to %d", c->hidden[l],
                         MAX_WIDTH);
  return XF_OK;
}

static const char *name(char out[NAME], char what, uint32_t l) {
  (void)snprintf(out, NAME, "%c%u", what, l + 1);
  return out;
}

static enum xf_rc layout(struct xf_model *m, struct xf_diag *diag) {
  const struct xf_model_config *c = &m->config;
  const uint32_t half = c->hidden[0] / 2, users = m->size.n_users, items = m->size.n_items;
  struct xf_layout *l = &m->layout;
  char buf[NAME];
  enum xf_rc rc = check(m, diag);
  if (!rc) rc = xf_layout_add(l, "user_gmf", XF_ROLE_USER, "", users, c->dim, diag);
  if (!rc) rc = xf_layout_add(l, "user_mlp", XF_ROLE_USER, "", users, half, diag);
  if (!rc) rc = xf_layout_add(l, "item_gmf", XF_ROLE_DOMAIN, "", items, c->dim, diag);
  if (!rc) rc = xf_layout_add(l, "item_mlp", XF_ROLE_DOMAIN, "", items, half, diag);
  for (uint32_t k = 0; !rc && k < n_layer(m); k++) {
    rc = xf_layout_add(l, name(buf, 'w', k), XF_ROLE_SHARED, "", c->hidden[k], c->hidden[k + 1],
                       diag);
    if (!rc)
      rc = xf_layout_add(l, name(buf, 'b', k), XF_ROLE_SHARED, "", c->hidden[k + 1], 1, diag);
  }
  if (!rc) rc = xf_layout_add(l, "out", XF_ROLE_SHARED, "", c->dim + last_width(m), 1, diag);
  if (!rc) rc = xf_layout_add(l, "out_bias", XF_ROLE_SHARED, "", 1, 1, diag);
  return rc;
}

static struct xf_init_rule init(const struct xf_model *m, const struct xf_segment *seg) {
  if (seg->name[0] == 'u' || seg->name[0] == 'i') {
    const double std = m->config.init_std > 0 ? m->config.init_std : factor_std;
    return (struct xf_init_rule){XF_INIT_NORMAL, std};
  }
  if (seg->name[0] == 'b' || !strcmp(seg->name, "out_bias"))
    return (struct xf_init_rule){XF_INIT_ZERO, 0};
  return (struct xf_init_rule){XF_INIT_UNIFORM, sqrt(6.0 / (seg->rows + seg->cols))}; /* Glorot */
}

static enum xf_model_axis axis(const struct xf_segment *seg) {
  if (!strncmp(seg->name, "user", 4)) return XF_AXIS_USER;
  return !strncmp(seg->name, "item", 4) ? XF_AXIS_ITEM : XF_AXIS_NONE;
}

/* The layers from `from` on, from the numbers before them. @shape h [R x hidden[from]] */
static int layers(struct xf_graph *g, const struct xf_model *m, int h, uint32_t from) {
  char w[NAME], b[NAME];
  for (uint32_t l = from; l < n_layer(m); l++)
    h = xf_op_dense(g, h, xf_graph_param(g, name(w, 'w', l)), xf_graph_param(g, name(b, 'b', l)),
                    XF_ACT_RELU);
  return h;
}

/* The part of `out` that belongs to GMF, to the perceptron. @shape [dim x 1], [last x 1] */
static int out_gmf(struct xf_graph *g, const struct xf_model *m) {
  return xf_op_slice_rows(g, xf_graph_param(g, "out"), XF_DIM(0), XF_DIM(m->config.dim));
}
static int out_mlp(struct xf_graph *g, const struct xf_model *m) {
  return xf_op_slice_rows(g, xf_graph_param(g, "out"), XF_DIM(m->config.dim),
                          XF_DIM(last_width(m)));
}

static int add_bias(struct xf_graph *g, int z) {
  struct xf_dim rows, cols;
  if (z == XF_NO_NODE) return z;
  xf_graph_get_shape(g, z, &rows, &cols);
  return xf_op_add(g, z, xf_op_broadcast(g, xf_graph_param(g, "out_bias"), rows, cols));
}

struct rows {
  int gmf, mlp;
};
static struct rows gather(struct xf_graph *g, const char *gmf, const char *mlp, int ids) {
  return (struct rows){xf_op_gather(g, xf_graph_param(g, gmf), ids),
                       xf_op_gather(g, xf_graph_param(g, mlp), ids)};
}

/* Scores of pairs of rows. @shape [R x 1] */
static int pair_score(struct xf_graph *g, const struct xf_model *m, struct rows user,
                      struct rows item) {
  const int gmf = xf_op_matmul(g, xf_op_mul(g, user.gmf, item.gmf), out_gmf(g, m), false, false);
  const int h = layers(g, m, xf_op_concat_cols(g, user.mlp, item.mlp), 0);
  return add_bias(g, xf_op_add(g, gmf, xf_op_matmul(g, h, out_mlp(g, m), false, false)));
}

static int rows_l2(struct xf_graph *g, struct rows r, double l2) {
  return xf_op_add(g, xf_op_l2(g, r.gmf, l2), xf_op_l2(g, r.mlp, l2));
}

static enum xf_rc loss(struct xf_model_net *net, const struct xf_model *m,
                       const struct xf_model_loss *spec, struct xf_diag *diag) {
  const bool bpr = m->config.loss == XF_LOSS_BPR;
  if (spec->negatives > MAX_NEGATIVES)
    return xf_diag_set(diag, XF_E_CONFIG, "local.negatives is %u; at most %d", spec->negatives,
                       MAX_NEGATIVES);
  if (spec->pull > 0)
    return xf_diag_set(diag, XF_E_CONFIG, "a pull needs aligned users; model neumf has none");
  struct xf_graph *g = net->graph;
  const uint32_t n = spec->negatives ? spec->negatives : bpr ? 1 : 4;
  net->group = bpr ? n : 1 + n;
  const struct xf_dim rows = {net->group, XF_SYM_B};
  const int user_ids = net->feed[XF_FEED_USER] = xf_graph_ids(g, "user", rows, 1);
  const int item_ids = net->feed[XF_FEED_ITEM] = xf_graph_ids(g, "item", rows, 1);
  const struct rows user = gather(g, "user_gmf", "user_mlp", user_ids),
                    item = gather(g, "item_gmf", "item_mlp", item_ids);
  const int z = pair_score(g, m, user, item);
  int reg = spec->l2 > 0 ? xf_op_add(g, rows_l2(g, user, spec->l2), rows_l2(g, item, spec->l2))
                         : XF_NO_NODE;
  if (bpr) {
    const int neg_ids = net->feed[XF_FEED_NEG] = xf_graph_ids(g, "neg", rows, 1);
    const struct rows neg = gather(g, "item_gmf", "item_mlp", neg_ids);
    net->data = xf_op_mean(g, xf_op_bpr(g, z, pair_score(g, m, user, neg)));
    if (spec->l2 > 0) reg = xf_op_add(g, reg, rows_l2(g, neg, spec->l2));
  } else {
    net->feed[XF_FEED_Y] = xf_graph_input(g, "y", rows, 1);
    net->data = xf_op_mean(g, xf_op_bce(g, z, net->feed[XF_FEED_Y]));
  }
  net->loss = spec->l2 > 0 ? xf_op_add(g, net->data, reg) : net->data;
  return XF_OK;
}

/* The first layer is linear in users and items apart, so each is multiplied once and then every pair added up. */
static void score(struct xf_model_net *net, const struct xf_model *m) {
  struct xf_graph *g = net->graph;
  const uint32_t n = m->size.n_items, half = m->config.hidden[0] / 2, h1 = m->config.hidden[1];
  const struct xf_dim pairs = {n, XF_SYM_B};
  const int ids = net->feed[XF_FEED_USER] = xf_graph_ids(g, "user", XF_BATCH, 1);
  const struct rows user = gather(g, "user_gmf", "user_mlp", ids);
  const int w = xf_graph_param(g, "w1");
  const int u =
      xf_op_matmul(g, user.mlp, xf_op_slice_rows(g, w, XF_DIM(0), XF_DIM(half)), false, false);
  const int v =
      xf_op_bias_add(g,
                     xf_op_matmul(g, xf_graph_param(g, "item_mlp"),
                                  xf_op_slice_rows(g, w, XF_DIM(half), XF_DIM(half)), false, false),
                     xf_graph_param(g, "b1"));
  const int each_user =
      xf_op_batch_matmul(g, xf_graph_fill(g, pairs, XF_DIM(1), 1), u, n, 1, false, false);
  const int row = xf_op_reshape(g, v, XF_DIM(1), XF_DIM(n * h1));
  const int each_item =
      xf_op_reshape(g, xf_op_broadcast(g, row, XF_BATCH, XF_DIM(n * h1)), pairs, XF_DIM(h1));
  const int h = layers(g, m, xf_op_relu(g, xf_op_add(g, each_user, each_item)), 1);
  const int mlp =
      xf_op_reshape(g, xf_op_matmul(g, h, out_mlp(g, m), false, false), XF_BATCH, XF_DIM(n));
  const int weight = xf_op_reshape(g, out_gmf(g, m), XF_DIM(1), XF_DIM(m->config.dim));
  const int weighted =
      xf_op_mul(g, user.gmf, xf_op_broadcast(g, weight, XF_BATCH, XF_DIM(m->config.dim)));
  const int gmf = xf_op_matmul(g, weighted, xf_graph_param(g, "item_gmf"), false, true);
  net->score = add_bias(g, xf_op_add(g, gmf, mlp));
}

const struct xf_model_ops xf_model_neumf = {.data = XF_DATASET_INTERACTIONS,
                                            .layout = layout,
                                            .loss = loss,
                                            .score = score,
                                            .init = init,
                                            .axis = axis};
