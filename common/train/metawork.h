/*
 * metawork.h - a silo's round in meta-learning: tasks drawn from its train rows, inner loops on them, and what goes to the
 * coordinator, which adds the mean over silos times its own rate.
 *
 *   MAML, FOMAML, ANIL, BOIL, Meta-SGD   minus the mean meta-gradient over `tasks` tasks (metasend.c)
 *   Per-FedAvg                           what `steps` local steps along such means change (perfedavg.c)
 *
 * A task is `support` rows and `query` others, drawn without replacement: no row is in both. Learnt rates are the second half of
 * a model's vector (xf_model_base); below 0 they count as 0, and no step goes further down from there.
 * The result depends on start, data, configuration and the stream only. Not for: the meta-gradient of one task (meta.h),
 * the coordinator's step (fed). Owner: caller. Thread: one at a time; `cancel` may be set from any thread.
 */
#ifndef XF_TRAIN_METAWORK_H
#define XF_TRAIN_METAWORK_H

#include "train/meta.h"
#include "train/train.h"

enum xf_metawork_part { XF_METAWORK_ALL, XF_METAWORK_HEAD, XF_METAWORK_BODY };

struct xf_metawork_config {
  enum xf_meta_kind kind;
  enum xf_metawork_part adapts; /* in inner steps; head: the last linear layer */
  uint32_t support, query;      /* rows; query 0: all that are not support */
  uint32_t inner_steps;
  double inner_lr;
  uint32_t tasks; /* 0: xf_metawork_adapt only, which needs no query rows */
  double l2;
  uint32_t steps; /* of Per-FedAvg, by `optimizer`; 0: the mean meta-gradient is sent */
  struct xf_optim_config optimizer;
};

struct xf_metawork_job {
  /* in */
  const float *start; /* [layout.n] */
  const struct xf_dataset *data;
  struct xf_rng task;
  const atomic_bool *cancel; /* may be NULL; looked at before each task */
  void (*progress)(void *arg,
                   const struct xf_train_progress *progress); /* may be NULL; after each task */
  void *arg;
  /* out */
  float *delta;       /* [layout.n] caller's, apart from start */
  uint64_t n_samples; /* query rows of a meta-gradient: the silo's weight */
  double loss;        /* mean query loss after inner steps */
};

struct xf_metawork;

/* Plans for a silo with n_train train rows. @own caller: xf_metawork_free; the model must outlive it
   @err E_CONFIG (values; too few rows, with how many are needed; nothing adapts) E_UNSUPPORTED (a model that is not of tables; one
   with running statistics; an operation without a second derivative) E_LIMIT (more inner steps than memory is for) E_NOMEM and nn's */
XF_WARN_UNUSED enum xf_rc xf_metawork_new(struct xf_metawork **out, const struct xf_model *model,
                                          const struct xf_metawork_config *config, size_t n_train,
                                          struct xf_diag *diag);
/* Releases; NULL is legal. @own takes work */
void xf_metawork_free(struct xf_metawork *work);
/* A round. After an error delta is undefined. @err E_NAN (the loss of a task) E_CANCELLED E_SHAPE (data do not fit)
   @source docs/ALGORITHMS.md "Meta-learning" */
XF_WARN_UNUSED enum xf_rc xf_metawork_run(struct xf_metawork *work, struct xf_metawork_job *job,
                                          struct xf_diag *diag);
/* `steps` inner steps from params on the support of one task. @shape params[layout.n], out[layout.n], may be the same
   @err as xf_metawork_run */
XF_WARN_UNUSED enum xf_rc xf_metawork_adapt(struct xf_metawork *work, const float *params,
                                            const struct xf_dataset *data,
                                            const struct xf_rng *task, uint32_t steps, float *out,
                                            struct xf_diag *diag);

#endif
