// Plans with weights in panels: which parameters lie so, the gradients of the plain plan, the bytes of plain SGD.
#include "nntest.h"

#include "base/rng.h"
#include "nn/optim.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
// cmocka wants the four above first
#include <cmocka.h>

enum {
  IN = 50,
  B_MAX = 64,
  CLASSES = 10,
  N_MAX = IN * 40 + 40 + 40 * 33 + 33 + 33 * CLASSES + CLASSES
};
static const struct seg_spec segs[] = {{"w1", IN, 40}, {"b1", 40, 1},       {"w2", 40, 33},
                                       {"b2", 33, 1},  {"w3", 33, CLASSES}, {"b3", CLASSES, 1},
                                       {NULL, 0, 0}};

enum what { PLAIN = 0, L2 = 1, OUTPUT_W2 = 2, TIED = 4 };
struct net {
  struct xf_layout layout;
  struct xf_graph *g;
  int x, t, loss, w2;
};

static void net_open(struct net *m, unsigned what) {
  nntest_layout(&m->layout, segs);
  struct xf_graph *g = m->g = xf_graph_new(&m->layout);
  m->x = xf_graph_input(g, "x", XF_BATCH, IN);
  m->t = xf_graph_ids(g, "t", XF_BATCH, 1);
  const int w1 = xf_graph_param(g, "w1"), w3 = xf_graph_param(g, "w3");
  m->w2 = xf_graph_param(g, "w2");
  int h = xf_op_dense(g, m->x, w1, xf_graph_param(g, "b1"), XF_ACT_RELU);
  h = xf_op_dense(g, h, m->w2, xf_graph_param(g, "b2"), XF_ACT_TANH);
  const int z = xf_op_dense(g, h, w3, xf_graph_param(g, "b3"), XF_ACT_NONE);
  m->loss = xf_op_mean(g, xf_op_softmax_ce(g, z, m->t));
  if (what & L2) {
    const int sq =
        xf_op_add(g, xf_op_sum(g, xf_op_mul(g, w1, w1)), xf_op_sum(g, xf_op_mul(g, w3, w3)));
    m->loss = xf_op_add(g, m->loss, xf_op_scale(g, sq, .01));
  }
  if (what & TIED) // w1 as a left operand, which is read as it is
    m->loss = xf_op_add(g, m->loss, xf_op_sum(g, xf_op_matmul(g, w1, m->w2, false, false)));
  assert_int_equal(xf_graph_backward(g, m->loss, NULL), XF_OK);
}
static void net_close(struct net *m) {
  xf_graph_free(m->g);
  xf_layout_deinit(&m->layout);
}

static struct xf_nnplan *plan_of(const struct net *m, unsigned what, bool packed, bool fuse,
                                 uint32_t batch) {
  struct xf_nnplan_spec s = {
      .loss = m->loss, .train = true, .packed = packed, .fuse_sgd = fuse, .max[XF_SYM_B] = batch};
  if (what & OUTPUT_W2) {
    s.outputs[0] = m->w2;
    s.n_output = 1;
  }
  return nntest_plan(m->g, s);
}

struct batch {
  float x[B_MAX * IN];
  int32_t t[B_MAX];
};
// Some columns of the input are dark.
static void fill(struct batch *b, struct xf_rng *rng) {
  for (int i = 0; i < B_MAX * IN; i++)
    b->x[i] = i % IN % 11 < 6 ? (float)(xf_rng_double(rng) * 2 - 1) : 0;
  for (int i = 0; i < B_MAX; i++) b->t[i] = (int32_t)xf_rng_below(rng, CLASSES);
}
static void give(struct xf_nnplan *p, const struct net *m, const struct batch *b) {
  xf_nnplan_set_input(p, m->x, b->x);
  xf_nnplan_set_input(p, m->t, b->t);
}

static float params[N_MAX], packed[N_MAX], grad[N_MAX], packed_grad[N_MAX], back[N_MAX];
static struct batch batch;

static void start(struct xf_rng *rng) {
  xf_rng_init(rng, 5, 0);
  for (int i = 0; i < N_MAX; i++) params[i] = (float)(xf_rng_double(rng) - .5) * .3f;
  fill(&batch, rng);
}

static void check_gradients(unsigned what, size_t n_packed) {
  struct net m;
  struct xf_rng rng;
  struct xf_diag diag;
  net_open(&m, what);
  struct xf_nnplan *plain = plan_of(&m, what, false, false, B_MAX),
                   *panel = plan_of(&m, what, true, false, B_MAX);
  assert_int_equal(xf_nnplan_get_packed(plain), 0);
  assert_int_equal(xf_nnplan_get_packed(panel), n_packed);
  start(&rng);
  give(plain, &m, &batch);
  give(panel, &m, &batch);
  xf_nnplan_pack(panel, packed, params);
  xf_nnplan_unpack(panel, back, packed);
  assert_memory_equal(back, params, sizeof params);
  const uint32_t sizes[] = {10, 64, 1, 0, 33};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    const uint32_t extent[XF_N_SYM] = {[XF_SYM_ONE] = 1, [XF_SYM_B] = sizes[i]};
    xf_diag_init(&diag);
    assert_int_equal(xf_nnplan_run(plain, params, grad, extent, &diag), XF_OK);
    assert_int_equal(xf_nnplan_run(panel, packed, packed_grad, extent, &diag), XF_OK);
    xf_nnplan_unpack(panel, back, packed_grad);
    assert_true(fabs(xf_nnplan_get_loss(plain) - xf_nnplan_get_loss(panel)) < 1e-5);
    double most = 0;
    for (int j = 0; j < N_MAX; j++) {
      assert_true(fabsf(grad[j] - back[j]) < 2e-6f * (1 + fabsf(grad[j])));
      most = fmax(most, (double)fabsf(grad[j]));
    }
    assert_true(sizes[i] == 0 || most > 1e-3);
  }
  xf_nnplan_free(plain);
  xf_nnplan_free(panel);
  net_close(&m);
}

static void test_gradients(void **state) {
  (void)state;
  check_gradients(PLAIN, 3);
  check_gradients(L2, 3);
  check_gradients(OUTPUT_W2, 2); // somebody reads it as it is
  check_gradients(TIED, 2);      // w1 is a left operand; w2 is right of 50 rows, few enough
}

static void test_only_small_batches(void **state) {
  (void)state;
  struct net m;
  net_open(&m, PLAIN);
  struct xf_nnplan *p = plan_of(&m, PLAIN, true, true, B_MAX + 1);
  assert_int_equal(xf_nnplan_get_packed(p), 0);
  xf_nnplan_free(p);
  net_close(&m);
}

// Steps of plain SGD: in the gradient's product, and by the optimiser after it.
static void check_fused(unsigned what, size_t n_piece) {
  enum { STEPS = 20 };
  const float lr = .1f;
  struct net m;
  struct xf_rng rng;
  struct xf_diag diag;
  struct xf_optim *optim = NULL;
  static float fused[N_MAX];
  net_open(&m, what);
  struct xf_nnplan *panel = plan_of(&m, what, true, false, 10),
                   *sgd = plan_of(&m, what, true, true, 10);
  const struct xf_optim_config config = xf_optim_default(XF_OPTIM_SGD, lr);
  xf_diag_init(&diag);
  assert_int_equal(xf_optim_new(&optim, &config, &m.layout, &diag), XF_OK);
  start(&rng);
  xf_nnplan_pack(panel, packed, params);
  xf_nnplan_pack(sgd, fused, params);
  for (int s = 0; s < STEPS; s++) {
    const uint32_t extent[XF_N_SYM] = {[XF_SYM_ONE] = 1, [XF_SYM_B] = s % 7 == 6 ? 3 : 10};
    size_t n = 0;
    fill(&batch, &rng);
    give(panel, &m, &batch);
    give(sgd, &m, &batch);
    assert_int_equal(xf_nnplan_run(panel, packed, packed_grad, extent, &diag), XF_OK);
    const struct xf_grad_piece *piece = xf_nnplan_get_pieces(panel, &n);
    assert_int_equal(n, 6);
    xf_optim_step(optim, packed, piece, n);
    assert_int_equal(xf_nnplan_run_sgd(sgd, fused, grad, lr, extent, &diag), XF_OK);
    piece = xf_nnplan_get_pieces(sgd, &n);
    assert_int_equal(n, n_piece);
    xf_optim_step(optim, fused, piece, n);
    assert_memory_equal(packed, fused, sizeof packed);
  }
  xf_nnplan_unpack(sgd, back, fused);
  double moved = 0;
  for (int i = 0; i < IN * 40; i++) moved += (double)fabsf(back[i] - params[i]);
  assert_true(moved > 1);
  xf_optim_free(optim);
  xf_nnplan_free(panel);
  xf_nnplan_free(sgd);
  net_close(&m);
}

static void test_fused_bytes(void **state) {
  (void)state;
  check_fused(PLAIN, 3); // the biases are left
  check_fused(L2, 5);    // a decayed weight's gradient is more than the product
}

static void test_wrong_run(void **state) {
  (void)state;
  struct net m;
  struct xf_diag diag;
  net_open(&m, PLAIN);
  struct xf_nnplan *panel = plan_of(&m, PLAIN, true, false, 4),
                   *sgd = plan_of(&m, PLAIN, true, true, 4);
  const uint32_t extent[XF_N_SYM] = {[XF_SYM_ONE] = 1};
  xf_diag_init(&diag);
  assert_int_equal(xf_nnplan_run(sgd, params, grad, extent, &diag), XF_E_STATE);
  xf_diag_init(&diag);
  assert_int_equal(xf_nnplan_run_sgd(panel, params, grad, .1f, extent, &diag), XF_E_STATE);
  xf_nnplan_free(panel);
  xf_nnplan_free(sgd);
  net_close(&m);
}

// A segment that becomes other weights after a run: both lie alike.
static void test_update(void **state) {
  (void)state;
  enum { K = 40, N = 2 * K * 40 };
  struct xf_layout l;
  struct xf_rng rng;
  xf_rng_init(&rng, 3, 1);
  nntest_layout(&l, (const struct seg_spec[]){{"w", K, 40}, {"copy", K, 40}, {NULL, 0, 0}});
  struct xf_graph *g = xf_graph_new(&l);
  const int x = xf_graph_input(g, "x", XF_BATCH, K), w = xf_graph_param(g, "w");
  xf_graph_update(g, "copy", w);
  const int loss = xf_op_sum(g, xf_op_dense_nobias(g, x, w, XF_ACT_TANH));
  assert_int_equal(xf_graph_backward(g, loss, NULL), XF_OK);
  struct xf_nnplan *p = nntest_plan(
      g,
      (struct xf_nnplan_spec){.loss = loss, .train = true, .packed = true, .max[XF_SYM_B] = B_MAX});
  fill(&batch, &rng);
  for (size_t i = 0; i < N; i++) params[i] = (float)xf_rng_normal(&rng);
  xf_nnplan_pack(p, packed, params);
  xf_nnplan_set_input(p, x, batch.x);
  nntest_run(p, packed, packed_grad, B_MAX);
  xf_nnplan_apply(p, packed);
  xf_nnplan_unpack(p, back, packed);
  assert_memory_equal(back, params, sizeof *back * N / 2);
  assert_memory_equal(back + N / 2, params, sizeof *back * N / 2);
  xf_nnplan_free(p);
  xf_graph_free(g);
  xf_layout_deinit(&l);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_gradients),   cmocka_unit_test(test_only_small_batches),
      cmocka_unit_test(test_fused_bytes), cmocka_unit_test(test_wrong_run),
      cmocka_unit_test(test_update),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
