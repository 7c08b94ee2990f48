// Properties of the fold over random models, members and rows: whatever the arrival order, the ranges it is cut into,
// the number of threads and the way bytes come in, the bytes that come out are those of plain loops over
// the whole vectors.
// modules: fed base
// tsan
#include "fed/fold.h"

#include "base/alloc.h"
#include "base/rng.h"
#include "base/worker.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
// cmocka wants the four above first
#include <cmocka.h>

enum { MAX_MEMBERS = 40, MAX_SEG = 3, MAX_NS = 2 };

struct world {
  struct xf_fold_shape shape;
  struct xf_fold_segment seg[MAX_SEG];
  const char *ns[MAX_NS];
  uint32_t dir[MAX_NS];
  struct xf_fold_member member[MAX_MEMBERS];
  struct xf_fold_rows rows[MAX_MEMBERS][MAX_NS];
  char id[MAX_MEMBERS][32];
  float *wire[MAX_MEMBERS];
  size_t n_member;
  float *old_value, *state[2]; // before
  float *want, *want_state[2]; // after, by plain loops
  uint64_t n;
  struct xf_server_step step;
};

// The definitions of serveropt.h.
static double moved(const struct xf_server_step *s, double mean, double m, double v, double *new_m,
                    double *new_v) {
  const double square = mean * mean, slow = s->b1 * m + (1 - s->b1) * mean;
  *new_m = slow;
  *new_v = v;
  switch (s->kind) {
  case XF_SERVER_SGD: *new_m = m; return mean;
  case XF_SERVER_MOMENTUM: return *new_m = s->b1 * m + mean;
  case XF_SERVER_NESTEROV: *new_m = s->b1 * m + mean; return mean + s->b1 * *new_m;
  case XF_SERVER_ADAGRAD: *new_v = v + square; break;
  case XF_SERVER_ADAM: *new_v = s->b2 * v + (1 - s->b2) * square; break;
  case XF_SERVER_YOGI:
    *new_v = v - (1 - s->b2) * square * (double)((v > square) - (v < square));
    break;
  default: fail();
  }
  return slow / (sqrt(*new_v) + s->tau);
}

static void plain(struct world *w, uint64_t at, double acc, double weight) {
  double m, v;
  const double step =
      moved(&w->step, acc / weight, (double)w->state[0][at], (double)w->state[1][at], &m, &v);
  w->want_state[0][at] = (float)m;
  w->want_state[1][at] = (float)v;
  w->want[at] = (float)((double)w->old_value[at] + w->step.eta * step);
}

// Members are ascending here.
static void world_solve(struct world *w) {
  memcpy(w->want, w->old_value, w->n * sizeof(float));
  for (int k = 0; k < 2; k++) memcpy(w->want_state[k], w->state[k], w->n * sizeof(float));
  for (uint64_t j = 0; j < w->shape.n_shared; j++) {
    double acc = 0, weight = 0;
    for (size_t k = 0; k < w->n_member; k++) {
      acc += (double)w->member[k].weight * (double)w->wire[w->member[k].slot][j];
      weight += w->member[k].weight;
    }
    plain(w, j, acc, weight);
  }
  uint64_t at = w->shape.n_shared, wire[MAX_MEMBERS];
  for (size_t k = 0; k < w->n_member; k++) wire[k] = at;
  for (size_t s = 0; s < w->shape.n_seg; s++) {
    const uint32_t cols = w->seg[s].cols, ns = w->seg[s].ns;
    size_t next[MAX_MEMBERS] = {0};
    for (uint32_t r = 0; r < w->dir[ns]; r++, at += cols) {
      double weight = 0;
      const float *x[MAX_MEMBERS] = {0};
      for (size_t k = 0; k < w->n_member; k++) {
        const struct xf_fold_rows *rows = &w->member[k].rows[ns];
        if (next[k] == rows->n || rows->row[next[k]] != r) continue;
        x[k] = w->wire[w->member[k].slot] + wire[k] + (uint64_t)cols * next[k]++;
        weight += w->member[k].weight;
      }
      for (uint32_t c = 0; c < cols && weight > 0; c++) {
        double acc = 0;
        for (size_t k = 0; k < w->n_member; k++)
          if (x[k]) acc += (double)w->member[k].weight * (double)x[k][c];
        plain(w, at + c, acc, weight);
      }
    }
    for (size_t k = 0; k < w->n_member; k++) wire[k] += (uint64_t)cols * next[k];
  }
}

static float *floats(struct xf_rng *rng, uint64_t n) {
  float *x = xf_calloc(n + 1, sizeof *x);
  for (uint64_t i = 0; i < n; i++) x[i] = (float)xf_rng_u32(rng) / 4e9f - 0.5f;
  return x;
}

static void world_init(struct world *w, struct xf_rng *rng) {
  memset(w, 0, sizeof *w);
  w->ns[0] = "users", w->ns[1] = "items";
  w->shape = (struct xf_fold_shape){
      xf_rng_below(rng, 150000), w->seg, xf_rng_below(rng, MAX_SEG + 1), w->ns, w->dir, MAX_NS};
  for (int i = 0; i < MAX_NS; i++) w->dir[i] = xf_rng_below(rng, 600);
  for (size_t i = 0; i < w->shape.n_seg; i++)
    w->seg[i] = (struct xf_fold_segment){xf_rng_below(rng, MAX_NS),
                                         1 + xf_rng_below(rng, i == 0 ? 200 : 5)};
  if (xf_rng_below(rng, 4) == 0)
    w->seg[0].cols = 20000, w->dir[w->seg[0].ns] = 5; // a row longer than a block
  w->n = xf_fold_global(&w->shape);
  w->n_member = 1 + xf_rng_below(rng, xf_rng_below(rng, 3) ? 8 : MAX_MEMBERS);
  for (size_t k = 0; k < w->n_member; k++) {
    snprintf(w->id[k], sizeof w->id[k], "silo-%02zu", k);
    const uint32_t most = xf_rng_below(rng, 2) ? 1000 : XF_FOLD_WEIGHT_MAX;
    w->member[k] = (struct xf_fold_member){w->id[k], k, 1 + xf_rng_below(rng, most), w->rows[k]};
    for (int ns = 0; ns < MAX_NS; ns++) {
      const uint32_t rarity = 1 + xf_rng_below(rng, 4);
      uint32_t *row = xf_calloc(w->dir[ns] + 1, sizeof *row);
      size_t n = 0;
      for (uint32_t r = 0; r < w->dir[ns]; r++)
        if (xf_rng_below(rng, rarity) == 0 && r % 7 != 3) row[n++] = r; // some rows have no holder
      w->rows[k][ns] = (struct xf_fold_rows){row, n};
    }
    w->wire[k] = floats(rng, xf_fold_wire(&w->shape, &w->member[k]));
  }
  w->old_value = floats(rng, w->n);
  for (int k = 0; k < 2; k++) w->state[k] = floats(rng, w->n);
  for (uint64_t j = 0; j < w->n; j++) w->state[1][j] = fabsf(w->state[1][j]);
  w->want = floats(rng, w->n);
  for (int k = 0; k < 2; k++) w->want_state[k] = floats(rng, w->n);
  w->step =
      (struct xf_server_step){.kind = (enum xf_server_kind)xf_rng_below(rng, XF_SERVER_N_BUILTIN),
                              .first = xf_rng_below(rng, 4) == 0,
                              .eta = xf_rng_double(rng) * 2,
                              .b1 = xf_rng_double(rng),
                              .b2 = xf_rng_double(rng),
                              .tau = xf_rng_double(rng) + 0.001,
                              .v0 = xf_rng_double(rng)};
  for (uint32_t k = 0; w->step.first && k < xf_server_states(w->step.kind); k++)
    for (uint64_t j = 0; j < w->n; j++) w->state[k][j] = k ? (float)w->step.v0 : 0;
  world_solve(w);
}

static void world_deinit(struct world *w) {
  for (size_t k = 0; k < w->n_member; k++) {
    xf_free(w->wire[k]);
    for (int ns = 0; ns < MAX_NS; ns++) xf_free((void *)(uintptr_t)w->rows[k][ns].row);
  }
  xf_free(w->old_value);
  for (int k = 0; k < 2; k++) xf_free(w->state[k]), xf_free(w->want_state[k]);
  xf_free(w->want);
}

struct slice {
  struct xf_job job;
  const struct xf_fold_job *fold;
  uint64_t begin, end;
  struct xf_fold_stats stats;
  enum xf_rc rc;
};

static void slice_run(struct xf_job *job) {
  struct slice *s = (struct slice *)job;
  struct xf_fold_scratch *scratch = xf_fold_scratch_new();
  s->rc = xf_fold_range(s->fold, scratch, s->begin, s->end, &s->stats, NULL);
  xf_fold_scratch_free(scratch);
}

static void no_wake(void *arg) { (void)arg; }

// Runs the job in pieces on some threads; whole tiles when `tiles`.
static void run_pieces(const struct xf_fold_job *job, uint64_t n, bool tiles, size_t threads,
                       struct xf_rng *rng, struct xf_fold_stats *stats) {
  enum { MAX_PIECES = 64 };
  static struct slice piece[MAX_PIECES];
  size_t n_piece = 0;
  uint64_t step = XF_FOLD_TILE;
  memset(piece, 0, sizeof piece);
  for (uint64_t at = 0; at < n; at += step) {
    if (!tiles) step = n / 20 + 1 + xf_rng_below(rng, 9000);
    assert_true(n_piece < MAX_PIECES);
    piece[n_piece++] = (struct slice){
        .job.run = slice_run, .fold = job, .begin = at, .end = at + step < n ? at + step : n};
  }
  struct xf_worker *pool = NULL;
  assert_int_equal(xf_worker_start(&pool, threads, no_wake, NULL), XF_OK);
  for (size_t i = n_piece; i-- > 0;) xf_worker_submit(pool, &piece[i].job); // last first
  while (xf_worker_wait(pool)) continue;
  xf_worker_stop(pool);
  memset(stats, 0, sizeof *stats);
  for (size_t i = 0; i < n_piece; i++) {
    assert_int_equal(piece[i].rc, XF_OK);
    xf_fold_stats_add(stats, &piece[i].stats);
  }
}

static void test_fold(void **state) {
  (void)state;
#ifdef XF_SANITIZED
  const int cases = 12;
#else
  const int cases = 60;
#endif
  for (int c = 0; c < cases; c++) {
    struct xf_rng rng;
    xf_rng_init(&rng, 2024, (uint64_t)c);
    struct world w;
    world_init(&w, &rng);
    float *out = xf_calloc(w.n + 1, sizeof *out), *v[2];
    for (int k = 0; k < 2; k++) v[k] = xf_calloc(w.n + 1, sizeof *v[k]);
    struct xf_fold_memory memory = {(const float *const *)w.wire, w.old_value, out, {v[0], v[1]}};
    struct xf_fold_job job = {.shape = &w.shape,
                              .member = w.member,
                              .n_member = w.n_member,
                              .step = w.step,
                              .io = xf_fold_memory_io(&memory)};
    const uint32_t n_state = xf_server_states(w.step.kind);
    struct xf_fold_stats first = {0}, stats;
    for (int way = 0; way < 6; way++) {
      for (uint32_t k = 0; k < n_state; k++) // a first commit reads none
        memcpy(v[k], w.state[k], w.step.first ? 0 : w.n * sizeof *v[k]);
      memset(out, 0xee, w.n * sizeof *out);
      for (size_t k = w.n_member; k-- > 1;) { // arrival order
        const size_t other = xf_rng_below(&rng, (uint32_t)k + 1);
        const struct xf_fold_member swap = w.member[k];
        w.member[k] = w.member[other], w.member[other] = swap;
      }
      xf_fold_sort(w.member, w.n_member);
      job.io.borrow = way % 2 ? NULL : xf_fold_memory_io(&memory).borrow;
      if (way == 0) assert_int_equal(xf_fold_step(&job, &first, NULL), XF_OK);
      else run_pieces(&job, w.n, way < 4, (size_t)way, &rng, &stats);
      if (memcmp(out, w.want, w.n * sizeof *out) != 0)
        fail_msg("case %d, way %d: other bytes", c, way);
      for (uint32_t k = 0; k < n_state; k++)
        assert_memory_equal(v[k], w.want_state[k], w.n * sizeof *v[k]);
      if (way > 0 && way < 4) assert_memory_equal(&stats, &first, sizeof stats);
      if (way >= 4) assert_int_equal(stats.rows_untouched, first.rows_untouched);
    }
    xf_free(out);
    for (int k = 0; k < 2; k++) xf_free(v[k]);
    world_deinit(&w);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_fold)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
