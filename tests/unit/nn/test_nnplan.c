// Planning and running: reused memory changes nothing, row-sparse gradients equal dense ones, bad input is
// refused with its value, steady state allocates nothing, threads do not change bytes.
#include "nntest.h"

#include "base/rng.h"

#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
// cmocka wants the four above first
#include <cmocka.h>

// --- counting allocations (sanitizers replace malloc themselves)

static _Atomic long n_alloc;
#ifndef XF_SANITIZED
extern void *__libc_malloc(size_t n);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *p, size_t n);
void *malloc(size_t n) {
  n_alloc++;
  return __libc_malloc(n);
}
void *calloc(size_t n, size_t size) {
  n_alloc++;
  return __libc_calloc(n, size);
}
void *realloc(void *p, size_t n) {
  n_alloc++;
  return __libc_realloc(p, n);
}
#endif

static void uniform(struct xf_rng *rng, float *x, size_t n) {
  for (size_t i = 0; i < n; i++) x[i] = (float)(2 * xf_rng_double(rng) - 1);
}

// --- two models

// 20-16-10 with softmax cross-entropy.
static const struct seg_spec mlp_seg[] = {
    {"w1", 20, 16}, {"b1", 16, 1}, {"w2", 16, 10}, {"b2", 10, 1}, {NULL, 0, 0}};
struct mlp {
  struct xf_layout layout;
  struct xf_graph *g;
  int x, t, z, loss;
};
static void open_mlp(struct mlp *m) {
  nntest_layout(&m->layout, mlp_seg);
  struct xf_graph *g = m->g = xf_graph_new(&m->layout);
  m->x = xf_graph_input(g, "x", XF_BATCH, 20);
  m->t = xf_graph_ids(g, "t", XF_BATCH, 1);
  const int h = xf_op_dense(g, m->x, xf_graph_param(g, "w1"), xf_graph_param(g, "b1"), XF_ACT_RELU);
  m->z = xf_op_dense(g, h, xf_graph_param(g, "w2"), xf_graph_param(g, "b2"), XF_ACT_NONE);
  m->loss = xf_op_mean(g, xf_op_softmax_ce(g, m->z, m->t));
  assert_int_equal(xf_graph_backward(g, m->loss, NULL), XF_OK);
}
static void close_mlp(struct mlp *m) {
  xf_graph_free(m->g);
  xf_layout_deinit(&m->layout);
}

// Matrix factorisation with biases: BPR over one item table gathered twice, L2 on the batch's rows.
enum { USERS = 30, ITEMS = 50, DIM = 8, MF_N = USERS * DIM + ITEMS * DIM + ITEMS };
static const struct seg_spec mf_seg[] = {
    {"user", USERS, DIM}, {"item", ITEMS, DIM}, {"item_bias", ITEMS, 1}, {NULL, 0, 0}};
struct mf {
  struct xf_layout layout;
  struct xf_graph *g;
  int u, i, j, loss;
};
static void open_mf(struct mf *m) {
  nntest_layout(&m->layout, mf_seg);
  struct xf_graph *g = m->g = xf_graph_new(&m->layout);
  m->u = xf_graph_ids(g, "user", XF_BATCH, 1);
  m->i = xf_graph_ids(g, "pos", XF_BATCH, 1);
  m->j = xf_graph_ids(g, "neg", XF_BATCH, 1);
  const int item = xf_graph_param(g, "item"), bias = xf_graph_param(g, "item_bias");
  const int pu = xf_op_gather(g, xf_graph_param(g, "user"), m->u);
  const int qi = xf_op_gather(g, item, m->i), qj = xf_op_gather(g, item, m->j);
  const int si = xf_op_add(g, xf_op_row_dot(g, pu, qi), xf_op_gather(g, bias, m->i));
  const int sj = xf_op_add(g, xf_op_row_dot(g, pu, qj), xf_op_gather(g, bias, m->j));
  const int l2 = xf_op_add(g, xf_op_l2(g, pu, 0.01),
                           xf_op_add(g, xf_op_l2(g, qi, 0.01), xf_op_l2(g, qj, 0.01)));
  m->loss = xf_op_add(g, xf_op_mean(g, xf_op_bpr(g, si, sj)), l2);
  assert_int_equal(xf_graph_backward(g, m->loss, NULL), XF_OK);
}
static void close_mf(struct mf *m) {
  xf_graph_free(m->g);
  xf_layout_deinit(&m->layout);
}

// --- row-sparse = dense

static void test_sparse_equals_dense(void **state) {
  (void)state;
  enum { B = 40 };
  struct mf m;
  open_mf(&m);
  struct xf_nnplan *sparse =
      nntest_plan(m.g, (struct xf_nnplan_spec){.loss = m.loss, .train = true, .max[XF_SYM_B] = B});
  struct xf_nnplan *dense =
      nntest_plan(m.g, (struct xf_nnplan_spec){
                           .loss = m.loss, .train = true, .dense_grads = true, .max[XF_SYM_B] = B});
  static float params[MF_N], flat[2][MF_N], sum[MF_N];
  int32_t ids[3][B];
  struct xf_rng rng;
  xf_rng_init(&rng, 3, 0);
  uniform(&rng, params, MF_N);
  const uint32_t batch[] = {B, 1, 0, 17};
  for (int b = 0; b < 4; b++) {
    for (int i = 0; i < B; i++) {
      ids[0][i] = (int32_t)xf_rng_below(&rng, USERS);
      ids[1][i] = (int32_t)xf_rng_below(&rng, ITEMS);
      ids[2][i] = (int32_t)xf_rng_below(&rng, ITEMS);
    }
    for (int p = 0; p < 2; p++) {
      struct xf_nnplan *plan = p ? dense : sparse;
      xf_nnplan_set_input(plan, m.u, ids[0]);
      xf_nnplan_set_input(plan, m.i, ids[1]);
      xf_nnplan_set_input(plan, m.j, ids[2]);
      nntest_run(plan, params, flat[p], batch[b]);
    }
    assert_true(xf_nnplan_get_loss(sparse) == xf_nnplan_get_loss(dense));
    size_t n;
    const struct xf_grad_piece *piece = xf_nnplan_get_pieces(sparse, &n);
    assert_int_equal(n, 3);
    memset(sum, 0, sizeof sum);
    for (size_t k = 0; k < n; k++) {
      assert_non_null(piece[k].row);
      assert_true(piece[k].n_row <= 2 * batch[b]);
      for (uint32_t r = 0; r < piece[k].n_row; r++) {
        assert_true(piece[k].row[r] < piece[k].seg->rows &&
                    (r == 0 || piece[k].row[r] > piece[k].row[r - 1]));
        memcpy(sum + piece[k].seg->offset + (size_t)piece[k].row[r] * piece[k].seg->cols,
               piece[k].g + (size_t)r * piece[k].seg->cols, piece[k].seg->cols * sizeof(float));
      }
    }
    for (size_t i = 0; i < MF_N; i++)
      if (!(fabsf(sum[i] - flat[1][i]) <= 1e-7f))
        fail_msg("gradient %zu: sparse %g, dense %g", i, (double)sum[i], (double)flat[1][i]);
    xf_nnplan_get_pieces(dense, &n);
    assert_int_equal(n, 3);
    assert_null(xf_nnplan_get_pieces(dense, &n)[0].row);
  }
  assert_true(xf_nnplan_get_loss(dense) > 0);
  xf_nnplan_free(sparse);
  xf_nnplan_free(dense);
  close_mf(&m);
}

// A table that is also used whole gets a dense gradient.
static void test_tied_table_is_dense(void **state) {
  (void)state;
  struct xf_layout layout;
  nntest_layout(&layout, (const struct seg_spec[]){{"item", 5, 3}, {NULL, 0, 0}});
  struct xf_graph *g = xf_graph_new(&layout);
  const int ids = xf_graph_ids(g, "i", XF_BATCH, 1), item = xf_graph_param(g, "item");
  const int z = xf_op_matmul(g, xf_op_gather(g, item, ids), item, false, true);
  const int loss = xf_op_mean(g, xf_op_softmax_ce(g, z, ids));
  assert_int_equal(xf_graph_backward(g, loss, NULL), XF_OK);
  struct xf_nnplan *p =
      nntest_plan(g, (struct xf_nnplan_spec){.loss = loss, .train = true, .max[XF_SYM_B] = 4});
  const float params[15] = {1, 2, 3, -1, 0, 1, 0.5f};
  float grad[15] = {99};
  const int32_t id[4] = {0, 1, 4, 1};
  xf_nnplan_set_input(p, ids, id);
  nntest_run(p, params, grad, 4);
  size_t n;
  assert_null(xf_nnplan_get_pieces(p, &n)[0].row);
  assert_int_equal(n, 1);
  assert_true(grad[0] != 99);
  xf_nnplan_free(p);
  xf_graph_free(g);
  xf_layout_deinit(&layout);
}

// --- reused memory: random graphs, planned against unplanned

enum {
  R_COLS = 6,
  R_PARAM = 2 * R_COLS * R_COLS + R_COLS,
  R_BATCH = 9,
  R_NODES = 40,
  R_GRAPHS = 60
};

// A node of [B x 6] made of random earlier ones; everything stays within a few units.
static int random_node(struct xf_graph *g, struct xf_rng *rng, const int *node, int n, const int *w,
                       int bias) {
  const int a = node[xf_rng_below(rng, (uint32_t)n)], b = node[xf_rng_below(rng, (uint32_t)n)];
  switch (xf_rng_below(rng, 12)) {
  case 0: return xf_op_tanh(g, xf_op_add(g, a, b));
  case 1: return xf_op_sigmoid(g, xf_op_sub(g, a, b));
  case 2: return xf_op_tanh(g, xf_op_mul(g, a, b));
  case 3: return xf_op_dense(g, a, w[0], bias, XF_ACT_TANH);
  case 4: return xf_op_tanh(g, xf_op_matmul(g, a, w[1], false, true));
  case 5: return xf_op_tanh(g, xf_op_row_scale(g, a, xf_op_row_dot(g, a, b)));
  case 6: return xf_op_softmax(g, a);
  case 7: return xf_op_tanh(g, xf_op_bias_add(g, a, xf_op_sum_rows(g, b)));
  case 8: return xf_op_broadcast(g, xf_op_tanh(g, xf_op_sum_cols(g, a)), XF_BATCH, XF_DIM(R_COLS));
  case 9:
    return xf_op_tanh(g, xf_op_matmul(g, a, xf_op_matmul(g, a, b, true, false), false, false));
  case 10: { // views: what they show must live as long as they do
    const int flat = xf_op_reshape(g, xf_op_tanh(g, xf_op_add(g, a, b)),
                                   (struct xf_dim){R_COLS, XF_SYM_B}, XF_DIM(1));
    return xf_op_reshape(g, xf_op_sigmoid(g, flat), XF_BATCH, XF_DIM(R_COLS));
  }
  default: return xf_op_relu(g, a);
  }
}

static void random_graph(uint64_t seed, size_t *saved) {
  struct xf_layout layout;
  nntest_layout(
      &layout, (const struct seg_spec[]){
                   {"w0", R_COLS, R_COLS}, {"w1", R_COLS, R_COLS}, {"b", R_COLS, 1}, {NULL, 0, 0}});
  struct xf_graph *g = xf_graph_new(&layout);
  struct xf_rng rng;
  xf_rng_init(&rng, seed, 0);
  int node[R_NODES], w[2];
  w[0] = xf_graph_param(g, "w0");
  w[1] = xf_graph_param(g, "w1");
  const int bias = xf_graph_param(g, "b"), x = node[0] = xf_graph_input(g, "x", XF_BATCH, R_COLS);
  int loss =
      xf_op_add(g, xf_op_mean(g, xf_op_dense(g, x, w[0], bias, XF_ACT_NONE)), xf_op_sum(g, w[1]));
  for (int n = 1; n < R_NODES; n++) {
    node[n] = random_node(g, &rng, node, n, w, bias);
    if (n % 5 == 0) loss = xf_op_add(g, loss, xf_op_mean(g, node[n]));
  }
  struct xf_diag diag;
  xf_diag_init(&diag);
  if (xf_graph_backward(g, loss, &diag)) fail_msg("seed %u: %s", (unsigned)seed, diag.text);
  float params[R_PARAM], grad[2][R_PARAM], in[R_BATCH * R_COLS], out[2][3][R_BATCH * R_COLS];
  uniform(&rng, params, R_PARAM);
  uniform(&rng, in, R_BATCH * R_COLS);
  double value[2];
  for (int reuse = 0; reuse < 2; reuse++) {
    struct xf_nnplan_spec spec = {
        .loss = loss, .train = true, .no_reuse = !reuse, .max[XF_SYM_B] = R_BATCH + 3};
    for (int k = 0; k < 3; k++) spec.outputs[spec.n_output++] = node[R_NODES / 4 * (k + 1)];
    struct xf_nnplan *p = nntest_plan(g, spec);
    xf_nnplan_set_input(p, x, in);
    for (int run = 0; run < 2; run++) nntest_run(p, params, grad[reuse], R_BATCH);
    value[reuse] = xf_nnplan_get_loss(p);
    for (int k = 0; k < 3; k++)
      memcpy(out[reuse][k], xf_nnplan_get(p, spec.outputs[k], NULL, NULL), sizeof in);
    size_t without;
    const size_t with = xf_nnplan_get_bytes(p, &without);
    assert_true(reuse ? with < without : with == without);
    if (reuse) *saved += without / with;
    xf_nnplan_free(p);
  }
  assert_memory_equal(value + 0, value + 1, sizeof *value);
  assert_memory_equal(grad[0], grad[1], sizeof grad[0]);
  assert_memory_equal(out[0], out[1], sizeof out[0]);
  xf_graph_free(g);
  xf_layout_deinit(&layout);
}

static void test_reuse_changes_nothing(void **state) {
  (void)state;
  size_t saved = 0;
  for (uint64_t seed = 0; seed < R_GRAPHS; seed++) random_graph(seed, &saved);
  assert_true(saved > 2 * R_GRAPHS); // and on average saves more than half
}

// --- bad input

static void test_refusals(void **state) {
  (void)state;
  struct mlp m;
  open_mlp(&m);
  struct xf_diag diag;
  struct xf_nnplan *p;
  xf_diag_init(&diag);
  assert_int_equal(
      xf_nnplan_new(&p, m.g, &(struct xf_nnplan_spec){.loss = m.loss, .train = true}, &diag),
      XF_E_INVAL);
  assert_non_null(strstr(diag.text, "maximum"));
  assert_int_equal(
      xf_nnplan_new(&p, m.g, &(struct xf_nnplan_spec){.loss = m.z, .train = true}, &diag),
      XF_E_INVAL);
  assert_int_equal(
      xf_nnplan_new(&p, m.g, &(struct xf_nnplan_spec){.outputs = {m.t}, .n_output = 1}, &diag),
      XF_E_INVAL);
  assert_int_equal(xf_nnplan_new(&p, m.g,
                                 &(struct xf_nnplan_spec){
                                     .loss = m.loss, .train = true, .max[XF_SYM_B] = 1u << 30},
                                 &diag),
                   XF_E_LIMIT);
  p = nntest_plan(m.g, (struct xf_nnplan_spec){.loss = m.loss, .train = true, .max[XF_SYM_B] = 4});
  static float params[1000], grad[1000], x[4 * 20];
  int32_t t[4] = {0, 9, 3, 1};
  const uint32_t four[XF_N_SYM] = {[XF_SYM_B] = 4}, five[XF_N_SYM] = {[XF_SYM_B] = 5};
  assert_int_equal(xf_nnplan_run(p, params, grad, four, &diag), XF_E_INVAL);
  assert_non_null(strstr(diag.text, "\"x\" was not set"));
  xf_nnplan_set_input(p, m.x, x);
  xf_nnplan_set_input(p, m.t, t);
  assert_int_equal(xf_nnplan_run(p, params, grad, five, &diag), XF_E_LIMIT);
  assert_non_null(strstr(diag.text, "B is 5, planned for at most 4"));
  assert_int_equal(xf_nnplan_run(p, params, NULL, four, &diag), XF_E_INVAL);
  for (int bad = 0; bad < 2; bad++) {
    t[2] = bad ? -1 : 10;
    assert_int_equal(xf_nnplan_run(p, params, grad, four, &diag), XF_E_RANGE);
    assert_non_null(strstr(diag.text, bad ? "\"t\": id -1 at position 2 is not in [0, 10)"
                                          : "\"t\": id 10 at position 2 is not in [0, 10)"));
  }
  t[2] = 2;
  assert_int_equal(xf_nnplan_run(p, params, grad, four, &diag), XF_OK);
  x[7] = NAN;
  assert_int_equal(xf_nnplan_run(p, params, grad, four, &diag), XF_E_NAN);
  assert_non_null(strstr(diag.text, "NaN"));
  x[7] = 0;
  assert_int_equal(xf_nnplan_run(p, params, grad, (uint32_t[XF_N_SYM]){0}, &diag),
                   XF_OK); // an empty batch
  assert_true(xf_nnplan_get_loss(p) == 0);
  for (size_t i = 0; i < m.layout.n; i++) assert_true(grad[i] == 0);
  assert_int_equal(xf_nnplan_run64(p, NULL, NULL, four, &diag), XF_E_STATE);
  assert_null(xf_nnplan_get(p, m.z, NULL, NULL));
  xf_nnplan_free(p);
  close_mlp(&m);
}

static void test_infinite_loss(void **state) {
  (void)state;
  struct xf_layout layout;
  nntest_layout(&layout, (const struct seg_spec[]){{"w", 1, 1}, {NULL, 0, 0}});
  struct xf_graph *g = xf_graph_new(&layout);
  const int loss = xf_op_sum(g, xf_op_exp(g, xf_graph_param(g, "w")));
  struct xf_nnplan *p = nntest_plan(g, (struct xf_nnplan_spec){.loss = loss, .has_loss = true});
  struct xf_diag diag;
  xf_diag_init(&diag);
  const float w = 500;
  assert_int_equal(xf_nnplan_run(p, &w, NULL, (uint32_t[XF_N_SYM]){0}, &diag), XF_E_NAN);
  assert_non_null(strstr(diag.text, "infinite"));
  xf_nnplan_free(p);
  xf_graph_free(g);
  xf_layout_deinit(&layout);
}

// Only the parameters asked for get gradients; the others' part of the vector is left alone.
static void test_backward_to_some(void **state) {
  (void)state;
  struct mlp m;
  open_mlp(&m);
  const int w2 = xf_graph_param(m.g, "w2"); // exists: found, not added
  assert_int_equal(xf_graph_backward_to(m.g, m.loss, &w2, 1, NULL), XF_OK);
  struct xf_nnplan *p = nntest_plan(
      m.g, (struct xf_nnplan_spec){
               .loss = m.loss, .train = true, .outputs = {m.z}, .n_output = 1, .max[XF_SYM_B] = 4});
  static float params[1000], grad[1000], x[4 * 20];
  const int32_t t[4] = {0};
  struct xf_rng rng;
  xf_rng_init(&rng, 1, 0);
  uniform(&rng, params, 1000);
  uniform(&rng, x, 80);
  for (int i = 0; i < 1000; i++) grad[i] = 7;
  xf_nnplan_set_input(p, m.x, x);
  xf_nnplan_set_input(p, m.t, t);
  nntest_run(p, params, grad, 3);
  size_t n;
  assert_string_equal(xf_nnplan_get_pieces(p, &n)->seg->name, "w2");
  assert_int_equal(n, 1);
  const struct xf_segment *seg = xf_layout_find(&m.layout, "w2");
  for (size_t i = 0; i < m.layout.n; i++)
    if (i < seg->offset || i >= seg->offset + 160) assert_true(grad[i] == 7);
  assert_true(grad[seg->offset] != 7);
  uint32_t rows, cols;
  assert_non_null(xf_nnplan_get(p, m.z, &rows, &cols));
  assert_true(rows == 3 && cols == 10);
  xf_nnplan_free(p);
  close_mlp(&m);
}

// --- steady state and threads

enum { T_BATCH = 32, T_STEPS = 1000 };
struct trainer {
  const struct mlp *m;
  float params[1000], grad[1000], x[T_BATCH * 20];
  int32_t t[T_BATCH];
  long allocs, faults;
};

static void *train(void *arg) {
  struct trainer *t = arg;
  struct xf_nnplan *p = nntest_plan(
      t->m->g,
      (struct xf_nnplan_spec){.loss = t->m->loss, .train = true, .max[XF_SYM_B] = T_BATCH});
  struct xf_optim *o;
  const struct xf_optim_config c = xf_optim_default(XF_OPTIM_ADAM, 0.01f);
  if (xf_optim_new(&o, &c, &t->m->layout, NULL)) return NULL;
  struct xf_rng rng;
  xf_rng_init(&rng, 5, 0);
  uniform(&rng, t->params, 1000);
  xf_nnplan_set_input(p, t->m->x, t->x);
  xf_nnplan_set_input(p, t->m->t, t->t);
  struct rusage before, after;
  for (int step = 0; step < T_STEPS; step++) {
    if (step == 10) {
      t->allocs = n_alloc;
      getrusage(RUSAGE_THREAD, &before);
    }
    uniform(&rng, t->x, T_BATCH * 20);
    for (int i = 0; i < T_BATCH; i++)
      t->t[i] = (int32_t)(t->x[i * 20] > 0 ? 1 + (t->x[i * 20 + 1] > 0) : 0);
    nntest_run(p, t->params, t->grad, step % 7 ? T_BATCH : T_BATCH - 5);
    size_t n;
    const struct xf_grad_piece *piece = xf_nnplan_get_pieces(p, &n);
    xf_optim_step(o, t->params, piece, n);
  }
  getrusage(RUSAGE_THREAD, &after);
  t->allocs = n_alloc - t->allocs;
  t->faults = after.ru_minflt - before.ru_minflt;
  xf_optim_free(o);
  xf_nnplan_free(p);
  return NULL;
}

static void test_steady_state_and_threads(void **state) {
  (void)state;
  struct mlp m;
  open_mlp(&m);
  static struct trainer alone, pair[2];
  alone.m = pair[0].m = pair[1].m = &m;
  train(&alone);
#ifndef XF_SANITIZED
  assert_true(n_alloc > 0); // the counter works
  assert_int_equal(alone.allocs, 0);
  assert_true(alone.faults <= T_STEPS / 100);
#endif
  pthread_t thread;
  assert_int_equal(pthread_create(&thread, NULL, train, &pair[0]), 0);
  train(&pair[1]);
  pthread_join(thread, NULL);
  for (int i = 0; i < 2; i++)
    assert_memory_equal(alone.params, pair[i].params, sizeof alone.params);
  close_mlp(&m);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_sparse_equals_dense),
      cmocka_unit_test(test_tied_table_is_dense),
      cmocka_unit_test(test_reuse_changes_nothing),
      cmocka_unit_test(test_refusals),
      cmocka_unit_test(test_infinite_loss),
      cmocka_unit_test(test_backward_to_some),
      cmocka_unit_test(test_steady_state_and_threads),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
