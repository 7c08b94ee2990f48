// Small solves by plain loops and larger ones by LAPACK leave no residual; eigenvectors; halves of inverses and of products.
#include "tensor/blas.h"
#include "tensor/kern.h"
#include "tensor/lapack.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
// cmocka wants the four above first
#include <cmocka.h>

enum { MOST = 48, LONG = 70 };

static float noise(size_t i, size_t j) {
  return (float)((i * 7919 + j * 104729 + 13) % 1009) / 1009 - .5f;
}

// X^T X + E of MOST + 3 random rows.
static void definite(double *out, size_t n) {
  for (size_t i = 0; i < n; i++)
    for (size_t j = 0; j < n; j++) {
      double s = i == j;
      for (size_t k = 0; k < MOST + 3; k++) s += (double)noise(k, i) * (double)noise(k, j);
      out[i * n + j] = s;
    }
}

static void test_solve(void **state) {
  (void)state;
  static double g[MOST * MOST];
  static float a[MOST * MOST];
  float b[MOST];
  for (size_t n = 1; n <= MOST; n++) {
    definite(g, n);
    for (size_t i = 0; i < n; i++) {
      b[i] = noise(i, 77);
      for (size_t j = 0; j < n; j++) a[i * n + j] = j < i ? NAN : (float)g[i * n + j];
    }
    assert_int_equal(xf_lapack_sposv(a, b, n), XF_OK);
    for (size_t i = 0; i < n; i++) {
      double s = -(double)noise(i, 77);
      for (size_t j = 0; j < n; j++) s += g[i * n + j] * (double)b[j];
      assert_true(fabs(s) < 2e-5);
    }
  }
  // not definite: small and large; not a number: LAPACK lets it through to the solution
  for (size_t n = 2; n <= MOST; n += MOST - 2)
    for (int nan = 0; nan < 2; nan++) {
      for (size_t i = 0; i < n * n; i++) a[i] = i % (n + 1) == 0;
      memset(b, 0, sizeof b);
      a[n * n - 1] = nan ? NAN : -1;
      const enum xf_rc rc = xf_lapack_sposv(a, b, n);
      assert_true(rc == XF_E_NAN || (rc == XF_OK && nan && isnan(b[n - 1])));
    }
}

static void test_eigen(void **state) {
  (void)state;
  static double g[MOST * MOST], v[MOST * MOST];
  double w[MOST];
  for (size_t n = 1; n <= MOST; n += 47) {
    definite(g, n);
    memcpy(v, g, n * n * sizeof *v);
    assert_int_equal(xf_lapack_dsyev(v, w, n), XF_OK);
    for (size_t k = 0; k < n; k++) {
      if (k) assert_true(w[k] >= w[k - 1]);
      for (size_t i = 0; i < n; i++) {
        double s = 0;
        for (size_t j = 0; j < n; j++) s += g[i * n + j] * v[k * n + j];
        assert_true(fabs(s - w[k] * v[k * n + i]) < 1e-11);
      }
    }
  }
  v[0] = INFINITY;
  assert_int_equal(xf_lapack_dsyev(v, w, MOST), XF_E_NAN);
}

static void test_invert(void **state) {
  (void)state;
  static double g[MOST * MOST], half[MOST * MOST], whole[MOST * MOST];
  struct xf_diag diag;
  xf_diag_init(&diag);
  definite(g, MOST);
  memcpy(whole, g, sizeof g);
  for (size_t i = 0; i < MOST; i++)
    for (size_t j = 0; j < MOST; j++) half[i * MOST + j] = j < i ? 1e9 : g[i * MOST + j];
  assert_int_equal(xf_lapack_invert(whole, MOST, &diag), XF_OK);
  assert_int_equal(xf_lapack_invert_half(half, MOST, &diag), XF_OK);
  for (size_t i = 0; i < MOST; i++)
    for (size_t j = 0; j < MOST; j++) {
      double s = -(double)(i == j);
      for (size_t k = 0; k < MOST; k++) s += g[i * MOST + k] * whole[k * MOST + j];
      assert_true(fabs(s) < 1e-10);
      assert_true(whole[i * MOST + j] == whole[j * MOST + i]);
      assert_true(half[i * MOST + j] == (j < i ? 1e9 : whole[i * MOST + j]));
    }
}

// The upper half is the plain loops' product; nothing else is written.
static void test_syrk(void **state) {
  (void)state;
  static float a[MOST * LONG], c[MOST * MOST], want[MOST * MOST];
  for (size_t i = 0; i < MOST * LONG; i++) a[i] = noise(i, 3);
  for (int ta = 0; ta < 2; ta++)
    for (int add = 0; add < 2; add++) {
      const struct xf_gemm s = {
          .m = MOST, .n = MOST, .k = LONG, .ta = ta, .tb = !ta, .alpha = 1, .beta = add};
      for (size_t i = 0; i < MOST * MOST; i++)
        want[i] = c[i] = add || i / MOST > i % MOST ? noise(i, 5) : NAN;
      xf_blas_syrk(c, a, MOST, LONG, ta, (float)add);
      xf_kern_ref.gemm(want, a, a, &s);
      for (size_t i = 0; i < MOST; i++)
        for (size_t j = 0; j < MOST; j++) {
          if (j < i) assert_true(c[i * MOST + j] == noise(i * MOST + j, 5));
          else assert_true(fabs((double)c[i * MOST + j] - (double)want[i * MOST + j]) < 1e-5);
        }
    }
  for (int ta = 0; ta < 2; ta++) { /* an empty product is zeros, and added nothing */
    for (size_t i = 0; i < 9; i++) c[i] = (float)(i + 1);
    xf_blas_syrk(c, a, 3, 0, ta, 1);
    for (size_t i = 0; i < 9; i++) assert_true(c[i] == (float)(i + 1));
    c[1] = NAN;
    xf_blas_syrk(c, a, 3, 0, ta, 0);
    for (size_t i = 0; i < 9; i++) assert_true(c[i] == (i / 3 > i % 3 ? (float)(i + 1) : 0));
  }
  c[0] = 7;
  xf_blas_syrk(c, a, 0, LONG, false, 0);
  assert_true(c[0] == 7);
}

int main(void) {
  if (xf_blas_start(NULL, NULL)) return 1;
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_solve),
      cmocka_unit_test(test_eigen),
      cmocka_unit_test(test_invert),
      cmocka_unit_test(test_syrk),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
