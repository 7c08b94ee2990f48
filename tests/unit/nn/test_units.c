// Gradients clipped unit by unit against brute force: each unit alone through the same graph, clipped by hand, added.
#include "nntest.h"

#include "base/rng.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
// cmocka wants the four above first
#include <cmocka.h>

enum { UNITS = 6, IN_MAX = 4, NUM = 512, PARAMS = 256 };

struct feed {
  const char *name;
  uint32_t rows, cols; // of one unit
  uint32_t below;      // ids below that; 0: numbers
};
struct test_case {
  const char *name;
  struct seg_spec seg[8];
  struct feed feed[IN_MAX + 1];
  int (*rows)(struct xf_graph *g, const int *in); // losses [k B x 1]
};

#define P(name) xf_graph_param(g, name)
static int mlp(struct xf_graph *g, const int *in) {
  const int h = xf_op_dense(g, in[0], P("w1"), P("b1"), XF_ACT_TANH);
  return xf_op_softmax_ce(g, xf_op_dense(g, h, P("w2"), P("b2"), XF_ACT_NONE), in[1]);
}
static int bpr(struct xf_graph *g, const int *in) { // one item table, gathered twice
  const int u = xf_op_gather(g, P("user"), in[0]), i = xf_op_gather(g, P("item"), in[1]),
            j = xf_op_gather(g, P("item"), in[2]);
  const int a = xf_op_add(g, xf_op_row_dot(g, u, i), xf_op_gather(g, P("bias"), in[1])),
            b = xf_op_add(g, xf_op_row_dot(g, u, j), xf_op_gather(g, P("bias"), in[2]));
  return xf_op_bpr(g, a, b);
}
static int tied(struct xf_graph *g,
                const int *in) { // the same table read by ids and as the output's weights
  const int h = xf_op_tanh(g, xf_op_gather(g, P("item"), in[0]));
  return xf_op_softmax_ce(g, xf_op_matmul(g, h, P("item"), false, true), in[1]);
}
static int twice(struct xf_graph *g, const int *in) { // the same weights in two layers
  const int h = xf_op_dense(g, in[0], P("w"), P("b"), XF_ACT_TANH);
  const int y = xf_op_dense(g, h, P("w"), P("b"), XF_ACT_SIGMOID);
  return xf_op_sum_cols(g, xf_op_mul(g, y, y));
}
static int cnn(struct xf_graph *g, const int *in) {
  const struct xf_window conv = {.h = 4, .w = 4, .kh = 3, .kw = 3, .pad_h = 1, .pad_w = 1},
                         pool = {.h = 4, .w = 4, .kh = 2, .kw = 2, .stride_h = 2, .stride_w = 2};
  int h = xf_op_conv(g, in[0], P("k"), P("kb"), &conv);
  h = xf_op_flatten(g, xf_op_tanh(g, xf_op_max_pool(g, h, &pool, NULL)), 2, 2);
  return xf_op_softmax_ce(g, xf_op_dense_nobias(g, h, P("w"), XF_ACT_NONE), in[1]);
}
static int norm(struct xf_graph *g,
                const int *in) { // three rows a unit: the sum over them is what is clipped
  const int h = xf_op_layer_norm(g, xf_op_matmul(g, in[0], P("w"), false, false), P("gain"),
                                 P("shift"), 1e-3);
  return xf_op_sum_cols(g, xf_op_mul(g, h, xf_op_scale(g, h, 0.5)));
}

static const struct test_case cases[] = {
    {"mlp",
     {{"w1", 3, 5}, {"b1", 5, 1}, {"w2", 5, 4}, {"b2", 4, 1}, {NULL, 0, 0}},
     {{"x", 1, 3, 0}, {"t", 1, 1, 4}},
     mlp},
    {"bpr",
     {{"user", 4, 3}, {"item", 5, 3}, {"bias", 5, 1}, {NULL, 0, 0}},
     {{"u", 1, 1, 4}, {"i", 1, 1, 5}, {"j", 1, 1, 5}},
     bpr},
    {"bpr, four rows a unit",
     {{"user", 4, 3}, {"item", 5, 3}, {"bias", 5, 1}, {NULL, 0, 0}},
     {{"u", 4, 1, 4}, {"i", 4, 1, 5}, {"j", 4, 1, 5}},
     bpr},
    {"tied embedding", {{"item", 5, 3}, {NULL, 0, 0}}, {{"i", 2, 1, 5}, {"t", 2, 1, 5}}, tied},
    {"weights used twice", {{"w", 3, 3}, {"b", 3, 1}, {NULL, 0, 0}}, {{"x", 1, 3, 0}}, twice},
    {"cnn",
     {{"k", 9, 2}, {"kb", 2, 1}, {"w", 8, 3}, {NULL, 0, 0}},
     {{"x", 16, 1, 0}, {"t", 1, 1, 3}},
     cnn},
    {"layer norm",
     {{"w", 4, 3}, {"gain", 3, 1}, {"shift", 3, 1}, {NULL, 0, 0}},
     {{"x", 3, 4, 0}},
     norm},
};
enum { N_CASE = sizeof cases / sizeof *cases };

struct built {
  struct xf_layout layout;
  struct xf_graph *g;
  int in[IN_MAX], n_in, loss, norm2;
  double num[IN_MAX][NUM];
  float num_f[IN_MAX][NUM];
  int32_t ids[IN_MAX][NUM];
  double p[PARAMS];
  float p_f[PARAMS];
};

static void build(struct built *b, const struct test_case *c, double clip) {
  struct xf_diag diag;
  xf_diag_init(&diag);
  memset(b, 0, sizeof *b);
  nntest_layout(&b->layout, c->seg);
  assert_true(b->layout.n <= PARAMS);
  b->g = xf_graph_new(&b->layout);
  for (; b->n_in < IN_MAX && c->feed[b->n_in].name; b->n_in++) {
    const struct feed *f = &c->feed[b->n_in];
    const struct xf_dim rows = {f->rows, XF_SYM_B};
    b->in[b->n_in] = f->below ? xf_graph_ids(b->g, f->name, rows, f->cols)
                              : xf_graph_input(b->g, f->name, rows, f->cols);
  }
  const int rows = c->rows(b->g, b->in);
  b->loss = xf_op_sum(b->g, rows);
  const enum xf_rc rc = clip > 0 ? xf_graph_backward_units(b->g, b->loss, rows, XF_BATCH, clip,
                                                           NULL, 0, &b->norm2, &diag)
                                 : xf_graph_backward(b->g, b->loss, &diag);
  if (rc) fail_msg("%s: %s", c->name, diag.text);
  struct xf_rng rng;
  xf_rng_init(&rng, 7, 1);
  for (size_t i = 0; i < b->layout.n; i++)
    b->p[i] = (double)(b->p_f[i] = (float)xf_rng_normal(&rng));
  for (int k = 0; k < b->n_in; k++)
    for (uint32_t i = 0; i < UNITS * c->feed[k].rows * c->feed[k].cols; i++) {
      b->num[k][i] = (double)(b->num_f[k][i] = (float)xf_rng_normal(&rng));
      b->ids[k][i] = (int32_t)xf_rng_below(&rng, c->feed[k].below ? c->feed[k].below : 1);
    }
}

static void drop(struct built *b) {
  xf_graph_free(b->g);
  xf_layout_deinit(&b->layout);
}

// Feeds of unit `from` on.
static void set_inputs(struct xf_nnplan *p, const struct built *b, const struct test_case *c,
                       bool dbl, uint32_t from) {
  for (int k = 0; k < b->n_in; k++) {
    const size_t at = (size_t)from * c->feed[k].rows * c->feed[k].cols;
    if (c->feed[k].below) xf_nnplan_set_input(p, b->in[k], b->ids[k] + at);
    else xf_nnplan_set_input(p, b->in[k], dbl ? (const void *)(b->num[k] + at) : b->num_f[k] + at);
  }
}

static int ascending(const void *a, const void *b) {
  const double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

// The clipped sum by hand, at a bound between the norms of the units; gives the bound.
static double brute(double *sum, double *norm2, const struct test_case *c) {
  static struct built b;
  static double g[UNITS][PARAMS];
  double norm[UNITS];
  build(&b, c, 0);
  struct xf_nnplan *p = nntest_plan(b.g, (struct xf_nnplan_spec){.loss = b.loss,
                                                                 .has_loss = true,
                                                                 .train = true,
                                                                 .mode = XF_NN_REF64,
                                                                 .max = {[XF_SYM_B] = 1}});
  memset(sum, 0, PARAMS * sizeof *sum);
  memset(g, 0, sizeof g);
  for (uint32_t u = 0; u < UNITS; u++) {
    set_inputs(p, &b, c, true, u);
    nntest_run64(p, b.p, g[u], 1);
    norm2[u] = 0;
    for (size_t i = 0; i < b.layout.n; i++) norm2[u] += g[u][i] * g[u][i];
    norm[u] = sqrt(norm2[u]);
  }
  double order[UNITS];
  memcpy(order, norm, sizeof order);
  qsort(order, UNITS, sizeof *order, ascending);
  const double clip = (order[UNITS / 2 - 1] + order[UNITS / 2]) / 2;
  assert_true(order[0] < clip && clip < order[UNITS - 1]);
  for (uint32_t u = 0; u < UNITS; u++)
    for (size_t i = 0; i < b.layout.n; i++) sum[i] += fmin(1, clip / norm[u]) * g[u][i];
  xf_nnplan_free(p);
  drop(&b);
  return clip;
}

static void test_against_brute_force(void **state) {
  (void)state;
  for (int i = 0; i < N_CASE; i++) {
    const struct test_case *c = &cases[i];
    static struct built b;
    double want[PARAMS], norm2[UNITS], got[PARAMS] = {0};
    float got_f[PARAMS] = {0};
    const double clip = brute(want, norm2, c);
    build(&b, c, clip);
    struct xf_nnplan_spec spec = {.outputs = {b.norm2},
                                  .n_output = 1,
                                  .loss = b.loss,
                                  .has_loss = true,
                                  .train = true,
                                  .dense_grads = true,
                                  .mode = XF_NN_REF64,
                                  .max = {[XF_SYM_B] = UNITS}};
    struct xf_nnplan *p = nntest_plan(b.g, spec);
    set_inputs(p, &b, c, true, 0);
    nntest_run64(p, b.p, got, UNITS);
    nntest_close64(xf_nnplan_get(p, b.norm2, NULL, NULL), norm2, UNITS, 1e-9, c->name);
    nntest_close64(got, want, b.layout.n, 5e-6, c->name);
    nntest_run64(p, b.p, got, 0); // an empty batch: a sum over nobody
    for (size_t k = 0; k < b.layout.n; k++) assert_true(got[k] == 0);
    xf_nnplan_free(p);
    for (int mode = 0; mode < 2; mode++) {
      spec.mode = mode ? XF_NN_FAST : XF_NN_REF;
      p = nntest_plan(b.g, spec);
      set_inputs(p, &b, c, false, 0);
      nntest_run(p, b.p_f, got_f, UNITS);
      nntest_close(got_f, want, b.layout.n, 5e-5, c->name);
      xf_nnplan_free(p);
    }
    drop(&b);
  }
}

// One unit's clipped gradient is never longer than the bound, however steep the loss.
static void test_bound(void **state) {
  (void)state;
  struct xf_layout l;
  nntest_layout(&l, (const struct seg_spec[]){{"w", 3, 1}, {NULL, 0, 0}});
  struct xf_diag diag;
  xf_diag_init(&diag);
  struct xf_graph *g = xf_graph_new(&l);
  const int x = xf_graph_input(g, "x", XF_BATCH, 3);
  const int rows = xf_op_matmul(g, x, xf_graph_param(g, "w"), false, false),
            loss = xf_op_sum(g, rows);
  if (xf_graph_backward_units(g, loss, rows, XF_BATCH, 0.1, NULL, 0, NULL, &diag))
    fail_msg("%s", diag.text);
  struct xf_nnplan *p =
      nntest_plan(g, (struct xf_nnplan_spec){
                         .loss = loss, .has_loss = true, .train = true, .max = {[XF_SYM_B] = 1}});
  for (int k = -20; k <= 15; k++) {
    const float s = (float)pow(10, k), in[3] = {s, -2 * s, 3 * s}, w[3] = {1, 1, 1};
    float grad[3];
    xf_nnplan_set_input(p, x, in);
    nntest_run(p, w, grad, 1);
    const double n = sqrt((double)grad[0] * (double)grad[0] + (double)grad[1] * (double)grad[1] +
                          (double)grad[2] * (double)grad[2]);
    assert_true(n <= 0.1);
    if ((double)s * sqrt(14) > 0.1) assert_true(n > 0.1 * (1 - 1e-5));
  }
  xf_nnplan_free(p);
  xf_graph_free(g);
  xf_layout_deinit(&l);
}

static int batch_normed(struct xf_graph *g, const int *in) {
  return xf_op_sum_cols(g, xf_op_norm(g, xf_op_matmul(g, in[0], P("w"), false, false), XF_NORM_COLS,
                                      1e-3, NULL, NULL));
}
static int running(struct xf_graph *g, const int *in) {
  const struct xf_batch_norm b = {.gain = P("gain"),
                                  .shift = P("shift"),
                                  .mean = "mean",
                                  .var = "var",
                                  .momentum = 0.1,
                                  .eps = 1e-3};
  return xf_op_sum_cols(g, xf_op_batch_norm_train(g, in[0], &b));
}
static int propagated(struct xf_graph *g,
                      const int *in) { // a mean over the batch taken from everybody
  const int h = xf_op_matmul(g, in[0], P("w"), false, false);
  const int mean = xf_op_div_dim(g, xf_op_sum_rows(g, h), XF_BATCH);
  return xf_op_sum_cols(g, xf_op_sub(g, h, xf_op_broadcast(g, mean, XF_BATCH, XF_DIM(3))));
}
static int decayed(struct xf_graph *g,
                   const int *in) { // a function of the weights is not a use by units
  return xf_op_sum_cols(g, xf_op_matmul(g, in[0], xf_op_tanh(g, P("w")), false, false));
}

static int two_sizes(struct xf_graph *g,
                     const int *in) { // the same weights over images of two sizes
  const struct xf_window large = {.h = 3, .w = 1, .kh = 2, .kw = 1},
                         small = {.h = 2, .w = 1, .kh = 2, .kw = 1};
  const int h = xf_op_conv(g, in[0], P("k"), XF_NO_NODE, &large);
  return xf_op_sum_cols(g, xf_op_conv(g, h, P("k"), XF_NO_NODE, &small));
}
static int two_widths(struct xf_graph *g, const int *in) { // rows of a table seen in another shape
  const int rows = xf_op_gather(g, xf_op_reshape(g, P("w"), XF_DIM(9), XF_DIM(1)), in[0]);
  return xf_op_mul(g, rows, rows);
}

// What the norms' kernel would read in the shape of another use or of the parameter.
static void test_refuses_other_shapes(void **state) {
  (void)state;
  struct xf_layout l;
  nntest_layout(&l, (const struct seg_spec[]){{"w", 3, 3}, {"k", 2, 1}, {NULL, 0, 0}});
  for (int i = 0; i < 2; i++) {
    struct xf_diag diag;
    xf_diag_init(&diag);
    struct xf_graph *g = xf_graph_new(&l);
    const int in = i ? xf_graph_ids(g, "i", XF_BATCH, 1)
                     : xf_graph_input(g, "x", (struct xf_dim){3, XF_SYM_B}, 1);
    const int rows = i ? two_widths(g, &in) : two_sizes(g, &in);
    assert_int_equal(
        xf_graph_backward_units(g, xf_op_sum(g, rows), rows, XF_BATCH, 1, NULL, 0, NULL, &diag),
        XF_E_UNSUPPORTED);
    assert_non_null(strstr(diag.text, i ? "rows of another width" : "windows of two kinds"));
    xf_graph_free(g);
  }
  xf_layout_deinit(&l);
}

// A norm that is no number bounds nothing: such a unit is left out, not taken whole.
static void test_factor_of_no_number(void **state) {
  (void)state;
  struct xf_layout l;
  nntest_layout(&l, (const struct seg_spec[]){{"w", 1, 1}, {NULL, 0, 0}});
  struct xf_graph *g = xf_graph_new(&l);
  const int x = xf_graph_input(g, "x", XF_BATCH, 1), f = xf_op_unit_factor(g, x, 2);
  struct xf_nnplan *p = nntest_plan(
      g, (struct xf_nnplan_spec){.outputs = {f}, .n_output = 1, .max = {[XF_SYM_B] = 5}});
  const float in[5] = {NAN, -1, INFINITY, 4, 0}, w[1] = {0}, want[5] = {0, 0, 0, 1, 1};
  xf_nnplan_set_input(p, x, in);
  nntest_run(p, w, NULL, 5);
  assert_memory_equal(xf_nnplan_get(p, f, NULL, NULL), want, sizeof want);
  xf_nnplan_free(p);
  xf_graph_free(g);
  xf_layout_deinit(&l);
}

static void test_an_image_within_a_unit(void **state) {
  (void)state;
  struct xf_layout l;
  struct xf_diag diag;
  xf_diag_init(&diag);
  nntest_layout(&l, (const struct seg_spec[]){{"w", 3, 3}, {NULL, 0, 0}});
  for (uint32_t rows_of_unit = 1; rows_of_unit <= 2; rows_of_unit++) {
    struct xf_graph *g = xf_graph_new(&l);
    const int x = xf_graph_input(g, "x", (struct xf_dim){2, XF_SYM_B}, 3);
    const struct xf_window two = {.h = 2, .w = 1, .kh = 2, .kw = 1};
    const int h = xf_op_avg_pool(g, xf_op_matmul(g, x, xf_graph_param(g, "w"), false, false), &two);
    const int rows = xf_op_sum_cols(g, rows_of_unit == 1 ? xf_op_avg_spread(g, h, &two) : h);
    const enum xf_rc rc = xf_graph_backward_units(g, xf_op_sum(g, rows), rows,
                                                  (struct xf_dim){3 - rows_of_unit, XF_SYM_B}, 1,
                                                  NULL, 0, NULL, &diag);
    if (rows_of_unit == 1) { // two units share an image
      assert_int_equal(rc, XF_E_UNSUPPORTED);
      assert_non_null(strstr(diag.text, "avg_pool"));
    } else {
      assert_int_equal(rc, XF_OK);
    }
    xf_graph_free(g);
  }
  xf_layout_deinit(&l);
}

static void test_refusals(void **state) {
  (void)state;
  static const struct {
    int (*rows)(struct xf_graph *g, const int *in);
    const char *says[2];
  } row[] = {
      {batch_normed, {"norm [B x 3]", "batch norm cannot be clipped by unit"}},
      {running, {"\"mean\"", "batch norm cannot be clipped by unit"}},
      {propagated, {"sum_rows [1 x 3]", "mixes the units of a batch"}},
      {decayed, {"act_grad", "whose units are not known"}},
  };
  for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
    struct xf_layout l;
    struct xf_diag diag;
    xf_diag_init(&diag);
    nntest_layout(&l, (const struct seg_spec[]){{"w", 3, 3},
                                                {"gain", 3, 1},
                                                {"shift", 3, 1},
                                                {"mean", 3, 1},
                                                {"var", 3, 1},
                                                {NULL, 0, 0}});
    struct xf_graph *g = xf_graph_new(&l);
    const int x = xf_graph_input(g, "x", XF_BATCH, 3), rows = row[i].rows(g, &x);
    assert_int_equal(
        xf_graph_backward_units(g, xf_op_sum(g, rows), rows, XF_BATCH, 1, NULL, 0, NULL, &diag),
        XF_E_UNSUPPORTED);
    for (int k = 0; k < 2; k++)
      if (!strstr(diag.text, row[i].says[k]))
        fail_msg("\"%s\" is not in \"%s\"", row[i].says[k], diag.text);
    xf_graph_free(g);
    xf_layout_deinit(&l);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_against_brute_force),
      cmocka_unit_test(test_bound),
      cmocka_unit_test(test_refusals),
      cmocka_unit_test(test_an_image_within_a_unit),
      cmocka_unit_test(test_refuses_other_shapes),
      cmocka_unit_test(test_factor_of_no_number),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
