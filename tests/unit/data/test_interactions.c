// Loading interactions: formats, filters, and what bad files are told.
#include "data/interactions.h"
#include "data/lines.h"
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

static const struct xf_interactions_spec full = {
    .user = 1, .item = 2, .domain = 3, .value = 4, .time = 5};
static struct xf_diag diag;

static enum xf_rc load(struct xf_interactions *x, const char *path,
                       const struct xf_interactions_spec *spec) {
  xf_diag_init(&diag);
  return xf_interactions_load(x, path, spec, &diag);
}

static enum xf_rc load_text(struct xf_interactions *x, const char *text,
                            const struct xf_interactions_spec *spec) {
  return load(x, datatest_file("a.tsv", text, strlen(text)), spec);
}

static void test_tsv(void **state) {
  (void)state;
  struct xf_interactions x;
  assert_int_equal(load_text(&x,
                             "\xef\xbb\xbf"
                             "bob\ti9\tA\t4.5\t100\r\n\n007\ti9\tB\t1\t90\nbob\tk\tA\t2\t95",
                             &full),
                   XF_OK);
  assert_int_equal(x.n, 3);
  assert_int_equal(x.users.n, 2);
  assert_string_equal(xf_names_get(&x.users, x.user[0]), "bob");
  assert_string_equal(xf_names_get(&x.users, x.user[1]), "007");
  assert_int_equal(x.user[2], 0);
  assert_int_equal(x.item[2], 1);
  assert_int_equal(x.domain[1], 1);
  assert_true(x.value[0] == 4.5f && x.time[1] == 90.0);
  assert_int_equal(xf_names_find(&x.items, "k", 1), 1);
  assert_int_equal(xf_names_find(&x.items, "kk", 2), XF_NO_ID);
  assert_false(x.count.header);
  xf_interactions_deinit(&x);
}

static void test_header_csv_quotes(void **state) {
  (void)state;
  struct xf_interactions x;
  const struct xf_interactions_spec s = {.user = 1, .item = 2, .value = 3};
  assert_int_equal(load_text(&x, "user,item,stars\n\"a, b\",\"say \"\"x\"\"\",3\nc,d,4\n", &s),
                   XF_OK);
  assert_true(x.count.header);
  assert_int_equal(x.n, 2);
  assert_string_equal(xf_names_get(&x.users, 0), "a, b");
  assert_string_equal(xf_names_get(&x.items, 0), "say \"x\"");
  assert_null(x.time);
  xf_interactions_deinit(&x);
  assert_int_equal(load_text(&x, "1::20::3\n2::20::4\n", &s), XF_OK);
  assert_int_equal(x.items.n, 1);
  xf_interactions_deinit(&x);
}

static void test_inter(void **state) {
  (void)state;
  struct xf_interactions x;
  const struct xf_interactions_spec s = {0};
  assert_int_equal(load_text(&x,
                             "timestamp:float\tuser_id:token\titem_id:token\trating:float\n"
                             "1.5\tu\ti\t5\n",
                             &s),
                   XF_OK);
  assert_int_equal(x.n, 1);
  assert_true(x.time[0] == 1.5 && x.value[0] == 5.0f);
  xf_interactions_deinit(&x);
}

static void test_filters(void **state) {
  (void)state;
  const char *text = "u\ta\tA\t5\t1\nv\tb\tB\t1\t2\nw\tb\tB\t4\t3\n";
  struct xf_interactions x;
  struct xf_interactions_spec s = full;
  s.only_domain = "B";
  assert_int_equal(load_text(&x, text, &s), XF_OK);
  assert_int_equal(x.n, 2);
  assert_int_equal(x.count.other_domain, 1);
  assert_string_equal(xf_names_get(&x.users, 0), "v");
  xf_interactions_deinit(&x);
  s.has_min_value = true;
  s.min_value = 3;
  assert_int_equal(load_text(&x, text, &s), XF_OK);
  assert_int_equal(x.n, 1);
  assert_int_equal(x.count.low_value, 1);
  xf_interactions_deinit(&x);
  s.only_domain = "C";
  assert_int_equal(load_text(&x, text, &s), XF_E_NOTFOUND);
  datatest_says(&diag, "no event of domain \"C\"; the file has: A, B");
  s.only_domain = NULL;
  s.min_value = 9;
  assert_int_equal(load_text(&x, text, &s), XF_E_FORMAT);
  datatest_says(&diag, "at least 9");
}

/* A domain selected from the whole file is the domain loaded alone. */
static void test_select_is_load(void **state) {
  (void)state;
  const char *text = "u\ta\tA\t5\t1\nv\tb\tB\t1\t2\nu\tb\tB\t4\t3\nw\ta\tA\t4\t3\n";
  struct xf_interactions all, one, sel;
  struct xf_interactions_spec s = full;
  assert_int_equal(load_text(&all, text, &s), XF_OK);
  s.only_domain = "B";
  assert_int_equal(load_text(&one, text, &s), XF_OK);
  assert_int_equal(xf_interactions_select(&sel, &all, all.domain, 1), XF_OK);
  assert_int_equal(one.n, sel.n);
  assert_memory_equal(one.user, sel.user, one.n * sizeof *one.user);
  assert_memory_equal(one.time, sel.time, one.n * sizeof *one.time);
  assert_string_equal(xf_names_get(&sel.users, 1), "u");
  char path[XF_PATH_MAX];
  memcpy(path, datatest_file("a.csv", "", 0), sizeof path);
  assert_int_equal(xf_interactions_save(&sel, path, &diag), XF_OK);
  xf_interactions_deinit(&sel);
  assert_int_equal(load(&sel, path, &full), XF_OK);
  assert_memory_equal(one.item, sel.item, one.n * sizeof *one.item);
  xf_interactions_deinit(&all);
  xf_interactions_deinit(&one);
  xf_interactions_deinit(&sel);
}

static void test_bad_files(void **state) {
  (void)state;
  static const struct {
    const char *text;
    enum xf_rc rc;
    const char *says;
  } cases[] = {
      {"", XF_E_FORMAT, "a.tsv: the file is empty"},
      {"u\ti\tA\tx\t1\n", XF_E_FORMAT, "only a header"},
      {"u\ti\tA\t1\t1\nu\ti\tA\tfive\t1\n", XF_E_FORMAT,
       "a.tsv:2:4: value must be a number, found \"five\""},
      {"u\ti\tA\t1\t1\nu\ti\tA\tnan\t1\n", XF_E_NAN, "a.tsv:2:4: value is \"nan\""},
      {"u\ti\tA\t1\t1\nu\ti\tA\t1\t-inf\n", XF_E_NAN, "a.tsv:2:5: time is \"-inf\""},
      {"u\ti\tA\t1\t1\nu\ti\tA\t1e999\t1\n", XF_E_RANGE,
       "a.tsv:2:4: value \"1e999\" is out of range"},
      {"u\ti\tA\t1\t1\nu\ti\tA\t1e39\t1\n", XF_E_RANGE, "does not fit a 32-bit float"},
      {"u\ti\tA\t1\t1\nu\ti\tA\t1\n", XF_E_FORMAT, "a.tsv:2: 4 columns, but the time is column 5"},
      {"u\ti\tA\t1\t1\nu\t\tA\t1\t1\n", XF_E_FORMAT, "a.tsv:2:2: the item is empty"},
      {"u i\n", XF_E_FORMAT, "2 columns, but the domain is column 3"},
      {"u\ti\tA\t\t1\n", XF_E_FORMAT, "a.tsv:1:4: the value is empty"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct xf_interactions x;
    if (load_text(&x, cases[i].text, &full) != cases[i].rc)
      fail_msg("case %zu: \"%s\"", i, diag.text);
    datatest_says(&diag, cases[i].says);
    assert_int_equal(x.n, 0);
  }
}

static void test_bad_bytes(void **state) {
  (void)state;
  struct xf_interactions x;
  assert_int_equal(load(&x, datatest_file("a.tsv", "u\ti\tA\t1\t1\nu\0i\n", 14), &full),
                   XF_E_FORMAT);
  datatest_says(&diag, "a.tsv:2: a NUL byte");
  assert_int_equal(load(&x, "/nonexistent/a.tsv", &full), XF_E_NOTFOUND);
  datatest_says(&diag, "/nonexistent/a.tsv: cannot open: No such file");
  assert_int_equal(load(&x, "/tmp", &full), XF_E_IO);
  char *line = malloc(XF_LINES_LINE_MAX + 2);
  assert_non_null(line);
  memset(line, 'a', XF_LINES_LINE_MAX + 2);
  assert_int_equal(load(&x, datatest_file("a.tsv", line, XF_LINES_LINE_MAX + 2), &full),
                   XF_E_LIMIT);
  datatest_says(&diag, "a.tsv:1: a line longer than");
  free(line);
  const struct xf_interactions_spec quoted = {.user = 1, .item = 2};
  assert_int_equal(load_text(&x, "a,b\n\"c,d\n", &quoted), XF_E_FORMAT);
  datatest_says(&diag, "a.tsv:2:1: the quote does not end");
}

static void test_bad_columns(void **state) {
  (void)state;
  struct xf_interactions x;
  struct xf_interactions_spec s = {.item = 2};
  assert_int_equal(load_text(&x, "u\ti\n", &s), XF_E_INVAL);
  datatest_says(&diag, "columns.user is not given");
  s = (struct xf_interactions_spec){.user = 1, .item = 2, .only_domain = "x"};
  assert_int_equal(load_text(&x, "u\ti\n", &s), XF_E_INVAL);
  datatest_says(&diag, "columns.domain is not given");
  s = (struct xf_interactions_spec){.user = 1, .item = 2, .max_rows = 2};
  assert_int_equal(load_text(&x, "u\ti\nu\tj\nu\tk\n", &s), XF_E_LIMIT);
  datatest_says(&diag, "a.tsv:3: more than 2 events");
}

static void test_gzip(void **state) {
  (void)state;
  static char text[40000];
  size_t at = 0;
  for (unsigned i = 0; at + 40 < sizeof text; i++)
    at += (size_t)snprintf(text + at, sizeof text - at, "u%u\ti%u\tA\t1\t%u\n", i * 7919 % 997,
                           i * 31 % 211, i);
  struct xf_interactions x;
  assert_int_equal(load(&x, datatest_gzip("a.tsv.gz", text, SIZE_MAX), &full), XF_OK);
  assert_true(x.n > 1000);
  xf_interactions_deinit(&x);
  assert_int_equal(load(&x, datatest_gzip("a.tsv.gz", text, 2000), &full), XF_E_CORRUPT);
  datatest_says(&diag, "ends in the middle");
}

static void test_ciao(void **state) {
  (void)state;
  const char *path = datatest_real("ciao/rating.tsv.gz");
  if (!path) {
    print_message("no data set ciao: set CROSSFED_DATA\n");
    skip();
  }
  struct xf_interactions x;
  const struct xf_interactions_spec s = {.user = 1, .item = 2, .domain = 3, .value = 4, .time = 6};
  assert_int_equal(load(&x, path, &s), XF_OK);
  assert_int_equal(x.n, 194622);
  assert_int_equal(x.domains.n, 8);
  xf_interactions_deinit(&x);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_tsv),
      cmocka_unit_test(test_header_csv_quotes),
      cmocka_unit_test(test_inter),
      cmocka_unit_test(test_filters),
      cmocka_unit_test(test_select_is_load),
      cmocka_unit_test(test_bad_files),
      cmocka_unit_test(test_bad_bytes),
      cmocka_unit_test(test_bad_columns),
      cmocka_unit_test(test_gzip),
      cmocka_unit_test(test_ciao),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
