// Aggregation against this machine's memory: client bytes a second of the fold over the axpy probe / 3 (y += a x over
// vectors beyond the caches moves three streams). Interleaved, medians. Prints one JSON line per case.
// modules: fed base
#include "fed/fold.h"

#include "base/alloc.h"
#include "base/time.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N = 25000000, K = 10, REPEATS = 7 };

static double seconds_since(struct xf_time t) { return xf_time_diff_s(xf_time_now(), t); }

static int ascending(const void *a, const void *b) {
  const double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static double median(double *x) {
  qsort(x, REPEATS, sizeof *x, ascending);
  return x[REPEATS / 2];
}

// bytes a second of all three streams
static double axpy(float *restrict y, const float *restrict x, float a) {
  const struct xf_time t = xf_time_now();
  for (size_t i = 0; i < N; i++) y[i] += a * x[i];
  return 3.0 * N * sizeof(float) / seconds_since(t);
}

static double fold(const struct xf_fold_job *job) {
  struct xf_fold_stats stats;
  const struct xf_time t = xf_time_now();
  if (xf_fold_step(job, &stats, NULL)) return 0;
  return (double)job->n_member * (double)job->shape->n_shared * sizeof(float) / seconds_since(t);
}

int main(void) {
  float *x[K], *w = xf_try_pages(N * sizeof *w);
  struct xf_fold_member member[K];
  char id[K][16];
  for (int k = 0; k < K; k++) {
    x[k] = xf_try_pages(N * sizeof *x[k]);
    if (!x[k] || !w) return 1;
    for (size_t i = 0; i < N; i++) x[k][i] = (float)((i * 7 + (size_t)k) % 1000) * 1e-5f;
    snprintf(id[k], sizeof id[k], "s%02d", k);
    member[k] = (struct xf_fold_member){id[k], (size_t)k, 600 + (uint32_t)k, NULL};
  }
  struct xf_fold_memory memory = {(const float *const *)x, w, w, {NULL}};
  struct xf_fold_shape shape = {.n_shared = N};
  struct xf_fold_job job = {&shape, member, K, false, 0, {.eta = 1}, xf_fold_memory_io(&memory)};
  double probe[REPEATS], borrowed[REPEATS], copied[REPEATS];
  axpy(w, x[0], 1e-9f);
  for (int r = 0; r < REPEATS; r++) {
    probe[r] = axpy(w, x[0], 1e-9f);
    job.io = xf_fold_memory_io(&memory);
    borrowed[r] = fold(&job);
    job.io.borrow = NULL;
    copied[r] = fold(&job);
  }
  const double limit = median(probe) / 3, a = median(borrowed), b = median(copied);
  printf("{\"v\":1,\"bench\":\"fold\",\"case\":\"memory\",\"bytes_s\":%.3g,\"probe\":\"axpy/"
         "3\",\"probe_bytes_s\":%.3g,"
         "\"ratio\":%.3f,\"goal\":1.0,\"floor\":0.5}\n",
         a, limit, a / limit);
  printf("{\"v\":1,\"bench\":\"fold\",\"case\":\"copied\",\"bytes_s\":%.3g,\"probe\":\"axpy/"
         "3\",\"probe_bytes_s\":%.3g,"
         "\"ratio\":%.3f,\"goal\":1.0,\"floor\":0.5}\n",
         b, limit, b / limit);
  for (int k = 0; k < K; k++) xf_free_pages(x[k], N * sizeof *x[k]);
  xf_free_pages(w, N * sizeof *w);
  return 0;
}
