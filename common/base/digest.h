/*
 * digest.h - a 256-bit digest as a value, and its hexadecimal text.
 * Computing digests is `crypto`'s business; base, param, store and wire only carry them.
 */
#ifndef XF_BASE_DIGEST_H
#define XF_BASE_DIGEST_H

#include "base/rc.h"

#include <stddef.h>
#include <stdint.h>

enum { XF_DIGEST_LEN = 32, XF_DIGEST_HEX = 65 };

struct xf_digest {
  uint8_t b[XF_DIGEST_LEN];
};

/* Whether two digests are equal (public values: not constant time). @thread any */
bool xf_digest_equal(const struct xf_digest *a, const struct xf_digest *b);
/* Whether all bytes are zero (the "none" digest). @thread any */
bool xf_digest_is_zero(const struct xf_digest *d);
/* Lower-case hex with NUL into out[65]; returns out. @own caller's buffer */
const char *xf_digest_print(char out[XF_DIGEST_HEX], const struct xf_digest *d);
/* Parses exactly 64 hex digits. @err E_FORMAT */
XF_WARN_UNUSED enum xf_rc xf_digest_parse(struct xf_digest *out, const char *hex);
/* From raw bytes; len must be 32. @err E_SHAPE */
XF_WARN_UNUSED enum xf_rc xf_digest_from_bytes(struct xf_digest *out, const uint8_t *p, size_t len);
/* n bytes as lower-case hex with NUL; out has 2n+1 bytes. @own caller's buffer */
void xf_hex_print(char *out, const uint8_t *p, size_t n);
/* Parses 2n hex digits of `hex` (length hex_len) into n bytes. @err E_FORMAT */
XF_WARN_UNUSED enum xf_rc xf_hex_parse(uint8_t *out, size_t n, const char *hex, size_t hex_len);

#endif
