// Tables: roles of columns, missing values, one-hot, scaling, split files, IDX, the four hospitals.
#include "base/alloc.h"
#include "data/idx.h"
#include "data/table.h"
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

static struct xf_diag diag;
static const uint32_t drop[] = {11, 12, 13};
static const struct xf_table_one_hot heart_hot[] = {{.column = 3, .n = 4, .value = {1, 2, 3, 4}},
                                                    {.column = 7, .n = 3, .value = {0, 1, 2}}};
static const struct xf_table_spec heart = {.binary = true,
                                           .drop_missing = true,
                                           .drop = drop,
                                           .n_drop = 3,
                                           .one_hot = heart_hot,
                                           .n_one_hot = 2};

static enum xf_rc load(struct xf_table *t, const char *text, const struct xf_table_spec *spec) {
  xf_diag_init(&diag);
  return xf_table_load(t, datatest_file("a.csv", text, strlen(text)), spec, &diag);
}

static void test_load(void **state) {
  (void)state;
  const struct xf_table_one_hot hot = {.column = 2, .n = 3, .value = {1, 2, 3}};
  const struct xf_table_spec s = {
      .client = 4, .drop_missing = true, .one_hot = &hot, .n_one_hot = 1, .label = 5};
  struct xf_table t;
  assert_int_equal(
      load(&t, "\"age\",sex,len,site,y\n50,2,1.5,A,0\n?,1,2,A,1\n60,3,2.5,B,2\n40,1,,B,2\n", &s),
      XF_OK);
  assert_int_equal(t.n, 2);
  assert_int_equal(t.n_in, 4);
  assert_int_equal(t.n_missing, 2);
  assert_int_equal(t.n_class, 3);
  const float want[] = {50, 1.5f, 1, 0, 60, 2.5f, 0, 1};
  assert_memory_equal(t.x, want, sizeof want);
  assert_int_equal(t.row[1], 2);
  assert_string_equal(xf_names_get(&t.clients, t.client[1]), "B");
  struct xf_table b;
  assert_int_equal(xf_table_select(&b, &t, t.client, 1), XF_OK);
  assert_int_equal(b.n, 1);
  assert_true(b.x[0] == 60.0f && b.y[0] == 2.0f && b.row[0] == 2);
  xf_table_deinit(&b);
  xf_table_deinit(&t);
}

static void test_refusals(void **state) {
  (void)state;
  struct xf_table t;
  const struct xf_table_spec plain = {0};
  const struct xf_table_one_hot hot = {.column = 1, .n = 2, .value = {1, 2}};
  const struct xf_table_spec coded = {.one_hot = &hot, .n_one_hot = 1}, far = {.label = 9};
  static const struct xf_table_spec twice = {.label = 1, .client = 1};
  const struct {
    const char *text;
    const struct xf_table_spec *spec;
    enum xf_rc rc;
    const char *says;
  } cases[] = {
      {"", &plain, XF_E_FORMAT, "empty"},
      {"1,2\n3,?\n", &plain, XF_E_FORMAT,
       "a.csv:2:2: a value is missing; fill it in, or set table.missing"},
      {"1,2\n3,4,5\n", &plain, XF_E_FORMAT, "a.csv:2: 3 columns, but the first line has 2"},
      {"1,2\n3,nan\n", &plain, XF_E_NAN, "a.csv:2:2"},
      {"1,2\nx,1\n", &plain, XF_E_FORMAT, "a.csv:2:1: the value must be a number, found \"x\""},
      {"1,2\n3,1\n", &coded, XF_E_RANGE,
       "a.csv:2:1: 3 is none of the values that table.one_hot lists (1, 2)"},
      {"1,2\n", &far, XF_E_INVAL, "table.label names column 9, but the file has 2"},
      {"1,2\n", &twice, XF_E_INVAL, "already has another role"},
      {"1\n", &plain, XF_E_INVAL, "no input column"},
      {"a,b\n", &plain, XF_E_FORMAT, "no rows are left"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    if (load(&t, cases[i].text, cases[i].spec) != cases[i].rc)
      fail_msg("case %zu: %s", i, diag.text);
    datatest_says(&diag, cases[i].says);
  }
}

static void test_scale_and_split(void **state) {
  (void)state;
  struct xf_table t;
  const struct xf_table_spec plain = {0};
  assert_int_equal(load(&t, "1,5,0\n2,5,0\n3,5,0\n10,7,1\n", &plain), XF_OK);
  const char *text = "row\tset\n0\ttrain\n1\ttrain\n2\ttrain\n3\ttest\n";
  assert_int_equal(
      xf_table_split_file(&t, datatest_file("split.tsv", text, strlen(text)), NULL, &diag), XF_OK);
  assert_int_equal(t.part[3], XF_PART_TEST);
  assert_int_equal(xf_table_standardise(&t, &diag), XF_OK); // train mean 2, std 1
  assert_int_equal(t.n_constant, 1);
  assert_true(fabsf(t.x[0] + 1) < 1e-6f && fabsf(t.x[6] - 8) < 1e-6f && t.x[7] == 0.0f);
  size_t n = 0;
  uint32_t *ids = xf_table_rows(&t, XF_PART_TRAIN, &n);
  assert_int_equal(n, 3);
  assert_int_equal(ids[2], 2);
  xf_free(ids);
  const struct {
    const char *text;
    enum xf_rc rc;
    const char *says;
  } cases[] = {
      {"row\tset\n0\ttrain\n", XF_E_NOTFOUND, "does not say which set row 1"},
      {"row\tset\n0\ttrain\n0\ttest\n", XF_E_CONFLICT, "split.tsv:3:1: row 0 is named twice"},
      {"row\tset\n9\ttrain\n", XF_E_NOTFOUND, "row 9 is not in the data"},
      {"row\tset\n0\tdev\n", XF_E_FORMAT, "found \"dev\""},
      {"a\tb\n", XF_E_FORMAT, "needs a header"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    const char *p = datatest_file("split.tsv", cases[i].text, strlen(cases[i].text));
    assert_int_equal(xf_table_split_file(&t, p, NULL, &diag), cases[i].rc);
    datatest_says(&diag, cases[i].says);
  }
  struct xf_rng rng;
  xf_rng_init(&rng, 1, 0);
  assert_int_equal(xf_table_split_random(&t, .34, .34, &rng, NULL), XF_OK);
  xf_table_deinit(&t);
}

static void test_random_split_is_stratified(void **state) {
  (void)state;
  enum { N = 100 };
  char text[N * 8];
  int at = 0;
  for (int i = 0; i < N; i++)
    at += snprintf(text + at, sizeof text - (size_t)at, "%d,%d\n", i, i % 5 == 0);
  struct xf_table t;
  const struct xf_table_spec plain = {0};
  assert_int_equal(load(&t, text, &plain), XF_OK);
  struct xf_rng rng;
  xf_rng_init(&rng, 1, 0);
  assert_int_equal(xf_table_split_random(&t, .1, .2, &rng, NULL), XF_OK);
  int n[XF_N_PART][2] = {{0}};
  for (size_t i = 0; i < t.n; i++) n[t.part[i]][t.y[i] > 0]++;
  assert_int_equal(n[XF_PART_TEST][0], 16);
  assert_int_equal(n[XF_PART_TEST][1], 4);
  assert_int_equal(n[XF_PART_VALID][1], 2);
  assert_int_equal(xf_table_split_random(&t, .5, .5, &rng, &diag), XF_E_INVAL);
  xf_table_deinit(&t);
}

static void test_hospitals(void **state) {
  (void)state;
  static const struct {
    const char *file;
    size_t n_train, n_test, n_pos;
  } want[] = {{"cleveland", 199, 104, 139},
              {"hungarian", 172, 89, 98},
              {"switzerland", 30, 16, 45},
              {"va", 85, 45, 101}};
  for (int c = 0; c < 4; c++) {
    char name[96], center[2] = {(char)('0' + c), 0}, path[XF_PATH_MAX];
    (void)snprintf(name, sizeof name, "fed-heart-disease/processed.%s.data", want[c].file);
    const char *p = datatest_real(name);
    if (!p) {
      print_message("no data set fed-heart-disease: set CROSSFED_DATA\n");
      skip();
    }
    memcpy(path, p, sizeof path);
    struct xf_table t;
    xf_diag_init(&diag);
    if (xf_table_load(&t, path, &heart, &diag)) fail_msg("%s", diag.text);
    if (xf_table_split_file(&t, datatest_real("fed-heart-disease/flamby-split.tsv"), center, &diag))
      fail_msg("%s", diag.text);
    size_t n[XF_N_PART] = {0}, pos = 0;
    for (size_t i = 0; i < t.n; i++) n[t.part[i]]++, pos += t.y[i] > 0;
    assert_int_equal(t.n_in, 13);
    assert_int_equal(n[XF_PART_TRAIN], want[c].n_train);
    assert_int_equal(n[XF_PART_TEST], want[c].n_test);
    assert_int_equal(pos, want[c].n_pos);
    assert_int_equal(xf_table_standardise(&t, &diag), XF_OK);
    for (size_t i = 0; i < t.n * t.n_in; i++) assert_true(fabsf(t.x[i]) < 20);
    print_message("%s: %u inputs constant in train\n", want[c].file, t.n_constant);
    xf_table_deinit(&t);
  }
}

static void test_idx(void **state) {
  (void)state;
  const uint8_t img[] = {0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2, 0, 255, 51, 102};
  const uint8_t lab[] = {0, 0, 8, 1, 0, 0, 0, 2, 7, 3};
  char pi[XF_PATH_MAX], pl[XF_PATH_MAX];
  memcpy(pi, datatest_file("img", img, sizeof img), sizeof pi);
  memcpy(pl, datatest_file("lab", lab, sizeof lab), sizeof pl);
  struct xf_table t, more;
  assert_int_equal(xf_idx_load(&t, pi, pl, XF_PART_TRAIN, NULL), XF_OK);
  assert_int_equal(t.n_in, 2);
  assert_int_equal(t.n_class, 8);
  assert_int_equal(xf_idx_load(&more, pi, pl, XF_PART_TEST, NULL), XF_OK);
  assert_int_equal(xf_idx_append(&t, &more, NULL), XF_OK);
  assert_int_equal(t.n, 4);
  float x[4];
  xf_table_gather(&t, (uint32_t[]){3, 0}, 2, x);
  assert_true(fabsf(x[0] - .2f) < 1e-6f && fabsf(x[1] - .4f) < 1e-6f && x[2] == 0.0f &&
              x[3] == 1.0f);
  xf_table_deinit(&more);
  xf_table_deinit(&t);
  assert_int_equal(xf_idx_load(&t, pl, pl, XF_PART_TRAIN, &diag), XF_E_SHAPE);
  assert_int_equal(
      xf_idx_load(&t, datatest_file("img", img, sizeof img - 1), pl, XF_PART_TRAIN, &diag),
      XF_E_CORRUPT);
  datatest_says(&diag, "ends too early");
  assert_int_equal(
      xf_idx_load(&t, datatest_file("img", "hello, world", 12), pl, XF_PART_TRAIN, &diag),
      XF_E_FORMAT);
  datatest_says(&diag, "starts with 68 65");
  const uint8_t huge[] = {0, 0, 8, 3, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255};
  const uint8_t labels[] = {0, 0, 8, 1, 255, 255, 255, 255};
  memcpy(pl, datatest_file("lab", labels, sizeof labels), sizeof pl);
  assert_int_equal(
      xf_idx_load(&t, datatest_file("img", huge, sizeof huge), pl, XF_PART_TRAIN, &diag),
      XF_E_LIMIT);
}

static void test_mnist(void **state) {
  (void)state;
  char images[XF_PATH_MAX];
  const char *p = datatest_real("mnist/t10k-images-idx3-ubyte.gz");
  if (!p) {
    print_message("no data set mnist: set CROSSFED_DATA\n");
    skip();
  }
  memcpy(images, p, sizeof images);
  struct xf_table t;
  assert_int_equal(
      xf_idx_load(&t, images, datatest_real("mnist/t10k-labels-idx1-ubyte.gz"), XF_PART_TEST, NULL),
      XF_OK);
  assert_int_equal(t.n, 10000);
  assert_int_equal(t.n_in, 784);
  size_t zeros = 0;
  for (size_t i = 0; i < t.n; i++) zeros += t.y[i] == 0.0f;
  assert_int_equal(zeros, 980);
  xf_table_deinit(&t);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_load),
      cmocka_unit_test(test_refusals),
      cmocka_unit_test(test_scale_and_split),
      cmocka_unit_test(test_random_split_is_stratified),
      cmocka_unit_test(test_hospitals),
      cmocka_unit_test(test_idx),
      cmocka_unit_test(test_mnist),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
