#include "http/conns.h"

#include "base/alloc.h"
#include "base/assert.h"

#include <string.h>
#include <sys/socket.h>

enum { SWEEP_MS = 1000 };

/* Mutex and condition are of the default kind and used as their pages say: failing would be our own mistake. */
static void lock(struct xf_http_conns *c) {
  const int failed = pthread_mutex_lock(&c->mutex);
  XF_ASSERT(!failed);
}
static void unlock(struct xf_http_conns *c) {
  const int failed = pthread_mutex_unlock(&c->mutex);
  XF_ASSERT(!failed);
}

/* Waits for a change, at most ms. */
static void wait_ms(struct xf_http_conns *c, int64_t ms) {
  const struct xf_time until = xf_time_add_ms(xf_time_now(), ms);
  const struct timespec at = {.tv_sec = until.ns / 1000000000, .tv_nsec = until.ns % 1000000000};
  (void)pthread_cond_timedwait(&c->changed, &c->mutex,
                               &at); /* the time-out is as good as a change */
}

static void sweep(struct xf_http_conns *c) {
  const struct xf_time now = xf_time_now();
  for (struct xf_http_conn *n = c->first; n; n = n->after)
    if (xf_time_diff_s(now, n->since) > (n->busy ? c->busy_s : c->limit_s))
      (void)shutdown(n->fd, SHUT_RDWR); /* ENOTCONN: the client was faster */
}

static void *sweeper(void *arg) {
  struct xf_http_conns *c = arg;
  struct xf_time next = xf_time_add_ms(xf_time_now(), SWEEP_MS);
  lock(c);
  while (!c->over) {
    wait_ms(c, xf_time_diff_ms(next, xf_time_now()));
    if (xf_time_before(xf_time_now(), next)) continue;
    sweep(c);
    next = xf_time_add_ms(xf_time_now(), SWEEP_MS);
  }
  unlock(c);
  return NULL;
}

enum xf_rc xf_http_conns_start(struct xf_http_conns *conns, double limit_s, double busy_s) {
  pthread_condattr_t attr;
  *conns = (struct xf_http_conns){.limit_s = limit_s, .busy_s = busy_s};
  if (pthread_condattr_init(&attr)) return XF_E_NOMEM;
  int failed = pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
  if (!failed) failed = pthread_mutex_init(&conns->mutex, NULL);
  if (!failed) {
    failed = pthread_cond_init(&conns->changed, &attr);
    if (!failed) failed = pthread_create(&conns->sweeper, NULL, sweeper, conns);
  }
  (void)pthread_condattr_destroy(&attr);
  conns->running = !failed;
  return failed ? XF_E_NOMEM : XF_OK;
}

void xf_http_conns_stop(struct xf_http_conns *conns) {
  if (!conns->running) return;
  XF_ASSERT(!conns->first);
  lock(conns);
  conns->over = true;
  (void)pthread_cond_broadcast(&conns->changed);
  unlock(conns);
  const int failed = pthread_join(conns->sweeper, NULL);
  XF_ASSERT(!failed);
  (void)pthread_cond_destroy(&conns->changed);
  (void)pthread_mutex_destroy(&conns->mutex);
  conns->running = false;
}

struct xf_http_conn *xf_http_conns_add(struct xf_http_conns *conns, int fd) {
  struct xf_http_conn *n = xf_calloc(1, sizeof *n);
  n->fd = fd;
  n->since = xf_time_now();
  lock(conns);
  n->after = conns->first;
  if (n->after) n->after->before = n;
  conns->first = n;
  conns->n++;
  unlock(conns);
  return n;
}

void xf_http_conns_mark(struct xf_http_conns *conns, struct xf_http_conn *conn, bool busy) {
  lock(conns);
  if (conn->busy != busy)
    conns->n_busy += busy ? 1 : (size_t)-1; /* drain looks by itself: no wake-up for each answer */
  conn->busy = busy;
  conn->since = xf_time_now();
  unlock(conns);
}

void xf_http_conns_remove(struct xf_http_conns *conns, struct xf_http_conn *conn) {
  if (!conn) return;
  xf_http_conns_mark(conns, conn, false);
  lock(conns);
  if (conn->before) conn->before->after = conn->after;
  else conns->first = conn->after;
  if (conn->after) conn->after->before = conn->before;
  conns->n--;
  unlock(conns);
  xf_free(conn);
}

void xf_http_conns_drain(struct xf_http_conns *conns, double wait_s, double quiet_s) {
  const struct xf_time end = xf_time_add_s(xf_time_now(), wait_s);
  struct xf_time quiet = xf_time_now();
  lock(conns);
  for (;;) {
    const struct xf_time now = xf_time_now();
    if (conns->n_busy) quiet = now;
    if (!xf_time_before(now, end) || xf_time_diff_s(now, quiet) >= quiet_s) break;
    wait_ms(conns, 10);
  }
  unlock(conns);
}
