/* A noised answer: on its grid, charged with what was used, repeatable only for the simulator. */
#include "priv/grid.h"
#include "silotest.h"
#include "wire/codec.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
// cmocka wants the four above first
#include <cmocka.h>

static const char noisy[] = "privacy.clip=0.5 privacy.noise_multiplier=1.3 privacy.delta=1e-5";

static struct silotest t;

static void seeded(struct xf_silo_config *c) { c->seeded_noise = true; }

static void test_grid_and_charge(void **state) {
  (void)state;
  struct xf_grid grid;
  silotest_init(&t, silotest_mf, noisy, NULL);
  silotest_work(&t, 0, 1);
  assert_int_equal(xf_grid_init(&grid, 0.5, 1.3, NULL), XF_OK);
  assert_true(t.answer.charge.noise_multiplier >= 1.3 &&
              t.answer.charge.noise_multiplier == grid.z_used);
  assert_true(t.answer.begin.noise_multiplier == grid.z_used && t.answer.begin.clip == 0.5);
  const float *p = (const float *)(const void *)t.answer.payload.p;
  const size_t n = t.answer.payload.len / sizeof(float);
  double sum = 0;
  for (size_t i = 0; i < n; i++) {
    const double q = ldexp((double)p[i], grid.f);
    assert_true(q == rint(q) && fabs(q) <= XF_GRID_SATURATE);
    sum += (double)p[i] * (double)p[i];
  }
  /* 24 coordinates of deviation 0.65: far from a bare update of length 0.5 and from nothing. */
  assert_true(sqrt(sum / (double)n) > 0.3 && sqrt(sum / (double)n) < 1.3);
  silotest_deinit(&t);
}

static void test_epsilon(void **state) {
  (void)state;
  silotest_init(&t, silotest_mf, noisy, NULL);
  struct xf_silo_task task = silotest_task(&t, 0, 5);
  const struct xf_odometer_charge before = {1.7, 4, 0};
  assert_int_equal(xf_odometer_add(&task.spent, &before, 1), XF_OK);
  const struct xf_odometer spent = task.spent;
  assert_int_equal(xf_silo_work(t.silo[0], &task, &t.answer, NULL), XF_OK);
  struct xf_odometer after = spent;
  struct xf_odometer_report want;
  const struct xf_odometer_charge c = t.answer.charge;
  assert_int_equal(xf_odometer_add(&after, &c, 1), XF_OK);
  assert_int_equal(xf_odometer_get(&want, &after, 1e-5), XF_OK);
  assert_true(t.answer.begin.epsilon == want.replace_one.value);
  assert_true(t.answer.begin.epsilon_zero_out == want.zero_out.value);
  assert_true(want.replace_one.value > want.zero_out.value && want.zero_out.value > 0);
  assert_memory_equal(&task.spent, &spent, sizeof spent); /* charging is the caller's */
  silotest_deinit(&t);
}

/* A silo that once released without noise has no finite epsilon: it claims none, and the message can be sent. */
static void test_no_claim_after_a_bare_release(void **state) {
  (void)state;
  struct xf_buf out;
  silotest_init(&t, silotest_mf, noisy, NULL);
  struct xf_silo_task task = silotest_task(&t, 0, 5);
  const struct xf_odometer_charge bare = {0, 1, 0};
  assert_int_equal(xf_odometer_add(&task.spent, &bare, 1), XF_OK);
  assert_int_equal(xf_silo_work(t.silo[0], &task, &t.answer, NULL), XF_OK);
  assert_true(t.answer.charge.noise_multiplier >= 1.3); /* what is charged stays what was used */
  assert_true(t.answer.begin.epsilon == 0 && t.answer.begin.epsilon_zero_out == 0 &&
              t.answer.begin.noise_multiplier == 0);
  const struct xf_msg msg = {.type = XF_MSG_UPDATE_BEGIN, .update_begin = t.answer.begin};
  xf_buf_init(&out, 4096);
  assert_int_equal(xf_msg_encode(&out, &msg), XF_OK);
  xf_buf_deinit(&out);
  silotest_deinit(&t);
}

/* The payload of silo i in a round. */
static void answer_of(float *out, size_t i, uint64_t round,
                      void (*change)(struct xf_silo_config *c)) {
  silotest_init(&t, silotest_mf, noisy, change);
  silotest_work(&t, i, round);
  memcpy(out, t.answer.payload.p, t.answer.payload.len);
  silotest_deinit(&t);
}

static void test_seeded(void **state) {
  (void)state;
  enum { N = 24 };
  float a[N], b[N];
  answer_of(a, 0, 1, seeded);
  answer_of(b, 0, 1, seeded);
  assert_memory_equal(a, b, sizeof a);
  answer_of(b, 0, 2, seeded);
  assert_memory_not_equal(a, b, sizeof a);
  answer_of(b, 1, 1, seeded);
  assert_memory_not_equal(a, b, sizeof a);
}

static void test_unseeded(void **state) {
  (void)state;
  enum { N = 24 };
  float a[N], b[N];
  answer_of(a, 0, 1, NULL);
  answer_of(b, 0, 1, NULL);
  assert_memory_not_equal(a, b, sizeof a);
  /* One silo asked twice draws twice: the same noise never covers two answers. */
  silotest_init(&t, silotest_mf, noisy, NULL);
  silotest_work(&t, 0, 1);
  memcpy(a, t.answer.payload.p, sizeof a);
  silotest_work(&t, 0, 1);
  assert_memory_not_equal(a, t.answer.payload.p, sizeof a);
  silotest_deinit(&t);
}

/* Noise goes on what leaves only: the tentative state is what training made. */
static void test_personal_without_noise(void **state) {
  (void)state;
  float plain[SILOTEST_FLOATS];
  silotest_init(&t, silotest_mf, "", NULL);
  silotest_work(&t, 0, 1);
  const size_t size = xf_silo_params(t.silo[0]) * sizeof(float);
  memcpy(plain, xf_silo_personal(t.silo[0], true), size);
  silotest_deinit(&t);
  silotest_init(&t, silotest_mf, noisy, NULL);
  silotest_work(&t, 0, 1);
  assert_memory_equal(plain, xf_silo_personal(t.silo[0], true), size);
  silotest_deinit(&t);
}

static void test_rows_are_clipped_under_noise(void **state) {
  (void)state;
  silotest_init(&t, silotest_mf,
                "rows.clip_row=0.001 privacy.clip=0.5 privacy.noise_multiplier=0.001", seeded);
  silotest_work(&t, 0, 1);
  const float *p = (const float *)(const void *)t.answer.payload.p;
  for (size_t i = 0; i < t.answer.payload.len / sizeof(float); i++)
    assert_true(fabs((double)p[i]) < 0.001 + 6 * 0.0005);
  assert_true(t.answer.clipped);
  assert_true(t.answer.norm > 0.001 * sqrt(8) * 1.0001); /* of the delta as trained, eight rows */
  silotest_deinit(&t);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_grid_and_charge),
      cmocka_unit_test(test_epsilon),
      cmocka_unit_test(test_no_claim_after_a_bare_release),
      cmocka_unit_test(test_seeded),
      cmocka_unit_test(test_unseeded),
      cmocka_unit_test(test_personal_without_noise),
      cmocka_unit_test(test_rows_are_clipped_under_noise),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
