/*
 * conns.h - private to common/http: open connections, so that none can be held for ever by a client that sends or reads drop
 * by drop. libmicrohttpd's own time-out starts anew with every byte; this one does not.
 *
 * A connection may wait `limit_s` for a whole request, from its start or the end of the answer before, and `busy_s` for its
 * answer to be taken; then its socket is shut down and libmicrohttpd cleans up.
 * Owner: the server's. Thread: any; a thread of its own looks once a second.
 */
#ifndef XF_HTTP_CONNS_H
#define XF_HTTP_CONNS_H

#include "base/rc.h"
#include "base/time.h"

#include <pthread.h>
#include <stddef.h>

struct xf_http_conn {
  struct xf_http_conn *before, *after;
  int fd;
  bool busy; /* a request is being answered */
  struct xf_time since;
};

struct xf_http_conns {
  pthread_mutex_t mutex;
  pthread_cond_t changed;
  pthread_t sweeper;
  struct xf_http_conn *first;
  size_t n, n_busy;
  double limit_s, busy_s;
  bool running, over;
};

/* @own caller, xf_http_conns_stop @err E_NOMEM */
XF_WARN_UNUSED enum xf_rc xf_http_conns_start(struct xf_http_conns *conns, double limit_s,
                                              double busy_s);
/* Idempotent, legal on a zeroed struct. @thread alone, after every connection is gone */
void xf_http_conns_stop(struct xf_http_conns *conns);
/* @own conns, until xf_http_conns_remove @thread any */
struct xf_http_conn *xf_http_conns_add(struct xf_http_conns *conns, int fd);
/* NULL is legal. @own takes conn @thread any; before its descriptor is closed */
void xf_http_conns_remove(struct xf_http_conns *conns, struct xf_http_conn *conn);
/* A request is whole (busy) or its answer is out. @thread any */
void xf_http_conns_mark(struct xf_http_conns *conns, struct xf_http_conn *conn, bool busy);
/* Waits until nothing was being answered for `quiet_s`, at most wait_s. @unit s @thread any */
void xf_http_conns_drain(struct xf_http_conns *conns, double wait_s, double quiet_s);

#endif
