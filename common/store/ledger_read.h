/*
 * ledger_read.h - what the ledger says: recovery at start, and the rows for status, rounds and verify.
 *
 * All of it works on a ledger opened for reading, in every state of the run, beside a running daemon, and
 * (the daemon) inside or outside a transaction. Without a run: E_NOTFOUND.
 * Owner: the caller; strings passed to callbacks are valid during the call. Thread: that of the ledger.
 */
#ifndef XF_STORE_LEDGER_READ_H
#define XF_STORE_LEDGER_READ_H

#include "base/buf.h"
#include "param/manifest.h"
#include "store/ledger.h"

/* A callback that returns non-zero stops the walk, which returns that code. */

struct xf_ledger_status {
  struct xf_ledger_run run;
  enum xf_ledger_run_state state;
  char reason[XF_LEDGER_TEXT_MAX];
  uint64_t epoch;
  int64_t created_us;
  uint64_t n_members;
  uint64_t rounds;         /* attempts: the highest round number */
  uint64_t commits;        /* train rounds committed */
  uint64_t evaluations;    /* evaluation rounds committed */
  uint64_t abandoned;      /* rounds abandoned */
  uint64_t abandoned_tail; /* train rounds abandoned since the last train commit */
  uint64_t last_commit;    /* round number of the last commit of any kind; 0: none */
  int64_t last_commit_us;
  uint64_t accepted, refused; /* updates of the run */
  uint64_t bytes_up;          /* payload bytes accepted */
  uint64_t events;
};

/* @err E_NOTFOUND (no run yet) E_CORRUPT E_IO */
XF_WARN_UNUSED enum xf_rc xf_ledger_status(struct xf_ledger *l, struct xf_ledger_status *out,
                                           struct xf_diag *diag);
/* The canonical plan of the current run, appended. @err E_NOTFOUND E_LIMIT */
XF_WARN_UNUSED enum xf_rc xf_ledger_plan(struct xf_ledger *l, struct xf_buf *out,
                                         struct xf_diag *diag);

/* An accepted update as stored. */
struct xf_ledger_stored {
  struct xf_ledger_update u; /* u.spool and u.metrics point to `spool` and `metrics` */
  char spool[128];
  char *metrics;
  bool frozen;       /* in the participant list */
  uint64_t weight;   /* that the aggregation uses; u.weight is the silo's */
  int64_t stored_us; /* when */
};

struct xf_ledger_recovery {
  struct xf_ledger_status status;
  bool has_checkpoint;
  struct xf_ledger_checkpoint checkpoint; /* the newest committed model */
  uint64_t stage_commits[64];             /* train commits per stage */
  /* The round that was open at the crash, if any. */
  bool has_open;
  uint64_t round;
  enum xf_ledger_kind kind;
  enum xf_ledger_round_state state; /* OPEN, CLOSING or COMMITTING */
  uint32_t stage;
  struct xf_digest base;
  struct xf_digest computed; /* COMMITTING: model digest recorded before the rename */
  struct xf_ledger_task *task;
  size_t n_task;
  struct xf_ledger_stored *update; /* accepted, in member order */
  size_t n_update;
};

/* Everything a coordinator needs to go on. @own out: xf_ledger_recovery_deinit
   @err E_NOTFOUND (no run yet) E_CORRUPT E_NOMEM E_IO */
XF_WARN_UNUSED enum xf_rc xf_ledger_recover(struct xf_ledger *l, struct xf_ledger_recovery *out,
                                            struct xf_diag *diag);
/* Releases; idempotent. @own r */
void xf_ledger_recovery_deinit(struct xf_ledger_recovery *r);

/* What became of a member's update: of one task, or (task_id NULL) of its newest accepted one whose round is
   decided, which then goes to *out_task. @err E_NOTFOUND (none), E_STATE (its round is not decided) */
XF_WARN_UNUSED enum xf_rc xf_ledger_outcome(struct xf_ledger *l, const char *member,
                                            const struct xf_digest *task_id,
                                            struct xf_digest *out_task, bool *committed,
                                            struct xf_diag *diag);
/* The accepted update of a task, to answer a repetition. @own out->metrics: xf_ledger_stored_deinit
   @err E_NOTFOUND */
XF_WARN_UNUSED enum xf_rc xf_ledger_update_get(struct xf_ledger *l, const struct xf_digest *task_id,
                                               struct xf_ledger_stored *out, struct xf_diag *diag);
/* Releases; idempotent. @own s */
void xf_ledger_stored_deinit(struct xf_ledger_stored *s);

struct xf_ledger_round {
  uint64_t round;
  enum xf_ledger_kind kind;
  enum xf_ledger_round_state state;
  uint32_t stage;
  struct xf_digest base, model; /* model: committed or computed; zero before */
  uint64_t cohort, accepted, refused, participants;
  uint64_t bytes_up;
  int64_t opened_us, closed_us, ended_us; /* 0: not yet */
  const char *reason;                     /* of an abandonment, else "" */
  const char *metrics;                    /* JSON, or "" */
};
typedef enum xf_rc (*xf_ledger_on_round)(void *arg, const struct xf_ledger_round *round);
/* Rounds from..to of the current run, ascending. */
/* @err E_NOTFOUND E_IO, or the callback's */
XF_WARN_UNUSED enum xf_rc xf_ledger_rounds(struct xf_ledger *l, uint64_t from, uint64_t to,
                                           xf_ledger_on_round fn, void *arg, struct xf_diag *diag);

typedef enum xf_rc (*xf_ledger_on_update)(void *arg, const struct xf_ledger_stored *update);
/* Accepted updates of a round in member order. @err E_NOTFOUND E_IO, or the callback's */
XF_WARN_UNUSED enum xf_rc xf_ledger_updates(struct xf_ledger *l, uint64_t round,
                                            xf_ledger_on_update fn, void *arg,
                                            struct xf_diag *diag);

struct xf_ledger_given { /* a task as it was given */
  const char *member;
  uint64_t round;
  struct xf_digest base; /* that round's */
  bool declined;
  uint64_t taken; /* the round that took its update; 0: none */
};
typedef enum xf_rc (*xf_ledger_on_given)(void *arg, const struct xf_ledger_given *given);
/* Tasks of training rounds, by round and member. @err E_NOTFOUND E_IO, or the callback's */
XF_WARN_UNUSED enum xf_rc xf_ledger_tasks(struct xf_ledger *l, xf_ledger_on_given fn, void *arg,
                                          struct xf_diag *diag);

struct xf_ledger_member {
  const char *member, *domain;
  uint64_t max_weight;
  uint64_t tasks, accepted, committed, refused; /* of the current run */
  uint64_t noised;                              /* releases it declared as noised */
  double epsilon, epsilon_zero_out;             /* largest it declared */
  int64_t first_seen_us, last_seen_us;          /* 0: never */
};
typedef enum xf_rc (*xf_ledger_on_member)(void *arg, const struct xf_ledger_member *member);
/* Members in bytewise order. @err E_NOTFOUND E_IO, or the callback's */
XF_WARN_UNUSED enum xf_rc xf_ledger_members(struct xf_ledger *l, xf_ledger_on_member fn, void *arg,
                                            struct xf_diag *diag);

/* Members of the current run that were listed when a round opened, former ones too; 0 without such a round. @err E_NOTFOUND E_IO */
XF_WARN_UNUSED enum xf_rc xf_ledger_listed(struct xf_ledger *l, uint64_t round, uint64_t *n,
                                           struct xf_diag *diag);

typedef enum xf_rc (*xf_ledger_on_checkpoint)(void *arg, const struct xf_ledger_checkpoint *c,
                                              bool pruned);
/* Checkpoints by round, ascending. @err E_NOTFOUND E_IO, or the callback's */
XF_WARN_UNUSED enum xf_rc xf_ledger_checkpoints(struct xf_ledger *l, xf_ledger_on_checkpoint fn,
                                                void *arg, struct xf_diag *diag);

struct xf_ledger_entry { /* of the event chain */
  uint64_t seq;
  int64_t at_us;
  const char *run, *kind, *member; /* member "" when none */
  uint64_t round;                  /* 0 when none */
  const char *body;                /* JSON */
  struct xf_digest hash;
};
typedef enum xf_rc (*xf_ledger_on_event)(void *arg, const struct xf_ledger_entry *entry);
/* Events with seq >= from, all runs, ascending; each hash is recomputed on the way.
   @err E_CORRUPT (names the first entry that does not fit) E_IO, or the callback's */
XF_WARN_UNUSED enum xf_rc xf_ledger_events(struct xf_ledger *l, uint64_t from,
                                           xf_ledger_on_event fn, void *arg, struct xf_diag *diag);

/* A member's manifest, or the digest of a frozen directory. @own out: xf_manifest_deinit
   @err E_NOTFOUND E_CORRUPT E_NOMEM */
XF_WARN_UNUSED enum xf_rc xf_ledger_manifest_get(struct xf_ledger *l, const char *member,
                                                 const char *ns, struct xf_manifest *out,
                                                 struct xf_digest *digest, struct xf_diag *diag);
XF_WARN_UNUSED enum xf_rc xf_ledger_directory_get(struct xf_ledger *l, const char *ns,
                                                  struct xf_digest *digest, uint64_t *n,
                                                  struct xf_diag *diag);

/* Rounds whose spool files must stay: the open one and the last `retain` committed train rounds.
   @shape out[cap] @err E_LIMIT (cap < retain + 1) E_NOTFOUND */
XF_WARN_UNUSED enum xf_rc xf_ledger_retained(struct xf_ledger *l, uint32_t retain, uint64_t *out,
                                             size_t cap, size_t *n, struct xf_diag *diag);

#endif
