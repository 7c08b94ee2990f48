// tsan
/* The worker pool: every job comes back once, in order with one thread, also when cancelled; wake-ups reach us. */
#include "base/worker.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

struct work {
  struct xf_job job; /* first: a job is its work */
  int number;
  uint64_t result;
  int ran;
};

static struct work *work_of(struct xf_job *job) { return (struct work *)(void *)job; }

static void run_sum(struct xf_job *job) {
  struct work *w = work_of(job);
  w->ran++;
  w->result = 0;
  for (uint64_t i = 0; i < 1000 && !atomic_load(&job->cancel); i++)
    w->result += i * (uint64_t)w->number;
}

static void wake_count(void *arg) { atomic_fetch_add((atomic_int *)arg, 1); }

static void test_limits(void **state) {
  (void)state;
  struct xf_worker *pool = NULL;
  assert_int_equal(xf_worker_start(&pool, 0, NULL, NULL), XF_E_LIMIT);
  assert_null(pool);
  assert_int_equal(xf_worker_start(&pool, 100000, NULL, NULL), XF_E_LIMIT);
  xf_worker_stop(NULL);
  assert_int_equal(xf_worker_start(&pool, 3, NULL, NULL), XF_OK);
  assert_null(xf_worker_take(pool));
  assert_null(xf_worker_wait(pool)); /* nothing outstanding: no waiting */
  xf_worker_stop(pool);              /* idle threads are joined */
}

static void test_order(void **state) {
  (void)state;
  enum { N = 50 };
  static struct work work[N];
  struct xf_worker *pool = NULL;
  assert_int_equal(xf_worker_start(&pool, 1, NULL, NULL), XF_OK);
  for (int i = 0; i < N; i++) {
    work[i] = (struct work){.job.run = run_sum, .number = i};
    xf_worker_submit(pool, &work[i].job);
    assert_int_equal(xf_worker_outstanding(pool), i + 1);
  }
  for (int i = 0; i < N; i++) {
    struct xf_job *job = xf_worker_wait(pool);
    assert_ptr_equal(job, &work[i].job);
    assert_int_equal(work[i].result, 499500 * i);
  }
  assert_null(xf_worker_wait(pool));
  xf_worker_stop(pool);
}

static void test_many(void **state) {
  (void)state;
  enum { N = 5000 };
  static struct work work[N];
  atomic_int wakes = 0;
  struct xf_worker *pool = NULL;
  assert_int_equal(xf_worker_start(&pool, 4, wake_count, &wakes), XF_OK);
  int taken = 0;
  for (int i = 0; i < N; i++) {
    work[i] = (struct work){.job.run = run_sum, .number = i};
    xf_worker_submit(pool, &work[i].job);
    if (i % 3 == 0)
      while (xf_worker_take(pool)) taken++;
  }
  while (xf_worker_wait(pool)) taken++;
  assert_int_equal(taken, N);
  assert_int_equal(xf_worker_outstanding(pool), 0);
  /* A job may go round again. */
  xf_worker_submit(pool, &work[0].job);
  assert_ptr_equal(xf_worker_wait(pool), &work[0].job);
  xf_worker_stop(pool);
  assert_int_equal(atomic_load(&wakes),
                   N + 1); /* stop joined the threads: every wake-up has happened */
  for (int i = 0; i < N; i++) {
    assert_int_equal(work[i].ran, i == 0 ? 2 : 1);
    assert_int_equal(work[i].result, 499500 * (uint64_t)i);
  }
}

static void run_until_cancelled(struct xf_job *job) {
  struct work *w = work_of(job);
  const struct timespec ms = {0, 1000000};
  w->ran++;
  while (!atomic_load(&job->cancel)) nanosleep(&ms, NULL);
}

static void test_cancel(void **state) {
  (void)state;
  struct xf_worker *pool = NULL;
  struct work busy = {.job.run = run_until_cancelled}, queued = {.job.run = run_sum, .number = 1};
  assert_int_equal(xf_worker_start(&pool, 1, NULL, NULL), XF_OK);
  xf_worker_submit(pool, &busy.job);
  xf_worker_submit(pool, &queued.job);
  assert_null(xf_worker_take(pool));
  atomic_store(&queued.job.cancel, true);
  atomic_store(&busy.job.cancel, true);
  assert_ptr_equal(xf_worker_wait(pool), &busy.job);
  assert_ptr_equal(xf_worker_wait(pool), &queued.job); /* ran, saw the flag, came back */
  assert_int_equal(queued.ran, 1);
  assert_int_equal(queued.result, 0);
  assert_true(atomic_load(&queued.job.cancel));
  xf_worker_stop(pool);
}

static void run_mask(struct xf_job *job) {
  sigset_t set;
  pthread_sigmask(SIG_SETMASK, NULL, &set);
  work_of(job)->result = sigismember(&set, SIGTERM) == 1 && sigismember(&set, SIGINT) == 1 &&
                         sigismember(&set, SIGSEGV) == 0;
}

/* Signals are the loop thread's: a worker never takes one. */
static void test_signals(void **state) {
  (void)state;
  struct xf_worker *pool = NULL;
  struct work w = {.job.run = run_mask};
  assert_int_equal(xf_worker_start(&pool, 1, NULL, NULL), XF_OK);
  xf_worker_submit(pool, &w.job);
  assert_ptr_equal(xf_worker_wait(pool), &w.job);
  assert_int_equal(w.result, 1);
  xf_worker_stop(pool);
  sigset_t set;
  pthread_sigmask(SIG_SETMASK, NULL, &set);
  assert_int_equal(sigismember(&set, SIGTERM), 0); /* ours is as before */
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_limits), cmocka_unit_test(test_order),   cmocka_unit_test(test_many),
      cmocka_unit_test(test_cancel), cmocka_unit_test(test_signals),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
