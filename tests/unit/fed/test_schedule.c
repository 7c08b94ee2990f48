// Schedules against numbers worked out elsewhere, and what is refused.
#include "fed/schedule.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
// cmocka wants the four above first
#include <cmocka.h>

enum { N = 7 };

// A rate of 0.1 at these commits of 100.
static void test_values(void **state) {
  (void)state;
  const uint64_t at[N] = {0, 1, 9, 10, 30, 50, 99};
  const struct {
    struct xf_schedule s;
    double want[N];
  } rows[] = {
      {{.kind = XF_SCHEDULE_CONSTANT}, {0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1}},
      {{.kind = XF_SCHEDULE_EXPONENTIAL, .factor = 0.99},
       {0.1, 0.099, 0.09135172474836409, 0.09043820750088044, 0.07397003733882802,
        0.06050060671375364, 0.036972963764972645}},
      {{.kind = XF_SCHEDULE_INVERSE, .factor = 0.01},
       {0.1, 0.09900990099009901, 0.09174311926605505, 0.09090909090909091, 0.07692307692307693,
        0.06666666666666667, 0.05025125628140704}},
      {{.kind = XF_SCHEDULE_INVERSE_ROOT},
       {0.1, 0.07071067811865475, 0.03162277660168379, 0.030151134457776365, 0.01796053020267749,
        0.014002800840280098, 0.01}},
      {{.kind = XF_SCHEDULE_STEP, .every = 30, .factor = 0.5},
       {0.1, 0.1, 0.1, 0.1, 0.05, 0.05, 0.0125}},
      {{.kind = XF_SCHEDULE_COSINE, .floor = 0.01},
       {0.1, 0.09997557473810371, 0.09803453744100869, 0.09757729755661011, 0.07959536998847744,
        0.0505, 0.0010244252618962857}},
      {{.kind = XF_SCHEDULE_COSINE, .warmup = 10},
       {0.01, 0.02, 0.1, 0.1, 0.0883022221559489, 0.058682408883346526, 3.0458649045211895e-05}},
      {{.kind = XF_SCHEDULE_LINEAR},
       {0.1, 0.099, 0.09100000000000001, 0.09000000000000001, 0.06999999999999999, 0.05,
        0.0010000000000000009}},
  };
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    struct xf_schedule s = rows[i].s;
    s.rounds = 100;
    assert_int_equal(xf_schedule_check(&s, NULL), XF_OK);
    for (int j = 0; j < N; j++)
      assert_true(fabs(0.1 * xf_schedule_get(&s, at[j]) - rows[i].want[j]) < 1e-12);
  }
}

static void test_ends(void **state) {
  (void)state;
  struct xf_schedule s = {.kind = XF_SCHEDULE_LINEAR, .rounds = 4, .floor = 0.25};
  assert_true(xf_schedule_get(&s, 0) == 1 && xf_schedule_get(&s, 4) == 0.25);
  assert_true(xf_schedule_get(&s, UINT64_MAX) == 0.25);
  s.kind = XF_SCHEDULE_COSINE;
  assert_true(fabs(xf_schedule_get(&s, 100) - 0.25) < 1e-15);
  s = (struct xf_schedule){.warmup = 2, .rounds = 3};
  assert_true(xf_schedule_get(&s, 0) == 0.5 && xf_schedule_get(&s, 1) == 1);
  assert_true(xf_schedule_get(&s, 2) == 1 && xf_schedule_get(&s, 9) == 1);
}

static void test_power(void **state) {
  (void)state;
  volatile double x = 1.1, x2 = x * x, x4 = x2 * x2; /* 11 = 1 + 2 + 8, the factors in this order */
  assert_true(xf_schedule_power(x, 0) == 1 && xf_schedule_power(x, 1) == x);
  assert_true(xf_schedule_power(x, 11) == x * x2 * (x4 * x4));
  assert_true(xf_schedule_power(0, 3) == 0 && xf_schedule_power(0.5, 1074) == 0x1p-1074);
  assert_true(xf_schedule_power(0.5, UINT64_MAX) == 0);
}

static void test_refusals(void **state) {
  (void)state;
  const struct {
    struct xf_schedule s;
    const char *why;
  } rows[] = {
      {{.kind = XF_SCHEDULE_LINEAR}, "linear: 0 commits of warm-up in a stage of 0"},
      {{.kind = XF_SCHEDULE_CONSTANT, .warmup = 5, .rounds = 5}, "5 commits of warm-up"},
      {{.kind = XF_SCHEDULE_STEP, .factor = 0.5, .rounds = 5}, "every is 0"},
      {{.kind = XF_SCHEDULE_STEP, .every = 1, .rounds = 5}, "step: factor is 0"},
      {{.kind = XF_SCHEDULE_EXPONENTIAL, .factor = 1.5, .rounds = 5}, "factor is 1.5"},
      {{.kind = XF_SCHEDULE_INVERSE, .factor = -1, .rounds = 5}, "inverse: factor is -1"},
      {{.kind = XF_SCHEDULE_COSINE, .floor = 2, .rounds = 5}, "floor is 2"},
  };
  struct xf_diag diag;
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    xf_diag_init(&diag);
    assert_int_equal(xf_schedule_check(&rows[i].s, &diag), XF_E_RANGE);
    if (!strstr(diag.text, rows[i].why)) fail_msg("%s", diag.text);
  }
  const struct xf_schedule unknown = {.kind = (enum xf_schedule_kind)99};
  assert_int_equal(xf_schedule_check(&unknown, NULL), XF_E_UNSUPPORTED);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_values),
      cmocka_unit_test(test_ends),
      cmocka_unit_test(test_power),
      cmocka_unit_test(test_refusals),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
