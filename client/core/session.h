/*
 * session.h - the silo's side as a pure state machine: dialling with backoff, greeting, one task at a time,
 * and the outbox that is sent until it is settled. Events in, actions out, time as an argument.
 *
 * No socket, file, clock or training in here: client/io performs the actions, the simulator and the
 * deterministic tests perform them on virtual time. The rule that everything rests on: bytes are sent
 * only from the outbox, where privacy was charged in the transaction that stored them; they are re-sent
 * unchanged until a verdict settles them (operations.md 4.3, C4 and C5).
 * Contract: feed one event, then take actions until NULL; they are borrowed until the next feed.
 * Owner: the caller. Thread: one.
 */
#ifndef XF_CLIENT_CORE_SESSION_H
#define XF_CLIENT_CORE_SESSION_H

#include "base/rng.h"
#include "base/time.h"
#include "client/core/policy.h"
#include "wire/msg.h"

/* X(NAME, text) */
#define XF_SESSION_STATE_LIST(X)  \
  X(RESTING, "waiting to dial")   \
  X(DIALING, "dialling")          \
  X(GREETING, "greeting")         \
  X(ADOPTING, "reading the plan") \
  X(READY, "ready")               \
  X(STOPPED, "stopped")

enum xf_session_state {
#define XF_SESSION_STATE_ENUM(n, t) XF_SESSION_##n,
  XF_SESSION_STATE_LIST(XF_SESSION_STATE_ENUM)
#undef XF_SESSION_STATE_ENUM
};

/* X(NAME, text): the one task at hand. */
#define XF_TASK_STATE_LIST(X)               \
  X(NONE, "no task")                        \
  X(FETCHING, "fetching the model")         \
  X(WORKING, "working")                     \
  X(PENDING, "answer stored, not yet sent") \
  X(SENDING, "sending")                     \
  X(SETTLING, "settling")

enum xf_task_state {
#define XF_TASK_STATE_ENUM(n, t) XF_TASK_STATE_##n,
  XF_TASK_STATE_LIST(XF_TASK_STATE_ENUM)
#undef XF_TASK_STATE_ENUM
};

struct xf_session_config {
  char federation[64], member[64];
  char run_id[64]; /* known run, "" for a fresh state */
  const char *software;
  struct xf_policy policy;
  uint64_t jitter_key;                 /* from the CSPRNG: spreads reconnects */
  double backoff_min_s, backoff_max_s; /* defaults 0.5, 60 */
};

/* What the silo's own database knows at start. */
struct xf_session_recovery {
  bool pending; /* an outbox entry without a verdict */
  struct xf_msg_update_begin begin;
  uint64_t released; /* updates released in this run */
  double epsilon;    /* spent, replace-one */
  bool has_plan;
  struct xf_digest plan_digest;
  bool final_stored;
  struct xf_digest final_task; /* that it was stored for */
};

/* X(NAME) */
#define XF_SESSION_EVENT_LIST(X)                                                       \
  X(START)    /* begin */                                                              \
  X(TICK)     /* time passed */                                                        \
  X(DIALED)   /* TLS is up (the coordinator has not judged us yet) */                  \
  X(LOST)     /* the connection failed or ended: rc, text */                           \
  X(MESSAGE)  /* msg */                                                                \
  X(ADOPTED)  /* answer to ADOPT: rc, text, layout digest, lens */                     \
  X(ALIGNED)  /* the directory is complete: lens may have changed */                   \
  X(PROGRESS) /* of the local work: done, total */                                     \
  X(WORKED)   /* answer to RUN: rc, text; for OK the answer is in the outbox: begin */ \
  X(UPLOADED) /* all bytes of UPLOAD were handed to the connection */                  \
  X(STORED)   /* answer to STORE_FINAL: rc, text */                                    \
  X(SETTLED)  /* answer to SETTLE: rc */                                               \
  X(WAKE)     /* SIGHUP: the operator mended something; dial now instead of resting */ \
  X(STOP)     /* SIGTERM */

enum xf_session_event_type {
#define XF_SESSION_EVENT_ENUM(n) XF_SESSION_EV_##n,
  XF_SESSION_EVENT_LIST(XF_SESSION_EVENT_ENUM)
#undef XF_SESSION_EVENT_ENUM
};

struct xf_session_event {
  enum xf_session_event_type type;
  enum xf_rc rc;
  const char *text;
  const struct xf_msg *msg;
  struct xf_digest layout_digest;
  struct xf_plan_lens lens; /* what tasks move */
  uint64_t done, total;
  const struct xf_msg_update_begin *begin;
  double epsilon; /* WORKED: spent after the charge */
};

/* X(NAME) */
#define XF_SESSION_ACTION_LIST(X)                                                        \
  X(DIAL)        /* connect now */                                                       \
  X(CLOSE)       /* end the connection */                                                \
  X(SEND)        /* msg */                                                               \
  X(ADOPT)       /* plan, run: resolve model, layout and data -> ADOPTED */              \
  X(MANIFEST)    /* send the keys of a namespace: text */                                \
  X(DIRECTORY)   /* take a part of the directory: directory; when whole -> ALIGNED */    \
  X(OUTCOME)     /* task_id, outcome: promote or discard the personal state */           \
  X(FETCH_BEGIN) /* offer, offset: room for model_len bytes; the first `offset` stay */  \
  X(FETCH_WRITE) /* offset, data */                                                      \
  X(RUN)         /* offer: train or evaluate, seal into the outbox -> WORKED */          \
  X(CANCEL)      /* stop the work at hand; it still comes back as WORKED(E_CANCELLED) */ \
  X(UPLOAD)      /* task_id, offset: stream the outbox bytes from there */               \
  X(STORE_FINAL) /* offer: keep the fetched model -> STORED */                           \
  X(SETTLE)      /* task_id, verdict: close the outbox entry -> SETTLED */               \
  X(EXIT)        /* rc, text */

enum xf_session_action_type {
#define XF_SESSION_ACTION_ENUM(n) XF_SESSION_##n##_ACTION,
  XF_SESSION_ACTION_LIST(XF_SESSION_ACTION_ENUM)
#undef XF_SESSION_ACTION_ENUM
};

struct xf_session_action {
  enum xf_session_action_type type;
  struct xf_msg msg;
  const struct xf_plan *plan;
  const struct xf_msg_task_offer *offer;
  struct xf_msg_directory directory;
  struct xf_digest task_id;
  enum xf_outcome outcome;
  enum xf_verdict verdict;
  uint64_t offset;
  const uint8_t *data;
  size_t data_len;
  enum xf_rc rc;
  const char *text;
};

struct xf_session;

/* @own caller: xf_session_free */
struct xf_session *xf_session_new(const struct xf_session_config *config,
                                  const struct xf_session_recovery *recovery);
/* @own frees; NULL is legal */
void xf_session_free(struct xf_session *session);
/* Takes one event at `now`. @thread one */
void xf_session_feed(struct xf_session *session, struct xf_time now,
                     const struct xf_session_event *event);
/* The next action, or NULL. @own borrowed until the next feed */
const struct xf_session_action *xf_session_next(struct xf_session *session);
/* When the next TICK is due. @unit instant */
struct xf_time xf_session_deadline(const struct xf_session *session);
/* One sentence: what it does or waits for. @own borrowed until the next feed */
const char *xf_session_reason(const struct xf_session *session);
/* @thread one */
enum xf_session_state xf_session_get_state(const struct xf_session *session);
enum xf_task_state xf_session_get_task(const struct xf_session *session);
/* The coordinator has on record that the final model is stored here: nobody waits for this silo. @thread one */
bool xf_session_is_over(const struct xf_session *session);
/* Why this process refused the final model, OK when it did not. @thread one */
enum xf_rc xf_session_final_refusal(const struct xf_session *session);

#endif
