/* Mailbox and timer: wake-ups reach the loop, deadlines are never early, loops close with nothing left. */
#include "base/worker.h"
#include "net/mailbox.h"
#include "net/timer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { JOBS = 200 };

struct stage {
  uv_loop_t loop;
  struct xf_mailbox box;
  struct xf_worker *pool;
  struct xf_job job[JOBS];
  atomic_int ran;
  int back, wakes;
  bool closed;
};

static struct stage stage;

static void run_job(struct xf_job *job) {
  (void)job;
  stage.ran++;
}

static void on_box_closed(void *arg) {
  struct stage *s = arg;
  s->closed = true;
}

static void on_wake(void *arg) {
  struct stage *s = arg;
  s->wakes++;
  while (xf_worker_take(s->pool)) s->back++;
  if (s->back < JOBS) return;
  xf_worker_stop(s->pool);
  xf_mailbox_close(&s->box, on_box_closed);
}

static void test_mailbox(void **state) {
  (void)state;
  struct stage *s = &stage;
  assert_int_equal(uv_loop_init(&s->loop), 0);
  assert_int_equal(xf_mailbox_open(&s->box, &s->loop, on_wake, s), XF_OK);
  assert_int_equal(xf_worker_start(&s->pool, 2, xf_mailbox_wake, &s->box), XF_OK);
  for (int i = 0; i < JOBS; i++) {
    s->job[i].run = run_job;
    xf_worker_submit(s->pool, &s->job[i]);
  }
  uv_run(&s->loop, UV_RUN_DEFAULT);
  assert_int_equal(s->ran, JOBS);
  assert_int_equal(s->back, JOBS);
  assert_true(s->wakes >= 1 && s->wakes <= JOBS);
  assert_true(s->closed);
  assert_int_equal(uv_loop_close(&s->loop), 0);
}

struct tick {
  struct xf_timer timer;
  struct xf_time due;
  int fired;
  bool again, closed;
};

static void on_tick_closed(void *arg) {
  struct tick *t = arg;
  t->closed = true;
}

static void on_time(void *arg) {
  struct tick *t = arg;
  assert_false(xf_time_before(xf_time_now(), t->due)); /* never early */
  t->fired++;
  if (t->again && t->fired < 4) {
    t->due = xf_time_add_s(xf_time_now(), 0.0017);
    xf_timer_set(&t->timer, t->due);
  } else {
    xf_timer_close(&t->timer, on_tick_closed);
  }
}

static void test_timer(void **state) {
  (void)state;
  uv_loop_t loop;
  struct tick t = {.again = true}, past = {0}, never = {0}, moved = {0};
  assert_int_equal(uv_loop_init(&loop), 0);
  xf_timer_open(&t.timer, &loop, on_time, &t);
  xf_timer_open(&past.timer, &loop, on_time, &past);
  xf_timer_open(&never.timer, &loop, on_time, &never);
  xf_timer_open(&moved.timer, &loop, on_time, &moved);
  struct xf_time now = xf_time_now();
  t.due = xf_time_add_ms(now, 12);
  xf_timer_set(&t.timer, t.due);
  xf_timer_set(&past.timer, (struct xf_time){now.ns - 1000});
  assert_int_equal(past.fired, 0); /* not from inside */
  xf_timer_set(&never.timer, xf_time_add_ms(now, 1));
  xf_timer_set(&never.timer, XF_TIME_NEVER);
  xf_timer_set(&moved.timer, xf_time_add_ms(now, 1)); /* a later deadline replaces it */
  moved.due = xf_time_add_ms(now, 30);
  xf_timer_set(&moved.timer, moved.due);
  uv_run(&loop, UV_RUN_DEFAULT);
  assert_int_equal(t.fired, 4);
  assert_int_equal(past.fired, 1);
  assert_int_equal(moved.fired, 1);
  assert_int_equal(never.fired, 0);
  xf_timer_close(&never.timer, NULL);
  uv_run(&loop, UV_RUN_DEFAULT);
  assert_true(t.closed && past.closed && moved.closed);
  assert_int_equal(uv_loop_close(&loop), 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_mailbox), cmocka_unit_test(test_timer)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
