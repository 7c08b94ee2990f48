/*
 * state.h - private to server/core: the coordinator's memory and the functions its files share.
 * One file per concern: coord.c dispatches, registry.c keeps sessions, round.c is the round machine, cohort.c chooses members,
 * answer.c handles what silos send for a task, async.c is what is special of asynchronous rounds, final.c is what follows the last
 * round, recover.c rebuilds after a start, view.c explains.
 */
#ifndef XF_SERVER_CORE_STATE_H
#define XF_SERVER_CORE_STATE_H

#include "base/arena.h"
#include "base/map.h"
#include "fed/select.h"
#include "fed/selectmem.h"
#include "server/core/coord.h"

/* Where a member stands with its current task. X(NAME, text) */
#define TASK_STATE_LIST(X)              \
  X(NONE, "idle")                       \
  X(WAITING, "not connected")           \
  X(OFFERED, "offered")                 \
  X(WORKING, "training")                \
  X(QUEUED, "queued to upload")         \
  X(UPLOADING, "uploading")             \
  X(HELD, "waiting for the next flush") \
  X(SPOOLING, "storing")                \
  X(RECORDING, "recording")             \
  X(ANSWERED, "answered")               \
  X(REFUSED, "refused")

enum task_state {
#define TASK_STATE_ENUM(n, t) T_##n,
  TASK_STATE_LIST(TASK_STATE_ENUM)
#undef TASK_STATE_ENUM
};

struct last_answer {
  bool set;
  uint64_t round;
  enum xf_task_kind kind;
  struct xf_digest task_id, update_digest;
  enum xf_outcome outcome;
};

struct member {
  const struct xf_coord_member *info;
  uint64_t conn;       /* 0: not connected */
  uint64_t challenger; /* second session waiting for the first to answer or fall silent */
  struct xf_time challenge_until;
  struct xf_time alarm_after; /* no alarm is recorded before it */
  struct {                    /* the challenger's Hello, kept until it is adopted */
    bool set;
    uint32_t minor_min, chunk_max;
    uint64_t features;
    char software[XF_MEMBER_NAME], run_id[XF_MEMBER_NAME + 1]; /* a longer run id never matches */
  } held;
  bool ready;   /* Hello accepted on conn */
  bool aligned; /* its manifests are stored */
  bool reader;  /* contributes to no round */
  struct xf_time last_seen, ping_at;
  bool ever_seen;
  struct xf_plan_lens lens;
  bool selected;
  enum task_state task;
  struct xf_digest task_id;
  uint64_t issued;       /* the round that its task is named after, */
  struct xf_digest base; /* the model it starts from, */
  uint64_t base_at;      /* and the commits that had made this */
  bool given, carried;   /* asynchronous: it was offered; in an earlier round */
  uint64_t arrived;      /* held: its place in the queue */
  struct xf_time slot_until;
  uint64_t done, total;             /* progress of local work */
  struct xf_time lease_from;        /* start of the running window */
  uint64_t lease_bytes;             /* moved within it */
  struct xf_time lease_until;       /* counts as moving until then */
  struct xf_msg_update_begin begin; /* of the upload in progress */
  struct xf_time
      offered_at; /* of its task, first in this process; {0}: it was offered in an earlier one */
  struct xf_coord_figures figures; /* of its accepted update in the open round */
  uint64_t received;
  bool spool_open;               /* SPOOL_BEGIN without FINISH or ABORT */
  uint32_t stale_finish;         /* SPOOLED events to come of uploads given up meanwhile */
  struct last_answer last;       /* last accepted answer of any kind */
  struct last_answer last_train; /* last accepted training answer */
  uint64_t counted;              /* training updates in the model */
  bool final_sent, final_stored, final_refused, final_recording;
  double epsilon, epsilon_zero_out, noise_multiplier, clip;
  uint64_t updates, bytes_up;
};

struct xf_coord {
  struct xf_coord_config cfg;
  const struct xf_plan_stage_part *stage; /* of the next commit */
  uint32_t stage_at;
  uint64_t rounds; /* commits of all stages */
  struct member *m;
  uint32_t n;
  struct xf_map by_conn; /* conn id -> member index */
  struct xf_map by_id;
  struct xf_time now;
  uint64_t epoch;

  enum xf_round_state state;
  enum xf_task_kind kind;
  uint64_t round, last_round;
  uint64_t committed, evaluated_at;
  struct xf_plan_stop stop;
  double figure; /* of the evaluation that is being committed */
  uint32_t abandoned_in_row;
  struct xf_digest model_digest, new_digest;
  bool frozen, freezing, reserving, paused, draining, exiting, done;
  bool failed; /* an error that only a restart may answer: no event moves anything */
  bool fed;    /* had its first event */
  struct xf_time align_until, retry_at, select_until, deadline, hard_deadline, drain_until;
  uint32_t *cohort;
  struct xf_digest *cohort_task;
  uint64_t *weights;
  uint32_t n_cohort, target;
  uint32_t n_carried; /* of the cohort, in front: have their task from an earlier round */
  uint64_t arrivals;
  uint32_t *participant;
  uint32_t n_participant;
  struct xf_select_memory
      memory; /* of the commits of stage memory_of; none before the first is needed */
  uint32_t memory_of;
  uint32_t n_uploading;
  uint64_t pending_close; /* rounds of records in flight */
  char wait[XF_REASON_LEN];

  struct xf_arena arena; /* texts and records of the current feed */
  struct xf_coord_action *action;
  size_t n_action, cap_action, at_action;
};

/* coord.c */
struct xf_coord_action *coord_act(struct xf_coord *c, enum xf_coord_action_type type);
struct xf_msg *coord_send(struct xf_coord *c, uint64_t conn, enum xf_msg_type type);
const char *coord_text(struct xf_coord *c, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
struct xf_coord_record *coord_persist(struct xf_coord *c, enum xf_coord_record_type type,
                                      uint32_t member);
/* Stops for good: what is durable decides at the next start. */
void coord_fail(struct xf_coord *c, enum xf_rc rc, const char *text);
void coord_wait(struct xf_coord *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
#define TOKEN(type, member) ((uint64_t)(type) << 32 | (uint32_t)(member))

/* registry.c */
void registry_opened(struct xf_coord *c, uint64_t conn, const char *member_id);
void registry_closed(struct xf_coord *c, uint64_t conn);
void registry_hello(struct xf_coord *c, struct member *m, const struct xf_msg_hello *h);
void registry_hold(struct member *m, const struct xf_msg_hello *h);
void registry_seen(struct xf_coord *c, struct member *m, uint64_t conn);
void registry_tick(struct xf_coord *c);
struct xf_time registry_deadline(const struct xf_coord *c);
void registry_refuse(struct xf_coord *c, uint64_t conn, enum xf_rc code, uint32_t retry_ms,
                     const char *fix, const char *text);

/* round.c */
void round_step(struct xf_coord *c); /* moves as far as it can without an event */
void round_member_ready(struct xf_coord *c, struct member *m);
void round_persisted(struct xf_coord *c, enum xf_coord_record_type type, uint32_t member,
                     enum xf_rc rc);
void round_reserved(struct xf_coord *c, enum xf_rc rc, const char *text);
void round_aggregated(struct xf_coord *c, const struct xf_coord_event *e);
void round_published(struct xf_coord *c, enum xf_rc rc, const char *text);
void round_set(struct xf_coord *c, enum xf_round_state state);
/* The member has the task of this round and base. */
void round_task(struct xf_coord *c, struct member *m, uint64_t round, const struct xf_digest *base,
                uint64_t committed);
void round_stage(struct xf_coord *c); /* the stage that `committed` says */
bool round_may_work(const struct xf_coord *c, const struct member *m);
/* Bytes of the model that the member's task moves down. */
uint64_t round_model_len(const struct xf_coord *c, const struct member *m);
void round_offer(struct xf_coord *c, struct member *m);
struct xf_time round_deadline(const struct xf_coord *c);
uint32_t round_quorum(const struct xf_coord *c);
bool round_is_open(const struct xf_coord *c);
uint64_t round_weight(const struct xf_coord *c,
                      const struct member *m); /* of its accepted update */
void round_close(struct xf_coord *c);
void round_abandon(struct xf_coord *c, const char *reason);

/* cohort.c */
enum xf_rc cohort_draw(struct xf_coord *c, struct xf_diag *diag); /* of round c->round */
void cohort_learn(struct xf_coord *c);                            /* the round that commits now */
enum xf_rc cohort_recover(struct xf_coord *c, const struct xf_coord_recovery *r,
                          struct xf_diag *diag);
struct xf_select_rule cohort_rule(const struct xf_coord *c);
uint32_t cohort_members(const struct xf_coord *c); /* that may contribute */

/* answer.c */
void answer_message(struct xf_coord *c, struct member *m, const struct xf_msg *msg);
void answer_spooled(struct xf_coord *c, uint32_t member, enum xf_rc rc, const char *text);
void answer_recorded(struct xf_coord *c, uint32_t member);
void answer_ack(struct xf_coord *c, const struct member *m, const struct xf_digest *task_id,
                enum xf_verdict verdict, enum xf_rc code, const char *text);
void answer_name_task(struct xf_coord *c, struct member *m,
                      struct xf_coord_record *rec); /* whose, which */
struct xf_coord_record *answer_refusal(struct xf_coord *c, struct member *m,
                                       const struct xf_msg_task_reply *r);
void answer_lost(struct xf_coord *c, struct member *m); /* its connection is gone */
void answer_grant(struct xf_coord *c);                  /* lets queued uploads start */
void answer_drop_all(struct xf_coord *c);               /* the round closed: stop transfers */
void answer_drop(struct xf_coord *c, struct member *m, const char *why); /* the task is over */
void answer_store(struct xf_coord *c, struct member *m); /* held: its bytes are made durable */

/* async.c */
bool async_on(const struct xf_coord *c);
bool async_trains(const struct xf_coord *c); /* and the round is a training round */
enum xf_rc async_check(const struct xf_coord *c, struct xf_diag *diag);
uint64_t async_staleness(const struct xf_coord *c, const struct member *m); /* of its base */
uint64_t async_weight(const struct xf_coord *c, const struct member *m);
bool async_lives(const struct member *m); /* its task goes on when the round ends */
void async_draw(struct xf_coord *c);
void async_stop(struct xf_coord *c); /* an evaluation or the end: all tasks are over */
void async_collect(struct xf_coord *c);

/* final.c */
void final_offer(struct xf_coord *c, struct member *m);
void final_reply(struct xf_coord *c, struct member *m, const struct xf_msg_task_reply *r);
void final_recorded(struct xf_coord *c, uint32_t member);
void final_ack(struct xf_coord *c, struct member *m); /* its row is durable */
void final_step(struct xf_coord *c);                  /* offers, and ends when all have answered */

/* recover.c */
enum xf_rc recover_apply(struct xf_coord *c, const struct xf_coord_recovery *r,
                         struct xf_diag *diag);

static inline uint32_t member_index(const struct xf_coord *c, const struct member *m) {
  return (uint32_t)(m - c->m);
}

#endif
