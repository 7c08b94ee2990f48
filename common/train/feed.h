/*
 * feed.h - inside train: the buffers behind a net's feeds and how a batch of samples fills them.
 *
 * Owner: the trainer. Thread: the trainer's.
 */
#ifndef XF_TRAIN_FEED_H
#define XF_TRAIN_FEED_H

#include "data/dataset.h"
#include "model/net.h"

struct xf_feeder {
  const struct xf_model *model;
  const struct xf_model_net *net;
  uint32_t max_batch;
  int32_t *user, *item, *neg, *class_; /* [max_batch x group], class_ [max_batch] */
  float *y, *x, *prior;
  uint32_t *row;        /* [max_samples] train rows of a table, train lists */
  int32_t *step, *mask; /* [max_batch x group] sequences, as is: */
  float *weight;
  struct xf_chunk *chunk; /* [max_samples] train chunks */
  uint64_t *order;        /* [max_batch] a batch by length */
};

/* What one task adds: its data, negatives and prior. */
struct xf_feed_task {
  const struct xf_dataset *data;
  struct xf_rng *negative;
  const float *prior; /* [layout.n] or NULL */
  const uint8_t *held;
  float kappa;
};

/* Buffers for batches of at most max_batch of at most max_samples samples. @own feeder @err E_NOMEM */
XF_WARN_UNUSED enum xf_rc xf_feeder_init(struct xf_feeder *feeder, const struct xf_model *model,
                                         const struct xf_model_net *net, uint32_t max_batch,
                                         uint32_t max_samples);
/* Releases; idempotent. @own feeder */
void xf_feeder_deinit(struct xf_feeder *feeder);
/* Gives the plan the buffers. @own borrowed by plan */
void xf_feeder_attach(const struct xf_feeder *feeder, struct xf_nnplan *plan);
/* Whether the data fit the model; prepares the list of train rows and counts the train samples. @err E_SHAPE E_INVAL */
XF_WARN_UNUSED enum xf_rc xf_feeder_start(struct xf_feeder *feeder, const struct xf_dataset *data,
                                          uint32_t max_samples, uint32_t *n_samples,
                                          struct xf_diag *diag);
/* Whether a table's inputs and labels fit the model. @err E_SHAPE */
XF_WARN_UNUSED enum xf_rc xf_feed_check_table(const struct xf_model_config *config,
                                              const struct xf_table *table, struct xf_diag *diag);
/* Whether sequences fit the model. @err E_SHAPE */
XF_WARN_UNUSED enum xf_rc xf_feeder_check_chunks(const struct xf_feeder *feeder,
                                                 const struct xf_seqset *set, struct xf_diag *diag);
/* Fills the feeds with the train chunks ids[0..n), the longest first. @shape ids[n], n <= max_batch */
void xf_feeder_fill_chunks(struct xf_feeder *feeder, const struct xf_seqset *set,
                           const uint32_t *ids, uint32_t n);
/* Fills the feeds with the train samples ids[0..n). @shape ids[n], n <= max_batch */
void xf_feeder_fill(struct xf_feeder *feeder, const struct xf_feed_task *task, const uint32_t *ids,
                    uint32_t n);

#endif
