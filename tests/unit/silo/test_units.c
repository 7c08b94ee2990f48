/* Training that is private per unit: what is charged, whose generator, that `alone` is untouched, that noise off repeats. */
#include "priv/grid.h"
#include "silotest.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
// cmocka wants the four above first
#include <cmocka.h>

#define UNITS                                                                                \
  "privacy.unit=record privacy.clip=0.5 local.steps=6 local.sample_rate=0.25 local.batch=4 " \
  "fed.weighting=uniform "
#define NOISE "privacy.noise_multiplier=1.3"

static struct silotest t;

static void seeded(struct xf_silo_config *c) { c->seeded_noise = true; }

/* The answer of silo 0 in round 1. @shape out[n] */
static size_t answer(const char *sets, void (*change)(struct xf_silo_config *), float *out) {
  silotest_init(&t, silotest_table, sets, change);
  silotest_work(&t, 0, 1);
  const size_t n = t.answer.payload.len / sizeof(float);
  assert_true(n > 0 && n <= 64);
  memcpy(out, t.answer.payload.p, t.answer.payload.len);
  return n;
}

static void test_charge(void **state) {
  (void)state;
  float x[64];
  struct xf_grid grid;
  struct xf_odometer o;
  struct xf_odometer_report want;
  (void)answer(UNITS NOISE, NULL, x);
  const struct xf_odometer_charge *c = &t.answer.charge;
  assert_int_equal(xf_grid_init(&grid, 0.5, 1.3, NULL), XF_OK);
  assert_true(c->noise_multiplier == grid.z_used && c->n == 6 && c->rate == 0.25);
  xf_odometer_init(&o);
  assert_int_equal(xf_odometer_add(&o, c, 1), XF_OK);
  assert_int_equal(xf_odometer_get(&want, &o, 1e-5), XF_OK);
  assert_true(t.answer.begin.epsilon == want.replace_one.value);
  assert_true(t.answer.begin.epsilon_zero_out == want.zero_out.value && want.zero_out.value > 0);
  assert_true(t.answer.begin.clip == 0.5 && t.answer.begin.weight == 1);
  silotest_deinit(&t);
}

// a daemon's noise and sample are new each time, the simulator's repeat; without noise both are the plan's
static void test_generators(void **state) {
  (void)state;
  float a[64], b[64];
  size_t n = answer(UNITS NOISE, NULL, a);
  silotest_deinit(&t);
  (void)answer(UNITS NOISE, NULL, b);
  silotest_deinit(&t);
  assert_memory_not_equal(a, b, n * sizeof *a);
  (void)answer(UNITS NOISE, seeded, a);
  silotest_deinit(&t);
  (void)answer(UNITS NOISE, seeded, b);
  silotest_deinit(&t);
  assert_memory_equal(a, b, n * sizeof *a);
  (void)answer(UNITS, NULL, a);
  assert_true(t.answer.charge.noise_multiplier == 0 && t.answer.charge.n == 1);
  assert_true(t.answer.begin.epsilon == 0);
  silotest_deinit(&t);
  (void)answer(UNITS, seeded, b);
  silotest_deinit(&t);
  assert_memory_equal(a, b, n * sizeof *a);
}

// nobody is drawn: there is no loss, so none is announced (a NaN would be refused by the coordinator)
static void test_nobody(void **state) {
  (void)state;
  float x[64];
  (void)answer(UNITS "local.sample_rate=1e-9", NULL, x);
  assert_true(!t.answer.begin.has_loss && t.answer.begin.loss_sum == 0);
  assert_true(t.answer.begin.n_samples > 0);
  silotest_deinit(&t);
  (void)answer(UNITS, NULL, x);
  assert_true(t.answer.begin.has_loss && isfinite(t.answer.begin.loss_sum));
  silotest_deinit(&t);
}

// one step with every unit and no bound in the way: noise of z clip rate / batch on each float, and nothing more
static void test_noise_of_a_step(void **state) {
  (void)state;
  float plain[64], noised[64];
  double sum2 = 0;
  size_t n = 0, count = 0;
  for (uint32_t seed = 1; seed <= 200; seed++) {
    char sets[256];
    for (int noise = 0; noise < 2; noise++) {
      (void)snprintf(sets, sizeof sets,
                     "privacy.unit=record privacy.clip=0.5 local.steps=1 local.sample_rate=1 "
                     "local.batch=4 fed.weighting=uniform seed=%u %s",
                     seed, noise ? NOISE : "");
      n = answer(sets, seeded, noise ? noised : plain);
      silotest_deinit(&t);
    }
    for (size_t i = 0; i < n; i++, count++) sum2 += pow((double)noised[i] - (double)plain[i], 2);
  }
  const double want = 0.1 * 1.3 * 0.5 / 4; /* rate 0.1 */
  assert_true(fabs(sqrt(sum2 / (double)count) / want - 1) < 5 / sqrt(2.0 * (double)count));
}

// `alone` is trained without: with noise it is what it is without
static void test_alone(void **state) {
  (void)state;
  float arm[64];
  silotest_init(&t, silotest_table, UNITS, NULL);
  assert_int_equal(xf_silo_arm_make(t.silo[0], XF_SILO_ALONE, t.base[0], NULL), XF_OK);
  const size_t n = (size_t)xf_silo_params(t.silo[0]);
  memcpy(arm, xf_silo_arm_params(t.silo[0]), n * sizeof *arm);
  silotest_deinit(&t);
  silotest_init(&t, silotest_table, UNITS NOISE, NULL);
  assert_int_equal(xf_silo_arm_make(t.silo[0], XF_SILO_ALONE, t.base[0], NULL), XF_OK);
  assert_memory_equal(arm, xf_silo_arm_params(t.silo[0]), n * sizeof *arm);
  silotest_deinit(&t);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_charge), cmocka_unit_test(test_generators),
      cmocka_unit_test(test_nobody), cmocka_unit_test(test_noise_of_a_step),
      cmocka_unit_test(test_alone),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
