#include "rec/unitfree.h"

enum xf_rc xf_unitfree_config(struct xf_model_config *out, uint32_t version, uint32_t hidden,
                              struct xf_diag *diag) {
  const struct xf_feature_set *set = xf_feature_set_find(version);
  if (!set) return xf_diag_set(diag, XF_E_VERSION, "there are no features of version %u", version);
  *out = (struct xf_model_config){.kind = XF_MODEL_SCORER,
                                  .loss = XF_LOSS_SOFTMAX,
                                  .bias = true,
                                  .n_in = set->n_feature,
                                  .n_out = 1,
                                  .hidden = {hidden},
                                  .n_hidden = hidden ? 1 : 0,
                                  .activation = XF_ACT_TANH};
  return XF_OK;
}

enum xf_rc xf_unitfree_data(struct xf_dataset *out, const struct xf_features *features,
                            const struct xf_csr *history, const struct xf_csr *held,
                            const struct xf_features_draw *spec, struct xf_diag *diag) {
  xf_dataset_init(out, XF_DATASET_LISTS);
  return xf_features_draw(&out->lists, features, history, held, spec, diag);
}

static const float *segment(const struct xf_layout *layout, const char *name, const float *full) {
  const struct xf_segment *seg = xf_layout_find(layout, name);
  return seg ? full + seg->offset : NULL;
}

enum xf_rc xf_unitfree_scorer(struct xf_scorer **out, const struct xf_model *model,
                              const float *const *weights, uint32_t n_weights,
                              const struct xf_features *features, struct xf_diag *diag) {
  const struct xf_model_config *c = xf_model_get_config(model);
  const struct xf_layout *layout = xf_model_get_layout(model);
  struct xf_listnet net[XF_LISTNET_NETS];
  *out = NULL;
  if (c->kind != XF_MODEL_SCORER)
    return xf_diag_set(diag, XF_E_INVAL, "a model of kind %s decides nothing; it must be %s",
                       xf_model_kind_name(c->kind), xf_model_kind_name(XF_MODEL_SCORER));
  if (n_weights == 0 || n_weights > XF_LISTNET_NETS)
    return xf_diag_set(diag, XF_E_INVAL, "a scorer of %u nets; there must be 1 to %d", n_weights,
                       XF_LISTNET_NETS);
  for (uint32_t k = 0; k < n_weights; k++)
    net[k] = (struct xf_listnet){.n_in = c->n_in,
                                 .n_hidden = c->n_hidden ? c->hidden[0] : 0,
                                 .act = c->activation,
                                 .w1 = c->n_hidden ? segment(layout, "w1", weights[k]) : NULL,
                                 .b1 = segment(layout, "b1", weights[k]),
                                 .w2 = segment(layout, c->n_hidden ? "w2" : "w1", weights[k])};
  return xf_listnet_new(out, "unitfree", net, n_weights, features, diag);
}
