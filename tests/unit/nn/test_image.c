// Images, norms and dropout beside their gradients (tests/grad): known values, refusals in words, state, seeds.
#include "nntest.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
// cmocka wants the four above first
#include <cmocka.h>

static void near(double got, double want, double tol) {
  if (!(fabs(got - want) <= tol)) fail_msg("%.9g is not %.9g", got, want);
}

static struct xf_graph *new_graph(void) {
  struct xf_layout none;
  xf_layout_init(&none);
  return xf_graph_new(&none);
}

static void run(struct xf_graph *g, const int *in, const void *const *data, size_t n_in,
                const int *out, size_t n_out, struct xf_nnplan **p) {
  struct xf_diag diag;
  xf_diag_init(&diag);
  struct xf_nnplan_spec spec = {.n_output = n_out, .max = {[XF_SYM_B] = 64}};
  for (size_t i = 0; i < n_out; i++) spec.outputs[i] = out[i];
  if (xf_nnplan_new(p, g, &spec, &diag)) fail_msg("%s", diag.text);
  for (size_t i = 0; i < n_in; i++) xf_nnplan_set_input(*p, in[i], data[i]);
  if (xf_nnplan_run(*p, NULL, NULL, (uint32_t[XF_N_SYM]){[XF_SYM_B] = 1}, &diag))
    fail_msg("%s", diag.text);
}

static void test_max_pool(void **state) {
  (void)state;
  struct xf_graph *g = new_graph();
  const struct xf_window w = {.h = 2, .w = 4, .kh = 2, .kw = 2, .stride_h = 2, .stride_w = 2};
  const int x = xf_graph_input(g, "x", (struct xf_dim){8, XF_SYM_B}, 1);
  int where;
  const int y = xf_op_max_pool(g, x, &w, &where);
  const int back = xf_op_pool_scatter(g, y, where, &w),
            again = xf_op_pool_gather(g, back, where, &w);
  const float in[] = {1, 7, 3, 3, 5, 2, 3, 0};
  struct xf_nnplan *p;
  run(g, &x, (const void *[]){in}, 1, (int[]){y, back, again}, 3, &p);
  const float want[] = {0, 7, 3, 0, 0, 0, 0, 0}; // of equal ones the first
  assert_memory_equal(xf_nnplan_get(p, back, NULL, NULL), want, sizeof want);
  assert_memory_equal(xf_nnplan_get(p, y, NULL, NULL), ((float[]){7, 3}), 2 * sizeof(float));
  assert_memory_equal(xf_nnplan_get(p, again, NULL, NULL), ((float[]){7, 3}), 2 * sizeof(float));
  xf_nnplan_free(p);
  xf_graph_free(g);
}

// 4 images that become 32768 x 32768 pixels each are 2^32 rows: refused, not 0 rows
static void test_too_many_pixels(void **state) {
  (void)state;
  const struct xf_window w = {
      .h = 1, .w = 1, .kh = 32768, .kw = 32768, .pad_h = 32767, .pad_w = 32767};
  struct xf_window one = w;
  struct xf_diag diag;
  for (int images = 3; images <= 4; images++) {
    struct xf_graph *g = new_graph();
    (void)xf_op_avg_pool(g, xf_graph_input(g, "x", (struct xf_dim){(uint32_t)images, XF_SYM_B}, 1),
                         &w);
    xf_diag_init(&diag);
    assert_int_equal(xf_graph_check(g, &diag), images == 3 ? XF_OK : XF_E_SHAPE);
    if (images == 4) assert_non_null(strstr(diag.text, "4 images of 32768 x 32768 pixels"));
    xf_graph_free(g);
  }
  one.kh = one.kw = 32767, one.pad_h = one.pad_w = 32766; /* back to images: out 32767 x 32767 */
  struct xf_graph *g = new_graph();
  (void)xf_op_avg_spread(g, xf_graph_input(g, "y", (struct xf_dim){32767u * 32767u, XF_SYM_B}, 1),
                         &one);
  assert_int_equal(xf_graph_check(g, &diag), XF_OK);
  xf_graph_free(g);
}

// A NaN in a window is not lost.
static void test_max_pool_nan(void **state) {
  (void)state;
  struct xf_graph *g = new_graph();
  const struct xf_window w = {.h = 1, .w = 2, .kh = 1, .kw = 2};
  const int x = xf_graph_input(g, "x", (struct xf_dim){2, XF_SYM_B}, 1);
  const int y = xf_op_max_pool(g, x, &w, NULL);
  for (int at = 0; at < 2; at++) {
    float in[2] = {1, 1};
    in[at] = NAN;
    struct xf_nnplan *p;
    run(g, &x, (const void *[]){in}, 1, &y, 1, &p);
    assert_true(isnan(*(const float *)xf_nnplan_get(p, y, NULL, NULL)));
    xf_nnplan_free(p);
  }
  xf_graph_free(g);
}

static void test_conv_by_hand(void **state) {
  (void)state;
  struct xf_graph *g = new_graph();
  const struct xf_window w = {.h = 2, .w = 2, .kh = 2, .kw = 2, .pad_h = 1, .pad_w = 1};
  const int x = xf_graph_input(g, "x", (struct xf_dim){4, XF_SYM_B}, 1),
            k = xf_graph_input(g, "k", XF_DIM(4), 1);
  const int y = xf_op_conv(g, x, k, XF_NO_NODE, &w);
  struct xf_nnplan *p;
  run(g, (int[]){x, k}, (const void *[]){(float[]){1, 2, 3, 4}, (float[]){10, 20, 30, 40}}, 2, &y,
      1, &p);
  const float want[] = {40, 110, 60, 140, 300, 140, 60, 110, 40};
  const float *got = xf_nnplan_get(p, y, NULL, NULL);
  for (int i = 0; i < 9; i++) near((double)got[i], (double)want[i], 1e-4);
  xf_nnplan_free(p);
  xf_graph_free(g);
}

// What a builder refuses: the operation, what it got, what it needs.
static void expect_refusal(struct xf_graph *g, int node, const char *const *parts) {
  struct xf_diag diag;
  xf_diag_init(&diag);
  assert_int_equal(node, XF_NO_NODE);
  assert_int_equal(xf_graph_check(g, &diag), XF_E_SHAPE);
  for (; *parts; parts++)
    if (!strstr(diag.text, *parts)) fail_msg("\"%s\" is not in \"%s\"", *parts, diag.text);
  xf_graph_free(g);
}

static void test_refusals(void **state) {
  (void)state;
  const struct xf_window w = {.h = 4, .w = 3, .kh = 2, .kw = 2},
                         big = {.h = 4, .w = 3, .kh = 5, .kw = 2},
                         pad = {.h = 4, .w = 3, .kh = 2, .kw = 2, .pad_w = 2};
  struct xf_graph *g = new_graph();
  int x = xf_graph_input(g, "x", (struct xf_dim){12, XF_SYM_B}, 2),
      k = xf_graph_input(g, "k", XF_DIM(9), 3);
  expect_refusal(g, xf_op_conv(g, x, k, XF_NO_NODE, &w),
                 (const char *[]){"conv(", "[12B x 2]", "[9 x 3]", "weights [8 x", NULL});
  g = new_graph();
  x = xf_graph_input(g, "x", (struct xf_dim){11, XF_SYM_B}, 2);
  expect_refusal(g, xf_op_max_pool(g, x, &w, NULL),
                 (const char *[]){"max_pool(", "[11B x 2]", "4 x 3 = 12 pixels", NULL});
  g = new_graph();
  x = xf_graph_input(g, "x", (struct xf_dim){12, XF_SYM_B}, 2);
  expect_refusal(g, xf_op_avg_pool(g, x, &big),
                 (const char *[]){"avg_pool(", "window of 5 x 2", "4 x 3", NULL});
  g = new_graph();
  x = xf_graph_input(g, "x", (struct xf_dim){12, XF_SYM_B}, 2);
  expect_refusal(g, xf_op_avg_pool(g, x, &pad), (const char *[]){"padding 0 x 2", NULL});
  g = new_graph();
  x = xf_graph_input(g, "x", XF_BATCH, 4), k = xf_graph_input(g, "s", XF_DIM(3), 1);
  expect_refusal(g, xf_op_col_scale(g, x, k),
                 (const char *[]){"col_scale(", "[B x 4]", "[1 x 3]", NULL});
  g = new_graph();
  x = xf_graph_input(g, "x", XF_BATCH, 4);
  expect_refusal(g, xf_op_dropout(g, x, 1, 0), (const char *[]){"drop_mask(", "below 1", NULL});
  g = new_graph();
  x = xf_graph_input(g, "x", (struct xf_dim){12, XF_SYM_B}, 2);
  expect_refusal(g, xf_op_flatten(g, x, 5, 2),
                 (const char *[]){"flatten(", "[12B x 2]", "5 x 2", NULL});
}

static void test_dropout_seeds(void **state) {
  (void)state;
  struct xf_graph *g = new_graph();
  const int one = xf_op_drop_mask(g, XF_BATCH, XF_DIM(4000), 0.25, 1),
            two = xf_op_drop_mask(g, XF_BATCH, XF_DIM(4000), 0.25, 2);
  struct xf_nnplan *p;
  run(g, NULL, NULL, 0, (int[]){one, two}, 2, &p);
  float first[4000];
  memcpy(first, xf_nnplan_get(p, one, NULL, NULL), sizeof first);
  assert_memory_not_equal(first, xf_nnplan_get(p, two, NULL, NULL), sizeof first);
  int kept = 0;
  for (int i = 0; i < 4000; i++) {
    assert_true(first[i] == 0 || fabsf(first[i] - 4.0f / 3) < 1e-6f);
    kept += first[i] > 0;
  }
  assert_true(abs(kept - 3000) < 140); // 5 standard deviations
  struct xf_diag diag;
  xf_diag_init(&diag);
  const uint32_t extent[XF_N_SYM] = {[XF_SYM_B] = 1};
  xf_nnplan_set_seed(p, 5);
  assert_int_equal(xf_nnplan_run(p, NULL, NULL, extent, &diag), XF_OK);
  assert_memory_not_equal(first, xf_nnplan_get(p, one, NULL, NULL), sizeof first);
  xf_nnplan_set_seed(p, 0);
  assert_int_equal(xf_nnplan_run(p, NULL, NULL, extent, &diag), XF_OK);
  assert_memory_equal(first, xf_nnplan_get(p, one, NULL, NULL), sizeof first);
  xf_nnplan_free(p);
  xf_graph_free(g);
}

// Training by the batch's statistics moves the running ones; evaluation uses those.
static void test_batch_norm(void **state) {
  (void)state;
  struct xf_layout l;
  xf_layout_init(&l);
  struct xf_diag diag;
  xf_diag_init(&diag);
  for (int i = 0; i < 4; i++)
    assert_int_equal(xf_layout_add(&l, ((const char *[]){"gain", "shift", "mean", "var"})[i],
                                   XF_ROLE_SHARED, "", 2, 1, &diag),
                     XF_OK);
  float params[8] = {1, 2, 0, -1, 0, 0, 1, 1}, grad[8] = {0};
  const float x[] = {1, 4, 3, 8, 5, 0, 7, 4}; // mean 4 4, variance 5 8
  for (int eval = 0; eval < 2; eval++) {
    struct xf_graph *g = xf_graph_new(&l);
    const int in = xf_graph_input(g, "x", XF_BATCH, 2);
    const struct xf_batch_norm b = {.gain = xf_graph_param(g, "gain"),
                                    .shift = xf_graph_param(g, "shift"),
                                    .mean = "mean",
                                    .var = "var",
                                    .momentum = 0.1,
                                    .eps = 1e-5};
    const int y = eval ? xf_op_batch_norm_eval(g, in, &b) : xf_op_batch_norm_train(g, in, &b);
    const int loss = xf_op_sum(g, y);
    if (!eval) assert_int_equal(xf_graph_backward(g, loss, &diag), XF_OK);
    struct xf_nnplan *p;
    if (xf_nnplan_new(&p, g,
                      &(struct xf_nnplan_spec){.outputs = {y},
                                               .n_output = 1,
                                               .loss = loss,
                                               .has_loss = true,
                                               .train = !eval,
                                               .max = {[XF_SYM_B] = 4}},
                      &diag))
      fail_msg("%s", diag.text);
    xf_nnplan_set_input(p, in, x);
    assert_int_equal(xf_nnplan_run(p, params, grad, (uint32_t[XF_N_SYM]){[XF_SYM_B] = 4}, &diag),
                     XF_OK);
    const float *out = xf_nnplan_get(p, y, NULL, NULL);
    if (!eval) {
      near((double)out[0], -3 / sqrt(5), 1e-4);
      near((double)out[1], -1, 1e-4);
      const float before[] = {0, 0, 1, 1};
      assert_memory_equal(params + 4, before, sizeof before); // only apply writes
      xf_nnplan_apply(p, params);
      near((double)params[4], 0.4, 1e-5);
      near((double)params[5], 0.4, 1e-5);
      near((double)params[6], 0.9 + 0.5, 1e-4);
      near((double)params[7], 0.9 + 0.8, 1e-4);
      near((double)params[0], 1, 0);
    } else {
      near((double)out[0], 0.6 / sqrt(1.4), 1e-4);
      near((double)out[1], 2 * 3.6 / sqrt(1.7) - 1, 1e-4);
      params[6] = -0.5f; // below 0 is as 0
      assert_int_equal(xf_nnplan_run(p, params, grad, (uint32_t[XF_N_SYM]){[XF_SYM_B] = 4}, &diag),
                       XF_OK);
      near((double)out[0], 0.6 / sqrt(1e-5), 1e-1);
    }
    xf_nnplan_free(p);
    xf_graph_free(g);
  }
  struct xf_graph *g = xf_graph_new(&l); // a loss must not read what the graph moves
  const int mean = xf_graph_param(g, "mean");
  xf_graph_update(g, "mean", xf_op_scale(g, mean, 0.5));
  assert_int_equal(xf_graph_backward(g, xf_op_sum(g, mean), &diag), XF_E_INVAL);
  assert_non_null(strstr(diag.text, "\"mean\""));
  xf_graph_free(g);
  xf_layout_deinit(&l);
}

// Rows without a share are normalised by the others, and change nothing for them.
static void test_shared_norm(void **state) {
  (void)state;
  struct xf_layout l;
  struct xf_diag diag;
  xf_layout_init(&l);
  xf_diag_init(&diag);
  assert_int_equal(xf_layout_add(&l, "gain", XF_ROLE_SHARED, "", 2, 1, &diag), XF_OK);
  assert_int_equal(xf_layout_add(&l, "shift", XF_ROLE_SHARED, "", 2, 1, &diag), XF_OK);
  const float params[4] = {1, 2, 0, -1}, share[] = {.25F, .25F, .25F, .25F, 0, 0};
  float x[] = {1, 4, 3, 8, 5, 0, 7, 4, 6, 12, 0, 0}; // of the first four: mean 4 4, variance 5 8
  struct xf_graph *g = xf_graph_new(&l);
  const int in = xf_graph_input(g, "x", XF_BATCH, 2),
            part = xf_graph_input(g, "share", XF_BATCH, 1);
  const struct xf_batch_norm b = {
      .gain = xf_graph_param(g, "gain"), .shift = xf_graph_param(g, "shift"), .eps = 1e-5};
  const int y = xf_op_batch_norm_shared(g, in, part, &b);
  struct xf_nnplan *p;
  if (xf_nnplan_new(
          &p, g, &(struct xf_nnplan_spec){.outputs = {y}, .n_output = 1, .max = {[XF_SYM_B] = 6}},
          &diag))
    fail_msg("%s", diag.text);
  xf_nnplan_set_input(p, in, x);
  xf_nnplan_set_input(p, part, share);
  float first[10];
  for (int k = 0; k < 2; k++) {
    assert_int_equal(xf_nnplan_run(p, params, NULL, (uint32_t[XF_N_SYM]){[XF_SYM_B] = 6}, &diag),
                     XF_OK);
    const float *out = xf_nnplan_get(p, y, NULL, NULL);
    near((double)out[0], -3 / sqrt(5), 1e-4);
    near((double)out[1], -1, 1e-4);
    near((double)out[8], 2 / sqrt(5), 1e-4);
    near((double)out[9], 2 * 8 / sqrt(8) - 1, 1e-4);
    if (k) assert_memory_equal(out, first, sizeof first);
    memcpy(first, out, sizeof first);
    x[10] = 1000; // the last row
  }
  xf_nnplan_free(p);
  xf_graph_free(g);
  xf_layout_deinit(&l);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_max_pool),     cmocka_unit_test(test_too_many_pixels),
      cmocka_unit_test(test_max_pool_nan), cmocka_unit_test(test_conv_by_hand),
      cmocka_unit_test(test_refusals),     cmocka_unit_test(test_dropout_seeds),
      cmocka_unit_test(test_batch_norm),   cmocka_unit_test(test_shared_norm),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
