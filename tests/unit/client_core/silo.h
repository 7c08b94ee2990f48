/*
 * silo.h - drives the silo's core without sockets, files or a clock: feeds one event and keeps the actions
 * it gave, until the next feed.
 * Thread: one. Owner: the test, through silo_new and silo_free.
 */
#ifndef TESTS_UNIT_CLIENT_CORE_SILO_H
#define TESTS_UNIT_CLIENT_CORE_SILO_H

#include "base/buf.h"
#include "client/core/session.h"

enum { SILO_ACTIONS = 32 };

struct silo {
  struct xf_session_config config;
  struct xf_session_recovery recovery;
  struct xf_session *core;
  struct xf_time now;
  struct xf_plan plan;
  struct xf_buf canonical;
  struct xf_msg_welcome welcome; /* what a right coordinator says */
  struct xf_digest layout;
  uint64_t model_len;
  struct xf_plan_lens lens; /* n_stage 0: one stage of model_len */
  struct xf_session_action act[SILO_ACTIONS];
  uint32_t n_act;
  struct xf_msg_update_begin begin; /* the stored answer */
  uint8_t bytes[XF_CHUNK_MAX];
};

/* A plan of one train stage; `sets` are words of the form key=value, separated by spaces. */
void silo_plan(struct xf_plan *plan, const char *sets);
/* The test may change config, recovery, plan and welcome before silo_run. */
struct silo *silo_new(void);
void silo_free(struct silo *t);
void silo_encode(struct silo *t); /* the canonical plan and its digest, after a change */
void silo_run(struct silo *t);    /* START: dialling */
void silo_feed(struct silo *t, const struct xf_session_event *event);
void silo_event(struct silo *t, enum xf_session_event_type type, enum xf_rc rc);
void silo_tick(struct silo *t, double after_s);
void silo_msg(struct silo *t, const struct xf_msg *msg);
void silo_welcome(struct silo *t);
void silo_send_plan(struct silo *t);
void silo_adopted(struct silo *t);
void silo_join(struct silo *t);   /* from DIALING to READY, adopting if asked */
void silo_rejoin(struct silo *t); /* the connection breaks and comes back */
void silo_ready(struct silo *t);  /* run and join */
struct xf_msg_task_offer silo_task(const struct silo *t, uint64_t round, enum xf_task_kind kind);
void silo_sign(const struct silo *t, struct xf_msg_task_offer *o); /* its task id */
void silo_offer(struct silo *t, const struct xf_msg_task_offer *o);
void silo_chunk(struct silo *t, const struct xf_msg_task_offer *o, uint64_t offset, size_t len);
void silo_fetch(struct silo *t, const struct xf_msg_task_offer *o); /* offer and model: working */
void silo_worked(struct silo *t, const struct xf_msg_task_offer *o);
void silo_update_ready(struct silo *t, uint64_t offset);
void silo_ack(struct silo *t, enum xf_verdict verdict);
void silo_cancel(struct silo *t, const struct xf_msg_task_offer *o);
/* Of the last feed. */
uint32_t silo_count(const struct silo *t, enum xf_session_action_type type);
const struct xf_session_action *silo_act(const struct silo *t, enum xf_session_action_type type);
const struct xf_msg *silo_sent(const struct silo *t, enum xf_msg_type type); /* or NULL */
void silo_expect(const struct silo *t, enum xf_session_state state, enum xf_task_state task);
double silo_wait(const struct silo *t); /* seconds until the deadline */
/* It gave up with this rc and a sentence that holds both texts. */
void silo_stopped(const struct silo *t, enum xf_rc rc, const char *words, const char *more);

#endif
