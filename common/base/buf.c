#include "base/buf.h"

#include "base/alloc.h"
#include "base/assert.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void xf_buf_init(struct xf_buf *buf, size_t max) { *buf = (struct xf_buf){.max = max}; }

void xf_buf_deinit(struct xf_buf *buf) {
  xf_free(buf->p);
  *buf = (struct xf_buf){.max = buf->max};
}

void xf_buf_reset(struct xf_buf *buf) { buf->len = 0; }

/* Makes the memory hold `need` bytes; the caller has checked the maximum. */
static bool buf_grow(struct xf_buf *buf, size_t need) {
  if (need <= buf->cap && buf->p) return true;
  size_t cap = buf->cap ? buf->cap : 64;
  while (cap < need) cap = cap > SIZE_MAX / 2 ? need : cap * 2;
  if (cap > buf->max) cap = need > buf->max ? need : buf->max;
  uint8_t *p = xf_try_realloc_array(buf->p, cap, 1);
  if (!p) return false;
  buf->p = p;
  buf->cap = cap;
  return true;
}

uint8_t *xf_buf_reserve(struct xf_buf *buf, size_t n) {
  if (n > buf->max - buf->len || !buf_grow(buf, buf->len + n)) return NULL;
  return buf->p + buf->len;
}

enum xf_rc xf_buf_put(struct xf_buf *buf, const void *p, size_t n) {
  if (n == 0) return XF_OK;
  if (n > buf->max - buf->len) return XF_E_LIMIT;
  uint8_t *at = xf_buf_reserve(buf, n);
  if (!at) return XF_E_NOMEM;
  memcpy(at, p, n);
  buf->len += n;
  return XF_OK;
}

enum xf_rc xf_buf_put_str(struct xf_buf *buf, const char *s) {
  return xf_buf_put(buf, s, strlen(s));
}

enum xf_rc xf_buf_printf(struct xf_buf *buf, const char *fmt, ...) {
  va_list ap;
  va_start(ap, fmt);
  int n = vsnprintf(NULL, 0, fmt, ap);
  va_end(ap);
  if (n < 0) return XF_E_INVAL;
  if ((size_t)n > buf->max - buf->len) return XF_E_LIMIT;
  /* The NUL that vsnprintf writes may lie one byte beyond the maximum: it is not content. */
  if (!buf_grow(buf, buf->len + (size_t)n + 1)) return XF_E_NOMEM;
  va_start(ap, fmt);
  int m = vsnprintf((char *)buf->p + buf->len, (size_t)n + 1, fmt, ap);
  va_end(ap);
  XF_ASSERT(m == n);
  buf->len += (size_t)n;
  return XF_OK;
}

enum xf_rc xf_buf_put_u8(struct xf_buf *buf, uint8_t v) { return xf_buf_put(buf, &v, 1); }

enum xf_rc xf_buf_put_u16be(struct xf_buf *buf, uint16_t v) {
  uint8_t b[2] = {(uint8_t)(v >> 8), (uint8_t)v};
  return xf_buf_put(buf, b, sizeof b);
}

enum xf_rc xf_buf_put_u32be(struct xf_buf *buf, uint32_t v) {
  uint8_t b[4] = {(uint8_t)(v >> 24), (uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v};
  return xf_buf_put(buf, b, sizeof b);
}

enum xf_rc xf_buf_put_u32le(struct xf_buf *buf, uint32_t v) {
  uint8_t b[4] = {(uint8_t)v, (uint8_t)(v >> 8), (uint8_t)(v >> 16), (uint8_t)(v >> 24)};
  return xf_buf_put(buf, b, sizeof b);
}

enum xf_rc xf_buf_put_u64le(struct xf_buf *buf, uint64_t v) {
  uint8_t b[8];
  for (int i = 0; i < 8; i++) b[i] = (uint8_t)(v >> (8 * i));
  return xf_buf_put(buf, b, sizeof b);
}

void xf_buf_consume(struct xf_buf *buf, size_t n) {
  XF_ASSERT(n <= buf->len);
  if (n == 0) return;
  memmove(buf->p, buf->p + n, buf->len - n);
  buf->len -= n;
}

const char *xf_buf_cstr(struct xf_buf *buf) {
  if (!buf_grow(buf, buf->len + 1)) return "";
  buf->p[buf->len] = '\0';
  return (const char *)buf->p;
}
