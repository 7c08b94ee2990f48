// Cohorts: sizes, fairness, domains; and when a round may close.
#include "fed/select.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
// cmocka wants the four above first
#include <cmocka.h>

static void test_sizes(void **state) {
  (void)state;
  const struct {
    struct xf_select_rule rule;
    uint32_t n, target, asked, quorum;
  } rows[] = {
      {{.cohort = 1, .quorum = 0.75}, 8, 8, 8, 6},
      {{.cohort = 0.1, .quorum = 1}, 30, 3, 3, 3},      // .1 * 30 is a little above 3
      {{.cohort = 0.7, .quorum = 0.5}, 10, 7, 7, 4},    // rounds up
      {{.cohort = 1e-6, .quorum = 1e-6}, 100, 1, 1, 1}, // at least one
      {{.cohort_count = 5, .quorum_count = 3}, 4, 4, 4, 3},
      {{.cohort_count = 5, .quorum_count = 9}, 40, 5, 5, 5},
      {{.cohort_count = 10, .quorum = 0.8, .over_select = 1.3}, 100, 10, 13, 8},
      {{.cohort_count = 10, .quorum = 0.8, .over_select = 1.3}, 12, 10, 12, 8},
      {{.cohort = 1, .quorum = 1}, 4000000000u, 4000000000u, 4000000000u, 4000000000u},
  };
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    assert_int_equal(xf_select_target(&rows[i].rule, rows[i].n), rows[i].target);
    assert_int_equal(xf_select_asked(&rows[i].rule, rows[i].n), rows[i].asked);
    assert_int_equal(xf_select_quorum(&rows[i].rule, rows[i].n), rows[i].quorum);
  }
}

enum { N = 10 };
static const struct xf_select_member list[N] = {
    {"a", "books"}, {"b", "games"}, {"c", "books"}, {"d", "music"}, {"e", "books"},
    {"f", "games"}, {"g", "books"}, {"h", "music"}, {"i", "books"}, {"j", "books"}};

// Each member is drawn equally often; every domain gets its share rounded down or up.
static void test_draw(void **state) {
  (void)state;
  enum { TRIES = 20000, M = 4 };
  const struct xf_select_rule rule = {.cohort_count = M, .quorum = 1};
  uint32_t count[N] = {0}, out[N], n_out;
  struct xf_rng rng;
  xf_rng_init(&rng, 5, 0);
  for (int t = 0; t < TRIES; t++) {
    assert_int_equal(xf_select_draw(out, &n_out, &rule, list, N, &rng, NULL), XF_OK);
    assert_int_equal(n_out, M);
    uint32_t books = 0, games = 0;
    for (uint32_t i = 0; i < M; i++) {
      assert_true(out[i] < N && (i == 0 || out[i] > out[i - 1]));
      count[out[i]]++;
      books += list[out[i]].domain[0] == 'b';
      games += list[out[i]].domain[0] == 'g';
    }
    assert_true(books == 2 || books == 3); // 6 of 10, four seats: 2.4
    assert_true(games <= 1);               // .8
  }
  for (int i = 0; i < N; i++) {
    const double p = (double)M / N, sd = sqrt(TRIES * p * (1 - p));
    assert_true(fabs(count[i] - TRIES * p) < 5 * sd);
  }
}

static void test_repeatable(void **state) {
  (void)state;
  const struct xf_select_rule rule = {.cohort = 0.5, .quorum = 1};
  uint32_t first[N], again[N], n_first, n_again;
  struct xf_rng rng;
  xf_rng_init(&rng, 77, 3);
  assert_int_equal(xf_select_draw(first, &n_first, &rule, list, N, &rng, NULL), XF_OK);
  xf_rng_init(&rng, 77, 3);
  assert_int_equal(xf_select_draw(again, &n_again, &rule, list, N, &rng, NULL), XF_OK);
  assert_int_equal(n_first, 5);
  assert_int_equal(n_again, 5);
  assert_memory_equal(first, again, 5 * sizeof first[0]);
}

// min_domains is met by every draw when it can be, and refused when it cannot.
static void test_domains(void **state) {
  (void)state;
  struct xf_select_rule rule = {.cohort_count = 3, .quorum = 1, .min_domains = 3};
  uint32_t out[N], n_out;
  struct xf_rng rng;
  xf_rng_init(&rng, 6, 0);
  for (int t = 0; t < 500; t++) {
    assert_int_equal(xf_select_draw(out, &n_out, &rule, list, N, &rng, NULL), XF_OK);
    assert_int_equal(n_out, 3);
    char seen[3] = {0};
    for (int i = 0; i < 3; i++) seen[i] = list[out[i]].domain[0];
    assert_true(seen[0] != seen[1] && seen[0] != seen[2] && seen[1] != seen[2]);
  }
  struct xf_diag diag;
  xf_diag_init(&diag);
  rule.min_domains = 4;
  assert_int_equal(xf_select_draw(out, &n_out, &rule, list, N, &rng, &diag), XF_E_RANGE);
  rule.min_domains = 3;
  rule.cohort_count = 2;
  assert_int_equal(xf_select_draw(out, &n_out, &rule, list, N, &rng, &diag), XF_E_RANGE);
  assert_non_null(strstr(diag.text, "at most 2"));
}

static void test_all_and_refusals(void **state) {
  (void)state;
  const struct xf_select_rule rule = {.cohort = 1, .quorum = 1};
  uint32_t out[N], n_out;
  struct xf_rng rng;
  xf_rng_init(&rng, 1, 0);
  assert_int_equal(xf_select_draw(out, &n_out, &rule, list, N, &rng, NULL), XF_OK);
  assert_int_equal(n_out, N);
  for (uint32_t i = 0; i < N; i++) assert_int_equal(out[i], i);
  assert_int_equal(xf_select_draw(out, &n_out, &rule, list, 0, &rng, NULL), XF_E_INVAL);
  const struct xf_select_member unsorted[2] = {{"b", "x"}, {"a", "x"}};
  assert_int_equal(xf_select_draw(out, &n_out, &rule, unsorted, 2, &rng, NULL), XF_E_INVAL);
}

static void test_judge(void **state) {
  (void)state;
  const struct xf_select_rule plain = {.cohort = 1, .quorum = 0.75, .min_domains = 2};
  const struct xf_select_rule over = {.cohort_count = 4, .quorum = 0.75, .over_select = 1.5};
  const struct {
    const struct xf_select_rule *rule;
    struct xf_select_state s; // members, asked, answered, accepted, domains, deadline
    enum xf_select_verdict want;
  } rows[] = {
      {&plain, {4, 4, 3, 3, 2, false}, XF_SELECT_WAIT},
      {&plain, {4, 4, 4, 4, 2, false}, XF_SELECT_CLOSE},
      {&plain, {4, 4, 4, 3, 2, false}, XF_SELECT_CLOSE},
      {&plain, {4, 4, 4, 2, 2, false}, XF_SELECT_ABANDON},
      {&plain, {4, 4, 4, 4, 1, false}, XF_SELECT_ABANDON},
      {&plain, {4, 4, 3, 3, 2, true}, XF_SELECT_CLOSE},
      {&plain, {4, 4, 2, 2, 2, true}, XF_SELECT_ABANDON},
      {&plain, {4, 4, 3, 3, 1, true}, XF_SELECT_ABANDON},
      {&over, {10, 6, 3, 3, 1, false}, XF_SELECT_WAIT},
      {&over, {10, 6, 4, 4, 1, false}, XF_SELECT_CLOSE},
      {&over, {10, 6, 5, 3, 1, true}, XF_SELECT_CLOSE},
      {&over, {10, 6, 6, 2, 1, false}, XF_SELECT_ABANDON},
  };
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
    assert_int_equal(xf_select_judge(rows[i].rule, &rows[i].s), rows[i].want);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_sizes),
      cmocka_unit_test(test_draw),
      cmocka_unit_test(test_repeatable),
      cmocka_unit_test(test_domains),
      cmocka_unit_test(test_all_and_refusals),
      cmocka_unit_test(test_judge),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
