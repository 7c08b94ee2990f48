// The routes over a slot: what each answers without data, with popularity only, with a model, for a table and at the end; the
// description is the file.
#include "base/alloc.h"
#include "base/fs.h"
#include "client/api/api.h"
#include "json/json.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
// cmocka wants the four above first
#include <cmocka.h>

enum { I = 4 };

static struct xf_serving_slot slot;
static struct xf_api *api;
static struct xf_http_reply reply;
static struct xf_json *json;

// Asks a route; the reply's root.
static const struct xf_json_value *ask(const char *target, unsigned status) {
  static struct xf_http_query query;
  struct xf_diag diag;
  size_t n = 0;
  const struct xf_http_route *route = xf_api_routes(&n);
  xf_diag_init(&diag);
  xf_json_free(json);
  json = NULL;
  if (xf_http_query_parse(&query, target, strlen(target), &diag)) fail_msg("%s", diag.text);
  while (n && strcmp(route->path, query.path) != 0) route++, n--;
  assert_true(n > 0);
  xf_buf_reset(&reply.body);
  reply.status = 200;
  reply.type = "application/json";
  const struct xf_http_request request = {query.path, &query};
  route->answer(api, &request, &reply);
  if (reply.status != status) fail_msg("%s: %u %s", target, reply.status, xf_buf_cstr(&reply.body));
  if (strcmp(reply.type, "application/json") != 0) return NULL;
  if (xf_json_parse(&json, "reply", (const char *)reply.body.p, reply.body.len, NULL, &diag))
    fail_msg("%s: %s", diag.text, xf_buf_cstr(&reply.body));
  return xf_json_root(json);
}

static const char *text(const struct xf_json_value *v, const char *key) {
  const char *s = NULL;
  struct xf_diag diag;
  xf_diag_init(&diag);
  if (xf_json_get_str(v, key, &s, &diag)) fail_msg("%s", diag.text);
  return s;
}
static bool flag(const struct xf_json_value *v, const char *key) {
  bool b = false;
  assert_int_equal(xf_json_get_bool(v, key, &b, NULL), XF_OK);
  return b;
}
static const char *code(const char *target, unsigned status) {
  return text(xf_json_find(ask(target, status), "error"), "code");
}
static const struct xf_json_value *item(const struct xf_json_value *v, size_t i) {
  return xf_json_at(xf_json_find(v, "items"), i);
}

// Scores an item by its number, for users only unless `cold`.
struct fixed {
  struct xf_scorer base;
  bool cold, odd;
};
static enum xf_rc fixed_score(const struct xf_scorer *s, const struct xf_query *q, float *out,
                              struct xf_diag *diag) {
  const struct fixed *f = (const struct fixed *)s;
  if (f->odd) return xf_diag_set(diag, XF_E_NAN, "a score is not a number");
  if (q->user == XF_NO_ID && !f->cold) return XF_E_NOTFOUND;
  for (uint32_t i = 0; i < s->n_items; i++) out[i] = (float)i;
  return XF_OK;
}
static uint32_t fixed_why(const struct xf_scorer *s, const struct xf_query *q, uint32_t of,
                          struct xf_why *out, uint32_t k) {
  (void)s;
  if (k < 2 || !q->n) return 0;
  out[0] = (struct xf_why){q->item[0], (float)of - 1};
  out[1] = (struct xf_why){XF_NO_ID, 1};
  return 2;
}
static void fixed_free(struct xf_scorer *s) { xf_free(s); }
static const struct xf_scorer_kind fixed_kind = {"fixed", fixed_score, fixed_why, fixed_free};

static void serve(struct xf_scorer *scorer, const char *arm) {
  static uint32_t start[] = {0, 1}, items[] = {1};
  const struct xf_csr train = {.n_row = 1, .start = start, .item = items};
  struct xf_names users, names;
  struct xf_serving_source source = {.scorer = scorer};
  struct xf_serving *s = NULL;
  uint32_t id;
  char key[] = "i0";
  xf_names_init(&users);
  xf_names_init(&names);
  assert_int_equal(xf_names_add(&users, &id, "u \xc3\xbc", 4), XF_OK);
  for (int i = 0; i < I; i++, key[1]++) assert_int_equal(xf_names_add(&names, &id, key, 2), XF_OK);
  assert_int_equal(xf_catalog_new(&source.catalog, &users, &names, &train, NULL), XF_OK);
  snprintf(source.meta.arm, sizeof source.meta.arm, "%s", arm);
  source.meta.round = 7;
  assert_int_equal(xf_serving_new(&s, &source, NULL), XF_OK);
  xf_serving_slot_set(&slot, s);
  xf_catalog_unref(source.catalog);
  xf_names_deinit(&users);
  xf_names_deinit(&names);
}

static struct xf_scorer *scorer(bool cold, bool odd) {
  struct fixed *f = xf_calloc(1, sizeof *f);
  *f = (struct fixed){{.kind = &fixed_kind, .n_items = I}, cold, odd};
  return &f->base;
}

static void test_nothing_yet(void **state) {
  (void)state;
  assert_string_equal(code("/v1/recommend?user=a", 503), "not_ready");
  assert_string_equal(code("/v1/similar?item=a", 503), "not_ready");
  assert_string_equal(code("/v1/recommend", 400), "bad_parameter"); // said even now
  const struct xf_json_value *v = ask("/v1/health", 503);
  assert_false(flag(v, "ready"));
  assert_string_equal(text(v, "state"), "starting");
  assert_int_equal(xf_json_kind_of(xf_json_find(v, "model")), XF_JSON_NULL);
  v = ask("/healthz", 200);
  assert_true(flag(v, "live") && !flag(v, "ready"));
  xf_api_set_state(api, XF_API_TABLE);
  v = ask("/v1/health", 503);
  assert_string_equal(text(v, "state"), "table");
  assert_non_null(
      strstr(text(xf_json_find(ask("/v1/recommend?user=a", 503), "error"), "message"), "table"));
  xf_api_set_state(api, XF_API_SERVING);
}

static void test_popularity(void **state) {
  (void)state;
  serve(NULL, "popularity");
  const struct xf_json_value *v = ask("/v1/recommend?user=x&k=2&explain", 200);
  assert_false(flag(v, "known"));
  assert_string_equal(text(v, "basis"), "popularity");
  assert_string_equal(text(item(v, 0), "item"), "i1");
  assert_string_equal(text(xf_json_at(xf_json_find(item(v, 0), "parts"), 0), "part"), "popularity");
  assert_string_equal(code("/v1/similar?item=i1", 503), "no_model");
  assert_string_equal(code("/v1/recommend?user=x&diversity=dpp", 422), "unsupported");
  assert_string_equal(code("/v1/recommend?user=x&diversity=no", 400), "bad_parameter");
  v = ask("/v1/health", 200);
  assert_string_equal(text(v, "state"), "serving");
  assert_string_equal(text(xf_json_find(v, "model"), "kind"), "popularity");
}

static void test_model(void **state) {
  (void)state;
  serve(scorer(false, false), "alone");
  const struct xf_json_value *v = ask("/v1/recommend?user=u+%c3%bc&explain=1", 200);
  assert_string_equal(text(v, "user"), "u \xc3\xbc");
  assert_true(flag(v, "known"));
  assert_string_equal(text(v, "basis"), "user");
  assert_int_equal(xf_json_len(xf_json_find(v, "items")), I - 1); // without i1
  assert_string_equal(text(item(v, 0), "item"), "i3");
  const struct xf_json_value *from =
      xf_json_find(xf_json_at(xf_json_find(item(v, 0), "parts"), 0), "from");
  assert_string_equal(text(xf_json_at(from, 0), "item"), "i1");
  assert_int_equal(xf_json_kind_of(xf_json_find(xf_json_at(from, 1), "item")), XF_JSON_NULL);
  assert_null(xf_json_find(item(ask("/v1/recommend?user=u+%c3%bc", 200), 0), "parts"));
  v = ask("/v1/recommend?user=u+%c3%bc&seen=1&k=1000", 200);
  assert_int_equal(xf_json_len(xf_json_find(v, "items")), I);
  // this one knows users only
  assert_string_equal(code("/v1/similar?item=i1", 422), "unsupported");
  assert_string_equal(text(ask("/v1/recommend?history=i0", 200), "basis"), "popularity");
  serve(scorer(true, false), "alone");
  v = ask("/v1/recommend?history=i0&history=i3&history=none", 200);
  assert_string_equal(text(v, "basis"), "history");
  assert_string_equal(text(item(v, 0), "item"), "i2");
  int64_t ignored = 0;
  assert_int_equal(xf_json_get_int(v, "ignored", &ignored, NULL), XF_OK);
  assert_int_equal(ignored, 1);
  assert_string_equal(text(item(ask("/v1/similar?item=i3&k=1", 200), 0), "item"), "i2");
  assert_string_equal(code("/v1/similar?item=i9", 404), "no_such_item");
  assert_string_equal(code("/v1/similar?item=", 400), "bad_parameter");
  assert_string_equal(code("/v1/similar?item=i1&k=1001", 400), "bad_parameter");
  serve(scorer(true, true), "alone");
  assert_string_equal(code("/v1/recommend?user=x&history=i1", 500), "internal");
  int64_t version = 0;
  v = xf_json_find(ask("/v1/health", 200), "model");
  assert_int_equal(xf_json_get_int(v, "version", &version, NULL), XF_OK);
  assert_int_equal(version, 4);
}

static void test_end(void **state) {
  (void)state;
  xf_api_set_state(api, XF_API_STOPPING);
  assert_string_equal(text(ask("/v1/health", 503), "state"), "stopping");
  assert_false(flag(ask("/healthz", 200), "ready"));
  xf_api_set_state(api, XF_API_SERVING);
}

static void test_description(void **state) {
  (void)state;
  struct xf_buf file;
  xf_buf_init(&file, 1 << 20);
  assert_null(ask("/openapi.yaml", 200));
  assert_string_equal(reply.type, "application/yaml");
  assert_int_equal(xf_fs_read_file(xf_fs_posix(), "docs/openapi.yaml", &file, NULL), XF_OK);
  assert_int_equal(file.len, reply.body.len);
  assert_memory_equal(file.p, reply.body.p, file.len);
  // every route is in it
  size_t n = 0;
  const struct xf_http_route *route = xf_api_routes(&n);
  for (size_t i = 0; i < n; i++) {
    char line[64];
    snprintf(line, sizeof line, "\n  %s:\n", route[i].path);
    assert_non_null(strstr(xf_buf_cstr(&file), line));
  }
  xf_buf_deinit(&file);
}

static int set_up(void **state) {
  (void)state;
  xf_buf_init(&reply.body, XF_HTTP_REPLY_MAX);
  return xf_serving_slot_init(&slot) || xf_api_new(&api, &slot, "shop-a");
}
static int tear_down(void **state) {
  (void)state;
  xf_json_free(json);
  xf_buf_deinit(&reply.body);
  xf_api_free(api);
  xf_serving_slot_deinit(&slot);
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_nothing_yet), cmocka_unit_test(test_popularity),
      cmocka_unit_test(test_model), cmocka_unit_test(test_end), cmocka_unit_test(test_description)};
  return cmocka_run_group_tests_name("api", tests, set_up, tear_down);
}
