/*
 * trainer.h - inside train: the trainer's memory. train.c builds and runs it, units.c its steps unit by unit, prox.c what joins the gradients besides the loss.
 * Owner: train.c. Thread: the trainer's.
 */
#ifndef XF_TRAIN_TRAINER_H
#define XF_TRAIN_TRAINER_H

#include "data/sampler.h"
#include "train/feed.h"
#include "train/train.h"

/* Most chunks of one sequence that is a unit. */
enum { XF_UNIT_CHUNKS = 16 };

struct xf_trainer {
  const struct xf_model *model;
  struct xf_local_config config;
  uint32_t max_samples;
  struct xf_model_net net;
  struct xf_nnplan *plan;
  struct xf_optim *optim;
  struct xf_feeder feeder;
  struct xf_batches batches; /* of the last data set's size */
  float lr;                  /* of the task */
  float *grad;               /* [layout.n] */
  float *work;   /* [layout.n] the parameters in panels while a task runs; NULL: nothing lies so */
  bool fused;    /* the plan applies SGD to the weights in panels itself */
  float *anchor; /* [layout.n] the task's start, with a proximal term */
  struct xf_grad_piece *moved; /* [n_seg] with plain_grads: those of a step that a job lets move */
  /* clipping by unit */
  float *step;                 /* [layout.n] what the units' gradients become */
  struct xf_grad_piece *piece; /* [layout.n_seg] all of it */
};

/* What clipping by unit needs besides, and whether the graph allows it. @own trainer @err E_UNSUPPORTED E_NOMEM */
XF_WARN_UNUSED enum xf_rc xf_trainer_units_init(struct xf_trainer *t, struct xf_diag *diag);
/* Releases; idempotent. @own t */
void xf_trainer_units_deinit(struct xf_trainer *t);
/* All steps of a task with n train samples, unit by unit. @shape params[layout.n] @err as xf_trainer_run */
XF_WARN_UNUSED enum xf_rc xf_trainer_run_units(struct xf_trainer *t, float *params,
                                               struct xf_train_job *job, uint32_t n,
                                               struct xf_diag *diag);
/* The proximal term's memory. @own trainer @err E_NOMEM */
XF_WARN_UNUSED enum xf_rc xf_trainer_prox_init(struct xf_trainer *t);
/* Releases; idempotent. @own t */
void xf_trainer_prox_deinit(struct xf_trainer *t);
/* A task begins at start. @shape start[layout.n] */
void xf_trainer_prox_start(struct xf_trainer *t, const float *start);
/* Adds the term to the dense gradients of the plan's last run. @shape params[layout.n]
   @source Li et al. 2020, "Federated optimization in heterogeneous networks", eq. 2 */
void xf_trainer_prox_add(const struct xf_trainer *t, const float *params);
/* A task begins: data, batches in the task's order, a fresh optimiser. *n_steps that are to do; 0 without samples.
   @err as xf_trainer_run */
XF_WARN_UNUSED enum xf_rc xf_trainer_begin(struct xf_trainer *t, struct xf_train_job *job,
                                           uint64_t *n_steps, struct xf_diag *diag);
/* Feeds the next batch, of *n samples. @own t */
void xf_trainer_draw(struct xf_trainer *t, const struct xf_feed_task *task, uint32_t *n);
/* The first n floats of its gradient at params and its mean data loss; with plain_grads. step: for messages. @shape params[layout.n], grad[n]
   @err E_NAN and nn's */
XF_WARN_UNUSED enum xf_rc xf_trainer_gradient(struct xf_trainer *t, const float *params,
                                              uint32_t rows, uint64_t step, double *grad, size_t n,
                                              double *loss, struct xf_diag *diag);
/* Names the first parameter that is no number. @err E_NAN */
XF_WARN_UNUSED enum xf_rc xf_trainer_check(const struct xf_trainer *t, const float *params,
                                           uint64_t step, struct xf_diag *diag);
/* Adds shift to the dense gradients of shared parameters of the plan's last run. @shape shift[layout.n]
   @source Karimireddy et al. 2020, "SCAFFOLD", eq. 3 */
void xf_trainer_shift_add(const struct xf_trainer *t, const float *shift);
/* Tells the job's owner about job->n_steps of n_steps, now and then. @thread the trainer's */
void xf_trainer_report(const struct xf_train_job *job, uint64_t n_steps);

#endif
