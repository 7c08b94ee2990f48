#include "base/worker.h"

#include "base/alloc.h"
#include "base/assert.h"

#include <pthread.h>
#include <signal.h>

enum { THREADS_MAX = 256 };

struct queue {
  struct xf_job *first, *last;
};

struct xf_worker {
  pthread_mutex_t lock;
  pthread_cond_t work; /* todo is not empty, or stopping */
  pthread_cond_t back; /* done is not empty */
  struct queue todo, done;
  bool stopping;
  void (*wake)(void *arg);
  void *wake_arg;
  size_t outstanding; /* the owner thread's alone */
  size_t n_threads;
  pthread_t thread[];
};

static void queue_put(struct queue *q, struct xf_job *job) {
  job->next = NULL;
  if (q->last) q->last->next = job;
  else q->first = job;
  q->last = job;
}

static struct xf_job *queue_take(struct queue *q) {
  struct xf_job *job = q->first;
  if (!job) return NULL;
  q->first = job->next;
  if (!q->first) q->last = NULL;
  job->next = NULL;
  return job;
}

static void *worker_main(void *arg) {
  struct xf_worker *pool = arg;
  pthread_mutex_lock(&pool->lock);
  for (;;) {
    struct xf_job *job = queue_take(&pool->todo);
    if (!job) {
      if (pool->stopping) break;
      pthread_cond_wait(&pool->work, &pool->lock);
      continue;
    }
    pthread_mutex_unlock(&pool->lock);
    job->run(job);
    pthread_mutex_lock(&pool->lock);
    queue_put(&pool->done, job);
    pthread_cond_signal(&pool->back);
    if (!pool->wake) continue;
    pthread_mutex_unlock(&pool->lock);
    pool->wake(pool->wake_arg);
    pthread_mutex_lock(&pool->lock);
  }
  pthread_mutex_unlock(&pool->lock);
  return NULL;
}

/* Signals belong to the loop thread. Those a fault raises stay open, or their handlers would not run. */
static void signals_for_workers(sigset_t *set) {
  static const int synchronous[] = {SIGSEGV, SIGBUS,  SIGFPE, SIGILL,
                                    SIGABRT, SIGTRAP, SIGSYS, SIGPROF};
  sigfillset(set);
  for (size_t i = 0; i < sizeof synchronous / sizeof synchronous[0]; i++)
    sigdelset(set, synchronous[i]);
}

enum xf_rc xf_worker_start(struct xf_worker **out, size_t n_threads, void (*wake)(void *arg),
                           void *wake_arg) {
  *out = NULL;
  if (n_threads < 1 || n_threads > THREADS_MAX) return XF_E_LIMIT;
  struct xf_worker *pool = xf_try_calloc(1, sizeof *pool + n_threads * sizeof pool->thread[0]);
  if (!pool) return XF_E_NOMEM;
  XF_ASSERT(pthread_mutex_init(&pool->lock, NULL) == 0);
  XF_ASSERT(pthread_cond_init(&pool->work, NULL) == 0);
  XF_ASSERT(pthread_cond_init(&pool->back, NULL) == 0);
  pool->wake = wake;
  pool->wake_arg = wake_arg;
  sigset_t mask, old;
  signals_for_workers(&mask);
  XF_ASSERT(pthread_sigmask(SIG_SETMASK, &mask, &old) == 0);
  int err = 0;
  while (!err && pool->n_threads < n_threads) {
    err = pthread_create(&pool->thread[pool->n_threads], NULL, worker_main, pool);
    if (!err) pool->n_threads++;
  }
  XF_ASSERT(pthread_sigmask(SIG_SETMASK, &old, NULL) == 0);
  if (err) {
    xf_worker_stop(pool);
    return XF_E_NOMEM;
  }
  *out = pool;
  return XF_OK;
}

void xf_worker_submit(struct xf_worker *pool, struct xf_job *job) {
  pthread_mutex_lock(&pool->lock);
  queue_put(&pool->todo, job);
  pool->outstanding++;
  pthread_cond_signal(&pool->work);
  pthread_mutex_unlock(&pool->lock);
}

struct xf_job *xf_worker_take(struct xf_worker *pool) {
  pthread_mutex_lock(&pool->lock);
  struct xf_job *job = queue_take(&pool->done);
  pthread_mutex_unlock(&pool->lock);
  if (job) pool->outstanding--;
  return job;
}

struct xf_job *xf_worker_wait(struct xf_worker *pool) {
  if (pool->outstanding == 0) return NULL;
  struct xf_job *job = NULL;
  pthread_mutex_lock(&pool->lock);
  while (!(job = queue_take(&pool->done))) pthread_cond_wait(&pool->back, &pool->lock);
  pthread_mutex_unlock(&pool->lock);
  pool->outstanding--;
  return job;
}

size_t xf_worker_outstanding(const struct xf_worker *pool) { return pool->outstanding; }

void xf_worker_stop(struct xf_worker *pool) {
  if (!pool) return;
  XF_ASSERT(pool->outstanding == 0);
  pthread_mutex_lock(&pool->lock);
  pool->stopping = true;
  pthread_cond_broadcast(&pool->work);
  pthread_mutex_unlock(&pool->lock);
  for (size_t i = 0; i < pool->n_threads; i++) XF_ASSERT(pthread_join(pool->thread[i], NULL) == 0);
  pthread_cond_destroy(&pool->back);
  pthread_cond_destroy(&pool->work);
  pthread_mutex_destroy(&pool->lock);
  xf_free(pool);
}
