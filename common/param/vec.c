#include "param/vec.h"

#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "wire and file vectors are little-endian float32, copied as they lie in memory");
_Static_assert(sizeof(float) == 4, "float must be IEEE 754 binary32");

void xf_vec_delta(float *delta, const float *after, const float *before, size_t n) {
  for (size_t i = 0; i < n; i++) delta[i] = after[i] - before[i];
}

double xf_vec_norm2(const float *x, size_t n) {
  double sum = 0;
  for (size_t i = 0; i < n; i++) sum += (double)x[i] * (double)x[i];
  return sum;
}

/* An exponent of all ones is NaN or infinite. */
static unsigned is_nonfinite(float x) {
  uint32_t bits = 0;
  memcpy(&bits, &x, sizeof bits);
  return (bits & 0x7F800000u) == 0x7F800000u;
}

size_t xf_vec_find_nonfinite(const float *x, size_t n) {
  enum { BLOCK = 1024 }; /* without an early exit inside, the compiler vectorises */
  for (size_t at = 0; at < n; at += BLOCK) {
    size_t end = n - at < BLOCK ? n : at + BLOCK;
    unsigned any = 0;
    for (size_t i = at; i < end; i++) any |= is_nonfinite(x[i]);
    for (size_t i = at; any && i < end; i++)
      if (is_nonfinite(x[i])) return i;
  }
  return SIZE_MAX;
}

void xf_vec_scale(float *x, float s, size_t n) {
  for (size_t i = 0; i < n; i++) x[i] *= s;
}
