/*
 * train.h - a silo's local procedure: from the parameters of a task to new parameters, on private data.
 *
 *   xf_trainer_new    once per (model, configuration) and worker: graph, memory plan, optimiser, buffers
 *   xf_trainer_run    once per task; nothing is allocated per step; the optimiser starts fresh (decision 9)
 *   xf_train_alone    the `alone` arm: the same task again and again on its own result
 *
 * With a pull every user row is drawn to kappa times its prior, and to 0 where there is none (first round, rows nobody
 * shares, the `alone` arm): all arms are regularised alike, so that what `federated` gains comes from the others' rows.
 *
 * The result depends on start, data, configuration and the two streams only: same bytes on any thread.
 * Not for: what leaves the silo (client/core, priv), evaluation (rec/evaluate.h).
 * Owner: caller. Thread: one at a time per trainer; `cancel` may be set from any thread.
 */
#ifndef XF_TRAIN_TRAIN_H
#define XF_TRAIN_TRAIN_H

#include "data/dataset.h"
#include "model/net.h"

#include <stdatomic.h>

/* A pull that suits mf with Adam; plans give only kappa. */
#define XF_PULL_DEFAULT 0.2

/* Whose gradients are clipped one by one (DP-SGD); the silo says how, see struct xf_train_units. */
enum xf_train_unit {
  XF_UNIT_NONE,
  XF_UNIT_SAMPLE,   /* each train sample: a row, an image */
  XF_UNIT_SEQUENCE, /* a whole sequence: all chunks of a student */
};

struct xf_local_config {
  uint32_t epochs, steps;           /* exactly one is > 0 */
  uint32_t batch;                   /* 0: all samples */
  struct xf_optim_config optimizer; /* its l2 stays 0 */
  double l2;
  double prox; /* prox/2 |u - start|^2 over the shared segments joins the loss (FedProx); 0: none */
  uint32_t negatives; /* see struct xf_model_loss */
  double pull,
      kappa; /* aligned user rows: pull/2 |p - kappa prior|^2, prior 0 where there is none */
  enum xf_train_unit
      unit; /* not NONE: steps are given, l2, prox and pull 0, batch is of no effect */
  bool
      plain_grads; /* gradients one by one as a flat vector, nothing packed or fused; needed where a job has `moves` or `shift` */
};

struct xf_train_progress {
  uint64_t step, n_steps; /* done, to do in this task */
  double loss;            /* mean data loss so far */
};

/* How gradients of single units become a step (decision 32): made by whoever may draw noise (priv/unitsum.h), which train may
   not. In each step: start; for every unit takes, and if it does add with the gradient of that unit's mean loss; get. What a unit
   adds follows from that unit and the parameters alone. @shape grad[layout.n] */
struct xf_train_units {
  enum xf_rc (*start)(void *arg);
  bool (*takes)(void *arg);
  enum xf_rc (*add)(void *arg, const float *grad); /* may be no number */
  void (*get)(void *arg, float *grad);
  void *arg;
};

struct xf_train_job {
  /* in */
  const float *start; /* [layout.n] */
  const struct xf_dataset *data;
  struct xf_rng shuffle, negative;
  float lr;             /* of this task; 0: the optimizer's */
  uint32_t epochs;      /* of this task; 0: the configuration's epochs or steps */
  const uint8_t *moves; /* [n_seg] 0: the segment stays as it is; NULL: all move */
  const float *shift; /* [layout.n] joins each gradient of a shared parameter (SCAFFOLD); NULL: 0 */
  const float *prior; /* [layout.n] aligned user rows at their place; NULL: none */
  const uint8_t *held;                /* [n_users] 1 where prior holds a row; NULL: everywhere */
  const struct xf_train_units *units; /* needed with config.unit, else NULL */
  const atomic_bool *cancel; /* may be NULL; looked at before each step, and every 256 units */
  void (*progress)(
      void *arg,
      const struct xf_train_progress *progress); /* may be NULL; about 100 times a task */
  void *arg;
  /* out */
  float *out;         /* [layout.n] caller's; may be start */
  uint64_t n_samples; /* train samples of the silo: its weight */
  uint64_t n_steps;
  double loss; /* mean data loss over the samples seen */
};

struct xf_trainer;

/* Plans. max_samples: train samples of the largest data set that will be given. @own caller: xf_trainer_free; the
   model must outlive it @err E_CONFIG (names key and value) E_UNSUPPORTED E_NOMEM and nn's */
XF_WARN_UNUSED enum xf_rc xf_trainer_new(struct xf_trainer **out, const struct xf_model *model,
                                         const struct xf_local_config *config, uint32_t max_samples,
                                         struct xf_diag *diag);
/* Releases; NULL is legal. @own takes trainer */
void xf_trainer_free(struct xf_trainer *trainer);
/* Whether data of max_samples train samples can be trained by unit, before the first task. @err E_LIMIT (a sequence too long for a unit) */
XF_WARN_UNUSED enum xf_rc xf_trainer_check_units(const struct xf_trainer *trainer,
                                                 const struct xf_dataset *data,
                                                 struct xf_diag *diag);
/* Steps (> 0) of the following tasks, whatever the configuration says of steps and epochs. @own trainer */
void xf_trainer_set_steps(struct xf_trainer *trainer, uint32_t steps);
/* Trains. After an error job->out is undefined. No samples: out = start, n_samples 0.
   @err E_NAN (step or parameter named) E_CANCELLED E_SHAPE (data do not fit the model) E_LIMIT (more than max_samples) */
XF_WARN_UNUSED enum xf_rc xf_trainer_run(struct xf_trainer *trainer, struct xf_train_job *job,
                                         struct xf_diag *diag);
/* Runs the job n_tasks times, each on the result of the one before and with the streams and rate that `begin` sets for
   task t = 1 .. n_tasks; no prior. Sums of steps and the last loss are in job. @err as xf_trainer_run */
XF_WARN_UNUSED enum xf_rc
xf_train_alone(struct xf_trainer *trainer, struct xf_train_job *job, uint32_t n_tasks,
               void (*begin)(void *arg, uint32_t task, struct xf_train_job *job), void *arg,
               struct xf_diag *diag);
/* One job with a trainer of its own: adaptation of given parameters, a run outside rounds. @err as xf_trainer_new, xf_trainer_run */
XF_WARN_UNUSED enum xf_rc xf_train_once(const struct xf_model *model,
                                        const struct xf_local_config *config,
                                        struct xf_train_job *job, struct xf_diag *diag);
/* Bytes a trainer holds. @unit bytes */
size_t xf_trainer_get_bytes(const struct xf_trainer *trainer);

#endif
