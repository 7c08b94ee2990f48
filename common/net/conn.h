/*
 * conn.h - one connection: TCP + TLS + frames + messages, bounded in memory and time.
 *
 *   CONNECTING (dialled only) -> HANDSHAKE -> OPEN -> CLOSING -> freed
 *
 * The handler hears, in this order: on_open at most once, on_msg and on_drain while open, on_close exactly
 * once. on_close is the last word: the connection is freed when it returns. Handlers never run inside a
 * call of the owner's (send, close, pause), so the owner may call anything from anywhere on the loop thread.
 * A client's on_open does not mean that the coordinator accepts it; its Welcome does.
 *
 * Not for: sessions and heartbeats (the cores'). Owner: itself, until on_close; the handler table and the TLS
 * context are borrowed and must outlive it. Thread: the loop's.
 */
#ifndef XF_NET_CONN_H
#define XF_NET_CONN_H

#include "base/diag.h"
#include "net/net.h"
#include "net/tls.h"
#include "pki/identity.h"
#include "wire/msg.h"

#include <stdbool.h>
#include <stdint.h>

struct xf_conn;

/* X(NAME, text) */
#define XF_CONN_STATES(X)     \
  X(CONNECTING, "connecting") \
  X(HANDSHAKE, "handshake")   \
  X(OPEN, "open")             \
  X(CLOSING, "closing")

enum xf_conn_state {
#define XF_CONN_STATE_ENUM(n, t) XF_CONN_##n,
  XF_CONN_STATES(XF_CONN_STATE_ENUM)
#undef XF_CONN_STATE_ENUM
};

/* Every member but on_open and on_drain must be set. */
struct xf_conn_handler {
  void (*on_open)(void *arg, const struct xf_identity *peer);
  /* msg and all it points to are valid until return. */
  void (*on_msg)(void *arg, const struct xf_msg *msg);
  /* After a send said E_AGAIN: the queue is below half its maximum again. */
  void (*on_drain)(void *arg);
  /* rc 0: we closed; E_EOF: the peer closed in order; else what went wrong, with the sentence for a person
     in diag (a refused certificate, whichever side refused it, is E_AUTH). */
  void (*on_close)(void *arg, enum xf_rc rc, const struct xf_diag *diag);
};

/* Resolves host and connects; the addresses are tried in turn. Failures arrive in on_close, later.
   @own the connection is its own; borrows net, ctx, handler, arg; copies host */
struct xf_conn *xf_conn_dial(struct xf_net *net, struct xf_tls_ctx *ctx, const char *host,
                             uint16_t port, const struct xf_conn_handler *handler, void *arg);
/* Sends a message whole or not at all. @own borrows msg until return
   @err E_STATE (not open, or closing) E_AGAIN (queue full: wait for on_drain) E_LIMIT (message over its
   type's maximum) E_UNREACHABLE (the peer is gone; on_close follows) */
XF_WARN_UNUSED enum xf_rc xf_conn_send(struct xf_conn *conn, const struct xf_msg *msg);
/* Stops and restarts reading from the socket. What was already read (at most 64 KiB) is still delivered.
   @thread loop */
void xf_conn_pause(struct xf_conn *conn);
void xf_conn_resume(struct xf_conn *conn);
/* Ends the connection: no message is delivered any more, on_close(0) follows. With flush, what was sent is
   delivered first, as far as linger_ms allows. @own conn stays valid until on_close */
void xf_conn_close(struct xf_conn *conn, bool flush);

/* @thread loop */
enum xf_conn_state xf_conn_state(const struct xf_conn *conn);
/* @own static */
const char *xf_conn_state_name(enum xf_conn_state state);
/* "192.0.2.7:7443"; the name dialled while connecting. @own conn */
const char *xf_conn_address(const struct xf_conn *conn);
/* Serial of the peer's certificate in hex, "" before it is open: for sessions alive when a CRL changes.
   @own conn */
const char *xf_conn_peer_serial(const struct xf_conn *conn);
/* Last second of the peer's certificate, for sessions that outlive it; 0 before it is open. @unit s since 1970 */
int64_t xf_conn_peer_not_after_s(const struct xf_conn *conn);
/* Bytes on the socket so far, TLS included. @unit bytes */
uint64_t xf_conn_bytes_in(const struct xf_conn *conn);
uint64_t xf_conn_bytes_out(const struct xf_conn *conn);
/* Bytes sent that the kernel has not taken yet. @unit bytes */
size_t xf_conn_queued(const struct xf_conn *conn);

#endif
