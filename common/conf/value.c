/* One field: from text, to text, checks. */
#include "base/alloc.h"
#include "base/str.h"
#include "conf/parts.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Puts a reason into why[] and returns E_CONFIG. */
static enum xf_rc no(char why[XF_CONF_WHY], const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
static enum xf_rc no(char why[XF_CONF_WHY], const char *fmt, ...) {
  va_list ap;
  va_start(ap, fmt);
  int n = vsnprintf(why, XF_CONF_WHY, fmt, ap);
  va_end(ap);
  if (n < 0) why[0] = '\0';
  return XF_E_CONFIG;
}

const char *xf_conf_name_text(const struct xf_conf_name *names, int value) {
  for (; names->text; names++)
    if (names->value == value && !names->later) return names->text;
  return "?";
}

const char *xf_conf_type_text(enum xf_conf_type type) {
#define TEXT(name, text) [name] = text,
  static const char *const texts[] = {XF_CONF_TYPE_LIST(TEXT)};
  return texts[type];
}

const char *xf_conf_reload_text(enum xf_conf_reload reload) {
  static const char *const texts[] = {XF_CONF_RELOAD_LIST(TEXT)};
#undef TEXT
  return texts[reload];
}

uint64_t xf_conf_value_bits(const struct xf_conf_key *key, const void *field) {
  uint64_t v = 0;
  memcpy(&v, field, key->size);
  bool is_signed = key->type == XF_CONF_INT || key->type == XF_CONF_ENUM;
  if (is_signed && key->size < 8 && v >> (8 * key->size - 1)) v |= UINT64_MAX << (8 * key->size);
  return v;
}

void xf_conf_value_set_bits(const struct xf_conf_key *key, void *field, uint64_t bits) {
  memcpy(field, &bits, key->size);
}

static enum xf_rc out_of_range(const struct xf_conf_key *key, char why[XF_CONF_WHY],
                               const char *text) {
  const char *unit = key->unit ? " " : "";
  return no(why, "%.40s is out of range; it must be %s %.10g and at most %.10g%s%s", text,
            key->open_min ? "above" : "at least", key->min, key->max, unit,
            key->unit ? key->unit : "");
}

static bool in_range(const struct xf_conf_key *key, double v) {
  if (key->min == 0 && key->max == 0) return true;
  return v <= key->max && (key->open_min ? v > key->min : v >= key->min);
}

static enum xf_rc parse_int(const struct xf_conf_key *key, void *field, const char *text,
                            char why[XF_CONF_WHY]) {
  int64_t v = 0;
  enum xf_rc rc = xf_str_i64(&v, text, strlen(text));
  if (rc == XF_E_FORMAT) return no(why, "\"%.40s\" is not an integer", text);
  int64_t half = key->size < 8 ? (int64_t)1 << (8 * key->size - 1) : INT64_MAX;
  if (rc || v >= half || v < -half || !in_range(key, (double)v))
    return out_of_range(key, why, text);
  xf_conf_value_set_bits(key, field, (uint64_t)v);
  return XF_OK;
}

static enum xf_rc store_uint(const struct xf_conf_key *key, void *field, uint64_t v,
                             const char *text, char why[XF_CONF_WHY]) {
  if (key->size < 8 && v >> (8 * key->size)) return out_of_range(key, why, text);
  if (!in_range(key, (double)v)) return out_of_range(key, why, text);
  xf_conf_value_set_bits(key, field, v);
  return XF_OK;
}

static enum xf_rc parse_uint(const struct xf_conf_key *key, void *field, const char *text,
                             char why[XF_CONF_WHY]) {
  uint64_t v = 0;
  enum xf_rc rc = xf_str_u64(&v, text, strlen(text));
  if (rc == XF_E_FORMAT) return no(why, "\"%.40s\" is not a whole number", text);
  if (rc) return out_of_range(key, why, text);
  return store_uint(key, field, v, text, why);
}

static enum xf_rc store_double(const struct xf_conf_key *key, void *field, double v,
                               const char *text, char why[XF_CONF_WHY]) {
  if (!isfinite(v) || !in_range(key, v)) return out_of_range(key, why, text);
  v += 0.0; /* -0 becomes 0: one value, one encoding */
  memcpy(field, &v, sizeof v);
  return XF_OK;
}

static enum xf_rc parse_double(const struct xf_conf_key *key, void *field, const char *text,
                               char why[XF_CONF_WHY]) {
  double v = 0;
  enum xf_rc rc = xf_str_double(&v, text, strlen(text));
  if (rc == XF_E_FORMAT) return no(why, "\"%.40s\" is not a number", text);
  if (rc) return out_of_range(key, why, text);
  return store_double(key, field, v, text, why);
}

static enum xf_rc parse_duration(const struct xf_conf_key *key, void *field, const char *text,
                                 char why[XF_CONF_WHY]) {
  static const struct {
    const char *suffix;
    double seconds;
  } units[] = {{"ms", 1e-3}, {"s", 1}, {"m", 60}, {"h", 3600}, {"d", 86400}};
  size_t n = strlen(text);
  double v = 0, unit = 1;
  for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
    size_t m = strlen(units[i].suffix);
    if (n > m && strcmp(text + n - m, units[i].suffix) == 0) {
      unit = units[i].seconds;
      n -= m;
      break;
    }
  }
  if (xf_str_double(&v, text, n))
    return no(why, "\"%.40s\" is not a duration; write seconds, or 250ms, 90s, 5m, 2h, 1d", text);
  return store_double(key, field, v * unit, text, why);
}

static enum xf_rc parse_size(const struct xf_conf_key *key, void *field, const char *text,
                             char why[XF_CONF_WHY]) {
  static const char *const suffixes[] = {"KiB", "MiB", "GiB", "TiB"};
  size_t n = strlen(text);
  uint64_t v = 0, unit = 1;
  for (size_t i = 0; i < 4; i++) {
    if (n > 3 && strcmp(text + n - 3, suffixes[i]) == 0) {
      unit = (uint64_t)1 << (10 * (i + 1));
      n -= 3;
      break;
    }
  }
  enum xf_rc rc = xf_str_u64(&v, text, n);
  if (rc == XF_E_FORMAT)
    return no(why, "\"%.40s\" is not a size; write bytes, or 64KiB, 16MiB, 1GiB", text);
  if (rc || v > UINT64_MAX / unit) return out_of_range(key, why, text);
  return store_uint(key, field, v * unit, text, why);
}

static enum xf_rc parse_bool(void *field, const char *text, char why[XF_CONF_WHY]) {
  bool v = strcmp(text, "true") == 0;
  if (!v && strcmp(text, "false") != 0)
    return no(why, "\"%.40s\" is not a truth value; write true or false", text);
  memcpy(field, &v, sizeof v);
  return XF_OK;
}

static enum xf_rc check_text(const struct xf_conf_key *key, const char *text,
                             char why[XF_CONF_WHY]) {
  size_t n = strlen(text);
  if (n >= key->size)
    return no(why, "too long: %zu bytes, at most %zu (\"%.40s...\")", n, key->size - 1, text);
  if (key->required && n == 0) return no(why, "must not be empty");
  for (size_t i = 0; i < n; i++)
    if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
      return no(why, "contains a control character (0x%02x)", (unsigned)(unsigned char)text[i]);
  if (key->id && n && !xf_str_is_id(text))
    return no(why, "\"%.70s\" must be 1 to 63 of the characters a-z 0-9 -", text);
  return XF_OK;
}

static enum xf_rc parse_text(const struct xf_conf_key *key, void *field, const char *text,
                             char why[XF_CONF_WHY]) {
  enum xf_rc rc = check_text(key, text, why);
  if (rc) return rc;
  memset(field, 0, key->size);
  memcpy(field, text, strlen(text));
  return XF_OK;
}

static enum xf_rc parse_enum(const struct xf_conf_key *key, void *field, const char *text,
                             char why[XF_CONF_WHY]) {
  char all[240] = "";
  const char *words[64];
  size_t n = 0, at = 0;
  bool later = false;
  for (const struct xf_conf_name *w = key->names; w->text; w++) {
    if (strcmp(w->text, text) == 0 && !w->later) {
      xf_conf_value_set_bits(key, field, (uint64_t)(int64_t)w->value);
      return XF_OK;
    }
    if (strcmp(w->text, text) == 0) later = true;
    if (w->later) continue;
    int m = snprintf(all + at, sizeof all - at, "%s%s", at ? ", " : "", w->text);
    if (m > 0 && at + (size_t)m < sizeof all) at += (size_t)m;
    if (n < 64) words[n++] = w->text;
  }
  if (later) return no(why, "\"%.40s\" is not in this version; there are: %s", text, all);
  const char *near = xf_str_closest(text, words, n);
  if (near) return no(why, "\"%.40s\" is none of: %s; did you mean \"%s\"?", text, all, near);
  return no(why, "\"%.40s\" is none of: %s", text, all);
}

enum xf_rc xf_conf_value_parse(const struct xf_conf_key *key, void *field, const char *text,
                               char why[XF_CONF_WHY]) {
  why[0] = '\0';
  switch (key->type) {
  case XF_CONF_BOOL: return parse_bool(field, text, why);
  case XF_CONF_INT: return parse_int(key, field, text, why);
  case XF_CONF_UINT: return parse_uint(key, field, text, why);
  case XF_CONF_DOUBLE: return parse_double(key, field, text, why);
  case XF_CONF_STRING:
  case XF_CONF_PATH: return parse_text(key, field, text, why);
  case XF_CONF_ENUM: return parse_enum(key, field, text, why);
  case XF_CONF_DURATION: return parse_duration(key, field, text, why);
  case XF_CONF_SIZE: return parse_size(key, field, text, why);
  case XF_CONF_SECTIONS: break;
  }
  return no(why, "is a list of sections");
}

enum xf_rc xf_conf_value_check(const struct xf_conf_key *key, const void *field,
                               char why[XF_CONF_WHY]) {
  char text[64];
  double d = 0;
  why[0] = '\0';
  switch (key->type) {
  case XF_CONF_BOOL:
  case XF_CONF_SECTIONS: return XF_OK;
  case XF_CONF_STRING:
  case XF_CONF_PATH: return check_text(key, field, why);
  case XF_CONF_ENUM:
    for (const struct xf_conf_name *w = key->names; w->text; w++)
      if (!w->later && (uint64_t)(int64_t)w->value == xf_conf_value_bits(key, field)) return XF_OK;
    return no(why, "value %" PRIu64 " is not known to this version",
              xf_conf_value_bits(key, field));
  case XF_CONF_DOUBLE:
  case XF_CONF_DURATION: memcpy(&d, field, sizeof d); break;
  case XF_CONF_INT: d = (double)(int64_t)xf_conf_value_bits(key, field); break;
  case XF_CONF_UINT:
  case XF_CONF_SIZE: d = (double)xf_conf_value_bits(key, field); break;
  }
  int n = snprintf(text, sizeof text, "%.17g", d);
  if (n > 0 && (!isfinite(d) || !in_range(key, d))) return out_of_range(key, why, text);
  return XF_OK;
}

/* Characters that make no sense to YAML in a word that begins with a letter or digit. */
static bool is_plain(const char *s) {
  static const char first[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._";
  static const char rest[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+@";
  return *s && strchr(first, *s) && strspn(s, rest) == strlen(s) && strcmp(s, "null") != 0;
}

static enum xf_rc print_text(struct xf_buf *out, const char *s) {
  if (is_plain(s)) return xf_buf_put_str(out, s);
  enum xf_rc rc = xf_buf_put_str(out, "\"");
  for (; *s && !rc; s++) {
    if (*s == '"' || *s == '\\') rc = xf_buf_put_str(out, "\\");
    if (!rc) rc = xf_buf_put(out, s, 1);
  }
  return rc ? rc : xf_buf_put_str(out, "\"");
}

/* The shortest text that reads back to the same bits. */
static enum xf_rc print_double(struct xf_buf *out, double v) {
  char text[40];
  if (fabs(v) < 1e15 && v == floor(v)) return xf_buf_printf(out, "%.0f", v);
  for (int digits = 1; digits <= 17; digits++) {
    double back = 0;
    int n = snprintf(text, sizeof text, "%.*g", digits, v);
    if (n > 0 && !xf_str_double(&back, text, (size_t)n) && back == v) break;
  }
  return xf_buf_put_str(out, text);
}

enum xf_rc xf_conf_value_print(struct xf_buf *out, const struct xf_conf_key *key,
                               const void *field) {
  double d = 0;
  bool b = false;
  switch (key->type) {
  case XF_CONF_BOOL: memcpy(&b, field, sizeof b); return xf_buf_put_str(out, b ? "true" : "false");
  case XF_CONF_INT: return xf_buf_printf(out, "%" PRId64, (int64_t)xf_conf_value_bits(key, field));
  case XF_CONF_UINT:
  case XF_CONF_SIZE: return xf_buf_printf(out, "%" PRIu64, xf_conf_value_bits(key, field));
  case XF_CONF_DOUBLE:
  case XF_CONF_DURATION: memcpy(&d, field, sizeof d); return print_double(out, d);
  case XF_CONF_STRING:
  case XF_CONF_PATH: return print_text(out, field);
  case XF_CONF_ENUM:
    return xf_buf_put_str(out, xf_conf_name_text(key->names, (int)xf_conf_value_bits(key, field)));
  case XF_CONF_SECTIONS: break;
  }
  return XF_E_INVAL;
}

const void *xf_conf_list(const struct xf_conf_key *key, const void *target, uint32_t *n) {
  const char *base = target;
  memcpy(n, base + key->at_n, sizeof *n);
  if (!key->heap) return base + key->at;
  const void *p = NULL;
  memcpy(&p, base + key->at, sizeof p);
  return p;
}

void *xf_conf_list_make(const struct xf_conf_key *key, void *target, uint32_t n) {
  char *base = target;
  void *p = base + key->at;
  if (key->heap) {
    p = xf_try_calloc(n, key->size);
    if (!p) return NULL;
    memcpy(base + key->at, &p, sizeof p);
  } else {
    memset(p, 0, key->size * key->cap);
  }
  memcpy(base + key->at_n, &n, sizeof n);
  return p;
}

static bool field_equal(const struct xf_conf_key *key, const void *a, const void *b) {
  if (key->type == XF_CONF_STRING || key->type == XF_CONF_PATH) return strcmp(a, b) == 0;
  if (key->type != XF_CONF_SECTIONS) return memcmp(a, b, key->size) == 0;
  for (size_t i = 0; i < key->sections->n_key; i++)
    if (!xf_conf_key_equal(&key->sections->key[i], a, b)) return false;
  return true;
}

bool xf_conf_key_equal(const struct xf_conf_key *key, const void *a, const void *b) {
  if (!key->list) return field_equal(key, (const char *)a + key->at, (const char *)b + key->at);
  uint32_t n = 0, m = 0;
  const char *x = xf_conf_list(key, a, &n), *y = xf_conf_list(key, b, &m);
  if (n != m) return false;
  for (uint32_t i = 0; i < n; i++)
    if (!field_equal(key, x + i * key->size, y + i * key->size)) return false;
  return true;
}
