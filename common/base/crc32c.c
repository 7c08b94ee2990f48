#include "base/crc32c.h"

#include <string.h>
#ifdef __SSE4_2__
#include <nmmintrin.h>
#endif

uint32_t xf_crc32c_ref(uint32_t crc, const void *p, size_t n) {
  const uint8_t *b = p;
  crc = ~crc;
  for (size_t i = 0; i < n; i++) {
    crc ^= b[i];
    for (int k = 0; k < 8; k++) crc = crc >> 1 ^ (crc & 1 ? 0x82F63B78u : 0);
  }
  return ~crc;
}

#ifdef __SSE4_2__
uint32_t xf_crc32c(uint32_t crc, const void *p, size_t n) {
  const uint8_t *b = p;
  uint64_t c = ~crc;
  for (; n >= 8; n -= 8, b += 8) {
    uint64_t w = 0;
    memcpy(&w, b, 8);
    c = _mm_crc32_u64(c, w);
  }
  uint32_t c32 = (uint32_t)c;
  for (; n > 0; n--, b++) c32 = _mm_crc32_u8(c32, *b);
  return ~c32;
}
#else
uint32_t xf_crc32c(uint32_t crc, const void *p, size_t n) { return xf_crc32c_ref(crc, p, n); }
#endif
