/* The connection: dial, greet, adopt the plan, keep alive, go away. */
#include "client/core/session.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/fail.h"
#include "base/log.h"
#include "client/core/machine.h"
#include "crypto/sha256.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { GREET_TIMEOUT_S = 15, HEARTBEAT_MS = 10000, ARENA_MAX = 1024 * 1024 };

struct xf_session_action *session_act(struct xf_session *s, enum xf_session_action_type type) {
  if (s->n_action == s->cap_action) {
    s->cap_action = s->cap_action ? 2 * s->cap_action : 8;
    s->action = xf_realloc_array(s->action, s->cap_action, sizeof *s->action);
  }
  struct xf_session_action *a = &s->action[s->n_action++];
  memset(a, 0, sizeof *a);
  a->type = type;
  return a;
}

struct xf_msg *session_send(struct xf_session *s, enum xf_msg_type type) {
  struct xf_session_action *a = session_act(s, XF_SESSION_SEND_ACTION);
  a->msg.type = type;
  s->beat_at = xf_time_add_ms(s->now, s->heartbeat_ms ? s->heartbeat_ms : HEARTBEAT_MS);
  return &a->msg;
}

const char *session_text(struct xf_session *s, const char *fmt, ...) {
  char text[XF_DIAG_LEN];
  va_list ap;
  va_start(ap, fmt);
  int n = vsnprintf(text, sizeof text, fmt, ap);
  va_end(ap);
  if (n < 0) text[0] = '\0';
  const char *kept = xf_arena_strdup(&s->arena, text);
  return kept ? kept : "";
}

static void set_state(struct xf_session *s, enum xf_session_state state) {
  static const char *const names[] = {
#define STATE_NAME(n, t) t,
      XF_SESSION_STATE_LIST(STATE_NAME)
#undef STATE_NAME
  };
  if (s->state != state)
    xf_log(XF_LOG_DEBUG, "session_state", XF_S("from", names[s->state]), XF_S("to", names[state]));
  s->state = state;
  (void)snprintf(s->reason, sizeof s->reason, "%s", names[state]);
}

struct xf_session *xf_session_new(const struct xf_session_config *config,
                                  const struct xf_session_recovery *r) {
  struct xf_session *s = xf_calloc(1, sizeof *s);
  s->cfg = *config;
  if (s->cfg.backoff_min_s <= 0) s->cfg.backoff_min_s = 0.5;
  if (s->cfg.backoff_max_s < s->cfg.backoff_min_s) s->cfg.backoff_max_s = 60;
  xf_rng_init(&s->rng, config->jitter_key, 0);
  memcpy(s->run_id, config->run_id, sizeof s->run_id);
  s->released = r->released;
  s->epsilon = r->epsilon;
  s->has_plan = r->has_plan;
  s->plan_digest = r->plan_digest;
  s->final_stored = r->final_stored;
  s->final_task = r->final_task;
  if (r->pending && !XF_PLANTED("forget_pending")) {
    s->begin = r->begin;
    s->offer.task_id = r->begin.task_id;
    s->task = XF_TASK_STATE_PENDING;
  }
  s->dial_at = s->beat_at = s->say_again_at = XF_TIME_NEVER;
  xf_arena_init(&s->arena, ARENA_MAX);
  set_state(s, XF_SESSION_RESTING);
  return s;
}

void xf_session_free(struct xf_session *session) {
  if (!session) return;
  xf_arena_deinit(&session->arena);
  xf_free(session->action);
  xf_free(session);
}

/* Exponential backoff with full jitter; `least_s` is the coordinator's retry-after. */
static void rest(struct xf_session *s, double least_s, const char *why) {
  double cap = s->cfg.backoff_min_s;
  for (uint32_t i = 0; i < s->failures && cap < s->cfg.backoff_max_s; i++) cap *= 2;
  if (cap > s->cfg.backoff_max_s) cap = s->cfg.backoff_max_s;
  double delay = least_s + cap * xf_rng_double(&s->rng);
  s->failures++;
  s->connected = false;
  set_state(s, XF_SESSION_RESTING);
  s->dial_at = xf_time_add_s(s->now, delay);
  s->beat_at = XF_TIME_NEVER;
  (void)snprintf(s->reason, sizeof s->reason, "reconnecting in %.1f s: %s", delay, why);
  xf_log(XF_LOG_WARN, "disconnected", XF_S("reason", why), XF_F("retry_s", delay));
}

static void dial(struct xf_session *s) {
  s->dial_at = XF_TIME_NEVER;
  set_state(s, XF_SESSION_DIALING);
  session_act(s, XF_SESSION_DIAL_ACTION);
}

static void lost(struct xf_session *s, const char *text, double least_s) {
  task_lost(s);
  if (s->state != XF_SESSION_STOPPED) rest(s, least_s, text);
}

static void stop(struct xf_session *s, enum xf_rc rc, const char *text) {
  if (s->connected) {
    session_send(s, XF_MSG_GOODBYE)->goodbye =
        (struct xf_msg_goodbye){rc ? xf_rc_name(rc) : "OK", text, 0};
    session_act(s, XF_SESSION_CLOSE_ACTION);
  }
  if (s->working && !s->cancelled) {
    s->cancelled = true;
    session_act(s, XF_SESSION_CANCEL_ACTION);
  }
  set_state(s, XF_SESSION_STOPPED);
  struct xf_session_action *a = session_act(s, XF_SESSION_EXIT_ACTION);
  a->rc = rc;
  a->text = text;
}

static void on_refused(struct xf_session *s, const struct xf_msg_refused *r) {
  xf_log(XF_LOG_ERROR, "refused", XF_S("code", r->code), XF_S("reason", r->text),
         XF_S("fix", r->fix));
  session_act(s, XF_SESSION_CLOSE_ACTION);
  lost(s, session_text(s, "refused by the coordinator: %s; fix: %s", r->text, r->fix),
       r->retry_after_ms / 1000.0);
}

static void on_welcome(struct xf_session *s, const struct xf_msg_welcome *w) {
  const char *why = NULL;
  if (strcmp(w->federation, s->cfg.federation) != 0)
    why = session_text(s, "the coordinator serves federation \"%s\", this silo belongs to \"%s\"",
                       w->federation, s->cfg.federation);
  else if (strcmp(w->member, s->cfg.member) != 0)
    why = session_text(s, "the coordinator sees member \"%s\", this silo is \"%s\"", w->member,
                       s->cfg.member);
  else if (s->run_id[0] && strcmp(w->run_id, s->run_id) != 0)
    why = session_text(s, "the coordinator runs \"%s\", this state directory belongs to \"%s\"",
                       w->run_id, s->run_id);
  else if (s->has_plan && !xf_digest_equal(&w->plan_digest, &s->plan_digest))
    why = "the plan differs from the one this silo accepted for the run";
  if (why) {
    stop(s, XF_E_CONFLICT, why);
    return;
  }
  (void)snprintf(s->run_id, sizeof s->run_id, "%.63s", w->run_id);
  s->want_plan = w->plan_digest;
  if (w->epoch != s->epoch) s->kept_stage = 0; /* it may go on from an older copy of its state */
  s->epoch = w->epoch;
  s->heartbeat_ms = w->heartbeat_ms;
  s->dead_after_ms = w->dead_after_ms;
  s->beat_at = xf_time_add_ms(s->now, s->heartbeat_ms ? s->heartbeat_ms : HEARTBEAT_MS);
  s->n_members = w->n_members;
  s->features = w->features;
  s->failures = 0;
  xf_log(XF_LOG_INFO, "connected", XF_U("committed", w->committed), XF_U("members", w->n_members));
  set_state(s, XF_SESSION_ADOPTING);
}

static void on_plan(struct xf_session *s, const struct xf_msg_plan *p) {
  struct xf_digest digest;
  struct xf_diag diag;
  const char *key = "";
  xf_sha256(&digest, p->canonical, p->canonical_len);
  xf_diag_init(&diag);
  if (!xf_digest_equal(&digest, &s->want_plan)) {
    session_act(s, XF_SESSION_CLOSE_ACTION);
    lost(s, "the plan's bytes do not match its digest", 1);
    return;
  }
  if (s->adopted && xf_digest_equal(&digest, &s->plan_digest)) {
    set_state(s, XF_SESSION_READY);
    task_ready(s);
    return;
  }
  enum xf_rc rc = xf_plan_decode(&s->plan, p->canonical, p->canonical_len, &diag);
  const uint64_t lacks = rc ? 0 : xf_plan_features(&s->plan) & ~s->features;
  if (lacks)
    rc = xf_diag_set(&diag, XF_E_UNSUPPORTED,
                     "the plan's fed.encoding is %s, and the coordinator has not agreed to it: "
                     "install a coordinator of the client's release",
                     xf_plan_feature_text(lacks));
  if (!rc) rc = xf_policy_check_plan(&s->cfg.policy, &s->plan, &key, &diag);
  if (rc) {
    xf_log(XF_LOG_ERROR, "plan_refused", XF_S("key", key), XF_S("reason", xf_diag_text(&diag, rc)));
    stop(s, rc, session_text(s, "%s%s%s", key, key[0] ? ": " : "", xf_diag_text(&diag, rc)));
    return;
  }
  s->plan_digest = digest;
  s->has_plan = true;
  if (s->adopting) return;
  s->adopting = true;
  struct xf_session_action *a = session_act(s, XF_SESSION_ADOPT_ACTION);
  a->plan = &s->plan;
  a->text = s->run_id;
}

static void on_adopted(struct xf_session *s, const struct xf_session_event *e) {
  s->adopting = false;
  if (e->rc) {
    stop(s, e->rc, session_text(s, "%s", e->text ? e->text : xf_rc_text(e->rc)));
    return;
  }
  s->adopted = true;
  s->layout_digest = e->layout_digest;
  s->lens = e->lens;
  s->kept_stage = 0;
  if (s->state != XF_SESSION_ADOPTING) return; /* the connection went away meanwhile */
  set_state(s, XF_SESSION_READY);
  task_ready(s);
}

/* Messages that are legal once the plan is adopted, or while it is. */
static void on_task_message(struct xf_session *s, const struct xf_msg *msg) {
  switch (msg->type) {
  case XF_MSG_MANIFEST_REQUEST:
    session_act(s, XF_SESSION_MANIFEST_ACTION)->text = msg->manifest_request.ns;
    return;
  case XF_MSG_DIRECTORY:
    session_act(s, XF_SESSION_DIRECTORY_ACTION)->directory = msg->directory;
    return;
  case XF_MSG_TASK_OFFER: task_offer(s, &msg->task_offer); return;
  case XF_MSG_MODEL_CHUNK: task_chunk(s, &msg->chunk); return;
  case XF_MSG_TASK_CANCEL: task_cancel(s, &msg->task_cancel); return;
  case XF_MSG_UPDATE_READY: task_upload(s, &msg->update_ready); return;
  case XF_MSG_UPDATE_ACK: task_ack(s, &msg->update_ack); return;
  default: xf_log(XF_LOG_WARN, "message_unexpected", XF_S("type", xf_msg_name(msg->type)));
  }
}

/* OK says that the run is over for every member; any other code that the coordinator will be back. */
static void on_goodbye(struct xf_session *s, const struct xf_msg_goodbye *g) {
  const bool done = strcmp(g->code, "OK") == 0;
  session_act(s, XF_SESSION_CLOSE_ACTION);
  if (s->final_stored && (done || s->final_acked)) {
    s->connected = false; /* nobody is there to hear a goodbye */
    stop(s, XF_OK,
         done ? "the run is done"
              : session_text(s, "the run is done; the coordinator said goodbye: %s", g->text));
  } else if (done && s->final_refused) {
    s->connected = false;
    stop(
        s, s->final_refused,
        "the run is done, and this silo has not stored the final model (see task_refused); take it "
        "from the coordinator's state directory, or start the coordinator again");
  } else {
    lost(s, session_text(s, "the coordinator said goodbye: %s", g->text),
         g->retry_after_ms / 1000.0);
  }
}

static void on_message(struct xf_session *s, const struct xf_msg *msg) {
  if (!s->connected) return;
  s->heard = s->now;
  switch (msg->type) {
  case XF_MSG_PING: session_send(s, XF_MSG_PONG)->ping = msg->ping; return;
  case XF_MSG_PONG:
  case XF_MSG_UNSUPPORTED: return;
  case XF_MSG_REFUSED: on_refused(s, &msg->refused); return;
  case XF_MSG_GOODBYE: on_goodbye(s, &msg->goodbye); return;
  case XF_MSG_WELCOME:
    if (s->state == XF_SESSION_GREETING) on_welcome(s, &msg->welcome);
    return;
  case XF_MSG_PLAN:
    if (s->state == XF_SESSION_ADOPTING) on_plan(s, &msg->plan);
    return;
  default: break;
  }
  if (s->state == XF_SESSION_READY || s->state == XF_SESSION_ADOPTING) on_task_message(s, msg);
}

static void on_dialed(struct xf_session *s) {
  if (s->state != XF_SESSION_DIALING) return;
  s->connected = true;
  s->heard = s->now;
  set_state(s, XF_SESSION_GREETING);
  struct xf_msg_hello *h = &session_send(s, XF_MSG_HELLO)->hello;
  *h = (struct xf_msg_hello){.minor_min = 0,
                             .minor_max = XF_PROTO_MINOR,
                             .features = XF_PLAN_FEATURES_ALL,
                             .software = s->cfg.software,
                             .run_id = s->run_id,
                             .chunk_max = XF_CHUNK_MAX,
                             .has_plan = s->has_plan,
                             .plan_digest = s->plan_digest};
}

static void on_tick(struct xf_session *s) {
  if (s->state == XF_SESSION_RESTING && !xf_time_before(s->now, s->dial_at)) dial(s);
  if (!s->connected) return;
  double patience = s->dead_after_ms ? s->dead_after_ms / 1000.0 : GREET_TIMEOUT_S;
  if (s->state == XF_SESSION_GREETING) patience = GREET_TIMEOUT_S;
  if (!xf_time_before(s->now, xf_time_add_s(s->heard, patience))) {
    session_act(s, XF_SESSION_CLOSE_ACTION);
    lost(s, "the coordinator is silent", 0);
    return;
  }
  task_tick(s);
  if (s->state >= XF_SESSION_ADOPTING && !xf_time_before(s->now, s->beat_at))
    session_send(s, XF_MSG_PING)->ping.nonce = s->epoch;
}

void xf_session_feed(struct xf_session *session, struct xf_time now,
                     const struct xf_session_event *e) {
  struct xf_session *s = session;
  XF_ASSERT(s->at_action == s->n_action);
  s->n_action = s->at_action = 0;
  xf_arena_reset(&s->arena);
  s->now = now;
  if (s->state == XF_SESSION_STOPPED) {
    if (e->type == XF_SESSION_EV_WORKED) s->working = false;
    return;
  }
  switch (e->type) {
  case XF_SESSION_EV_START: dial(s); return;
  case XF_SESSION_EV_TICK: on_tick(s); return;
  case XF_SESSION_EV_DIALED: on_dialed(s); return;
  case XF_SESSION_EV_LOST:
    if (s->state != XF_SESSION_RESTING) lost(s, e->text ? e->text : xf_rc_text(e->rc), 0);
    return;
  case XF_SESSION_EV_MESSAGE: on_message(s, e->msg); return;
  case XF_SESSION_EV_ADOPTED: on_adopted(s, e); return;
  case XF_SESSION_EV_ALIGNED: s->lens = e->lens; return;
  case XF_SESSION_EV_PROGRESS:
    s->done = e->done;
    s->total = e->total;
    if (s->state == XF_SESSION_READY && s->working && !s->cancelled)
      session_send(s, XF_MSG_PROGRESS)->progress =
          (struct xf_msg_progress){s->offer.task_id, e->done, e->total};
    return;
  case XF_SESSION_EV_WORKED: task_worked(s, e); return;
  case XF_SESSION_EV_UPLOADED: task_uploaded(s); return;
  case XF_SESSION_EV_STORED: task_stored(s, e->rc, e->text); return;
  case XF_SESSION_EV_SETTLED:
    if (e->rc) stop(s, e->rc, "the silo's own database cannot be written");
    else task_settled(s);
    return;
  case XF_SESSION_EV_WAKE:
    s->failures = 0;
    if (s->state == XF_SESSION_RESTING && xf_time_before(s->dial_at, XF_TIME_NEVER)) dial(s);
    return;
  case XF_SESSION_EV_STOP: stop(s, XF_OK, "stopped"); return;
  }
}

const struct xf_session_action *xf_session_next(struct xf_session *session) {
  return session->at_action < session->n_action ? &session->action[session->at_action++] : NULL;
}

struct xf_time xf_session_deadline(const struct xf_session *s) {
  if (s->state == XF_SESSION_RESTING) return s->dial_at;
  if (!s->connected || s->state == XF_SESSION_STOPPED) return XF_TIME_NEVER;
  double patience = s->state == XF_SESSION_GREETING || !s->dead_after_ms
                        ? GREET_TIMEOUT_S
                        : s->dead_after_ms / 1000.0;
  struct xf_time t = xf_time_min(xf_time_add_s(s->heard, patience), s->beat_at);
  if (s->task == XF_TASK_STATE_PENDING && s->state == XF_SESSION_READY)
    t = xf_time_min(t, s->resend_at);
  if (s->task == XF_TASK_STATE_SENDING && s->state == XF_SESSION_READY)
    t = xf_time_min(t, s->say_again_at);
  return t;
}

const char *xf_session_reason(const struct xf_session *s) {
  static const char *const names[] = {
#define TASK_NAME(n, t) t,
      XF_TASK_STATE_LIST(TASK_NAME)
#undef TASK_NAME
  };
  return s->state == XF_SESSION_READY ? names[s->task] : s->reason;
}

enum xf_session_state xf_session_get_state(const struct xf_session *s) { return s->state; }
enum xf_task_state xf_session_get_task(const struct xf_session *s) { return s->task; }
bool xf_session_is_over(const struct xf_session *s) { return s->final_acked; }
enum xf_rc xf_session_final_refusal(const struct xf_session *s) { return s->final_refused; }
