/*
 * Convolutional nets over square images of one channel: blocks of convolution, perhaps batch norm, pooling and activation, then
 * perhaps a hidden layer, then linear outputs. A net is a row of `archs`; to add one, add a row.
 *
 * Pooling comes before the activation, which is increasing: the same numbers for less work.
 * @source cnn: McMahan et al. 2017 (1,663,370 parameters for 28 x 28 and 10 classes); cnn-small: Opacus' MNIST example;
 * conv4: Vinyals et al. 2016 with the 32 channels of Finn et al. 2017
 */
#include "model/impl.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MAX_BLOCK = 4, NAME = 16 };

struct block {
  uint32_t kernel, stride, pad, channels, pool, pool_stride;
};
struct arch {
  enum xf_model_kind kind;
  uint32_t n_block;
  struct block block[MAX_BLOCK];
  bool norm;
  uint32_t dense; /* width of the hidden layer, 0: none */
};

static const struct arch archs[] = {
    {XF_MODEL_CNN, 2, {{5, 1, 2, 32, 2, 2}, {5, 1, 2, 64, 2, 2}}, false, 512},
    {XF_MODEL_CNN_SMALL, 2, {{8, 2, 3, 16, 2, 1}, {4, 2, 0, 32, 2, 1}}, false, 32},
    {XF_MODEL_CONV4,
     4,
     {{3, 1, 1, 32, 2, 2}, {3, 1, 1, 32, 2, 2}, {3, 1, 1, 32, 2, 2}, {3, 1, 1, 32, 2, 2}},
     true,
     0},
};

static const struct arch *arch_of(const struct xf_model *m) {
  const struct arch *a = archs;
  while (a->kind != m->config.kind) a++;
  return a;
}

/* Side of the images, 0 when n_in is no square. */
static uint32_t side_of(const struct xf_model *m) {
  const uint32_t side = (uint32_t)lround(sqrt((double)m->config.n_in));
  return side * side == m->config.n_in ? side : 0;
}

static struct xf_window conv_window(const struct block *b, uint32_t side) {
  return (struct xf_window){side, side, b->kernel, b->kernel, b->stride, b->stride, b->pad, b->pad};
}

static struct xf_window pool_window(const struct block *b, uint32_t side) {
  return (struct xf_window){side, side, b->pool, b->pool, b->pool_stride, b->pool_stride, 0, 0};
}

/* Side behind a block; 0 when the image is too small for it. */
static uint32_t side_behind(const struct block *b, uint32_t side) {
  if (side + 2 * b->pad < b->kernel) return 0;
  const struct xf_window conv = conv_window(b, side);
  const uint32_t mid = xf_window_out_h(&conv);
  if (mid < b->pool) return 0;
  const struct xf_window pool = pool_window(b, mid);
  return xf_window_out_h(&pool);
}

static const char *name(char out[NAME], const char *what, uint32_t i) {
  (void)snprintf(out, NAME, "%s%u", what, i + 1);
  return out;
}

/* Inputs of the first dense layer. */
static uint32_t flat_of(const struct xf_model *m) {
  const struct arch *a = arch_of(m);
  uint32_t side = side_of(m);
  for (uint32_t i = 0; i < a->n_block && side; i++) side = side_behind(&a->block[i], side);
  return side * side * a->block[a->n_block - 1].channels;
}

static enum xf_rc add(struct xf_model *m, const char *what, uint32_t i, uint32_t rows,
                      uint32_t cols, struct xf_diag *diag) {
  char buf[NAME];
  return xf_layout_add(&m->layout, name(buf, what, i), XF_ROLE_SHARED, "", rows, cols, diag);
}

static enum xf_rc add_block(struct xf_model *m, uint32_t i, uint32_t channels,
                            struct xf_diag *diag) {
  static const char *const per_channel[] = {"gain", "shift", "mean", "var"};
  const struct arch *a = arch_of(m);
  const struct block *b = &a->block[i];
  enum xf_rc rc = add(m, "conv", i, b->kernel * b->kernel * channels, b->channels, diag);
  for (int k = 0; k < 4 && a->norm && !rc; k++)
    rc = add(m, per_channel[k], i, b->channels, 1, diag);
  if (!rc && !a->norm && m->config.bias) rc = add(m, "bias", i, b->channels, 1, diag);
  return rc;
}

static enum xf_rc add_dense(struct xf_model *m, uint32_t l, uint32_t in, uint32_t out,
                            struct xf_diag *diag) {
  enum xf_rc rc = add(m, "w", l, in, out, diag);
  if (!rc && m->config.bias) rc = add(m, "b", l, out, 1, diag);
  return rc;
}

static enum xf_rc layout(struct xf_model *m, struct xf_diag *diag) {
  const struct arch *a = arch_of(m);
  enum xf_rc rc = xf_model_table_check(m, NULL, diag);
  if (rc) return rc;
  if (side_of(m) == 0 || side_of(m) > 1024 || flat_of(m) == 0)
    return xf_diag_set(diag, XF_E_CONFIG,
                       "model %s needs square images of one channel, large enough for its %u "
                       "blocks; model.n_in is %u",
                       xf_model_kind_name(m->config.kind), a->n_block, m->config.n_in);
  if (m->config.n_hidden)
    return xf_diag_set(diag, XF_E_CONFIG, "model.hidden: the layers of %s are fixed",
                       xf_model_kind_name(m->config.kind));
  uint32_t channels = 1, in = flat_of(m), l = 0;
  for (uint32_t i = 0; i < a->n_block && !rc; i++) {
    rc = add_block(m, i, channels, diag);
    channels = a->block[i].channels;
  }
  if (!rc && a->dense) {
    rc = add_dense(m, l++, in, a->dense, diag);
    in = a->dense;
  }
  return rc ? rc : add_dense(m, l, in, m->config.n_out, diag);
}

/* Weights uniform +-1/sqrt(fan in), or normal as asked for; gains and running variances 1, all else 0. */
static struct xf_init_rule init(const struct xf_model *m, const struct xf_segment *seg) {
  if (!strncmp(seg->name, "gain", 4) || !strncmp(seg->name, "var", 3))
    return (struct xf_init_rule){XF_INIT_ONE, 0};
  if (seg->name[0] != 'w' && strncmp(seg->name, "conv", 4) != 0)
    return (struct xf_init_rule){XF_INIT_ZERO, 0};
  if (m->config.init_std > 0) return (struct xf_init_rule){XF_INIT_NORMAL, m->config.init_std};
  return (struct xf_init_rule){XF_INIT_UNIFORM, 1.0 / sqrt(seg->rows)};
}

static enum xf_model_axis axis(const struct xf_segment *seg) {
  (void)seg;
  return XF_AXIS_NONE;
}

static bool is_norm(const struct xf_model *m, const struct xf_segment *seg) {
  return arch_of(m)->norm && seg->name[0] != 'w' && seg->name[0] != 'b' &&
         strncmp(seg->name, "conv", 4) != 0;
}

/* Running statistics have no gradient. */
static bool trained(const struct xf_segment *seg) {
  return strncmp(seg->name, "mean", 4) != 0 && strncmp(seg->name, "var", 3) != 0;
}

/* Graph under construction. */
struct build {
  struct xf_graph *g;
  const struct xf_model *m;
  bool train;
  int share;   /* of each row in batch norm's statistics, or XF_NO_NODE: all alike */
  int squares; /* sum of squared weights */
};

static int weights(struct build *b, const char *what, uint32_t i) {
  char buf[NAME];
  const int w = xf_graph_param(b->g, name(buf, what, i));
  const int sq = xf_op_sum(b->g, xf_op_mul(b->g, w, w));
  b->squares = b->squares == XF_NO_NODE ? sq : xf_op_add(b->g, b->squares, sq);
  return w;
}

static int bias(struct build *b, const char *what, uint32_t i) {
  char buf[NAME];
  return b->m->config.bias ? xf_graph_param(b->g, name(buf, what, i)) : XF_NO_NODE;
}

/* A batch norm of side x side pixels. */
static int normalise(struct build *b, int h, const struct xf_batch_norm *norm, uint32_t side) {
  if (!b->train) return xf_op_batch_norm_eval(b->g, h, norm);
  if (b->share == XF_NO_NODE) return xf_op_batch_norm_train(b->g, h, norm);
  const uint32_t pixels = side * side;
  const int each =
      xf_op_broadcast(b->g, xf_op_scale(b->g, b->share, 1.0 / pixels), XF_BATCH, XF_DIM(pixels));
  const int share = xf_op_reshape(b->g, each, (struct xf_dim){pixels, XF_SYM_B}, XF_DIM(1));
  return xf_op_batch_norm_shared(b->g, h, share, norm);
}

static int block(struct build *b, int x, uint32_t i, uint32_t *side) {
  const struct arch *a = arch_of(b->m);
  const struct xf_window conv = conv_window(&a->block[i], *side);
  const struct xf_window pool = pool_window(&a->block[i], xf_window_out_h(&conv));
  const int w = weights(b, "conv", i);
  int h = xf_op_conv(b->g, x, w, a->norm ? XF_NO_NODE : bias(b, "bias", i), &conv);
  if (a->norm) {
    char gain[NAME], shift[NAME], mean[NAME], var[NAME];
    const struct xf_batch_norm norm = {.gain = xf_graph_param(b->g, name(gain, "gain", i)),
                                       .shift = xf_graph_param(b->g, name(shift, "shift", i)),
                                       .mean = name(mean, "mean", i),
                                       .var = name(var, "var", i),
                                       .momentum = 0.1,
                                       .eps = 1e-5};
    h = normalise(b, h, &norm, xf_window_out_h(&conv));
  }
  *side = xf_window_out_h(&pool);
  return xf_op_act(b->g, xf_op_max_pool(b->g, h, &pool, NULL), b->m->config.activation);
}

static int dense(struct build *b, int x, uint32_t l, enum xf_act act) {
  const int w = weights(b, "w", l), v = bias(b, "b", l);
  return v == XF_NO_NODE ? xf_op_dense_nobias(b->g, x, w, act) : xf_op_dense(b->g, x, w, v, act);
}

static int forward(struct build *b, struct xf_model_net *net) {
  const struct arch *a = arch_of(b->m);
  const uint32_t pixels = b->m->config.n_in;
  uint32_t side = side_of(b->m), l = 0;
  int h = net->feed[XF_FEED_X] = xf_graph_input(b->g, "x", XF_BATCH, pixels);
  h = xf_op_reshape(b->g, h, (struct xf_dim){pixels, XF_SYM_B}, XF_DIM(1));
  for (uint32_t i = 0; i < a->n_block; i++) h = block(b, h, i, &side);
  h = xf_op_flatten(b->g, h, side, side);
  if (a->dense) h = dense(b, h, l++, b->m->config.activation);
  net->hidden = h;
  return dense(b, h, l, XF_ACT_NONE);
}

static enum xf_rc loss(struct xf_model_net *net, const struct xf_model *m,
                       const struct xf_model_loss *spec, struct xf_diag *diag) {
  const enum xf_rc rc = xf_model_table_check(m, spec, diag);
  if (rc) return rc;
  struct build b = {
      .g = net->graph, .m = m, .train = true, .share = XF_NO_NODE, .squares = XF_NO_NODE};
  if (spec->episode) {
    b.share = net->feed[XF_FEED_NORM] = xf_graph_input(b.g, "norm", XF_BATCH, 1);
    net->feed[XF_FEED_WEIGHT] = xf_graph_input(b.g, "weight", XF_BATCH, 1);
  }
  const int z = forward(&b, net);
  if (spec->episode) net->score = z;
  xf_model_table_loss(net, m, spec->l2, z, b.squares);
  return XF_OK;
}

static void score(struct xf_model_net *net, const struct xf_model *m) {
  struct build b = {.g = net->graph, .m = m, .squares = XF_NO_NODE};
  net->score = forward(&b, net);
}

const struct xf_model_ops xf_model_convnet = {.data = XF_DATASET_TABLE,
                                              .head = true,
                                              .layout = layout,
                                              .loss = loss,
                                              .score = score,
                                              .init = init,
                                              .axis = axis,
                                              .norm = is_norm,
                                              .trained = trained};
