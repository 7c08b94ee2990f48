/*
 * listener.h - a listening socket whose connections are xf_conn.
 * Not for: deciding who may stay (the registry's). Owner: itself until its last close callback; its
 * connections live on after it. Thread: the loop's.
 */
#ifndef XF_NET_LISTENER_H
#define XF_NET_LISTENER_H

#include "net/conn.h"

struct xf_listener;

struct xf_listener_options {
  const char *host;       /* address or name to bind; NULL or "": all addresses */
  uint16_t port;          /* 0: the system chooses (xf_listener_port) */
  uint32_t max_conns;     /* further ones are closed at once; 0: 4096 */
  struct xf_tls_ctx *ctx; /* role coordinator */
  const struct xf_conn_handler *handler;
  /* Called for each accepted connection before its handshake; gives the arg of its handler. */
  void *(*on_accept)(void *arg, struct xf_conn *conn);
  void *arg;
};

/* Binds and listens; resolving a name waits. @own released by close (after an error: by the loop's next turn); borrows net, ctx, handler, arg
   @err E_NOTFOUND (host) E_EXISTS (address in use) E_AUTH (port not allowed) E_IO */
XF_WARN_UNUSED enum xf_rc xf_listener_open(struct xf_listener **out, struct xf_net *net,
                                           const struct xf_listener_options *options,
                                           struct xf_diag *diag);
/* Stops listening; open connections stay. NULL is legal. @own takes listener */
void xf_listener_close(struct xf_listener *listener);
/* The bound port. @unit host byte order */
uint16_t xf_listener_port(const struct xf_listener *listener);
/* Connections accepted and not yet freed. @thread loop */
uint32_t xf_listener_conns(const struct xf_listener *listener);
/* Connections closed at once because max_conns were open. @thread loop */
uint64_t xf_listener_refused(const struct xf_listener *listener);

#endif
