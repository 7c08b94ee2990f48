// Categories of items: by hand, other columns, gzip, every finding with its first line, every refusal, MovieLens.
#include "data/categories.h"
#include "datatest.h"

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

static void names_init(struct xf_names *items, const char *keys) {
  uint32_t id = 0;
  xf_names_init(items);
  for (const char *k = keys; *k; k++) assert_int_equal(xf_names_add(items, &id, k, 1), XF_OK);
}

static void test_by_hand(void **state) {
  (void)state;
  static const char text[] = "b\tAction| War \nx\tAction\na\tDrama|Action|Drama\nb\tAction|Comedy\n"
                             "c\t |\ny\tWar\n";
  static const uint32_t want_start[] = {0, 2, 5, 5, 5}, want[] = {0, 2, 0, 1, 3};
  struct xf_names items;
  struct xf_categories c;
  names_init(&items, "abcd");
  for (int gz = 0; gz < 2; gz++) {
    const char *path = gz ? datatest_gzip("c.tsv.gz", text, SIZE_MAX)
                          : datatest_file("c.tsv", text, sizeof text - 1);
    assert_int_equal(xf_categories_load(&c, path, &items, NULL, NULL), XF_OK);
    assert_int_equal(c.n, 4);
    assert_string_equal(xf_names_get(&c.names, 1), "War");
    assert_string_equal(xf_names_get(&c.names, 3), "Comedy");
    assert_int_equal(c.of.n_row, 4);
    assert_memory_equal(c.of.start, want_start, sizeof want_start);
    assert_memory_equal(c.of.item, want, sizeof want);
    static const struct {
      uint64_t count, line;
      const char *example;
    } finding[XF_N_CATEGORY_FINDING] = {
        [XF_CATEGORY_UNKNOWN] = {2, 2, "item \"x\""},
        [XF_CATEGORY_REPEATS] = {1, 4, "item \"b\""},
        [XF_CATEGORY_TWICE] = {1, 3, "item \"a\" has twice \"Drama\""},
        [XF_CATEGORY_EMPTY] = {1, 5, "item \"c\""},
        [XF_CATEGORY_MISSING] = {2, 0, "item \"c\""}};
    for (int f = 0; f < XF_N_CATEGORY_FINDING; f++) {
      assert_int_equal(c.finding[f].count, finding[f].count);
      assert_int_equal(c.finding[f].line, finding[f].line);
      assert_string_equal(c.finding[f].example, finding[f].example);
    }
    xf_categories_deinit(&c);
    xf_categories_deinit(&c);
  }
  assert_string_equal(xf_category_finding_name(XF_CATEGORY_UNKNOWN), "unknown_items");
  assert_non_null(strstr(xf_category_finding_text(XF_CATEGORY_EMPTY), "without a category"));
  assert_non_null(strstr(xf_category_finding_fix(XF_CATEGORY_REPEATS), "one line per item"));
  xf_names_deinit(&items);
}

static void test_columns(void **state) {
  (void)state;
  static const char text[] = "1::Toy Story (1995)::Animation|Comedy\n2::Jumanji::Adventure\n";
  const struct xf_categories_spec spec = {.category = 3, .sep = ':'};
  struct xf_names items;
  struct xf_categories c;
  names_init(&items, "21");
  const char *path = datatest_file("movies.dat", text, sizeof text - 1);
  assert_int_equal(xf_categories_load(&c, path, &items, &spec, NULL), XF_OK);
  assert_int_equal(c.n, 3);
  assert_int_equal(c.of.start[1], 1);
  assert_int_equal(c.of.item[0], 2);
  xf_categories_deinit(&c);
  const struct xf_categories_spec same = {.item = 2}, bar = {.sep = '|'};
  assert_int_equal(xf_categories_load(&c, path, &items, &same, NULL), XF_E_INVAL);
  assert_int_equal(xf_categories_load(&c, path, &items, &bar, NULL), XF_E_INVAL);
  xf_names_deinit(&items);
}

static void test_refusals(void **state) {
  (void)state;
  static const struct {
    const char *text, *says;
  } bad[] = {{"a\tx\nb\n", "c.tsv:2: 1 column, 2 are needed"},
             {"x\tAction\n", "none of the 2 items of the data has a category"},
             {"a\t|\nb\t\n", "none of the 2 items"}};
  struct xf_names items;
  struct xf_categories c;
  struct xf_diag diag;
  names_init(&items, "ab");
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    xf_diag_init(&diag);
    const char *path = datatest_file("c.tsv", bad[i].text, strlen(bad[i].text));
    assert_int_equal(xf_categories_load(&c, path, &items, NULL, &diag), XF_E_FORMAT);
    datatest_says(&diag, bad[i].says);
    assert_int_equal(c.n, 0);
    assert_null(c.of.start);
  }
  static char deep[XF_NAMES_KEY_MAX + 4] = "a\t";
  memset(deep + 2, 'g', XF_NAMES_KEY_MAX + 1);
  xf_diag_init(&diag);
  assert_int_equal(
      xf_categories_load(&c, datatest_file("c.tsv", deep, sizeof deep - 1), &items, NULL, &diag),
      XF_E_FORMAT);
  datatest_says(&diag, "c.tsv:1:2: the category \"ggg");
  assert_int_equal(xf_categories_load(&c, "/nonexistent/c.tsv", &items, NULL, NULL), XF_E_NOTFOUND);
  const char *cut = datatest_gzip("c.tsv.gz", "a\tAction|Comedy|Drama|Thriller\n", 20);
  assert_int_not_equal(xf_categories_load(&c, cut, &items, NULL, NULL), XF_OK);
  xf_names_deinit(&items);
}

static void test_movielens(void **state) {
  (void)state;
  struct xf_names items;
  struct xf_categories c;
  char key[16];
  const char *path = datatest_real("ml-1m/movies.dat.gz");
  if (!path) {
    print_message("no data set ml-1m: set CROSSFED_DATA\n");
    skip();
  }
  xf_names_init(&items);
  for (uint32_t i = 1, id = 0; i <= 100; i++) {
    const int len = snprintf(key, sizeof key, "%u", i);
    assert_int_equal(xf_names_add(&items, &id, key, (size_t)len), XF_OK);
  }
  const struct xf_categories_spec spec = {.category = 3, .sep = ':'};
  assert_int_equal(xf_categories_load(&c, path, &items, &spec, NULL), XF_OK);
  assert_int_equal(c.of.start[1], 3); // Toy Story: Animation, Children's, Comedy
  assert_true(c.n >= 10 && c.n <= 18);
  assert_int_equal(c.finding[XF_CATEGORY_REPEATS].count, 0);
  xf_categories_deinit(&c);
  xf_names_deinit(&items);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_by_hand),
      cmocka_unit_test(test_columns),
      cmocka_unit_test(test_refusals),
      cmocka_unit_test(test_movielens),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
