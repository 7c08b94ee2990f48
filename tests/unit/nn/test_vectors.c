// Worked numbers through the whole engine, in double at 1e-12 and in float (loops and fast) at 1e-5.
#include "nntest.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above first
#include <cmocka.h>

enum { IN_MAX = 4, NUM_MAX = 8 };

// A graph, its numbers in double, and what to expect; run in all three modes.
struct worked {
  struct xf_graph *g;
  int loss;
  struct {
    int node;
    double x[NUM_MAX];
    int32_t ids[NUM_MAX];
    bool is_ids;
  } in[IN_MAX];
  int n_in;
  double params[NUM_MAX];
  size_t n_param;
  uint32_t B;
  double want_loss, want_grad[NUM_MAX];
  int out; // a node to compare, or XF_NO_NODE
  double want_out[NUM_MAX];
  size_t n_out;
};

static void check_mode(const struct worked *w, enum xf_nn_mode mode, double tol) {
  struct xf_nnplan_spec spec = {.loss = w->loss,
                                .train = w->n_param > 0,
                                .has_loss = true,
                                .mode = mode,
                                .max = {[XF_SYM_B] = NUM_MAX}};
  if (w->out != XF_NO_NODE) spec.outputs[spec.n_output++] = w->out;
  struct xf_nnplan *p = nntest_plan(w->g, spec);
  float x[IN_MAX][NUM_MAX], params[NUM_MAX], grad[NUM_MAX];
  double grad64[NUM_MAX];
  for (int i = 0; i < w->n_in; i++) {
    for (int j = 0; j < NUM_MAX; j++) x[i][j] = (float)w->in[i].x[j];
    const void *data = w->in[i].is_ids ? (const void *)w->in[i].ids : (const void *)x[i];
    xf_nnplan_set_input(p, w->in[i].node,
                        mode == XF_NN_REF64 && !w->in[i].is_ids ? w->in[i].x : data);
  }
  for (size_t j = 0; j < NUM_MAX; j++) params[j] = (float)w->params[j];
  if (mode == XF_NN_REF64) {
    nntest_run64(p, w->params, grad64, w->B);
    nntest_close64(grad64, w->want_grad, w->n_param, tol, "gradient");
    if (w->n_out)
      nntest_close64(xf_nnplan_get(p, w->out, NULL, NULL), w->want_out, w->n_out, tol, "output");
  } else {
    nntest_run(p, params, grad, w->B);
    nntest_close(grad, w->want_grad, w->n_param, tol, "gradient");
    if (w->n_out)
      nntest_close(xf_nnplan_get(p, w->out, NULL, NULL), w->want_out, w->n_out, tol, "output");
  }
  const double loss = xf_nnplan_get_loss(p);
  nntest_close64(&loss, &w->want_loss, 1, tol, "loss");
  xf_nnplan_free(p);
}

static void check_worked(const struct worked *w) {
  check_mode(w, XF_NN_REF64, 1e-12);
  check_mode(w, XF_NN_REF, 1e-5);
  check_mode(w, XF_NN_FAST, 1e-5);
  xf_graph_free(w->g);
}

// vector: seed_two_layer_sigmoid_mse_step (weights stored [in x out], so W1 and W2 are transposed)
static void test_two_layer_step(void **state) {
  (void)state;
  struct xf_layout layout;
  nntest_layout(&layout, (const struct seg_spec[]){{"w1", 2, 2}, {"w2", 2, 1}, {NULL, 0, 0}});
  struct worked w = {.g = xf_graph_new(&layout),
                     .n_in = 2,
                     .n_param = 6,
                     .B = 1,
                     .params = {0.2, 0.7, -0.4, 0.1, 0.6, -0.3},
                     .want_loss = 0.20157640129274867,
                     .want_grad = {-0.01566169817906803, 0.008201737920018841, 0.03132339635813606,
                                   -0.016403475840037682, -0.1382782436739432,
                                   -0.12488651913556455},
                     .want_out = {0.5510273936054131},
                     .n_out = 1};
  struct xf_graph *g = w.g;
  const int x = xf_graph_input(g, "x", XF_BATCH, 2), y = xf_graph_input(g, "y", XF_BATCH, 1);
  const int a1 = xf_op_dense_nobias(g, x, xf_graph_param(g, "w1"), XF_ACT_SIGMOID);
  w.out = xf_op_dense_nobias(g, a1, xf_graph_param(g, "w2"), XF_ACT_SIGMOID);
  w.loss = xf_op_mean(g, xf_op_squared_error(g, w.out, y));
  assert_int_equal(xf_graph_backward(g, w.loss, NULL), XF_OK);
  w.in[0].node = x, w.in[0].x[0] = 0.5, w.in[0].x[1] = -1;
  w.in[1].node = y, w.in[1].x[0] = 1;
  check_worked(&w);

  // one SGD step with rate 0.1 and the loss after it
  w.g = xf_graph_new(&layout);
  const double after[] = {0.20156616981790682, 0.6991798262079981, -0.40313233963581363,
                          0.10164034758400377, 0.6138278243673942, -0.2875113480864435};
  for (int i = 0; i < 6; i++) {
    const double p = w.params[i] - 0.1 * w.want_grad[i];
    nntest_close64(&p, &after[i], 1, 1e-12, "parameter after the step");
  }
  // the article's delta2 multiplies by (1 - yhat) once more; that must not be what comes out
  assert_true(fabs(w.want_grad[4] / 0.6224593312018546 - -0.0997384734358226) > 0.1);
  xf_graph_free(w.g);
  xf_layout_deinit(&layout);
}

// vectors: softmax_cross_entropy_mean, softmax_cross_entropy_large_logits
static void test_softmax_ce(void **state) {
  (void)state;
  struct xf_layout layout;
  nntest_layout(&layout, (const struct seg_spec[]){{"z", 2, 3}, {NULL, 0, 0}});
  struct worked w = {.g = xf_graph_new(&layout),
                     .n_in = 1,
                     .n_param = 6,
                     .B = 2,
                     .params = {2.0, 1.0, 0.1, 0.5, 2.5, -1.0},
                     .want_loss = 2.035104111700061,
                     .want_grad = {-0.17049943055701605, 0.12121648535235696, 0.04928294520465909,
                                   0.05805726733707058, 0.42898840530422855, -0.4870456726412992},
                     .want_out = {0.6590011388859679, 0.24243297070471392, 0.09856589040931818,
                                  0.11611453467414116, 0.8579768106084571, 0.025908654717401523},
                     .n_out = 6};
  int t = xf_graph_ids(w.g, "t", XF_DIM(2), 1);
  const int z = xf_graph_param(w.g, "z");
  w.loss = xf_op_mean(w.g, xf_op_softmax_ce(w.g, z, t));
  w.out = xf_op_softmax(w.g, z);
  assert_int_equal(xf_graph_backward(w.g, w.loss, NULL), XF_OK);
  w.in[0].node = t, w.in[0].is_ids = true, w.in[0].ids[0] = 0, w.in[0].ids[1] = 2;
  check_worked(&w);
  xf_layout_deinit(&layout);

  nntest_layout(&layout, (const struct seg_spec[]){{NULL, 0, 0}});
  struct worked large = {.g = xf_graph_new(&layout),
                         .n_in = 2,
                         .B = 1,
                         .want_loss = 1.3132616875182228,
                         .out = XF_NO_NODE};
  const int x = xf_graph_input(large.g, "z", XF_BATCH, 3);
  t = xf_graph_ids(large.g, "t", XF_BATCH, 1);
  large.loss = xf_op_mean(large.g, xf_op_softmax_ce(large.g, x, t));
  large.in[0].node = x, large.in[0].x[0] = 1000, large.in[0].x[1] = 999, large.in[0].x[2] = -1000;
  large.in[1].node = t, large.in[1].is_ids = true, large.in[1].ids[0] = 1;
  check_worked(&large);
  xf_layout_deinit(&layout);
}

// vector: bce_with_logits_mean
static void test_bce(void **state) {
  (void)state;
  struct xf_layout layout;
  nntest_layout(&layout, (const struct seg_spec[]){{"z", 4, 1}, {NULL, 0, 0}});
  struct worked w = {
      .g = xf_graph_new(&layout),
      .n_in = 1,
      .n_param = 4,
      .B = 4,
      .params = {2.0, -1.5, 40.0, -40.0},
      .want_loss = 10.45708532225643,
      .want_grad = {-0.02980073050552942, -0.2043936190484109, 0.25, 1.0620885638228972e-18},
      .want_out = {0.1269280110429727, 1.7014132779827524, 40.0, 4.248354255291589e-18},
      .n_out = 4};
  const int y = xf_graph_input(w.g, "y", XF_DIM(4), 1);
  w.out = xf_op_bce(w.g, xf_graph_param(w.g, "z"), y);
  w.loss = xf_op_mean(w.g, w.out);
  assert_int_equal(xf_graph_backward(w.g, w.loss, NULL), XF_OK);
  w.in[0].node = y, w.in[0].x[0] = w.in[0].x[1] = 1;
  check_worked(&w);
  xf_layout_deinit(&layout);
}

// vector: bpr_loss
static void test_bpr(void **state) {
  (void)state;
  struct xf_layout layout;
  nntest_layout(&layout, (const struct seg_spec[]){{"pos", 1, 1}, {"neg", 1, 1}, {NULL, 0, 0}});
  struct worked w = {.g = xf_graph_new(&layout),
                     .n_param = 2,
                     .B = 1,
                     .params = {1.2, 0.4},
                     .want_loss = 0.37110066594777774,
                     .want_grad = {-0.3100255188723876, 0.3100255188723876},
                     .out = XF_NO_NODE};
  w.loss = xf_op_mean(w.g, xf_op_bpr(w.g, xf_graph_param(w.g, "pos"), xf_graph_param(w.g, "neg")));
  assert_int_equal(xf_graph_backward(w.g, w.loss, NULL), XF_OK);
  check_worked(&w);
  xf_layout_deinit(&layout);
}

// The fused softmax cross-entropy equals its lowering into exp, sum and log (decision 29).
static void test_softmax_ce_lowering(void **state) {
  (void)state;
  struct xf_layout layout;
  nntest_layout(&layout, (const struct seg_spec[]){{"z", 2, 3}, {NULL, 0, 0}});
  const double params[] = {0.3, -1, 0.5, 2, 0.1, -0.4};
  const double onehot[] = {0, 1, 0, 1, 0, 0};
  const int32_t t_num[] = {1, 0};
  double grad[2][6], loss[2];
  for (int lowered = 0; lowered < 2; lowered++) {
    struct xf_graph *g = xf_graph_new(&layout);
    const int t = xf_graph_ids(g, "t", XF_DIM(2), 1), y = xf_graph_input(g, "y", XF_DIM(2), 3);
    const int z = xf_graph_param(g, "z");
    const int ce = lowered ? xf_op_sub(g, xf_op_log(g, xf_op_sum_cols(g, xf_op_exp(g, z))),
                                       xf_op_row_dot(g, z, y))
                           : xf_op_softmax_ce(g, z, t);
    const int mean = xf_op_mean(g, ce);
    assert_int_equal(xf_graph_backward(g, mean, NULL), XF_OK);
    struct xf_nnplan *p =
        nntest_plan(g, (struct xf_nnplan_spec){.loss = mean, .train = true, .mode = XF_NN_REF64});
    xf_nnplan_set_input(p, t, t_num);
    xf_nnplan_set_input(p, y, onehot);
    nntest_run64(p, params, grad[lowered], 0);
    loss[lowered] = xf_nnplan_get_loss(p);
    xf_nnplan_free(p);
    xf_graph_free(g);
  }
  nntest_close64(&loss[0], &loss[1], 1, 1e-14, "loss");
  nntest_close64(grad[0], grad[1], 6, 1e-14, "gradient");
  xf_layout_deinit(&layout);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_two_layer_step),
      cmocka_unit_test(test_softmax_ce),
      cmocka_unit_test(test_bce),
      cmocka_unit_test(test_bpr),
      cmocka_unit_test(test_softmax_ce_lowering),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
