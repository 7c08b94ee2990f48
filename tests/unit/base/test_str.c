/* Strict numbers, bounded copies, "did you mean". */
#include "base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void test_copy(void **state) {
  (void)state;
  char out[6] = "xxxxx";
  assert_int_equal(xf_str_copy(out, sizeof out, "hello"), XF_OK);
  assert_string_equal(out, "hello");
  assert_int_equal(xf_str_copy(out, sizeof out, "hello!"), XF_E_LIMIT);
  assert_string_equal(out, "");
  assert_int_equal(xf_str_copy(out, 0, ""), XF_E_LIMIT);
}

static void test_i64(void **state) {
  (void)state;
  static const struct {
    const char *s;
    enum xf_rc rc;
    int64_t v;
  } rows[] = {
      {"0", XF_OK, 0},
      {"-7", XF_OK, -7},
      {"+7", XF_OK, 7},
      {"9223372036854775807", XF_OK, INT64_MAX},
      {"-9223372036854775808", XF_OK, INT64_MIN},
      {"9223372036854775808", XF_E_RANGE, 0},
      {"-9223372036854775809", XF_E_RANGE, 0},
      {"", XF_E_FORMAT, 0},
      {"-", XF_E_FORMAT, 0},
      {"--1", XF_E_FORMAT, 0},
      {"5x", XF_E_FORMAT, 0},
      {" 5", XF_E_FORMAT, 0},
      {"5 ", XF_E_FORMAT, 0},
      {"0x10", XF_E_FORMAT, 0},
      {"1e3", XF_E_FORMAT, 0},
      {"1.0", XF_E_FORMAT, 0},
      {"1-2", XF_E_FORMAT, 0},
  };
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    int64_t v = 99;
    assert_int_equal(xf_str_i64(&v, rows[i].s, strlen(rows[i].s)), rows[i].rc);
    assert_true(v == (rows[i].rc ? 99 : rows[i].v));
  }
  int64_t v = 0;
  assert_int_equal(xf_str_i64(&v, "123garbage", 3), XF_OK); /* the length is the text's end */
  assert_int_equal(v, 123);
  assert_int_equal(xf_str_i64(&v, "1\0002", 3), XF_E_FORMAT);
  char many[80];
  memset(many, '1', sizeof many);
  assert_int_equal(xf_str_i64(&v, many, sizeof many), XF_E_FORMAT);
}

static void test_u64(void **state) {
  (void)state;
  uint64_t v = 99;
  assert_int_equal(xf_str_u64(&v, "18446744073709551615", 20), XF_OK);
  assert_true(v == UINT64_MAX);
  assert_int_equal(xf_str_u64(&v, "18446744073709551616", 20), XF_E_RANGE);
  assert_int_equal(xf_str_u64(&v, "-1", 2), XF_E_FORMAT); /* strtoull would wrap it */
  assert_int_equal(xf_str_u64(&v, "+1", 2), XF_E_FORMAT);
  assert_int_equal(xf_str_u64(&v, "", 0), XF_E_FORMAT);
  assert_int_equal(xf_str_u64(&v, "12a", 3), XF_E_FORMAT);
  assert_true(v == UINT64_MAX);
}

static void test_double(void **state) {
  (void)state;
  static const char *const good[] = {"1", "-1.5", "1e-5", "1.0e-4", "0", "+2", "1E3"};
  static const double value[] = {1, -1.5, 1e-5, 1e-4, 0, 2, 1000};
  static const char *const bad[] = {"inf", "nan", "-inf", "0x1p3", "1,5",   "1e", "1e+", "",
                                    ".",   "1 ",  " 1",   "1.2.3", "1e1e1", "-",  "5x"};
  double v = 0;
  for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
    assert_int_equal(xf_str_double(&v, good[i], strlen(good[i])), XF_OK);
    assert_true(v == value[i]);
  }
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
    assert_int_equal(xf_str_double(&v, bad[i], strlen(bad[i])), XF_E_FORMAT);
  assert_int_equal(xf_str_double(&v, "1e999", 5), XF_E_RANGE);
  assert_int_equal(xf_str_double(&v, "-1e999", 6), XF_E_RANGE);
}

static void test_did_you_mean(void **state) {
  (void)state;
  static const char *const words[] = {"quorum", "cohort", "rounds", "min_domains"};
  assert_int_equal(xf_str_distance("kitten", "sitting"), 3);
  assert_int_equal(xf_str_distance("", "abc"), 3);
  assert_int_equal(xf_str_distance("abc", ""), 3);
  assert_int_equal(xf_str_distance("same", "same"), 0);
  char longer[66];
  memset(longer, 'a', 65);
  longer[65] = '\0';
  assert_true(xf_str_distance(longer, "a") == SIZE_MAX);
  assert_true(xf_str_distance("a", longer) == SIZE_MAX);
  longer[64] = '\0';
  assert_int_equal(xf_str_distance(longer, longer), 0);
  assert_string_equal(xf_str_closest("quorom", words, 4), "quorum");
  assert_string_equal(xf_str_closest("round", words, 4), "rounds");
  assert_string_equal(xf_str_closest("min_domain", words, 4), "min_domains");
  assert_null(xf_str_closest("banana", words, 4));
  assert_null(xf_str_closest("quorum", words, 0));
}

static void test_is_id(void **state) {
  (void)state;
  char s[65];
  memset(s, 'a', 64);
  s[64] = '\0';
  assert_false(xf_str_is_id(s));
  s[63] = '\0';
  assert_true(xf_str_is_id(s));
  assert_true(xf_str_is_id("books-2"));
  assert_false(xf_str_is_id(""));
  assert_false(xf_str_is_id("Books"));
  assert_false(xf_str_is_id("a_b"));
  assert_false(xf_str_is_id("a/b"));
}

static void test_utf8(void **state) {
  (void)state;
  assert_true(xf_str_is_utf8(""));
  assert_true(xf_str_is_utf8("a\xc3\xa4\xe2\x82\xac\xf0\x9f\x90\x8d"));
  assert_false(xf_str_is_utf8("\xff"));
  assert_false(xf_str_is_utf8("a\xc3"));            /* cut */
  assert_false(xf_str_is_utf8("\xc0\xaf"));         /* over-long */
  assert_false(xf_str_is_utf8("\xed\xa0\x80"));     /* surrogate */
  assert_false(xf_str_is_utf8("\xf4\x90\x80\x80")); /* above U+10FFFF */
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_copy),         cmocka_unit_test(test_i64),
      cmocka_unit_test(test_u64),          cmocka_unit_test(test_double),
      cmocka_unit_test(test_did_you_mean), cmocka_unit_test(test_is_id),
      cmocka_unit_test(test_utf8),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
