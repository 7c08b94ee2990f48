/*
 * meta.h - meta-gradients: how the loss on a task's query rows changes with the point from which a few SGD steps on its
 * support rows start.
 *
 *   theta_0 = start, theta_{j+1} = theta_j - A m grad S(theta_j), j < K;  v = grad Q(theta_K);
 *   for j = K-1 .. 0: v -= H_S(theta_j) (A m v);  the meta-gradient is v
 *
 * m is 1 in the segments that adapt (head only: ANIL; body only: BOIL), A the inner rate or one per parameter (Meta-SGD). How
 * H_S u comes about is the kind: MAML exactly, as the gradient of grad S . u; FOMAML leaves it out; HF by a difference of two
 * gradients. Reptile's direction is adapted - start.
 * Not for: drawing tasks, the outer step (optim.h, fed), graphs with dropout masks or several rows a sample. Owner: caller. Thread: one at a time. Deterministic.
 */
#ifndef XF_TRAIN_META_H
#define XF_TRAIN_META_H

#include "nn/nnplan.h"

enum xf_meta_kind { XF_META_MAML, XF_META_FOMAML, XF_META_HF };

struct xf_meta_spec {
  enum xf_meta_kind kind;
  uint32_t inner_steps;  /* K > 0, each on all support rows */
  double inner_lr;       /* > 0 */
  const uint8_t *adapts; /* [n_seg] 1: the segment takes inner steps; NULL: all do. Copied */
  double hf_step;        /* d of HF: [g(theta + d u) - g(theta - d u)] / (2 d); 0: 1e-4 / |u|, in
                            float 1e-2 / |u| */
  enum xf_nn_mode mode;
  uint32_t max_rows; /* of support and of query */
};

/* An input of the graph: row i belongs to the task's row i. Float, in REF64 double, or int32_t for ids. */
struct xf_meta_feed {
  int node;
  const void *rows; /* [n_rows] of row_bytes each */
  size_t row_bytes;
};

struct xf_meta_job {
  /* in */
  const double *start; /* [layout.n] */
  const double *rate;  /* [layout.n] inner rates instead of inner_lr, or NULL */
  const struct xf_meta_feed *feed;
  size_t n_feed;
  uint32_t n_rows;                 /* of the task */
  const uint32_t *support, *query; /* row numbers; no row is in both */
  uint32_t n_support, n_query;     /* > 0 */
  /* out */
  double *grad;      /* [layout.n] by the start */
  double *rate_grad; /* [layout.n] by the rates, or NULL */
  double *adapted;   /* [layout.n] theta_K, or NULL */
  double query_loss; /* at theta_K */
};

struct xf_meta;

/* Plans. `graph` has the loss and its rows are B; MAML needs a twin, a second graph made by the same calls, to which the
   Hessian product is added (else NULL). Both are built up to here: what is added to them stays.
   @own caller: xf_meta_free; graphs must outlive it @err E_INVAL (value outside its range, no twin) and nn's
   @source Finn, Abbeel & Levine 2017, eq. 1 (MAML, FOMAML); Raghu et al. 2020, sec. 3.2 (ANIL); Oh et al. 2021 (BOIL);
   Li et al. 2017, eqs. 2 and 3 (Meta-SGD); Fallah et al. 2020, sec. 5 (HF); product: Pearlmutter 1994 */
XF_WARN_UNUSED enum xf_rc xf_meta_new(struct xf_meta **out, struct xf_graph *graph,
                                      struct xf_graph *twin, int loss,
                                      const struct xf_layout *layout,
                                      const struct xf_meta_spec *spec, struct xf_diag *diag);
/* Releases; NULL is legal. @own takes meta */
void xf_meta_free(struct xf_meta *meta);
/* One task. After an error the outs are undefined.
   @err E_INVAL (a row both in support and query, an empty list) E_RANGE (no such row) E_LIMIT (more than max_rows) E_NAN */
XF_WARN_UNUSED enum xf_rc xf_meta_run(struct xf_meta *meta, struct xf_meta_job *job,
                                      struct xf_diag *diag);
/* Inner steps alone, as many as asked for: theta_steps into job->adapted; no query. @err as xf_meta_run */
XF_WARN_UNUSED enum xf_rc xf_meta_adapt(struct xf_meta *meta, struct xf_meta_job *job,
                                        uint32_t steps, struct xf_diag *diag);

#endif
