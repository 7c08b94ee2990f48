#include "json/jsonw.h"

#include "base/str.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void xf_jsonw_init(struct xf_jsonw *w, struct xf_buf *out) { *w = (struct xf_jsonw){.out = out}; }

static void put(struct xf_jsonw *w, const char *p, size_t n) {
  if (!w->rc) w->rc = xf_buf_put(w->out, p, n);
}

static void misuse(struct xf_jsonw *w) {
  if (!w->rc) w->rc = XF_E_STATE;
}

/* Before a value: its comma; it must have a key exactly in an object. */
static void begin_value(struct xf_jsonw *w) {
  if (w->depth == 0) {
    if (w->has_root) misuse(w);
    w->has_root = true;
    return;
  }
  uint32_t top = w->depth - 1;
  if ((w->open[top] == '{') != w->has_key) misuse(w);
  if (w->open[top] == '[' && w->some[top]) put(w, ",", 1);
  w->some[top] = true;
  w->has_key = false;
}

static void open_level(struct xf_jsonw *w, const char *bracket) {
  begin_value(w);
  if (w->depth == XF_JSONW_DEPTH && !w->rc) w->rc = XF_E_LIMIT;
  if (w->rc) return;
  w->open[w->depth] = *bracket;
  w->some[w->depth] = false;
  w->depth++;
  put(w, bracket, 1);
}

static void close_level(struct xf_jsonw *w, char opened, const char *bracket) {
  if (w->rc) return;
  if (w->depth == 0 || w->open[w->depth - 1] != opened || w->has_key) {
    misuse(w);
    return;
  }
  w->depth--;
  put(w, bracket, 1);
}

void xf_jsonw_object(struct xf_jsonw *w) { open_level(w, "{"); }
void xf_jsonw_object_end(struct xf_jsonw *w) { close_level(w, '{', "}"); }
void xf_jsonw_array(struct xf_jsonw *w) { open_level(w, "["); }
void xf_jsonw_array_end(struct xf_jsonw *w) { close_level(w, '[', "]"); }

enum xf_rc xf_jsonw_finish(struct xf_jsonw *w) {
  if (w->depth || !w->has_root) misuse(w);
  return w->rc;
}

static void put_escape(struct xf_jsonw *w, unsigned char c) {
  char hex[8];
  switch (c) {
  case '"': put(w, "\\\"", 2); return;
  case '\\': put(w, "\\\\", 2); return;
  case '\n': put(w, "\\n", 2); return;
  case '\r': put(w, "\\r", 2); return;
  case '\t': put(w, "\\t", 2); return;
  default: break;
  }
  int n = snprintf(hex, sizeof hex, "\\u%04x", (unsigned)c);
  put(w, hex, n > 0 ? (size_t)n : 0);
}

static void put_string(struct xf_jsonw *w, const char *s, size_t len) {
  const unsigned char *p = (const unsigned char *)s;
  put(w, "\"", 1);
  for (size_t i = 0; i < len && !w->rc;) {
    size_t plain = i;
    while (plain < len && p[plain] >= 0x20 && p[plain] < 0x7f && p[plain] != '"' &&
           p[plain] != '\\')
      plain++;
    if (plain > i) {
      put(w, s + i, plain - i);
      i = plain;
      continue;
    }
    size_t n = xf_str_utf8_len(p + i, len - i);
    if (n == 1) put_escape(w, p[i]);
    else if (n) put(w, s + i, n);
    else put(w, "\xef\xbf\xbd", 3);
    i += n ? n : 1;
  }
  put(w, "\"", 1);
}

void xf_jsonw_key(struct xf_jsonw *w, const char *key) {
  if (w->depth == 0 || w->open[w->depth - 1] != '{' || w->has_key) misuse(w);
  if (w->rc) return;
  if (w->some[w->depth - 1]) put(w, ",", 1);
  put_string(w, key, strlen(key));
  put(w, ":", 1);
  w->has_key = true;
}

void xf_jsonw_text(struct xf_jsonw *w, const char *p, size_t len) {
  begin_value(w);
  put_string(w, p, len);
}

void xf_jsonw_str(struct xf_jsonw *w, const char *s) {
  if (s) xf_jsonw_text(w, s, strlen(s));
  else xf_jsonw_null(w);
}

void xf_jsonw_raw(struct xf_jsonw *w, const char *p, size_t len) {
  begin_value(w);
  put(w, p, len);
}

void xf_jsonw_int(struct xf_jsonw *w, int64_t v) {
  char text[24];
  int n = snprintf(text, sizeof text, "%" PRId64, v);
  xf_jsonw_raw(w, text, n > 0 ? (size_t)n : 0);
}

void xf_jsonw_uint(struct xf_jsonw *w, uint64_t v) {
  char text[24];
  int n = snprintf(text, sizeof text, "%" PRIu64, v);
  xf_jsonw_raw(w, text, n > 0 ? (size_t)n : 0);
}

/* The shortest of 15, 16 or 17 digits that reads back to the same double. */
void xf_jsonw_double(struct xf_jsonw *w, double v) {
  char text[32];
  int n = 0;
  if (!isfinite(v)) {
    xf_jsonw_null(w);
    return;
  }
  for (int digits = 15; digits <= 17; digits++) {
    n = snprintf(text, sizeof text, "%.*g", digits, v);
    if (strtod(text, NULL) == v) break;
  }
  xf_jsonw_raw(w, text, n > 0 ? (size_t)n : 0);
}

void xf_jsonw_bool(struct xf_jsonw *w, bool v) { xf_jsonw_raw(w, v ? "true" : "false", v ? 4 : 5); }
void xf_jsonw_null(struct xf_jsonw *w) { xf_jsonw_raw(w, "null", 4); }

void xf_jsonw_kstr(struct xf_jsonw *w, const char *key, const char *s) {
  xf_jsonw_key(w, key);
  xf_jsonw_str(w, s);
}

void xf_jsonw_kint(struct xf_jsonw *w, const char *key, int64_t v) {
  xf_jsonw_key(w, key);
  xf_jsonw_int(w, v);
}

void xf_jsonw_kuint(struct xf_jsonw *w, const char *key, uint64_t v) {
  xf_jsonw_key(w, key);
  xf_jsonw_uint(w, v);
}

void xf_jsonw_kdouble(struct xf_jsonw *w, const char *key, double v) {
  xf_jsonw_key(w, key);
  xf_jsonw_double(w, v);
}

void xf_jsonw_kbool(struct xf_jsonw *w, const char *key, bool v) {
  xf_jsonw_key(w, key);
  xf_jsonw_bool(w, v);
}

void xf_jsonw_kdigest(struct xf_jsonw *w, const char *key, const struct xf_digest *d) {
  char hex[XF_DIGEST_HEX];
  xf_jsonw_kstr(w, key, xf_digest_is_zero(d) ? NULL : xf_digest_print(hex, d));
}
