// Targets: decoding, what is refused and how it is said, parameters as numbers and switches.
#include "http/query.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
// cmocka wants the four above first
#include <cmocka.h>

static struct xf_http_query q;
static struct xf_diag diag;

static enum xf_rc parse(const char *target) {
  xf_diag_init(&diag);
  return xf_http_query_parse(&q, target, strlen(target), &diag);
}

static void test_decode(void **state) {
  (void)state;
  assert_int_equal(parse("/v1/recommend?user=a%20b%2Bc+d&k=10&&x&y=&%3D=%26&z=%C3%BC=1"), XF_OK);
  assert_string_equal(q.path, "/v1/recommend");
  static const struct xf_http_pair want[] = {{"user", "a b+c d"}, {"k", "10"}, {"x", ""},
                                             {"y", ""},           {"=", "&"},  {"z", "\xc3\xbc=1"}};
  assert_int_equal(q.n, 6);
  for (size_t i = 0; i < q.n; i++) {
    assert_string_equal(q.pair[i].name, want[i].name);
    assert_string_equal(q.pair[i].value, want[i].value);
  }
  assert_int_equal(parse("/a%2fb+c?"), XF_OK); // a plus sign is itself in a path
  assert_string_equal(q.path, "/a/b+c");
  assert_int_equal(q.n, 0);
  assert_int_equal(parse("/?a?b=c"), XF_OK);
  assert_string_equal(q.pair[0].name, "a?b");
}

static void test_refused(void **state) {
  (void)state;
  static const struct {
    const char *target, *text;
  } bad[] = {{"", "slash"},           {"v1", "slash"},
             {"*", "slash"},          {"http://h/", "slash"},
             {"/%", "hexadecimal"},   {"/%4", "hexadecimal"},
             {"/%4g", "hexadecimal"}, {"/?a=%zz", "value"},
             {"/?%=1", "name"},       {"/?a=%00", "NUL"},
             {"/?a=%ff", "UTF-8"},    {"/\xff", "UTF-8"},
             {"/?a=%C3", "UTF-8"},    {"/?a=%ED%A0%80", "UTF-8"},
             {"/?a b", "0x20"},       {"/?a=\x7f", "0x7f"},
             {"/\n", "0x0a"},         {"/?a#b", "0x23"}};
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    assert_int_equal(parse(bad[i].target), XF_E_FORMAT);
    if (!strstr(diag.text, bad[i].text)) fail_msg("%s: %s", bad[i].target, diag.text);
  }
}

static void test_limits(void **state) {
  (void)state;
  char long_one[XF_HTTP_TARGET_MAX + 2];
  memset(long_one, 'a', sizeof long_one);
  long_one[0] = '/';
  xf_diag_init(&diag);
  assert_int_equal(xf_http_query_parse(&q, long_one, XF_HTTP_TARGET_MAX, &diag), XF_OK);
  assert_int_equal(strlen(q.path), XF_HTTP_TARGET_MAX);
  assert_int_equal(xf_http_query_parse(&q, long_one, XF_HTTP_TARGET_MAX + 1, &diag), XF_E_LIMIT);
  // names alone: each grows by its second NUL
  long_one[1] = '?';
  for (size_t i = 2; i < sizeof long_one; i++) long_one[i] = i % 2 ? '&' : 'a';
  assert_int_equal(xf_http_query_parse(&q, long_one, 2 + 2 * XF_HTTP_PAIRS, &diag), XF_OK);
  assert_int_equal(q.n, XF_HTTP_PAIRS);
  assert_int_equal(xf_http_query_parse(&q, long_one, 3 + 2 * XF_HTTP_PAIRS, &diag), XF_E_LIMIT);
  memset(long_one + 2 * XF_HTTP_PAIRS, 'a', sizeof long_one - 2 * XF_HTTP_PAIRS);
  assert_int_equal(xf_http_query_parse(&q, long_one, XF_HTTP_TARGET_MAX, &diag), XF_OK);
  assert_int_equal(strlen(q.pair[q.n - 1].name), XF_HTTP_TARGET_MAX - 2 * XF_HTTP_PAIRS);
}

static void test_check(void **state) {
  (void)state;
  static const struct xf_http_param known[] = {{"user", false}, {"history", true}, {"k", false}};
  assert_int_equal(parse("/?history=a&user=b&history=c"), XF_OK);
  assert_int_equal(xf_http_query_check(&q, known, 3, &diag), XF_OK);
  assert_string_equal(xf_http_query_find(&q, "history"), "a");
  assert_null(xf_http_query_find(&q, "k"));
  assert_int_equal(parse("/?user=a&user=a"), XF_OK);
  assert_int_equal(xf_http_query_check(&q, known, 3, &diag), XF_E_INVAL);
  assert_non_null(strstr(diag.text, "twice"));
  assert_int_equal(parse("/?usr=a"), XF_OK);
  assert_int_equal(xf_http_query_check(&q, known, 3, &diag), XF_E_INVAL);
  assert_non_null(strstr(diag.text, "did you mean \"user\""));
}

static void test_values(void **state) {
  (void)state;
  uint32_t k = 0;
  bool b = false;
  assert_int_equal(parse("/?k=1000&on=1&off=false&bare&odd=yes&neg=-1&big=99999999999&empty="),
                   XF_OK);
  assert_int_equal(xf_http_query_uint(&q, "k", &k, 10, 1, 1000, &diag), XF_OK);
  assert_int_equal(k, 1000);
  assert_int_equal(xf_http_query_uint(&q, "none", &k, 10, 1, 1000, &diag), XF_OK);
  assert_int_equal(k, 10);
  assert_int_equal(xf_http_query_uint(&q, "k", &k, 10, 1, 999, &diag), XF_E_RANGE);
  assert_non_null(strstr(diag.text, "k is \"1000\"; it must be a whole number from 1 to 999"));
  static const char *const bad[] = {"neg", "big", "empty", "odd"};
  for (size_t i = 0; i < 4; i++)
    assert_int_equal(xf_http_query_uint(&q, bad[i], &k, 1, 1, UINT32_MAX, &diag), XF_E_RANGE);
  assert_int_equal(xf_http_query_bool(&q, "on", &b, &diag), XF_OK);
  assert_true(b);
  assert_int_equal(xf_http_query_bool(&q, "bare", &b, &diag), XF_OK);
  assert_true(b);
  assert_int_equal(xf_http_query_bool(&q, "off", &b, &diag), XF_OK);
  assert_false(b);
  assert_int_equal(xf_http_query_bool(&q, "none", &b, &diag), XF_OK);
  assert_false(b);
  assert_int_equal(xf_http_query_bool(&q, "odd", &b, &diag), XF_E_FORMAT);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_decode), cmocka_unit_test(test_refused),
                                     cmocka_unit_test(test_limits), cmocka_unit_test(test_check),
                                     cmocka_unit_test(test_values)};
  return cmocka_run_group_tests_name("query", tests, NULL, NULL);
}
