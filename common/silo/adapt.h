/*
 * adapt.h - how fast a client that has not trained gets good: some of its rows to learn from (support), others to be asked (query).
 *
 * A draw deals the client's train rows anew; no row is in both, and validation and test rows are in neither. k steps are the
 * local work of the plan with local.steps k: the same trainer, optimiser, batches and streams as a silo's task, from a fresh
 * optimiser, without clipping, because nothing leaves. Under a meta-learning algorithm (maml and its kin) they are its inner
 * steps (train/metawork.h). Query labels are measured against and nothing else.
 * Not for: what a silo serves (arms in silo.h). Owner: caller; plan and data must outlive it. Thread: one at a time.
 */
#ifndef XF_SILO_ADAPT_H
#define XF_SILO_ADAPT_H

#include "data/dataset.h"
#include "resolve/resolve.h"
#include "train/head.h"

struct xf_adapt_spec {
  const struct xf_plan *plan;
  const char *member; /* copied; names the streams */
  uint32_t support;   /* rows or sequences, > 0 */
  uint32_t query;     /* 0: all others */
  double lr;          /* 0: the plan's; of a meta-learning algorithm local.meta.lr */
};

struct xf_adapt;

/* Whether a plan's model can start at a client that has not trained: all of it is shared. @err E_UNSUPPORTED */
XF_WARN_UNUSED enum xf_rc xf_adapt_check(const struct xf_plan *plan, struct xf_diag *diag);
/* Train rows or sequences, which support and query are dealt from. @thread any */
size_t xf_adapt_rows(const struct xf_dataset *data);
/* @own out: xf_adapt_free; borrows plan and data @err E_UNSUPPORTED, E_RANGE (too few train rows; no support),
   E_CONFIG (no measure), E_CONFLICT (lr beside learnt rates) and those of model, train */
XF_WARN_UNUSED enum xf_rc xf_adapt_new(struct xf_adapt **out, const struct xf_adapt_spec *spec,
                                       const struct xf_dataset *data, struct xf_diag *diag);
/* Releases; NULL is legal. @own takes adapt */
void xf_adapt_free(struct xf_adapt *adapt);
/* Its layout is what a start must have. @own borrowed */
const struct xf_model *xf_adapt_model(const struct xf_adapt *adapt);
/* The plan's, without those after an adaptation of their own (rmse@adapt5). @own borrowed */
const struct xf_measures *xf_adapt_measures(const struct xf_adapt *adapt);
/* The rate of the steps. @thread any */
double xf_adapt_lr(const struct xf_adapt *adapt);

/* Deals support and query; the first draw is 1. The same (plan seed, member, draw) gives the same. @own adapt */
void xf_adapt_draw(struct xf_adapt *adapt, uint64_t draw);
/* The part of each row: TRAIN support, TEST query, VALID neither. @own adapt */
const uint8_t *xf_adapt_parts(const struct xf_adapt *adapt);
/* A start by the plan's rule of initial values, of this draw. @shape x[layout.n] @err model's */
XF_WARN_UNUSED enum xf_rc xf_adapt_scratch(const struct xf_adapt *adapt, float *x,
                                           struct xf_diag *diag);
/* Measures the query after k steps on the support; k may be 0. @shape start[layout.n], sum[measures.n] @err train's, rec's */
XF_WARN_UNUSED enum xf_rc xf_adapt_steps(struct xf_adapt *adapt, const float *start, uint32_t k,
                                         struct xf_measure_sum *sum, struct xf_diag *diag);
/* The same with a ridge head on the support instead of steps (train/head.h). @shape as xf_adapt_steps @err head's, rec's */
XF_WARN_UNUSED enum xf_rc xf_adapt_ridge(struct xf_adapt *adapt, const float *start,
                                         struct xf_measure_sum *sum, struct xf_head_report *report,
                                         struct xf_diag *diag);

#endif
