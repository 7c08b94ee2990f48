/* Aggregation: client bytes a second of the fold over axpy / 3 (y += a x beyond the caches moves three streams),
   from memory and from the files of a spool, as the coordinator reads them. */
#include "fed/fold.h"

#include "base/alloc.h"
#include "crypto/sha256.h"
#include "store/spool.h"
#include "tools/bench/bench.h"

#include <stdio.h>
#include <string.h>

enum { K = 10 };

struct folding {
  size_t n; /* floats of a vector */
  float *x[K], *w, *probe;
  size_t n_probe;
  struct xf_fold_member member[K];
  char id[K][16];
  struct xf_spool spool;
  struct xf_spool_entry entry[K];
  struct xf_diag *diag;
};

static enum xf_rc read_spool(void *arg, size_t slot, uint64_t at, float *out, size_t n) {
  struct folding *f = arg;
  return xf_spool_read_floats(&f->entry[slot], out, n, at, f->diag);
}

static enum xf_rc read_old(void *arg, uint64_t at, float *out, size_t n) {
  const struct folding *f = arg;
  memcpy(out, f->w + at, n * sizeof *out);
  return XF_OK;
}

static enum xf_rc write_new(void *arg, uint64_t at, const float *x, size_t n) {
  const struct folding *f = arg;
  memcpy(f->w + at, x, n * sizeof *x);
  return XF_OK;
}

static enum xf_rc folding_init(struct folding *f, struct bench *b, size_t n) {
  *f = (struct folding){.n = n, .n_probe = b->quick ? 100000 : 25000000, .diag = b->diag};
  f->w = xf_try_pages(n * sizeof(float));
  f->probe = xf_try_pages(2 * f->n_probe * sizeof(float));
  if (!f->w || !f->probe) return XF_E_NOMEM;
  for (size_t i = 0; i < 2 * f->n_probe; i++) f->probe[i] = (float)(i % 1000);
  for (size_t k = 0; k < K; k++) {
    snprintf(f->id[k], sizeof f->id[k], "s%02zu", k);
    f->member[k] = (struct xf_fold_member){f->id[k], k, 600 + (uint32_t)k, NULL};
  }
  return XF_OK;
}

static enum xf_rc fill(struct folding *f, size_t k) {
  f->x[k] = xf_try_pages(f->n * sizeof(float));
  if (!f->x[k]) return XF_E_NOMEM;
  for (size_t i = 0; i < f->n; i++) f->x[k][i] = (float)((i * 7 + k) % 1000) * 1e-5f;
  return XF_OK;
}

static void drop(struct folding *f, size_t k) {
  if (f->x[k]) xf_free_pages(f->x[k], f->n * sizeof(float));
  f->x[k] = NULL;
}

static void folding_deinit(struct folding *f) {
  for (size_t k = 0; k < K; k++) {
    drop(f, k);
    xf_spool_close(&f->entry[k]);
  }
  if (f->w) xf_free_pages(f->w, f->n * sizeof(float));
  if (f->probe) xf_free_pages(f->probe, 2 * f->n_probe * sizeof(float));
}

static enum xf_rc measure(struct bench *b, struct folding *f, const char *name,
                          const struct xf_fold_io *io) {
  struct xf_fold_shape shape = {.n_shared = f->n};
  const struct xf_fold_job job = {
      .shape = &shape, .member = f->member, .n_member = K, .step.eta = 1, .io = *io};
  struct bench_pairs pairs = {.n = 0};
  struct xf_fold_stats stats;
  float *y = f->probe, *x = f->probe + f->n_probe;
  enum xf_rc rc = xf_fold_step(&job, &stats, b->diag); /* warm */
  for (int r = 0; r < BENCH_PAIRS && !rc; r++) {
    const double limit = bench_axpy(y, x, f->n_probe) / 3;
    const struct xf_time t = xf_time_now();
    rc = xf_fold_step(&job, &stats, b->diag);
    bench_pair(&pairs, (double)K * (double)f->n * sizeof(float) / bench_since(t), limit);
  }
  if (!rc)
    bench_put_pairs(b,
                    (struct bench_result){.bench = "aggregation",
                                          .name = name,
                                          .unit = "bytes/s",
                                          .probe = "axpy/3",
                                          .goal = 1.0,
                                          .floor = 0.5},
                    &pairs);
  return rc;
}

static enum xf_rc from_memory(struct bench *b) {
  struct folding f;
  enum xf_rc rc = folding_init(&f, b, b->quick ? 100000 : 25000000);
  for (size_t k = 0; k < K && !rc; k++) rc = fill(&f, k);
  struct xf_fold_memory memory = {(const float *const *)f.x, f.w, f.w, {NULL}};
  const struct xf_fold_io io = xf_fold_memory_io(&memory);
  if (!rc) rc = measure(b, &f, "memory", &io);
  folding_deinit(&f);
  return rc;
}

/* One member's update in the spool. */
static enum xf_rc store(struct folding *f, size_t k) {
  struct xf_spool_head head = {.round = 1,
                               .weight = f->member[k].weight,
                               .n_samples = 1,
                               .payload_len = f->n * sizeof(float)};
  struct xf_spool_in in = {.open = false};
  char name[XF_SPOOL_NAME_MAX];
  enum xf_rc rc = fill(f, k);
  if (rc) return rc;
  head.task_id.b[0] = (uint8_t)(k + 1);
  snprintf(head.member, sizeof head.member, "%s", f->id[k]);
  xf_sha256(&head.payload_digest, f->x[k], f->n * sizeof(float));
  rc = xf_spool_begin(&in, &f->spool, &head, f->diag);
  if (!rc) rc = xf_spool_write(&in, f->x[k], f->n * sizeof(float), 0, f->diag);
  if (!rc) rc = xf_spool_finish(&in, name, f->diag);
  if (!rc) rc = xf_spool_open(&f->entry[k], &f->spool, name, f->diag);
  xf_spool_abort(&in);
  drop(f, k);
  return rc;
}

static enum xf_rc from_spool(struct bench *b) {
  struct folding f;
  char dir[XF_PATH_MAX];
  enum xf_rc rc = folding_init(&f, b, b->quick ? 100000 : 4194304);
  if (!rc) rc = xf_fs_join(dir, b->dir, "spool");
  if (!rc) rc = xf_spool_init(&f.spool, xf_fs_posix(), dir, b->diag);
  for (size_t k = 0; k < K && !rc; k++) rc = store(&f, k);
  const struct xf_fold_io io = {
      .arg = &f, .read = read_spool, .read_old = read_old, .write_new = write_new};
  if (!rc) rc = measure(b, &f, "spool", &io);
  folding_deinit(&f);
  if (!rc) rc = bench_remove(dir, b->diag);
  return rc;
}

enum xf_rc bench_fold(struct bench *b) {
  enum xf_rc rc = from_memory(b);
  return rc ? rc : from_spool(b);
}
