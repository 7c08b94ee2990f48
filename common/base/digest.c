#include "base/digest.h"

#include <string.h>

bool xf_digest_equal(const struct xf_digest *a, const struct xf_digest *b) {
  return memcmp(a->b, b->b, XF_DIGEST_LEN) == 0;
}

bool xf_digest_is_zero(const struct xf_digest *d) {
  static const struct xf_digest zero;
  return xf_digest_equal(d, &zero);
}

void xf_hex_print(char *out, const uint8_t *p, size_t n) {
  static const char digits[] = "0123456789abcdef";
  for (size_t i = 0; i < n; i++) {
    out[2 * i] = digits[p[i] >> 4];
    out[2 * i + 1] = digits[p[i] & 15];
  }
  out[2 * n] = '\0';
}

static int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

enum xf_rc xf_hex_parse(uint8_t *out, size_t n, const char *hex, size_t hex_len) {
  if (hex_len != 2 * n) return XF_E_FORMAT;
  for (size_t i = 0; i < n; i++) {
    int hi = hex_value(hex[2 * i]), lo = hex_value(hex[2 * i + 1]);
    if (hi < 0 || lo < 0) return XF_E_FORMAT;
    out[i] = (uint8_t)(hi * 16 + lo);
  }
  return XF_OK;
}

const char *xf_digest_print(char out[XF_DIGEST_HEX], const struct xf_digest *d) {
  xf_hex_print(out, d->b, XF_DIGEST_LEN);
  return out;
}

enum xf_rc xf_digest_parse(struct xf_digest *out, const char *hex) {
  return xf_hex_parse(out->b, XF_DIGEST_LEN, hex, strlen(hex));
}

enum xf_rc xf_digest_from_bytes(struct xf_digest *out, const uint8_t *p, size_t len) {
  if (len != XF_DIGEST_LEN) return XF_E_SHAPE;
  memcpy(out->b, p, XF_DIGEST_LEN);
  return XF_OK;
}
