/* The fold itself: blocks of a tile through the inner loops, rows through their holders. */
#include "fed/fold.h"

#include "base/alloc.h"
#include "fed/foldkern.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

/* A block is what the inner loops see at once: its sums and one group of members' floats stay in L2. */
enum { BLOCK = 8192 };

struct xf_fold_scratch {
  double acc[BLOCK];
  uint64_t weight[BLOCK + 1]; /* per row of the block */
  float old_value[BLOCK], new_value[BLOCK], state[XF_SERVER_STATES][BLOCK];
  float member[XF_FOLD_GROUP][BLOCK];
};

struct xf_fold_scratch *xf_fold_scratch_new(void) {
  return xf_alloc(sizeof(struct xf_fold_scratch));
}

void xf_fold_scratch_free(struct xf_fold_scratch *scratch) { xf_free(scratch); }

/* What a pass over some coordinates has at hand. */
struct pass {
  const struct xf_fold_job *job;
  const struct xf_fold_kern *kern;
  struct xf_fold_scratch *scratch;
  struct xf_diag *diag;
  uint32_t n_state;
  double lane[XF_FOLD_LANES]; /* squares of the means */
  uint64_t rows_untouched;
};

static double lanes_sum(const double lane[XF_FOLD_LANES]) {
  return ((lane[0] + lane[4]) + (lane[2] + lane[6])) + ((lane[1] + lane[5]) + (lane[3] + lane[7]));
}

/* n floats of a member's wire vector, borrowed or read into buf. */
static enum xf_rc member_floats(const struct pass *p, const struct xf_fold_member *member,
                                uint64_t at, size_t n, float *buf, const float **out) {
  const struct xf_fold_io *io = &p->job->io;
  *out = io->borrow ? io->borrow(io->arg, member->slot, at, n) : NULL;
  if (*out) return XF_OK;
  *out = buf;
  const enum xf_rc rc = io->read(io->arg, member->slot, at, buf, n);
  if (rc)
    return xf_diag_prefix(p->diag, rc, "update of %s, floats %" PRIu64 " to %" PRIu64, member->id,
                          at, at + n);
  return XF_OK;
}

static enum xf_rc read_old(const struct pass *p, uint64_t at, size_t n) {
  const struct xf_fold_job *job = p->job;
  enum xf_rc rc = job->io.read_old(job->io.arg, at, p->scratch->old_value, n);
  for (uint32_t k = 0; k < p->n_state && !rc; k++) {
    float *state = p->scratch->state[k];
    if (job->step.first) xf_server_start(&job->step, k, state, n);
    else rc = job->io.read_state(job->io.arg, k, at, state, n);
  }
  return rc;
}

static enum xf_rc write_new(const struct pass *p, uint64_t at, size_t n) {
  const struct xf_fold_job *job = p->job;
  enum xf_rc rc = job->io.write_new(job->io.arg, at, p->scratch->new_value, n);
  for (uint32_t k = 0; k < p->n_state && !rc; k++)
    rc = job->io.write_state(job->io.arg, k, at, p->scratch->state[k], n);
  return rc;
}

static size_t first_bad(const float *x, size_t n) {
  size_t i = 0;
  while (i < n && isfinite(x[i])) i++;
  return i;
}

/* The step of n coordinates of a block from `from` on; `at` is the global position of the first. */
static enum xf_rc finish(struct pass *p, size_t from, size_t n, double weight, uint64_t at) {
  struct xf_fold_scratch *s = p->scratch;
  const struct xf_server_step *step = &p->job->step;
  const struct xf_fold_finish f = {.acc = s->acc + from,
                                   .old_value = s->old_value + from,
                                   .state = p->n_state ? s->state[0] + from : NULL,
                                   .new_value = s->new_value + from,
                                   .weight = weight,
                                   .eta = step->eta,
                                   .mu = step->b1};
  const struct xf_server_part part = {
      f.acc, weight, f.old_value, {s->state[0] + from, s->state[1] + from}, f.new_value};
  const bool fast = step->kind == XF_SERVER_SGD || step->kind == XF_SERVER_MOMENTUM;
  if (fast ? p->kern->finish(&f, p->lane, n) : xf_server_apply(step, &part, p->lane, n))
    return XF_OK;
  static const char *const names[] = {"server optimiser's m", "server optimiser's v"};
  const float *bad = f.new_value;
  const char *what = "new value";
  size_t i = first_bad(bad, n);
  for (uint32_t k = 0; k < p->n_state; k++) {
    const size_t j = first_bad(part.state[k], i);
    if (j == i) continue;
    i = j;
    bad = part.state[k];
    what = names[k];
  }
  return xf_diag_set(p->diag, XF_E_NAN,
                     "global vector, float %" PRIu64 ": the %s is %g (the value was %g); the round "
                     "cannot be committed: lower the server rate or the clipping norm",
                     at + i, what, (double)bad[i], (double)f.old_value[i]);
}

/* A block of shared floats: wire and global positions agree. */
static enum xf_rc shared_block(struct pass *p, uint64_t at, size_t n) {
  const struct xf_fold_job *job = p->job;
  struct xf_fold_scratch *s = p->scratch;
  memset(s->acc, 0, n * sizeof *s->acc);
  double total = 0; /* sums of integers below 2^53: exact */
  for (size_t k = 0; k < job->n_member; k += XF_FOLD_GROUP) {
    const float *x[XF_FOLD_GROUP];
    double w[XF_FOLD_GROUP];
    size_t n_x = 0;
    for (; n_x < XF_FOLD_GROUP && k + n_x < job->n_member; n_x++) {
      const struct xf_fold_member *member = &job->member[k + n_x];
      const enum xf_rc rc = member_floats(p, member, at, n, s->member[n_x], &x[n_x]);
      if (rc) return rc;
      w[n_x] = (double)member->weight;
      total += w[n_x];
    }
    p->kern->add(s->acc, w, x, n_x, n);
  }
  enum xf_rc rc = read_old(p, at, n);
  if (!rc) rc = finish(p, 0, n, job->sum ? 1 : job->divisor ? (double)job->divisor : total, at);
  return rc ? rc : write_new(p, at, n);
}

/* First position in ascending row[n] that is not below `value`. */
static size_t lower_bound(const uint32_t *row, size_t n, uint64_t value) {
  size_t low = 0;
  while (low < n) {
    const size_t middle = low + (n - low) / 2;
    if (row[middle] < value) low = middle + 1;
    else n = middle;
  }
  return low;
}

/* Coordinates [begin, end) of one aligned segment, counted from its start. */
struct row_block {
  uint64_t begin, end;
  uint64_t cols;
  uint64_t first_row;
};

/* Adds what one member holds of a block; its part of the segment starts at `wire`. */
static enum xf_rc add_rows(struct pass *p, const struct row_block *b,
                           const struct xf_fold_member *member, const struct xf_fold_rows *rows,
                           uint64_t wire) {
  struct xf_fold_scratch *s = p->scratch;
  const size_t lo = lower_bound(rows->row, rows->n, b->first_row);
  const size_t hi = lower_bound(rows->row, rows->n, (b->end + b->cols - 1) / b->cols);
  if (lo == hi) return XF_OK;
  /* the first and the last row may lie partly outside */
  const uint64_t row_lo = rows->row[lo] * b->cols, row_hi = (rows->row[hi - 1] + 1ull) * b->cols;
  const uint64_t skip = row_lo < b->begin ? b->begin - row_lo : 0;
  const uint64_t drop = row_hi > b->end ? row_hi - b->end : 0;
  const size_t n = (size_t)((hi - lo) * b->cols - skip - drop);
  const float *x = NULL;
  const enum xf_rc rc = member_floats(p, member, wire + lo * b->cols + skip, n, s->member[0], &x);
  if (rc) return rc;
  const double w = (double)member->weight;
  for (size_t i = lo; i < hi;) {
    size_t run = i + 1; /* consecutive rows in one call */
    while (run < hi && rows->row[run] == rows->row[run - 1] + 1) run++;
    const uint64_t from = rows->row[i] * b->cols, to = (rows->row[run - 1] + 1ull) * b->cols;
    const uint64_t begin = from > b->begin ? from : b->begin, end = to < b->end ? to : b->end;
    p->kern->add(s->acc + (begin - b->begin), &w, &x, 1, (size_t)(end - begin));
    x += end - begin;
    for (; i < run; i++) s->weight[rows->row[i] - b->first_row] += member->weight;
  }
  return XF_OK;
}

/* Rows with a holder step, the others keep value and state. */
static enum xf_rc finish_rows(struct pass *p, const struct row_block *b, uint64_t at) {
  struct xf_fold_scratch *s = p->scratch;
  for (uint64_t j = b->begin, r = 0; j < b->end; r++) {
    uint64_t end = (b->first_row + r + 1) * b->cols;
    if (end > b->end) end = b->end;
    const size_t from = (size_t)(j - b->begin), n = (size_t)(end - j);
    if (s->weight[r]) {
      const enum xf_rc rc = finish(p, from, n, p->job->sum ? 1 : (double)s->weight[r], at + from);
      if (rc) return rc;
    } else {
      memcpy(s->new_value + from, s->old_value + from, n * sizeof *s->new_value);
      p->rows_untouched += j % b->cols == 0; /* counted where the row starts */
    }
    j = end;
  }
  return XF_OK;
}

static enum xf_rc rows_block(struct pass *p, size_t seg, uint64_t segment_at, uint64_t begin,
                             uint64_t end) {
  const struct xf_fold_job *job = p->job;
  const struct xf_fold_shape *shape = job->shape;
  struct xf_fold_scratch *s = p->scratch;
  const uint64_t cols = shape->seg[seg].cols;
  const struct row_block b = {begin, end, cols, begin / cols};
  const size_t n = (size_t)(end - begin);
  memset(s->acc, 0, n * sizeof *s->acc);
  memset(s->weight, 0, ((end + cols - 1) / cols - b.first_row) * sizeof *s->weight);
  for (size_t k = 0; k < job->n_member; k++) {
    const struct xf_fold_member *member = &job->member[k];
    uint64_t wire = shape->n_shared;
    for (size_t i = 0; i < seg; i++) wire += member->rows[shape->seg[i].ns].n * shape->seg[i].cols;
    const enum xf_rc rc = add_rows(p, &b, member, &member->rows[shape->seg[seg].ns], wire);
    if (rc) return rc;
  }
  const uint64_t at = segment_at + begin;
  enum xf_rc rc = read_old(p, at, n);
  if (!rc) rc = finish_rows(p, &b, at);
  return rc ? rc : write_new(p, at, n);
}

enum xf_rc xf_fold_range(const struct xf_fold_job *job, struct xf_fold_scratch *scratch,
                         uint64_t begin, uint64_t end, struct xf_fold_stats *stats,
                         struct xf_diag *diag) {
  const struct xf_fold_shape *shape = job->shape;
  struct pass p = {.job = job,
                   .kern = xf_fold_kern_get(),
                   .scratch = scratch,
                   .diag = diag,
                   .n_state = xf_server_states(job->step.kind)};
  enum xf_rc rc = XF_OK;
  uint64_t at = begin;
  while (!rc && at < end && at < shape->n_shared) {
    uint64_t stop = end < shape->n_shared ? end : shape->n_shared;
    if (stop - at > BLOCK) stop = at + BLOCK;
    rc = shared_block(&p, at, (size_t)(stop - at));
    at = stop;
  }
  stats->shared_norm2 += lanes_sum(p.lane);
  memset(p.lane, 0, sizeof p.lane);
  uint64_t segment_at = shape->n_shared;
  for (size_t seg = 0; !rc && at < end && seg < shape->n_seg; seg++) {
    const uint64_t n = (uint64_t)shape->rows[shape->seg[seg].ns] * shape->seg[seg].cols;
    while (!rc && at < end && at < segment_at + n) {
      uint64_t stop = end < segment_at + n ? end : segment_at + n;
      if (stop - at > BLOCK) stop = at + BLOCK;
      rc = rows_block(&p, seg, segment_at, at - segment_at, stop - segment_at);
      at = stop;
    }
    segment_at += n;
  }
  stats->rows_norm2 += lanes_sum(p.lane);
  stats->rows_untouched += p.rows_untouched;
  return rc;
}

enum xf_rc xf_fold_tile(const struct xf_fold_job *job, struct xf_fold_scratch *scratch,
                        uint64_t tile, struct xf_fold_stats *stats, struct xf_diag *diag) {
  const uint64_t n = xf_fold_global(job->shape), begin = tile * XF_FOLD_TILE;
  memset(stats, 0, sizeof *stats);
  if (begin >= n) return XF_OK;
  return xf_fold_range(job, scratch, begin, n - begin < XF_FOLD_TILE ? n : begin + XF_FOLD_TILE,
                       stats, diag);
}

enum xf_rc xf_fold_step(const struct xf_fold_job *job, struct xf_fold_stats *stats,
                        struct xf_diag *diag) {
  memset(stats, 0, sizeof *stats);
  enum xf_rc rc = xf_fold_check(job, diag);
  if (rc) return rc;
  struct xf_fold_scratch *scratch = xf_fold_scratch_new();
  const uint64_t n = xf_fold_tiles(job->shape);
  for (uint64_t tile = 0; !rc && tile < n; tile++) {
    struct xf_fold_stats one;
    rc = xf_fold_tile(job, scratch, tile, &one, diag);
    xf_fold_stats_add(stats, &one);
  }
  xf_fold_scratch_free(scratch);
  return rc;
}

void xf_fold_stats_add(struct xf_fold_stats *total, const struct xf_fold_stats *tile) {
  total->shared_norm2 += tile->shared_norm2;
  total->rows_norm2 += tile->rows_norm2;
  total->rows_untouched += tile->rows_untouched;
}
