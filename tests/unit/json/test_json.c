/* Reading: places of errors, limits, kinds, hostile texts. */
#include "json/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static enum xf_rc parse(struct xf_json **out, const char *text, struct xf_diag *diag) {
  xf_diag_init(diag);
  return xf_json_parse(out, "x.json", text, strlen(text), NULL, diag);
}

static enum xf_rc count_key(void *arg, const char *key, const struct xf_json_value *v) {
  char *all = arg;
  size_t n = strlen(all);
  snprintf(all + n, 100 - n, "%s:%d ", key, (int)xf_json_kind_of(v));
  return XF_OK;
}

static enum xf_rc stop(void *arg, const char *key, const struct xf_json_value *v) {
  (void)key;
  (void)v;
  ++*(int *)arg;
  return XF_E_CANCELLED;
}

static void test_values(void **state) {
  (void)state;
  struct xf_json *json;
  struct xf_diag diag;
  int rc = parse(&json,
                 "{\"s\": \"a\\u00e9\", \"i\": -3, \"u\": 9223372036854775807, \"d\": 1.5e-3,"
                 " \"t\": true, \"n\": null, \"a\": [1, 2.5, \"x\"], \"o\": {}}",
                 &diag);
  if (rc) fail_msg("%s", diag.text);
  const struct xf_json_value *root = xf_json_root(json);
  const char *s = NULL;
  int64_t i = 0;
  uint64_t u = 0;
  double d = 0;
  bool b = false;
  assert_int_equal(xf_json_get_str(root, "s", &s, &diag), XF_OK);
  assert_string_equal(s, "a\xc3\xa9");
  assert_int_equal(xf_json_get_int(root, "i", &i, &diag), XF_OK);
  assert_int_equal(i, -3);
  assert_int_equal(xf_json_get_uint(root, "u", &u, &diag), XF_OK);
  assert_true(u == INT64_MAX);
  assert_int_equal(xf_json_get_double(root, "d", &d, &diag), XF_OK);
  assert_true(d == 1.5e-3);
  assert_int_equal(xf_json_get_double(root, "i", &d, &diag), XF_OK);
  assert_true(d == -3);
  assert_int_equal(xf_json_get_bool(root, "t", &b, &diag), XF_OK);
  assert_true(b);
  assert_int_equal(xf_json_kind_of(xf_json_find(root, "n")), XF_JSON_NULL);
  assert_int_equal(xf_json_kind_of(xf_json_find(root, "zz")), XF_JSON_ABSENT);
  const struct xf_json_value *a = xf_json_find(root, "a");
  assert_int_equal(xf_json_len(a), 3);
  assert_true(xf_json_double(xf_json_at(a, 1), &d) && d == 2.5);
  assert_null(xf_json_at(a, 3));
  assert_null(xf_json_at(root, 0));
  assert_null(xf_json_find(a, "x"));
  assert_int_equal(xf_json_len(root), 8);
  assert_int_equal(xf_json_len(NULL), 0);
  char all[100] = "";
  assert_int_equal(xf_json_each(root, count_key, all), XF_OK);
  assert_string_equal(all, "s:5 i:3 u:3 d:4 t:2 n:1 a:6 o:7 ");
  int n = 0;
  assert_int_equal(xf_json_each(root, stop, &n), XF_E_CANCELLED);
  assert_int_equal(n, 1);
  assert_int_equal(xf_json_each(a, stop, &n), XF_E_FORMAT);

  assert_int_equal(xf_json_get_str(root, "zz", &s, &diag), XF_E_NOTFOUND);
  assert_string_equal(diag.text, "key \"zz\" is missing");
  assert_int_equal(xf_json_get_uint(root, "i", &u, &diag), XF_E_FORMAT);
  assert_string_equal(diag.text, "\"i\" must be an integer from 0, it is -3");
  assert_int_equal(xf_json_get_int(root, "d", &i, &diag), XF_E_FORMAT);
  assert_string_equal(diag.text, "\"d\" must be an integer, it is a number");
  assert_int_equal(xf_json_get_str(root, "n", &s, &diag), XF_E_FORMAT);
  assert_string_equal(diag.text, "\"n\" must be a text, it is null");
  assert_int_equal(xf_json_get_bool(root, "a", &b, &diag), XF_E_FORMAT);
  assert_string_equal(diag.text, "\"a\" must be true or false, it is an array");
  xf_json_free(json);
  xf_json_free(NULL);
}

static void test_check_keys(void **state) {
  (void)state;
  static const char *const keys[] = {"round", "client"};
  struct xf_json *json;
  struct xf_diag diag;
  assert_int_equal(parse(&json, "{\"round\": 1, \"cleint\": 2}", &diag), XF_OK);
  assert_int_equal(xf_json_check_keys(xf_json_root(json), keys, 2, &diag), XF_E_FORMAT);
  assert_string_equal(diag.text, "unknown key \"cleint\"; did you mean \"client\"?");
  xf_json_free(json);
  assert_int_equal(parse(&json, "{\"client\": 1}", &diag), XF_OK);
  assert_int_equal(xf_json_check_keys(xf_json_root(json), keys, 2, &diag), XF_OK);
  assert_int_equal(xf_json_check_keys(NULL, keys, 2, &diag), XF_E_FORMAT);
  xf_json_free(json);
}

static void test_errors(void **state) {
  (void)state;
  static const struct {
    const char *text, *place, *says;
  } rows[] = {
      {"", "x.json:1:0: ", "'[' or '{' expected"},
      {"5", "x.json:1:1: ", "'[' or '{' expected"},
      {"{\"a\": 1,}", "x.json:1:9: ", "expected"},
      {"{\"a\": 1\n \"b\": 2}", "x.json:2:4: ", "'}' expected"},
      {"{\"a\": 1, \"a\": 2}", "x.json:1:", "duplicate object key"},
      {"{} x", "x.json:1:4: ", "end of file expected"},
      {"[NaN]", "x.json:1:", "invalid token"},
      {"[01]", "x.json:1:", "invalid token"},
      {"[1e999]", "x.json:1:", "real number overflow"},
      {"[9223372036854775808]", "x.json:1:", "too big integer"},
      {"[\"\\u0000\"]", "x.json:1:", "\\u0000"},
      {"[\"\xff\"]", "x.json:1:", "unable to decode byte 0xff"},
      {"[\"a\nb\"]", "x.json:1:", "unexpected newline"},
      {"[", "x.json:1:1: ", "end of file"},
      {"[\"", "x.json:1:", "premature end of input"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    struct xf_json *json;
    struct xf_diag diag;
    assert_int_equal(parse(&json, rows[i].text, &diag), XF_E_FORMAT);
    assert_null(json);
    if (strncmp(diag.text, rows[i].place, strlen(rows[i].place)) != 0 ||
        !strstr(diag.text, rows[i].says))
      fail_msg("row %zu: %s", i, diag.text);
  }
}

static void test_limits(void **state) {
  (void)state;
  struct xf_json *json;
  struct xf_diag diag;
  assert_int_equal(
      parse(&json, "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]", &diag),
      XF_OK);
  xf_json_free(json);
  assert_int_equal(parse(&json, "{\"a\": \n[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[", &diag), XF_E_LIMIT);
  assert_string_equal(diag.text, "x.json:2:32: nested more than 32 levels deep");
  /* brackets inside texts do not count */
  assert_int_equal(parse(&json, "[\"[[[[[[[[[[[[[[[[[[[[[[[[[[\\\"[[[[[[[[[[[[\"]", &diag), XF_OK);
  xf_json_free(json);
  struct xf_json_limits limits = {.max_len = 4, .max_depth = 1};
  assert_int_equal(xf_json_parse(&json, "r", "[1, 2]", 6, &limits, &diag), XF_E_LIMIT);
  assert_string_equal(diag.text, "r: 6 bytes of JSON, at most 4");
  assert_int_equal(xf_json_parse(&json, "r", "[[]]", 4, &limits, &diag), XF_E_LIMIT);
  assert_int_equal(xf_json_parse(&json, "r", "[7]", 3, &limits, &diag), XF_OK);
  xf_json_free(json);
  char *big = malloc(1 << 20);
  assert_non_null(big);
  memset(big, '[', 1 << 20);
  limits = (struct xf_json_limits){.max_len = 1 << 20};
  assert_int_equal(xf_json_parse(&json, "r", big, 1 << 20, &limits, &diag), XF_E_LIMIT);
  free(big);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_values),
      cmocka_unit_test(test_check_keys),
      cmocka_unit_test(test_errors),
      cmocka_unit_test(test_limits),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
