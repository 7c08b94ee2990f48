/* What waits for memory in graph networks and matrix factorisation, beyond the caches: the sparse product of a propagation layer, gathered
   bytes against summing an array, and steps on pairs, bytes of rows read and written against axpy. One thread. */
#include "base/alloc.h"
#include "base/rng.h"
#include "tensor/kern.h"
#include "tools/bench/bench.h"

#include <stdlib.h>

enum { DIM = 64 };

struct sparse {
  uint32_t nodes, entries, pairs;
  float *x, *y, *w; /* [nodes x DIM] twice, [entries] */
  int32_t *row, *col, *neg;
};

static int ascending(const void *a, const void *b) {
  const int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
  return (x > y) - (x < y);
}

static enum xf_rc sparse_init(struct sparse *s, bool quick) {
  struct xf_rng rng;
  *s = (struct sparse){.nodes = quick ? 1000 : 400000,
                       .entries = quick ? 5000 : 2000000,
                       .pairs = quick ? 2000 : 500000};
  const size_t n = (size_t)s->nodes * DIM;
  s->x = xf_try_pages(n * sizeof *s->x);
  s->y = xf_try_pages(n * sizeof *s->y);
  s->w = xf_try_calloc(s->entries, sizeof *s->w);
  s->row = xf_try_calloc(s->entries, sizeof *s->row);
  s->col = xf_try_calloc(s->entries, sizeof *s->col);
  s->neg = xf_try_calloc(s->entries, sizeof *s->neg);
  if (!s->x || !s->y || !s->w || !s->row || !s->col || !s->neg) return XF_E_NOMEM;
  xf_rng_init(&rng, 1, 0);
  for (size_t i = 0; i < n; i++) s->x[i] = s->y[i] = (float)(i % 1000) * 1e-4f;
  for (uint32_t e = 0; e < s->entries; e++) {
    s->row[e] = (int32_t)xf_rng_below(&rng, s->nodes);
    s->col[e] = (int32_t)xf_rng_below(&rng, s->nodes);
    s->neg[e] = (int32_t)xf_rng_below(&rng, s->nodes);
    s->w[e] = .2f;
  }
  return XF_OK;
}

static void sparse_deinit(struct sparse *s) {
  const size_t len = (size_t)s->nodes * DIM * sizeof *s->x;
  if (s->x) xf_free_pages(s->x, len);
  if (s->y) xf_free_pages(s->y, len);
  xf_free(s->w);
  xf_free(s->row);
  xf_free(s->col);
  xf_free(s->neg);
}

/* Bytes a second of summing the table. */
static double read_sum(const struct sparse *s) {
  const size_t n = (size_t)s->nodes * DIM;
  volatile float used = 0;
  const double t = xf_time_cpu_s();
  used = used + xf_kern_get()->sum(s->x, n);
  return (double)n * sizeof(float) / (xf_time_cpu_s() - t);
}

static double add_stream(const struct sparse *s) {
  const size_t n = (size_t)s->nodes * DIM;
  const double t = xf_time_cpu_s();
  xf_kern_get()->axpy(s->y, 1e-9f, s->x, n);
  return 3.0 * (double)n * sizeof(float) / (xf_time_cpu_s() - t);
}

/* Pairs in the order they were drawn: users from one table, items and negatives from the other. */
static void measure_pairs(struct bench *b, const struct sparse *s) {
  struct bench_pairs pairs = {.n = 0};
  const int32_t *const id[3] = {s->row, s->col, s->neg};
  for (int r = -1; r < BENCH_PAIRS; r++) { /* the first is to warm */
    const double stream = add_stream(s), t = xf_time_cpu_s();
    (void)xf_kern_get()->bpr(s->x, s->y, NULL, id, s->pairs, DIM, .001f, 1e-4f);
    const double spent = xf_time_cpu_s() - t;
    if (r >= 0) bench_pair(&pairs, 6.0 * s->pairs * DIM * sizeof(float) / spent, stream);
  }
  bench_put_pairs(b,
                  (struct bench_result){.bench = "train",
                                        .name = "bpr_pairs",
                                        .unit = "bytes/s",
                                        .probe = "axpy",
                                        .goal = .45,
                                        .floor = .3},
                  &pairs);
}

static void measure_spmm(struct bench *b, struct sparse *s) {
  struct bench_pairs pairs = {.n = 0};
  qsort(s->row, s->entries, sizeof *s->row, ascending);
  for (int r = -1; r < BENCH_PAIRS; r++) {
    const double stream = read_sum(s), t = xf_time_cpu_s();
    xf_kern_get()->spmm(s->y, s->row, s->col, s->w, s->x, s->entries, DIM);
    const double spent = xf_time_cpu_s() - t;
    if (r >= 0) bench_pair(&pairs, (double)s->entries * DIM * sizeof(float) / spent, stream);
  }
  bench_put_pairs(b,
                  (struct bench_result){.bench = "train",
                                        .name = "spmm",
                                        .unit = "bytes/s",
                                        .probe = "sum of an array",
                                        .goal = .65,
                                        .floor = .45},
                  &pairs);
}

enum xf_rc bench_sparse(struct bench *b) {
  struct sparse s;
  const enum xf_rc rc = sparse_init(&s, b->quick);
  if (!rc) {
    measure_pairs(b, &s);
    measure_spmm(b, &s);
  }
  sparse_deinit(&s);
  return rc;
}
