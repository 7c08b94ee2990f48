// Optimisers: the vectors, dense = row-sparse with catching up (bit for bit), lazy, l2, schedules, refusals.
#include "nntest.h"

#include "base/rng.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
// cmocka wants the four above first
#include <cmocka.h>

static struct xf_optim *optim(const struct xf_optim_config *c, const struct xf_layout *layout) {
  struct xf_optim *o;
  struct xf_diag diag;
  xf_diag_init(&diag);
  if (xf_optim_new(&o, c, layout, &diag)) fail_msg("%s", diag.text);
  return o;
}

// vectors: adam_3_steps, sgd_momentum_3_steps, and plain SGD by hand
static void test_vectors(void **state) {
  (void)state;
  const float g[3][2] = {{0.1f, -0.2f}, {0.3f, 0.4f}, {-0.5f, 0.0f}};
  const double want[4][3][2] = {{{0.99, -1.98}, {0.96, -2.02}, {1.01, -2.02}},
                                {{0.99, -1.98}, {0.951, -2.002}, {0.9659, -2.0218}},
                                {{0.981, -1.962}, {0.9159, -2.0218}, {0.97931, -2.03962}},
                                {{0.900000009999999, -1.9000000049999997},
                                 {0.8082219022055899, -1.9366103565460366},
                                 {0.8243133320957833, -1.9649102641979637}}};
  struct xf_layout layout;
  nntest_layout(&layout, (const struct seg_spec[]){{"p", 2, 1}, {NULL, 0, 0}});
  for (int kind = 0; kind < 4; kind++) {
    const struct xf_optim_config c = xf_optim_default((enum xf_optim_kind)kind, 0.1f);
    struct xf_optim *o = optim(&c, &layout);
    for (int again = 0; again < 2; again++) {
      float p[2] = {1, -2}, grad[2];
      for (int t = 0; t < 3; t++) {
        memcpy(grad, g[t], sizeof grad);
        const struct xf_grad_piece piece = {layout.seg, NULL, 2, grad};
        xf_optim_step(o, p, &piece, 1);
        nntest_close(p, want[kind][t], 2, 1e-6, xf_optim_name(c.kind));
      }
      size_t n;
      const float *s = xf_optim_get_state(o, &n);
      assert_int_equal(n, kind == XF_OPTIM_SGD ? 0 : (kind == XF_OPTIM_ADAM ? 4 : 2));
      if (kind == XF_OPTIM_ADAM)
        nntest_close(s, (const double[4]){-0.0149, 0.0198, 0.00034989001, 0.00019976004}, 4, 1e-7,
                     "moments");
      xf_optim_reset(o);
    }
    xf_optim_free(o);
  }
  xf_layout_deinit(&layout);
}

// Adagrad, and AdamW, whose decay does not pass through the moments, by their formulas in double.
static void test_by_formula(void **state) {
  (void)state;
  const float g[3][2] = {{0.1f, -0.2f}, {0.3f, 0.4f}, {-0.5f, 0.0f}};
  struct xf_layout layout;
  nntest_layout(&layout, (const struct seg_spec[]){{"p", 2, 1}, {NULL, 0, 0}});
  for (int w = 0; w < 2; w++) {
    struct xf_optim_config c = xf_optim_default(w ? XF_OPTIM_ADAMW : XF_OPTIM_ADAGRAD, 0.1f);
    if (w) c.weight_decay = 0.2f;
    struct xf_optim *o = optim(&c, &layout);
    float p[2] = {1, -2}, grad[2];
    double want[2] = {1, -2}, m[2] = {0}, v[2] = {0};
    for (int t = 1; t <= 3; t++) {
      for (int i = 0; i < 2; i++) {
        const double d = (double)(grad[i] = g[t - 1][i]);
        if (!w) {
          v[i] += d * d;
          if (v[i] > 0) want[i] -= 0.1 * d / (sqrt(v[i]) + 1e-8);
          continue;
        }
        m[i] = 0.9 * m[i] + 0.1 * d;
        v[i] = 0.999 * v[i] + 0.001 * d * d;
        want[i] -= 0.1 * 0.2 * want[i];
        want[i] -= 0.1 * m[i] / (1 - pow(0.9, t)) / (sqrt(v[i] / (1 - pow(0.999, t))) + 1e-8);
      }
      const struct xf_grad_piece piece = {layout.seg, NULL, 2, grad};
      xf_optim_step(o, p, &piece, 1);
      nntest_close(p, want, 2, 1e-6, xf_optim_name(c.kind));
    }
    xf_optim_free(o);
  }
  xf_layout_deinit(&layout);
}

// --- sparse against dense

enum { ROWS = 23, COLS = 5, REST = 7, N = ROWS * COLS + REST, STEPS = 1600 };
static const struct seg_spec segs[] = {{"table", ROWS, COLS}, {"rest", REST, 1}, {NULL, 0, 0}};

struct twin {
  struct xf_layout layout;
  struct xf_optim *o[2]; // dense gradients with zeros; row-sparse ones
  float p[2][N];
  struct xf_rng rng;
  int step;
};

// Step: a few rows get a gradient; row 3 only at the start, row 4 only late, row 5 never.
static void twin_step(struct twin *t) {
  float g[2][N] = {{0}};
  uint32_t row[ROWS];
  struct xf_grad_piece piece[2] = {{&t->layout.seg[0], row, 0, g[1]},
                                   {&t->layout.seg[1], NULL, REST, g[1] + ROWS * COLS}};
  for (uint32_t r = 0; r < ROWS; r++) {
    const bool on = r == 3   ? t->step < 3
                    : r == 4 ? t->step == 1500
                    : r == 5 ? false
                             : xf_rng_below(&t->rng, 20) == 0;
    if (!on) continue;
    for (uint32_t c = 0; c < COLS; c++)
      g[0][r * COLS + c] = g[1][piece[0].n_row * COLS + c] = (float)(xf_rng_double(&t->rng) - 0.5);
    row[piece[0].n_row++] = r;
  }
  for (int i = 0; i < REST; i++)
    g[0][ROWS * COLS + i] = g[1][ROWS * COLS + i] = (float)(xf_rng_double(&t->rng) - 0.5);
  const struct xf_grad_piece dense[2] = {{&t->layout.seg[0], NULL, ROWS, g[0]},
                                         {&t->layout.seg[1], NULL, REST, g[0] + ROWS * COLS}};
  xf_optim_step(t->o[0], t->p[0], dense, 2);
  xf_optim_step(t->o[1], t->p[1], piece, 2);
  t->step++;
}

static void open_twin(struct twin *t, const struct xf_optim_config *c) {
  memset(t, 0, sizeof *t);
  nntest_layout(&t->layout, segs);
  xf_rng_init(&t->rng, 9, 0);
  for (int i = 0; i < 2; i++) t->o[i] = optim(c, &t->layout);
  for (int i = 0; i < N; i++) t->p[0][i] = t->p[1][i] = (float)(xf_rng_double(&t->rng) - 0.5);
}
static void close_twin(struct twin *t) {
  xf_optim_free(t->o[0]);
  xf_optim_free(t->o[1]);
  xf_layout_deinit(&t->layout);
}

static void test_catchup_is_exact(void **state) {
  (void)state;
  for (int kind = 0; kind < 8; kind++)
    for (int often = 0; often < 2; often++) { // catching up in between changes nothing
      struct xf_optim_config c =
          xf_optim_default((enum xf_optim_kind)(kind % 4 + kind / 4 * XF_OPTIM_ADAM), 0.01f);
      if (kind == 5) c = xf_optim_default(XF_OPTIM_ADAGRAD, 0.05f);
      if (kind > 5) c = xf_optim_default(XF_OPTIM_ADAMW, 0.01f);
      if (kind == 7) c.weight_decay = 0.1f;
      if (kind == 4) c.beta1 = 0.999f; // still moving after more steps than the optimiser remembers
      struct twin t;
      open_twin(&t, &c);
      while (t.step < STEPS) {
        twin_step(&t);
        if (often && t.step % 37 == 0) xf_optim_catchup(t.o[1], t.p[1]);
      }
      xf_optim_catchup(t.o[1], t.p[1]);
      assert_memory_equal(t.p[0], t.p[1], sizeof t.p[0]);
      size_t n;
      const float *dense = xf_optim_get_state(t.o[0], &n), *sparse = xf_optim_get_state(t.o[1], &n);
      if (n) assert_memory_equal(dense, sparse, n * sizeof *dense);
      close_twin(&t);
    }
}

static void test_schedule(void **state) {
  (void)state;
  for (int kind = 0; kind < 6; kind++) {
    struct xf_optim_config c = xf_optim_default((enum xf_optim_kind)kind, 0.01f);
    if (kind == XF_OPTIM_ADAMW) c.weight_decay = 0.05f;
    struct twin t;
    open_twin(&t, &c);
    while (t.step < 200) {
      twin_step(&t);
      if (t.step % 50) continue;
      for (int i = 0; i < 2; i++) xf_optim_set_lr(t.o[i], t.p[i], 0.01f / (float)t.step);
    }
    xf_optim_catchup(t.o[1], t.p[1]);
    assert_memory_equal(t.p[0], t.p[1], sizeof t.p[0]);
    close_twin(&t);
  }
}

static void test_lazy(void **state) {
  (void)state;
  struct xf_optim_config c = xf_optim_default(XF_OPTIM_ADAM, 0.01f);
  c.lazy = true;
  struct twin t;
  open_twin(&t, &c);
  for (int i = 0; i < 3; i++) twin_step(&t);
  float row3[COLS];
  memcpy(row3, &t.p[1][3 * COLS], sizeof row3);
  while (t.step < 100) twin_step(&t);
  xf_optim_catchup(t.o[1], t.p[1]);
  assert_memory_equal(row3, &t.p[1][3 * COLS], sizeof row3); // untouched rows rest
  assert_true(memcmp(row3, &t.p[0][3 * COLS], sizeof row3) != 0);
  close_twin(&t);
}

// A segment may get dense and row-sparse gradients in turn.
static void test_mixed(void **state) {
  (void)state;
  const struct xf_optim_config c = xf_optim_default(XF_OPTIM_ADAM, 0.01f);
  struct twin t;
  open_twin(&t, &c);
  for (int round = 0; round < 4; round++) {
    float g[2][N];
    for (int i = 0; i < N; i++) g[0][i] = g[1][i] = (float)(xf_rng_double(&t.rng) - 0.5);
    for (int i = 0; i < 2; i++) {
      const struct xf_grad_piece whole[2] = {{&t.layout.seg[0], NULL, ROWS, g[i]},
                                             {&t.layout.seg[1], NULL, REST, g[i] + ROWS * COLS}};
      xf_optim_step(t.o[i], t.p[i], whole, 2);
    }
    for (int i = 0; i < 30; i++) twin_step(&t);
  }
  xf_optim_catchup(t.o[1], t.p[1]);
  assert_memory_equal(t.p[0], t.p[1], sizeof t.p[0]);
  close_twin(&t);
}

static void test_l2(void **state) {
  (void)state;
  struct xf_layout layout;
  nntest_layout(&layout, segs);
  struct xf_optim_config c = xf_optim_default(XF_OPTIM_SGD, 0.5f);
  c.l2 = 0.1f;
  struct xf_optim *o = optim(&c, &layout);
  float p[N], g[COLS] = {0}, rest[REST] = {0};
  for (int i = 0; i < N; i++) p[i] = 1;
  const uint32_t row = 2;
  const struct xf_grad_piece piece[2] = {{&layout.seg[0], &row, 1, g},
                                         {&layout.seg[1], NULL, REST, rest}};
  xf_optim_step(o, p, piece, 2);
  for (int i = 0; i < N; i++) { // touched row and dense segment shrink; other rows rest
    const bool moved = i / COLS == 2 || i >= ROWS * COLS;
    assert_true(fabsf(p[i] - (moved ? 0.95f : 1)) < 1e-6f);
  }
  xf_optim_free(o);
  xf_layout_deinit(&layout);
}

// Whole loop: embeddings trained row-sparsely with touch() equal a dense plan, step by step.
static void test_touch_before_run(void **state) {
  (void)state;
  enum { B = 3 };
  struct xf_layout layout;
  nntest_layout(&layout, segs);
  struct xf_graph *g = xf_graph_new(&layout);
  const int ids = xf_graph_ids(g, "i", XF_BATCH, 1), y = xf_graph_input(g, "y", XF_BATCH, COLS);
  const int e = xf_op_gather(g, xf_graph_param(g, "table"), ids);
  const int loss = xf_op_add(g, xf_op_mean(g, xf_op_squared_error(g, xf_op_tanh(g, e), y)),
                             xf_op_mean(g, xf_op_exp(g, xf_graph_param(g, "rest"))));
  assert_int_equal(xf_graph_backward(g, loss, NULL), XF_OK);
  for (int kind = 0; kind < 4; kind++) {
    const struct xf_optim_config c = xf_optim_default((enum xf_optim_kind)kind, 0.05f);
    float p[2][N], grad[N], want[B * COLS];
    for (int dense = 0; dense < 2; dense++) {
      struct xf_nnplan *plan = nntest_plan(
          g, (struct xf_nnplan_spec){
                 .loss = loss, .train = true, .dense_grads = dense, .max[XF_SYM_B] = B});
      struct xf_optim *o = optim(&c, &layout);
      struct xf_rng rng;
      xf_rng_init(&rng, 4, 0);
      for (int i = 0; i < N; i++) p[dense][i] = (float)(xf_rng_double(&rng) - 0.5);
      int32_t id[B];
      xf_nnplan_set_input(plan, ids, id);
      xf_nnplan_set_input(plan, y, want);
      for (int s = 0; s < 300; s++) {
        for (int i = 0; i < B; i++) id[i] = (int32_t)xf_rng_below(&rng, i ? ROWS : 2);
        if (s % 10 == 0) id[1] = id[0];
        for (int i = 0; i < B * COLS; i++) want[i] = (float)(xf_rng_double(&rng) - 0.5);
        const uint32_t extent[XF_N_SYM] = {[XF_SYM_B] = B};
        xf_optim_touch(o, p[dense], plan, extent);
        nntest_run(plan, p[dense], grad, B);
        size_t n;
        const struct xf_grad_piece *piece = xf_nnplan_get_pieces(plan, &n);
        xf_optim_step(o, p[dense], piece, n);
      }
      xf_optim_catchup(o, p[dense]);
      xf_optim_free(o);
      xf_nnplan_free(plan);
    }
    assert_memory_equal(p[0], p[1], sizeof p[0]);
  }
  xf_graph_free(g);
  xf_layout_deinit(&layout);
}

static void test_refusals(void **state) {
  (void)state;
  struct xf_layout layout;
  nntest_layout(&layout, segs);
  struct xf_diag diag;
  xf_diag_init(&diag);
  struct xf_optim *o;
  struct xf_optim_config c = xf_optim_default(XF_OPTIM_ADAM, 0.01f);
  c.beta2 = 1;
  assert_int_equal(xf_optim_new(&o, &c, &layout, &diag), XF_E_INVAL);
  assert_non_null(strstr(diag.text, "beta2 is 1, must be in [0, 1)"));
  c = xf_optim_default(XF_OPTIM_SGD, NAN);
  assert_int_equal(xf_optim_new(&o, &c, &layout, &diag), XF_E_INVAL);
  enum xf_optim_kind kind;
  assert_int_equal(xf_optim_parse(&kind, "nesterov", 8), XF_OK);
  assert_int_equal(kind, XF_OPTIM_NESTEROV);
  assert_int_equal(xf_optim_parse(&kind, "adamw", 5), XF_OK);
  assert_int_equal(kind, XF_OPTIM_ADAMW);
  assert_int_equal(xf_optim_parse(&kind, "lion", 4), XF_E_INVAL);
  c = xf_optim_default(XF_OPTIM_ADAM, 0.01f);
  c.weight_decay = 0.1f;
  assert_int_equal(xf_optim_new(&o, &c, &layout, &diag), XF_E_INVAL);
  assert_non_null(strstr(diag.text, "weight_decay belongs to adamw"));
  c = xf_optim_default(XF_OPTIM_ADAGRAD, 0.01f);
  c.eps = 0;
  assert_int_equal(xf_optim_new(&o, &c, &layout, &diag), XF_E_INVAL);
  assert_non_null(strstr(diag.text, "optimizer adagrad: eps is 0"));
  xf_layout_deinit(&layout);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_vectors),
      cmocka_unit_test(test_by_formula),
      cmocka_unit_test(test_catchup_is_exact),
      cmocka_unit_test(test_schedule),
      cmocka_unit_test(test_lazy),
      cmocka_unit_test(test_mixed),
      cmocka_unit_test(test_l2),
      cmocka_unit_test(test_touch_before_run),
      cmocka_unit_test(test_refusals),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
