// Cold users between two domains: by hand, every refusal with its place, and the counts of the published pair.
#include "data/cold.h"
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

static char paths[4][XF_PATH_MAX];

static const char *file(int k, const char *text) {
  static const char *const names[4] = {"a.tsv", "a.csv", "img", "lab"};
  (void)snprintf(paths[k], sizeof paths[k], "%s", datatest_file(names[k], text, strlen(text)));
  return paths[k];
}

static enum xf_rc load(struct xf_cold *c, const char *source, const char *target, const char *test,
                       struct xf_diag *diag) {
  const struct xf_cold_files files = {
      .source_train = file(0, source), .target_train = file(1, target), .test = file(3, test)};
  return xf_cold_load(c, &files, 10, diag);
}

static void test_by_hand(void **state) {
  (void)state;
  struct xf_cold c;
  // 1 is in both, 3 is cold in the target, 12 are two people
  assert_int_equal(
      load(&c, "1 a\n3 a\n3 b\n12 b\n", "1 x\n12 y\n12 x\n", "3 x\n3 y\n3 x\n3 z\n", NULL), XF_OK);
  assert_int_equal(c.source.users.n, 3);
  assert_int_equal(c.target.users.n, 2);
  assert_int_equal(c.count.both, 1);
  assert_string_equal(xf_names_get(&c.source.users, 2), "source:12");
  assert_string_equal(xf_names_get(&c.target.users, 1), "target:12");
  const struct xf_csr *test = &c.held[XF_PART_TEST];
  assert_int_equal(test->n_row, 3);
  assert_int_equal(xf_csr_count(test), 2);
  assert_true(xf_csr_find(test, 1, 0) && xf_csr_find(test, 1, 1)); // 3 is the source's second user
  assert_int_equal(c.count.users[XF_PART_TEST], 1);
  assert_int_equal(c.count.repeats[XF_PART_TEST], 1);
  assert_int_equal(c.count.no_train[XF_PART_TEST], 1);
  assert_null(c.held[XF_PART_VALID].item);
  xf_cold_deinit(&c);
  xf_cold_deinit(&c);
}

static void test_refusals(void **state) {
  (void)state;
  static const struct {
    const char *source, *target, *test, *says;
  } bad[] = {{"1 a\n", "2 x\n", "1 x\n3 x\n", "lab:2:1: user 3 has no train event in"},
             {"1 a\n2 a\n", "2 x\n", "1 x\n2 x\n", "lab:2:1: user 2 is not cold"},
             {"1 a\n12 a\n", "2 x\n", "12 x\n", "lab:1:1: user target:12 has no train event"},
             {"1 a\nme a\n", "2 x\n", "1 x\n", "a.tsv:2:1: user \"me\" is no number; ids below 10"},
             {"1 a\n", "2\n", "1 x\n", "a.csv:1: 1 columns, but the item is column 2"},
             {"1 a\n", "2 x\n", "", "lab: the file is empty"}};
  for (size_t k = 0; k < sizeof bad / sizeof *bad; k++) {
    struct xf_cold c;
    struct xf_diag diag;
    xf_diag_init(&diag);
    assert_int_equal(load(&c, bad[k].source, bad[k].target, bad[k].test, &diag), XF_E_FORMAT);
    datatest_says(&diag, bad[k].says);
    assert_int_equal(c.source.n, 0);
  }
}

static void test_cdrib(void **state) {
  (void)state;
  static const char *const names[4] = {"video_game/train.txt.gz", "game_video/train.txt.gz",
                                       "game_video/valid.txt.gz", "game_video/test.txt.gz"};
  for (int k = 0; k < 4; k++) {
    char name[64];
    (void)snprintf(name, sizeof name, "amazon-cdrib-coldstart/%s", names[k]);
    const char *real = datatest_real(name);
    if (!real) {
      print_message("no data set amazon-cdrib-coldstart: set CROSSFED_DATA\n");
      skip();
    } else (void)snprintf(paths[k], sizeof paths[k], "%s", real);
  }
  const struct xf_cold_files files = {paths[0], paths[1], paths[2], paths[3]};
  struct xf_cold c;
  assert_int_equal(xf_cold_load(&c, &files, 2179, NULL), XF_OK);
  assert_int_equal(c.target.n, 155036);
  assert_int_equal(c.target.users.n, 24799);
  assert_int_equal(c.target.items.n, 12319);
  assert_int_equal(c.source.users.n, 19240);
  assert_int_equal(c.count.both, 1736);
  assert_int_equal(xf_csr_count(&c.held[XF_PART_VALID]), 1381);
  assert_int_equal(xf_csr_count(&c.held[XF_PART_TEST]), 1304);
  assert_int_equal(c.count.users[XF_PART_VALID], 213);
  assert_int_equal(c.count.users[XF_PART_TEST], 212);
  assert_int_equal(c.count.no_train[XF_PART_TEST], 0);
  xf_cold_deinit(&c);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_by_hand),
                                     cmocka_unit_test(test_refusals), cmocka_unit_test(test_cdrib)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
