/*
 * personalparts.h - between the files of train only: what a personal task works on. personal.c builds and runs it, fedrep.c,
 * ditto.c, pfedme.c and apfl.c are its rules.
 * Owner: personal.c. Thread: the silo's.
 */
#ifndef XF_TRAIN_PERSONALPARTS_H
#define XF_TRAIN_PERSONALPARTS_H

#include "train/personal.h"
#include "train/trainer.h"

struct xf_personal {
  struct xf_personal_config config;
  const struct xf_model *model;
  struct xf_trainer *trainer; /* gradients one by one */
  size_t n;                   /* parameters of the net */
  float *at;                  /* [layout.n] where a gradient is taken */
  double *w, *v;              /* [n] the net, the silo's own (theta) */
  double *g, *gv;             /* [n] gradients */
  double alpha, lr;
  uint64_t step;  /* of the task, from 1 */
  uint8_t *moves; /* [n_seg] of a phase (REP) */
};

/* The gradient of the batch at hand at x. @shape x[n], g[n] @err as xf_trainer_gradient */
XF_WARN_UNUSED enum xf_rc xf_personal_gradient(struct xf_personal *p, const double *x,
                                               uint32_t rows, double *g, double *loss,
                                               struct xf_diag *diag);
/* One batch of each rule. */
typedef enum xf_rc xf_personal_batch(struct xf_personal *p, uint32_t rows, double *loss,
                                     struct xf_diag *diag);
xf_personal_batch xf_personal_ditto, xf_personal_pfedme, xf_personal_apfl;
/* A task of REP. @err as xf_trainer_run */
XF_WARN_UNUSED enum xf_rc xf_personal_rep(struct xf_personal *p, struct xf_train_job *job,
                                          struct xf_diag *diag);

#endif
