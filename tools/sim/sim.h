/*
 * sim.h - many clients and one coordinator in one process: the daemons' cores on a virtual clock.
 *
 * load.c   plan -> silos (common/silo) and the frozen directory
 * world.c  the event loop that plays shell for both cores; local work runs on worker threads
 * edges.c  the models of domains in a hierarchy
 * export.c the same federation as files for the daemons
 * verdict.c whether a domain is worse off than its strongest baseline
 * cold.c   cold users, with people as clients
 * spread.c figures over clients
 * report.c the arms of each silo, the table, the run directory
 * replay.c a daemons' run again, from its ledger
 * past.c   models that late updates started from; cost.c what a task costs
 * verb.c   the command
 * Not for: a silo's own process (client/io). Thread: the loop is one thread; a client's work runs on a worker
 * while the loop waits for it, never both at once.
 */
#ifndef XF_TOOLS_SIM_SIM_H
#define XF_TOOLS_SIM_SIM_H

#include "base/time.h"
#include "base/worker.h"
#include "plan/plan.h"
#include "plan/view.h"
#include "resolve/global.h"
#include "silo/silo.h"
#include "store/rundir.h"
#include "tensor/blas.h"
#include "json/jsonw.h"

struct xf_coord_action;

struct sim;

struct sim_client {
  struct xf_job job; /* first: the worker pool gives it back */
  char id[XF_PLAN_CLIENT_ID], domain[XF_PLAN_CLIENT_ID];
  struct xf_silo *silo;
  struct xf_member_rows rows; /* of its keys that the directories know */
  float *base;                /* what the task at hand moved down */
  struct xf_silo_task task;
  struct xf_silo_answer answer;
  struct xf_odometer spent;
  enum xf_rc rc;
  struct xf_diag diag;
  atomic_bool cancel;
  bool done; /* the pool has given the job back */
  struct xf_measure_sum sum[XF_N_PART][XF_SILO_N_ARM][XF_RESOLVE_MEASURES];
  bool arm_run[XF_SILO_N_ARM];
  float
      *figure[XF_SILO_N_ARM]; /* [n_users] on test, of the measure that decides; NULL for tables */
  enum xf_silo_arm served;    /* best on validation */
};

struct sim {
  struct xf_plan plan;
  bool others; /* the clients that sim.clients.only leaves out, instead of those it lists */
  struct xf_measures measures;
  struct sim_client *client;
  size_t n_client;
  struct sim_client
      *fresh; /* [n_fresh] sinusoids left out of the federation: measured at the end */
  size_t n_fresh;
  struct xf_spaces spaces;
  struct xf_directory directory[XF_SPACES_MAX];
  struct xf_global global;
  float *x, *next_x; /* [global.n] */
  /* [global.n] of the server optimiser, where a stage keeps it */
  float *state[XF_SERVER_STATES], *next_state[XF_SERVER_STATES];
  struct xf_digest layout_digest, plan_digest;
  struct xf_buf canonical;
  uint32_t threads;
  struct xf_blas_info blas;
  uint64_t bytes_up, bytes_down, rounds, abandoned;
  double time_s;     /* virtual, at the last commit */
  double work_s;     /* that clients have worked, all together: of tasks begun */
  double commit_s;   /* virtual time of the last training commit */
  uint64_t *stale;   /* [max_staleness + 1] updates by staleness; NULL: synchronous */
  char stopped[256]; /* why before the last round; "": at it */
  struct xf_rundir run;
};

/* Loads the plan's data and builds every silo and the first global vector; dataset paths from plan.sim.
   @own out: sim_deinit @err those of data, model and plan */
XF_WARN_UNUSED enum xf_rc sim_init(struct sim *sim, struct xf_diag *diag);
/* Whether this client is to be made. @thread any */
bool sim_wanted(const struct sim *sim, const char *key);
/* Names a client by the plan's pattern and makes its silo; takes data. @err those of xf_silo_new E_CONFIG */
XF_WARN_UNUSED enum xf_rc sim_name_client(const struct sim *sim, struct sim_client *c,
                                          const char *key, struct xf_diag *diag);
XF_WARN_UNUSED enum xf_rc sim_make_silo(struct sim *sim, struct sim_client *c,
                                        struct xf_dataset *data, struct xf_diag *diag);
/* The i-th of the clients, then of the fresh ones. @own sim */
struct sim_client *sim_client_at(const struct sim *sim, size_t i);
/* What a report calls a client: its domain, or its id where domains have several. @own sim */
const char *sim_label(const struct sim *sim, const struct sim_client *c);
/* Generated sinusoids, a client each, and those left out (load_sinusoid.c). @err those of xf_silo_new */
XF_WARN_UNUSED enum xf_rc sim_load_sinusoids(struct sim *sim, struct xf_diag *diag);
/* The plan's answers or speeches dealt to clients (load_seqs.c). @err those of data and xf_silo_new */
XF_WARN_UNUSED enum xf_rc sim_load_sequences(struct sim *sim, struct xf_diag *diag);
/* The same for images (load_images.c). @own sim's clients @err those of resolve/dataset.h */
XF_WARN_UNUSED enum xf_rc sim_load_images(struct sim *sim, struct xf_diag *diag);
/* Releases; idempotent. @own sim */
void sim_deinit(struct sim *sim);
/* model_blake2b of a global vector (decision 15). @own out */
void sim_model_digest(struct xf_digest *out, const struct sim *sim, const float *x);
/* Virtual time of a training task (cost.c); 0 without sim.cost. @unit s */
double sim_cost_s(const struct sim *sim, const struct sim_client *c, uint32_t stage);
/* The staleness of a commit's updates, as counts, to metrics.jsonl. @err E_IO E_NOSPACE */
XF_WARN_UNUSED enum xf_rc sim_report_staleness(struct sim *sim, uint64_t round,
                                               const uint64_t *staleness, size_t n,
                                               struct xf_diag *diag);
/* What a view moves down to a client, out of a global vector x. @shape base[xf_global_view_len] */
void sim_base(const struct sim *sim, const struct sim_client *c, struct xf_global_view view,
              const float *x, float *base);
/* The key of the simulator's pseudonyms, from the plan's seed. @shape key[32] */
void sim_align_key(uint8_t key[XF_SILO_ALIGN_KEY], const struct xf_plan *plan);
/* Writes plan, configs, key and each client's data below `dir`; says what is left to do. @err E_IO E_NOSPACE E_LIMIT */
XF_WARN_UNUSED enum xf_rc sim_export(const struct sim *sim, const char *dir, struct xf_diag *diag);
/* Runs coordinator and silos to the end. @err E_STATE (paused: with the reason) and the cores' */
XF_WARN_UNUSED enum xf_rc sim_world_run(struct sim *sim, struct xf_diag *diag);
/* The committed rounds of a ledger (a file or a state directory) again, instead of sim_world_run: the same models, or an error at
   the first that differs. @err E_CONFIG (another plan, other clients) E_CONFLICT E_UNSUPPORTED (noise) and those of ledger and silos */
XF_WARN_UNUSED enum xf_rc sim_replay(struct sim *sim, const char *path, struct xf_diag *diag);
/* What the participants' accepted payloads make of a vector x after `commits` commits (fold.c).
   @shape accepted[n_client], x[global.n] @own sim->next_x, sim->next_state @err those of xf_stagefold_run */
XF_WARN_UNUSED enum xf_rc sim_fold(struct sim *sim, const struct xf_coord_action *a, const float *x,
                                   uint32_t commits, const struct xf_buf *accepted,
                                   struct xf_diag *diag);
/* Appends an evaluation's sums to metrics.jsonl, per domain and global. @err E_IO E_NOSPACE */
XF_WARN_UNUSED enum xf_rc sim_report_round(struct sim *sim, uint64_t round,
                                           const struct xf_buf *payload, const uint32_t *who,
                                           size_t n, struct xf_diag *diag);
/* What early_stop judges of an evaluation's reports (resolve/stop.h). @err E_FORMAT E_NOMEM */
XF_WARN_UNUSED enum xf_rc sim_stop_figure(const struct sim *sim, const struct xf_buf *payload,
                                          const uint32_t *who, size_t n, double *figure,
                                          struct xf_diag *diag);
/* Which domains lose, by paired test figures (rec/paired.h); as a member "verdict" of an open JSON object, or as text.
   @err E_NOMEM */
XF_WARN_UNUSED enum xf_rc sim_verdict(const struct sim *sim, struct xf_jsonw *json,
                                      struct xf_diag *diag);
/* The member "spread" of an open JSON object: per arm and split, each figure's mean, deviation and worst and best tenth over clients.
   @own json */
void sim_spread(const struct sim *sim, struct xf_jsonw *json);
/* Makes and measures the arms of every client; then the table or JSON on stdout and summary.json.
   @err E_IO and the silos' */
XF_WARN_UNUSED enum xf_rc sim_report(struct sim *sim, bool json, struct xf_time from,
                                     struct xf_diag *diag);
/* A plan with statistic.of map, where the people of both domains are the clients: loads, sums once, ranks the cold users, prints
   and leaves summary.json. Needs nothing of sim_init. @err E_UNSUPPORTED (metrics, arms) and those of data, rec and store */
XF_WARN_UNUSED enum xf_rc sim_cold(struct sim *sim, bool json, struct xf_time from,
                                   struct xf_diag *diag);

#endif
