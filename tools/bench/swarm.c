/* Members of the federation: client/core on each connection, a fixed update in place of training. */
#include "base/alloc.h"
#include "crypto/sha256.h"
#include "tools/bench/client.h"
#include "wire/codec.h"

#include <string.h>

static void feed(struct swarm_member *m, const struct xf_session_event *e);

static void upload(struct swarm_member *m) {
  if (!m->sending || !m->conn) return;
  enum xf_rc rc = hub_pump(m->swarm->hub, m->conn, &m->task, &m->at);
  if (rc == XF_E_AGAIN) return; /* on_drain goes on */
  m->sending = false;
  if (rc) hub_fail(m->swarm->hub, rc, "upload", xf_rc_text(rc));
}

static void send_msg(struct swarm_member *m, const struct xf_msg *msg) {
  if (!m->conn) return;
  enum xf_rc rc = xf_conn_send(m->conn, msg);
  /* Behind chunks of an upload a heartbeat says nothing new. */
  if (rc == XF_E_AGAIN && (msg->type == XF_MSG_PING || msg->type == XF_MSG_PONG)) return;
  if (rc) hub_fail(m->swarm->hub, rc, xf_msg_name(msg->type), xf_rc_text(rc));
}

/* The silo waits with its answer until the benchmark lets it go. */
static void run(struct swarm_member *m, const struct xf_msg_task_offer *offer) {
  m->offer = *offer;
  m->swarm->model_len = offer->model_len;
  m->swarm->n_gate++;
}

static void announce(struct swarm_member *m) {
  const struct hub *hub = m->swarm->hub;
  uint8_t input[XF_UPDATE_DIGEST_INPUT];
  struct xf_msg_update_begin u = {.task_id = m->offer.task_id,
                                  .round = m->offer.round,
                                  .base_digest = m->offer.base_digest,
                                  .layout_digest = m->offer.layout_digest,
                                  .weight = 1,
                                  .n_samples = 1,
                                  .dtype = XF_DTYPE_FLOAT32,
                                  .payload_len = hub->len,
                                  .payload_digest = hub->digest};
  xf_update_digest_input(input, &u);
  xf_sha256(&u.update_digest, input, sizeof input);
  feed(m, &(struct xf_session_event){.type = XF_SESSION_EV_WORKED, .begin = &u});
}

static void perform(struct swarm_member *m, const struct xf_session_action *a) {
  struct hub *hub = m->swarm->hub;
  switch (a->type) {
  case XF_SESSION_SEND_ACTION: send_msg(m, &a->msg); break;
  case XF_SESSION_ADOPT_ACTION: m->adopting = true; break; /* the first offer tells the layout */
  case XF_SESSION_RUN_ACTION: run(m, a->offer); break;
  case XF_SESSION_UPLOAD_ACTION:
    m->task = a->task_id;
    m->at = a->offset;
    m->sending = true;
    break;
  case XF_SESSION_STORE_FINAL_ACTION: m->stored = true; break;
  case XF_SESSION_SETTLE_ACTION:
    if (a->verdict != XF_VERDICT_ACCEPTED)
      hub_fail(hub, XF_E_STATE, "an update was not accepted", xf_verdict_name(a->verdict));
    m->settled = true;
    m->swarm->n_settled++;
    break;
  case XF_SESSION_CLOSE_ACTION:
    if (m->conn && !hub->ending)
      hub_fail(hub, XF_E_STATE, "a session ended", xf_session_reason(m->session));
    break;
  case XF_SESSION_EXIT_ACTION:
    hub_fail(hub, a->rc ? a->rc : XF_E_STATE, "a session ended", a->text);
    break;
  case XF_SESSION_DIAL_ACTION: /* swarm_open dials; a lost connection is an error here */
  case XF_SESSION_FETCH_BEGIN_ACTION:
  case XF_SESSION_FETCH_WRITE_ACTION: /* checked by the core; not kept */
  case XF_SESSION_MANIFEST_ACTION:
  case XF_SESSION_DIRECTORY_ACTION:
  case XF_SESSION_OUTCOME_ACTION:
  case XF_SESSION_CANCEL_ACTION: break;
  }
}

/* Events caused by actions, once all actions are taken. */
static void follow(struct swarm_member *m) {
  if (m->settled) {
    m->settled = false;
    feed(m, &(struct xf_session_event){.type = XF_SESSION_EV_SETTLED});
  }
  if (m->stored) {
    m->stored = false;
    feed(m, &(struct xf_session_event){.type = XF_SESSION_EV_STORED});
  }
  upload(m);
}

static void feed(struct swarm_member *m, const struct xf_session_event *e) {
  const struct xf_session_action *a;
  xf_session_feed(m->session, xf_time_now(), e);
  while ((a = xf_session_next(m->session))) perform(m, a);
  follow(m);
}

static void on_open(void *arg, const struct xf_identity *peer) {
  (void)peer;
  feed(arg, &(struct xf_session_event){.type = XF_SESSION_EV_DIALED});
}

static void on_msg(void *arg, const struct xf_msg *msg) {
  struct swarm_member *m = arg;
  feed(m, &(struct xf_session_event){.type = XF_SESSION_EV_MESSAGE, .msg = msg});
  if (msg->type != XF_MSG_TASK_OFFER || !m->adopting) return;
  m->adopting = false;
  feed(m, &(struct xf_session_event){.type = XF_SESSION_EV_ADOPTED,
                                     .layout_digest = msg->task_offer.layout_digest,
                                     .lens = xf_plan_lens_one(msg->task_offer.model_len)});
}

static void on_drain(void *arg) { upload(arg); }

static void on_close(void *arg, enum xf_rc rc, const struct xf_diag *diag) {
  struct swarm_member *m = arg;
  m->conn = NULL;
  m->swarm->n_conns--;
  if (!m->swarm->hub->ending)
    hub_fail(m->swarm->hub, rc ? rc : XF_E_UNREACHABLE, "the coordinator", xf_diag_text(diag, rc));
}

static const struct xf_conn_handler handler = {on_open, on_msg, on_drain, on_close};

static enum xf_rc join(struct swarm *s, const struct lab *lab, unsigned i) {
  const struct xf_session_recovery none = {.pending = false};
  struct xf_session_config config = {.federation = "bench", .software = "crossfed bench"};
  struct swarm_member *m = &s->member[i];
  char id[16];
  m->swarm = s;
  lab_member(id, i);
  memcpy(config.member, id, strlen(id) + 1);
  enum xf_rc rc = lab_tls(lab, &m->ctx, XF_PKI_ROLE_CLIENT, id);
  if (rc) return rc;
  m->session = xf_session_new(&config, &none);
  m->conn = xf_conn_dial(&s->hub->net, m->ctx, "127.0.0.1", s->port, &handler, m);
  s->n_conns++;
  feed(m, &(struct xf_session_event){.type = XF_SESSION_EV_START});
  return XF_OK;
}

enum xf_rc swarm_open(struct swarm *s, struct hub *hub, const struct lab *lab, unsigned n) {
  *s = (struct swarm){.hub = hub, .n = n, .port = lab->server_port};
  s->member = xf_calloc(n, sizeof *s->member);
  hub->swarm = s;
  enum xf_rc rc = XF_OK;
  for (unsigned i = 0; i < n && !rc; i++) rc = join(s, lab, i);
  return rc ? rc : swarm_gate(s);
}

enum xf_rc swarm_gate(struct swarm *s) { return hub_wait(s->hub, &s->n_gate, s->n); }

enum xf_rc swarm_update(struct swarm *s) {
  s->n_gate = s->n_settled = 0;
  for (unsigned i = 0; i < s->n && !s->hub->rc; i++) announce(&s->member[i]);
  return hub_wait(s->hub, &s->n_settled, s->n);
}

void swarm_tick(struct swarm *s) {
  const struct xf_time now = xf_time_now();
  for (unsigned i = 0; i < s->n; i++) {
    struct swarm_member *m = &s->member[i];
    if (m->session && m->conn && !s->hub->ending &&
        !xf_time_before(now, xf_session_deadline(m->session)))
      feed(m, &(struct xf_session_event){.type = XF_SESSION_EV_TICK});
  }
}

void swarm_close(struct swarm *s) {
  if (!s->hub) return;
  s->hub->ending = true;
  for (unsigned i = 0; i < s->n; i++)
    if (s->member[i].conn) xf_conn_close(s->member[i].conn, false);
  while (s->n_conns) (void)uv_run(&s->hub->loop, UV_RUN_ONCE);
  for (unsigned i = 0; i < s->n; i++) {
    xf_session_free(s->member[i].session);
    xf_tls_ctx_free(s->member[i].ctx);
  }
  s->hub->swarm = NULL;
  xf_free(s->member);
  *s = (struct swarm){.hub = NULL};
}
