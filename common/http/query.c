#include "http/query.h"

#include "base/str.h"

#include <string.h>

static int hex(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

/* Decodes one part into text[*at..], with a NUL; `what` and the position are for people. */
static enum xf_rc decode(struct xf_http_query *q, size_t *at, const char *s, size_t len, bool plus,
                         const char *what, struct xf_diag *diag) {
  char *const to = q->text + *at;
  size_t n = 0;
  for (size_t i = 0; i < len; i++) {
    const unsigned char c = (unsigned char)s[i];
    if (c <= ' ' || c == 0x7f || c == '#')
      return xf_diag_set(diag, XF_E_FORMAT,
                         "the %s has the byte 0x%02x at position %zu; percent-encode it", what, c,
                         i);
    if (c != '%') {
      to[n++] = (char)(plus && c == '+' ? ' ' : c);
      continue;
    }
    const int high = len - i > 2 ? hex(s[i + 1]) : -1, low = len - i > 2 ? hex(s[i + 2]) : -1;
    if (high < 0 || low < 0)
      return xf_diag_set(diag, XF_E_FORMAT,
                         "the %s has a %% at position %zu without two hexadecimal digits behind "
                         "it; a per cent sign itself is %%25",
                         what, i);
    if (!(high * 16 + low)) return xf_diag_set(diag, XF_E_FORMAT, "the %s has a NUL (%%00)", what);
    to[n++] = (char)(high * 16 + low);
    i += 2;
  }
  to[n] = '\0';
  *at += n + 1;
  if (!xf_str_is_utf8(to))
    return xf_diag_set(diag, XF_E_FORMAT, "the %s is not UTF-8 once it is decoded", what);
  return XF_OK;
}

static enum xf_rc add_pair(struct xf_http_query *q, size_t *at, const char *s, size_t len,
                           struct xf_diag *diag) {
  if (q->n == XF_HTTP_PAIRS)
    return xf_diag_set(diag, XF_E_LIMIT, "more than %d parameters", XF_HTTP_PAIRS);
  struct xf_http_pair *pair = &q->pair[q->n];
  const char *equals = memchr(s, '=', len);
  const size_t n_name = equals ? (size_t)(equals - s) : len;
  const size_t n_value = equals ? len - n_name - 1 : 0;
  pair->name = q->text + *at;
  enum xf_rc rc = decode(q, at, s, n_name, true, "name of a parameter", diag);
  if (rc) return rc;
  pair->value = q->text + *at;
  rc = decode(q, at, equals ? equals + 1 : "", n_value, true, "value of a parameter", diag);
  if (!rc) q->n++;
  return rc;
}

enum xf_rc xf_http_query_parse(struct xf_http_query *out, const char *target, size_t len,
                               struct xf_diag *diag) {
  size_t at = 0;
  out->n = 0;
  out->path = "";
  if (len > XF_HTTP_TARGET_MAX)
    return xf_diag_set(diag, XF_E_LIMIT, "the request's address has %zu bytes, at most %d are read",
                       len, XF_HTTP_TARGET_MAX);
  if (!len || target[0] != '/')
    return xf_diag_set(diag, XF_E_FORMAT, "the request's address does not begin with a slash");
  const char *query = memchr(target, '?', len);
  const size_t n_path = query ? (size_t)(query - target) : len;
  out->path = out->text;
  enum xf_rc rc = decode(out, &at, target, n_path, false, "path", diag);
  const char *const end = target + len;
  for (const char *s = query ? query + 1 : end; !rc && s < end;) {
    const char *amp = memchr(s, '&', (size_t)(end - s));
    const size_t n = (size_t)((amp ? amp : end) - s);
    if (n) rc = add_pair(out, &at, s, n, diag);
    s += n + 1;
  }
  return rc;
}

enum xf_rc xf_http_query_check(const struct xf_http_query *query, const struct xf_http_param *param,
                               size_t n, struct xf_diag *diag) {
  const char *names[XF_HTTP_PAIRS];
  for (size_t i = 0; i < n; i++) names[i] = param[i].name;
  for (size_t i = 0; i < query->n; i++) {
    const char *name = query->pair[i].name;
    size_t p = 0;
    while (p < n && strcmp(name, param[p].name) != 0) p++;
    if (p == n) {
      const char *hint = xf_str_closest(name, names, n);
      return xf_diag_set(diag, XF_E_INVAL, "there is no parameter \"%.64s\" here%s%s%s", name,
                         hint ? "; did you mean \"" : "", hint ? hint : "", hint ? "\"?" : "");
    }
    for (size_t j = 0; j < i && !param[p].many; j++)
      if (strcmp(name, query->pair[j].name) == 0)
        return xf_diag_set(diag, XF_E_INVAL, "parameter \"%s\" is given twice", name);
  }
  return XF_OK;
}

const char *xf_http_query_find(const struct xf_http_query *query, const char *name) {
  for (size_t i = 0; i < query->n; i++)
    if (strcmp(query->pair[i].name, name) == 0) return query->pair[i].value;
  return NULL;
}

enum xf_rc xf_http_query_uint(const struct xf_http_query *query, const char *name, uint32_t *out,
                              uint32_t def, uint32_t min, uint32_t max, struct xf_diag *diag) {
  const char *s = xf_http_query_find(query, name);
  uint64_t v = def;
  if (s && (xf_str_u64(&v, s, strlen(s)) || v < min || v > max))
    return xf_diag_set(diag, XF_E_RANGE, "%s is \"%.64s\"; it must be a whole number from %u to %u",
                       name, s, min, max);
  *out = (uint32_t)v;
  return XF_OK;
}

enum xf_rc xf_http_query_bool(const struct xf_http_query *query, const char *name, bool *out,
                              struct xf_diag *diag) {
  const char *s = xf_http_query_find(query, name);
  *out = s && (!*s || !strcmp(s, "1") || !strcmp(s, "true"));
  if (s && !*out && strcmp(s, "0") != 0 && strcmp(s, "false") != 0)
    return xf_diag_set(diag, XF_E_FORMAT, "%s is \"%.64s\"; it must be 1, true, 0 or false", name,
                       s);
  return XF_OK;
}
