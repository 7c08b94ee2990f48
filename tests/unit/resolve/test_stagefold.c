/* A stage's commit against plain loops: sums, means, pairs, momentum; what other stages wrote stays bit by bit; refusals. */
#include "base/rng.h"
#include "param/sparse.h"
#include "param/vec.h"
#include "resolve/stagefold.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
// cmocka wants the four above first
#include <cmocka.h>

enum { STAGES = 4, KEYS = 17, N = 3, FLOATS = 1024 };

struct world {
  struct xf_layout layout;
  struct xf_global g;
  uint32_t row[N][KEYS];
  size_t n_row[N];
  struct xf_member_rows rows[N];
  float part[N][FLOATS]; /* by slot */
  float old_value[FLOATS], new_value[FLOATS], state[FLOATS];
  bool written[FLOATS];
  uint64_t n_written, progressed;
  int fail_slot; /* whose read fails, -1: nobody's */
  bool stop;
  struct xf_stagefold_member member[N];
  struct xf_buf bytes[N];
  struct xf_codec codec; /* updates without zeros, by slot */
};

static struct world w;

/* gram: a statistic with its diagonal; noised: pairs alone; weak: shared and rows; scorer: shared. */
static void world_make(uint64_t seed) {
  static const struct {
    const char *name;
    enum xf_role role;
    uint32_t rows, cols, stage;
  } seg[] = {
      {"gram/diagonal", XF_ROLE_ALIGNED, KEYS, 1, 0},  {"gram/pairs", XF_ROLE_PAIRED, KEYS, 1, 0},
      {"noised/pairs", XF_ROLE_PAIRED, KEYS, 1, 1},    {"weak/bias", XF_ROLE_SHARED, 5, 1, 2},
      {"weak/own", XF_ROLE_DOMAIN, 9, 2, 2},           {"weak/user", XF_ROLE_ALIGNED, KEYS, 3, 2},
      {"weak/user_bias", XF_ROLE_ALIGNED, KEYS, 1, 2}, {"scorer/w", XF_ROLE_SHARED, 4, 6, 3}};
  /* Ids in another order than slots; weights that do not divide. */
  static const char *const id[N] = {"school", "bank", "clinic"};
  static const uint32_t weight[N] = {7, 3, 1};
  struct xf_rng rng;
  xf_rng_init(&rng, seed, 0);
  memset(&w, 0, sizeof w);
  w.fail_slot = -1;
  xf_layout_init(&w.layout);
  for (size_t k = 0; k < sizeof seg / sizeof seg[0]; k++) {
    const bool keyed = seg[k].role == XF_ROLE_ALIGNED || seg[k].role == XF_ROLE_PAIRED;
    assert_int_equal(xf_layout_add(&w.layout, seg[k].name, seg[k].role, keyed ? "key" : NULL,
                                   seg[k].rows, seg[k].cols, NULL),
                     XF_OK);
    w.layout.seg[k].stage = seg[k].stage;
  }
  assert_int_equal(xf_global_lay(&w.g, &w.layout, STAGES, NULL), XF_OK);
  w.g.stage[0].sum = w.g.stage[1].sum = true;
  assert_true(w.g.n <= FLOATS);
  for (size_t k = 0; k < N; k++) {
    for (uint32_t r = 0; r < KEYS; r++) /* the last key has no holder */
      if (r < KEYS - 1 && xf_rng_below(&rng, 3)) w.row[k][w.n_row[k]++] = r;
    for (int i = 0; i < FLOATS; i++) w.part[k][i] = (float)(xf_rng_double(&rng) * 8 - 4);
    w.rows[k] = xf_member_rows_one(w.row[k], w.n_row[k]);
    w.member[k] = (struct xf_stagefold_member){
        .id = id[k], .slot = k, .weight = weight[k], .rows = &w.rows[k]};
  }
  for (int i = 0; i < FLOATS; i++) {
    w.old_value[i] = (float)xf_rng_double(&rng);
    w.state[i] = (float)xf_rng_double(&rng);
  }
  memcpy(w.new_value, w.old_value, sizeof w.new_value);
}

static void world_free(void) {
  xf_global_deinit(&w.g);
  xf_layout_deinit(&w.layout);
}

static enum xf_rc read_part(void *arg, size_t slot, uint64_t at, float *out, size_t n) {
  const struct world *x = arg;
  if ((int)slot == x->fail_slot) return XF_E_IO;
  memcpy(out, x->part[slot] + at, n * sizeof *out);
  return XF_OK;
}
static enum xf_rc read_bytes(void *arg, size_t slot, uint64_t at, uint8_t *out, size_t n) {
  const struct world *x = arg;
  assert_true(at <= x->bytes[slot].len && n <= x->bytes[slot].len - at);
  memcpy(out, x->bytes[slot].p + at, n);
  return XF_OK;
}
static enum xf_rc read_old(void *arg, uint64_t at, float *out, size_t n) {
  memcpy(out, ((const struct world *)arg)->old_value + at, n * sizeof *out);
  return XF_OK;
}
static enum xf_rc write_new(void *arg, uint64_t at, const float *v, size_t n) {
  struct world *x = arg;
  for (uint64_t i = at; i < at + n; i++) {
    assert_true(i < x->g.n && !x->written[i]);
    x->written[i] = true;
  }
  x->n_written += n;
  memcpy(x->new_value + at, v, n * sizeof *v);
  return XF_OK;
}
static enum xf_rc read_state(void *arg, uint32_t k, uint64_t at, float *out, size_t n) {
  assert_int_equal(k, 0);
  memcpy(out, ((const struct world *)arg)->state + at, n * sizeof *out);
  return XF_OK;
}
static enum xf_rc write_state(void *arg, uint32_t k, uint64_t at, const float *v, size_t n) {
  assert_int_equal(k, 0);
  memcpy(((struct world *)arg)->state + at, v, n * sizeof *v);
  return XF_OK;
}
static enum xf_rc progress(void *arg, uint64_t done, uint64_t total) {
  struct world *x = arg;
  assert_true(done < total);
  x->progressed++;
  return x->stop ? XF_E_CANCELLED : XF_OK;
}

struct at {
  size_t slot;
};
static enum xf_rc read_at(void *arg, uint64_t at, uint8_t *out, size_t n) {
  return read_bytes(&w, ((struct at *)arg)->slot, at, out, n);
}

static enum xf_rc run(uint32_t stage, struct xf_server_step step, struct xf_diag *diag) {
  struct xf_stagefold fold = {
      .global = &w.g,
      .stage = stage,
      .step = step,
      .member = w.member,
      .n_member = N,
      .io = {&w, NULL, read_part, read_old, write_new, read_state, write_state},
      .codec = w.codec,
      .read_bytes = w.bytes[0].len ? read_bytes : NULL,
      .progress = progress};
  xf_diag_init(diag);
  return xf_stagefold_run(&fold, diag);
}

/* Where float `at` of a member's update of the stage lies in the global vector, by the definition of the wire vector. */
static uint64_t place(uint32_t stage, size_t k, uint64_t at) {
  uint64_t base = 0;
  for (int keyed = 0; keyed < 2; keyed++)
    for (size_t i = 0; i < w.layout.n_seg; i++) {
      const struct xf_segment *s = &w.layout.seg[i];
      if (!xf_segment_global(s) || xf_segment_keyed(s) != keyed) continue;
      const size_t n = w.n_row[k];
      const uint64_t len = s->role == XF_ROLE_SHARED    ? xf_segment_len(s)
                           : s->role == XF_ROLE_ALIGNED ? (uint64_t)n * s->cols
                                                        : (uint64_t)n * (n - 1) / 2;
      if (s->stage == stage && at < len) {
        if (s->role == XF_ROLE_SHARED) return base + at;
        if (s->role == XF_ROLE_ALIGNED)
          return base + (uint64_t)w.row[k][at / s->cols] * s->cols + at % s->cols;
        uint32_t a = 0;
        while (at >= n - a - 1) at -= n - ++a; /* row a of the triangle has n - a - 1 */
        return base + xf_triangle_row(s->rows, w.row[k][a]) +
               (w.row[k][a + 1 + at] - w.row[k][a] - 1);
      }
      if (s->stage == stage) at -= len;
      base += xf_segment_len(s);
    }
  fail_msg("position beyond the update");
  return 0;
}

/* The commit by plain loops, members in bytewise order of their ids: bank, clinic, school. */
static void expect(float *out, float *state, uint32_t stage, struct xf_server_step step) {
  static const size_t order[N] = {1, 2, 0};
  static const uint32_t weight[N] = {7, 3, 1};
  static double acc[FLOATS], total[FLOATS];
  const bool sum = w.g.stage[stage].sum;
  memset(acc, 0, sizeof acc);
  memset(total, 0, sizeof total);
  for (size_t o = 0; o < N; o++) {
    const size_t k = order[o];
    const double wk = sum ? 1 : weight[k];
    for (uint64_t at = 0; at < xf_stagefold_wire(&w.g, stage, &w.rows[k]); at++) {
      const uint64_t to = place(stage, k, at);
      acc[to] += wk * (double)w.part[k][at];
      total[to] += wk;
    }
  }
  for (uint64_t i = 0; i < w.g.n; i++) {
    out[i] = w.old_value[i];
    state[i] = w.state[i];
    if (total[i] == 0) continue;
    double move = sum ? acc[i] : acc[i] / total[i];
    if (step.kind == XF_SERVER_MOMENTUM) {
      state[i] = (float)(step.b1 * (double)w.state[i] + move);
      move = step.b1 * (double)w.state[i] + move;
    }
    out[i] = (float)((double)w.old_value[i] + step.eta * move);
  }
}

static void check(uint32_t stage, struct xf_server_step step) {
  static float want[FLOATS], state[FLOATS], other[FLOATS];
  struct xf_diag diag;
  expect(want, state, stage, step);
  memcpy(other, w.new_value, sizeof other);
  if (w.g.stage[stage].sum)
    for (size_t k = 0; k < N; k++) w.member[k].weight = 1;
  if (run(stage, step, &diag)) fail_msg("stage %u: %s", stage, diag.text);
  uint64_t mine = 0;
  for (uint64_t i = 0; i < w.g.n; i++) {
    mine += w.written[i];
    if (!w.written[i]) {
      assert_memory_equal(&w.new_value[i], &other[i], sizeof(float));
      continue;
    }
    if (fabs((double)(w.new_value[i] - want[i])) > 1e-6)
      fail_msg("stage %u float %u: %.9g, not %.9g", stage, (unsigned)i, (double)w.new_value[i],
               (double)want[i]);
    if (step.kind != XF_SERVER_MOMENTUM)
      assert_memory_equal(&w.new_value[i], &want[i], sizeof(float));
    assert_true(fabs((double)(w.state[i] - state[i])) < 1e-6);
  }
  assert_int_equal(mine, w.g.stage[stage].n);
  assert_int_equal(w.n_written, w.g.stage[stage].n);
  assert_true(w.progressed > 0);
}

static void test_each_stage(void **state) {
  (void)state;
  static const uint64_t floats[STAGES] = {KEYS + KEYS * (KEYS - 1) / 2, KEYS * (KEYS - 1) / 2,
                                          5 + KEYS * 4, 24};
  for (uint64_t seed = 1; seed <= 20; seed++)
    for (uint32_t stage = 0; stage < STAGES; stage++) {
      world_make(seed);
      assert_int_equal(w.g.stage[stage].n, floats[stage]);
      check(stage, (struct xf_server_step){.eta = w.g.stage[stage].sum ? 1 : 0.7});
      world_free();
    }
}

/* One stage after the other over the same vector, as a run goes. */
static void test_in_turn(void **state) {
  (void)state;
  world_make(5);
  for (uint32_t stage = 0; stage < STAGES; stage++) {
    memcpy(w.old_value, w.new_value, sizeof w.old_value);
    memset(w.written, 0, sizeof w.written);
    w.n_written = w.progressed = 0;
    for (size_t k = 0; k < N; k++) { /* put in another order by the fold of pairs */
      static const uint32_t weight[N] = {7, 3, 1};
      w.member[k].weight = weight[w.member[k].slot];
    }
    check(stage, (struct xf_server_step){.eta = 1});
  }
  world_free();
}

static void test_momentum(void **state) {
  (void)state;
  static float before[FLOATS];
  for (uint32_t stage = 2; stage < STAGES; stage++) {
    world_make(9);
    memcpy(before, w.state, sizeof before);
    check(stage, (struct xf_server_step){.kind = XF_SERVER_MOMENTUM, .eta = 0.5, .b1 = 0.9});
    uint64_t moved = 0;
    for (uint64_t i = 0; i < w.g.n; i++) {
      moved += w.state[i] != before[i];
      if (!w.written[i]) assert_true(w.state[i] == before[i]); /* other stages' momentum stays */
    }
    assert_true(moved > 20);
    world_free();
  }
}

static void spoil_id(void) { w.member[2].id = w.member[0].id; }
static void spoil_weight(void) { w.member[1].weight = 0; }
static void spoil_rows(void) { w.row[1][w.n_row[1] - 1] = KEYS; /* beyond the directory */ }
static void spoil_order(void) { w.row[1][1] = w.row[1][0]; }
static void spoil_value(void) { w.part[1][2] = INFINITY; }
static void spoil_read(void) { w.fail_slot = 2; }
static void spoil_progress(void) { w.stop = true; }

/* Without zeros an update gives the same bits; one that has all its floats may stand beside it. */
static void test_sparse(void **state) {
  (void)state;
  static float want[FLOATS];
  struct xf_diag diag;
  const struct xf_server_step step = {.eta = 1};
  for (uint32_t stage = 0; stage < 2; stage++)
    for (int sparse = 0; sparse < 3; sparse++) {
      world_make(5);
      for (size_t k = 0; k < N; k++) {
        const uint64_t n = xf_stagefold_wire(&w.g, stage, &w.rows[k]);
        for (uint64_t i = 0; i < n; i++)
          if ((i + k) % 4) w.part[k][i] = 0;
        xf_buf_init(&w.bytes[k], 1 << 16);
        w.member[k].len = n * sizeof(float);
        w.codec = (struct xf_codec){.kind = XF_CODEC_SPARSE};
        if (!sparse || k == 1) continue;
        assert_int_equal(xf_sparse_put(&w.bytes[k], w.part[k], n), XF_OK);
        w.member[k].len = w.bytes[k].len;
        if (sparse == 2 && k == 2) w.bytes[k].p[w.bytes[k].len - 5] ^= 0xff; /* a place */
      }
      if (sparse < 2) assert_int_equal(run(stage, step, &diag), XF_OK);
      else {
        assert_int_equal(run(stage, step, &diag), XF_E_CORRUPT);
        assert_non_null(strstr(diag.text, "places do not ascend"));
        struct xf_stagefold_member *m = w.member; /* the fold has put them in order */
        while (m->slot != 2) m++;
        memset(w.written, 0, sizeof w.written);
        m->len = w.bytes[2].len - 1;
        assert_int_equal(run(stage, step, &diag), XF_E_CORRUPT);
        assert_non_null(strstr(diag.text, "update of \"clinic\""));
        m->len = FLOATS * sizeof(float);
        assert_int_equal(run(stage, step, &diag), XF_E_SHAPE);
      }
      if (sparse == 0) memcpy(want, w.new_value, sizeof want);
      if (sparse == 1) assert_memory_equal(want, w.new_value, w.g.n * sizeof *want);
      for (size_t k = 0; k < N; k++) xf_buf_deinit(&w.bytes[k]);
      world_free();
    }
}

/* Encoded updates fold as what they decode to, whose squares are counted; floats beside them are refused. */
static void test_coded(void **state) {
  (void)state;
  static float want[FLOATS];
  struct xf_diag diag;
  struct xf_rng rng;
  const uint32_t stage = 2;
  const struct xf_server_step step = {.eta = 1};
  const struct xf_codec codec = {.kind = XF_CODEC_INT8, .bucket = 8};
  for (int coded = 0; coded < 2; coded++) {
    double norm2[N];
    world_make(5);
    xf_rng_init(&rng, 1, 0);
    xf_diag_init(&diag);
    for (size_t k = 0; k < N; k++) {
      struct xf_codec_reader r;
      const uint64_t n = xf_stagefold_wire(&w.g, stage, &w.rows[k]);
      xf_buf_init(&w.bytes[k], 1 << 16);
      assert_int_equal(xf_codec_put(&w.bytes[k], &codec, w.part[k], n, &rng, &diag), XF_OK);
      struct at at = {k};
      assert_int_equal(xf_codec_open(&r, &codec, n, w.bytes[k].len, read_at, &at, &diag), XF_OK);
      assert_int_equal(xf_codec_get(&r, 0, w.part[k], (size_t)n, &diag), XF_OK);
      xf_codec_close(&r);
      norm2[k] = xf_vec_norm2(w.part[k], (size_t)n);
      w.member[k].len = coded ? w.bytes[k].len : 0;
    }
    w.codec = coded ? codec : (struct xf_codec){.kind = XF_CODEC_FLOAT32};
    assert_int_equal(run(stage, step, &diag), XF_OK);
    if (!coded) memcpy(want, w.new_value, sizeof want);
    else {
      assert_memory_equal(want, w.new_value, w.g.n * sizeof *want);
      for (size_t k = 0; k < N; k++)
        assert_true(fabs(w.member[k].norm2 - norm2[w.member[k].slot]) < 1e-9 * norm2[k]);
      w.member[0].len = 0;
      assert_int_equal(run(stage, step, &diag), XF_E_CORRUPT);
    }
    for (size_t k = 0; k < N; k++) xf_buf_deinit(&w.bytes[k]);
    world_free();
  }
}

static void test_refusals(void **state) {
  (void)state;
  static const struct {
    void (*spoil)(void);
    uint32_t stages; /* where it is one */
    enum xf_rc rc[STAGES];
    const char *says;
  } row[] = {
      {spoil_id, 15, {XF_E_INVAL, XF_E_INVAL, XF_E_INVAL, XF_E_INVAL}, "school"},
      {spoil_weight, 12, {XF_OK, XF_OK, XF_E_RANGE, XF_E_RANGE}, "bank"},
      {spoil_rows, 7, {XF_E_RANGE, XF_E_INVAL, XF_E_RANGE, XF_OK}, "bank"},
      {spoil_order, 7, {XF_E_RANGE, XF_E_INVAL, XF_E_RANGE, XF_OK}, "bank"},
      {spoil_value, 15, {XF_E_NAN, XF_E_NAN, XF_E_NAN, XF_E_NAN}, ""},
      {spoil_read, 15, {XF_E_IO, XF_E_IO, XF_E_IO, XF_E_IO}, ""},
      {spoil_progress, 15, {XF_E_CANCELLED, XF_E_CANCELLED, XF_E_CANCELLED, XF_E_CANCELLED}, ""},
  };
  for (size_t i = 0; i < sizeof row / sizeof row[0]; i++)
    for (uint32_t stage = 0; stage < STAGES; stage++) {
      struct xf_diag diag;
      if (!(row[i].stages >> stage & 1)) continue;
      world_make(3);
      row[i].spoil();
      const enum xf_rc rc = run(stage, (struct xf_server_step){.eta = 1}, &diag);
      if (rc != row[i].rc[stage])
        fail_msg("case %zu stage %u: %s (%s)", i, stage, xf_rc_name(rc), diag.text);
      if (!strstr(diag.text, row[i].says)) fail_msg("case %zu: %s", i, diag.text);
      world_free();
    }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_each_stage), cmocka_unit_test(test_in_turn),
      cmocka_unit_test(test_momentum),   cmocka_unit_test(test_sparse),
      cmocka_unit_test(test_coded),      cmocka_unit_test(test_refusals),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
