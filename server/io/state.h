/*
 * state.h - the coordinator's state directory in use: lock, ledger, spool, models, directory of aligned rows. No socket,
 * no loop, no core: what can be tested on a temporary directory.
 *
 * One file per concern: state.c opens and closes, recover.c rebuilds, align.c keeps manifests and the directory, model.c
 * the checkpoints, aggregate.c folds a round, metrics.c writes what people read, persist.c turns the core's records into
 * ledger rows. Owner: the caller embeds the struct. Thread: the loop's; srv_agg_run and srv_publish_run on a worker.
 */
#ifndef XF_SERVER_IO_STATE_H
#define XF_SERVER_IO_STATE_H

#include "base/worker.h"
#include "fed/drift.h"
#include "param/manifest.h"
#include "plan/plan.h"
#include "resolve/global.h"
#include "resolve/resolve.h"
#include "resolve/stagefold.h"
#include "server/io/config.h"
#include "store/checkpoint.h"
#include "store/ledger_read.h"
#include "store/lock.h"
#include "store/rundir.h"
#include "store/spool.h"
#include "store/state.h"
#include "wire/codec.h"
#include "json/json.h"
#include "json/jsonw.h"

/* When it came or went, until the ledger has it. A member is written at most once in SRV_SEEN_S seconds, and
   when the daemon stops: who reconnects without end must not fill the ledger. */
enum { SRV_SEEN_S = 60 };
struct srv_seen {
  bool waits, joined;
  int64_t at_us, written_us; /* wall clock */
  char reason[96];           /* why it left */
};

/* A member's keys of one namespace. */
struct srv_keys {
  struct xf_manifest manifest;
  uint32_t *holders;      /* [manifest.n] of each key; 0: not in the directory */
  struct xf_buf arriving; /* bytes of keys */
  uint64_t total;         /* keys announced */
  bool whole;             /* all of them have come, and wait for the other namespace's */
};

struct srv_member {
  struct srv_seen seen;
  bool aligned; /* its keys are known (always, for a plan without alignment) */
  bool
      late; /* announced after the freeze: takes part without rows, or only reads a recommender's */
  struct srv_keys keys[XF_SPACES_MAX];
  struct xf_member_rows rows; /* those of its keys that the frozen directories know */
};

/* A model computed and not yet committed. */
struct srv_next {
  uint64_t round;
  float *global,
      *state[XF_SERVER_STATES]; /* [n], xf_try_pages: given back to the system once published */
  uint64_t n;
  struct xf_checkpoint_saved saved;
  struct xf_digest model;
  char path[XF_STATE_CKPT_NAME];
  char *metrics; /* JSON of the round, also of an evaluation */
};

/* Of the last committed training round whose updates are vectors (fed/drift.h). */
struct srv_drift {
  bool set;
  uint64_t round;
  struct xf_drift d;
  uint64_t n_uncounted; /* silos that sent no change of their control variates */
};

#define SRV_OLD_DIR "old"

struct srv_state {
  struct srv_config *cfg; /* borrowed */
  const struct xf_fs *fs;
  struct xf_plan plan;
  struct xf_buf canonical;
  struct xf_digest plan_digest, layout_digest;
  struct xf_measures measures;
  struct xf_spaces spaces; /* that the plan aligns */
  uint32_t n;
  struct srv_member *m; /* [n], in the order of cfg->members */

  struct xf_lock lock;
  struct xf_ledger *ledger;
  struct xf_spool spool;
  struct xf_rundir rundir;
  char run_id[XF_LEDGER_ID_MAX];
  uint64_t epoch, committed;
  int64_t created_us;

  bool frozen;
  struct xf_directory directory[XF_SPACES_MAX];
  struct xf_digest directory_digest[XF_SPACES_MAX];
  bool has_global;
  struct xf_global global;

  bool has_model;
  struct xf_checkpoint model; /* open: what is served */
  char model_path[XF_PATH_MAX];
  uint64_t model_round;
  struct xf_digest model_digest;
  bool has_past;
  struct xf_checkpoint past; /* an older one that a task starts from (fed.async) */
  struct srv_next next;
  struct srv_drift drift;
};

/* --- state.c --- */
/* Loads and checks the plan and everything that follows from it. Opens no state. */
XF_WARN_UNUSED enum xf_rc srv_state_init(struct srv_state *st, struct srv_config *cfg,
                                         struct xf_diag *diag);
/* --check-config on a state directory that may be in use: reads, touches nothing. */
XF_WARN_UNUSED enum xf_rc srv_state_check(struct srv_state *st, struct xf_diag *diag);
/* Takes the lock and opens everything; a fresh directory gets its run and, where nothing is aligned, model 0.
   E_CONFIG when the run was made with another plan or federation. */
XF_WARN_UNUSED enum xf_rc srv_state_open(struct srv_state *st, bool new_run, struct xf_diag *diag);
/* Releases everything; idempotent, legal after a failed open. */
void srv_state_close(struct srv_state *st);
bool srv_state_async(const struct srv_state *st);                      /* fed.async */
uint32_t srv_state_member(const struct srv_state *st, const char *id); /* UINT32_MAX: none */
/* "<state_dir>/<name>" */
XF_WARN_UNUSED enum xf_rc srv_state_path(const struct srv_state *st, char out[XF_PATH_MAX],
                                         const char *name, struct xf_diag *diag);

/* --- align.c --- */
/* Manifests and, when they were frozen, the directories from the ledger. */
XF_WARN_UNUSED enum xf_rc srv_align_load(struct srv_state *st, struct xf_diag *diag);
/* One Manifest message. *complete: the member's keys of all namespaces are here and stored. An error is the sentence for the
   silo. */
XF_WARN_UNUSED enum xf_rc srv_align_take(struct srv_state *st, uint32_t member,
                                         const struct xf_msg_manifest *msg, bool *complete,
                                         struct xf_diag *diag);
/* Forgets a half-received manifest (its connection is gone). */
void srv_align_drop(struct srv_state *st, uint32_t member);
/* Freezes the unions of what is there, makes model 0, stores all. */
XF_WARN_UNUSED enum xf_rc srv_align_freeze(struct srv_state *st, struct xf_diag *diag);
/* Part `at` of a member's directory of one namespace into msg (holders in buf); returns the keys it covers. */
size_t srv_align_part(const struct srv_state *st, uint32_t member, uint32_t space, uint64_t at,
                      struct xf_msg *msg, uint8_t *buf, size_t cap);
/* Keys that a member announced, over all namespaces. */
uint64_t srv_align_keys(const struct srv_state *st, uint32_t member);

/* --- model.c --- */
/* Global shape; and model 0 (file and ledger row), when the run has none: inside an open ledger transaction. */
XF_WARN_UNUSED enum xf_rc srv_model_first(struct srv_state *st, struct xf_diag *diag);
/* Model 0 anew: its file, and what its row says. */
XF_WARN_UNUSED enum xf_rc srv_model_zero(struct srv_state *st, struct xf_ledger_checkpoint *out,
                                         struct xf_diag *diag);
/* Moves a file of the state directory to old/, never deletes it. */
XF_WARN_UNUSED enum xf_rc srv_model_set_aside(struct srv_state *st, const char *name,
                                              struct xf_diag *diag);
/* Opens a checkpoint as the one that is served. */
XF_WARN_UNUSED enum xf_rc srv_model_open(struct srv_state *st, const struct xf_ledger_checkpoint *c,
                                         struct xf_diag *diag);
/* What a member's tasks move. */
struct xf_plan_lens srv_model_lens(const struct srv_state *st, uint32_t member);
/* Bytes [at, at+len) of what a member's view moves down of the model `base`, which is the newest or (fed.async) one that is still
   kept. len <= XF_CHUNK_MAX. */
XF_WARN_UNUSED enum xf_rc srv_model_read(struct srv_state *st, uint32_t member,
                                         const struct xf_digest *base, struct xf_global_view view,
                                         uint64_t at, uint8_t *out, size_t len,
                                         struct xf_diag *diag);
void srv_model_close_past(struct srv_state *st); /* idempotent */
/* The committed round's model becomes the one that is served. */
XF_WARN_UNUSED enum xf_rc srv_model_adopt(struct srv_state *st, struct xf_diag *diag);
/* Spool of decided rounds and old checkpoints go. */
XF_WARN_UNUSED enum xf_rc srv_model_collect(struct srv_state *st, struct xf_diag *diag);
/* Disk space that a round may take. */
XF_WARN_UNUSED enum xf_rc srv_model_reserve(struct srv_state *st, enum xf_task_kind kind,
                                            struct xf_diag *diag);
/* Files of ckpt/ that no ledger row names are moved to old/. */
XF_WARN_UNUSED enum xf_rc srv_model_strays(struct srv_state *st, struct xf_diag *diag);
void srv_next_drop(struct srv_state *st);

/* Writes st->next as its round's checkpoint file, durably. */
XF_WARN_UNUSED enum xf_rc srv_publish_run(struct srv_state *st, struct xf_diag *diag);

/* --- metrics.c --- */
struct srv_sums; /* evaluation sums by scope, arm, split and name */
struct srv_sums *srv_sums_new(const struct srv_state *st);
void srv_sums_free(struct srv_sums *sums);
/* Adds one member's figures to its own, its domain's and the global scope. */
void srv_sums_add(struct srv_sums *sums, uint32_t member, const struct xf_eval_metric *metric,
                  size_t n);
/* {"v":1,"drift":{...}|null,"lines":[{"scope","arm","split","values":{name:[sum,count]}}]} */
XF_WARN_UNUSED enum xf_rc srv_sums_print(struct xf_buf *out, const struct srv_sums *sums,
                                         const struct srv_drift *drift);
/* What early_stop judges of an evaluation's metrics; NAN: nothing. */
XF_WARN_UNUSED enum xf_rc srv_metrics_stop(const struct srv_state *st, const char *json,
                                           double *figure, struct xf_diag *diag);
/* Appends a committed round's lines to metrics.jsonl. */
XF_WARN_UNUSED enum xf_rc srv_metrics_write(struct srv_state *st, uint64_t round, uint64_t commits,
                                            const char *json, struct xf_diag *diag);
/* metrics.jsonl anew from the ledger, plan.resolved.yaml. */
XF_WARN_UNUSED enum xf_rc srv_metrics_replay(struct srv_state *st, struct xf_diag *diag);
/* summary.json and model.safetensors of a run that is done. */
XF_WARN_UNUSED enum xf_rc srv_metrics_summary(struct srv_state *st, uint64_t bytes_down,
                                              struct xf_diag *diag);

/* --- drift.c --- */
void srv_drift_object(struct xf_jsonw *w, const struct srv_drift *d);
/* The key "drift" and its object, or null. */
void srv_drift_put(struct xf_jsonw *w, const struct srv_drift *d);
/* From a round's metrics; without the key *out stays. */
void srv_drift_read(struct srv_drift *out, const struct xf_json_value *metrics);

/* --- old.c --- */
/* Removes all but the checkpoint.keep_old newest models that were set aside. @err E_IO */
XF_WARN_UNUSED enum xf_rc srv_old_prune(struct srv_state *st, struct xf_diag *diag);

/* --- persist.c --- */
/* A record that outlives the core's feed. */
struct srv_record {
  struct xf_coord_record r;
  uint64_t token;
  struct xf_msg_update_begin update;
  enum xf_rc rc; /* of its row */
};
void srv_record_copy(struct srv_record *out, const struct xf_coord_record *r, uint64_t token);
void srv_record_deinit(struct srv_record *rec);
/* What an update says of its cost, and of its loss as JSON ("" without), as spool and ledger keep it. */
struct xf_charge srv_upload_charge(const struct xf_msg_update_begin *u);
XF_WARN_UNUSED enum xf_rc srv_upload_meta(struct xf_buf *out, const struct xf_msg_update_begin *u,
                                          double seconds);
/* A silo was admitted, or left for `reason`: with the next transaction, or one of its own when it is due. */
void srv_seen_set(struct srv_state *st, uint32_t member, bool joined, int64_t now_us,
                  const char *reason);
/* Whether a member waits that may be written now. */
bool srv_seen_due(const struct srv_state *st, int64_t now_us);
/* Who waits for the ledger, however short ago it was written before; to be called when the daemon stops. */
XF_WARN_UNUSED enum xf_rc srv_seen_flush(struct srv_state *st, struct xf_diag *diag);
/* All records in one transaction, and who came and went. OK: everything without its own rc is durable. */
XF_WARN_UNUSED enum xf_rc srv_persist_commit(struct srv_state *st, struct srv_record *rec, size_t n,
                                             struct xf_diag *diag);

/* --- heal.c --- */
/* Opens the newest model. A damaged or missing one is computed again - from the plan, or from its parent and the spool
   that was kept - and must give the same digest; the damaged file goes to old/. E_CORRUPT when that is not possible. */
XF_WARN_UNUSED enum xf_rc srv_heal_open(struct srv_state *st,
                                        const struct xf_ledger_checkpoint *newest,
                                        struct xf_diag *diag);

struct srv_recovery {
  struct xf_coord_recovery r;
  uint32_t *cohort, *participant;
  struct xf_coord_accepted *accepted;
  uint64_t *counted;
  struct xf_coord_held *held;
  struct xf_coord_final *final;
  struct xf_coord_history *history;
  size_t cap_history;
};
/* --- history.c --- */
/* What an accepted update says, from its row. @own caller's */
struct xf_coord_figures srv_figures_of(const struct xf_ledger_stored *s);
/* One more participant of the training round that came after `commit` commits, if its stage remembers. @own out */
void srv_history_add(struct srv_recovery *out, const struct srv_state *st, uint64_t commit,
                     uint32_t member, const struct xf_ledger_stored *s);
/* --- recover.c --- */
/* What the core is told at start; adopts or deletes spool files without a row, opens the newest model. */
XF_WARN_UNUSED enum xf_rc srv_recover(struct srv_state *st, struct srv_recovery *out,
                                      struct xf_diag *diag);
void srv_recovery_deinit(struct srv_recovery *r);

#endif
