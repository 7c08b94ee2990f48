#include "net/timer.h"

static void arm(struct xf_timer *timer);

static void on_uv_timer(uv_timer_t *handle) {
  struct xf_timer *timer = handle->data;
  if (xf_time_before(xf_time_now(), timer->at)) { /* the loop counts in whole milliseconds */
    arm(timer);
    return;
  }
  timer->at = XF_TIME_NEVER;
  timer->on_time(timer->arg);
}

static void arm(struct xf_timer *timer) {
  /* The loop's own idea of now is that of the start of this turn. */
  uv_update_time(timer->handle.loop);
  int64_t ms = xf_time_diff_ms(timer->at, xf_time_now());
  (void)uv_timer_start(&timer->handle, on_uv_timer, (uint64_t)ms, 0); /* fails only while closing */
}

static void on_timer_closed(uv_handle_t *handle) {
  struct xf_timer *timer = handle->data;
  if (timer->on_closed) timer->on_closed(timer->arg);
}

void xf_timer_open(struct xf_timer *timer, uv_loop_t *loop, void (*on_time)(void *arg), void *arg) {
  *timer = (struct xf_timer){.at = XF_TIME_NEVER, .on_time = on_time, .arg = arg};
  (void)uv_timer_init(loop, &timer->handle); /* cannot fail */
  timer->handle.data = timer;
}

void xf_timer_set(struct xf_timer *timer, struct xf_time at) {
  timer->at = at;
  if (at.ns == XF_TIME_NEVER.ns) (void)uv_timer_stop(&timer->handle); /* cannot fail */
  else arm(timer);
}

void xf_timer_close(struct xf_timer *timer, void (*on_closed)(void *arg)) {
  timer->on_closed = on_closed;
  uv_close((uv_handle_t *)&timer->handle, on_timer_closed);
}
