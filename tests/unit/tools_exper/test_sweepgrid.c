/* A grid's texts: values with commas in them, seeds, combinations in order, folder names. */
#include "tools/exper/sweepgrid.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void test_combinations(void **state) {
  (void)state;
  static struct xf_sweepgrid g;
  struct xf_diag diag;
  assert_int_equal(xf_sweepgrid_combinations(&g), 1); /* no axis: the plan itself */
  assert_int_equal(xf_sweepgrid_add(&g, "local.optimizer.lr=0.1,1e-3", &diag), XF_OK);
  assert_int_equal(xf_sweepgrid_add(&g, "arms=[alone, federated],{a: 1, b: 2},\"x,y\"", &diag),
                   XF_OK);
  assert_int_equal(xf_sweepgrid_combinations(&g), 6);
  const char *const lr[] = {"0.1", "0.1", "0.1", "1e-3", "1e-3", "1e-3"};
  const char *const arms[] = {"[alone, federated]", "{a: 1, b: 2}", "\"x,y\""};
  for (size_t k = 0; k < 6; k++) {
    assert_string_equal(xf_sweepgrid_value(&g, k, 0), lr[k]);
    assert_string_equal(xf_sweepgrid_value(&g, k, 1), arms[k % 3]);
  }
  char name[64];
  xf_sweepgrid_name(name, sizeof name, &g, 3);
  assert_string_equal(name, "lr=1e-3_arms=_alone__federated_");
  xf_sweepgrid_name(name, 8, &g, 3);
  assert_string_equal(name, "lr=1e-3");
  xf_sweepgrid_deinit(&g);
  xf_sweepgrid_deinit(&g);
}

static void test_seeds(void **state) {
  (void)state;
  static struct xf_sweepgrid g;
  struct xf_diag diag;
  assert_int_equal(xf_sweepgrid_seeds(&g, "3..5,1,18446744073709551615", &diag), XF_OK);
  const uint64_t want[] = {3, 4, 5, 1, UINT64_MAX};
  assert_int_equal(g.n_seed, 5);
  assert_memory_equal(g.seed, want, sizeof want);
  assert_int_equal(xf_sweepgrid_seeds(&g, "7", &diag), XF_OK);
  assert_int_equal(g.n_seed, 1);
  const char *const bad[] = {
      "", "1,", "..", "5..1", "1...3", "1-3", "a", "1..2..3", "18446744073709551616"};
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
    assert_int_equal(xf_sweepgrid_seeds(&g, bad[i], &diag), XF_E_INVAL);
  assert_int_equal(xf_sweepgrid_seeds(&g, "0..18446744073709551615", &diag), XF_E_LIMIT);
  xf_sweepgrid_deinit(&g);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_combinations),
      cmocka_unit_test(test_seeds),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
