/*
 * coord.h - the coordinator as a pure state machine: events in, actions out, time as an argument.
 *
 * It owns the member registry, admission, task life cycles and the round (round.c). It touches no socket,
 * file, clock or random device: server/io performs its actions on libuv and the store, the simulator
 * performs them on virtual time, the deterministic tests on a crashing disk.
 *
 * Contract: xf_coord_feed one event, then xf_coord_next until NULL. Everything an action points to
 * (message texts, member lists) is borrowed until the next feed. Thread: one.
 */
#ifndef XF_SERVER_CORE_COORD_H
#define XF_SERVER_CORE_COORD_H

#include "base/buf.h"
#include "base/diag.h"
#include "base/time.h"
#include "plan/view.h"
#include "server/core/recovery.h"
#include "wire/msg.h"

#include <stddef.h>
#include <stdint.h>

enum { XF_MEMBER_NAME = 64, XF_REASON_LEN = 512 };

struct xf_coord_member {
  char id[XF_MEMBER_NAME];
  char domain[XF_MEMBER_NAME];
  uint32_t max_weight; /* 0: none */
};

struct xf_coord_config {
  char federation[XF_MEMBER_NAME];
  char run_id[XF_MEMBER_NAME];
  const struct xf_coord_member *member; /* sorted bytewise by id; borrowed for the core's life */
  size_t n_member;
  const struct xf_plan *plan; /* borrowed for the core's life */
  const uint8_t *plan_canonical;
  size_t plan_canonical_len;
  struct xf_digest plan_digest, layout_digest;
  uint32_t heartbeat_ms, dead_after_ms; /* defaults 10000, 30000 */
  uint32_t max_transfers;               /* uploads granted at a time; default 16 */
  double drain_timeout_s;               /* default 30 */
  double min_rate;                      /* bytes per second that keep a lease; default 8192 */
  bool exit_when_done;
};

/* X(NAME) */
#define XF_COORD_EVENT_LIST(X)                                                           \
  X(TICK)       /* time passed: a deadline of xf_coord_deadline */                       \
  X(OPENED)     /* an authenticated connection: conn, member name, role checked by io */ \
  X(CLOSED)     /* it is gone: conn */                                                   \
  X(MESSAGE)    /* conn, msg */                                                          \
  X(ALIGNED)    /* a member's manifests are complete and stored: member */               \
  X(FROZEN)     /* answer to FREEZE: rc, text, digest of model 0 */                      \
  X(RESERVED)   /* answer to RESERVE: rc */                                              \
  X(SPOOLED)    /* answer to SPOOL_FINISH: member, rc, text */                           \
  X(PERSISTED)  /* answer to PERSIST: token, rc */                                       \
  X(AGGREGATED) /* answer to AGGREGATE: rc, digest, text, figure */                      \
  X(PUBLISHED)  /* answer to PUBLISH: rc, text */                                        \
  X(COMMAND)    /* operator: command */

enum xf_coord_event_type {
#define XF_COORD_EVENT_ENUM(n) XF_COORD_EV_##n,
  XF_COORD_EVENT_LIST(XF_COORD_EVENT_ENUM)
#undef XF_COORD_EVENT_ENUM
};

enum xf_coord_command { XF_COMMAND_PAUSE, XF_COMMAND_RESUME, XF_COMMAND_DRAIN, XF_COMMAND_MEMBERS };

struct xf_coord_event {
  enum xf_coord_event_type type;
  uint64_t conn;
  const char *member_id; /* OPENED */
  const struct xf_msg *msg;
  uint32_t member; /* ALIGNED, SPOOLED */
  uint64_t token;
  enum xf_rc rc;
  const char *text; /* human reason beside rc; may be NULL */
  struct xf_digest digest;
  double figure; /* AGGREGATED of EVALUATE: what early_stop judges (plan/stop.h); NAN: none */
  enum xf_coord_command command;
};

/* X(NAME) */
#define XF_COORD_ACTION_LIST(X)                                                               \
  X(SEND)         /* conn, msg */                                                             \
  X(CLOSE)        /* conn: flush and close */                                                 \
  X(ALIGN)        /* msg MANIFEST or conn's turn: io collects manifests; see align */         \
  X(FREEZE)       /* build and store the directory from the manifests there are -> FROZEN */  \
  X(DIRECTORY)    /* send conn its directory (io has the counts) */                           \
  X(RESERVE)      /* make sure a round fits on disk -> RESERVED */                            \
  X(SERVE)        /* model bytes: conn, member, kind, stage, base, task_id, offset, length */ \
  X(SPOOL_BEGIN)  /* member, begin: open the temp file */                                     \
  X(SPOOL_WRITE)  /* member, offset, data */                                                  \
  X(SPOOL_FINISH) /* member, round: that takes it -> SPOOLED */                               \
  X(SPOOL_ABORT)  /* member */                                                                \
  X(PERSIST)      /* record, token -> PERSISTED */                                            \
  X(AGGREGATE)    /* round, kind, participants -> AGGREGATED */                               \
  X(PUBLISH)      /* make the checkpoint durable under its name -> PUBLISHED */               \
  X(COLLECT)      /* the round is over: spool may go, metrics are written */                  \
  X(EXIT)         /* stop the daemon: rc */

enum xf_coord_action_type {
#define XF_COORD_ACTION_ENUM(n) XF_COORD_##n,
  XF_COORD_ACTION_LIST(XF_COORD_ACTION_ENUM)
#undef XF_COORD_ACTION_ENUM
};

/* X(NAME, text): the ledger's rows. */
#define XF_COORD_RECORD_LIST(X)     \
  X(OPEN, "round_opened")           \
  X(UPDATE, "update_accepted")      \
  X(VERDICT, "update_settled")      \
  X(REFUSED, "task_refused")        \
  X(CLOSING, "round_closing")       \
  X(COMMITTING, "round_committing") \
  X(COMMIT, "round_committed")      \
  X(ABANDON, "round_abandoned")     \
  X(PAUSE, "paused")                \
  X(RESUME, "resumed")              \
  X(DONE, "run_done")               \
  X(STORED, "final_stored")         \
  X(ALARM, "alarm")

enum xf_coord_record_type {
#define XF_COORD_RECORD_ENUM(n, t) XF_RECORD_##n,
  XF_COORD_RECORD_LIST(XF_COORD_RECORD_ENUM)
#undef XF_COORD_RECORD_ENUM
};

struct xf_coord_record {
  enum xf_coord_record_type type;
  uint64_t round;
  uint32_t stage;         /* of a training round */
  enum xf_task_kind kind; /* REFUSED of FINAL: the final model was refused, in no round */
  struct xf_digest base_digest, model_digest; /* OPEN; COMMITTING, COMMIT */
  uint64_t committed;                         /* OPEN, COMMIT: training rounds committed */
  const uint32_t *member;                     /* OPEN: cohort; CLOSING: participants; else one */
  const struct xf_digest *task_id;            /* OPEN: one per cohort member; UPDATE.. STORED one */
  const uint64_t *weight;                     /* CLOSING: one per participant */
  size_t n_member;
  const struct xf_msg_update_begin *update; /* UPDATE, VERDICT */
  enum xf_verdict verdict;                  /* VERDICT */
  double seconds;                           /* UPDATE: as in xf_coord_figures */
  const char *code, *text;                  /* reasons; DONE: why before the last round, or NULL */
};

struct xf_coord_action {
  enum xf_coord_action_type type;
  uint64_t conn;
  struct xf_msg msg;
  uint32_t member;
  struct xf_digest task_id;
  uint64_t round;
  enum xf_task_kind kind;
  uint32_t stage;        /* SERVE, SPOOL_BEGIN: of a TRAIN */
  struct xf_digest base; /* SERVE: the model */
  uint64_t offset, length;
  const uint8_t *data;
  size_t data_len;
  struct xf_msg_update_begin begin;
  const struct xf_coord_record *record;
  uint64_t token;
  const uint32_t *participant;
  const uint64_t *weight;
  size_t n_participant;
  const struct xf_digest *participant_task; /* AGGREGATE: [n_participant] */
  const uint64_t *staleness;                /* [n_participant] commits since their bases */
  enum xf_rc rc;
  const char *text;
};

struct xf_coord;

/* A coordinator for `config`, continuing from `recovery`. What members'
   tasks move is unknown until the directory is frozen (xf_coord_set_lens).
   @own caller: xf_coord_free @err E_CONFIG E_CORRUPT (recovery contradicts itself) */
XF_WARN_UNUSED enum xf_rc xf_coord_new(struct xf_coord **out, const struct xf_coord_config *config,
                                       const struct xf_coord_recovery *recovery, struct xf_time now,
                                       struct xf_diag *diag);
/* @own frees; NULL is legal */
void xf_coord_free(struct xf_coord *coord);
/* What member i's tasks move, known once the directory is frozen. @unit bytes */
void xf_coord_set_lens(struct xf_coord *coord, uint32_t member, const struct xf_plan_lens *lens);
/* Member i came after the directory was frozen, to a plan whose stages all need it: it evaluates and gets the final model,
   but contributes to no round. @thread one */
void xf_coord_set_reader(struct xf_coord *coord, uint32_t member);
/* Takes one event at instant `now`. All earlier actions must have been taken. @thread one */
void xf_coord_feed(struct xf_coord *coord, struct xf_time now, const struct xf_coord_event *event);
/* The next action, or NULL. @own borrowed until the next feed */
const struct xf_coord_action *xf_coord_next(struct xf_coord *coord);
/* When the next TICK is due, NEVER for none; at once before the first feed. @unit instant */
struct xf_time xf_coord_deadline(const struct xf_coord *coord);

/* What status prints. */
struct xf_coord_view {
  enum xf_round_state state;
  enum xf_task_kind kind;
  uint64_t round, committed, rounds; /* rounds: commits of all stages */
  uint32_t stage;                    /* of the next commit */
  uint64_t epoch;
  struct xf_digest model_digest;
  uint32_t n_member, n_connected, n_selected, n_answered, quorum;
  bool paused, draining, done;
  char reason[XF_REASON_LEN]; /* why it waits, in words; "" when it does not */
};
struct xf_coord_member_view {
  const char *id, *domain,
      *state; /* state: absent, idle, offered, training, uploading, answered ... */
  bool selected;
  double last_seen_s; /* ago; negative: never */
  uint64_t done, total;
  double epsilon, epsilon_zero_out, noise_multiplier, clip;
  uint64_t updates; /* accepted in this process */
  uint64_t bytes_up;
};
/* @own caller's struct */
void xf_coord_view_get(const struct xf_coord *coord, struct xf_time now,
                       struct xf_coord_view *view);
/* Member i, in id order. @own strings borrowed from the core */
void xf_coord_member_get(const struct xf_coord *coord, struct xf_time now, uint32_t member,
                         struct xf_coord_member_view *view);
/* Index of a member id, or UINT32_MAX. @thread one */
uint32_t xf_coord_member_find(const struct xf_coord *coord, const char *id);
/* @own static */
const char *xf_round_state_name(enum xf_round_state state);
const char *xf_coord_record_name(enum xf_coord_record_type type);
/* task_id = BLAKE2b-256 over field(run), u64 round, field(member), base digest, plan digest.
   @source operations.md 4.4, docs/PROTOCOL.md "Digests" */
void xf_coord_task_id(struct xf_digest *out, const char *run_id, uint64_t round, const char *member,
                      const struct xf_digest *base, const struct xf_digest *plan);

#endif
