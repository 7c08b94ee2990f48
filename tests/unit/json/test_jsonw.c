/* Writing: exact texts, escapes, numbers that read back, sticky errors. */
#include "json/json.h"
#include "json/jsonw.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void test_report(void **state) {
  (void)state;
  struct xf_buf out;
  struct xf_jsonw w;
  xf_buf_init(&out, 4096);
  xf_jsonw_init(&w, &out);
  xf_jsonw_object(&w);
  xf_jsonw_kint(&w, "v", 1);
  xf_jsonw_kstr(&w, "scope", "domain:books");
  xf_jsonw_kdouble(&w, "loss", 0.31);
  xf_jsonw_kdouble(&w, "nan", NAN);
  xf_jsonw_kdouble(&w, "inf", -INFINITY);
  xf_jsonw_kuint(&w, "big", UINT64_MAX);
  xf_jsonw_kbool(&w, "ok", true);
  xf_jsonw_kstr(&w, "none", NULL);
  xf_jsonw_key(&w, "list");
  xf_jsonw_array(&w);
  xf_jsonw_int(&w, -1);
  xf_jsonw_object(&w);
  xf_jsonw_object_end(&w);
  xf_jsonw_array(&w);
  xf_jsonw_array_end(&w);
  xf_jsonw_raw(&w, "{\"r\":0}", 7);
  xf_jsonw_array_end(&w);
  xf_jsonw_kbool(&w, "last", false);
  xf_jsonw_object_end(&w);
  assert_int_equal(xf_jsonw_finish(&w), XF_OK);
  assert_string_equal(xf_buf_cstr(&out),
                      "{\"v\":1,\"scope\":\"domain:books\",\"loss\":0.31,\"nan\":null,\"inf\":null,"
                      "\"big\":18446744073709551615,\"ok\":true,\"none\":null,"
                      "\"list\":[-1,{},[],{\"r\":0}],\"last\":false}");
  xf_buf_deinit(&out);
}

static void test_escapes(void **state) {
  (void)state;
  static const struct {
    const char *text, *want;
  } rows[] = {{"", "\"\""},
              {"a\"b\\c/", "\"a\\\"b\\\\c/\""},
              {"\n\r\t\x01\x7f", "\"\\n\\r\\t\\u0001\\u007f\""},
              {"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\""},
              {"\xff"
               "a",
               "\"\xef\xbf\xbd"
               "a\""},
              {"\xc0\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\""},
              {"\xed\xa0\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
              {"\xe2\x82", "\"\xef\xbf\xbd\xef\xbf\xbd\""}};
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    struct xf_buf out;
    struct xf_jsonw w;
    xf_buf_init(&out, 4096);
    xf_jsonw_init(&w, &out);
    xf_jsonw_str(&w, rows[i].text);
    assert_int_equal(xf_jsonw_finish(&w), XF_OK);
    assert_string_equal(xf_buf_cstr(&out), rows[i].want);
    xf_buf_deinit(&out);
  }
}

static void test_doubles_read_back(void **state) {
  (void)state;
  static const double values[] = {0,
                                  1,
                                  -1,
                                  0.1,
                                  1.0 / 3,
                                  1e300,
                                  5e-324,
                                  123456789012345678.0,
                                  0.30000000000000004,
                                  -2.2250738585072014e-308};
  for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
    struct xf_buf out;
    struct xf_jsonw w;
    struct xf_json *json;
    struct xf_diag diag;
    double back = 0;
    xf_buf_init(&out, 4096);
    xf_jsonw_init(&w, &out);
    xf_jsonw_array(&w);
    xf_jsonw_double(&w, values[i]);
    xf_jsonw_array_end(&w);
    assert_int_equal(xf_jsonw_finish(&w), XF_OK);
    assert_int_equal(xf_json_parse(&json, "t", (const char *)out.p, out.len, NULL, &diag), XF_OK);
    assert_true(xf_json_double(xf_json_at(xf_json_root(json), 0), &back));
    assert_true(back == values[i]);
    xf_json_free(json);
    xf_buf_deinit(&out);
  }
}

static void test_misuse(void **state) {
  (void)state;
  struct xf_buf out;
  struct xf_jsonw w;
  xf_buf_init(&out, 4096);
  xf_jsonw_init(&w, &out);
  assert_int_equal(xf_jsonw_finish(&w), XF_E_STATE); /* nothing */
  xf_jsonw_init(&w, &out);
  xf_jsonw_object(&w);
  xf_jsonw_int(&w, 1); /* no key */
  xf_jsonw_object_end(&w);
  assert_int_equal(xf_jsonw_finish(&w), XF_E_STATE);
  xf_jsonw_init(&w, &out);
  xf_jsonw_array(&w);
  xf_jsonw_object_end(&w); /* wrong bracket */
  assert_int_equal(xf_jsonw_finish(&w), XF_E_STATE);
  xf_jsonw_init(&w, &out);
  xf_jsonw_array(&w); /* not closed */
  assert_int_equal(xf_jsonw_finish(&w), XF_E_STATE);
  xf_jsonw_init(&w, &out);
  xf_jsonw_null(&w);
  xf_jsonw_null(&w); /* a second root */
  assert_int_equal(xf_jsonw_finish(&w), XF_E_STATE);
  xf_jsonw_init(&w, &out);
  xf_jsonw_object(&w);
  xf_jsonw_key(&w, "a"); /* no value */
  xf_jsonw_object_end(&w);
  assert_int_equal(xf_jsonw_finish(&w), XF_E_STATE);
  xf_jsonw_init(&w, &out);
  for (int i = 0; i < 40; i++) xf_jsonw_array(&w);
  for (int i = 0; i < 40; i++) xf_jsonw_array_end(&w);
  assert_int_equal(xf_jsonw_finish(&w), XF_E_LIMIT);
  xf_buf_deinit(&out);
  xf_buf_init(&out, 10);
  xf_jsonw_init(&w, &out);
  xf_jsonw_array(&w);
  xf_jsonw_str(&w, "longer than that");
  xf_jsonw_array_end(&w);
  assert_int_equal(xf_jsonw_finish(&w), XF_E_LIMIT);
  assert_true(out.len <= 10);
  xf_buf_deinit(&out);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_report),
      cmocka_unit_test(test_escapes),
      cmocka_unit_test(test_doubles_read_back),
      cmocka_unit_test(test_misuse),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
