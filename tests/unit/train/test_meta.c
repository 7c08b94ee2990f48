// Meta-gradients: the worked numbers of a net of seven parameters, differences of the query loss, what is refused.
#include "base/alloc.h"
#include "nn/op.h"
#include "tensor/blas.h"
#include "train/meta.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
// cmocka wants the four above first
#include <cmocka.h>

enum { N = 7, ROWS = 5, HEAD = 4 }; // parameters w, b, v, c; v and c are the head

static struct xf_diag diag;
static const double START[N] = {.5, -.3, .1, .2, .7, -.4, .05};
static const double X[ROWS] = {.5, -1, .2, 1.5, -.7}, Y[ROWS] = {1, .2, .6, 1.4, .3};
static const uint32_t SUPPORT[] = {0, 1}, QUERY[] = {2, 3, 4};

// o = v1 tanh(w1 x + b1) + v2 tanh(w2 x + b2) + c, mean (o - y)^2
struct net {
  struct xf_layout layout;
  struct xf_graph *graph, *twin;
  int x, y, loss;
};

static struct xf_graph *build(struct net *net) {
  struct xf_graph *g = xf_graph_new(&net->layout);
  net->x = xf_graph_input(g, "x", XF_BATCH, 1);
  net->y = xf_graph_input(g, "y", XF_BATCH, 1);
  const int h = xf_op_dense(g, net->x, xf_graph_param(g, "w"), xf_graph_param(g, "b"), XF_ACT_TANH);
  const int o = xf_op_dense(g, h, xf_graph_param(g, "v"), xf_graph_param(g, "c"), XF_ACT_NONE);
  net->loss = xf_op_mean(g, xf_op_squared_error(g, o, net->y));
  return g;
}

static void open_net(struct net *net) {
  static const struct {
    const char *name;
    uint32_t rows, cols;
  } SEG[] = {{"w", 1, 2}, {"b", 1, 2}, {"v", 2, 1}, {"c", 1, 1}};
  xf_layout_init(&net->layout);
  for (size_t i = 0; i < 4; i++)
    assert_int_equal(xf_layout_add(&net->layout, SEG[i].name, XF_ROLE_SHARED, NULL, SEG[i].rows,
                                   SEG[i].cols, &diag),
                     XF_OK);
  net->graph = build(net);
  net->twin = build(net);
}

static void close_net(struct net *net) {
  xf_graph_free(net->graph);
  xf_graph_free(net->twin);
  xf_layout_deinit(&net->layout);
}

struct result {
  double grad[N], rate_grad[N], adapted[N], loss;
};

static struct result run(struct xf_meta_spec spec, const double *start, const double *rate) {
  struct net net;
  struct xf_meta *meta;
  struct result r;
  float x[ROWS], y[ROWS];
  for (int i = 0; i < ROWS; i++) x[i] = (float)X[i], y[i] = (float)Y[i];
  open_net(&net);
  const bool wide = spec.mode == XF_NN_REF64;
  const size_t real = wide ? sizeof(double) : sizeof(float);
  const struct xf_meta_feed feed[] = {
      {net.x, wide ? (const void *)X : (const void *)x, real},
      {net.y, wide ? (const void *)Y : (const void *)y, real},
  };
  spec.max_rows = ROWS;
  assert_int_equal(xf_meta_new(&meta, net.graph, net.twin, net.loss, &net.layout, &spec, &diag),
                   XF_OK);
  struct xf_meta_job job = {.start = start,
                            .rate = rate,
                            .feed = feed,
                            .n_feed = 2,
                            .n_rows = ROWS,
                            .support = SUPPORT,
                            .n_support = 2,
                            .query = QUERY,
                            .n_query = 3,
                            .grad = r.grad,
                            .rate_grad = r.rate_grad,
                            .adapted = r.adapted};
  assert_int_equal(xf_meta_run(meta, &job, &diag), XF_OK);
  r.loss = job.query_loss;
  xf_meta_free(meta);
  close_net(&net);
  return r;
}

static void close_to(const double *got, const double *want, double tol) {
  for (int i = 0; i < N; i++)
    if (!(fabs(got[i] - want[i]) <= tol))
      fail_msg("number %d is %.17g, not %.17g", i, got[i], want[i]);
}

static struct xf_meta_spec spec_of(enum xf_meta_kind kind, uint32_t steps) {
  return (struct xf_meta_spec){
      .kind = kind, .inner_steps = steps, .inner_lr = .1, .mode = XF_NN_REF64};
}

static const struct {
  enum xf_meta_kind kind;
  uint32_t steps;
  double hf_step, tol;
  uint8_t adapts[4];
  double adapted[N], grad[N];
} CASES[] = {
    // maml_second_order_1_step
    {XF_META_MAML,
     1,
     0,
     1e-10,
     {1, 1, 1, 1},
     {0.4868139583089347, -0.2957534822298458, 0.1815841520295256, 0.1517922487930118,
      0.7018797154750497, -0.3685659416556549, 0.1835331605430381},
     {-0.10413810340370484, 0.1639692299890999, -0.3009021173159883, 0.19965536078322196,
      -0.3357514903678297, 0.09732871863435966, -0.5876923823808085}},
    // the same
    {XF_META_FOMAML,
     1,
     0,
     1e-10,
     {1, 1, 1, 1},
     {0.4868139583089347, -0.2957534822298458, 0.1815841520295256, 0.1517922487930118,
      0.7018797154750497, -0.3685659416556549, 0.1835331605430381},
     {-0.1127219626981097, 0.16401372544174442, -0.40962397822192287, 0.27666023146897545,
      -0.3010611513037486, 0.017254300539574552, -0.8125781618349961}},
    // maml_second_order_3_steps
    {XF_META_MAML,
     3,
     0,
     1e-10,
     {1, 1, 1, 1},
     {0.47420118677767503, -0.29426522347892925, 0.275879706434003, 0.09953553907358662,
      0.7244275432349515, -0.3444157638372487, 0.3381984269565039},
     {-0.07075025790190403, 0.09766951618837802, -0.05838825954930875, 0.061330755725877824,
      -0.1787372678132334, 0.1086538500456457, -0.1527197238352867}},
    // the same
    {XF_META_FOMAML,
     3,
     0,
     1e-10,
     {1, 1, 1, 1},
     {0.47420118677767503, -0.29426522347892925, 0.275879706434003, 0.09953553907358662,
      0.7244275432349515, -0.3444157638372487, 0.3381984269565039},
     {-0.0906910804208772, 0.10859882010950518, -0.14112645493303944, 0.10823845771541879,
      -0.20254529971661014, 0.06676789269514898, -0.3493391787930073}},
    // anil_and_boil_1_step
    {XF_META_MAML,
     1,
     0,
     1e-10,
     {0, 0, 1, 1},
     {0.5, -0.3, 0.1, 0.2, 0.7018797154750497, -0.3685659416556549, 0.1835331605430381},
     {-0.14582360376820816, 0.1816294509825529, -0.41119671975340144, 0.24520547119080185,
      -0.2660025447956287, 0.006809269084765951, -0.7469213840390149}},
    // the same
    {XF_META_MAML,
     1,
     0,
     1e-10,
     {1, 1, 0, 0},
     {0.4868139583089347, -0.2957534822298458, 0.1815841520295256, 0.1517922487930118, 0.7, -0.4,
      0.05},
     {-0.10021469217344119, 0.20372757413529136, -0.4984568243196959, 0.3724097974421817,
      -0.42710073086606953, 0.0636965437468706, -0.9926577369460174}},
    // perfedavg_hf
    {XF_META_HF,
     1,
     0.001,
     1e-8,
     {1, 1, 1, 1},
     {0.4868139583089347, -0.2957534822298458, 0.1815841520295256, 0.1517922487930118,
      0.7018797154750497, -0.3685659416556549, 0.1835331605430381},
     {-0.10413812457065387, 0.16396923451629647, -0.30090213465234705, 0.19965536783890248,
      -0.33575149015953065, 0.09732871226854989, -0.5876923857429641}},
};

// The cases of meta_learning.json.
static void test_vectors(void **state) {
  (void)state;
  for (size_t k = 0; k < sizeof CASES / sizeof *CASES; k++) {
    struct xf_meta_spec spec = spec_of(CASES[k].kind, CASES[k].steps);
    spec.hf_step = CASES[k].hf_step;
    spec.adapts = CASES[k].adapts;
    const struct result r = run(spec, START, NULL);
    close_to(r.adapted, CASES[k].adapted, 1e-10);
    close_to(r.grad, CASES[k].grad, CASES[k].tol);
    if (k == 0) assert_true(fabs(r.loss - .18632144023390823) < 1e-10);
    if (k == 2) assert_true(fabs(r.loss - .05726446058883191) < 1e-10);
  }
  // metasgd_1_step
  static const double RATE[N] = {0.1, 0.2, 0.05, 0.1, 0.3, 0.15, 0.25};
  static const double ADAPTED[N] = {0.4868139583089347, -0.2915069644596916, 0.14079207601476282,
                                    0.1517922487930118, 0.7056391464251492,  -0.3528489124834823,
                                    0.3838329013575952};
  static const double GRAD[N] = {-0.09503865854422008, 0.11441958559549581, -0.1311780133652343,
                                 0.0645533215041283,   -0.1804511150338221, 0.09665187021860945,
                                 -0.21441928957718118};
  static const double RATE_GRAD[N] = {
      0.013603967287273777,   0.004925656924475268, -0.17774351064769425, -0.07132263901084504,
      -0.0035301580768853052, 0.010391836962108877, -0.6079036068789777};
  const struct result r = run(spec_of(XF_META_MAML, 1), START, RATE);
  close_to(r.adapted, ADAPTED, 1e-10);
  close_to(r.grad, GRAD, 1e-10);
  close_to(r.rate_grad, RATE_GRAD, 1e-10);
}

// The query loss after adaptation, differenced by each start parameter and each rate.
static void test_differences(void **state) {
  (void)state;
  static const uint8_t masks[][4] = {{1, 1, 1, 1}, {0, 0, 1, 1}, {1, 1, 0, 0}};
  const double rate[N] = {.1, .2, .05, .1, .3, .15, .25}, d = 1e-5;
  for (size_t k = 0; k < 3; k++) {
    struct xf_meta_spec spec = spec_of(XF_META_MAML, 4);
    spec.adapts = masks[k];
    const struct result r = run(spec, START, rate);
    double by_start[N], by_rate[N];
    for (int i = 0; i < N; i++) {
      double up[N], down[N];
      memcpy(up, START, sizeof up);
      memcpy(down, START, sizeof down);
      up[i] += d;
      down[i] -= d;
      by_start[i] = (run(spec, up, rate).loss - run(spec, down, rate).loss) / (2 * d);
      memcpy(up, rate, sizeof up);
      memcpy(down, rate, sizeof down);
      up[i] += d;
      down[i] -= d;
      by_rate[i] = (run(spec, START, up).loss - run(spec, START, down).loss) / (2 * d);
    }
    close_to(r.grad, by_start, 1e-8);
    close_to(r.rate_grad, by_rate, 1e-8);
    for (int i = 0; i < N; i++)
      if (!masks[k][i < HEAD ? 0 : 3]) assert_true(r.adapted[i] == START[i]);
  }
}

// Dropping the product leaves the query gradient where adaptation ended: one step of MAML with all masked but nothing.
static void test_first_order(void **state) {
  (void)state;
  static const uint8_t none[4] = {0};
  const struct result fo = run(spec_of(XF_META_FOMAML, 3), START, NULL);
  struct xf_meta_spec still = spec_of(XF_META_MAML, 1);
  still.adapts = none;
  const struct result at = run(still, fo.adapted, NULL);
  close_to(fo.grad, at.grad, 1e-15);
  assert_true(fabs(fo.loss - at.loss) < 1e-15);
}

// In float the exact product stays close to double; so does the difference with its own step.
static void test_float(void **state) {
  (void)state;
  const struct result want = run(spec_of(XF_META_MAML, 3), START, NULL);
  static const enum xf_nn_mode modes[] = {XF_NN_FAST, XF_NN_REF};
  for (int i = 0; i < 2; i++) {
    struct xf_meta_spec spec = spec_of(XF_META_MAML, 3);
    spec.mode = modes[i];
    close_to(run(spec, START, NULL).grad, want.grad, 1e-5);
    spec.kind = XF_META_HF;
    close_to(run(spec, START, NULL).grad, want.grad, 1e-3);
  }
}

static void test_refused(void **state) {
  (void)state;
  struct net net;
  struct xf_meta *meta;
  open_net(&net);
  struct xf_meta_spec spec = spec_of(XF_META_MAML, 1);
  spec.max_rows = 2;
  assert_int_equal(xf_meta_new(&meta, net.graph, NULL, net.loss, &net.layout, &spec, &diag),
                   XF_E_INVAL);
  spec.inner_lr = 0;
  assert_int_equal(xf_meta_new(&meta, net.graph, net.twin, net.loss, &net.layout, &spec, &diag),
                   XF_E_INVAL);
  spec = spec_of(XF_META_FOMAML, 0);
  spec.max_rows = 2;
  assert_int_equal(xf_meta_new(&meta, net.graph, NULL, net.loss, &net.layout, &spec, &diag),
                   XF_E_INVAL);
  spec.inner_steps = 1;
  assert_int_equal(xf_meta_new(&meta, net.graph, NULL, net.loss, &net.layout, &spec, &diag), XF_OK);
  const struct xf_meta_feed feed[] = {{net.x, X, sizeof *X}, {net.y, Y, sizeof *Y}};
  double grad[N];
  static const uint32_t both[] = {4, 1}, beyond[] = {ROWS};
  struct xf_meta_job job = {.start = START,
                            .feed = feed,
                            .n_feed = 2,
                            .n_rows = ROWS,
                            .support = SUPPORT,
                            .n_support = 2,
                            .query = both,
                            .n_query = 2,
                            .grad = grad};
  assert_int_equal(xf_meta_run(meta, &job, &diag), XF_E_INVAL);
  assert_non_null(strstr(diag.text, "row 1 is in the support and in the query"));
  job.n_query = 1;
  assert_int_equal(xf_meta_run(meta, &job, &diag), XF_OK);
  job.n_query = 0;
  assert_int_equal(xf_meta_run(meta, &job, &diag), XF_E_INVAL);
  job.query = QUERY;
  job.n_query = 3;
  assert_int_equal(xf_meta_run(meta, &job, &diag), XF_E_LIMIT);
  job.query = beyond;
  job.n_query = 1;
  assert_int_equal(xf_meta_run(meta, &job, &diag), XF_E_RANGE);
  xf_meta_free(meta);
  close_net(&net);
}

int main(void) {
  if (xf_blas_start(NULL, &diag)) return 1;
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_vectors),     cmocka_unit_test(test_differences),
      cmocka_unit_test(test_first_order), cmocka_unit_test(test_float),
      cmocka_unit_test(test_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
