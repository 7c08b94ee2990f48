/*
 * timer.h - one deadline of a core on a loop: armed to an instant of base/time.h, never early.
 * Not for: many timers (a core reports its earliest deadline; arm that). Owner: the caller embeds it and
 * keeps it until on_closed. Thread: the loop's.
 */
#ifndef XF_NET_TIMER_H
#define XF_NET_TIMER_H

#include "base/rc.h"
#include "base/time.h"

#include <uv.h>

struct xf_timer {
  uv_timer_t handle;
  struct xf_time at; /* NEVER: not armed */
  void (*on_time)(void *arg);
  void (*on_closed)(void *arg);
  void *arg;
};

/* Not armed yet. @own caller's storage */
void xf_timer_open(struct xf_timer *timer, uv_loop_t *loop, void (*on_time)(void *arg), void *arg);
/* Arms to `at` in place of any earlier deadline; NEVER disarms. A past instant fires in the next turn of the
   loop, not from inside. @unit monotonic instant */
void xf_timer_set(struct xf_timer *timer, struct xf_time at);
/* on_closed(arg) (may be NULL) when the storage may go. @own storage until then */
void xf_timer_close(struct xf_timer *timer, void (*on_closed)(void *arg));

#endif
