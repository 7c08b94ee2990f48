/*
 * net.h - a model's graphs and what has to be fed into them: the training loss and the scores.
 *
 * A step sees n samples; sample b gives `group` consecutive rows b*group .. b*group+group-1 of every feed but CLASS,
 * which has one row per sample:
 *   bpr           group = negatives: USER u, ITEM positive, NEG one negative each
 *   bce, softmax of mf  group = 1 + negatives: USER u, ITEM positive first, then negatives; Y 1, 0, 0 ... (bce),
 *                 CLASS 0 (softmax)
 *   mse of mf     group = 1: USER, ITEM, Y the value
 *   tables        group = 1: X the inputs, Y or CLASS the label
 *   scorer        group = 1 + negatives: X a list's candidates, the positive first, CLASS 0
 *   sequences     group = config.steps: a sample is a chunk; row t*n + b is step t of chunk b of n. ITEM the token, STEP
 *                 (dkt) token + n_in * answer, Y (dkt) the answer, MASK 1 where there is a step, WEIGHT 1 / steps of all
 *                 chunks there, else 0. Scoring takes the states H and C [n x hidden] (H2 and C2 of a second layer) before the chunk
 *                 and gives those behind
 * A net of an episode (`episode`) gives its rows parts: NORM a row's share of the statistics that batch norm uses for all
 * rows, WEIGHT its share of the loss; each adds up to 1. It has `score` too, the outputs of all rows.
 * PRIOR (pull): what USER's row is drawn to: kappa times its prior, zeros where there is none.
 * Not for: filling (train/feed.h). Owner: caller. Thread: immutable once built.
 */
#ifndef XF_MODEL_NET_H
#define XF_MODEL_NET_H

#include "model/model.h"

enum xf_feed {
  XF_FEED_USER,
  XF_FEED_ITEM,
  XF_FEED_NEG,
  XF_FEED_Y,
  XF_FEED_CLASS,
  XF_FEED_X,
  XF_FEED_PRIOR,
  XF_FEED_STEP,
  XF_FEED_MASK,
  XF_FEED_WEIGHT,
  XF_FEED_NORM,
  XF_FEED_H,
  XF_FEED_C,
  XF_FEED_H2,
  XF_FEED_C2,
  XF_N_FEED
};

struct xf_model_net {
  struct xf_graph *graph;
  int loss;   /* with regularisation, differentiated; mean over rows */
  int data;   /* without regularisation */
  int score;  /* of xf_model_net_score and episodes */
  int hidden; /* of the same: the input of the head (xf_model_get_head), or XF_NO_NODE */
  int state
      [4]; /* of xf_model_net_score over sequences: h, c behind the chunk; of the second layer */
  int feed[XF_N_FEED]; /* nodes, XF_NO_NODE where unused; symbol B counts samples */
  uint32_t group;
  bool masks;                      /* draws dropout masks: each run wants a seed of its own */
  const struct xf_segment *pulled; /* segment that PRIOR refers to, or NULL */
};

struct xf_model_loss {
  uint32_t
      negatives; /* per positive; 0: 1 for bpr, 4 for bce, 16 for softmax of mf, 99 for scorer */
  double
      l2; /* l2/2 |.|^2: weights of mlp, logreg, scorer; of mf the rows of the batch, mean over rows */
  bool episode; /* rows have shares, see above: convolutional nets with softmax */
  double pull;  /* pull/2 |user row - PRIOR|^2, mean over rows; 0: none. mf with aligned users */
};

/* The training graph, differentiated. @own caller: xf_model_net_deinit @err E_CONFIG E_UNSUPPORTED and nn's */
XF_WARN_UNUSED enum xf_rc xf_model_net_loss(struct xf_model_net *out, const struct xf_model *model,
                                            const struct xf_model_loss *spec, struct xf_diag *diag);
/* The scoring graph: mf [B x n_items] from USER [B x 1]; tables [B x n_out] logits or values from X; sequences
   [steps*B x n_out] logits.
   @own caller: xf_model_net_deinit @err nn's */
XF_WARN_UNUSED enum xf_rc xf_model_net_score(struct xf_model_net *out, const struct xf_model *model,
                                             struct xf_diag *diag);
/* Releases; idempotent. @own net */
void xf_model_net_deinit(struct xf_model_net *net);

#endif
