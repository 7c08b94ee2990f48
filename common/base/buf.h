/*
 * buf.h - a growable byte buffer that is born with a maximum.
 *
 * Appending beyond the maximum returns E_LIMIT and changes nothing, so a hostile peer or file can
 * never exhaust memory through a buffer. Bytes [0, len) are valid; `p` may move on append.
 * Owner: whoever called xf_buf_init. Thread: one at a time.
 */
#ifndef XF_BASE_BUF_H
#define XF_BASE_BUF_H

#include "base/rc.h"

#include <stddef.h>
#include <stdint.h>

struct xf_buf {
  uint8_t *p;
  size_t len;
  size_t cap;
  size_t max;
};

/* Empty buffer that may grow to `max` bytes. @own caller, release with xf_buf_deinit */
void xf_buf_init(struct xf_buf *buf, size_t max);
/* Releases the bytes; idempotent. @own takes the bytes */
void xf_buf_deinit(struct xf_buf *buf);
/* Forgets the bytes and keeps the memory. @own buf */
void xf_buf_reset(struct xf_buf *buf);
/* Makes room for n more bytes and returns where they go (then set len yourself), or NULL when the
   maximum would be exceeded or memory is short. @err NULL */
uint8_t *xf_buf_reserve(struct xf_buf *buf, size_t n);
/* Appends n bytes. @err E_LIMIT E_NOMEM */
XF_WARN_UNUSED enum xf_rc xf_buf_put(struct xf_buf *buf, const void *p, size_t n);
/* Appends a NUL-terminated string without its NUL. @err E_LIMIT E_NOMEM */
XF_WARN_UNUSED enum xf_rc xf_buf_put_str(struct xf_buf *buf, const char *s);
/* Appends formatted text. @err E_LIMIT E_NOMEM */
XF_WARN_UNUSED enum xf_rc xf_buf_printf(struct xf_buf *buf, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* Appends integers. Big-endian is the wire's order, little-endian the file formats'.
   @err E_LIMIT E_NOMEM */
XF_WARN_UNUSED enum xf_rc xf_buf_put_u8(struct xf_buf *buf, uint8_t v);
XF_WARN_UNUSED enum xf_rc xf_buf_put_u16be(struct xf_buf *buf, uint16_t v);
XF_WARN_UNUSED enum xf_rc xf_buf_put_u32be(struct xf_buf *buf, uint32_t v);
XF_WARN_UNUSED enum xf_rc xf_buf_put_u32le(struct xf_buf *buf, uint32_t v);
XF_WARN_UNUSED enum xf_rc xf_buf_put_u64le(struct xf_buf *buf, uint64_t v);
/* Drops the first n bytes (n <= len). @own buf */
void xf_buf_consume(struct xf_buf *buf, size_t n);
/* NUL-terminates (not counted in len) and returns the text; "" on failure to grow. @own buf */
const char *xf_buf_cstr(struct xf_buf *buf);

#endif
