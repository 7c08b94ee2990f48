/*
 * impl.h - between the files of model only: what a model is made of, and the table of functions that makes one.
 * Not for other modules (model.h). Owner: see model.h. Thread: constant tables.
 */
#ifndef XF_MODEL_IMPL_H
#define XF_MODEL_IMPL_H

#include "model/net.h"

struct xf_model_ops;

struct xf_model {
  struct xf_model_config config;
  struct xf_model_size size;
  struct xf_layout layout;
  size_t n_base;    /* segments of the net */
  size_t n_control; /* of which have control variates */
  const struct xf_model_ops *ops;
};

/* How a segment starts. */
struct xf_init_rule {
  enum { XF_INIT_ZERO, XF_INIT_ONE, XF_INIT_NORMAL, XF_INIT_UNIFORM } kind;
  double scale; /* deviation, or half the width */
};

struct xf_model_ops {
  enum xf_dataset_kind data; /* what it eats */
  bool head; /* the layout ends with the weights of a linear output layer, then perhaps its bias */
  /* Checks the configuration and adds the segments. */
  enum xf_rc (*layout)(struct xf_model *model, struct xf_diag *diag);
  /* Adds loss, data and feeds; graph is new. Errors of builders are met later. */
  enum xf_rc (*loss)(struct xf_model_net *net, const struct xf_model *model,
                     const struct xf_model_loss *spec, struct xf_diag *diag);
  /* Adds score and feeds. */
  void (*score)(struct xf_model_net *net, const struct xf_model *model);
  struct xf_init_rule (*init)(const struct xf_model *model, const struct xf_segment *seg);
  enum xf_model_axis (*axis)(const struct xf_segment *seg);
  /* Whether a segment belongs to a normalisation; NULL: none does. */
  bool (*norm)(const struct xf_model *model, const struct xf_segment *seg);
  bool (*trained)(const struct xf_segment *seg); /* has a gradient; NULL: all have */
};

extern const struct xf_model_ops xf_model_mf, xf_model_mlp, xf_model_scorer, xf_model_dkt,
    xf_model_charnet, xf_model_neumf, xf_model_convnet, xf_model_sine;

/* The loss of outputs z [B x n_out] by the configuration (softmax, bce, mse), its feed, and l2/2 times the sum of squares
   `squares` (XF_NO_NODE: none). @own net */
void xf_model_table_loss(struct xf_model_net *net, const struct xf_model *model, double l2, int z,
                         int squares);
/* Refuses what a model of tables cannot do: ranking losses, wrong outputs, pulls (spec may be NULL). @err E_CONFIG E_UNSUPPORTED */
XF_WARN_UNUSED enum xf_rc xf_model_table_check(const struct xf_model *model,
                                               const struct xf_model_loss *spec,
                                               struct xf_diag *diag);

/* Gives segments the roles that config.personal asks for, or adds those of a second net. @err E_CONFIG E_LIMIT */
XF_WARN_UNUSED enum xf_rc xf_model_personalise(struct xf_model *model, struct xf_diag *diag);
/* First values of a second net: those of the first. @shape full[layout.n] */
void xf_model_personal_init(const struct xf_model *model, float *full);

#endif
