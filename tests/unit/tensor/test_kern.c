// Fast kernels against the plain loops, on every instruction set this CPU has; their accuracy; the same bits.
#include "tensor/kern.h"

#include "base/rng.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
// cmocka wants the four above first
#include <cmocka.h>

enum { MAX = 1200, CAP = 4096 };
static const size_t sizes[] = {0, 1, 3, 7, 15, 16, 17, 33, 64, 100, 1000};
enum { N_SIZE = sizeof sizes / sizeof *sizes };

static struct xf_rng rng;
static void uniform(float *x, double *y, size_t n, double lo, double hi) {
  for (size_t i = 0; i < n; i++) {
    x[i] = (float)(lo + (hi - lo) * xf_rng_double(&rng));
    y[i] = (double)x[i];
  }
}

static void close_to(const float *got, const double *want, size_t n, double tol, const char *what) {
  for (size_t i = 0; i < n; i++)
    if (!(fabs((double)got[i] - want[i]) <= tol * fmax(1, fabs(want[i]))))
      fail_msg("%s[%zu] = %.9g, reference %.17g (n %zu)", what, i, (double)got[i], want[i], n);
}

// --- elementwise

static float a[CAP], b[CAP], got[CAP], first[CAP];
static double a64[CAP], b64[CAP], want[CAP];

#define UNARY(name, lo, hi)                                    \
  static void test_##name(void **state) {                      \
    (void)state;                                               \
    for (size_t s = 0; s < N_SIZE; s++) {                      \
      const size_t n = sizes[s];                               \
      uniform(a, a64, n, lo, hi);                              \
      xf_kern_ref64.name(want, a64, n);                        \
      xf_kern_ref.name(got, a, n);                             \
      close_to(got, want, n, 2e-6, #name " (float loop)");     \
      const struct xf_kern *k;                                 \
      for (size_t t = 0; (k = xf_kern_next(t)) != NULL; t++) { \
        memcpy(got, a, n * sizeof *a);                         \
        k->name(got, got, n); /* in place */                   \
        close_to(got, want, n, 2e-6, #name);                   \
        if (t == 0) memcpy(first, got, n * sizeof *got);       \
        assert_memory_equal(first, got, n * sizeof *got);      \
      }                                                        \
    }                                                          \
  }
#define BINARY(name, lo, hi)                                   \
  static void test_##name(void **state) {                      \
    (void)state;                                               \
    for (size_t s = 0; s < N_SIZE; s++) {                      \
      const size_t n = sizes[s];                               \
      uniform(a, a64, n, -4, 4);                               \
      uniform(b, b64, n, lo, hi);                              \
      xf_kern_ref64.name(want, a64, b64, n);                   \
      xf_kern_ref.name(got, a, b, n);                          \
      close_to(got, want, n, 2e-6, #name " (float loop)");     \
      const struct xf_kern *k;                                 \
      for (size_t t = 0; (k = xf_kern_next(t)) != NULL; t++) { \
        memcpy(got, a, n * sizeof *a);                         \
        k->name(got, got, b, n); /* in place */                \
        close_to(got, want, n, 2e-6, #name);                   \
        if (t == 0) memcpy(first, got, n * sizeof *got);       \
        assert_memory_equal(first, got, n * sizeof *got);      \
      }                                                        \
    }                                                          \
  }
UNARY(exp, -20, 5)
UNARY(log, 1e-6, 100)
UNARY(sqrt, 0, 100)
UNARY(softplus, -30, 30)
UNARY(step, -1, 1)
UNARY(relu, -1, 1)
UNARY(tanh, -5, 5)
UNARY(sigmoid, -30, 30)
BINARY(add, -4, 4)
BINARY(sub, -4, 4)
BINARY(mul, -4, 4)
BINARY(div, 0.5, 4)
BINARY(relu_grad, -1, 1)
BINARY(tanh_grad, -1, 1)
BINARY(sigmoid_grad, 0, 1)
BINARY(bce, 0, 1)

// --- accuracy of our own exp, log, tanh over their whole range

static double ulps(float got_x, double want_x) {
  const float w = (float)want_x;
  if (isinf(w) || w == 0 || fabsf(w) < 1.2e-38f)
    return fabs((double)got_x - (double)w) <= 1.2e-38 || got_x == w ? 0 : 99;
  const double ulp = (double)(nextafterf(fabsf(w), INFINITY) - fabsf(w));
  return fabs((double)got_x - want_x) / ulp;
}

#define WORST(name, formula, lo, hi, most)                                                       \
  do {                                                                                           \
    double worst = 0, at = 0;                                                                    \
    for (int block = 0; block < 50; block++) {                                                   \
      for (size_t i = 0; i < MAX; i++)                                                           \
        a[i] = (float)((lo) + ((hi) - (lo)) * (block * MAX + (double)i) / (50.0 * MAX));         \
      xf_kern_get()->name(got, a, MAX);                                                          \
      for (size_t i = 0; i < MAX; i++) {                                                         \
        const double x = (double)a[i], u = ulps(got[i], formula);                                \
        if (u > worst) worst = u, at = x;                                                        \
      }                                                                                          \
    }                                                                                            \
    print_message("# " #name " in [%g, %g]: worst %.2f ulp at %g\n", (double)(lo), (double)(hi), \
                  worst, at);                                                                    \
    assert_true(worst <= (most));                                                                \
  } while (0)

static void test_accuracy(void **state) {
  (void)state;
  WORST(exp, exp(x), -87, 88.7, 1.5);
  WORST(exp, exp(x), -1, 1, 1.5);
  WORST(log, log(x), 1e-3, 4, 2.5);
  WORST(log, log(x), 1, 1e9, 2.5);
  WORST(tanh, tanh(x), -1, 1, 2.5);
  WORST(tanh, tanh(x), -12, 12, 2.5);
  WORST(sigmoid, 1 / (1 + exp(-x)), -80, 80, 3);
  WORST(softplus, fmax(x, 0) + log1p(exp(-fabs(x))), -80, 80, 4);
}

static void test_special_values(void **state) {
  (void)state;
  const float in[] = {NAN, INFINITY, -INFINITY, 0, -0.0f, -1, 1e-42f, 200, -200};
  enum { N = sizeof in / sizeof *in };
  const struct xf_kern *k;
  for (size_t t = 0; (k = xf_kern_next(t)) != NULL; t++) {
    float y[N];
    k->exp(y, in, N);
    assert_true(isnan(y[0]) && isinf(y[1]) && y[2] == 0 && y[3] == 1 && isinf(y[7]) && y[8] == 0);
    k->log(y, in, N);
    assert_true(isnan(y[0]) && isinf(y[1]) && isnan(y[2]) && isnan(y[5]));
    assert_true(isinf(y[3]) && y[3] < 0 && isinf(y[4]) && y[4] < 0);
    assert_true(fabsf(y[6] - logf(1e-42f)) < 1e-4f);
    k->tanh(y, in, N);
    assert_true(isnan(y[0]) && y[1] == 1 && y[2] == -1 && y[3] == 0 && y[7] == 1 && y[8] == -1);
    k->sigmoid(y, in, N);
    assert_true(isnan(y[0]) && y[1] == 1 && y[2] == 0 && y[7] == 1 && y[8] == 0);
    k->softplus(y, in, N);
    assert_true(isnan(y[0]) && isinf(y[1]) && y[2] == 0 && y[7] == 200 && y[8] == 0);
    k->relu(y, in, N);
    assert_true(isnan(y[0]));
  }
}

// --- rows and reductions

static void test_rows(void **state) {
  (void)state;
  const size_t shape[][2] = {{0, 3}, {3, 0}, {1, 1}, {5, 1}, {1, 40}, {7, 16}, {9, 37}, {30, 100}};
  for (size_t s = 0; s < sizeof shape / sizeof *shape; s++) {
    const size_t R = shape[s][0], C = shape[s][1], n = R * C;
    uniform(a, a64, n, -2, 2);
    uniform(b, b64, n + R + C, -2, 2);
    const struct xf_kern *k;
    float sum0 = 0;
    for (size_t t = 0; (k = xf_kern_next(t)) != NULL; t++) {
      float sum = k->sum(a, n);
      double sum64 = xf_kern_ref64.sum(a64, n);
      close_to(&sum, &sum64, 1, 1e-5, "sum");
      if (t == 0) sum0 = sum;
      assert_memory_equal(&sum0, &sum, sizeof sum);
      sum = k->dot(a, b, n);
      sum64 = xf_kern_ref64.dot(a64, b64, n);
      close_to(&sum, &sum64, 1, 1e-5, "dot");
      const struct {
        const char *name;
        void (*f)(float *, const float *, const float *, size_t, size_t);
        void (*d)(double *, const double *, const double *, size_t, size_t);
        size_t n;
      } op[] = {{"row_dot", k->row_dot, xf_kern_ref64.row_dot, R},
                {"row_scale", k->row_scale, xf_kern_ref64.row_scale, n},
                {"bias_add", k->bias_add, xf_kern_ref64.bias_add, n}};
      for (size_t i = 0; i < 3; i++) {
        op[i].f(got, a, b, R, C);
        op[i].d(want, a64, b64, R, C);
        close_to(got, want, op[i].n, 1e-5, op[i].name);
      }
      k->sum_rows(got, a, R, C);
      xf_kern_ref64.sum_rows(want, a64, R, C);
      close_to(got, want, C, 1e-5, "sum_rows");
      k->sum_cols(got, a, R, C);
      xf_kern_ref64.sum_cols(want, a64, R, C);
      close_to(got, want, R, 1e-5, "sum_cols");
    }
  }
}

// every column is added up in the order of the rows, whatever the width of a register: the bits of a plain loop
static void test_sum_rows_order(void **state) {
  (void)state;
  enum { MOST_R = 9, MOST_C = 150 };
  static float x[MOST_R * MOST_C], plain[MOST_C], sum[MOST_C + 1];
  for (size_t i = 0; i < MOST_R * MOST_C; i++)
    x[i] = (float)((double)(i * 2654435761u % 1000003) / 1000 - 500) * (i % 7 ? 1.0f : 1e-4f);
  for (size_t R = 0; R <= MOST_R; R++)
    for (size_t C = 1; C <= MOST_C; C++) {
      for (size_t c = 0; c < C; c++) {
        plain[c] = 0;
        for (size_t r = 0; r < R; r++) plain[c] += x[r * C + c];
      }
      const struct xf_kern *k;
      for (size_t t = 0; (k = xf_kern_next(t)) != NULL; t++) {
        sum[C] = 7;
        k->sum_rows(sum, x, R, C);
        assert_memory_equal(sum, plain, C * sizeof *sum);
        assert_true(sum[C] == 7);
      }
    }
}

static void test_gather_scatter(void **state) {
  (void)state;
  enum { ROWS = 20, N = 50 };
  const size_t cols[] = {1, 5, 16, 33};
  for (size_t s = 0; s < 4; s++) {
    const size_t C = cols[s];
    int32_t ids[N];
    for (size_t i = 0; i < N; i++) ids[i] = (int32_t)xf_rng_below(&rng, ROWS);
    uniform(a, a64, ROWS * C, -1, 1);
    uniform(b, b64, N * C, -1, 1);
    const struct xf_kern *k;
    for (size_t t = 0; (k = xf_kern_next(t)) != NULL; t++) {
      k->gather(got, a, ids, N, C);
      xf_kern_ref64.gather(want, a64, ids, N, C);
      close_to(got, want, N * C, 0, "gather");
      memcpy(got, a, ROWS * C * sizeof *a);
      memcpy(want, a64, ROWS * C * sizeof *a64);
      k->scatter_add(got, ids, b, N, C);
      xf_kern_ref64.scatter_add(want, ids, b64, N, C);
      close_to(got, want, ROWS * C, 1e-6, "scatter_add");
    }
  }
}

static void test_softmax(void **state) {
  (void)state;
  enum { R = 9 };
  const size_t cols[] = {1, 2, 10, 33};
  for (size_t s = 0; s < 4; s++) {
    const size_t C = cols[s];
    int32_t t[R];
    float loss[R], g[R];
    double loss64[R], g64[R];
    for (size_t r = 0; r < R; r++) t[r] = (int32_t)xf_rng_below(&rng, (uint32_t)C);
    uniform(a, a64, R * C, -30, 30);
    uniform(g, g64, R, -1, 1);
    xf_kern_ref64.softmax_ce(loss64, want, a64, t, R, C);
    const struct xf_kern *k;
    for (size_t i = 0; (k = xf_kern_next(i)) != NULL; i++) {
      k->softmax_ce(loss, got, a, t, R, C);
      close_to(loss, loss64, R, 4e-6, "softmax_ce");
      close_to(got, want, R * C, 1e-6, "softmax_ce p");
      k->softmax(b, a, R, C);
      assert_memory_equal(b, got, R * C * sizeof *b);
      k->xent_grad(b, got, t, g, R, C);
      xf_kern_ref64.xent_grad(b64, want, t, g64, R, C);
      close_to(b, b64, R * C, 1e-6, "xent_grad");
    }
  }
}

static void test_gemm(void **state) {
  (void)state;
  const size_t dim[][3] = {{0, 3, 2}, {3, 0, 2},    {3, 4, 0},   {1, 1, 1},
                           {2, 3, 4}, {10, 20, 30}, {17, 1, 33}, {1, 19, 8}};
  for (size_t s = 0; s < sizeof dim / sizeof *dim; s++)
    for (int v = 0; v < 8; v++) {
      const struct xf_gemm g = {.m = dim[s][0],
                                .n = dim[s][1],
                                .k = dim[s][2],
                                .ta = v & 1,
                                .tb = v & 2,
                                .alpha = v & 4 ? -0.5 : 1,
                                .beta = v & 4 ? 2 : 0};
      uniform(a, a64, g.m * g.k, -1, 1);
      uniform(b, b64, g.k * g.n, -1, 1);
      for (size_t i = 0; i < g.m * g.n; i++) { // beta 0 must not read c
        got[i] = g.beta == 0 ? NAN : 1;
        first[i] = got[i];
        want[i] = (double)got[i];
      }
      xf_kern_ref64.gemm(want, a64, b64, &g);
      xf_kern_get()->gemm(got, a, b, &g);
      xf_kern_ref.gemm(first, a, b, &g);
      close_to(got, want, g.m * g.n, 1e-5, "gemm");
      close_to(first, want, g.m * g.n, 1e-5, "gemm (float loop)");
    }
}

static void test_scalar_arguments(void **state) {
  (void)state;
  const struct xf_kern *k;
  for (size_t t = 0; (k = xf_kern_next(t)) != NULL; t++)
    for (size_t s = 0; s < N_SIZE; s++) {
      const size_t n = sizes[s];
      uniform(a, a64, n, -1, 1);
      uniform(b, b64, n, -1, 1);
      k->scale(got, a, 3, n);
      xf_kern_ref64.scale(want, a64, 3, n);
      close_to(got, want, n, 1e-6, "scale");
      k->axpy(b, -2, a, n);
      xf_kern_ref64.axpy(b64, -2, a64, n);
      close_to(b, b64, n, 1e-6, "axpy");
      k->fill(got, 7, n);
      for (size_t i = 0; i < n; i++) assert_true(got[i] == 7);
    }
}

// --- optimiser kernels: fast = loop, idle = the same with zero gradients, bit for bit

static const float beta[2] = {0.9f, 0.999f};

static void test_optimiser_kernels(void **state) {
  (void)state;
  enum { N = 37 };
  const double beta64[2] = {(double)beta[0], (double)beta[1]};
  const struct xf_kern *k;
  for (size_t t = 0; (k = xf_kern_next(t)) != NULL; t++)
    for (int nesterov = 0; nesterov < 2; nesterov++) {
      float p[N], m[N] = {0}, v[N] = {0}, q[N], buf[N] = {0}, g[N];
      double p64[N], m64[N] = {0}, v64[N] = {0}, q64[N], buf64[N] = {0}, g64[N];
      uniform(p, p64, N, -1, 1);
      memcpy(q, p, sizeof p);
      memcpy(q64, p64, sizeof p64);
      for (int s = 0; s < 5; s++) {
        uniform(g, g64, N, -1, 1);
        k->adam(p, m, v, g, beta, 0.01f, 1e-8f, N);
        xf_kern_ref64.adam(p64, m64, v64, g64, beta64, (double)0.01f, (double)1e-8f, N);
        k->momentum(q, buf, g, 0.1f, 0.9f, nesterov, N);
        xf_kern_ref64.momentum(q64, buf64, g64, (double)0.1f, (double)0.9f, nesterov, N);
        k->sgd(q, g, 0.5f, N);
        xf_kern_ref64.sgd(q64, g64, 0.5, N);
      }
      close_to(p, p64, N, 1e-5, "adam p");
      close_to(m, m64, N, 1e-5, "adam m");
      close_to(v, v64, N, 1e-5, "adam v");
      close_to(q, q64, N, 1e-5, "momentum p");
      close_to(buf, buf64, N, 1e-5, "momentum buf");
    }
}

static void test_idle_is_exact(void **state) {
  (void)state;
  enum { N = 37, STEPS = 3000 };
  static float alpha[STEPS], eps[STEPS];
  const float zero[N] = {0};
  for (int s = 0; s < STEPS; s++) { // from step 2 on, where the bias correction still grows
    const double c2 = sqrt(1 - pow((double)beta[1], s + 2));
    alpha[s] = (float)(0.01 * c2 / (1 - pow((double)beta[0], s + 2)));
    eps[s] = (float)(1e-8 * c2);
  }
  const size_t steps[] = {1, 2, 15, 16, 17, 100, 400, STEPS};
  const struct xf_kern *k;
  for (size_t t = 0; (k = xf_kern_next(t)) != NULL; t++)
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
      for (int nesterov = 0; nesterov < 2; nesterov++) {
        float p[2][N], m[2][N], v[2][N], q[2][N], buf[2][N];
        uniform(p[0], a64, N, -1, 1);
        p[0][3] = 1e-5f;
        uniform(m[0], a64, N, -1e-2, 1e-2);
        uniform(v[0], a64, N, 1e-8, 1e-3);
        memcpy(p[1], p[0], sizeof p[0]);
        memcpy(m[1], m[0], sizeof p[0]);
        memcpy(v[1], v[0], sizeof p[0]);
        memcpy(q, p, sizeof p);
        memcpy(buf, m, sizeof m);
        for (size_t s = 0; s < steps[i]; s++) {
          k->adam(p[0], m[0], v[0], zero, beta, alpha[s], eps[s], N);
          k->momentum(q[0], buf[0], zero, 0.1f, 0.9f, nesterov, N);
        }
        k->adam_idle(p[1], m[1], v[1], beta, alpha, eps, steps[i], N);
        k->momentum_idle(q[1], buf[1], 0.1f, 0.9f, nesterov, steps[i], N);
        assert_memory_equal(p[0], p[1], sizeof p[0]);
        assert_memory_equal(m[0], m[1], sizeof m[0]);
        assert_memory_equal(v[0], v[1], sizeof v[0]);
        assert_memory_equal(q[0], q[1], sizeof q[0]);
        assert_memory_equal(buf[0], buf[1], sizeof buf[0]);
      }
}

// vectors: adam_3_steps, sgd_momentum_3_steps, in double and float
static void test_optimiser_vectors(void **state) {
  (void)state;
  const double g[3][2] = {{0.1, -0.2}, {0.3, 0.4}, {-0.5, 0.0}};
  const double adam[3][2] = {{0.900000009999999, -1.9000000049999997},
                             {0.8082219022055899, -1.9366103565460366},
                             {0.8243133320957833, -1.9649102641979637}};
  const double momentum[2][3][2] = {{{0.99, -1.98}, {0.951, -2.002}, {0.9659, -2.0218}},
                                    {{0.981, -1.962}, {0.9159, -2.0218}, {0.97931, -2.03962}}};
  double p[2] = {1, -2}, m[2] = {0}, v[2] = {0};
  float pf[2] = {1, -2}, mf[2] = {0}, vf[2] = {0}, gf[2];
  for (int t = 1; t <= 3; t++) {
    const double c2 = sqrt(1 - pow(0.999, t)), al = 0.1 * c2 / (1 - pow(0.9, t)), ep = 1e-8 * c2;
    xf_kern_ref64.adam(p, m, v, g[t - 1], (const double[2]){0.9, 0.999}, al, ep, 2);
    gf[0] = (float)g[t - 1][0], gf[1] = (float)g[t - 1][1];
    xf_kern_get()->adam(pf, mf, vf, gf, beta, (float)al, (float)ep, 2);
    for (int i = 0; i < 2; i++) assert_true(fabs(p[i] - adam[t - 1][i]) < 1e-12);
    close_to(pf, adam[t - 1], 2, 1e-4, "adam vector");
  }
  assert_true(fabs(m[0] - -0.014899999999999997) < 1e-12 &&
              fabs(v[1] - 0.00019976004000000022) < 1e-12);
  for (int nesterov = 0; nesterov < 2; nesterov++) {
    double q[2] = {1, -2}, buf[2] = {0};
    for (int t = 0; t < 3; t++) {
      xf_kern_ref64.momentum(q, buf, g[t], 0.1, 0.9, nesterov, 2);
      for (int i = 0; i < 2; i++) assert_true(fabs(q[i] - momentum[nesterov][t][i]) < 1e-12);
    }
  }
}

int main(void) {
  xf_rng_init(&rng, 7, 0);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_add),
      cmocka_unit_test(test_sub),
      cmocka_unit_test(test_mul),
      cmocka_unit_test(test_div),
      cmocka_unit_test(test_exp),
      cmocka_unit_test(test_log),
      cmocka_unit_test(test_sqrt),
      cmocka_unit_test(test_softplus),
      cmocka_unit_test(test_step),
      cmocka_unit_test(test_relu),
      cmocka_unit_test(test_tanh),
      cmocka_unit_test(test_sigmoid),
      cmocka_unit_test(test_relu_grad),
      cmocka_unit_test(test_tanh_grad),
      cmocka_unit_test(test_sigmoid_grad),
      cmocka_unit_test(test_bce),
      cmocka_unit_test(test_accuracy),
      cmocka_unit_test(test_special_values),
      cmocka_unit_test(test_sum_rows_order),
      cmocka_unit_test(test_rows),
      cmocka_unit_test(test_gather_scatter),
      cmocka_unit_test(test_softmax),
      cmocka_unit_test(test_gemm),
      cmocka_unit_test(test_scalar_arguments),
      cmocka_unit_test(test_optimiser_kernels),
      cmocka_unit_test(test_idle_is_exact),
      cmocka_unit_test(test_optimiser_vectors),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
