/*
 * optim.h - local optimisers over a flat vector: SGD, momentum, Nesterov, Adam, Adagrad, AdamW; dense and row-sparse.
 *
 * Row-sparse gradients (decision 31), for optimisers with state:
 *   dense  exactly what a dense step with zeros in the untouched rows would give: a row's missed steps are
 *          made up when it is next touched, and for all rows by xf_optim_catchup
 *   lazy   untouched rows simply do not move
 * With `dense` a step is: xf_optim_touch, xf_nnplan_run, xf_optim_step; and xf_optim_catchup before anyone
 * else reads the parameters (evaluation, end of the round).
 * Not for: server optimisers (fed). Owner: caller. Thread: one at a time. Deterministic.
 */
#ifndef XF_NN_OPTIM_H
#define XF_NN_OPTIM_H

#include "nn/nnplan.h"

/* X(NAME, text) */
#define XF_OPTIM_LIST(X)  \
  X(SGD, "sgd")           \
  X(MOMENTUM, "momentum") \
  X(NESTEROV, "nesterov") \
  X(ADAM, "adam")         \
  X(ADAGRAD, "adagrad")   \
  X(ADAMW, "adamw")

enum xf_optim_kind {
#define XF_OPTIM_ENUM(n, t) XF_OPTIM_##n,
  XF_OPTIM_LIST(XF_OPTIM_ENUM)
#undef XF_OPTIM_ENUM
};

struct xf_optim_config {
  enum xf_optim_kind kind;
  float lr;
  float momentum;     /* mu of MOMENTUM and NESTEROV */
  float beta1, beta2; /* of ADAM and ADAMW */
  float eps;          /* outside the root; of ADAM and ADAMW bias-corrected */
  float weight_decay; /* of ADAMW: p -= lr weight_decay p before each step, whatever the gradient */
  float l2;           /* g += l2 * p: dense segments, and touched rows of row-sparse ones */
  bool lazy;          /* row-sparse: lazy instead of dense */
};

struct xf_optim;

/* The usual values: lr given, momentum .9, betas .9 .999, eps 1e-8. @own value */
struct xf_optim_config xf_optim_default(enum xf_optim_kind kind, float lr);
/* Name <-> kind. @own static @err E_INVAL */
const char *xf_optim_name(enum xf_optim_kind kind);
XF_WARN_UNUSED enum xf_rc xf_optim_parse(enum xf_optim_kind *out, const char *s, size_t len);

/* State for the parameters of `layout` (copied). @own caller @err E_INVAL (value outside its range)
   E_NOMEM */
XF_WARN_UNUSED enum xf_rc xf_optim_new(struct xf_optim **out, const struct xf_optim_config *config,
                                       const struct xf_layout *layout, struct xf_diag *diag);
/* Releases; NULL is legal. @own takes optim */
void xf_optim_free(struct xf_optim *optim);
/* Forgets moments and steps: a new task. @own optim */
void xf_optim_reset(struct xf_optim *optim);
/* Changes the learning rate from the next step on; catches up first. @shape params[layout.n] */
void xf_optim_set_lr(struct xf_optim *optim, float *params, float lr);
/* One step. May change the gradient (l2). @shape params[layout.n]
   @source Polyak 1964; Sutskever et al. 2013; Kingma & Ba 2015, algorithm 1; Duchi et al. 2011;
   Loshchilov & Hutter 2019, algorithm 2 */
void xf_optim_step(struct xf_optim *optim, float *params, const struct xf_grad_piece *piece,
                   size_t n_piece);
/* Makes up the missed steps of the rows that the plan's next run gathers (its ids inputs are set; extent as
   for the run). A no-op for SGD and lazy. @shape params[layout.n] */
void xf_optim_touch(struct xf_optim *optim, float *params, const struct xf_nnplan *plan,
                    const uint32_t extent[XF_N_SYM]);
/* Makes up the missed steps of all rows. @shape params[layout.n] */
void xf_optim_catchup(struct xf_optim *optim, float *params);
/* The state as one flat vector (momentum: n floats, Adam: 2n), for tests and personal state.
   @shape [*n] @own optim */
float *xf_optim_get_state(struct xf_optim *optim, size_t *n);

#endif
