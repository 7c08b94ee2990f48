/*
 * ledger.h - the coordinator's memory of a run: SQLite in WAL mode with synchronous=FULL.
 *
 * Every function below (but open, close, begin, rollback) must run inside a transaction: begin, any number
 * of them, commit. What a commit returned OK for survives power loss; only then acknowledge (group commit:
 * several acceptances, one commit). Each function is all or nothing by itself, writes its row in the hash-
 * chained `event` table with it, and refuses what the invariants I1-I4 forbid, so that a mistake of the
 * caller cannot enter the ledger. E_IO from commit is fatal: stop, restart, recover; never retry.
 * Reading, recovery and `crossfed rounds`: ledger_read.h. Schema: docs/FORMATS.md.
 * Not for: wire messages, deadlines, decisions (server/core). Texts in `metrics` are JSON, opaque here.
 * Owner: caller of open. Thread: one at a time. Times are wall-clock microseconds, for display only.
 */
#ifndef XF_STORE_LEDGER_H
#define XF_STORE_LEDGER_H

#include "base/diag.h"
#include "base/digest.h"
#include "store/charge.h"

#include <stddef.h>
#include <stdint.h>

struct xf_ledger;

enum { XF_LEDGER_SCHEMA = 1, XF_LEDGER_ID_MAX = 64, XF_LEDGER_TEXT_MAX = 512 };
/* Refused updates of a member that get a row of their own in a run; what comes on top is only counted. */
enum { XF_LEDGER_REFUSALS_MAX = 1024 };
#define XF_LEDGER_WEIGHT_MAX ((uint64_t)1 << 29) /* exclusive (decision 1) */

/* X(NAME, text) */
#define XF_LEDGER_RUN_LIST(X) \
  X(RUNNING, "running")       \
  X(PAUSED, "paused")         \
  X(DRAINING, "draining")     \
  X(DONE, "done")             \
  X(REPLACED, "replaced")
#define XF_LEDGER_KIND_LIST(X) \
  X(TRAIN, "train")            \
  X(EVALUATE, "evaluate")
#define XF_LEDGER_ROUND_LIST(X) \
  X(OPEN, "open")               \
  X(CLOSING, "closing")         \
  X(COMMITTING, "committing")   \
  X(COMMITTED, "committed")     \
  X(ABANDONED, "abandoned")
#define XF_LEDGER_REFUSAL_LIST(X) \
  X(LATE, "late")                 \
  X(STALE, "stale")               \
  X(CONFLICT, "conflict")         \
  X(REJECTED, "rejected")

#define XF_LEDGER_ENUM(n, t) XF_LEDGER_RUN_##n,
enum xf_ledger_run_state { XF_LEDGER_RUN_LIST(XF_LEDGER_ENUM) };
#undef XF_LEDGER_ENUM
#define XF_LEDGER_ENUM(n, t) XF_LEDGER_KIND_##n,
enum xf_ledger_kind { XF_LEDGER_KIND_LIST(XF_LEDGER_ENUM) };
#undef XF_LEDGER_ENUM
#define XF_LEDGER_ENUM(n, t) XF_LEDGER_ROUND_##n,
enum xf_ledger_round_state { XF_LEDGER_ROUND_LIST(XF_LEDGER_ENUM) };
#undef XF_LEDGER_ENUM
#define XF_LEDGER_ENUM(n, t) XF_LEDGER_REFUSAL_##n,
enum xf_ledger_refusal { XF_LEDGER_REFUSAL_LIST(XF_LEDGER_ENUM) };
#undef XF_LEDGER_ENUM

/* Text of a value; "?" for a foreign number. @own static */
const char *xf_ledger_run_state_name(enum xf_ledger_run_state v);
const char *xf_ledger_kind_name(enum xf_ledger_kind v);
const char *xf_ledger_round_state_name(enum xf_ledger_round_state v);
const char *xf_ledger_refusal_name(enum xf_ledger_refusal v);

/* --- opening ------------------------------------------------------------------------------------ */

enum xf_ledger_mode { XF_LEDGER_WRITE, XF_LEDGER_READ };

/* Opens; WRITE creates (mode 0640, its directory must exist), migrates (after a backup copy
   "<path>.v<N>.bak") and runs an integrity check. READ works beside a running daemon and after it.
   `vfs` names an SQLite VFS (sqlite_vfs.h); NULL: the operating system's.
   @own caller: xf_ledger_close @err E_NOTFOUND E_CORRUPT E_VERSION (newer schema; the program exits with
   XF_EXIT_STATE) E_LOCKED E_IO */
XF_WARN_UNUSED enum xf_rc xf_ledger_open(struct xf_ledger **out, const char *path,
                                         enum xf_ledger_mode mode, const char *vfs,
                                         struct xf_diag *diag);
/* Rolls back an open transaction and closes; NULL is legal. @own takes l */
void xf_ledger_close(struct xf_ledger *l);

/* `now_us` stamps all rows of the transaction. @unit us of wall clock @err E_STATE E_LOCKED E_IO */
XF_WARN_UNUSED enum xf_rc xf_ledger_begin(struct xf_ledger *l, int64_t now_us,
                                          struct xf_diag *diag);
/* Durable on OK. @err E_IO E_NOSPACE (nothing of it happened; the transaction is gone) */
XF_WARN_UNUSED enum xf_rc xf_ledger_commit(struct xf_ledger *l, struct xf_diag *diag);
/* Forgets the transaction; legal without one. @thread owner */
void xf_ledger_rollback(struct xf_ledger *l);
/* Bytes of the write-ahead log, for status. @unit bytes */
uint64_t xf_ledger_wal_bytes(const struct xf_ledger *l);

/* --- the run ------------------------------------------------------------------------------------ */

struct xf_ledger_run {
  char run[XF_LEDGER_ID_MAX];
  char federation[XF_LEDGER_ID_MAX];
  char name[XF_LEDGER_ID_MAX]; /* the plan's */
  struct xf_digest plan;       /* plan digest */
  struct xf_digest layout;     /* layout digest */
  uint64_t seed;
};

/* Starts a new run; a former one becomes `replaced` (its open round abandoned). `plan_bytes` is the
   canonical plan, kept for verification. @err E_EXISTS (run id) */
XF_WARN_UNUSED enum xf_rc xf_ledger_run_create(struct xf_ledger *l, const struct xf_ledger_run *run,
                                               const void *plan_bytes, size_t plan_len,
                                               struct xf_diag *diag);
/* Each start of the daemon on the current run, the first included: epoch += 1 (monotone over runs).
   `software` is the version string. @err E_NOTFOUND E_CONFLICT (the run has another plan digest) */
XF_WARN_UNUSED enum xf_rc xf_ledger_run_open(struct xf_ledger *l, const struct xf_digest *plan,
                                             const char *software, uint64_t *epoch,
                                             struct xf_diag *diag);
/* Pause, resume, drain or done, with its reason (may be ""). DONE is final. @err E_STATE */
XF_WARN_UNUSED enum xf_rc xf_ledger_run_set(struct xf_ledger *l, enum xf_ledger_run_state state,
                                            const char *reason, struct xf_diag *diag);

/* --- members, manifests, directory -------------------------------------------------------------- */

/* A listed member of the current run; an event when it is new or changed. @err E_INVAL */
XF_WARN_UNUSED enum xf_rc xf_ledger_member_put(struct xf_ledger *l, const char *member,
                                               const char *domain, uint64_t max_weight,
                                               struct xf_diag *diag);
/* A connection was admitted or ended ("member_joined", "member_left"), for the record; `at_us` is when.
   @unit us of wall clock @err E_NOTFOUND */
XF_WARN_UNUSED enum xf_rc xf_ledger_member_seen(struct xf_ledger *l, const char *member,
                                                bool joined, int64_t at_us, const char *reason,
                                                struct xf_diag *diag);
/* Sorted keys (16 bytes each) of a member in a namespace; the same again is OK.
   @shape keys[n * 16] @err E_STATE (frozen) E_CONFLICT (other keys after they were given) E_NOTFOUND */
XF_WARN_UNUSED enum xf_rc xf_ledger_manifest_put(struct xf_ledger *l, const char *member,
                                                 const char *ns, const void *keys, size_t n,
                                                 const struct xf_digest *digest,
                                                 struct xf_diag *diag);
/* Freezes the union of a namespace. @err E_CONFLICT (frozen with another digest) */
XF_WARN_UNUSED enum xf_rc xf_ledger_directory_freeze(struct xf_ledger *l, const char *ns,
                                                     const struct xf_digest *digest, uint64_t n,
                                                     struct xf_diag *diag);

/* --- rounds ------------------------------------------------------------------------------------- */

struct xf_ledger_task {
  char member[XF_LEDGER_ID_MAX];
  struct xf_digest task_id;
};

struct xf_ledger_opening {
  uint64_t round; /* one more than the last */
  enum xf_ledger_kind kind;
  uint32_t stage;
  struct xf_digest base; /* model_blake2b of the base model */
  const struct xf_ledger_task *task;
  size_t n_task;
};

/* The SELECTING row: cohort and task ids. @err E_STATE (another round is open, run not running, round not
   the next) E_CONFLICT (base is not the last model) E_NOTFOUND (member) E_INVAL */
XF_WARN_UNUSED enum xf_rc xf_ledger_round_open(struct xf_ledger *l,
                                               const struct xf_ledger_opening *round,
                                               struct xf_diag *diag);

struct xf_ledger_update {
  struct xf_digest task_id;
  uint64_t round;
  char member[XF_LEDGER_ID_MAX];
  struct xf_digest update;  /* update_digest */
  struct xf_digest payload; /* SHA-256 */
  uint64_t weight;          /* < XF_LEDGER_WEIGHT_MAX */
  uint64_t n_samples;
  uint64_t bytes;    /* payload length */
  const char *spool; /* file name in the spool, "" for none */
  const char *metrics;
  bool
      outlived; /* asynchronous rounds: its task may be of an earlier round than the one that takes it */
  struct xf_charge charge;
};

/* Accepts an update of the open round (or the report of an evaluation round).
   @err E_EXISTS (the very same is there: answer DUPLICATE_OK) E_CONFLICT (another digest for the task)
   E_LATE (round not open) E_NOTFOUND (no such task) E_RANGE */
XF_WARN_UNUSED enum xf_rc xf_ledger_update_accept(struct xf_ledger *l,
                                                  const struct xf_ledger_update *u,
                                                  struct xf_diag *diag);
/* Records an answer that settles an update without accepting it; `code` says why ("NAN", "SHAPE", ...).
   An event for the first of its kind (task, digest, refusal, code), a count for repetitions. A declared
   noised charge counts for I6. Unknown tasks are legal. Beyond XF_LEDGER_REFUSALS_MAX rows of a member one row
   per kind of refusal (code "MORE", round 0) counts the rest, without their charges: a silo that sends refused
   updates without end must not fill the disk. @err E_INVAL */
XF_WARN_UNUSED enum xf_rc xf_ledger_update_refuse(struct xf_ledger *l,
                                                  const struct xf_ledger_update *u,
                                                  enum xf_ledger_refusal refusal, const char *code,
                                                  struct xf_diag *diag);
/* An unsolicited "no" to a task ("policy", "busy", ...) as event and in the task's row. @err E_NOTFOUND */
XF_WARN_UNUSED enum xf_rc xf_ledger_task_decline(struct xf_ledger *l,
                                                 const struct xf_digest *task_id, const char *code,
                                                 const char *text, struct xf_diag *diag);

struct xf_ledger_part {
  char member[XF_LEDGER_ID_MAX];
  uint64_t weight;
};

/* Freezes the participants: accepted members of this round in bytewise order, with the weights that the
   aggregation uses. @err E_STATE E_INVAL (order, or not accepted) */
XF_WARN_UNUSED enum xf_rc xf_ledger_round_closing(struct xf_ledger *l, uint64_t round,
                                                  const struct xf_ledger_part *part, size_t n_part,
                                                  struct xf_diag *diag);
/* The computed model digest, before the checkpoint's rename. Repeating it with the same digest is OK.
   @err E_STATE E_CONFLICT (recomputed to another digest: determinism is broken) */
XF_WARN_UNUSED enum xf_rc xf_ledger_round_committing(struct xf_ledger *l, uint64_t round,
                                                     const struct xf_digest *model,
                                                     struct xf_diag *diag);

struct xf_ledger_checkpoint {
  uint64_t round; /* 0: before the first */
  struct xf_digest model;
  struct xf_digest parent;
  struct xf_digest sha256;
  char path[XF_LEDGER_TEXT_MAX]; /* relative to the state directory */
  uint64_t bytes;
};

/* The commit point. A train round (COMMITTING, same model digest) brings its checkpoint; an evaluation
   round (CLOSING) has checkpoint NULL. `metrics` is the round's JSON. @err E_STATE E_CONFLICT */
XF_WARN_UNUSED enum xf_rc xf_ledger_round_commit(struct xf_ledger *l, uint64_t round,
                                                 const struct xf_ledger_checkpoint *checkpoint,
                                                 const char *metrics, struct xf_diag *diag);
/* Model 0. @err E_EXISTS (another one) */
XF_WARN_UNUSED enum xf_rc xf_ledger_checkpoint_first(struct xf_ledger *l,
                                                     const struct xf_ledger_checkpoint *checkpoint,
                                                     struct xf_diag *diag);
/* @err E_STATE (committed, or no such round) */
XF_WARN_UNUSED enum xf_rc xf_ledger_round_abandon(struct xf_ledger *l, uint64_t round,
                                                  const char *reason, struct xf_diag *diag);
/* A checkpoint file was removed on purpose (pruning): verify no longer expects it. The newest is refused.
   @err E_STATE E_NOTFOUND */
XF_WARN_UNUSED enum xf_rc xf_ledger_checkpoint_prune(struct xf_ledger *l, uint64_t round,
                                                     struct xf_diag *diag);
/* Any other decision that must be on the record; `body` is a JSON object. @err E_INVAL */
XF_WARN_UNUSED enum xf_rc xf_ledger_event(struct xf_ledger *l, const char *kind, const char *member,
                                          const char *body, struct xf_diag *diag);

#endif
