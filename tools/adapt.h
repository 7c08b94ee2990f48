/*
 * adapt.h - between the files of `crossfed adapt`: what was asked, the starts, the clients, the curves.
 *
 * adapt.c         the command
 * adapt_start.c   a run or state directory -> plan and parameters
 * adapt_clients.c who adapts, and on which data
 * adapt_run.c     draws, steps, figures, intervals
 * adapt_out.c     table, JSON, picture
 * Not for: a local step (silo/adapt.h). Owner: the caller's structs. Thread: main.
 */
#ifndef XF_TOOLS_ADAPT_H
#define XF_TOOLS_ADAPT_H

#include "silo/adapt.h"
#include "store/checkpoint.h"
#include "tools/sim/sim.h"

enum {
  XF_ADAPT_STEPS = 256,       /* steps listed */
  XF_ADAPT_STEP_MAX = 100000, /* of one curve */
  XF_ADAPT_SETS = 64,
  XF_ADAPT_FIGURES = XF_RESOLVE_MEASURES + 1, /* also the square of the first rmse */
};

/* X(NAME, text) arms in the order of the table */
#define XF_ADAPT_ARM_LIST(X)        \
  X(START, "start")                 \
  X(SCRATCH, "scratch")             \
  X(AGAINST, "against")             \
  X(RIDGE, "ridge")                 \
  X(SCRATCH_RIDGE, "scratch ridge") \
  X(AGAINST_RIDGE, "against ridge")
enum adapt_arm {
#define XF_ADAPT_ARM_ENUM(n, t) ADAPT_##n,
  XF_ADAPT_ARM_LIST(XF_ADAPT_ARM_ENUM)
#undef XF_ADAPT_ARM_ENUM
      ADAPT_N_ARM
};
/* Whether an arm takes steps; a ridge head takes none. @thread any */
static inline bool adapt_steps(enum adapt_arm arm) {
  return arm == ADAPT_START || arm == ADAPT_SCRATCH || arm == ADAPT_AGAINST;
}
/* @own static */
const char *adapt_arm_name(enum adapt_arm arm);

struct adapt_request {
  const char *run, *against, *data, *clients, *svg;
  const char *sets[XF_ADAPT_SETS];
  size_t n_sets;
  uint32_t k[XF_ADAPT_STEPS], n_k; /* ascending, the first is 0 */
  uint32_t support, query, seeds;
  double lr; /* 0: the plan's */
  bool json, help;
};

/* A trained start and the plan that made it. */
struct adapt_start {
  struct xf_plan plan, trained; /* with --set, and as it trained: sim is outside the digest */
  struct xf_checkpoint_info info;
  float *x; /* [n] */
  uint64_t n;
};
/* Reads a directory of `crossfed sim --out`, a coordinator's or a silo's. @own out: adapt_start_deinit, also after an error
   @err E_NOTFOUND E_CORRUPT E_CONFLICT (model of another plan) E_UNSUPPORTED (xf_adapt_check) E_SHAPE and the plan's */
XF_WARN_UNUSED enum xf_rc adapt_start_load(struct adapt_start *out, const char *dir,
                                           const char *const *sets, size_t n_sets,
                                           struct xf_diag *diag);
/* Releases; idempotent. @own start */
void adapt_start_deinit(struct adapt_start *start);

struct adapt_client {
  const char *id;
  const struct xf_dataset *data;
  bool trained; /* it took part in the training of the start, or of the one against */
};
struct adapt_clients {
  struct adapt_client *at;
  size_t n, n_trained;
  struct sim sim;         /* of simulated clients */
  struct xf_dataset data; /* of --data */
  struct xf_plan plan;    /* of --data: all its rows */
};
/* The data of --data, the clients of --clients, or those that sim.clients.only left out. @own out: adapt_clients_deinit, also
   after an error @err E_CONFIG (nobody left; no data) and the loaders' */
XF_WARN_UNUSED enum xf_rc adapt_clients_load(struct adapt_clients *out,
                                             const struct adapt_request *request,
                                             const struct adapt_start *start,
                                             const struct adapt_start *against,
                                             struct xf_diag *diag);
/* Releases; idempotent. @own clients */
void adapt_clients_deinit(struct adapt_clients *clients);

/* Mean over units, which are clients (each the mean over its draws), or draws of one client; half: of its 95 % interval
   (Student's t), NaN below two units. */
struct adapt_figure {
  double mean, half;
  uint32_t n_unit; /* those with a draw where it is defined: AUC needs a query of two classes */
};
struct adapt_curves {
  bool has[ADAPT_N_ARM];
  char key[XF_ADAPT_FIGURES][XF_MEASURE_KEY];
  size_t n_figure;
  uint32_t n_k, n_unit;
  double lr; /* of the steps */
  /* [arm][k][figure]; minus: start - arm at the same k, paired by draws where both are defined. A ridge takes no steps: all its
     k are the same */
  struct adapt_figure *value[ADAPT_N_ARM], *minus[ADAPT_N_ARM];
};
/* @own out: adapt_curves_deinit, also after an error @err E_RANGE (clients with too few rows: all of them are named) and
   those of silo/adapt.h, with the client's name */
XF_WARN_UNUSED enum xf_rc adapt_run(struct adapt_curves *out, const struct adapt_request *request,
                                    const struct adapt_start *start,
                                    const struct adapt_start *against,
                                    const struct adapt_clients *clients, struct xf_diag *diag);
/* Releases; idempotent. @own curves */
void adapt_curves_deinit(struct adapt_curves *curves);

struct adapt_result {
  const struct adapt_request *request;
  const struct adapt_start *start, *against;
  const struct adapt_clients *clients;
  const struct adapt_curves *curves;
};
/* @err E_IO and those of json */
void adapt_print(const struct adapt_result *result);
XF_WARN_UNUSED enum xf_rc adapt_json(const struct adapt_result *result);
/* The first figure by k. @err E_RANGE (defined nowhere) E_IO and those of plot.h */
XF_WARN_UNUSED enum xf_rc adapt_svg(const struct adapt_result *result, struct xf_diag *diag);

#endif
