#include "net/listener.h"

#include "base/alloc.h"
#include "base/log.h"
#include "net/connimpl.h"

#include <netinet/in.h>
#include <stdio.h>

enum { MAX_CONNS = 4096, BACKLOG = 512 };

struct xf_listener {
  uv_tcp_t tcp;
  struct xf_net *net;
  struct xf_tls_ctx *ctx;
  const struct xf_conn_handler *handler;
  void *(*on_accept)(void *arg, struct xf_conn *conn);
  void *arg;
  uint32_t max_conns, conns;
  uint64_t refused;
  uint16_t port;
  bool closed; /* the handle is gone; freed with the last connection */
};

static void free_if_done(struct xf_listener *l) {
  if (l->closed && l->conns == 0) xf_free(l);
}

static void on_conn_freed(void *arg) {
  struct xf_listener *l = arg;
  l->conns--;
  free_if_done(l);
}

static void on_listener_closed(uv_handle_t *handle) {
  struct xf_listener *l = handle->data;
  l->closed = true;
  free_if_done(l);
}

/* Taking a connection and dropping it tells the peer at once; leaving it in the backlog would not. */
static void on_dropped(uv_handle_t *handle) { xf_free(handle); }

static void drop(struct xf_listener *l, uv_stream_t *server) {
  uv_tcp_t *tcp = xf_calloc(1, sizeof *tcp);
  l->refused++;
  if (l->refused == 1 || l->refused % 1000 == 0)
    xf_log(XF_LOG_WARN, "connections_full", XF_U("max", l->max_conns), XF_U("refused", l->refused));
  if (uv_tcp_init(l->net->loop, tcp)) {
    xf_free(tcp);
    return;
  }
  (void)uv_accept(server, (uv_stream_t *)tcp); /* closed in either case */
  uv_close((uv_handle_t *)tcp, on_dropped);
}

static void on_connection(uv_stream_t *server, int status) {
  struct xf_listener *l = server->data;
  if (status) {
    xf_log(XF_LOG_WARN, "accept_failed", XF_S("reason", uv_strerror(status)));
    return;
  }
  if (l->conns >= l->max_conns) {
    drop(l, server);
    return;
  }
  struct xf_conn *conn = xf_conn_accept(l->net, l->ctx, server, l->handler);
  if (!conn) return;
  l->conns++;
  conn->on_freed = on_conn_freed;
  conn->on_freed_arg = l;
  conn->arg = l->on_accept(l->arg, conn);
  if (conn->state != XF_CONN_CLOSING) xf_conn_connected(conn);
}

static enum xf_rc bind_error(struct xf_diag *diag, const char *host, unsigned port, int error) {
  if (error == UV_EADDRINUSE)
    return xf_diag_set(
        diag, XF_E_EXISTS,
        "cannot listen on %s port %u: another process has it; stop that one or choose "
        "another port",
        host, port);
  if (error == UV_EACCES)
    return xf_diag_set(diag, XF_E_AUTH,
                       "cannot listen on %s port %u: not permitted; choose a port above 1023", host,
                       port);
  if (error == UV_EADDRNOTAVAIL)
    return xf_diag_set(diag, XF_E_NOTFOUND,
                       "cannot listen on %s port %u: no interface of this host has that address",
                       host, port);
  return xf_diag_set(diag, XF_E_IO, "cannot listen on %s port %u: %s", host, port,
                     uv_strerror(error));
}

/* Binds and listens on the first address that takes it. */
static int start(struct xf_listener *l, const struct addrinfo *list) {
  int bad = UV_EADDRNOTAVAIL;
  for (const struct addrinfo *a = list; a; a = a->ai_next) {
    bad = uv_tcp_bind(&l->tcp, a->ai_addr, 0);
    if (!bad) bad = uv_listen((uv_stream_t *)&l->tcp, BACKLOG, on_connection);
    if (!bad) break;
  }
  struct sockaddr_storage at = {0};
  int len = sizeof at;
  if (!bad) bad = uv_tcp_getsockname(&l->tcp, (struct sockaddr *)&at, &len);
  if (bad) return bad;
  l->port = ntohs(at.ss_family == AF_INET6 ? ((const struct sockaddr_in6 *)&at)->sin6_port
                                           : ((const struct sockaddr_in *)&at)->sin_port);
  return 0;
}

enum xf_rc xf_listener_open(struct xf_listener **out, struct xf_net *net,
                            const struct xf_listener_options *options, struct xf_diag *diag) {
  const char *host = options->host && options->host[0] ? options->host : NULL;
  const char *shown = host ? host : "any address";
  char service[8];
  snprintf(service, sizeof service, "%u", options->port);
  struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV | AI_PASSIVE};
  if (!host) hints.ai_family = AF_INET;
  uv_getaddrinfo_t resolve;
  int bad = uv_getaddrinfo(net->loop, &resolve, NULL, host, service, &hints); /* at start: waits */
  if (bad)
    return xf_diag_set(diag, XF_E_NOTFOUND, "cannot listen on %s: %s; check the address", shown,
                       uv_strerror(bad));
  struct xf_listener *l = xf_calloc(1, sizeof *l);
  l->net = net;
  l->ctx = options->ctx;
  l->handler = options->handler;
  l->on_accept = options->on_accept;
  l->arg = options->arg;
  l->max_conns = options->max_conns ? options->max_conns : MAX_CONNS;
  bad = uv_tcp_init(net->loop, &l->tcp);
  l->tcp.data = l;
  if (!bad) {
    bad = start(l, resolve.addrinfo);
    if (bad) uv_close((uv_handle_t *)&l->tcp, on_listener_closed);
  } else {
    xf_free(l);
  }
  uv_freeaddrinfo(resolve.addrinfo);
  if (bad) return bind_error(diag, shown, options->port, bad);
  *out = l;
  return XF_OK;
}

void xf_listener_close(struct xf_listener *listener) {
  if (listener) uv_close((uv_handle_t *)&listener->tcp, on_listener_closed);
}

uint16_t xf_listener_port(const struct xf_listener *listener) { return listener->port; }

uint32_t xf_listener_conns(const struct xf_listener *listener) { return listener->conns; }

uint64_t xf_listener_refused(const struct xf_listener *listener) { return listener->refused; }
