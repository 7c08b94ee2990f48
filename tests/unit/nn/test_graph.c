// Building: sharing of equal nodes, shape errors that say what they got, the first error kept, printing.
#include "nntest.h"

#include "base/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
// cmocka wants the four above first
#include <cmocka.h>

static struct xf_layout layout;
static struct xf_graph *g;

static int setup(void **state) {
  (void)state;
  nntest_layout(&layout, (const struct seg_spec[]){
                             {"w1", 784, 64}, {"b1", 64, 1}, {"item", 1682, 8}, {NULL, 0, 0}});
  g = xf_graph_new(&layout);
  return 0;
}
static int teardown(void **state) {
  (void)state;
  xf_graph_free(g);
  xf_layout_deinit(&layout);
  return 0;
}

static void expect_error(enum xf_rc rc, const char *text) {
  struct xf_diag diag;
  xf_diag_init(&diag);
  assert_int_equal(xf_graph_check(g, &diag), rc);
  if (!strstr(diag.text, text)) fail_msg("\"%s\" is not in \"%s\"", text, diag.text);
}

static void test_equal_nodes_are_one(void **state) {
  (void)state;
  const int x = xf_graph_input(g, "x", XF_BATCH, 784), w = xf_graph_param(g, "w1");
  assert_int_equal(xf_graph_param(g, "w1"), w);
  const int a = xf_op_matmul(g, x, w, false, false);
  const int n = xf_graph_count(g);
  assert_int_equal(xf_op_matmul(g, x, w, false, false), a);
  assert_int_equal(xf_graph_count(g), n);
  assert_int_equal(xf_op_scale(g, a, 1), a);
  assert_int_equal(xf_op_act(g, a, XF_ACT_NONE), a);
  assert_int_equal(xf_op_add(g, a, xf_graph_fill(g, XF_BATCH, XF_DIM(64), 0)), a);
  assert_int_equal(xf_graph_find_input(g, "x"), x);
  assert_int_equal(xf_graph_find_input(g, "y"), XF_NO_NODE);
  assert_int_equal(xf_graph_check(g, NULL), XF_OK);
}

static void test_shapes_in_errors(void **state) {
  (void)state;
  const int x = xf_graph_input(g, "x", XF_BATCH, 780);
  const int h = xf_op_dense(g, x, xf_graph_param(g, "w1"), xf_graph_param(g, "b1"), XF_ACT_RELU);
  assert_int_equal(h, XF_NO_NODE);
  assert_int_equal(xf_op_mean(g, xf_op_relu(g, h)), XF_NO_NODE); // passes through
  expect_error(XF_E_SHAPE, "dense(input x [B x 780], param w1 [784 x 64]");
  assert_int_equal(xf_graph_param(g, "nothing"), XF_NO_NODE); // the first error stays
  expect_error(XF_E_SHAPE, "columns of x must equal rows of w");
  struct xf_diag diag;
  xf_diag_init(&diag);
  assert_int_equal(xf_graph_backward(g, h, &diag), XF_E_SHAPE);
  struct xf_nnplan *p;
  assert_int_equal(xf_nnplan_new(&p, g, &(struct xf_nnplan_spec){0}, &diag), XF_E_SHAPE);
  assert_null(p);
}

static void test_missing_segment(void **state) {
  (void)state;
  assert_int_equal(xf_op_relu(g, xf_graph_param(g, "w9")), XF_NO_NODE);
  expect_error(XF_E_NOTFOUND, "\"w9\"");
}

static void test_symbols_are_not_numbers(void **state) {
  (void)state;
  const int x = xf_graph_input(g, "x", XF_BATCH, 4), y = xf_graph_input(g, "y", XF_DIM(32), 4);
  assert_int_equal(xf_op_add(g, x, y), XF_NO_NODE);
  expect_error(XF_E_SHAPE, "add(input x [B x 4], input y [32 x 4])");
}

static void test_ids_are_not_numbers(void **state) {
  (void)state;
  const int t = xf_graph_ids(g, "t", XF_BATCH, 1);
  assert_int_equal(xf_op_relu(g, t), XF_NO_NODE);
  expect_error(XF_E_SHAPE, "cannot compute with ids");
}

static void test_gather_needs_ids(void **state) {
  (void)state;
  const int x = xf_graph_input(g, "x", XF_BATCH, 1);
  assert_int_equal(xf_op_gather(g, xf_graph_param(g, "item"), x), XF_NO_NODE);
  expect_error(XF_E_SHAPE, "needs an ids input");
}

static void test_names_are_unique(void **state) {
  (void)state;
  assert_true(xf_graph_input(g, "x", XF_BATCH, 1) >= 0);
  assert_int_equal(xf_graph_ids(g, "x", XF_BATCH, 1), XF_NO_NODE);
  expect_error(XF_E_EXISTS, "\"x\" is declared twice");
}

static void test_reshape(void **state) {
  (void)state;
  const int x = xf_graph_input(g, "x", (struct xf_dim){6, XF_SYM_B}, 2);
  assert_true(xf_op_reshape(g, x, (struct xf_dim){4, XF_SYM_B}, XF_DIM(3)) >= 0);
  assert_int_equal(xf_op_reshape(g, x, XF_DIM(12), XF_DIM(1)), XF_NO_NODE);
  expect_error(XF_E_SHAPE, "reshape");
}

static void test_loss_must_be_scalar(void **state) {
  (void)state;
  const int w = xf_graph_param(g, "w1");
  struct xf_diag diag;
  xf_diag_init(&diag);
  assert_int_equal(xf_graph_backward(g, w, &diag), XF_E_SHAPE);
  assert_non_null(strstr(diag.text, "[1 x 1]"));
  const int loss = xf_op_sum(g, w), b = xf_graph_param(g, "b1");
  int d;
  assert_int_equal(xf_graph_grad(g, loss, &b, 1, &d, NULL),
                   XF_OK); // independent: zeros of the same shape
  struct xf_dim rows, cols;
  xf_graph_get_shape(g, d, &rows, &cols);
  assert_true(rows.n == 64 && cols.n == 1);
  const int ids = xf_graph_ids(g, "t", XF_BATCH, 1);
  assert_int_equal(xf_graph_grad(g, loss, &ids, 1, &d, NULL), XF_E_INVAL);
}

static void test_print(void **state) {
  (void)state;
  const int x = xf_graph_input(g, "x", XF_BATCH, 784);
  const int w = xf_graph_param(g, "w1"), b = xf_graph_param(g, "b1");
  (void)xf_op_dense(g, x, w, b, XF_ACT_RELU);
  struct xf_buf buf;
  xf_buf_init(&buf, 4096);
  assert_int_equal(xf_graph_print(g, &buf), XF_OK);
  assert_string_equal(xf_buf_cstr(&buf), "0 input x [B x 784]\n"
                                         "1 param w1 [784 x 64]\n"
                                         "2 param b1 [64 x 1]\n"
                                         "3 reshape [1 x 64] <- 2\n"
                                         "4 dense [B x 64] relu <- 0 1 3\n");
  xf_buf_deinit(&buf);
}

int main(void) {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
  const struct CMUnitTest tests[] = {
      T(test_equal_nodes_are_one), T(test_shapes_in_errors),
      T(test_missing_segment),     T(test_symbols_are_not_numbers),
      T(test_ids_are_not_numbers), T(test_gather_needs_ids),
      T(test_names_are_unique),    T(test_reshape),
      T(test_loss_must_be_scalar), T(test_print),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
