// modules: nn
// The op table tested from one list: every operation in every mode against the double reference, its
// derivative and the derivative of its derivative against central differences, and an empty batch.
// A new operation is a new line in the array of a file beside this one; test_every_op_has_a_case fails until it has one.
#include "ops.h"

#include "base/rng.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
// cmocka wants the four above first
#include <cmocka.h>

static const struct op_case *const tables[] = {basic_cases, image_cases, sequence_cases};
enum { N_TABLE = sizeof tables / sizeof *tables, CASES_MAX = 512 };
static const struct op_case *cases[CASES_MAX];
static int n_case;

static void list_cases(void) {
  for (int t = 0; t < N_TABLE; t++)
    for (const struct op_case *c = tables[t]; c->name && n_case < CASES_MAX; c++)
      cases[n_case++] = c;
}

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
  xf_rng_init(&rng, 11, c->op * 64 + (uint64_t)c->name[0]);
  int all[2 * X_MAX + 1] = {[2 * X_MAX] = b->w};
  for (int i = 0; i < X_MAX; i++) {
    all[i] = b->x[i];
    all[X_MAX + i] = b->v[i];
  }
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
    for (int c = 0; c < n_case; c++) has = has || (int)cases[c]->op == op;
    if (!has) fail_msg("operation %s has no case", xf_op_info((enum xf_op)op)->name);
    // a rule for everything that a derivative may contain: the set is closed
    assert_non_null(xf_op_info((enum xf_op)op)->shape);
    assert_non_null(xf_op_info((enum xf_op)op)->vjp);
    assert_int_equal(xf_op_info((enum xf_op)op)->run_f == NULL,
                     xf_op_info((enum xf_op)op)->run_d == NULL);
  }
  for (int c = 0; c < n_case; c++) { // and each case contains the operation it is there for
    if (cases[c]->op == XF_N_OP) continue;
    struct bench b;
    open_case(&b, cases[c], 4);
    bool found = false;
    for (int i = 0; i < b.g->n; i++) found = found || b.g->node[i].op == cases[c]->op;
    if (!found)
      fail_msg("case %s does not contain %s", cases[c]->name, xf_op_info(cases[c]->op)->name);
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
  for (int c = 0; c < n_case; c++) {
    struct bench b;
    open_case(&b, cases[c], 4);
    struct xf_nnplan *p = plan_case(&b, XF_NN_REF64);
    for (int k = 0; k < LEVELS; k++) check_differences(&b, p, k, cases[c]->name);
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
  for (int c = 0; c < n_case; c++)
    for (size_t s = 0; s < 4; s++) {
      struct bench b;
      open_case(&b, cases[c], batch[s]);
      struct xf_nnplan *d = plan_case(&b, XF_NN_REF64);
      run_case(&b, d, true);
      for (int m = 0; m < 2; m++) {
        struct xf_nnplan *f = plan_case(&b, modes[m]);
        run_case(&b, f, false);
        compare(&b, f, d, b.y, cases[c]->name, "output");
        for (int k = 0; k < LEVELS; k++)
          for (int i = 0; i < b.n_x; i++)
            compare(&b, f, d, b.d[k][i], cases[c]->name, k ? "second derivative" : "derivative");
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
  list_cases();
  return cmocka_run_group_tests(tests, NULL, NULL);
}
