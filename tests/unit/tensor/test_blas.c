// BLAS starts, says what it is, and gives the same bits from two threads as from one.
#include "tensor/blas.h"

#include "tensor/kern.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
// cmocka wants the four above first
#include <cmocka.h>

static void test_start(void **state) {
  (void)state;
  struct xf_blas_info info;
  struct xf_diag diag;
  xf_diag_init(&diag);
  const enum xf_rc rc = xf_blas_start(&info, &diag);
  if (rc) fail_msg("%s", xf_diag_text(&diag, rc));
  print_message("# %s; core %s; own kernels %s\n", info.config, info.core, info.isa);
  assert_non_null(strstr(info.config, "OpenBLAS"));
  assert_true(info.core[0] != 0 && info.isa[0] != 0);
  assert_int_equal(xf_blas_start(NULL, NULL), XF_OK);
}

static void test_gemv(void **state) {
  (void)state;
  static const float a[] = {1, 2, 3, 4, 5, 6}, x[] = {1, -1, 2};
  float y[2] = {7, 7};
  xf_blas_gemv(y, a, x, 2, 3);
  assert_float_equal(y[0], 5, 0);
  assert_float_equal(y[1], 11, 0);
}

enum { M = 10, N = 200, K = 784, REPEATS = 200 };
struct caller {
  float a[M * K], b[K * N], first[M * N], c[M * N];
  int different;
};

static void *multiply(void *arg) {
  struct caller *t = arg;
  const struct xf_gemm s = {.m = M, .n = N, .k = K, .alpha = 1};
  for (int i = 0; i < REPEATS; i++) {
    xf_kern_get()->gemm(t->c, t->a, t->b, &s);
    t->different += memcmp(t->c, t->first, sizeof t->c) != 0;
  }
  return NULL;
}

static void test_same_bits_from_two_threads(void **state) {
  (void)state;
  static struct caller t[2];
  for (int i = 0; i < 2; i++) {
    for (size_t j = 0; j < M * K; j++)
      t[i].a[j] = (float)((j * 7919 + (size_t)i) % 1000) / 997 - 0.5f;
    for (size_t j = 0; j < K * N; j++) t[i].b[j] = (float)((j * 104729) % 1000) / 991 - 0.5f;
    const struct xf_gemm s = {.m = M, .n = N, .k = K, .alpha = 1};
    xf_kern_get()->gemm(t[i].first, t[i].a, t[i].b, &s);
  }
  pthread_t thread;
  assert_int_equal(pthread_create(&thread, NULL, multiply, &t[0]), 0);
  multiply(&t[1]);
  pthread_join(thread, NULL);
  assert_int_equal(t[0].different + t[1].different, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_start),
      cmocka_unit_test(test_gemv),
      cmocka_unit_test(test_same_bits_from_two_threads),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
