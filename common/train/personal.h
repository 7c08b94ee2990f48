/*
 * personal.h - local work of personalised federated learning: what leaves the silo is trained beside what stays in it.
 *
 *   REP     the head first while the body stands still, then the body while the head does (FedRep)
 *   DITTO   w as without; v, the silo's own net, by v -= lr (g(v) + lambda (v - w)), w the round's model
 *   PFEDME  theta by inner steps of g + lambda (theta - w), then w -= lr lambda (w - theta)
 *   APFL    w by its own steps; v and alpha by those of the mix alpha v + (1 - alpha) w
 *
 * v, theta and alpha are the segments own.* of a model with XF_PERSONAL_COPY or MIX (model/model.h); REP takes one with
 * XF_PERSONAL_HEAD. FedPer and FedBN need nothing of this: they are plain training of a model with such roles.
 * DITTO, PFEDME and APFL step in double by plain SGD; gradients are float.
 * Not for: what leaves the silo (param/wiremap.h). Owner: caller. Thread: one at a time.
 */
#ifndef XF_TRAIN_PERSONAL_H
#define XF_TRAIN_PERSONAL_H

#include "train/train.h"

enum xf_personal_rule {
  XF_PERSONAL_PLAIN, /* xf_trainer_run is all: no struct xf_personal */
  XF_PERSONAL_REP,
  XF_PERSONAL_DITTO,
  XF_PERSONAL_PFEDME,
  XF_PERSONAL_APFL,
};

struct xf_personal_config {
  enum xf_personal_rule rule;
  uint32_t head_epochs; /* REP */
  uint32_t steps;       /* PFEDME: inner steps on each batch */
  double lambda;        /* DITTO, PFEDME: pull towards w */
  double lr;            /* PFEDME: of inner steps; APFL: of alpha */
};

struct xf_personal;

/* A silo's memory for it; local.plain_grads is set here. @own caller: xf_personal_free; the model must outlive it
   @err E_UNSUPPORTED (running statistics, optimiser that is not SGD; not REP) and those of xf_trainer_new */
XF_WARN_UNUSED enum xf_rc xf_personal_new(struct xf_personal **out, const struct xf_model *model,
                                          const struct xf_personal_config *config,
                                          const struct xf_local_config *local, uint32_t max_samples,
                                          struct xf_diag *diag);
/* Releases; NULL is legal. @own takes personal */
void xf_personal_free(struct xf_personal *personal);
/* A task, as xf_trainer_run; job->out gets the segments that stay, too. `trainer` is the silo's plain one: DITTO's w is the
   same bytes as without. Loss and steps in job are those of what leaves. @err as xf_trainer_run */
XF_WARN_UNUSED enum xf_rc xf_personal_run(struct xf_personal *personal, struct xf_trainer *trainer,
                                          struct xf_train_job *job, struct xf_diag *diag);
/* Whether it keeps a second net: all but REP. @thread any */
bool xf_personal_has_net(const struct xf_personal *personal);
/* Puts the personal net where the net lies: own.*, or its mix with the net in x. @shape x[layout.n] */
void xf_personal_serve(const struct xf_model *model, float *x);

/* One step each, over n parameters; g, gv: gradients.
   @source Li et al. 2021, "Ditto", algorithm 1 */
void xf_ditto_step(double *v, const double *g, const double *w, size_t n, double lr, double lambda);
/* @source T. Dinh et al. 2020, "Personalized federated learning with Moreau envelopes", algorithm 1 */
void xf_pfedme_step(double *w, const double *theta, size_t n, double lr, double lambda);
/* vbar = alpha v + (1 - alpha) w. @shape vbar[n], v[n], w[n] */
void xf_apfl_mix(double *vbar, const double *v, const double *w, size_t n, double alpha);
/* g at w, gv at vbar; all three from the old v and w, alpha kept in [0, 1].
   @source Deng et al. 2020, "Adaptive personalized federated learning", algorithm 1 and eq. 10 */
void xf_apfl_step(double *w, double *v, double *alpha, const double *g, const double *gv, size_t n,
                  double lr, double lr_alpha);

#endif
