// Recurrent cells, attention and alignment: worked numbers, fused against primitives at size, masks without any step, refusals.
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

enum { FEED_MAX = 6, NUM_MAX = 1024 };

struct feed {
  int node;
  size_t n;
  const double *x;
  const int32_t *ids; // instead of x
};
struct bench {
  struct xf_graph *g;
  struct feed feed[FEED_MAX];
  int n_feed;
};

static void open_bench(struct bench *b) {
  struct xf_layout none;
  memset(b, 0, sizeof *b);
  xf_layout_init(&none);
  b->g = xf_graph_new(&none);
}

// A constant input [rows x cols].
static int feed(struct bench *b, const char *name, uint32_t rows, uint32_t cols, const double *x) {
  const int node = xf_graph_input(b->g, name, XF_DIM(rows), cols);
  b->feed[b->n_feed++] = (struct feed){node, (size_t)rows * cols, x, NULL};
  return node;
}

static int feed_mask(struct bench *b, uint32_t rows, const int32_t *ids) {
  const int node = xf_graph_ids(b->g, "mask", XF_DIM(rows), 1);
  b->feed[b->n_feed++] = (struct feed){node, rows, NULL, ids};
  return node;
}

static enum xf_rc run_mode(struct bench *b, int out, size_t n, enum xf_nn_mode mode, double *got,
                           struct xf_diag *diag) {
  static float narrow[FEED_MAX][NUM_MAX];
  const uint32_t extent[XF_N_SYM] = {0};
  const struct xf_nnplan_spec spec = {.outputs = {out}, .n_output = 1, .mode = mode};
  struct xf_nnplan *p = nntest_plan(b->g, spec);
  for (int i = 0; i < b->n_feed; i++) {
    const struct feed *f = &b->feed[i];
    assert_true(f->n <= NUM_MAX);
    for (size_t j = 0; f->x && j < f->n; j++) narrow[i][j] = (float)f->x[j];
    const void *num = mode == XF_NN_REF64 ? (const void *)f->x : narrow[i];
    xf_nnplan_set_input(p, f->node, f->ids ? (const void *)f->ids : num);
  }
  const enum xf_rc rc = mode == XF_NN_REF64 ? xf_nnplan_run64(p, NULL, NULL, extent, diag)
                                            : xf_nnplan_run(p, NULL, NULL, extent, diag);
  const void *y = xf_nnplan_get(p, out, NULL, NULL);
  for (size_t j = 0; !rc && j < n; j++)
    got[j] = mode == XF_NN_REF64 ? ((const double *)y)[j] : (double)((const float *)y)[j];
  xf_nnplan_free(p);
  return rc;
}

static void check_out(struct bench *b, int out, const double *want, size_t n, const char *what) {
  const enum xf_nn_mode mode[] = {XF_NN_REF64, XF_NN_REF, XF_NN_FAST};
  for (int m = 0; m < 3; m++) {
    double got[NUM_MAX];
    struct xf_diag diag;
    xf_diag_init(&diag);
    if (run_mode(b, out, n, mode[m], got, &diag)) fail_msg("%s: %s", what, diag.text);
    nntest_close64(got, want, n, mode[m] == XF_NN_REF64 ? 1e-12 : 1e-5, what);
  }
}

// --- worked numbers

static const double x_in[] = {1.0, -0.5}, h_in[] = {0.3, -0.6}, c_in[] = {0.25, -0.4};
static const int32_t ones[] = {1, 1, 1};

// vector: gru_cell
static void test_gru_cell(void **state) {
  (void)state;
  const double wi[3][4] = {{0.1, -0.2, 0.3, 0.4}, {-0.5, 0.2, 0.1, 0.1}, {0.7, -0.3, 0.2, 0.6}};
  const double wh[3][4] = {{0.2, 0.1, -0.1, 0.3}, {0.4, -0.2, 0.2, 0.5}, {-0.3, 0.2, 0.1, 0.4}};
  const double bi[] = {0.01, -0.02, 0.03, 0.04, -0.05, 0.06};
  const double bh[] = {0.02, 0.01, -0.03, 0.02, 0.07, -0.01};
  double xp[6], u[18];
  for (int k = 0; k < 6; k++) {
    const double *w = &wi[k / 2][k % 2 * 2], *v = &wh[k / 2][k % 2 * 2];
    xp[k] = w[0] * x_in[0] + w[1] * x_in[1] + bi[k];
    u[k] = v[0];
    u[6 + k] = v[1];
    u[12 + k] = bh[k];
  }
  const double want[] = {0.48739587318559807, -0.3563663889956352};
  struct bench b;
  open_bench(&b);
  const struct xf_gru_in in = {.x = feed(&b, "x", 1, 6, xp),
                               .u = feed(&b, "u", 3, 6, u),
                               .mask = feed_mask(&b, 1, ones),
                               .h0 = feed(&b, "h0", 1, 2, h_in)};
  check_out(&b, xf_op_gru(b.g, &in), want, 2, "gru");
  check_out(&b, xf_op_gru_lowered(b.g, &in), want, 2, "gru from primitives");
  xf_graph_free(b.g);
}

// vector: lstm_cell
static void test_lstm_cell(void **state) {
  (void)state;
  const double w[4][4] = {
      {0.5, -0.1, 0.2, 0.3}, {0.1, 0.2, -0.3, 0.4}, {-0.2, 0.6, 0.7, 0.1}, {0.3, 0.3, 0.1, -0.4}};
  const double v[4][4] = {
      {0.1, 0.2, 0.3, -0.1}, {0.2, -0.2, 0.1, 0.5}, {0.4, 0.1, -0.1, 0.2}, {-0.3, 0.2, 0.2, 0.1}};
  const double bias[] = {0.0, 0.1, 1.0, 1.0, 0.05, -0.05, 0.0, 0.0};
  double xp[8], u[16];
  for (int k = 0; k < 8; k++) {
    const double *a = &w[k / 2][k % 2 * 2], *c = &v[k / 2][k % 2 * 2];
    xp[k] = a[0] * x_in[0] + a[1] * x_in[1] + bias[k];
    u[k] = c[0];
    u[8 + k] = c[1];
  }
  const double want_h[] = {-0.0176522477156231, 0.011175853507164886};
  const double want_c[] = {-0.03641213320169209, 0.019457584576727638};
  struct bench b;
  open_bench(&b);
  const struct xf_lstm_in in = {.x = feed(&b, "x", 1, 8, xp),
                                .u = feed(&b, "u", 2, 8, u),
                                .mask = feed_mask(&b, 1, ones),
                                .h0 = feed(&b, "h0", 1, 2, h_in),
                                .c0 = feed(&b, "c0", 1, 2, c_in)};
  int cell = XF_NO_NODE;
  check_out(&b, xf_op_lstm(b.g, &in, &cell), want_h, 2, "lstm");
  check_out(&b, cell, want_c, 2, "cell state");
  check_out(&b, xf_op_lstm_lowered(b.g, &in), want_h, 2, "lstm from primitives");
  xf_graph_free(b.g);
}

// vector: causal_attention; and with the first position padded
static void test_causal_attention(void **state) {
  (void)state;
  const double q[] = {1, 0, .5, -1, 0, 2}, k[] = {1, 1, 0, -1, 2, .5}, v[] = {1, 0, 0, 1, -1, 2};
  const double want[] = {
      1.0, 0.0, 0.25718331522680704, 0.742816684773193, 0.3265942900541051, 0.6734057099458949};
  static const int32_t padded[] = {0, 1, 0};
  const double want_padded[] = {0, 0, 0, 1, 0, 0};
  for (int pad = 0; pad < 2; pad++) {
    struct bench b;
    open_bench(&b);
    const struct xf_attention_in in = {.q = feed(&b, "q", 3, 2, q),
                                       .k = feed(&b, "k", 3, 2, k),
                                       .v = feed(&b, "v", 3, 2, v),
                                       .mask = feed_mask(&b, 3, pad ? padded : ones),
                                       .T = 3,
                                       .causal = true};
    const double *w = pad ? want_padded : want;
    check_out(&b, xf_op_attention(b.g, &in), w, 6, "attention");
    check_out(&b, xf_op_attention_lowered(b.g, &in), w, 6, "attention from primitives");
    xf_graph_free(b.g);
  }
}

// vectors: mmd, coral, gru4rec_top1
static void test_losses(void **state) {
  (void)state;
  const double s[] = {0, 0, 1, 0, 0, 2}, t[] = {1, 1, 3, 0, 2, 2}, pos[] = {1.2},
               neg[] = {.4, 1.5, -.3};
  const double sigma[] = {1, 2};
  struct bench b;
  open_bench(&b);
  const int S = feed(&b, "s", 3, 2, s), T = feed(&b, "t", 3, 2, t);
  const int P = feed(&b, "p", 1, 1, pos), N = feed(&b, "n", 1, 3, neg);
  const struct {
    const char *name;
    int node;
    double want;
  } row[] = {{"mmd", xf_op_mmd(b.g, S, T, sigma, 1, false), 0.5844504884932862},
             {"mmd unbiased", xf_op_mmd(b.g, S, T, sigma, 1, true), 0.0684505307146624},
             {"mmd of two", xf_op_mmd(b.g, S, T, sigma, 2, false), 0.9835055619421655},
             {"mmd linear", xf_op_mmd_linear(b.g, S, T), 2.888888888888889},
             {"coral", xf_op_coral(b.g, S, T), 0.03819444444444445},
             {"top1", xf_op_top1(b.g, P, N), 1.0113146013128864}};
  for (size_t i = 0; i < sizeof row / sizeof *row; i++)
    check_out(&b, row[i].node, &row[i].want, 1, row[i].name);
  xf_graph_free(b.g);
}

// vector: dann_lambda (reversed at half)
static void test_reversal(void **state) {
  (void)state;
  const double x[] = {.3, .4}, up[] = {1, -2}, lambda = 2 / (1 + exp(-10 * .5)) - 1;
  const double want[] = {-0.9866142981514305, 1.973228596302861};
  struct bench b;
  open_bench(&b);
  const int X = feed(&b, "x", 1, 2, x), U = feed(&b, "up", 1, 2, up);
  const int y = xf_op_reverse(b.g, X, lambda);
  const int loss = xf_op_sum(b.g, xf_op_mul(b.g, y, U));
  int d = XF_NO_NODE;
  struct xf_diag diag;
  xf_diag_init(&diag);
  assert_int_equal(xf_graph_grad(b.g, loss, &X, 1, &d, &diag), XF_OK);
  check_out(&b, y, x, 2, "passed on");
  check_out(&b, d, want, 2, "reversed");
  xf_graph_free(b.g);
}

// Log-q shifts the logits by the chance of being sampled.
static void test_sampled_softmax(void **state) {
  (void)state;
  const double s[] = {1, .5, -.2}, log_q[] = {-1, -2, -3};
  static const int32_t first[] = {0};
  const double want = log(exp(2) + exp(2.5) + exp(2.8)) - 2;
  struct bench b;
  open_bench(&b);
  const int S = feed(&b, "s", 1, 3, s), Q = feed(&b, "q", 1, 3, log_q);
  const int t = xf_graph_ids(b.g, "t", XF_DIM(1), 1);
  b.feed[b.n_feed++] = (struct feed){t, 1, NULL, first};
  check_out(&b, xf_op_sampled_softmax(b.g, S, Q, t), &want, 1, "sampled softmax");
  xf_graph_free(b.g);
}

// --- fused against primitives at size: values and gradients with respect to everything

enum { T = 6, N_SEQ = 5, H = 7 };
static double num[4][NUM_MAX];
static int32_t ragged[T * N_SEQ];

// Sequence b has T - b steps, the third one with a hole; the last has none.
static void draw(bool time_major) {
  struct xf_rng rng;
  xf_rng_init(&rng, 5, 1);
  for (int i = 0; i < 4; i++)
    for (int j = 0; j < NUM_MAX; j++) num[i][j] = xf_rng_normal(&rng) * .5;
  for (int b = 0; b < N_SEQ; b++)
    for (int t = 0; t < T; t++)
      ragged[time_major ? t * N_SEQ + b : b * T + t] =
          t < T - b && b + 1 < N_SEQ && !(b == 2 && t == 1);
}

static void check_pair(struct bench *b, int fused, int lowered, const int *wrt, size_t n_wrt) {
  const int both[] = {fused, lowered};
  int d[2][4], L[2];
  struct xf_diag diag;
  xf_diag_init(&diag);
  for (int i = 0; i < 2; i++) {
    L[i] = xf_op_sum(b->g, xf_op_mul(b->g, both[i], xf_op_tanh(b->g, both[i])));
    assert_int_equal(xf_graph_grad(b->g, L[i], wrt, n_wrt, d[i], &diag), XF_OK);
  }
  for (size_t k = 0; k <= n_wrt; k++) {
    const int f = k == n_wrt ? fused : d[0][k], l = k == n_wrt ? lowered : d[1][k];
    struct xf_dim r, c;
    double want[NUM_MAX];
    xf_graph_get_shape(b->g, l, &r, &c);
    const size_t n = (size_t)r.n * c.n;
    assert_int_equal(run_mode(b, l, n, XF_NN_REF64, want, &diag), XF_OK);
    double largest = 0;
    for (size_t j = 0; j < n; j++) largest = fmax(largest, fabs(want[j]));
    assert_true(largest > 1e-3);
    check_out(b, f, want, n, "fused");
  }
  xf_graph_free(b->g);
}

static void test_lstm_pair(void **state) {
  (void)state;
  struct bench b;
  draw(true);
  open_bench(&b);
  const struct xf_lstm_in in = {.x = feed(&b, "x", T * N_SEQ, 4 * H, num[0]),
                                .u = feed(&b, "u", H, 4 * H, num[1]),
                                .mask = feed_mask(&b, T * N_SEQ, ragged),
                                .h0 = feed(&b, "h0", N_SEQ, H, num[2]),
                                .c0 = feed(&b, "c0", N_SEQ, H, num[3])};
  const int wrt[] = {in.x, in.u, in.h0, in.c0};
  check_pair(&b, xf_op_lstm(b.g, &in, NULL), xf_op_lstm_lowered(b.g, &in), wrt, 4);
}

static void test_gru_pair(void **state) {
  (void)state;
  struct bench b;
  draw(true);
  open_bench(&b);
  const struct xf_gru_in in = {.x = feed(&b, "x", T * N_SEQ, 3 * H, num[0]),
                               .u = feed(&b, "u", H + 1, 3 * H, num[1]),
                               .mask = feed_mask(&b, T * N_SEQ, ragged),
                               .h0 = feed(&b, "h0", N_SEQ, H, num[2])};
  const int wrt[] = {in.x, in.u, in.h0};
  check_pair(&b, xf_op_gru(b.g, &in), xf_op_gru_lowered(b.g, &in), wrt, 3);
}

static void test_attention_pair(void **state) {
  (void)state;
  for (int causal = 0; causal < 2; causal++) {
    struct bench b;
    draw(false);
    open_bench(&b);
    const struct xf_attention_in in = {.q = feed(&b, "q", T * N_SEQ, H, num[0]),
                                       .k = feed(&b, "k", T * N_SEQ, H, num[1]),
                                       .v = feed(&b, "v", T * N_SEQ, H + 2, num[2]),
                                       .mask = feed_mask(&b, T * N_SEQ, ragged),
                                       .T = T,
                                       .causal = causal == 1};
    const int wrt[] = {in.q, in.k, in.v};
    check_pair(&b, xf_op_attention(b.g, &in), xf_op_attention_lowered(b.g, &in), wrt, 3);
  }
}

// --- sequences without any step, refusals

static void test_all_masked(void **state) {
  (void)state;
  static const int32_t none[6] = {0};
  double same[4], zeros[6] = {0};
  struct bench b;
  draw(true);
  for (int j = 0; j < 4; j++) same[j] = num[2][j % 2];
  open_bench(&b);
  const struct xf_gru_in gru = {.x = feed(&b, "x", 2, 6, num[0]),
                                .u = feed(&b, "u", 3, 6, num[1]),
                                .mask = feed_mask(&b, 2, none),
                                .h0 = feed(&b, "h0", 1, 2, num[2])};
  int d[2];
  struct xf_diag diag;
  xf_diag_init(&diag);
  const int y = xf_op_gru(b.g, &gru);
  check_out(&b, y, same, 4, "gru keeps its start");
  assert_int_equal(xf_graph_grad(b.g, xf_op_sum(b.g, y), (const int[]){gru.u, gru.x}, 2, d, &diag),
                   XF_OK);
  check_out(&b, d[1], zeros, 6, "gru: no gradient");
  xf_graph_free(b.g);
  open_bench(&b);
  const struct xf_attention_in at = {.q = feed(&b, "q", 3, 2, num[0]),
                                     .k = feed(&b, "k", 3, 2, num[1]),
                                     .v = feed(&b, "v", 3, 2, num[2]),
                                     .mask = feed_mask(&b, 3, none),
                                     .T = 3};
  const int a = xf_op_attention(b.g, &at);
  check_out(&b, a, zeros, 6, "attention sees nothing");
  assert_int_equal(xf_graph_grad(b.g, xf_op_sum(b.g, a), &at.k, 1, d, &diag), XF_OK);
  check_out(&b, d[0], zeros, 6, "attention: no gradient");
  xf_graph_free(b.g);
}

static void test_refusals(void **state) {
  (void)state;
  static const int32_t bad[] = {0, 2, 1};
  double got[6];
  struct bench b;
  struct xf_diag diag;
  draw(true);
  open_bench(&b); // a mask of 2 is no mask
  const struct xf_attention_in at = {.q = feed(&b, "q", 3, 2, num[0]),
                                     .k = feed(&b, "k", 3, 2, num[1]),
                                     .v = feed(&b, "v", 3, 2, num[2]),
                                     .mask = feed_mask(&b, 3, bad),
                                     .T = 3};
  xf_diag_init(&diag);
  assert_int_equal(run_mode(&b, xf_op_attention(b.g, &at), 6, XF_NN_FAST, got, &diag), XF_E_RANGE);
  assert_string_equal(diag.text, "input \"mask\": id 2 at position 1 is not in [0, 2)");
  xf_graph_free(b.g);
  open_bench(&b); // the cell state has no derivative: the alternative is named
  const struct xf_lstm_in in = {.x = feed(&b, "x", 1, 8, num[0]),
                                .u = feed(&b, "u", 2, 8, num[1]),
                                .mask = feed_mask(&b, 1, ones),
                                .h0 = feed(&b, "h0", 1, 2, num[2]),
                                .c0 = feed(&b, "c0", 1, 2, num[3])};
  int cell = XF_NO_NODE, d = XF_NO_NODE;
  (void)xf_op_lstm(b.g, &in, &cell);
  xf_diag_init(&diag);
  assert_int_equal(xf_graph_grad(b.g, xf_op_sum(b.g, cell), &in.u, 1, &d, &diag), XF_E_UNSUPPORTED);
  assert_non_null(strstr(diag.text, "xf_op_lstm_lowered"));
  xf_graph_free(b.g);
  open_bench(&b); // shapes: what came, what is needed
  const struct xf_gru_in gru = {.x = feed(&b, "x", 3, 6, num[0]),
                                .u = feed(&b, "u", 2, 6, num[1]),
                                .mask = feed_mask(&b, 3, ones),
                                .h0 = feed(&b, "h0", 1, 2, num[2])};
  assert_int_equal(xf_op_gru(b.g, &gru), XF_NO_NODE);
  assert_int_equal(xf_graph_check(b.g, &diag), XF_E_SHAPE);
  assert_non_null(strstr(diag.text, "u [2 x 6]"));
  assert_non_null(strstr(diag.text, "H + 1 rows"));
  xf_graph_free(b.g);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_gru_cell),         cmocka_unit_test(test_lstm_cell),
      cmocka_unit_test(test_causal_attention), cmocka_unit_test(test_losses),
      cmocka_unit_test(test_reversal),         cmocka_unit_test(test_sampled_softmax),
      cmocka_unit_test(test_lstm_pair),        cmocka_unit_test(test_gru_pair),
      cmocka_unit_test(test_attention_pair),   cmocka_unit_test(test_all_masked),
      cmocka_unit_test(test_refusals),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
