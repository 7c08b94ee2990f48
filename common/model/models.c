/* The registry, and what all models share: building, initial values. To add a model, add its line to `ops_of`. */
#include "model/impl.h"

#include "base/alloc.h"

#include <stdio.h>
#include <string.h>

static const struct xf_model_ops *const ops_of[XF_N_MODEL] = {
    [XF_MODEL_MF] = &xf_model_mf,
    [XF_MODEL_MLP] = &xf_model_mlp,
    [XF_MODEL_LOGREG] = &xf_model_mlp, /* no hidden layer */
    [XF_MODEL_SCORER] = &xf_model_scorer,
    [XF_MODEL_DKT] = &xf_model_dkt,
    [XF_MODEL_CHAR_LSTM] = &xf_model_charnet,
    [XF_MODEL_CHAR_GRU] = &xf_model_charnet,
    [XF_MODEL_NEUMF] = &xf_model_neumf,
    [XF_MODEL_CNN] = &xf_model_convnet,
    [XF_MODEL_CNN_SMALL] = &xf_model_convnet,
    [XF_MODEL_CONV4] = &xf_model_convnet,
    [XF_MODEL_SINE_MLP] = &xf_model_sine,
};

static const char *const kind_names[XF_N_MODEL] = {
#define ROW(n, t) t,
    XF_MODEL_LIST(ROW)
#undef ROW
};
static const char *const loss_names[XF_N_LOSS] = {
#define ROW(n, t) t,
    XF_LOSS_LIST(ROW)
#undef ROW
};

static int find_name(const char *const *names, int n, const char *s, size_t len) {
  for (int i = 0; i < n; i++)
    if (strlen(names[i]) == len && !memcmp(names[i], s, len)) return i;
  return -1;
}

const char *xf_model_kind_name(enum xf_model_kind kind) {
  return (unsigned)kind < XF_N_MODEL ? kind_names[kind] : "?";
}

enum xf_rc xf_model_kind_parse(enum xf_model_kind *out, const char *s, size_t len) {
  const int i = find_name(kind_names, XF_N_MODEL, s, len);
  if (i < 0) return XF_E_INVAL;
  *out = (enum xf_model_kind)i;
  return XF_OK;
}

const char *xf_loss_name(enum xf_loss loss) {
  return (unsigned)loss < XF_N_LOSS ? loss_names[loss] : "?";
}

enum xf_rc xf_loss_parse(enum xf_loss *out, const char *s, size_t len) {
  const int i = find_name(loss_names, XF_N_LOSS, s, len);
  if (i < 0) return XF_E_INVAL;
  *out = (enum xf_loss)i;
  return XF_OK;
}

/* A rate for each parameter of the net. */
static enum xf_rc add_rates(struct xf_model *m, struct xf_diag *diag) {
  enum xf_rc rc = XF_OK;
  for (size_t i = 0; i < m->n_base && !rc; i++) {
    const struct xf_segment s = m->layout.seg[i];
    char name[XF_NAME_MAX + 8];
    if (s.role != XF_ROLE_SHARED)
      return xf_diag_set(diag, XF_E_UNSUPPORTED, "model %s: learnt rates need shared parameters",
                         xf_model_kind_name(m->config.kind));
    (void)snprintf(name, sizeof name, "rate.%s", s.name);
    rc = xf_layout_add(&m->layout, name, s.role, NULL, s.rows, s.cols, diag);
  }
  return rc;
}

static bool controlled(const struct xf_model *m, const struct xf_segment *s) {
  return s->role == XF_ROLE_SHARED && (!m->ops->trained || m->ops->trained(s));
}

/* All silos' control variates, then this silo's own, then how many of its updates they count. */
static enum xf_rc add_control(struct xf_model *m, struct xf_diag *diag) {
  enum xf_rc rc = XF_OK;
  for (int own = 0; own < 2; own++)
    for (size_t i = 0; i < m->n_base && !rc; i++) {
      const struct xf_segment s = m->layout.seg[i];
      char name[XF_NAME_MAX + 8];
      if (!controlled(m, &s)) continue;
      (void)snprintf(name, sizeof name, "%s.%s", own ? "own" : "control", s.name);
      rc = xf_layout_add(&m->layout, name, own ? XF_ROLE_DOMAIN : XF_ROLE_SHARED, NULL, s.rows,
                         s.cols, diag);
      m->n_control += !own;
    }
  return rc ? rc : xf_layout_add(&m->layout, "own.counted", XF_ROLE_DOMAIN, NULL, 1, 1, diag);
}

bool xf_model_get_control(const struct xf_model *model, size_t k, struct xf_model_control *out) {
  const struct xf_segment *seg = model->layout.seg;
  if (k >= model->n_control) return false;
  size_t i = 0;
  for (size_t n = 0; !controlled(model, &seg[i]) || n++ < k;) i++;
  *out = (struct xf_model_control){&seg[i], &seg[model->n_base + k],
                                   &seg[model->n_base + model->n_control + k]};
  return true;
}

const struct xf_segment *xf_model_get_nova(const struct xf_model *model) {
  return model->config.nova ? &model->layout.seg[model->n_base] : NULL;
}

const struct xf_segment *xf_model_get_counted(const struct xf_model *model) {
  return model->config.control ? &model->layout.seg[model->layout.n_seg - 1] : NULL;
}

enum xf_rc xf_model_new(struct xf_model **out, const struct xf_model_config *config,
                        struct xf_model_size size, struct xf_diag *diag) {
  *out = NULL;
  if ((unsigned)config->kind >= XF_N_MODEL || (unsigned)config->loss >= XF_N_LOSS)
    return xf_diag_set(diag, XF_E_CONFIG, "model: kind %d or loss %d is unknown", config->kind,
                       config->loss);
  if (!(config->init_std >= 0 && config->init_std <= 100))
    return xf_diag_set(diag, XF_E_CONFIG, "model.init_std is %g; it must be 0 to 100",
                       config->init_std);
  struct xf_model *model = xf_calloc(1, sizeof *model);
  model->config = *config;
  model->size = size;
  model->ops = ops_of[config->kind];
  xf_layout_init(&model->layout);
  enum xf_rc rc = model->ops->layout(model, diag);
  model->n_base = model->layout.n_seg;
  if (!rc && config->rates > 0) rc = add_rates(model, diag);
  if (!rc) rc = xf_model_personalise(model, diag);
  if (!rc && config->control) rc = add_control(model, diag);
  if (!rc && config->nova)
    rc = xf_layout_add(&model->layout, "nova.norm", XF_ROLE_SHARED, NULL, 1, 1, diag);
  if (!rc && config->feedback)
    rc = xf_layout_add(&model->layout, XF_MODEL_FEEDBACK, XF_ROLE_DOMAIN, NULL,
                       (uint32_t)model->layout.n, 1, diag);
  if (rc) {
    xf_model_free(model);
    return rc;
  }
  *out = model;
  return XF_OK;
}

void xf_model_free(struct xf_model *model) {
  if (!model) return;
  xf_layout_deinit(&model->layout);
  xf_free(model);
}

const struct xf_layout *xf_model_get_layout(const struct xf_model *model) { return &model->layout; }
const struct xf_model_config *xf_model_get_config(const struct xf_model *model) {
  return &model->config;
}
size_t xf_model_base(const struct xf_model *model) { return model->n_base; }
struct xf_model_size xf_model_get_size(const struct xf_model *model) {
  return model->size;
}
bool xf_model_get_head(const struct xf_model *model, const struct xf_segment **weight,
                       const struct xf_segment **bias) {
  const struct xf_layout *l = &model->layout;
  const size_t n_head = model->config.bias ? 2 : 1;
  if (!model->ops->head || model->n_base <= n_head) return false;
  *weight = &l->seg[model->n_base - n_head];
  *bias = model->config.bias ? &l->seg[model->n_base - 1] : NULL;
  return true;
}
enum xf_dataset_kind xf_model_get_data(const struct xf_model *model) { return model->ops->data; }
size_t xf_model_samples(const struct xf_model *model, const struct xf_dataset *data,
                        enum xf_part part) {
  if (data->kind != XF_DATASET_SEQUENCES || model->ops->data != XF_DATASET_SEQUENCES)
    return xf_dataset_count(data, part);
  return xf_seqset_chunks(&data->seqs, (uint8_t)part, model->config.steps, NULL);
}
bool xf_model_is_ranking(const struct xf_model *model) {
  return model->ops->data == XF_DATASET_INTERACTIONS;
}
enum xf_model_axis xf_model_get_axis(const struct xf_model *model, const struct xf_segment *seg) {
  return model->ops->axis(seg);
}

static void fill(float *to, size_t n, struct xf_init_rule rule, struct xf_rng *rng) {
  for (size_t i = 0; i < n; i++) switch (rule.kind) {
    case XF_INIT_ZERO: to[i] = 0; break;
    case XF_INIT_ONE: to[i] = 1; break;
    case XF_INIT_NORMAL: to[i] = (float)(rule.scale * xf_rng_normal(rng)); break;
    case XF_INIT_UNIFORM: to[i] = (float)(rule.scale * (2 * xf_rng_double(rng) - 1)); break;
    }
}

/* Every segment has its own stream, whatever the others draw: the i-th number of a copy of the base stream. */
static uint64_t segment_key(const struct xf_layout *layout, const struct xf_segment *seg,
                            const struct xf_rng *base) {
  struct xf_rng copy = *base;
  uint64_t key = xf_rng_u64(&copy);
  for (size_t i = 0; i < layout->n_seg && strcmp(layout->seg[i].name, seg->name) != 0; i++)
    key = xf_rng_u64(&copy);
  return key;
}

static uint64_t le64(const uint8_t *p) {
  uint64_t v = 0;
  for (int i = 7; i >= 0; i--) v = v << 8 | p[i];
  return v;
}

void xf_model_init_row(const struct xf_model *model, const struct xf_segment *seg,
                       const struct xf_rng *shared, const struct xf_key *key, float *row) {
  struct xf_rng rng;
  xf_rng_init(&rng, segment_key(&model->layout, seg, shared) ^ le64(key->b), le64(key->b + 8));
  fill(row, seg->cols, model->ops->init(model, seg), &rng);
}

static enum xf_rc init_segment(const struct xf_model *model, float *to,
                               const struct xf_segment *seg, const struct xf_model_seed *seed,
                               struct xf_diag *diag) {
  const struct xf_init_rule rule = model->ops->init(model, seg);
  if (seg->role == XF_ROLE_ALIGNED) {
    const struct xf_key *key =
        model->ops->axis(seg) == XF_AXIS_ITEM ? seed->item_key : seed->user_key;
    if (!seed->shared || (!key && seg->rows))
      return xf_diag_set(diag, XF_E_INVAL, "segment \"%s\" is aligned: keys are needed", seg->name);
    for (uint32_t r = 0; r < seg->rows; r++)
      xf_model_init_row(model, seg, seed->shared, &key[r], to + (size_t)r * seg->cols);
    return XF_OK;
  }
  const bool shared = seg->role == XF_ROLE_SHARED || model->config.personal != XF_PERSONAL_NONE;
  const struct xf_rng *base = shared ? seed->shared : seed->silo;
  const size_t n = (size_t)seg->rows * seg->cols;
  if (n == 0) return XF_OK;
  if (!base)
    return xf_diag_set(diag, XF_E_INVAL, "segment \"%s\" needs a random stream", seg->name);
  struct xf_rng rng;
  xf_rng_init(&rng, segment_key(&model->layout, seg, base), 0);
  fill(to, n, rule, &rng);
  return XF_OK;
}

enum xf_rc xf_model_init(const struct xf_model *model, float *full,
                         const struct xf_model_seed *seed, struct xf_diag *diag) {
  enum xf_rc rc = XF_OK;
  for (size_t i = 0; !rc && i < model->n_base; i++)
    rc = init_segment(model, full + model->layout.seg[i].offset, &model->layout.seg[i], seed, diag);
  if (!rc) xf_model_personal_init(model, full);
  const bool filled = model->config.rates > 0 || model->config.control || model->config.nova;
  for (size_t i = model->n_base; filled && i < model->layout.n_seg; i++) {
    const struct xf_segment *seg = &model->layout.seg[i];
    for (uint64_t k = 0; k < xf_segment_len(seg); k++)
      full[seg->offset + k] = (float)model->config.rates;
  }
  const struct xf_segment *feedback = xf_layout_find(&model->layout, XF_MODEL_FEEDBACK);
  if (feedback) memset(full + feedback->offset, 0, feedback->rows * sizeof *full);
  return rc;
}

static void net_init(struct xf_model_net *net, const struct xf_model *model) {
  *net = (struct xf_model_net){.graph = xf_graph_new(&model->layout),
                               .loss = XF_NO_NODE,
                               .data = XF_NO_NODE,
                               .score = XF_NO_NODE,
                               .hidden = XF_NO_NODE,
                               .state = {XF_NO_NODE, XF_NO_NODE, XF_NO_NODE, XF_NO_NODE},
                               .group = 1};
  for (int f = 0; f < XF_N_FEED; f++) net->feed[f] = XF_NO_NODE;
}

enum xf_rc xf_model_net_loss(struct xf_model_net *out, const struct xf_model *model,
                             const struct xf_model_loss *spec, struct xf_diag *diag) {
  if (!(spec->l2 >= 0 && spec->l2 <= 1e6) || !(spec->pull >= 0 && spec->pull <= 1e6)) {
    *out = (struct xf_model_net){0};
    return xf_diag_set(diag, XF_E_CONFIG, "l2 %g and pull %g must be 0 to 1e6", spec->l2,
                       spec->pull);
  }
  if (spec->episode && (model->ops != &xf_model_convnet || model->config.loss != XF_LOSS_SOFTMAX)) {
    *out = (struct xf_model_net){0};
    return xf_diag_set(diag, XF_E_UNSUPPORTED,
                       "model %s with loss %s cannot give rows of an episode shares; convolutional "
                       "nets with softmax can",
                       xf_model_kind_name(model->config.kind), xf_loss_name(model->config.loss));
  }
  net_init(out, model);
  enum xf_rc rc = model->ops->loss(out, model, spec, diag);
  if (!rc) rc = xf_graph_check(out->graph, diag);
  if (!rc) rc = xf_graph_backward(out->graph, out->loss, diag);
  if (rc) xf_model_net_deinit(out);
  return rc;
}

enum xf_rc xf_model_net_score(struct xf_model_net *out, const struct xf_model *model,
                              struct xf_diag *diag) {
  net_init(out, model);
  model->ops->score(out, model);
  const enum xf_rc rc = xf_graph_check(out->graph, diag);
  if (rc) xf_model_net_deinit(out);
  return rc;
}

void xf_model_net_deinit(struct xf_model_net *net) {
  xf_graph_free(net->graph);
  *net = (struct xf_model_net){0};
}
