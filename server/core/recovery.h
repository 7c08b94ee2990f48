/*
 * recovery.h - what a coordinator that starts is told of the rounds before: filled by its shell from the ledger.
 *
 * Owner: the shell; borrowed by xf_coord_new for the call. Thread: any.
 */
#ifndef XF_SERVER_CORE_RECOVERY_H
#define XF_SERVER_CORE_RECOVERY_H

#include "base/digest.h"
#include "plan/stop.h"
#include "wire/msg.h"

#include <stddef.h>
#include <stdint.h>

/* The round's states, X(NAME, text). @source operations.md 4.3 */
#define XF_ROUND_STATE_LIST(X)    \
  X(IDLE, "idle")                 \
  X(SELECTING, "selecting")       \
  X(BROADCASTING, "broadcasting") \
  X(COLLECTING, "collecting")     \
  X(CLOSING, "closing")           \
  X(AGGREGATING, "aggregating")   \
  X(COMMITTING, "committing")     \
  X(COMMITTED, "committed")       \
  X(ABANDONED, "abandoned")       \
  X(DONE, "done")

enum xf_round_state {
#define XF_ROUND_STATE_ENUM(n, t) XF_ROUND_##n,
  XF_ROUND_STATE_LIST(XF_ROUND_STATE_ENUM)
#undef XF_ROUND_STATE_ENUM
};

/* What an accepted update said of its training, and how long the coordinator waited for it. */
struct xf_coord_figures {
  uint64_t n_samples; /* 0: not said */
  bool has_loss;
  double loss_sum; /* over loss_count samples */
  uint64_t loss_count;
  double seconds; /* from the offer to the durable update; 0: not measured (a crash was between) */
};

/* What the ledger knows at start (filled by io; all zero for a fresh run). */
struct xf_coord_recovery {
  uint64_t epoch;      /* of this start, >= 1 */
  uint64_t last_round; /* highest attempt number used */
  uint64_t committed;  /* committed training rounds */
  uint64_t
      evaluated_at; /* value of `committed` at the last committed evaluation, UINT64_MAX: none */
  uint32_t abandoned_in_row;     /* training rounds, since the last commit or resume */
  struct xf_plan_stop stop;      /* of all committed evaluations */
  struct xf_digest model_digest; /* of the committed model */
  bool frozen;                   /* directory exists (or the plan aligns nothing) */
  bool paused;
  bool done;
  struct { /* the open round, when round != 0 */
    uint64_t round;
    enum xf_task_kind kind;
    enum xf_round_state state; /* COLLECTING (open), CLOSING, COMMITTING */
    const uint32_t *cohort;    /* member indices */
    size_t n_cohort;
    const uint32_t *participant; /* frozen list, for CLOSING and later */
    size_t n_participant;
  } open;
  /* fed.async: tasks of earlier rounds, not too old, whose members have no newer one and whose updates no earlier round took */
  const struct xf_coord_held {
    uint32_t member;
    uint64_t round, committed; /* that it is named after; commits that made its base */
    struct xf_digest base;
  } * held;
  size_t n_held;
  const struct
      xf_coord_accepted { /* updates accepted so far: of the open round, and each member's last */
    uint32_t member;
    uint64_t round;
    enum xf_task_kind kind;
    struct xf_digest task_id, update_digest;
    uint64_t weight;
    enum xf_outcome outcome;         /* of its round; NONE while open */
    struct xf_coord_figures figures; /* needed of the open round */
  } * accepted;
  size_t n_accepted;
  const uint64_t *counted; /* [n_member] training updates of each in the model; NULL: none */
  const struct
      xf_coord_history { /* participants of all committed training rounds: by round, then as they were frozen;
                                     needed where a stage selects by them (xf_plan_remembers) */
    uint64_t commit; /* training rounds committed before it */
    uint32_t member;
    struct xf_coord_figures figures;
  } * history;
  size_t n_history;
  const struct
      xf_coord_final { /* done: what members answered to the final model; the last counts */
    uint32_t member;
    bool stored; /* else refused */
  } * final;
  size_t n_final;
};

#endif
