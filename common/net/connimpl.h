/*
 * connimpl.h - private to net: a connection's memory and the functions its files share.
 * conn.c keeps its life and its output, conn_read.c its input, dial.c the way to an open socket.
 * Owner and thread: as in conn.h.
 */
#ifndef XF_NET_CONNIMPL_H
#define XF_NET_CONNIMPL_H

#include "net/conn.h"
#include "wire/frame.h"

#include <uv.h>

enum { XF_CONN_ADDRESS = 72 };

struct xf_dial { /* only while CONNECTING */
  uv_getaddrinfo_t resolve;
  uv_connect_t connect;
  struct addrinfo *addresses, *next;
  int last_error;
};

struct xf_conn {
  uv_tcp_t tcp;
  uv_timer_t timer; /* handshake; slow frame; broken output; linger: one at a time, by state */
  uv_shutdown_t shutdown;
  struct xf_net *net;
  struct xf_tls_ctx *ctx;
  struct xf_tls *tls;
  struct xf_dial *dial;
  const struct xf_conn_handler *handler;
  void *arg;
  void (*on_freed)(void *arg); /* the listener's count */
  void *on_freed_arg;
  struct xf_frame_reader reader;
  enum xf_conn_state state;
  unsigned pending; /* handles not yet closed and a name not yet resolved */
  bool tcp_open, resolving;
  bool finishing; /* the handles are being closed */
  bool paused;
  bool want_drain;
  bool write_broken; /* the peer takes nothing more; it may still have said why */
  bool slow_on;      /* the timer watches an incomplete frame */
  uint64_t slow_mark;
  uint64_t bytes_in, bytes_out;
  bool provisional; /* `why` is only that output broke */
  enum xf_rc rc;
  struct xf_diag *why; /* NULL: nothing went wrong */
  char address[XF_CONN_ADDRESS];
};

/* A connection with its timer and no socket yet. @own itself */
struct xf_conn *xf_conn_new(struct xf_net *net, struct xf_tls_ctx *ctx,
                            const struct xf_conn_handler *handler, void *arg);
/* An accepted one; pending on `server`. @own itself; NULL: the system refused it */
struct xf_conn *xf_conn_accept(struct xf_net *net, struct xf_tls_ctx *ctx, uv_stream_t *server,
                               const struct xf_conn_handler *handler);
/* The socket is connected: begins the handshake. @thread loop */
void xf_conn_connected(struct xf_conn *conn);
/* Records why, if nothing was recorded before (or only that output broke). @err rc */
void xf_conn_blame(struct xf_conn *conn, enum xf_rc rc, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Ends it: with flush, what is queued is delivered first. @thread loop */
void xf_conn_end(struct xf_conn *conn, bool flush);
/* Sends what TLS has left in net->cipher. @thread loop */
void xf_conn_flush(struct xf_conn *conn);
/* Arms the timer of the present state. @unit ms */
void xf_conn_arm(struct xf_conn *conn, uint64_t ms);
/* Reads on, from the start or after a pause. @thread loop */
void xf_conn_read_start(struct xf_conn *conn);
/* Stops watching an incomplete frame. @thread loop */
void xf_conn_slow_stop(struct xf_conn *conn);
/* At the end of a window. @thread loop */
void xf_conn_slow_check(struct xf_conn *conn);
/* One handle or request of conn is gone; frees it with the last one. @own takes conn then */
void xf_conn_unref(struct xf_conn *conn);
/* Releases what dialling holds. @own takes conn->dial */
void xf_dial_free(struct xf_conn *conn);

#endif
