// modules: nn
// The op table tested from one list: every operation in every mode against the double reference, its
// derivative and the derivative of its derivative against central differences, and an empty batch.
// A new operation is a new line in `cases`; test_every_op_has_a_case fails until it has one.
#include "nn/nn.h"

#include "base/rng.h"
#include "nn/optable.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
// cmocka wants the four above first
#include <cmocka.h>

enum { X_MAX = 3, NUM_MAX = 512, LEVELS = 2 };

// Values of an input: ordinary [-1, 1], positive, away from 0 (kinks), within (0, 1).
enum range { ORD, POS, KINK, UNIT };
struct in {
  enum xf_sym sym; // rows = n * sym
  uint32_t n, cols;
  enum range range;
};
struct ids {
  enum xf_sym sym;
  uint32_t n, cols, below;
};
struct op_case {
  const char *name;
  enum xf_op op; // what it is there to cover
  int (*build)(struct xf_graph *g, const int *x, const int *id);
  struct in x[X_MAX];
  struct ids id[2];
};

#define BUILD(name) static int name(struct xf_graph *g, const int *x, const int *id)
#define EXPR(name, expr) \
  BUILD(name) {          \
    (void)id;            \
    return expr;         \
  }
EXPR(b_fill, xf_op_mul(g, x[0], xf_graph_fill(g, XF_BATCH, XF_DIM(3), 2.5)))
EXPR(b_reshape, xf_op_reshape(g, xf_op_mul(g, x[0], x[0]), (struct xf_dim){3, XF_SYM_B}, XF_DIM(2)))
EXPR(b_add, xf_op_add(g, xf_op_mul(g, x[0], x[0]), x[1]))
EXPR(b_sub, xf_op_sub(g, x[0], xf_op_mul(g, x[1], x[1])))
EXPR(b_mul, xf_op_mul(g, x[0], x[1]))
EXPR(b_square, xf_op_mul(g, x[0], x[0]))
EXPR(b_div, xf_op_div(g, x[0], x[1]))
EXPR(b_scale, xf_op_scale(g, xf_op_exp(g, x[0]), -1.5))
EXPR(b_div_dim, xf_op_div_dim(g, xf_op_mul(g, x[0], x[0]), (struct xf_dim){2, XF_SYM_B}))
EXPR(b_exp, xf_op_exp(g, x[0]))
EXPR(b_log, xf_op_log(g, x[0]))
EXPR(b_sqrt, xf_op_sqrt(g, x[0]))
EXPR(b_softplus, xf_op_softplus(g, x[0]))
EXPR(b_step, xf_op_mul(g, xf_op_step(g, x[0]), xf_op_mul(g, x[0], x[0])))
EXPR(b_relu, xf_op_relu(g, x[0]))
EXPR(b_tanh, xf_op_tanh(g, x[0]))
EXPR(b_sigmoid, xf_op_sigmoid(g, x[0]))
EXPR(b_relu_grad, xf_op_act_grad(g, x[0], x[1], XF_ACT_RELU))
EXPR(b_tanh_grad, xf_op_act_grad(g, x[0], x[1], XF_ACT_TANH))
EXPR(b_sigmoid_grad, xf_op_act_grad(g, x[0], x[1], XF_ACT_SIGMOID))
EXPR(b_bce, xf_op_bce(g, x[0], x[1]))
EXPR(b_matmul_nn, xf_op_matmul(g, x[0], x[1], false, false))
EXPR(b_matmul_tn, xf_op_matmul(g, x[0], x[1], true, false))
EXPR(b_matmul_nt, xf_op_matmul(g, x[0], x[1], false, true))
EXPR(b_matmul_tt, xf_op_matmul(g, x[0], x[1], true, true))
EXPR(b_dense, xf_op_dense(g, x[0], x[1], x[2], XF_ACT_NONE))
EXPR(b_dense_relu, xf_op_dense(g, x[0], x[1], x[2], XF_ACT_RELU))
EXPR(b_dense_tanh, xf_op_dense(g, x[0], x[1], x[2], XF_ACT_TANH))
EXPR(b_dense_sigmoid, xf_op_dense_nobias(g, x[0], x[1], XF_ACT_SIGMOID))
EXPR(b_bias_add, xf_op_tanh(g, xf_op_bias_add(g, x[0], x[1])))
EXPR(b_gather, xf_op_tanh(g, xf_op_gather(g, x[0], id[0])))
EXPR(b_scatter_add, xf_op_tanh(g, xf_op_scatter_add(g, id[0], x[0], XF_DIM(4))))
EXPR(b_row_dot, xf_op_row_dot(g, x[0], x[1]))
EXPR(b_row_scale, xf_op_row_scale(g, x[0], x[1]))
EXPR(b_sum, xf_op_sum(g, xf_op_mul(g, x[0], x[0])))
EXPR(b_sum_rows, xf_op_sum_rows(g, xf_op_exp(g, x[0])))
EXPR(b_sum_cols, xf_op_sum_cols(g, xf_op_exp(g, x[0])))
EXPR(b_bc_scalar, xf_op_broadcast(g, xf_op_exp(g, x[0]), XF_BATCH, XF_DIM(3)))
EXPR(b_bc_row, xf_op_broadcast(g, xf_op_exp(g, x[0]), XF_BATCH, XF_DIM(3)))
EXPR(b_bc_col, xf_op_broadcast(g, xf_op_exp(g, x[0]), XF_BATCH, XF_DIM(3)))
EXPR(b_softmax, xf_op_softmax(g, x[0]))
EXPR(b_softmax_ce, xf_op_softmax_ce(g, x[0], id[0]))
EXPR(b_xent_grad, xf_op_xent_grad(g, x[0], id[0], x[1]))
// composed
EXPR(b_mean, xf_op_mean(g, xf_op_exp(g, x[0])))
EXPR(b_mse, xf_op_mean(g, xf_op_squared_error(g, x[0], x[1])))
EXPR(b_bpr, xf_op_mean(g, xf_op_bpr(g, x[0], x[1])))
EXPR(b_l2, xf_op_l2(g, x[0], 0.3))
BUILD(b_probs) { // the loss and the probabilities it computes anyway
  const int ce = xf_op_softmax_ce(g, x[0], id[0]), p = ce + 1;
  return xf_op_bias_add(g, xf_op_row_scale(g, p, ce), x[1]);
}
BUILD(b_mlp) {
  const int h = xf_op_dense(g, x[0], x[1], x[2], XF_ACT_TANH);
  return xf_op_mean(g, xf_op_softmax_ce(g, h, id[0]));
}
BUILD(b_mf) { // BPR on one item table gathered twice, L2 on the rows
  const int u = xf_op_gather(g, x[0], id[0]);
  const int both = xf_op_gather(g, x[1], id[1]); // [2B x 3]: used as two halves through a mask
  const int s = xf_op_row_dot(g, u, u), t = xf_op_row_dot(g, both, both);
  return xf_op_add(g, xf_op_mean(g, xf_op_softplus(g, s)),
                   xf_op_add(g, xf_op_mean(g, xf_op_sigmoid(g, t)), xf_op_l2(g, both, 0.1)));
}

#define B(k, c) \
  { XF_SYM_B, k, c, ORD }
#define BR(k, c, r) \
  { XF_SYM_B, k, c, r }
#define C(k, c) \
  { XF_SYM_ONE, k, c, ORD }
static const struct op_case cases[] = {
    {"fill", XF_OP_FILL, b_fill, {B(1, 3)}, {{0}}},
    {"reshape", XF_OP_RESHAPE, b_reshape, {B(2, 3)}, {{0}}},
    {"add", XF_OP_ADD, b_add, {B(1, 3), B(1, 3)}, {{0}}},
    {"sub", XF_OP_SUB, b_sub, {B(1, 3), B(1, 3)}, {{0}}},
    {"mul", XF_OP_MUL, b_mul, {B(1, 3), B(1, 3)}, {{0}}},
    {"mul x x", XF_OP_MUL, b_square, {B(1, 3)}, {{0}}},
    {"div", XF_OP_DIV, b_div, {B(1, 3), BR(1, 3, POS)}, {{0}}},
    {"scale", XF_OP_SCALE, b_scale, {B(1, 3)}, {{0}}},
    {"div_dim", XF_OP_DIV_DIM, b_div_dim, {B(1, 3)}, {{0}}},
    {"exp", XF_OP_EXP, b_exp, {B(1, 3)}, {{0}}},
    {"log", XF_OP_LOG, b_log, {BR(1, 3, POS)}, {{0}}},
    {"sqrt", XF_OP_SQRT, b_sqrt, {BR(1, 3, POS)}, {{0}}},
    {"softplus", XF_OP_SOFTPLUS, b_softplus, {B(1, 3)}, {{0}}},
    {"step", XF_OP_STEP, b_step, {BR(1, 3, KINK)}, {{0}}},
    {"relu", XF_OP_ACT, b_relu, {BR(1, 3, KINK)}, {{0}}},
    {"tanh", XF_OP_ACT, b_tanh, {B(1, 3)}, {{0}}},
    {"sigmoid", XF_OP_ACT, b_sigmoid, {B(1, 3)}, {{0}}},
    {"relu_grad", XF_OP_ACT_GRAD, b_relu_grad, {B(1, 3), BR(1, 3, KINK)}, {{0}}},
    {"tanh_grad", XF_OP_ACT_GRAD, b_tanh_grad, {B(1, 3), B(1, 3)}, {{0}}},
    {"sigmoid_grad", XF_OP_ACT_GRAD, b_sigmoid_grad, {B(1, 3), BR(1, 3, UNIT)}, {{0}}},
    {"bce", XF_OP_BCE, b_bce, {B(1, 1), BR(1, 1, UNIT)}, {{0}}},
    {"matmul nn", XF_OP_MATMUL, b_matmul_nn, {B(1, 3), C(3, 2)}, {{0}}},
    {"matmul tn", XF_OP_MATMUL, b_matmul_tn, {B(1, 3), B(1, 2)}, {{0}}},
    {"matmul nt", XF_OP_MATMUL, b_matmul_nt, {B(1, 3), C(2, 3)}, {{0}}},
    {"matmul tt", XF_OP_MATMUL, b_matmul_tt, {C(3, 2), C(4, 3)}, {{0}}},
    {"dense", XF_OP_DENSE, b_dense, {B(1, 3), C(3, 2), C(2, 1)}, {{0}}},
    {"dense relu", XF_OP_DENSE, b_dense_relu, {B(1, 3), C(3, 2), C(1, 2)}, {{0}}},
    {"dense tanh", XF_OP_DENSE, b_dense_tanh, {B(1, 3), C(3, 2), C(1, 2)}, {{0}}},
    {"dense sigmoid, no bias", XF_OP_DENSE, b_dense_sigmoid, {B(1, 3), C(3, 2)}, {{0}}},
    {"bias_add", XF_OP_BIAS_ADD, b_bias_add, {B(1, 3), C(3, 1)}, {{0}}},
    {"gather", XF_OP_GATHER, b_gather, {C(4, 3)}, {{XF_SYM_B, 1, 2, 4}}},
    {"scatter_add", XF_OP_SCATTER_ADD, b_scatter_add, {B(1, 3)}, {{XF_SYM_B, 1, 1, 4}}},
    {"row_dot", XF_OP_ROW_DOT, b_row_dot, {B(1, 3), B(1, 3)}, {{0}}},
    {"row_scale", XF_OP_ROW_SCALE, b_row_scale, {B(1, 3), B(1, 1)}, {{0}}},
    {"sum", XF_OP_SUM, b_sum, {B(1, 3)}, {{0}}},
    {"sum_rows", XF_OP_SUM_ROWS, b_sum_rows, {B(1, 3)}, {{0}}},
    {"sum_cols", XF_OP_SUM_COLS, b_sum_cols, {B(1, 3)}, {{0}}},
    {"broadcast scalar", XF_OP_BROADCAST, b_bc_scalar, {C(1, 1)}, {{0}}},
    {"broadcast row", XF_OP_BROADCAST, b_bc_row, {C(1, 3)}, {{0}}},
    {"broadcast column", XF_OP_BROADCAST, b_bc_col, {B(1, 1)}, {{0}}},
    {"softmax", XF_OP_SOFTMAX, b_softmax, {B(1, 4)}, {{0}}},
    {"softmax_ce", XF_OP_SOFTMAX_CE, b_softmax_ce, {B(1, 4)}, {{XF_SYM_B, 1, 1, 4}}},
    {"softmax_ce, both outputs", XF_OP_PROJ, b_probs, {B(1, 4), C(1, 4)}, {{XF_SYM_B, 1, 1, 4}}},
    {"xent_grad", XF_OP_XENT_GRAD, b_xent_grad, {B(1, 4), B(1, 1)}, {{XF_SYM_B, 1, 1, 4}}},
    {"mean", XF_N_OP, b_mean, {B(1, 3)}, {{0}}},
    {"mse", XF_N_OP, b_mse, {B(1, 3), B(1, 3)}, {{0}}},
    {"bpr", XF_N_OP, b_bpr, {B(1, 1), B(1, 1)}, {{0}}},
    {"l2", XF_N_OP, b_l2, {B(1, 3)}, {{0}}},
    {"mlp", XF_N_OP, b_mlp, {B(1, 3), C(3, 4), C(4, 1)}, {{XF_SYM_B, 1, 1, 4}}},
    {"mf", XF_N_OP, b_mf, {C(5, 3), C(4, 3)}, {{XF_SYM_B, 1, 1, 5}, {XF_SYM_B, 2, 1, 4}}},
};
#undef B
#undef C
#undef BR
enum { N_CASE = sizeof cases / sizeof *cases };

// --- a case as a graph: L[0] = sum(w * y), L[k] = sum over inputs of sum(v_i * dL[k-1]/dx_i)

struct bench {
  struct xf_graph *g;
  int n_x, n_id;
  int x[X_MAX], v[X_MAX], id[2], y, w;
  int L[LEVELS + 1], d[LEVELS][X_MAX];
  uint32_t B;
  double num[2 * X_MAX + 1][NUM_MAX]; // x, v, w
  float num_f[2 * X_MAX + 1][NUM_MAX];
  int32_t ids[2][NUM_MAX];
};

static uint32_t n_of(const struct bench *b, int node) {
  struct xf_dim r, c;
  xf_graph_get_shape(b->g, node, &r, &c);
  return r.n * c.n * (r.sym == XF_SYM_B ? b->B : 1) * (c.sym == XF_SYM_B ? b->B : 1);
}

static double draw(struct xf_rng *rng, enum range range) {
  const double u = xf_rng_double(rng);
  if (range == POS) return 0.4 + 1.6 * u;
  if (range == UNIT) return 0.05 + 0.9 * u;
  if (range == KINK) return u < 0.5 ? -0.1 - u : u - 0.4;
  return 2 * u - 1;
}

static void open_case(struct bench *b, const struct op_case *c, uint32_t B) {
  memset(b, 0, sizeof *b);
  struct xf_layout none;
  xf_layout_init(&none);
  b->g = xf_graph_new(&none);
  b->B = B;
  char name[] = "x0", vname[] = "v0", iname[] = "i0";
  for (; b->n_x < X_MAX && c->x[b->n_x].n; b->n_x++, name[1]++, vname[1]++) {
    const struct in *in = &c->x[b->n_x];
    const struct xf_dim rows = {in->n, in->sym};
    b->x[b->n_x] = xf_graph_input(b->g, name, rows, in->cols);
    b->v[b->n_x] = xf_graph_input(b->g, vname, rows, in->cols);
  }
  for (; b->n_id < 2 && c->id[b->n_id].n; b->n_id++, iname[1]++)
    b->id[b->n_id] = xf_graph_ids(
        b->g, iname, (struct xf_dim){c->id[b->n_id].n, c->id[b->n_id].sym}, c->id[b->n_id].cols);
  b->y = c->build(b->g, b->x, b->id);
  struct xf_diag diag;
  xf_diag_init(&diag);
  if (xf_graph_check(b->g, &diag)) fail_msg("%s: %s", c->name, diag.text);
  struct xf_dim rows, cols;
  xf_graph_get_shape(b->g, b->y, &rows, &cols);
  assert_int_equal(cols.sym, XF_SYM_ONE);
  b->w = xf_graph_input(b->g, "w", rows, cols.n);
  b->L[0] = xf_op_sum(b->g, xf_op_mul(b->g, b->y, b->w));
  for (int k = 0; k < LEVELS; k++) {
    const enum xf_rc rc = xf_graph_grad(b->g, b->L[k], b->x, (size_t)b->n_x, b->d[k], &diag);
    if (rc) fail_msg("%s, derivative %d: %s", c->name, k + 1, diag.text);
    b->L[k + 1] = xf_graph_fill(b->g, XF_DIM(1), XF_DIM(1), 0);
    for (int i = 0; i < b->n_x; i++)
      b->L[k + 1] =
          xf_op_add(b->g, b->L[k + 1], xf_op_sum(b->g, xf_op_mul(b->g, b->d[k][i], b->v[i])));
  }
  if (xf_graph_check(b->g, &diag)) fail_msg("%s: %s", c->name, diag.text);
  struct xf_rng rng;
  xf_rng_init(&rng, 11, (uint64_t)(c - cases));
  const int all[2 * X_MAX + 1] = {b->x[0], b->x[1], b->x[2], b->v[0], b->v[1], b->v[2], b->w};
  for (int i = 0; i < 2 * X_MAX + 1; i++) {
    if (i < 2 * X_MAX && i % X_MAX >= b->n_x) continue;
    assert_true(n_of(b, all[i]) <= NUM_MAX);
    for (uint32_t j = 0; j < n_of(b, all[i]); j++) {
      b->num_f[i][j] = (float)draw(&rng, i < X_MAX ? c->x[i].range : ORD);
      b->num[i][j] = (double)b->num_f[i][j];
    }
  }
  for (int i = 0; i < b->n_id; i++)
    for (uint32_t j = 0; j < n_of(b, b->id[i]); j++)
      b->ids[i][j] = (int32_t)xf_rng_below(&rng, c->id[i].below);
}

static struct xf_nnplan *plan_case(const struct bench *b, enum xf_nn_mode mode) {
  struct xf_nnplan_spec spec = {.mode = mode, .max = {[XF_SYM_B] = b->B + 2}};
  spec.outputs[spec.n_output++] = b->y;
  for (int k = 0; k <= LEVELS; k++) spec.outputs[spec.n_output++] = b->L[k];
  for (int k = 0; k < LEVELS; k++)
    for (int i = 0; i < b->n_x; i++) spec.outputs[spec.n_output++] = b->d[k][i];
  struct xf_nnplan *p;
  struct xf_diag diag;
  xf_diag_init(&diag);
  if (xf_nnplan_new(&p, b->g, &spec, &diag)) fail_msg("%s", diag.text);
  for (int i = 0; i < b->n_x; i++) {
    const bool dbl = mode == XF_NN_REF64;
    xf_nnplan_set_input(p, b->x[i], dbl ? (const void *)b->num[i] : b->num_f[i]);
    xf_nnplan_set_input(p, b->v[i], dbl ? (const void *)b->num[X_MAX + i] : b->num_f[X_MAX + i]);
  }
  xf_nnplan_set_input(p, b->w,
                      mode == XF_NN_REF64 ? (const void *)b->num[2 * X_MAX] : b->num_f[2 * X_MAX]);
  for (int i = 0; i < b->n_id; i++) xf_nnplan_set_input(p, b->id[i], b->ids[i]);
  return p;
}

static void run_case(struct bench *b, struct xf_nnplan *p, bool dbl) {
  const uint32_t extent[XF_N_SYM] = {[XF_SYM_B] = b->B};
  struct xf_diag diag;
  xf_diag_init(&diag);
  const enum xf_rc rc = dbl ? xf_nnplan_run64(p, NULL, NULL, extent, &diag)
                            : xf_nnplan_run(p, NULL, NULL, extent, &diag);
  if (rc) fail_msg("%s", diag.text);
}

// --- tests

static void test_every_op_has_a_case(void **state) {
  (void)state;
  for (int op = 0; op < XF_N_OP; op++) {
    const bool leaf = op == XF_OP_INPUT || op == XF_OP_IDS || op == XF_OP_PARAM;
    bool has = leaf;
    for (int c = 0; c < N_CASE; c++) has = has || (int)cases[c].op == op;
    if (!has) fail_msg("operation %s has no case", xf_op_info((enum xf_op)op)->name);
    // a rule for everything that a derivative may contain: the set is closed
    assert_non_null(xf_op_info((enum xf_op)op)->shape);
    assert_non_null(xf_op_info((enum xf_op)op)->vjp);
    assert_int_equal(xf_op_run_f[op] == NULL, xf_op_run_d[op] == NULL);
  }
  for (int c = 0; c < N_CASE; c++) { // and each case contains the operation it is there for
    if (cases[c].op == XF_N_OP) continue;
    struct bench b;
    open_case(&b, &cases[c], 4);
    bool found = false;
    for (int i = 0; i < b.g->n; i++) found = found || b.g->node[i].op == cases[c].op;
    if (!found)
      fail_msg("case %s does not contain %s", cases[c].name, xf_op_info(cases[c].op)->name);
    xf_graph_free(b.g);
  }
}

// Gradient k of a case by central differences of L[k], number by number.
static void check_differences(struct bench *b, struct xf_nnplan *p, int k, const char *name) {
  for (int i = 0; i < b->n_x; i++) {
    double want[NUM_MAX];
    const uint32_t n = n_of(b, b->x[i]);
    run_case(b, p, true);
    memcpy(want, xf_nnplan_get(p, b->d[k][i], NULL, NULL), n * sizeof *want);
    for (uint32_t j = 0; j < n; j++) {
      const double x = b->num[i][j], h = 1e-5;
      b->num[i][j] = x + h;
      run_case(b, p, true);
      const double up = *(const double *)xf_nnplan_get(p, b->L[k], NULL, NULL);
      b->num[i][j] = x - h;
      run_case(b, p, true);
      const double down = *(const double *)xf_nnplan_get(p, b->L[k], NULL, NULL);
      b->num[i][j] = x;
      const double got = (up - down) / (2 * h);
      if (!(fabs(got - want[j]) <= 1e-7 * fmax(1, fabs(want[j]))))
        fail_msg(
            "%s: derivative %d with respect to input %d, number %u: rule %.12g, differences %.12g",
            name, k + 1, i, j, want[j], got);
    }
  }
}

static void test_differences(void **state) {
  (void)state;
  for (int c = 0; c < N_CASE; c++) {
    struct bench b;
    open_case(&b, &cases[c], 4);
    struct xf_nnplan *p = plan_case(&b, XF_NN_REF64);
    for (int k = 0; k < LEVELS; k++) check_differences(&b, p, k, cases[c].name);
    xf_nnplan_free(p);
    xf_graph_free(b.g);
  }
}

static void compare(const struct bench *b, const struct xf_nnplan *f, const struct xf_nnplan *d,
                    int node, const char *name, const char *what) {
  const float *got = xf_nnplan_get(f, node, NULL, NULL);
  const double *want = xf_nnplan_get(d, node, NULL, NULL);
  for (uint32_t j = 0; j < n_of(b, node); j++)
    if (!(fabs((double)got[j] - want[j]) <= 2e-5 * fmax(1, fabs(want[j]))))
      fail_msg("%s: %s: number %u is %.9g, double reference %.12g", name, what, j, (double)got[j],
               want[j]);
}

static void test_float_modes(void **state) {
  (void)state;
  const enum xf_nn_mode modes[] = {XF_NN_REF, XF_NN_FAST};
  const uint32_t batch[] = {0, 1, 4, 19};
  for (int c = 0; c < N_CASE; c++)
    for (size_t s = 0; s < 4; s++) {
      struct bench b;
      open_case(&b, &cases[c], batch[s]);
      struct xf_nnplan *d = plan_case(&b, XF_NN_REF64);
      run_case(&b, d, true);
      for (int m = 0; m < 2; m++) {
        struct xf_nnplan *f = plan_case(&b, modes[m]);
        run_case(&b, f, false);
        compare(&b, f, d, b.y, cases[c].name, "output");
        for (int k = 0; k < LEVELS; k++)
          for (int i = 0; i < b.n_x; i++)
            compare(&b, f, d, b.d[k][i], cases[c].name, k ? "second derivative" : "derivative");
        xf_nnplan_free(f);
      }
      xf_nnplan_free(d);
      xf_graph_free(b.g);
    }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_every_op_has_a_case),
      cmocka_unit_test(test_differences),
      cmocka_unit_test(test_float_modes),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
