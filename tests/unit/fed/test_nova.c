/* FedNova's norms and a round of it: the worked examples of the literature. */
#include "fed/nova.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above first
#include <cmocka.h>

static void near(double got, double want, double tol) {
  if (!(fabs(got - want) <= tol)) fail_msg("%.17g, not %.17g", got, want);
}

/* With momentum gradient t moves the parameters by 1 + rho + .. + rho^(steps after it). */
static double by_steps(uint64_t steps, double momentum) {
  double sum = 0;
  for (uint64_t t = 0; t < steps; t++)
    for (uint64_t u = 0; u < steps - t; u++) sum += pow(momentum, (double)u);
  return sum;
}

// vector: fednova_momentum_norm
static void test_norms(void **state) {
  (void)state;
  static const uint64_t tau[] = {1, 2, 5, 10};
  static const double want[] = {1.0, 2.900000000000001, 13.1441, 41.381059609};
  for (int i = 0; i < 4; i++) near(xf_nova_norm(tau[i], 0.9, 0), want[i], 1e-10);
  for (uint64_t t = 1; t < 40; t++) {
    assert_true(xf_nova_norm(t, 0, 0) == (double)t);
    near(xf_nova_norm(t, 0.7, 0), by_steps(t, 0.7), 1e-10);
  }
}

/* A proximal term draws back what was moved: gradient t enters with (1 - decay)^(steps after it). */
static void test_proximal(void **state) {
  (void)state;
  for (uint64_t t = 1; t < 40; t++) {
    double sum = 0;
    for (uint64_t u = 0; u < t; u++) sum += pow(1 - 0.05, (double)u);
    near(xf_nova_norm(t, 0, 0.05), sum, 1e-10);
  }
}

// vector: fednova_round
static void test_round(void **state) {
  (void)state;
  static const double a[] = {1, 3}, b[] = {2, -1}, p[] = {.4, .6}, y[] = {.38, -.83193},
                      d[] = {-1.9, 1.66386};
  static const uint64_t tau[] = {2, 5};
  double norm = 0, mean = 0;
  for (int k = 0; k < 2; k++) {
    double x = 0;
    for (uint64_t t = 0; t < tau[k]; t++) x -= .1 * a[k] * (x - b[k]);
    near(x, y[k], 1e-12);
    const double sent = x / xf_nova_norm(tau[k], 0, 0); /* D / |a|, D = y - 0 */
    near(-sent / .1, d[k], 1e-12);
    norm += p[k] * xf_nova_norm(tau[k], 0, 0);
    mean += p[k] * sent;
  }
  near(norm, 3.8, 1e-12);
  near(norm * mean, -.09056007999999999, 1e-12);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_norms), cmocka_unit_test(test_proximal),
                                     cmocka_unit_test(test_round)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
