// Similarity of items from its four sources, and the measures of diversity: worked numbers, sums over silos, edges.
#include "rec/calibrate.h"
#include "rec/diversity.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
// cmocka wants the four above first
#include <cmocka.h>

static void near(double got, double want, double tolerance) {
  if (!(fabs(got - want) <= tolerance)) fail_msg("%.17g, want %.17g", got, want);
}

// Item 0: a; 1: a b; 2: b c d e; 3: none; item 4 is beyond the rows.
static struct xf_categories toy(void) {
  static uint32_t start[] = {0, 1, 3, 7, 7}, item[] = {0, 0, 1, 1, 2, 3, 4};
  return (struct xf_categories){.n = 5, .of = {.n_row = 4, .start = start, .item = item}};
}

static void test_categories(void **state) {
  (void)state;
  const struct xf_categories c = toy();
  struct xf_itemsim sim;
  xf_itemsim_categories(&sim, &c, 5);
  near(xf_itemsim_get(&sim, 0, 1), 1 / sqrt(2), 1e-15);
  near(xf_itemsim_get(&sim, 2, 1), 1 / sqrt(8), 1e-15);
  near(xf_itemsim_get(&sim, 0, 2), 0, 0);
  for (uint32_t i = 0; i < 5; i++) {
    near(xf_itemsim_get(&sim, i, i), 1, 0);
    if (i != 3) near(xf_itemsim_get(&sim, i, 3), 0, 0);
    if (i != 4) near(xf_itemsim_get(&sim, 4, i), 0, 0);
  }
  xf_itemsim_deinit(&sim);
  xf_itemsim_deinit(&sim);
}

static void test_vectors_and_gram(void **state) {
  (void)state;
  const float vector[] = {3, 4, 0, 0, -4, 3, 6, 8, 1, 0};
  struct xf_itemsim sim;
  struct xf_diag diag;
  assert_int_equal(xf_itemsim_vectors(&sim, vector, 5, 2, NULL), XF_OK);
  near(xf_itemsim_get(&sim, 0, 3), 1, 1e-6);
  near(xf_itemsim_get(&sim, 0, 2), 0, 1e-7);
  near(xf_itemsim_get(&sim, 4, 2), -.8, 1e-7);
  near(xf_itemsim_get(&sim, 1, 0), 0, 0); // a zero row
  near(xf_itemsim_get(&sim, 1, 1), 1, 0);
  xf_itemsim_deinit(&sim);
  const float bad[] = {1, 2, 3, NAN};
  xf_diag_init(&diag);
  assert_int_equal(xf_itemsim_vectors(&sim, bad, 2, 2, &diag), XF_E_NAN);
  assert_non_null(strstr(diag.text, "factor 1 of item number 1"));
  // users {0, 1}, {0, 1, 2}, {0}: counts 3, 2, 1, 0
  uint32_t start[] = {0, 2, 5, 6}, item[] = {0, 1, 0, 1, 2, 0};
  const struct xf_csr csr = {.n_row = 3, .start = start, .item = item};
  const struct xf_rec_data data = {3, 4, &csr};
  const struct xf_gram_spec spec = {.beta = 0};
  struct xf_gram gram;
  assert_int_equal(xf_gram_build(&gram, &data, &spec, NULL), XF_OK);
  xf_itemsim_gram(&sim, &gram);
  near(xf_itemsim_get(&sim, 0, 1), 2 / sqrt(6), 1e-6);
  near(xf_itemsim_get(&sim, 2, 0), 1 / sqrt(3), 1e-6);
  near(xf_itemsim_get(&sim, 3, 0), 0, 0);
  near(xf_itemsim_get(&sim, 3, 3), 1, 0);
  xf_gram_deinit(&gram);
}

// The published-vector case: features (1,0) (0,1) (1,1), exposure 5 3 1 1 0, popularity 50 10 5 of 100 users.
static void test_worked(void **state) {
  (void)state;
  uint32_t start[] = {0, 1, 2, 4}, item[] = {0, 1, 0, 1};
  const struct xf_categories c = {.n = 2, .of = {.n_row = 3, .start = start, .item = item}};
  const uint32_t list[] = {0, 1, 2}, count[] = {50, 10, 5};
  struct xf_itemsim sim;
  xf_itemsim_categories(&sim, &c, 3);
  const struct xf_diversity_spec spec = {&sim, &c, count, 100};
  const double target[] = {.5, .5};
  double value[XF_N_DIVERSITY], gini;
  assert_int_equal(xf_diversity_list(value, &spec, list, 3, target), XF_OK);
  near(value[XF_DIVERSITY_ILD], 0.5285954792089683, 1e-12);
  near(value[XF_DIVERSITY_NOVELTY], 2.8812853965915743, 1e-12);
  near(value[XF_DIVERSITY_CATEGORIES], 2, 0);
  near(value[XF_DIVERSITY_KL], 0, 1e-15);
  const uint64_t shown[] = {5, 3, 1, 1, 0};
  near(xf_diversity_coverage(shown, 5), .8, 1e-15);
  assert_int_equal(xf_diversity_gini(&gini, shown, 5), XF_OK);
  near(gini, .48, 1e-12);
  near(xf_diversity_entropy(shown, 5), 1.6854752972273346, 1e-12);
  assert_string_equal(xf_diversity_name(XF_DIVERSITY_KL), "calibration_kl");
}

static void test_edges(void **state) {
  (void)state;
  const struct xf_categories c = toy();
  struct xf_itemsim sim;
  xf_itemsim_categories(&sim, &c, 5);
  const uint32_t count[] = {4, 0, 1, 1, 1}, one[] = {1};
  const struct xf_diversity_spec all = {&sim, &c, count, 4}, none = {NULL, NULL, NULL, 0};
  const double empty[5] = {0}, some[5] = {0, 0, 1, 0, 0};
  double value[XF_N_DIVERSITY], gini = 1;
  assert_int_equal(xf_diversity_list(value, &all, one, 1, empty), XF_OK);
  assert_true(isnan(value[XF_DIVERSITY_ILD]) && isnan(value[XF_DIVERSITY_KL]));
  near(value[XF_DIVERSITY_NOVELTY], 2, 1e-15); // nobody's counts as one user's
  near(value[XF_DIVERSITY_CATEGORIES], 2, 0);
  assert_int_equal(xf_diversity_list(value, &all, one, 0, some), XF_OK);
  assert_true(isnan(value[XF_DIVERSITY_NOVELTY]));
  near(value[XF_DIVERSITY_KL], log(100), 1e-12);
  near(value[XF_DIVERSITY_CATEGORIES], 0, 0);
  assert_int_equal(xf_diversity_list(value, &none, one, 1, some), XF_OK);
  for (int m = 0; m < XF_N_DIVERSITY; m++) assert_true(isnan(value[m]));
  const uint64_t zero[3] = {0}, same[4] = {7, 7, 7, 7}, single[4] = {0, 0, 9, 0};
  assert_int_equal(xf_diversity_gini(&gini, zero, 3), XF_OK);
  near(gini, 0, 0);
  assert_int_equal(xf_diversity_gini(&gini, zero, 0), XF_OK);
  near(gini, 0, 0);
  assert_int_equal(xf_diversity_gini(&gini, same, 4), XF_OK);
  near(gini, 0, 1e-15);
  assert_int_equal(xf_diversity_gini(&gini, single, 4), XF_OK);
  near(gini, .75, 1e-15);
  near(xf_diversity_entropy(same, 4), 2, 1e-15);
  near(xf_diversity_entropy(zero, 3), 0, 0);
  near(xf_diversity_coverage(zero, 0), 0, 0);
}

// Lists counted at two silos and merged are the lists counted at one.
static void test_adds_up(void **state) {
  (void)state;
  const struct xf_categories c = toy();
  const uint32_t count[] = {4, 2, 1, 1, 1},
                 list[4][3] = {{0, 1, 2}, {1, 2, 3}, {0, 2, 4}, {2, 3, 0}};
  struct xf_itemsim sim;
  xf_itemsim_categories(&sim, &c, 5);
  const struct xf_diversity_spec spec = {&sim, &c, count, 4};
  struct xf_diversity all, part[2];
  double value[XF_N_DIVERSITY], target[5];
  assert_int_equal(xf_diversity_init(&all, 5), XF_OK);
  assert_int_equal(xf_diversity_init(&part[0], 5), XF_OK);
  assert_int_equal(xf_diversity_init(&part[1], 5), XF_OK);
  assert_true(isnan(xf_diversity_mean(&all, XF_DIVERSITY_ILD)));
  for (int l = 0; l < 4; l++) {
    (void)xf_calibrate_shares(target, &c, list[3 - l], 1);
    assert_int_equal(xf_diversity_list(value, &spec, list[l], 3, l == 1 ? NULL : target), XF_OK);
    xf_diversity_add(&all, list[l], 3, value);
    xf_diversity_add(&part[l % 2], list[l], 3, value);
  }
  xf_diversity_merge(&part[0], &part[1]);
  assert_memory_equal(part[0].shown, all.shown, 5 * sizeof *all.shown);
  assert_int_equal(all.shown[2], 4);
  for (int m = 0; m < XF_N_DIVERSITY; m++) {
    near(part[0].of[m].count, all.of[m].count, 0);
    near(part[0].of[m].sum, all.of[m].sum, 1e-12);
  }
  near(all.of[XF_DIVERSITY_KL].count, 3, 0);
  near(xf_diversity_mean(&all, XF_DIVERSITY_CATEGORIES), (5 + 5 + 5 + 5) / 4., 1e-15);
  xf_diversity_deinit(&all);
  xf_diversity_deinit(&all);
  xf_diversity_deinit(&part[0]);
  xf_diversity_deinit(&part[1]);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_categories), cmocka_unit_test(test_vectors_and_gram),
      cmocka_unit_test(test_worked),     cmocka_unit_test(test_edges),
      cmocka_unit_test(test_adds_up),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
