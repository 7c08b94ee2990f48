#include "resolve/stagefold.h"

#include "base/alloc.h"
#include "fed/trisum.h"
#include "param/vec.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { PAIR_ROWS = 64 }; /* rows of a triangle in one piece of work */

uint64_t xf_stagefold_wire(const struct xf_global *global, uint32_t stage,
                           const struct xf_member_rows *rows) {
  return xf_global_wire(global, 1u << stage, rows);
}

struct stagefold_coded {
  struct xf_codec_reader reader;
  const struct xf_stagefold *fold;
  size_t slot;
  struct xf_diag *diag;
};

static enum xf_rc read_bytes(void *arg, uint64_t at, uint8_t *out, size_t n) {
  const struct stagefold_coded *s = arg;
  return s->fold->read_bytes(s->fold->io.arg, s->slot, at, out, n);
}

/* With float32, and with sparse where leaving out zeros saves nothing, an update is its floats. */
static enum xf_rc open_coded(struct xf_stagefold *f, struct xf_stagefold_member *m,
                             struct xf_diag *diag) {
  const uint64_t n = xf_stagefold_wire(f->global, f->stage, m->rows), all = n * sizeof(float);
  const bool may = f->codec.kind == XF_CODEC_FLOAT32 || f->codec.kind == XF_CODEC_SPARSE;
  m->norm2 = 0;
  if (may && (m->len == 0 || m->len == all)) return XF_OK;
  if (!f->read_bytes || f->codec.kind == XF_CODEC_FLOAT32 || (may && m->len > all))
    return xf_diag_set(diag, XF_E_SHAPE, "update of \"%s\" has %llu bytes, its floats %llu", m->id,
                       (unsigned long long)m->len, (unsigned long long)all);
  m->coded = xf_calloc(1, sizeof *m->coded);
  m->coded->fold = f;
  m->coded->slot = m->slot;
  m->coded->diag = diag;
  const enum xf_rc rc =
      xf_codec_open(&m->coded->reader, &f->codec, n, m->len, read_bytes, m->coded, diag);
  return rc ? xf_diag_prefix(diag, rc, "update of \"%s\"", m->id) : XF_OK;
}

static void close_coded(struct xf_stagefold *f) {
  for (size_t k = 0; k < f->n_member; k++) {
    if (!f->member[k].coded) continue;
    xf_codec_close(&f->member[k].coded->reader);
    xf_free(f->member[k].coded);
    f->member[k].coded = NULL;
  }
}

/* A position of the stage's shape in the global vector: its shared floats lie together, its keyed ones as well. */
static uint64_t place(const struct xf_stagefold *f, uint64_t at) {
  const struct xf_global_stage *s = &f->global->stage[f->stage];
  return at < s->shape.n_shared ? s->shared_at + at : s->keyed_at + (at - s->shape.n_shared);
}

/* The update of f->member[k], decoded. */
static enum xf_rc read_member(const struct xf_stagefold *f, size_t k, uint64_t at, float *out,
                              size_t n) {
  struct xf_stagefold_member *m = &f->member[k];
  if (!m->coded) return f->io.read(f->io.arg, m->slot, at, out, n);
  const enum xf_rc rc = xf_codec_get(&m->coded->reader, at, out, n, m->coded->diag);
  if (!rc) m->norm2 += xf_vec_norm2(out, n);
  return rc;
}

static enum xf_rc read_part(void *arg, size_t k, uint64_t at, float *out, size_t n) {
  return read_member(arg, k, at, out, n);
}
static enum xf_rc read_old(void *arg, uint64_t at, float *out, size_t n) {
  const struct xf_stagefold *f = arg;
  return f->io.read_old(f->io.arg, place(f, at), out, n);
}
static enum xf_rc write_new(void *arg, uint64_t at, const float *x, size_t n) {
  const struct xf_stagefold *f = arg;
  return f->io.write_new(f->io.arg, place(f, at), x, n);
}
static enum xf_rc read_state(void *arg, uint32_t k, uint64_t at, float *out, size_t n) {
  const struct xf_stagefold *f = arg;
  return f->io.read_state(f->io.arg, k, place(f, at), out, n);
}
static enum xf_rc write_state(void *arg, uint32_t k, uint64_t at, const float *x, size_t n) {
  const struct xf_stagefold *f = arg;
  return f->io.write_state(f->io.arg, k, place(f, at), x, n);
}

static enum xf_rc progress(const struct xf_stagefold *f, uint64_t done, uint64_t total) {
  return f->progress ? f->progress(f->io.arg, done, total) : XF_OK;
}

static enum xf_rc read_zero(void *arg, uint64_t at, float *out, size_t n) {
  (void)arg;
  (void)at;
  memset(out, 0, n * sizeof *out);
  return XF_OK;
}

/* How the floats behind the model's fold: control variates by the part of the members that take part; the norm of local steps
   becomes its mean. */
static struct xf_fold_job tail_of(const struct xf_stagefold *f, const struct xf_fold_job *job) {
  struct xf_fold_job tail = *job;
  tail.step = (struct xf_server_step){.kind = XF_SERVER_SGD, .eta = 1};
  if (f->global->stage[f->stage].nova) tail.io.read_old = read_zero;
  else tail.step.eta = (double)f->n_member / (double)f->n_listed;
  return tail;
}

/* The mean norm of the members' local steps. @err E_RANGE (names the member) */
static enum xf_rc mean_norm(const struct xf_stagefold *f, const struct xf_fold_member *member,
                            double *out, struct xf_diag *diag) {
  const uint64_t at = f->global->stage[f->stage].shape.n_shared - 1;
  double sum = 0, weight = 0;
  for (size_t k = 0; k < f->n_member; k++) {
    float norm = 0;
    const enum xf_rc rc = read_member(f, member[k].slot, at, &norm, 1);
    if (rc) return rc;
    if (!(norm > 0) || !isfinite(norm))
      return xf_diag_set(diag, XF_E_RANGE, "update of \"%s\": the norm of its local steps is %g",
                         member[k].id, (double)norm);
    sum += (double)member[k].weight * (double)norm;
    weight += (double)member[k].weight;
  }
  *out = weight > 0 ? sum / weight : 0;
  return XF_OK;
}

/* One tile: model, then what lies behind it and has no part in the stats. */
static enum xf_rc fold_tile(struct xf_stagefold *f, const struct xf_fold_job *job,
                            struct xf_fold_scratch *scratch, uint64_t tile, struct xf_diag *diag) {
  const struct xf_global_stage *s = &f->global->stage[f->stage];
  const uint64_t n = xf_fold_global(&s->shape), begin = tile * XF_FOLD_TILE,
                 end = n - begin < XF_FOLD_TILE ? n : begin + XF_FOLD_TILE,
                 n_tail = s->n_control + s->nova, cut = n_tail ? s->shape.n_shared - n_tail : n;
  struct xf_fold_stats stats = {0}, none = {0};
  enum xf_rc rc = XF_OK;
  if (begin < cut) rc = xf_fold_range(job, scratch, begin, end < cut ? end : cut, &stats, diag);
  if (!rc && end > cut) {
    const struct xf_fold_job tail = tail_of(f, job);
    rc = xf_fold_range(&tail, scratch, begin > cut ? begin : cut, end, &none, diag);
  }
  xf_fold_stats_add(&f->stats, &stats);
  return rc;
}

static enum xf_rc fold_vectors(struct xf_stagefold *f, struct xf_diag *diag) {
  const struct xf_global_stage *s = &f->global->stage[f->stage];
  struct xf_fold_member *member = xf_calloc(f->n_member ? f->n_member : 1, sizeof *member);
  struct xf_fold_rows *rows = xf_calloc(f->n_member ? f->n_member : 1, sizeof *rows);
  for (size_t k = 0; k < f->n_member; k++) {
    const struct xf_stagefold_member *m = &f->member[k];
    rows[k] = (struct xf_fold_rows){m->rows->row[s->space], m->rows->n[s->space]};
    member[k] = (struct xf_fold_member){m->id, k, m->weight, s->shape.n_ns ? &rows[k] : NULL};
  }
  xf_fold_sort(member, f->n_member);
  struct xf_fold_job job = {
      .shape = &s->shape,
      .member = member,
      .n_member = f->n_member,
      .sum = s->sum,
      .divisor = f->divisor,
      .step = f->step,
      .io = {f, NULL, read_part, read_old, write_new, read_state, write_state}};
  enum xf_rc rc = xf_fold_check(&job, diag);
  double norm = 1;
  if (!rc && s->nova) rc = mean_norm(f, member, &norm, diag);
  job.step.eta *= norm;
  struct xf_fold_scratch *scratch = xf_fold_scratch_new();
  const uint64_t n = xf_fold_tiles(&s->shape);
  for (uint64_t t = 0; t < n && !rc; t++) {
    rc = progress(f, t, n);
    if (!rc) rc = fold_tile(f, &job, scratch, t, diag);
  }
  xf_fold_scratch_free(scratch);
  xf_free(member);
  xf_free(rows);
  return rc;
}

/* Pairs lie behind the stage's other floats, in the global vector and in each member's update. */
struct pairs {
  const struct xf_stagefold *fold;
  uint64_t at;    /* of the global vector */
  uint64_t *wire; /* [n_member] of the member's update, by its place in fold->member */
};

static enum xf_rc pairs_read(void *arg, size_t k, uint64_t at, float *out, size_t n) {
  const struct pairs *p = arg;
  return read_member(p->fold, k, p->wire[k] + at, out, n);
}
static enum xf_rc pairs_old(void *arg, uint64_t at, float *out, size_t n) {
  const struct pairs *p = arg;
  return p->fold->io.read_old(p->fold->io.arg, p->at + at, out, n);
}
static enum xf_rc pairs_new(void *arg, uint64_t at, const float *x, size_t n) {
  const struct pairs *p = arg;
  return p->fold->io.write_new(p->fold->io.arg, p->at + at, x, n);
}

static int by_id(const void *a, const void *b) {
  return strcmp(((const struct xf_stagefold_member *)a)->id,
                ((const struct xf_stagefold_member *)b)->id);
}

static enum xf_rc fold_pairs(struct xf_stagefold *f, struct xf_diag *diag) {
  const struct xf_global_stage *s = &f->global->stage[f->stage];
  const size_t n = f->n_member;
  struct xf_trisum_member *member = xf_calloc(n ? n : 1, sizeof *member);
  struct pairs p = {.fold = f, .wire = xf_calloc(n ? n : 1, sizeof *p.wire)};
  const uint64_t others = xf_fold_global(&s->shape);
  p.at = s->keyed_at + (others - s->shape.n_shared);
  qsort(f->member, n, sizeof *f->member, by_id);
  for (size_t k = 0; k < n; k++) {
    const struct xf_stagefold_member *m = &f->member[k];
    const uint32_t n_row = (uint32_t)m->rows->n[s->space];
    member[k] = (struct xf_trisum_member){m->id, k, m->rows->row[s->space], n_row};
    p.wire[k] = xf_stagefold_wire(f->global, f->stage, m->rows) - xf_triangle_count(n_row);
  }
  const struct xf_trisum_job job = {s->pairs, member, n, &p, pairs_read, pairs_old, pairs_new};
  enum xf_rc rc = xf_trisum_check(&job, diag);
  struct xf_trisum_scratch *scratch = rc ? NULL : xf_trisum_scratch_new(s->pairs);
  if (!rc && !scratch) rc = xf_diag_set(diag, XF_E_NOMEM, "no memory to add up %u items", s->pairs);
  for (uint32_t row = 0; row < s->pairs && !rc; row += PAIR_ROWS) {
    rc = progress(f, row, s->pairs);
    const uint32_t end = s->pairs - row < PAIR_ROWS ? s->pairs : row + PAIR_ROWS;
    if (!rc) rc = xf_trisum_fold(&job, scratch, row, end, diag);
  }
  xf_trisum_scratch_free(scratch);
  xf_free(member);
  xf_free(p.wire);
  return rc;
}

enum xf_rc xf_stagefold_run(struct xf_stagefold *fold, struct xf_diag *diag) {
  const struct xf_global_stage *s = &fold->global->stage[fold->stage];
  enum xf_rc rc = XF_OK;
  fold->stats = (struct xf_fold_stats){0};
  if (s->n_control && fold->n_listed < fold->n_member)
    return xf_diag_set(diag, XF_E_INVAL, "%llu of %llu members take part",
                       (unsigned long long)fold->n_member, (unsigned long long)fold->n_listed);
  for (size_t k = 0; k < fold->n_member && !rc; k++) rc = open_coded(fold, &fold->member[k], diag);
  const bool vectors = s->shape.n_shared || s->shape.n_seg || !s->pairs;
  if (!rc && vectors) rc = fold_vectors(fold, diag);
  if (!rc && s->pairs) rc = fold_pairs(fold, diag);
  close_coded(fold);
  return rc;
}
