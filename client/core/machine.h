/*
 * machine.h - private to client/core: the session's memory. session.c keeps the connection, task.c the task.
 */
#ifndef XF_CLIENT_CORE_MACHINE_H
#define XF_CLIENT_CORE_MACHINE_H

#include "base/arena.h"
#include "client/core/session.h"

enum { WINDOW = 1024 * 1024 }; /* model bytes asked for at a time */

struct xf_session {
  struct xf_session_config cfg;
  enum xf_session_state state;
  enum xf_task_state task;
  struct xf_time now, dial_at, heard, beat_at;
  uint32_t failures;
  struct xf_rng rng;
  bool connected, stopping;
  char run_id[64];
  uint64_t epoch;
  uint32_t heartbeat_ms, dead_after_ms, n_members;
  uint64_t features; /* agreed on */

  bool has_plan, adopted, adopting;
  struct xf_digest plan_digest, layout_digest, want_plan;
  struct xf_plan plan;
  struct xf_plan_lens lens;
  uint32_t
      kept_stage; /* 1 + the stage whose artifacts the last fetched model begins with; 0: none */

  struct xf_msg_task_offer offer; /* of the task at hand */
  struct xf_msg_task_offer held;  /* came too early: taken up as soon as the silo is free */
  bool has_held;
  uint64_t fetched, asked;
  bool working, cancelled, final_stored, final_acked;
  struct xf_digest final_task; /* that the final model was stored for */
  enum xf_rc final_refused;    /* why it was not stored, in this process */
  uint64_t released;
  double epsilon;
  struct xf_msg_update_begin begin; /* in the outbox */
  uint32_t corrupt;                 /* corrupt answers in a row */
  struct xf_time resend_at;
  struct xf_time say_again_at; /* SENDING: nothing was heard of the update until then */
  uint64_t done, total;
  char reason[256];

  struct xf_arena arena;
  struct xf_session_action *action;
  size_t n_action, cap_action, at_action;
};

struct xf_session_action *session_act(struct xf_session *s, enum xf_session_action_type type);
struct xf_msg *session_send(struct xf_session *s, enum xf_msg_type type);
const char *session_text(struct xf_session *s, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* task.c */
void task_offer(struct xf_session *s, const struct xf_msg_task_offer *o);
void task_chunk(struct xf_session *s, const struct xf_msg_chunk *k);
void task_cancel(struct xf_session *s, const struct xf_msg_task_cancel *c);
void task_worked(struct xf_session *s, const struct xf_session_event *e);
void task_ready(struct xf_session *s); /* READY again: go on where it stopped */
void task_upload(struct xf_session *s, const struct xf_msg_update_ready *r);
void task_uploaded(struct xf_session *s);
void task_ack(struct xf_session *s, const struct xf_msg_update_ack *a);
void task_stored(struct xf_session *s, enum xf_rc rc, const char *text);
void task_settled(struct xf_session *s);
void task_lost(struct xf_session *s);
void task_tick(struct xf_session *s);
void task_free(struct xf_session *s); /* nothing at hand: takes up a held offer */

#endif
