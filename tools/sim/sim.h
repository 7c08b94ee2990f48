/*
 * sim.h - many clients and one coordinator in one process: the daemons' cores on a virtual clock.
 *
 * load.c   plan -> silos; tables.c: silos that hold tables
 * silo.c   one simulated silo: data, model, keys, personal state, local work
 * world.c  the event loop that plays shell for both cores; local work runs on worker threads
 * report.c evaluation sums, the table of arms
 * verb.c   the command
 * Not for: a silo's own process (client/io). Thread: the loop is one thread; struct sim_silo's work runs on
 * a worker while the loop waits for it, never both at once.
 */
#ifndef XF_TOOLS_SIM_SIM_H
#define XF_TOOLS_SIM_SIM_H

#include "base/worker.h"
#include "client/core/session.h"
#include "data/dataset.h"
#include "fed/fold.h"
#include "model/model.h"
#include "param/wiremap.h"
#include "plan/plan.h"
#include "rec/evaluate.h"
#include "server/core/coord.h"
#include "train/train.h"

enum { SIM_MEASURES_MAX = 64, SIM_ARMS = 3 };
enum sim_arm { SIM_POPULARITY, SIM_ALONE, SIM_FEDERATED };

/* Measures of the plan under all its protocols. */
struct sim_measures {
  struct xf_measure measure[SIM_MEASURES_MAX];
  uint32_t n_neg[SIM_MEASURES_MAX];
  char key[SIM_MEASURES_MAX][XF_MEASURE_KEY];
  size_t n;
};

struct sim_silo {
  struct xf_job job; /* first: the worker pool gives it back */
  char id[XF_PLAN_CLIENT_ID], domain[XF_PLAN_CLIENT_ID];
  struct xf_dataset data;
  struct xf_model *model;
  const struct xf_layout *layout;
  struct xf_manifest manifest; /* of the aligned namespace; empty without */
  uint32_t *local_row;         /* [manifest.n] local row of each key */
  uint32_t *dir_row;           /* [manifest.n] directory row */
  struct xf_wire_map map;
  struct xf_trainer *trainer;
  struct xf_evaluator *evaluator;
  float *full;           /* personal state with the last task's values */
  float *next;           /* result of the task at hand */
  float *base, *wire;    /* [map.n_wire] */
  float *prior;          /* pull: [layout.n], NULL without */
  uint8_t *held;         /* [n_users] */
  struct xf_buf payload; /* the outbox entry */
  struct xf_msg_update_begin begin;
  struct xf_msg_task_offer offer;
  const struct sim *sim;
  enum xf_rc rc;
  struct xf_diag diag;
  bool busy, done;
  bool tentative; /* `next` waits for the outcome of its round */
  double clip_norm;
  struct xf_measure_sum arm[SIM_ARMS][SIM_MEASURES_MAX];
};

struct sim {
  struct xf_plan plan;
  struct xf_model_config model_config;
  struct xf_local_config local;
  struct sim_measures measures;
  struct sim_silo *silo;
  size_t n_silo;
  struct xf_directory directory; /* of the one aligned namespace; empty without */
  char ns[XF_NAME_MAX];
  struct xf_model *global_model; /* the coordinator's: directory rows, no items of its own */
  const struct xf_layout *global_layout;
  struct xf_fold_shape shape;
  float *global, *next_global, *momentum; /* [n_global] shared floats, then the directory's rows */
  uint64_t n_global;
  struct xf_digest layout_digest, plan_digest;
  struct xf_buf canonical;
  uint32_t threads;
  bool quiet;
  uint64_t bytes_up, bytes_down;
  uint64_t rounds, abandoned;
};

/* Loads the plan's data and builds every silo and the initial global vector.
   @own out: sim_deinit @err those of data, model and plan */
XF_WARN_UNUSED enum xf_rc sim_init(struct sim *sim, struct xf_diag *diag);
/* Releases; idempotent. @own sim */
void sim_deinit(struct sim *sim);
/* One file of sim.clients.files as a silo's table. @own fills silo->data, id, domain @err those of data */
XF_WARN_UNUSED enum xf_rc sim_table_load(struct sim *sim, struct sim_silo *silo, uint32_t index,
                                         struct xf_diag *diag);
/* Digest of the global vector: BLAKE2b over its little-endian floats (decision 15). @own out */
void sim_model_digest(struct xf_digest *out, const struct sim *sim, const float *global);
/* The base of a silo's task: its wire vector out of the global one. @shape silo->base[n_wire] */
void sim_silo_base(const struct sim *sim, struct sim_silo *silo);
/* Local work of silo->offer (training or evaluation): fills payload and begin. Runs on a worker.
   @thread worker */
void sim_silo_work(struct xf_job *job);
/* The round of the last training update committed (or not): promote or drop the personal state. */
void sim_silo_outcome(struct sim_silo *silo, bool committed);
/* Measures one arm on a part. @shape sum[measures.n] @err those of evaluation */
XF_WARN_UNUSED enum xf_rc sim_silo_measure(struct sim_silo *silo, enum sim_arm arm,
                                           enum xf_part part, struct xf_measure_sum *sum,
                                           struct xf_diag *diag);
/* The `alone` arm: rounds x local work on the silo's own data; leaves its result in silo->next. */
XF_WARN_UNUSED enum xf_rc sim_silo_alone(struct sim_silo *silo, struct xf_diag *diag);
/* Runs coordinator and silos to the end. @err E_STATE (paused: with the reason) and the cores' */
XF_WARN_UNUSED enum xf_rc sim_world_run(struct sim *sim, struct xf_diag *diag);
/* Table of arms to stdout. @err E_IO */
XF_WARN_UNUSED enum xf_rc sim_report(struct sim *sim, bool json, double wall_s,
                                     struct xf_diag *diag);

#endif
