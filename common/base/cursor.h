/*
 * cursor.h - the bounds-checked reader: frames, checkpoints, datasets and ledgers parse only through it.
 *
 * A read beyond the end returns E_EOF and moves nothing. The cursor borrows the bytes.
 * Owner: caller's stack. Thread: one at a time.
 */
#ifndef XF_BASE_CURSOR_H
#define XF_BASE_CURSOR_H

#include "base/rc.h"

#include <stddef.h>
#include <stdint.h>

struct xf_cursor {
  const uint8_t *p;
  size_t len;
  size_t at;
};

/* Reads from p[0, len). @own borrows p */
void xf_cursor_init(struct xf_cursor *cur, const void *p, size_t len);
/* Bytes not yet read. @unit bytes */
size_t xf_cursor_left(const struct xf_cursor *cur);
/* Points at the next n bytes and steps over them. @err E_EOF @own borrowed */
XF_WARN_UNUSED enum xf_rc xf_cursor_bytes(struct xf_cursor *cur, const uint8_t **out, size_t n);
/* Copies the next n bytes. @err E_EOF */
XF_WARN_UNUSED enum xf_rc xf_cursor_copy(struct xf_cursor *cur, void *out, size_t n);
/* Fixed-width integers. @err E_EOF */
XF_WARN_UNUSED enum xf_rc xf_cursor_u8(struct xf_cursor *cur, uint8_t *out);
XF_WARN_UNUSED enum xf_rc xf_cursor_u16be(struct xf_cursor *cur, uint16_t *out);
XF_WARN_UNUSED enum xf_rc xf_cursor_u32be(struct xf_cursor *cur, uint32_t *out);
XF_WARN_UNUSED enum xf_rc xf_cursor_u32le(struct xf_cursor *cur, uint32_t *out);
XF_WARN_UNUSED enum xf_rc xf_cursor_u64le(struct xf_cursor *cur, uint64_t *out);
/* The next line without its "\n" or "\r\n"; the last line may lack the end. @err E_EOF @own borrowed */
XF_WARN_UNUSED enum xf_rc xf_cursor_line(struct xf_cursor *cur, const char **out, size_t *out_len);
/* The next field up to `sep` or the end, stepping over the separator. @err E_EOF @own borrowed */
XF_WARN_UNUSED enum xf_rc xf_cursor_field(struct xf_cursor *cur, char sep, const char **out,
                                          size_t *out_len);

#endif
