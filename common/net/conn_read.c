/* A connection's input: TLS, frames, messages, and the bounds on what a peer may send. */
#include "base/log.h"
#include "net/connimpl.h"
#include "wire/codec.h"

/* One piece of input on its way to the handler. */
struct piece {
  struct xf_conn *conn;
  struct xf_diag diag;
};

static void on_alloc(uv_handle_t *handle, size_t hint, uv_buf_t *buf) {
  (void)hint;
  const struct xf_conn *conn = handle->data;
  *buf = uv_buf_init((char *)conn->net->read, XF_NET_READ);
}

/* --- slow frames --- */

void xf_conn_slow_stop(struct xf_conn *conn) {
  if (!conn->slow_on) return;
  conn->slow_on = false;
  (void)uv_timer_stop(&conn->timer); /* cannot fail */
}

static void slow_watch(struct xf_conn *conn) {
  bool partial = xf_frame_reader_held(&conn->reader) > 0 || conn->reader.skip_left > 0;
  if (conn->write_broken) return; /* the timer is taken */
  if (!partial || conn->paused) {
    xf_conn_slow_stop(conn);
  } else if (!conn->slow_on) {
    conn->slow_on = true;
    conn->slow_mark = conn->bytes_in;
    xf_conn_arm(conn, conn->net->limits.slow_window_ms);
  }
}

void xf_conn_slow_check(struct xf_conn *conn) {
  const struct xf_net_limits *l = &conn->net->limits;
  uint64_t moved = conn->bytes_in - conn->slow_mark;
  conn->slow_on = false;
  if (moved >= l->slow_bytes) {
    slow_watch(conn);
    return;
  }
  xf_conn_blame(
      conn, XF_E_TIMEOUT,
      "%s sent %llu bytes in %u ms while a message was incomplete, the least is %u; is the "
      "line too slow?",
      conn->address, (unsigned long long)moved, l->slow_window_ms, l->slow_bytes);
  xf_conn_end(conn, true);
}

/* --- messages --- */

/* Last words; a full queue loses them on the way, not in our log. */
static void say(struct xf_conn *conn, const struct xf_msg *msg) {
  enum xf_rc rc = xf_conn_send(conn, msg);
  if (rc)
    xf_log(XF_LOG_DEBUG, "farewell_unsent", XF_S("peer", conn->address),
           XF_S("reason", xf_rc_text(rc)));
}

/* Says goodbye with a reason, then ends. */
static void give_up(struct xf_conn *conn, enum xf_rc rc, const struct xf_diag *diag) {
  xf_conn_blame(conn, rc, "%s: %s", conn->address, xf_diag_text(diag, rc));
  struct xf_msg bye = {.type = XF_MSG_GOODBYE,
                       .goodbye = {xf_rc_name(rc), xf_diag_text(diag, rc), 0}};
  say(conn, &bye);
  xf_conn_end(conn, true);
}

static enum xf_rc on_frame(void *arg, const struct xf_frame *frame) {
  struct piece *piece = arg;
  struct xf_conn *conn = piece->conn;
  if (xf_msg_max(frame->type) == 0) {
    struct xf_msg answer = {.type = XF_MSG_UNSUPPORTED, .unsupported = {frame->type}};
    enum xf_rc rc = xf_conn_send(conn, &answer);
    return rc == XF_E_AGAIN ? XF_OK : rc; /* a peer that does not read gets no answers */
  }
  struct xf_msg msg;
  xf_arena_reset(&conn->net->arena);
  enum xf_rc rc = xf_msg_decode(&msg, &conn->net->arena, frame->type, frame->body, frame->body_len,
                                &piece->diag);
  if (rc) return rc;
  conn->handler->on_msg(conn->arg, &msg);
  return conn->state == XF_CONN_OPEN ? XF_OK : XF_E_CANCELLED;
}

/* The handshake is done: a peer that is none of ours hears why. */
static void opened(struct xf_conn *conn) {
  struct xf_identity peer;
  struct xf_diag diag;
  xf_diag_init(&diag);
  (void)uv_timer_stop(&conn->timer); /* cannot fail */
  conn->state = XF_CONN_OPEN;
  enum xf_rc rc = xf_tls_peer(conn->tls, &peer, &diag);
  if (!rc) {
    if (conn->handler->on_open) conn->handler->on_open(conn->arg, &peer);
    return;
  }
  if (xf_tls_ctx_own(conn->ctx)->identity.role != XF_PKI_ROLE_COORDINATOR) {
    give_up(conn, rc, &diag);
    return;
  }
  struct xf_msg refused = {.type = XF_MSG_REFUSED,
                           .refused = {xf_rc_name(rc), xf_diag_text(&diag, rc),
                                       "use a client certificate of this federation; "
                                       "crossfed pki issue makes one",
                                       0}};
  xf_conn_blame(conn, rc, "%s: %s", conn->address, xf_diag_text(&diag, rc));
  say(conn, &refused);
  xf_conn_end(conn, true);
}

/* --- bytes --- */

static void tls_failed(struct xf_conn *conn, enum xf_rc rc, const struct xf_diag *diag) {
  if (rc == XF_E_EOF) xf_conn_blame(conn, rc, "%s closed the connection", conn->address);
  else xf_conn_blame(conn, rc, "%s: %s", conn->address, xf_diag_text(diag, rc));
  xf_conn_end(conn, true);
}

static void take(struct xf_conn *conn, const uint8_t *p, size_t len) {
  struct piece piece = {.conn = conn};
  size_t n = 0;
  xf_tls_feed(conn->tls, p, len);
  for (;;) {
    enum xf_rc rc = xf_tls_next(conn->tls, conn->net->plain, XF_NET_PLAIN, &n, &piece.diag);
    xf_conn_flush(conn); /* handshake records, or an alert */
    if (rc == XF_E_AGAIN) break;
    if (rc) {
      tls_failed(conn, rc, &piece.diag);
      return;
    }
    if (n == 0) opened(conn);
    else
      rc = xf_frame_reader_feed(&conn->reader, conn->net->plain, n, on_frame, &piece, &piece.diag);
    if (conn->state == XF_CONN_CLOSING) return;
    if (rc) {
      give_up(conn, rc, &piece.diag);
      return;
    }
  }
  if (conn->state == XF_CONN_HANDSHAKE && conn->bytes_in > conn->net->limits.preauth_bytes) {
    xf_conn_blame(
        conn, XF_E_LIMIT, "%s sent %llu bytes without finishing the handshake, the most is %u",
        conn->address, (unsigned long long)conn->bytes_in, conn->net->limits.preauth_bytes);
    xf_conn_end(conn, false);
    return;
  }
  if (conn->state == XF_CONN_OPEN) slow_watch(conn);
}

static void ended(struct xf_conn *conn, int status) {
  bool early = conn->state == XF_CONN_HANDSHAKE;
  if (conn->state != XF_CONN_CLOSING && status == UV_EOF)
    xf_conn_blame(conn, XF_E_UNREACHABLE, "%s closed the connection %s", conn->address,
                  early ? "during the TLS handshake" : "without a goodbye");
  else if (conn->state != XF_CONN_CLOSING)
    xf_conn_blame(conn, XF_E_UNREACHABLE, "connection to %s lost: %s", conn->address,
                  uv_strerror(status));
  xf_conn_end(conn, false);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf) {
  struct xf_conn *conn = stream->data;
  if (n == 0) return;
  if (n < 0) {
    ended(conn, (int)n);
    return;
  }
  conn->bytes_in += (uint64_t)n;
  if (conn->state == XF_CONN_CLOSING) return; /* only waiting for the end */
  take(conn, (const uint8_t *)buf->base, (size_t)n);
}

void xf_conn_read_start(struct xf_conn *conn) {
  int bad = uv_read_start((uv_stream_t *)&conn->tcp, on_alloc, on_read);
  if (bad && bad != UV_EALREADY) {
    xf_conn_blame(conn, XF_E_IO, "cannot read from %s: %s", conn->address, uv_strerror(bad));
    xf_conn_end(conn, false);
  }
}

void xf_conn_pause(struct xf_conn *conn) {
  if (conn->paused || conn->state != XF_CONN_OPEN) return;
  conn->paused = true;
  (void)uv_read_stop((uv_stream_t *)&conn->tcp); /* cannot fail */
  xf_conn_slow_stop(conn);
}

void xf_conn_resume(struct xf_conn *conn) {
  if (!conn->paused || conn->state != XF_CONN_OPEN) return;
  conn->paused = false;
  xf_conn_read_start(conn);
  slow_watch(conn);
}
