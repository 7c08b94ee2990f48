// Findings: a file in which each kind occurs a known number of times, with the line of the first.
#include "data/findings.h"
#include "datatest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
// cmocka wants the four above first
#include <cmocka.h>

/* user item domain value time; line 2 is blank and dropped lines count as lines */
static const char text[] =
    "u\ti1\tA\t5\t10\n"
    "\n"
    "u\ti2\tA\t5\t11\n"
    "u\ti1\tA\t5\t12\n"  // 4: repeated
    "U \ti1\tA\t5\t13\n" // 5: near u; below min
    "v\ti2\tA\t5\t14\n"  // 6: below min
    "u\ti2\tB\t5\t15\n"  // 7: a pair and an item in two domains; B has one user
    "u\tI9\tB\t5\t99\n"  // 8: later than now
    "v\ti9\tA\t5\t16\n"  // 9: near I9
    "w\ti4\tC\t1\t17\n"  // 10: low value; C is empty then
    "w\ti2\tA\t1\t18\n"; // 11: low value

static const struct {
  enum xf_finding_kind kind;
  uint64_t count, line;
  const char *example;
} want[] = {{XF_FINDING_REPEATS, 1, 4, "user \"u\", item \"i1\" again"},
            {XF_FINDING_FEW_USERS, 1, 5, "user \"U \" has 1 of 2 items in domain \"A\""},
            {XF_FINDING_LOW_VALUE, 2, 10, "value 1 of user \"w\""},
            {XF_FINDING_OTHER_DOMAIN, 0, 0, ""},
            {XF_FINDING_NEAR_USERS, 1, 5, "\"U \" beside \"u\""},
            {XF_FINDING_NEAR_ITEMS, 1, 9, "\"i9\" beside \"I9\""},
            {XF_FINDING_NEAR_DOMAINS, 0, 0, ""},
            {XF_FINDING_FUTURE, 1, 8, "time 99 of user \"u\""},
            {XF_FINDING_SHARED_ITEMS, 1, 7, "item \"i2\", also in domain \"B\""},
            {XF_FINDING_SHARED_PAIRS, 1, 7, "user \"u\", item \"i2\""},
            {XF_FINDING_EMPTY_DOMAINS, 1, 10, "domain \"C\""},
            {XF_FINDING_ONE_USER, 1, 7, "domain \"B\""},
            {XF_FINDING_NO_TEST, 0, 0, ""}};

static void test_each_kind(void **state) {
  (void)state;
  const struct xf_interactions_spec cols = {
      .user = 1, .item = 2, .domain = 3, .value = 4, .time = 5, .keep_lines = true};
  const struct xf_findings_spec spec = {.min = 2, .has_min_value = true, .min_value = 2, .now = 50};
  struct xf_interactions x;
  struct xf_findings f;
  const char *path = datatest_file("a.tsv", text, sizeof text - 1);
  assert_int_equal(xf_interactions_load(&x, path, &cols, NULL), XF_OK);
  assert_int_equal(x.line[1], 3);
  assert_int_equal(xf_findings_check(&f, &x, &spec, NULL), XF_OK);
  for (size_t k = 0; k < XF_N_FINDING; k++) {
    const struct xf_finding *got = &f.of[want[k].kind];
    if (got->count != want[k].count || got->line != want[k].line ||
        strcmp(got->example, want[k].example) != 0)
      fail_msg("%s: %llu, line %llu, %s", xf_finding_name(want[k].kind),
               (unsigned long long)got->count, (unsigned long long)got->line, got->example);
    assert_true(strlen(xf_finding_fix(want[k].kind)) > 10 &&
                strlen(xf_finding_text(want[k].kind)) > 10);
  }
  xf_interactions_deinit(&x);
}

static void test_domains(void **state) {
  (void)state;
  static const char lines[] = "u\ti\tbooks\nv\tj\tBooks\nv\tk\tBooks\n";
  const struct xf_interactions_spec cols = {.user = 1, .item = 2, .domain = 3, .keep_lines = true};
  const char *path = datatest_file("a.tsv", lines, sizeof lines - 1);
  struct xf_interactions x;
  struct xf_findings f;
  assert_int_equal(xf_interactions_load(&x, path, &cols, NULL), XF_OK);
  assert_int_equal(xf_findings_check(&f, &x, &(struct xf_findings_spec){.min = 2}, NULL), XF_OK);
  assert_int_equal(f.of[XF_FINDING_NEAR_DOMAINS].count, 1);
  assert_int_equal(f.of[XF_FINDING_NEAR_DOMAINS].line, 2);
  assert_int_equal(f.of[XF_FINDING_NO_TEST].count, 1);
  assert_int_equal(f.of[XF_FINDING_NO_TEST].line, 1);
  assert_int_equal(f.of[XF_FINDING_ONE_USER].count, 2);
  assert_int_equal(f.of[XF_FINDING_SHARED_ITEMS].count, 0);
  xf_interactions_deinit(&x);
  struct xf_interactions_spec one = cols;
  one.only_domain = "Books";
  assert_int_equal(xf_interactions_load(&x, path, &one, NULL), XF_OK);
  assert_int_equal(xf_findings_check(&f, &x, &(struct xf_findings_spec){0}, NULL), XF_OK);
  assert_int_equal(f.of[XF_FINDING_OTHER_DOMAIN].count, 1);
  assert_int_equal(f.of[XF_FINDING_OTHER_DOMAIN].line, 1);
  xf_interactions_deinit(&x);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_each_kind),
                                     cmocka_unit_test(test_domains)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
