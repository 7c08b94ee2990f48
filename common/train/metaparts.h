/*
 * metaparts.h - between the files of metawork.h: the memory of a silo's meta-learning, and its mean meta-gradient.
 * Owner: the work. Thread: its own.
 */
#ifndef XF_TRAIN_METAPARTS_H
#define XF_TRAIN_METAPARTS_H

#include "train/metawork.h"

struct xf_metawork {
  const struct xf_model *model;
  struct xf_metawork_config config;
  struct xf_layout layout; /* of the net, without learnt rates */
  size_t n;                /* its floats */
  bool rates;
  struct xf_model_net net, twin;
  struct xf_meta *meta;
  struct xf_optim *optim;   /* Per-FedAvg's */
  size_t max_rows, n_train; /* of a task; that row[] has places for */
  uint32_t *row, *number;   /* [n_train] train rows, the task's first; [max_rows] 0, 1, 2 ... */
  float *x, *y;             /* [max_rows x n_in], [max_rows] the task's rows */
  int32_t *class_;          /* [max_rows] */
  double *start, *rate;     /* [n] the point at hand; learnt rates as used */
  double *grad, *rate_grad; /* [n] of a task */
  double *sum, *rate_sum;   /* [n] means over tasks */
  float *params;            /* [n] Per-FedAvg's */
  uint64_t done, n_tasks;   /* of the job */
  double loss;              /* sum over the job's tasks */
};

/* A task's job: rows drawn with rng and gathered; rates at hand. @err E_SHAPE (too few rows) */
enum xf_rc xf_metawork_draw(struct xf_metawork *w, const struct xf_dataset *data, bool query,
                            struct xf_rng *rng, struct xf_meta_job *job, struct xf_diag *diag);
/* The mean meta-gradient over the configuration's tasks at w->start into w->sum and w->rate_sum.
   @err as xf_metawork_run */
enum xf_rc xf_metawork_mean(struct xf_metawork *w, struct xf_metawork_job *job,
                            struct xf_diag *diag);
/* MAML and its kin: job->delta from it. @err as xf_metawork_run */
enum xf_rc xf_metawork_send(struct xf_metawork *w, struct xf_metawork_job *job,
                            struct xf_diag *diag);
/* Per-FedAvg: job->delta from several. @err as xf_metawork_run */
enum xf_rc xf_metawork_perfedavg(struct xf_metawork *w, struct xf_metawork_job *job,
                                 struct xf_diag *diag);

#endif
