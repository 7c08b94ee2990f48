/* A connection's life and its output. */
#include "net/conn.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "net/connimpl.h"
#include "wire/codec.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

/* --- life --- */

void xf_conn_unref(struct xf_conn *conn) {
  if (--conn->pending > 0) return;
  xf_tls_free(conn->tls);
  conn->tls = NULL;
  xf_frame_reader_deinit(&conn->reader);
  xf_dial_free(conn);
  struct xf_diag none;
  xf_diag_init(&none);
  if (conn->handler) conn->handler->on_close(conn->arg, conn->rc, conn->why ? conn->why : &none);
  if (conn->on_freed) conn->on_freed(conn->on_freed_arg);
  conn->net->n_conns--;
  xf_free(conn->why);
  xf_free(conn);
}

static void on_handle_closed(uv_handle_t *handle) { xf_conn_unref(handle->data); }

/* Closes the handles; the last close callback frees the connection. */
static void finish(struct xf_conn *conn) {
  if (conn->finishing) return;
  conn->finishing = true;
  if (conn->resolving)
    (void)uv_cancel((uv_req_t *)&conn->dial->resolve); /* or it comes back by itself */
  if (conn->tcp_open) uv_close((uv_handle_t *)&conn->tcp, on_handle_closed);
  uv_close((uv_handle_t *)&conn->timer, on_handle_closed);
}

static void on_timer(uv_timer_t *timer) {
  struct xf_conn *conn = timer->data;
  switch (conn->state) {
  case XF_CONN_CONNECTING:
    xf_conn_blame(conn, XF_E_TIMEOUT, "%s did not answer within %u ms; is it up and reachable?",
                  conn->address, conn->net->limits.handshake_ms);
    xf_conn_end(conn, false);
    break;
  case XF_CONN_HANDSHAKE:
    xf_conn_blame(conn, XF_E_TIMEOUT, "%s did not finish the TLS handshake within %u ms",
                  conn->address, conn->net->limits.handshake_ms);
    xf_conn_end(conn, false);
    break;
  case XF_CONN_OPEN:
    if (conn->write_broken) xf_conn_end(conn, false);
    else xf_conn_slow_check(conn);
    break;
  case XF_CONN_CLOSING: finish(conn); break;
  }
}

struct xf_conn *xf_conn_new(struct xf_net *net, struct xf_tls_ctx *ctx,
                            const struct xf_conn_handler *handler, void *arg) {
  struct xf_conn *conn = xf_calloc(1, sizeof *conn);
  conn->net = net;
  conn->ctx = ctx;
  conn->handler = handler;
  conn->arg = arg;
  conn->state = XF_CONN_CONNECTING;
  xf_frame_reader_init(&conn->reader);
  int bad = uv_timer_init(net->loop, &conn->timer) || uv_tcp_init(net->loop, &conn->tcp);
  XF_ASSERT(!bad); /* neither opens anything yet */
  conn->tcp_open = true;
  conn->tcp.data = conn->timer.data = conn;
  conn->pending = 2;
  net->n_conns++;
  return conn;
}

struct xf_conn *xf_conn_accept(struct xf_net *net, struct xf_tls_ctx *ctx, uv_stream_t *server,
                               const struct xf_conn_handler *handler) {
  struct xf_conn *conn = xf_conn_new(net, ctx, handler, NULL);
  if (uv_accept(server, (uv_stream_t *)&conn->tcp) == 0) return conn;
  conn->handler = NULL; /* nobody has heard of it */
  xf_conn_end(conn, false);
  return NULL;
}

void xf_conn_arm(struct xf_conn *conn, uint64_t ms) {
  int bad = uv_timer_start(&conn->timer, on_timer, ms, 0);
  XF_ASSERT(!bad);
}

void xf_conn_blame(struct xf_conn *conn, enum xf_rc rc, const char *fmt, ...) {
  if (conn->why && !conn->provisional) return;
  char text[XF_DIAG_LEN];
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(text, sizeof text, fmt, ap);
  va_end(ap);
  if (!conn->why) conn->why = xf_calloc(1, sizeof *conn->why);
  conn->provisional = false;
  conn->rc = xf_diag_set(conn->why, rc, "%s", text);
}

/* The socket's remote address, and what a crossfed socket always has. A refusal of an option costs speed,
   not correctness. */
static void set_options(struct xf_conn *conn) {
  (void)uv_tcp_nodelay(&conn->tcp, 1);
  int fd = -1;
  unsigned ms = conn->net->limits.user_timeout_ms;
  if (uv_fileno((uv_handle_t *)&conn->tcp, &fd) == 0)
    (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, sizeof ms);
  struct sockaddr_storage peer = {0};
  int len = sizeof peer;
  char ip[INET6_ADDRSTRLEN] = "";
  if (uv_tcp_getpeername(&conn->tcp, (struct sockaddr *)&peer, &len)) return;
  if (peer.ss_family == AF_INET6) {
    const struct sockaddr_in6 *a = (const struct sockaddr_in6 *)&peer;
    if (uv_ip6_name(a, ip, sizeof ip) == 0)
      snprintf(conn->address, sizeof conn->address, "[%s]:%u", ip, ntohs(a->sin6_port));
  } else if (peer.ss_family == AF_INET) {
    const struct sockaddr_in *a = (const struct sockaddr_in *)&peer;
    if (uv_ip4_name(a, ip, sizeof ip) == 0)
      snprintf(conn->address, sizeof conn->address, "%s:%u", ip, ntohs(a->sin_port));
  }
}

void xf_conn_connected(struct xf_conn *conn) {
  set_options(conn);
  conn->state = XF_CONN_HANDSHAKE;
  xf_conn_arm(conn, conn->net->limits.handshake_ms);
  struct xf_diag diag;
  xf_diag_init(&diag);
  enum xf_rc rc = xf_tls_new(&conn->tls, conn->ctx, &conn->net->cipher);
  if (!rc) rc = xf_tls_start(conn->tls, &diag);
  xf_conn_flush(conn);
  if (rc) {
    xf_conn_blame(conn, rc, "%s: %s", conn->address, xf_diag_text(&diag, rc));
    xf_conn_end(conn, false);
    return;
  }
  xf_conn_read_start(conn);
}

/* --- closing --- */

static void on_shutdown(uv_shutdown_t *req, int status) {
  struct xf_conn *conn = req->data;
  if (status && status != UV_ECANCELED) finish(conn);
}

void xf_conn_end(struct xf_conn *conn, bool flush) {
  bool again = conn->state == XF_CONN_CLOSING;
  bool connected = conn->tls != NULL;
  conn->state = XF_CONN_CLOSING;
  if (!flush || !connected || conn->write_broken) {
    finish(conn);
    return;
  }
  if (again) return;
  /* Flush, say that nothing follows, then read to the peer's end of stream: closing with unread bytes
     would reset the connection and could take our last words from the peer. */
  xf_tls_close(conn->tls);
  xf_conn_flush(conn);
  xf_conn_slow_stop(conn);
  conn->shutdown.data = conn;
  if (conn->write_broken || uv_shutdown(&conn->shutdown, (uv_stream_t *)&conn->tcp, on_shutdown)) {
    finish(conn);
    return;
  }
  conn->paused = false;
  xf_conn_read_start(conn);
  xf_conn_arm(conn, conn->net->limits.linger_ms);
}

void xf_conn_close(struct xf_conn *conn, bool flush) { xf_conn_end(conn, flush); }

/* --- output --- */

struct write_job {
  uv_write_t req;
  uint8_t data[];
};

static void write_failed(struct xf_conn *conn, int status) {
  if (conn->write_broken || conn->finishing) return;
  conn->write_broken = true;
  if (conn->state == XF_CONN_CLOSING) {
    finish(conn);
    return;
  }
  /* What the peer said before it went may still be on its way to us, and says more than this. */
  xf_conn_blame(conn, XF_E_UNREACHABLE, "cannot send to %s: %s", conn->address,
                uv_strerror(status));
  conn->provisional = true;
  xf_conn_slow_stop(conn);
  xf_conn_arm(conn, conn->net->limits.linger_ms);
}

static void on_written(uv_write_t *req, int status) {
  struct xf_conn *conn = req->data;
  xf_free(req); /* the first member of its job */
  if (status) {
    if (status != UV_ECANCELED) write_failed(conn, status);
    return;
  }
  if (!conn->want_drain || conn->state != XF_CONN_OPEN ||
      xf_conn_queued(conn) > conn->net->limits.out_max / 2)
    return;
  conn->want_drain = false;
  if (conn->handler->on_drain) conn->handler->on_drain(conn->arg);
}

void xf_conn_flush(struct xf_conn *conn) {
  struct xf_buf *cipher = &conn->net->cipher;
  uv_stream_t *stream = (uv_stream_t *)&conn->tcp;
  size_t at = 0;
  if (cipher->len == 0 || conn->write_broken || conn->finishing) goto out;
  conn->bytes_out += cipher->len;
  if (xf_conn_queued(conn) == 0) {
    uv_buf_t b = uv_buf_init((char *)cipher->p, (unsigned)cipher->len);
    int n = uv_try_write(stream, &b, 1);
    if (n >= 0) at = (size_t)n;
    else if (n != UV_EAGAIN) {
      write_failed(conn, n);
      goto out;
    }
  }
  if (at < cipher->len) {
    size_t rest = cipher->len - at;
    struct write_job *job = xf_alloc(sizeof *job + rest);
    memcpy(job->data, cipher->p + at, rest);
    job->req.data = conn;
    uv_buf_t b = uv_buf_init((char *)job->data, (unsigned)rest);
    int bad = uv_write(&job->req, stream, &b, 1, on_written);
    if (bad) {
      xf_free(job);
      write_failed(conn, bad);
    }
  }
out:
  xf_buf_reset(cipher);
}

enum xf_rc xf_conn_send(struct xf_conn *conn, const struct xf_msg *msg) {
  if (conn->state != XF_CONN_OPEN) return XF_E_STATE;
  if (conn->write_broken) return XF_E_UNREACHABLE;
  size_t queued = xf_conn_queued(conn), max = conn->net->limits.out_max;
  struct xf_buf *frame = &conn->net->frame;
  enum xf_rc rc = XF_OK;
  xf_buf_reset(frame);
  if (queued < max) rc = xf_msg_encode(frame, msg);
  if (rc) return rc;
  if (queued >= max || (queued > 0 && queued + frame->len > max)) {
    conn->want_drain = true;
    return XF_E_AGAIN;
  }
  struct xf_diag diag;
  rc = xf_tls_write(conn->tls, frame->p, frame->len, &diag);
  xf_conn_flush(conn);
  if (rc) {
    xf_conn_blame(conn, rc, "%s: %s", conn->address, xf_diag_text(&diag, rc));
    xf_conn_end(conn, false);
    return XF_E_UNREACHABLE;
  }
  return conn->write_broken ? XF_E_UNREACHABLE : XF_OK;
}

/* --- facts --- */

enum xf_conn_state xf_conn_state(const struct xf_conn *conn) { return conn->state; }

const char *xf_conn_state_name(enum xf_conn_state state) {
  static const char *const names[] = {
#define STATE_NAME(n, t) t,
      XF_CONN_STATES(STATE_NAME)
#undef STATE_NAME
  };
  return (size_t)state < sizeof names / sizeof names[0] ? names[state] : "?";
}

const char *xf_conn_address(const struct xf_conn *conn) { return conn->address; }

const char *xf_conn_peer_serial(const struct xf_conn *conn) {
  return conn->tls ? xf_tls_peer_serial(conn->tls) : "";
}

int64_t xf_conn_peer_not_after_s(const struct xf_conn *conn) {
  return conn->tls ? xf_tls_peer_not_after_s(conn->tls) : 0;
}

uint64_t xf_conn_bytes_in(const struct xf_conn *conn) { return conn->bytes_in; }

uint64_t xf_conn_bytes_out(const struct xf_conn *conn) { return conn->bytes_out; }

size_t xf_conn_queued(const struct xf_conn *conn) {
  return conn->tcp_open ? uv_stream_get_write_queue_size((const uv_stream_t *)&conn->tcp) : 0;
}
