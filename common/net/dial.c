/* From a host name to a connected socket: resolve, then try the addresses in turn. */
#include "base/alloc.h"
#include "net/connimpl.h"

#include <stdio.h>
#include <string.h>

static void next_address(struct xf_conn *conn);

void xf_dial_free(struct xf_conn *conn) {
  if (!conn->dial) return;
  uv_freeaddrinfo(conn->dial->addresses);
  xf_free(conn->dial);
  conn->dial = NULL;
}

static void give_up(struct xf_conn *conn) {
  int error = conn->dial->last_error;
  const char *fix = error == UV_ECONNREFUSED ? "is the coordinator running there?"
                                             : "check address, routing and firewall";
  xf_conn_blame(conn, XF_E_UNREACHABLE, "cannot connect to %s: %s; %s", conn->address,
                uv_strerror(error), fix);
  xf_conn_end(conn, false);
}

/* The socket of a failed attempt is closed; a handle serves only one attempt. */
static void on_reopen(uv_handle_t *handle) {
  struct xf_conn *conn = handle->data;
  if (conn->finishing) {
    xf_conn_unref(conn);
    return;
  }
  int bad = uv_tcp_init(conn->net->loop, &conn->tcp);
  conn->tcp.data = conn;
  conn->tcp_open = bad == 0;
  if (bad) {
    conn->pending--; /* the timer is left */
    conn->dial->last_error = bad;
    give_up(conn);
    return;
  }
  next_address(conn);
}

static void attempt_failed(struct xf_conn *conn, int status) {
  conn->dial->last_error = status;
  if (!conn->dial->next) {
    give_up(conn);
    return;
  }
  conn->tcp_open = false;
  uv_close((uv_handle_t *)&conn->tcp, on_reopen);
}

static void on_connect(uv_connect_t *req, int status) {
  struct xf_conn *conn = req->data;
  if (conn->state != XF_CONN_CONNECTING) return; /* closing; the handle's end follows */
  if (status) {
    attempt_failed(conn, status);
    return;
  }
  xf_dial_free(conn);
  xf_conn_connected(conn);
}

static void next_address(struct xf_conn *conn) {
  struct xf_dial *dial = conn->dial;
  const struct addrinfo *a = dial->next;
  dial->next = a->ai_next;
  dial->connect.data = conn;
  int bad = uv_tcp_connect(&dial->connect, &conn->tcp, a->ai_addr, on_connect);
  if (bad) attempt_failed(conn, bad);
}

static void on_resolved(uv_getaddrinfo_t *req, int status, struct addrinfo *list) {
  struct xf_conn *conn = req->data;
  conn->resolving = false;
  conn->dial->addresses = list;
  conn->dial->next = list;
  if (conn->state == XF_CONN_CONNECTING) {
    if (status || !list) {
      xf_conn_blame(conn, XF_E_UNREACHABLE, "cannot resolve %s: %s; check the address",
                    conn->address, status ? uv_strerror(status) : "no address");
      xf_conn_end(conn, false);
    } else {
      next_address(conn);
    }
  }
  xf_conn_unref(conn);
}

struct xf_conn *xf_conn_dial(struct xf_net *net, struct xf_tls_ctx *ctx, const char *host,
                             uint16_t port, const struct xf_conn_handler *handler, void *arg) {
  struct xf_conn *conn = xf_conn_new(net, ctx, handler, arg);
  conn->dial = xf_calloc(1, sizeof *conn->dial);
  conn->dial->resolve.data = conn;
  snprintf(conn->address, sizeof conn->address, "%.60s:%u", host, port);
  char service[8];
  snprintf(service, sizeof service, "%u", port);
  struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
  int bad = uv_getaddrinfo(net->loop, &conn->dial->resolve, on_resolved, host, service, &hints);
  if (bad) {
    xf_conn_blame(conn, XF_E_UNREACHABLE, "cannot resolve %s: %s; check the address", conn->address,
                  uv_strerror(bad));
    xf_conn_end(conn, false);
    return conn;
  }
  conn->resolving = true;
  conn->pending++;
  xf_conn_arm(conn, net->limits.handshake_ms);
  return conn;
}
