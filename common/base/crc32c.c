#include "base/crc32c.h"

#include "base/assert.h"

#include <string.h>
#ifdef __SSE4_2__
#include <nmmintrin.h>
#include <pthread.h>
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
/* The instruction takes three cycles and can start every cycle, so long input goes in three lanes side by side. A lane's
   CRC is carried over the next lane by a table: the register after LANE zero bytes, linear in the register before. */
enum { LANE = 1024 };

static uint32_t over_lane[4][256];

static void over_lane_make(void) {
  uint32_t bit[32];
  for (unsigned i = 0; i < 32; i++) {
    uint64_t c = (uint64_t)1 << i;
    for (unsigned n = 0; n < LANE / 8; n++) c = _mm_crc32_u64(c, 0);
    bit[i] = (uint32_t)c;
  }
  for (unsigned k = 0; k < 4; k++)
    for (unsigned b = 0; b < 256; b++)
      for (unsigned i = 0; i < 8; i++)
        if (b >> i & 1) over_lane[k][b] ^= bit[8 * k + i];
}

static uint64_t skip_lane(uint64_t c) {
  return over_lane[0][c & 255] ^ over_lane[1][c >> 8 & 255] ^ over_lane[2][c >> 16 & 255] ^
         over_lane[3][c >> 24 & 255];
}

static uint64_t word(const uint8_t *p) {
  uint64_t w = 0;
  memcpy(&w, p, sizeof w);
  return w;
}

uint32_t xf_crc32c(uint32_t crc, const void *p, size_t n) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  const uint8_t *b = p;
  uint64_t c = ~crc;
  if (n >= (size_t)3 * LANE) XF_ASSERT(pthread_once(&once, over_lane_make) == 0);
  for (; n >= (size_t)3 * LANE; n -= (size_t)3 * LANE, b += (size_t)3 * LANE) {
    uint64_t c1 = 0, c2 = 0;
    for (size_t i = 0; i < LANE; i += 8) {
      c = _mm_crc32_u64(c, word(b + i));
      c1 = _mm_crc32_u64(c1, word(b + LANE + i));
      c2 = _mm_crc32_u64(c2, word(b + (size_t)2 * LANE + i));
    }
    c = skip_lane(skip_lane(c) ^ c1) ^ c2;
  }
  for (; n >= 8; n -= 8, b += 8) c = _mm_crc32_u64(c, word(b));
  uint32_t c32 = (uint32_t)c;
  for (; n > 0; n--, b++) c32 = _mm_crc32_u8(c32, *b);
  return ~c32;
}
#else
uint32_t xf_crc32c(uint32_t crc, const void *p, size_t n) { return xf_crc32c_ref(crc, p, n); }
#endif
