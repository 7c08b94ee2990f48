#include "base/cursor.h"

#include <string.h>

void xf_cursor_init(struct xf_cursor *cur, const void *p, size_t len) {
  *cur = (struct xf_cursor){.p = p, .len = len};
}

size_t xf_cursor_left(const struct xf_cursor *cur) { return cur->len - cur->at; }

enum xf_rc xf_cursor_bytes(struct xf_cursor *cur, const uint8_t **out, size_t n) {
  if (n > xf_cursor_left(cur)) return XF_E_EOF;
  *out = cur->p ? cur->p + cur->at : NULL;
  cur->at += n;
  return XF_OK;
}

enum xf_rc xf_cursor_copy(struct xf_cursor *cur, void *out, size_t n) {
  const uint8_t *p = NULL;
  enum xf_rc rc = xf_cursor_bytes(cur, &p, n);
  if (!rc && n) memcpy(out, p, n);
  return rc;
}

enum xf_rc xf_cursor_u8(struct xf_cursor *cur, uint8_t *out) { return xf_cursor_copy(cur, out, 1); }

enum xf_rc xf_cursor_u16be(struct xf_cursor *cur, uint16_t *out) {
  const uint8_t *b = NULL;
  enum xf_rc rc = xf_cursor_bytes(cur, &b, 2);
  if (!rc) *out = (uint16_t)(b[0] << 8 | b[1]);
  return rc;
}

enum xf_rc xf_cursor_u32be(struct xf_cursor *cur, uint32_t *out) {
  const uint8_t *b = NULL;
  enum xf_rc rc = xf_cursor_bytes(cur, &b, 4);
  if (!rc) *out = (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
  return rc;
}

enum xf_rc xf_cursor_u32le(struct xf_cursor *cur, uint32_t *out) {
  const uint8_t *b = NULL;
  enum xf_rc rc = xf_cursor_bytes(cur, &b, 4);
  if (!rc) *out = (uint32_t)b[3] << 24 | (uint32_t)b[2] << 16 | (uint32_t)b[1] << 8 | b[0];
  return rc;
}

enum xf_rc xf_cursor_u64le(struct xf_cursor *cur, uint64_t *out) {
  const uint8_t *b = NULL;
  enum xf_rc rc = xf_cursor_bytes(cur, &b, 8);
  if (rc) return rc;
  uint64_t v = 0;
  for (int i = 7; i >= 0; i--) v = v << 8 | b[i];
  *out = v;
  return XF_OK;
}

enum xf_rc xf_cursor_line(struct xf_cursor *cur, const char **out, size_t *out_len) {
  enum xf_rc rc = xf_cursor_field(cur, '\n', out, out_len);
  if (!rc && *out_len && (*out)[*out_len - 1] == '\r') (*out_len)--;
  return rc;
}

enum xf_rc xf_cursor_field(struct xf_cursor *cur, char sep, const char **out, size_t *out_len) {
  size_t left = xf_cursor_left(cur);
  if (left == 0) return XF_E_EOF;
  const uint8_t *start = cur->p + cur->at;
  const uint8_t *end = memchr(start, sep, left);
  size_t n = end ? (size_t)(end - start) : left;
  *out = (const char *)start;
  *out_len = n;
  cur->at += end ? n + 1 : n;
  return XF_OK;
}
