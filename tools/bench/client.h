/*
 * client.h - private to tools/bench: the clients of a benchmark, all on one loop of this process.
 *
 *   hub    loop, network, the update that everybody sends
 *   line   connections to the bare peer: an update each, on demand
 *   swarm  members of the federation at the real coordinator: the client's own state machine (client/core) on
 *          each connection, with a fixed update in place of training and no state on disk. They stop before
 *          they answer (the gate), so that all updates start together when the benchmark says so.
 * Not for: measuring the client. Owner: the benchmark. Thread: main.
 */
#ifndef XF_TOOLS_BENCH_CLIENT_H
#define XF_TOOLS_BENCH_CLIENT_H

#include "client/core/session.h"
#include "net/conn.h"
#include "tools/bench/lab.h"

#include <uv.h>

struct hub {
  struct bench *b;
  uv_loop_t loop;
  struct xf_net net;
  uv_timer_t timer; /* ends a wait that lasts too long; ticks the sessions */
  struct xf_time deadline;
  struct swarm *swarm;
  enum xf_rc rc; /* what went wrong, with b->diag */
  uint8_t *data; /* the update */
  size_t len;
  uint32_t *crc; /* of its chunks */
  struct xf_digest digest;
  bool ending; /* connections may close */
};

/* A loop and an update of len bytes (0: none yet). @own caller: hub_deinit @err E_NOMEM E_IO */
XF_WARN_UNUSED enum xf_rc hub_init(struct hub *hub, struct bench *b, size_t len);
/* @own hub; line and swarm must have been closed */
void hub_deinit(struct hub *hub);
/* Another update. @err E_NOMEM */
XF_WARN_UNUSED enum xf_rc hub_set_update(struct hub *hub, size_t len);
/* Runs the loop until *count reaches want. @err what a connection met; E_TIMEOUT */
XF_WARN_UNUSED enum xf_rc hub_wait(struct hub *hub, const unsigned *count, unsigned want);
/* Stops the wait with an error. @own hub */
void hub_fail(struct hub *hub, enum xf_rc rc, const char *what, const char *text);
/* Sends chunks of the update from *at on until the connection is full. @err E_AGAIN or what send gave */
XF_WARN_UNUSED enum xf_rc hub_pump(struct hub *hub, struct xf_conn *conn,
                                   const struct xf_digest *task, uint64_t *at);

struct line_end {
  struct line *line;
  struct xf_conn *conn;
  uint64_t at;
  bool sending;
};

struct line {
  struct hub *hub;
  struct xf_tls_ctx *ctx;
  struct line_end *end;
  unsigned n, n_dialed, n_open, n_acked, n_closed;
  uint16_t port;
};

/* Room for n connections of member 0. @own caller: line_close @err as lab_tls */
XF_WARN_UNUSED enum xf_rc line_open(struct line *line, struct hub *hub, const struct lab *lab,
                                    unsigned n);
/* Dials until n of them are open. @err as hub_wait */
XF_WARN_UNUSED enum xf_rc line_dial(struct line *line, unsigned n);
/* The first n send the update; until all are acknowledged. With echo the peer sends as many bytes back before.
   @err as hub_wait */
XF_WARN_UNUSED enum xf_rc line_update(struct line *line, unsigned n, bool echo);
/* Ends all connections. @own line; legal after errors */
void line_close(struct line *line);

struct swarm_member {
  struct swarm *swarm;
  struct xf_session *session;
  struct xf_conn *conn;
  struct xf_tls_ctx *ctx;
  bool adopting, sending, settled, stored;
  struct xf_msg_task_offer offer;
  struct xf_digest task; /* being sent */
  uint64_t at;
};

struct swarm {
  struct hub *hub;
  struct swarm_member *member;
  unsigned n, n_gate, n_settled, n_conns;
  uint64_t model_len; /* as offered */
  uint16_t port;
};

/* All members connect; returns when each has its task and the model and waits at the gate.
   @own caller: swarm_close, after errors too @err as hub_wait */
XF_WARN_UNUSED enum xf_rc swarm_open(struct swarm *swarm, struct hub *hub, const struct lab *lab,
                                     unsigned n);
/* All answer; returns when each update is acknowledged. @err as hub_wait */
XF_WARN_UNUSED enum xf_rc swarm_update(struct swarm *swarm);
/* Until all wait at the gate of the next round. @err as hub_wait */
XF_WARN_UNUSED enum xf_rc swarm_gate(struct swarm *swarm);
/* @own swarm */
void swarm_close(struct swarm *swarm);
/* Time passes. @thread loop */
void swarm_tick(struct swarm *swarm);

#endif
