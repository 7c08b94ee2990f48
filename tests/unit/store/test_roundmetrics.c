/* One figure out of a round's metrics. */
#include "store/roundmetrics.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define LINE(scope, arm, split, values) \
  "{\"scope\":\"" scope "\",\"arm\":\"" arm "\",\"split\":\"" split "\",\"values\":{" values "}}"

static void expect(const char *json, enum xf_rc rc, double sum, uint64_t count) {
  double s = -1;
  uint64_t n = 77;
  assert_int_equal(xf_roundmetrics_valid(&s, &n, json, "acc", NULL), rc);
  assert_true(s == sum);
  assert_int_equal(n, count);
}

static void test_find(void **state) {
  (void)state;
  expect("{\"v\":1,\"lines\":[" LINE("client:a", "federated", "valid", "\"acc\":[1,2]") "," LINE(
             "global", "federated", "test",
             "\"acc\":[3,4]") "," LINE("global", "alone", "valid",
                                       "\"acc\":[5,6]") "," LINE("global", "federated", "valid",
                                                                 "\"auc\":[7,8],\"acc\":[0."
                                                                 "30000000000000004,9]") "]}",
         XF_OK, .1 + .2, 9);
  expect("", XF_OK, 0, 0);
  expect("{\"v\":1,\"lines\":[]}", XF_OK, 0, 0);
  expect("{\"v\":1,\"lines\":[" LINE("global", "federated", "valid", "\"acc\":[null,0]") "]}",
         XF_OK, 0, 0);
  expect("{\"lines\":3}", XF_OK, 0, 0);
  expect("{\"lines\":", XF_E_FORMAT, 0, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_find)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
