/* Connections of silos: who they are, what they say to the core and to alignment, how they end. */
#include "base/alloc.h"
#include "base/fail.h"
#include "base/log.h"
#include "server/io/daemon.h"

#include <stdio.h>
#include <string.h>

enum { PENDING_MAX = 1 << 20 };

struct srv_session *srv_session_find(struct srv *srv, uint64_t id) {
  size_t lo = 0, hi = srv->n_session; /* ids ascend: they are given in order */
  while (lo < hi) {
    const size_t mid = lo + (hi - lo) / 2;
    if (srv->session[mid]->id == id) return srv->session[mid];
    if (srv->session[mid]->id < id) lo = mid + 1;
    else hi = mid;
  }
  return NULL;
}

void *srv_session_accept(void *arg, struct xf_conn *conn) {
  struct srv *srv = arg;
  struct srv_session *s = xf_calloc(1, sizeof *s);
  *s = (struct srv_session){.srv = srv,
                            .conn = conn,
                            .id = ++srv->last_conn,
                            .member = UINT32_MAX,
                            .chunk_max = XF_CHUNK_MAX};
  xf_buf_init(&s->pending, PENDING_MAX);
  srv->session = xf_realloc_array(srv->session, srv->n_session + 1, sizeof(struct srv_session *));
  srv->session[srv->n_session++] = s;
  return s;
}

/* The core forgets it now; the connection itself ends when it has said its last words. */
static void left(struct srv_session *s, const char *reason) {
  struct srv *srv = s->srv;
  if (!s->open) return;
  s->open = false;
  s->n_range = 0;
  s->directory = false;
  if (s->member != UINT32_MAX && !srv->st.m[s->member].aligned) srv_align_drop(&srv->st, s->member);
  if (s->welcomed) {
    xf_log(XF_LOG_INFO, "client_left", XF_S("client", s->peer), XF_S("reason", reason));
    srv_seen_set(&srv->st, s->member, false, xf_wall_now_us(), reason);
  }
  srv_feed(srv, &(struct xf_coord_event){.type = XF_COORD_EV_CLOSED, .conn = s->id});
}

void srv_session_close(struct srv_session *s, bool flush) {
  if (s->closing) return;
  s->n_range = 0;
  if (flush && s->pending.len)
    srv_serve_pump(s); /* last words behind a full queue go as far as they can */
  s->closing = true;
  xf_conn_close(s->conn, flush);
  left(s, "closed by the coordinator");
}

void srv_session_send(struct srv_session *s, const struct xf_msg *msg) {
  if (s->closing) return;
  if (msg->type == XF_MSG_WELCOME) {
    s->welcomed = true;
    srv_seen_set(&s->srv->st, s->member, true, xf_wall_now_us(), "");
    srv_turn(s->srv);
    s->chunk_max = msg->welcome.chunk_max;
  }
  if (msg->type == XF_MSG_TASK_CANCEL) srv_serve_drop(s->srv, s);
  if (s->pending.len || s->directory) {
    srv_serve_queue(s, msg);
    return;
  }
  const enum xf_rc rc = xf_conn_send(s->conn, msg);
  if (rc == XF_E_AGAIN) {
    s->stuck = true;
    srv_serve_queue(s, msg);
  } else if (rc == XF_E_LIMIT) {
    xf_log(XF_LOG_ERROR, "message_too_long", XF_S("client", s->peer),
           XF_S("type", xf_msg_name(msg->type)));
  } /* anything else: it is gone, on_close follows */
  if (msg->type == XF_MSG_TASK_OFFER) XF_FAILPOINT("K3");
}

static bool is_revoked(const struct srv_session *s) {
  return xf_pki_is_revoked(xf_tls_ctx_store(s->srv->tls), xf_conn_peer_serial(s->conn));
}

static void end_revoked(struct srv_session *s) {
  xf_log(XF_LOG_WARN, "session_revoked", XF_S("client", s->peer),
         XF_S("serial", xf_conn_peer_serial(s->conn)),
         XF_S("reason", "its certificate was revoked; if that was a mistake, issue a new one: "
                        "crossfed pki issue"));
  srv_session_send(s, &(struct xf_msg){.type = XF_MSG_GOODBYE,
                                       .goodbye = {xf_rc_name(XF_E_AUTH),
                                                   "this certificate was revoked; ask the operator "
                                                   "for a new one",
                                                   60000}});
  srv_session_close(s, true);
}

static void end_expired(struct srv_session *s) {
  char when[XF_WALL_LEN];
  xf_log(XF_LOG_WARN, "session_expired", XF_S("client", s->peer),
         XF_S("serial", xf_conn_peer_serial(s->conn)),
         XF_S("not_after", xf_wall_print(when, xf_conn_peer_not_after_s(s->conn) * 1000000)),
         XF_S("reason", "its certificate expired during the session; issue a new one: "
                        "crossfed pki issue"));
  srv_session_send(s, &(struct xf_msg){.type = XF_MSG_GOODBYE,
                                       .goodbye = {xf_rc_name(XF_E_AUTH),
                                                   "this certificate has expired; ask the operator "
                                                   "for a new one",
                                                   60000}});
  srv_session_close(s, true);
}

void srv_session_expired(struct srv *srv, int64_t now_s) {
  for (size_t i = srv->n_session; i-- > 0;) {
    struct srv_session *s = srv->session[i];
    if (!s->closing && s->open && xf_conn_peer_not_after_s(s->conn) < now_s) end_expired(s);
  }
}

void srv_session_revoked(struct srv *srv) {
  for (size_t i = srv->n_session; i-- > 0;) {
    struct srv_session *s = srv->session[i];
    if (!s->closing && s->open && is_revoked(s)) end_revoked(s);
  }
}

/* --- what connections tell --------------------------------------------------------------------------------------- */

static void on_open(void *arg, const struct xf_identity *peer) {
  struct srv_session *s = arg;
  (void)snprintf(s->peer, sizeof s->peer, "%s", peer->member);
  s->member = srv_state_member(&s->srv->st, s->peer);
  if (is_revoked(s)) { /* the list changed while the handshake was under way */
    end_revoked(s);
    return;
  }
  s->open = true;
  xf_log(XF_LOG_DEBUG, "connected", XF_S("client", s->peer),
         XF_S("address", xf_conn_address(s->conn)));
  srv_feed(s->srv, &(struct xf_coord_event){
                       .type = XF_COORD_EV_OPENED, .conn = s->id, .member_id = s->peer});
}

static void refuse_manifest(struct srv_session *s, enum xf_rc rc, const struct xf_diag *diag) {
  xf_log(XF_LOG_WARN, "manifest_refused", XF_S("client", s->peer),
         XF_S("reason", xf_diag_text(diag, rc)));
  srv_session_send(s, &(struct xf_msg){.type = XF_MSG_GOODBYE,
                                       .goodbye = {xf_rc_name(rc), xf_diag_text(diag, rc), 60000}});
  srv_session_close(s, true);
}

/* The exchange of keys is the shell's: the core only hears that somebody is alive, and of the end. */
static void on_manifest(struct srv_session *s, const struct xf_msg *msg) {
  struct srv *srv = s->srv;
  struct xf_diag diag;
  bool complete = false;
  xf_diag_init(&diag);
  const bool was = srv->st.m[s->member].aligned;
  enum xf_rc rc = srv_align_take(&srv->st, s->member, &msg->manifest, &complete, &diag);
  if (rc == XF_E_IO || rc == XF_E_NOSPACE) srv_fail(srv, rc, "manifest", &diag);
  else if (rc) refuse_manifest(s, rc, &diag);
  if (rc || !complete || was) return;
  xf_log(XF_LOG_INFO, "member_aligned", XF_S("client", s->peer),
         XF_U("keys", srv_align_keys(&srv->st, s->member)));
  if (srv->st.frozen) {
    if (srv_model_lens(&srv->st, s->member).all == 0) {
      xf_diag_set(&diag, XF_E_LATE,
                  "the directory was frozen without this silo and the plan shares nothing else");
      refuse_manifest(s, XF_E_LATE, &diag);
      return;
    }
    srv_set_lens(srv, s->member);
  }
  srv_feed(srv, &(struct xf_coord_event){.type = XF_COORD_EV_ALIGNED, .member = s->member});
}

static void on_msg(void *arg, const struct xf_msg *msg) {
  struct srv_session *s = arg;
  if (s->closing || !s->open) return;
  if (msg->type != XF_MSG_MANIFEST) {
    srv_feed(s->srv,
             &(struct xf_coord_event){.type = XF_COORD_EV_MESSAGE, .conn = s->id, .msg = msg});
    return;
  }
  const struct xf_msg alive = {.type =
                                   XF_MSG_PONG}; /* before Hello it is refused, as any message is */
  srv_feed(s->srv,
           &(struct xf_coord_event){.type = XF_COORD_EV_MESSAGE, .conn = s->id, .msg = &alive});
  if (!s->closing && s->welcomed && s->member != UINT32_MAX) on_manifest(s, msg);
}

static void on_drain(void *arg) {
  struct srv_session *s = arg;
  s->stuck = false;
  srv_serve_pump(s);
}

static void on_close(void *arg, enum xf_rc rc, const struct xf_diag *diag) {
  struct srv_session *s = arg;
  struct srv *srv = s->srv;
  if (rc && rc != XF_E_EOF)
    xf_log(s->welcomed ? XF_LOG_INFO : XF_LOG_WARN, "connection_lost", XF_S("client", s->peer),
           XF_S("address", xf_conn_address(s->conn)), XF_S("reason", xf_diag_text(diag, rc)));
  s->closing = true;
  left(s, rc == XF_E_EOF ? "closed by the client" : xf_diag_text(diag, rc));
  size_t at = 0;
  while (at < srv->n_session && srv->session[at] != s) at++;
  if (at < srv->n_session) {
    srv->n_session--;
    memmove(&srv->session[at], &srv->session[at + 1],
            (srv->n_session - at) * sizeof(struct srv_session *));
  }
  xf_buf_deinit(&s->pending);
  xf_free(s);
}

const struct xf_conn_handler srv_conn_handler = {on_open, on_msg, on_drain, on_close};
