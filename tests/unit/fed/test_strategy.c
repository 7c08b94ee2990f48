// Weights, the table of strategies, the pull prior and the drift of a round.
#include "fed/drift.h"
#include "fed/fold.h"
#include "fed/pull.h"
#include "fed/strategy.h"
#include "fed/weight.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
// cmocka wants the four above first
#include <cmocka.h>

static void test_weights(void **state) {
  (void)state;
  const struct {
    enum xf_weight_rule rule;
    uint64_t n;
    uint32_t cap, max, want;
    enum xf_rc rc;
  } rows[] = {
      {XF_WEIGHT_SAMPLES, 17, 0, 0, 17, XF_OK},
      {XF_WEIGHT_SAMPLES, 17, 5, 0, 17, XF_OK}, // the cap belongs to another rule
      {XF_WEIGHT_SAMPLES, 17, 0, 9, 9, XF_OK},
      {XF_WEIGHT_SAMPLES, 1u << 29, 0, 0, 0, XF_E_RANGE},
      {XF_WEIGHT_SAMPLES, (1u << 29) - 1, 0, 0, (1u << 29) - 1, XF_OK},
      {XF_WEIGHT_SAMPLES, UINT64_MAX, 0, 100, 100, XF_OK},
      {XF_WEIGHT_SAMPLES, 0, 0, 0, 0, XF_E_RANGE},
      {XF_WEIGHT_UNIFORM, 17, 0, 9, 1, XF_OK},
      {XF_WEIGHT_UNIFORM, 0, 0, 0, 0, XF_E_RANGE},
      {XF_WEIGHT_CAPPED, 17, 10, 0, 10, XF_OK},
      {XF_WEIGHT_CAPPED, 17, 10, 9, 9, XF_OK},
      {XF_WEIGHT_CAPPED, 7, 10, 9, 7, XF_OK},
      {XF_WEIGHT_CAPPED, 7, 0, 0, 0, XF_E_INVAL},
  };
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    uint32_t w = 0;
    assert_int_equal(xf_weight_get(&w, rows[i].rule, rows[i].n, rows[i].cap, rows[i].max, NULL),
                     rows[i].rc);
    assert_int_equal(w, rows[i].want);
  }
  enum xf_weight_rule rule;
  assert_int_equal(xf_weight_parse(&rule, "capped"), XF_OK);
  assert_int_equal(rule, XF_WEIGHT_CAPPED);
  assert_int_equal(xf_weight_parse(&rule, "sqrt"), XF_E_INVAL);
  assert_string_equal(xf_weight_text(XF_WEIGHT_SAMPLES), "samples");
  assert_string_equal(xf_weight_text((enum xf_weight_rule)9), "?");
}

static void test_strategies(void **state) {
  (void)state;
  assert_string_equal(xf_strategy_find(XF_STRATEGY_FEDAVG)->name, "fedavg");
  assert_string_equal(xf_strategy_find(XF_STRATEGY_REPTILE)->name, "reptile");
  assert_null(xf_strategy_find(2));
  struct xf_strategy s = {.kind = XF_STRATEGY_REPTILE,
                          .server.eta = 0.8,
                          .schedule = {.kind = XF_SCHEDULE_LINEAR, .rounds = 4}};
  assert_int_equal(xf_strategy_check(&s, XF_WEIGHT_UNIFORM, NULL), XF_OK);
  const double want[6] = {0.8, 0.6, 0.4, 0.2, 0, 0};
  for (uint32_t t = 0; t < 6; t++) assert_true(fabs(xf_strategy_get(&s, t).eta - want[t]) < 1e-15);
  struct xf_diag diag;
  xf_diag_init(&diag);
  assert_int_equal(xf_strategy_check(&s, XF_WEIGHT_SAMPLES, &diag), XF_E_UNSUPPORTED);
  assert_non_null(strstr(diag.text, "uniform"));
  s.server.kind = XF_SERVER_MOMENTUM;
  assert_int_equal(xf_strategy_check(&s, XF_WEIGHT_UNIFORM, NULL), XF_E_UNSUPPORTED);
  s = (struct xf_strategy){.server = {.kind = XF_SERVER_MOMENTUM, .eta = 1, .b1 = 0.9}};
  assert_int_equal(xf_strategy_check(&s, XF_WEIGHT_SAMPLES, NULL), XF_OK);
  const struct xf_server_step step = xf_strategy_get(&s, 1000);
  assert_true(step.eta == 1 && step.b1 == 0.9 && !step.first && xf_strategy_get(&s, 0).first);
  s.bias_correction = true; // of Adam's commit t: sqrt(1 - b2^(t+1)) / (1 - b1^(t+1))
  s.server.b2 = 0.99;
  assert_true(fabs(xf_strategy_get(&s, 0).eta - 1) < 1e-12);
  assert_true(fabs(xf_strategy_get(&s, 1).eta - sqrt(1 - 0.9801) / (1 - 0.81)) < 1e-12);
  s.bias_correction = false;
  s.server.b1 = 1;
  assert_int_equal(xf_strategy_check(&s, XF_WEIGHT_SAMPLES, NULL), XF_E_RANGE);
  s.server.b1 = 0, s.server.eta = 0;
  assert_int_equal(xf_strategy_check(&s, XF_WEIGHT_SAMPLES, NULL), XF_E_RANGE);
  s.server.eta = INFINITY;
  assert_int_equal(xf_strategy_check(&s, XF_WEIGHT_SAMPLES, NULL), XF_E_RANGE);
  s = (struct xf_strategy){.server.eta = 1, .schedule.kind = XF_SCHEDULE_LINEAR};
  assert_int_equal(xf_strategy_check(&s, XF_WEIGHT_SAMPLES, NULL), XF_E_RANGE);
}

// Three silos hold a user; the mean of the other two, shrunk.
static void test_pull(void **state) {
  (void)state;
  const float row[3][2] = {{1, -2}, {4, 0}, {7, 5}}, mean[2] = {4, 1};
  float prior[2];
  for (int k = 0; k < 3; k++) {
    xf_pull_prior(prior, mean, row[k], 2, 3, 3, 0.25);
    for (int j = 0; j < 2; j++) {
      const double others = (3 * (double)mean[j] - (double)row[k][j]) / 2;
      assert_true(fabs((double)prior[j] - 0.25 * others) < 1e-6);
    }
  }
  const float kept = row[0][0];
  xf_pull_prior(prior, mean, row[0], 2, 1, 0, 0.25); // alone: no others
  assert_true(prior[0] == 0 && prior[1] == 0);
  xf_pull_prior(prior, mean, row[0], 2, 2, 3, 0.25); // too few for the policy
  assert_true(prior[0] == 0 && prior[1] == 0 && row[0][0] == kept);
  const float two[1] = {2.5f}, own[1] = {1};
  xf_pull_prior(prior, two, own, 1, 2, 2, 1); // of two, the other's row itself
  assert_true(prior[0] == 4);
  float place[2] = {4, 1}; // in place
  xf_pull_prior(place, place, row[0], 2, 3, 0, 1);
  assert_true(place[0] == 5.5f && place[1] == 2.5f);
}

static void test_drift(void **state) {
  (void)state;
  const double norm[4] = {3, 1, 2, 10};
  const uint32_t weight[4] = {1, 1, 1, 1}, uneven[4] = {1, 2, 3, 4};
  struct xf_drift d = xf_drift_get(norm, weight, 4, 2);
  assert_true(d.min == 1 && d.max == 10 && d.median == 2.5 && d.mean == 4 && d.ratio == 0.5);
  d = xf_drift_get(norm, uneven, 4, 0);
  assert_true(fabs(d.mean - 5.1) < 1e-12 && d.ratio == 0);
  d = xf_drift_get(norm, weight, 3, 2);
  assert_true(d.median == 2 && d.mean == 2 && d.ratio == 1);
  d = xf_drift_get(norm, weight, 0, 2);
  assert_true(d.mean == 0 && isnan(d.ratio));
  const double zero[1] = {0};
  assert_true(isnan(xf_drift_get(zero, weight, 1, 0).ratio));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_weights),
      cmocka_unit_test(test_strategies),
      cmocka_unit_test(test_pull),
      cmocka_unit_test(test_drift),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
