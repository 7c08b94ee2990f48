/*
 * bench.h - private to tools/bench: what the benchmarks share. Each measures its subject and a probe of this
 * machine in turns and gives their ratio: the median over the pairs, so that a slow moment hits both.
 * Not for: correctness (the tests'). Owner: the verb owns struct bench; a benchmark leaves nothing behind.
 * Thread: main.
 */
#ifndef XF_TOOLS_BENCH_BENCH_H
#define XF_TOOLS_BENCH_BENCH_H

#include "base/diag.h"
#include "base/fs.h"
#include "base/time.h"
#include "json/jsonw.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { BENCH_PAIRS = 7, BENCH_RESULTS = 64 };

/* One figure beside its probe. */
struct bench_result {
  const char *bench, *name;
  double value;
  const char *unit;
  const char *probe; /* what it is compared with */
  double probe_value;
  double ratio;       /* value over probe_value, paired */
  bool lower;         /* smaller ratios are better */
  double goal, floor; /* of the ratio; 0: reported only */
};

struct bench {
  bool quick;               /* sizes of a smoke test: the figures mean nothing */
  char dir[XF_PATH_MAX];    /* scratch of this run; removed at the end */
  char parent[XF_PATH_MAX]; /* where it lies */
  char bin[XF_PATH_MAX];    /* folder of the programs */
  struct bench_result result[BENCH_RESULTS];
  size_t n_result;
  struct xf_diag *diag;
};

/* Repetitions measured side by side. */
struct bench_pairs {
  double subject[BENCH_PAIRS], probe[BENCH_PAIRS];
  size_t n;
};

/* The benchmarks. @err what stopped it; diag says */
XF_WARN_UNUSED enum xf_rc bench_server_rss(struct bench *b);
XF_WARN_UNUSED enum xf_rc bench_idle(struct bench *b);
XF_WARN_UNUSED enum xf_rc bench_updates(struct bench *b);
XF_WARN_UNUSED enum xf_rc bench_fold(struct bench *b);
XF_WARN_UNUSED enum xf_rc bench_wire(struct bench *b);
XF_WARN_UNUSED enum xf_rc bench_faults(struct bench *b);
XF_WARN_UNUSED enum xf_rc bench_commit(struct bench *b);
XF_WARN_UNUSED enum xf_rc bench_rec(struct bench *b);
XF_WARN_UNUSED enum xf_rc bench_serving(struct bench *b);
XF_WARN_UNUSED enum xf_rc bench_train(struct bench *b);

/* A part of bench_train. @err E_NOMEM */
XF_WARN_UNUSED enum xf_rc bench_sparse(struct bench *b);

/* Keeps a figure. @own copies the struct; its texts are static */
void bench_put(struct bench *b, const struct bench_result *r);
/* Keeps the medians of pairs: r gives everything but the three numbers. @own copies r */
void bench_put_pairs(struct bench *b, struct bench_result r, const struct bench_pairs *p);
/* Middle of x[n], which is sorted on the way. @shape x[n] */
double bench_median(double *x, size_t n);
/* Seconds since t. @unit s */
double bench_since(struct xf_time t);
/* Adds a pair; more than BENCH_PAIRS are left out. @own p */
void bench_pair(struct bench_pairs *p, double subject, double probe);

/* A probe: bytes a second of y += a x over three streams of n floats. @unit bytes/s */
double bench_axpy(float *y, const float *x, size_t n);
/* A probe: bytes a second of copying n bytes, repeated `times`. @unit bytes/s */
double bench_memcpy(uint8_t *to, const uint8_t *from, size_t n, unsigned times);

/* A probe: FLOP a second of independent multiply-adds with the vectors of a kernel table (xf_kern.isa), for about so many
   seconds of processor time. @unit FLOP/s */
double bench_fma(const char *isa, double seconds);

/* Of a process: resident bytes now and at the peak, minor page faults so far. @err E_IO */
struct bench_proc {
  uint64_t rss, peak, faults;
};
XF_WARN_UNUSED enum xf_rc bench_proc_get(struct bench_proc *out, pid_t pid, struct xf_diag *diag);

/* Removes a directory and what is below it. @err E_IO */
XF_WARN_UNUSED enum xf_rc bench_remove(const char *dir, struct xf_diag *diag);
/* Allows n open files. @err E_LIMIT (the system allows fewer) */
XF_WARN_UNUSED enum xf_rc bench_files(uint64_t n, struct xf_diag *diag);

#endif
