/* Canonical bytes of a target (docs/internals/conf.md): a section is u16le number of fields, then the
   fields in tag order, each u16le tag, u8 kind, payload. One target has exactly one encoding. */
#include "base/alloc.h"
#include "base/cursor.h"
#include "conf/parts.h"

#include <math.h>
#include <string.h>

enum {
  KIND_BOOL = 1,
  KIND_INT,
  KIND_UINT,
  KIND_DOUBLE,
  KIND_TEXT,
  KIND_SECTIONS,
  KIND_LIST = 0x80
};

static uint8_t kind_of(const struct xf_conf_key *key) {
  uint8_t kind = 0;
  switch (key->type) {
  case XF_CONF_BOOL: kind = KIND_BOOL; break;
  case XF_CONF_INT:
  case XF_CONF_ENUM: kind = KIND_INT; break;
  case XF_CONF_UINT:
  case XF_CONF_SIZE: kind = KIND_UINT; break;
  case XF_CONF_DOUBLE:
  case XF_CONF_DURATION: kind = KIND_DOUBLE; break;
  case XF_CONF_STRING:
  case XF_CONF_PATH: kind = KIND_TEXT; break;
  case XF_CONF_SECTIONS: kind = KIND_SECTIONS; break;
  }
  return key->list ? (uint8_t)(kind | KIND_LIST) : kind;
}

/* The key with the smallest tag above `after`, or NULL. */
static const struct xf_conf_key *next_tag(const struct xf_conf_schema *schema, uint32_t after) {
  const struct xf_conf_key *best = NULL;
  for (size_t i = 0; i < schema->n_key; i++) {
    const struct xf_conf_key *k = &schema->key[i];
    if (k->tag > after && (!best || k->tag < best->tag)) best = k;
  }
  return best;
}

static enum xf_rc put_u16le(struct xf_buf *out, uint32_t v) {
  uint8_t b[2] = {(uint8_t)(v & 0xff), (uint8_t)(v >> 8)};
  return xf_buf_put(out, b, sizeof b);
}

static enum xf_rc put_section(struct xf_buf *out, const struct xf_conf_schema *schema,
                              const void *target);

static enum xf_rc put_field(struct xf_buf *out, const struct xf_conf_key *key, const void *field) {
  uint64_t bits = 0;
  switch (key->type) {
  case XF_CONF_BOOL: return xf_buf_put_u8(out, *(const bool *)field ? 1 : 0);
  case XF_CONF_DOUBLE:
  case XF_CONF_DURATION: memcpy(&bits, field, sizeof bits); return xf_buf_put_u64le(out, bits);
  case XF_CONF_STRING:
  case XF_CONF_PATH: {
    enum xf_rc rc = xf_buf_put_u32le(out, (uint32_t)strlen(field));
    return rc ? rc : xf_buf_put_str(out, field);
  }
  case XF_CONF_SECTIONS: return put_section(out, key->sections, field);
  case XF_CONF_INT:
  case XF_CONF_UINT:
  case XF_CONF_ENUM:
  case XF_CONF_SIZE: break;
  }
  return xf_buf_put_u64le(out, xf_conf_value_bits(key, field));
}

static enum xf_rc put_key(struct xf_buf *out, const struct xf_conf_key *key, const void *target) {
  enum xf_rc rc = put_u16le(out, key->tag);
  if (!rc) rc = xf_buf_put_u8(out, kind_of(key));
  if (rc || !key->list) return rc ? rc : put_field(out, key, (const char *)target + key->at);
  uint32_t n = 0;
  const char *e = xf_conf_list(key, target, &n);
  rc = xf_buf_put_u32le(out, n);
  for (uint32_t i = 0; i < n && !rc; i++) rc = put_field(out, key, e + i * key->size);
  return rc;
}

static enum xf_rc put_section(struct xf_buf *out, const struct xf_conf_schema *schema,
                              const void *target) {
  void *defaults = xf_calloc(1, schema->size);
  xf_conf_init_target(schema, defaults);
  uint32_t n = 0;
  for (size_t i = 0; i < schema->n_key; i++)
    n += schema->key[i].tag && !xf_conf_key_equal(&schema->key[i], target, defaults);
  enum xf_rc rc = put_u16le(out, n);
  for (const struct xf_conf_key *k = next_tag(schema, 0); k && !rc; k = next_tag(schema, k->tag))
    if (!xf_conf_key_equal(k, target, defaults)) rc = put_key(out, k, target);
  xf_conf_deinit_target(schema, defaults);
  xf_free(defaults);
  return rc;
}

enum xf_rc xf_conf_encode(struct xf_buf *out, const struct xf_conf_schema *schema,
                          const void *target) {
  return put_section(out, schema, target);
}

static enum xf_rc take_section(void *target, const struct xf_conf_schema *schema,
                               struct xf_cursor *cur, struct xf_diag *diag);

static enum xf_rc take_text(const struct xf_conf_key *key, char *field, struct xf_cursor *cur,
                            struct xf_diag *diag) {
  uint32_t len = 0;
  const uint8_t *p = NULL;
  enum xf_rc rc = xf_cursor_u32le(cur, &len);
  if (!rc) rc = xf_cursor_bytes(cur, &p, len);
  if (rc) return rc;
  if (len >= key->size)
    return xf_diag_set(diag, XF_E_CONFIG, "\"%s\": a text of %u bytes, at most %zu", key->path, len,
                       key->size - 1);
  if (len && memchr(p, 0, len))
    return xf_diag_set(diag, XF_E_FORMAT, "\"%s\": a text with a NUL byte", key->path);
  memset(field, 0, key->size);
  if (len) memcpy(field, p, len);
  return XF_OK;
}

static enum xf_rc take_number(const struct xf_conf_key *key, void *field, struct xf_cursor *cur,
                              struct xf_diag *diag) {
  uint64_t bits = 0;
  enum xf_rc rc = xf_cursor_u64le(cur, &bits);
  if (rc) return rc;
  if (key->type == XF_CONF_DOUBLE || key->type == XF_CONF_DURATION) {
    memcpy(field, &bits, sizeof bits);
    return bits == UINT64_C(1) << 63
               ? xf_diag_set(diag, XF_E_FORMAT, "\"%s\": negative zero", key->path)
               : XF_OK;
  }
  xf_conf_value_set_bits(key, field, bits);
  if (xf_conf_value_bits(key, field) != bits)
    return xf_diag_set(diag, XF_E_CONFIG, "\"%s\": the number needs more than %zu bytes", key->path,
                       key->size);
  return XF_OK;
}

static enum xf_rc take_field(const struct xf_conf_key *key, void *field, struct xf_cursor *cur,
                             struct xf_diag *diag) {
  char why[XF_CONF_WHY];
  uint8_t b = 0;
  enum xf_rc rc = XF_OK;
  switch (key->type) {
  case XF_CONF_BOOL:
    rc = xf_cursor_u8(cur, &b);
    if (rc) return rc;
    if (b > 1) return xf_diag_set(diag, XF_E_FORMAT, "\"%s\": truth value %u", key->path, b);
    *(bool *)field = b == 1;
    return XF_OK;
  case XF_CONF_STRING:
  case XF_CONF_PATH: rc = take_text(key, field, cur, diag); break;
  case XF_CONF_SECTIONS: return take_section(field, key->sections, cur, diag);
  case XF_CONF_INT:
  case XF_CONF_UINT:
  case XF_CONF_DOUBLE:
  case XF_CONF_ENUM:
  case XF_CONF_DURATION:
  case XF_CONF_SIZE: rc = take_number(key, field, cur, diag); break;
  }
  if (!rc && xf_conf_value_check(key, field, why))
    rc = xf_diag_set(diag, XF_E_CONFIG, "\"%s\": %s", key->path, why);
  return rc;
}

static enum xf_rc take_key(const struct xf_conf_key *key, void *target, struct xf_cursor *cur,
                           struct xf_diag *diag) {
  if (!key->list) return take_field(key, (char *)target + key->at, cur, diag);
  uint32_t n = 0;
  enum xf_rc rc = xf_cursor_u32le(cur, &n);
  if (rc) return rc;
  /* Each element takes at least one byte, so a lying count cannot make us allocate. */
  if (n > key->cap || n > xf_cursor_left(cur))
    return xf_diag_set(diag, XF_E_CONFIG, "\"%s\": %u elements, at most %u", key->path, n,
                       key->cap);
  uint32_t had = 0;
  void *old = NULL; /* the default's elements */
  const void *before = xf_conf_list(key, target, &had);
  if (key->heap && before) memcpy(&old, (char *)target + key->at, sizeof old);
  char *e = xf_conf_list_make(key, target, n);
  if (!e) return XF_E_NOMEM;
  if (key->heap) xf_free(old);
  for (uint32_t i = 0; i < n && !rc; i++) rc = take_field(key, e + i * key->size, cur, diag);
  return rc;
}

static const struct xf_conf_key *find_tag(const struct xf_conf_schema *schema, uint32_t tag) {
  for (size_t i = 0; i < schema->n_key; i++)
    if (tag && schema->key[i].tag == tag) return &schema->key[i];
  return NULL;
}

static enum xf_rc take_tagged(void *target, const struct xf_conf_schema *schema,
                              struct xf_cursor *cur, uint32_t *last, struct xf_diag *diag) {
  uint8_t t[2] = {0, 0}, kind = 0;
  enum xf_rc rc = xf_cursor_copy(cur, t, sizeof t);
  if (!rc) rc = xf_cursor_u8(cur, &kind);
  if (rc) return rc;
  uint32_t tag = (uint32_t)t[0] | (uint32_t)t[1] << 8;
  if (tag <= *last) return xf_diag_set(diag, XF_E_FORMAT, "field %u after field %u", tag, *last);
  *last = tag;
  const struct xf_conf_key *key = find_tag(schema, tag);
  if (!key)
    return xf_diag_set(diag, XF_E_VERSION, "field %u is not known to this version; upgrade it",
                       tag);
  if (kind != kind_of(key))
    return xf_diag_set(diag, XF_E_FORMAT, "\"%s\": kind %u instead of %u", key->path, kind,
                       kind_of(key));
  return take_key(key, target, cur, diag);
}

static enum xf_rc take_section(void *target, const struct xf_conf_schema *schema,
                               struct xf_cursor *cur, struct xf_diag *diag) {
  xf_conf_init_target(schema, target);
  uint8_t c[2] = {0, 0};
  enum xf_rc rc = xf_cursor_copy(cur, c, sizeof c);
  uint32_t n = (uint32_t)c[0] | (uint32_t)c[1] << 8, last = 0;
  for (uint32_t i = 0; i < n && !rc; i++) rc = take_tagged(target, schema, cur, &last, diag);
  for (size_t i = 0; i < schema->n_key && !rc; i++) {
    const struct xf_conf_key *key = &schema->key[i];
    char why[XF_CONF_WHY];
    uint32_t n_list = 1;
    if (key->list) (void)xf_conf_list(key, target, &n_list);
    if (key->required && key->tag &&
        (n_list == 0 || (!key->list && xf_conf_value_check(key, (char *)target + key->at, why))))
      rc = xf_diag_set(diag, XF_E_CONFIG, "\"%s\" is missing", key->path);
  }
  return rc;
}

enum xf_rc xf_conf_decode(void *target, const struct xf_conf_schema *schema, const uint8_t *p,
                          size_t len, struct xf_diag *diag) {
  struct xf_cursor cur;
  xf_cursor_init(&cur, p, len);
  enum xf_rc rc = take_section(target, schema, &cur, diag);
  if (!rc && xf_cursor_left(&cur) > 0)
    rc = xf_diag_set(diag, XF_E_FORMAT, "%zu bytes behind the last field", xf_cursor_left(&cur));
  if (rc == XF_E_EOF) rc = xf_diag_set(diag, XF_E_FORMAT, "ends too early, after %zu bytes", len);
  if (rc) {
    xf_conf_deinit_target(schema, target);
    return rc;
  }
  /* What decodes but would be written differently (a default spelled out) is not canonical. */
  struct xf_buf again;
  xf_buf_init(&again, len + 1);
  rc = put_section(&again, schema, target);
  if (rc || again.len != len || memcmp(again.p, p, len) != 0)
    rc = xf_diag_set(diag, XF_E_FORMAT, "not in canonical form");
  xf_buf_deinit(&again);
  if (rc) xf_conf_deinit_target(schema, target);
  return rc;
}
