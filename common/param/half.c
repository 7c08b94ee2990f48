#include "param/half.h"

#include <string.h>

static uint32_t bits(float x) {
  uint32_t u;
  memcpy(&u, &x, sizeof u);
  return u;
}

static float value(uint32_t u) {
  float x;
  memcpy(&x, &u, sizeof x);
  return x;
}

/* m / 2^shift, to nearest, ties to even; 1 <= shift <= 31. */
static uint32_t shift_even(uint32_t m, unsigned shift) {
  const uint32_t half = 1u << (shift - 1), rest = m & ((1u << shift) - 1), q = m >> shift;
  return q + (rest > half || (rest == half && (q & 1)));
}

uint16_t xf_half_from_float(float x) {
  const uint32_t u = bits(x), sign = u >> 16 & 0x8000, a = u & 0x7fffffff;
  if (a > 0x7f800000) return (uint16_t)(sign | 0x7e00);  /* NaN */
  if (a >= 0x477ff000) return (uint16_t)(sign | 0x7c00); /* 65520 and more */
  if (a >= 0x38800000) return (uint16_t)(sign | shift_even(a - 0x38000000, 13)); /* 2^-14 */
  if (a < 0x33000000) return (uint16_t)sign; /* below 2^-25: 0 */
  const uint32_t m = (a & 0x7fffff) | 0x800000;
  return (uint16_t)(sign | shift_even(m, 126 - (a >> 23)));
}

float xf_half_to_float(uint16_t h) {
  const uint32_t sign = (uint32_t)(h & 0x8000) << 16, e = h >> 10 & 31, m = h & 0x3ff;
  if (e == 31) return value(sign | 0x7f800000 | m << 13);
  if (e) return value(sign | ((e + 112) << 23) | m << 13);
  const float small = (float)m * 0x1p-24f;
  return sign ? -small : small;
}

uint16_t xf_bfloat_from_float(float x) {
  const uint32_t u = bits(x);
  if ((u & 0x7fffffff) > 0x7f800000) return (uint16_t)(u >> 16 | 0x40);
  return (uint16_t)((u + 0x7fff + (u >> 16 & 1)) >> 16);
}

float xf_bfloat_to_float(uint16_t b) { return value((uint32_t)b << 16); }
