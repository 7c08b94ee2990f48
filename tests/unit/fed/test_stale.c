// Staleness functions and FedBuff's step, on the worked examples of the vectors.
#include "fed/fold.h"
#include "fed/stale.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above first
#include <cmocka.h>

#define TOL 1e-12

static const uint64_t tau[] = {0, 1, 4, 10};

static void check(const struct xf_stale *s, const double want[4]) {
  for (int i = 0; i < 4; i++) assert_true(fabs(xf_stale_get(s, tau[i]) - want[i]) < TOL);
}

static void test_functions(void **state) {
  (void)state;
  check(&(struct xf_stale){.kind = XF_STALE_CONSTANT}, (const double[]){1, 1, 1, 1});
  check(&(struct xf_stale){.kind = XF_STALE_POLYNOMIAL, .a = 0.5},
        (const double[]){1, 0.7071067811865476, 0.4472135954999579, 0.30151134457776363});
  check(&(struct xf_stale){.kind = XF_STALE_INVERSE_SQRT},
        (const double[]){1, 0.7071067811865476, 0.4472135954999579, 0.30151134457776363});
  check(&(struct xf_stale){.kind = XF_STALE_HINGE, .a = 10, .b = 4},
        (const double[]){1, 1, 1, 0.01639344262295082});
  check(&(struct xf_stale){.kind = XF_STALE_INVERSE},
        (const double[]){1, 0.5, 0.2, 0.09090909090909091});
  const struct xf_stale ada = {.kind = XF_STALE_ADASGD, .threshold = 12};
  check(&ada, (const double[]){1, 0.7230200263994838, 0.27327588325319846, 0.039039411893314065});
  assert_true(fabs(xf_stale_get(&ada, 6) - 1.0 / 7) < TOL); // where it meets 1/(1+tau)
}

// Integer weights of the fold: 2^-29 of s at most, never 0.
static void test_weights(void **state) {
  (void)state;
  const struct xf_stale root = {.kind = XF_STALE_INVERSE_SQRT};
  assert_int_equal(xf_stale_weight(&root, 0), XF_STALE_ONE);
  assert_int_equal(xf_stale_weight(&root, 3), XF_STALE_ONE / 2);
  for (uint64_t t = 0; t < 1000; t++)
    assert_true(fabs(xf_stale_weight(&root, t) / (double)XF_STALE_ONE - xf_stale_get(&root, t)) <=
                0x1p-29);
  const struct xf_stale ada = {.kind = XF_STALE_ADASGD, .threshold = 1};
  assert_int_equal(xf_stale_weight(&ada, 1000), 1);
}

// w += eta/K sum s(tau) D, divided by the number of updates and not by the sum of weights.
static void test_fedbuff_step(void **state) {
  (void)state;
  const struct xf_stale root = {.kind = XF_STALE_INVERSE_SQRT};
  static const float a[] = {1, 0}, b[] = {0, 2}, c[] = {-1, 1};
  const float *const delta[] = {a, b, c};
  static const char *const id[] = {"a", "b", "c"};
  static const uint64_t age[] = {0, 1, 3};
  float w[] = {0.5f, 0.5f};
  struct xf_fold_memory memory = {delta, w, w, {NULL}};
  struct xf_fold_member member[3];
  for (size_t k = 0; k < 3; k++)
    member[k] = (struct xf_fold_member){id[k], k, xf_stale_weight(&root, age[k]), NULL};
  const struct xf_fold_shape shape = {.n_shared = 2};
  struct xf_fold_job job = {.shape = &shape,
                            .member = member,
                            .n_member = 3,
                            .divisor = (uint64_t)3 * XF_STALE_ONE,
                            .step = {.kind = XF_SERVER_SGD, .eta = 1, .first = true},
                            .io = xf_fold_memory_io(&memory)};
  struct xf_fold_stats stats;
  assert_int_equal(xf_fold_step(&job, &stats, NULL), XF_OK);
  assert_true(fabs(w[0] - 0.6666666666666666) < 1e-7);
  assert_true(fabs(w[1] - 1.1380711874576983) < 2e-7);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_functions),
                                     cmocka_unit_test(test_weights),
                                     cmocka_unit_test(test_fedbuff_step)};
  return cmocka_run_group_tests_name("stale", tests, NULL, NULL);
}
