/*
 * worker.h - our own worker threads: jobs go in from the loop thread, come back through one queue.
 *
 * To cancel, set job->cancel: the job is still run (it sees the flag and ends early) and still comes
 * back, so ownership always closes and the job itself records what it did. libuv's pool is
 * never used for compute. The wake callback runs on a worker thread and must only signal (net supplies
 * uv_async_send); then the loop drains with xf_worker_take until NULL (wake-ups coalesce).
 * Owner: the caller embeds struct xf_job in its own job struct. Thread: submit/take from the owner
 * thread; `run` on a worker.
 */
#ifndef XF_BASE_WORKER_H
#define XF_BASE_WORKER_H

#include "base/rc.h"

#include <stdatomic.h>
#include <stddef.h>

struct xf_job {
  void (*run)(struct xf_job *job); /* on a worker thread; checks `cancel` first and between steps */
  struct xf_job *next;             /* queue link; the pool's while queued */
  atomic_bool cancel;
};

struct xf_worker; /* the pool */

/* Starts n_threads (>= 1). `wake(wake_arg)` is called after each finished job, from a worker.
   @own caller: xf_worker_stop @err E_NOMEM E_LIMIT */
XF_WARN_UNUSED enum xf_rc xf_worker_start(struct xf_worker **out, size_t n_threads,
                                          void (*wake)(void *arg), void *wake_arg);
/* Queues a job (FIFO); the pool borrows it until it comes back from take. @thread owner */
void xf_worker_submit(struct xf_worker *pool, struct xf_job *job);
/* The next finished job, or NULL. @thread owner @own back to the caller */
struct xf_job *xf_worker_take(struct xf_worker *pool);
/* Blocks until a job has finished and returns it; NULL when none is outstanding. @thread owner */
struct xf_job *xf_worker_wait(struct xf_worker *pool);
/* Number of jobs submitted and not yet taken. @thread owner */
size_t xf_worker_outstanding(const struct xf_worker *pool);
/* Joins the threads; `wake` is not called any more once it returns. All jobs must have been taken.
   @own frees pool; NULL is legal */
void xf_worker_stop(struct xf_worker *pool);

#endif
