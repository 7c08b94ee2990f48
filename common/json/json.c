/* Jansson behind our names. struct xf_json and struct xf_json_value are json_t under other names. */
#include "json/json.h"

#include "base/str.h"

#include <jansson.h>
#include <string.h>

static const json_t *inner(const struct xf_json_value *v) { return (const json_t *)v; }
static const struct xf_json_value *outer(const json_t *v) {
  return (const struct xf_json_value *)v;
}

/* Jansson recurses up to 2048 levels; brackets outside strings are counted first. Places are 1-based. */
static enum xf_rc check_depth(const char *name, const char *p, size_t len, uint32_t max,
                              struct xf_diag *diag) {
  uint32_t depth = 0, line = 1, col = 0;
  bool in_string = false;
  for (size_t i = 0; i < len; i++) {
    char c = p[i];
    col++;
    if (c == '\n') {
      line++;
      col = 0;
    }
    if (in_string) {
      if (c == '\\') i++, col++;
      else if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      if (++depth > max)
        return xf_diag_set(diag, XF_E_LIMIT, "%s:%u:%u: nested more than %u levels deep", name,
                           line, col, max);
    } else if ((c == '}' || c == ']') && depth > 0) {
      depth--;
    }
  }
  return XF_OK;
}

enum xf_rc xf_json_parse(struct xf_json **out, const char *name, const char *p, size_t len,
                         const struct xf_json_limits *limits, struct xf_diag *diag) {
  size_t max_len = limits && limits->max_len ? limits->max_len : 1024 * 1024;
  uint32_t max_depth = limits && limits->max_depth ? limits->max_depth : 32;
  json_error_t err;
  *out = NULL;
  if (len > max_len)
    return xf_diag_set(diag, XF_E_LIMIT, "%s: %zu bytes of JSON, at most %zu", name, len, max_len);
  enum xf_rc rc = check_depth(name, p, len, max_depth, diag);
  if (rc) return rc;
  json_t *v = json_loadb(len ? p : "", len, JSON_REJECT_DUPLICATES, &err);
  if (!v && json_error_code(&err) == json_error_out_of_memory)
    return xf_diag_set(diag, XF_E_NOMEM, "%s: not enough memory for %zu bytes of JSON", name, len);
  if (!v)
    return xf_diag_set(diag, XF_E_FORMAT, "%s:%d:%d: %s", name, err.line, err.column, err.text);
  *out = (struct xf_json *)v;
  return XF_OK;
}

void xf_json_free(struct xf_json *json) { json_decref((json_t *)json); }

const struct xf_json_value *xf_json_root(const struct xf_json *json) {
  return (const struct xf_json_value *)json;
}

enum xf_json_kind xf_json_kind_of(const struct xf_json_value *v) {
  if (!v) return XF_JSON_ABSENT;
  switch (json_typeof(inner(v))) {
  case JSON_NULL: return XF_JSON_NULL;
  case JSON_TRUE:
  case JSON_FALSE: return XF_JSON_BOOL;
  case JSON_INTEGER: return XF_JSON_INT;
  case JSON_REAL: return XF_JSON_DOUBLE;
  case JSON_STRING: return XF_JSON_STRING;
  case JSON_ARRAY: return XF_JSON_ARRAY;
  case JSON_OBJECT: return XF_JSON_OBJECT;
  }
  return XF_JSON_ABSENT;
}

const struct xf_json_value *xf_json_find(const struct xf_json_value *v, const char *key) {
  return outer(json_object_get(inner(v), key));
}

size_t xf_json_len(const struct xf_json_value *v) {
  return xf_json_kind_of(v) == XF_JSON_OBJECT ? json_object_size(inner(v))
                                              : json_array_size(inner(v));
}

const struct xf_json_value *xf_json_at(const struct xf_json_value *v, size_t i) {
  return outer(json_array_get(inner(v), i));
}

/* Jansson iterates through a non-const object but changes nothing in it. */
static json_t *iterable(const struct xf_json_value *v) {
  json_t *p = NULL;
  memcpy(&p, &v, sizeof p);
  return p;
}

enum xf_rc xf_json_each(const struct xf_json_value *v, xf_json_visit visit, void *arg) {
  if (xf_json_kind_of(v) != XF_JSON_OBJECT) return XF_E_FORMAT;
  json_t *object = iterable(v);
  enum xf_rc rc = XF_OK;
  for (void *it = json_object_iter(object); it && !rc; it = json_object_iter_next(object, it))
    rc = visit(arg, json_object_iter_key(it), outer(json_object_iter_value(it)));
  return rc;
}

bool xf_json_str(const struct xf_json_value *v, const char **out) {
  if (xf_json_kind_of(v) != XF_JSON_STRING) return false;
  *out = json_string_value(inner(v));
  return true;
}

bool xf_json_int(const struct xf_json_value *v, int64_t *out) {
  if (xf_json_kind_of(v) != XF_JSON_INT) return false;
  *out = json_integer_value(inner(v));
  return true;
}

bool xf_json_uint(const struct xf_json_value *v, uint64_t *out) {
  int64_t i = 0;
  if (!xf_json_int(v, &i) || i < 0) return false;
  *out = (uint64_t)i;
  return true;
}

bool xf_json_double(const struct xf_json_value *v, double *out) {
  enum xf_json_kind kind = xf_json_kind_of(v);
  if (kind != XF_JSON_INT && kind != XF_JSON_DOUBLE) return false;
  *out = json_number_value(inner(v));
  return true;
}

bool xf_json_bool(const struct xf_json_value *v, bool *out) {
  if (xf_json_kind_of(v) != XF_JSON_BOOL) return false;
  *out = json_is_true(inner(v));
  return true;
}

static enum xf_rc wrong(const struct xf_json_value *v, const char *key, const char *want,
                        struct xf_diag *diag) {
  static const char *const kinds[] = {"absent",   "null",   "true or false", "an integer",
                                      "a number", "a text", "an array",      "an object"};
  const struct xf_json_value *m = xf_json_find(v, key);
  if (!m) return xf_diag_set(diag, XF_E_NOTFOUND, "key \"%s\" is missing", key);
  int64_t i = 0;
  if (xf_json_int(m, &i) && i < 0)
    return xf_diag_set(diag, XF_E_FORMAT, "\"%s\" must be %s, it is %lld", key, want, (long long)i);
  return xf_diag_set(diag, XF_E_FORMAT, "\"%s\" must be %s, it is %s", key, want,
                     kinds[xf_json_kind_of(m)]);
}

enum xf_rc xf_json_get_str(const struct xf_json_value *v, const char *key, const char **out,
                           struct xf_diag *diag) {
  return xf_json_str(xf_json_find(v, key), out) ? XF_OK : wrong(v, key, "a text", diag);
}

enum xf_rc xf_json_get_int(const struct xf_json_value *v, const char *key, int64_t *out,
                           struct xf_diag *diag) {
  return xf_json_int(xf_json_find(v, key), out) ? XF_OK : wrong(v, key, "an integer", diag);
}

enum xf_rc xf_json_get_uint(const struct xf_json_value *v, const char *key, uint64_t *out,
                            struct xf_diag *diag) {
  return xf_json_uint(xf_json_find(v, key), out) ? XF_OK : wrong(v, key, "an integer from 0", diag);
}

enum xf_rc xf_json_get_double(const struct xf_json_value *v, const char *key, double *out,
                              struct xf_diag *diag) {
  return xf_json_double(xf_json_find(v, key), out) ? XF_OK : wrong(v, key, "a number", diag);
}

enum xf_rc xf_json_get_bool(const struct xf_json_value *v, const char *key, bool *out,
                            struct xf_diag *diag) {
  return xf_json_bool(xf_json_find(v, key), out) ? XF_OK : wrong(v, key, "true or false", diag);
}

enum xf_rc xf_json_check_keys(const struct xf_json_value *v, const char *const *keys, size_t n,
                              struct xf_diag *diag) {
  if (xf_json_kind_of(v) != XF_JSON_OBJECT)
    return xf_diag_set(diag, XF_E_FORMAT, "must be an object");
  json_t *object = iterable(v);
  for (void *it = json_object_iter(object); it; it = json_object_iter_next(object, it)) {
    const char *key = json_object_iter_key(it);
    size_t i = 0;
    while (i < n && strcmp(keys[i], key) != 0) i++;
    if (i < n) continue;
    const char *near = xf_str_closest(key, keys, n);
    return xf_diag_set(diag, XF_E_FORMAT, "unknown key \"%.60s\"%s%s%s", key,
                       near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
  }
  return XF_OK;
}
