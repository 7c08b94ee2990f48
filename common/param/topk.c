#include "param/topk.h"

#include <math.h>
#include <string.h>

/* Magnitudes of finite floats order as their bits without the sign. */
static uint32_t magnitude(float x) {
  uint32_t u;
  memcpy(&u, &x, sizeof u);
  return u & 0x7fffffff;
}

uint64_t xf_topk_count(double fraction, uint64_t n) {
  const double k = ceil(fraction * (double)n);
  if (k >= (double)n) return n;
  return k > 1 ? (uint64_t)k : n > 0;
}

/* The k-th largest magnitude, by its digits from the highest; *equal: how many of that size are among the k. */
static uint32_t threshold(const float *a, uint64_t n, uint64_t k, uint64_t *equal) {
  static const unsigned width[] = {11, 10, 10}; /* bits */
  uint32_t found = 0;
  unsigned below = 31;
  for (int pass = 0; pass < 3; pass++) {
    uint64_t count[1 << 11] = {0};
    const unsigned above = below;
    below -= width[pass];
    const uint32_t mask = (1u << width[pass]) - 1;
    for (uint64_t i = 0; i < n; i++) {
      const uint32_t m = magnitude(a[i]);
      if (m >> above == found >> above) count[m >> below & mask]++;
    }
    uint32_t digit = mask;
    while (digit > 0 && count[digit] < k) k -= count[digit--];
    found |= digit << below;
  }
  *equal = k;
  return found;
}

void xf_topk_split(float *sent, float *a, uint64_t n, uint64_t k) {
  if (k >= n) {
    memcpy(sent, a, (size_t)n * sizeof *a);
    memset(a, 0, (size_t)n * sizeof *a);
    return;
  }
  memset(sent, 0, (size_t)n * sizeof *sent);
  if (k == 0) return;
  uint64_t equal = 0;
  const uint32_t limit = threshold(a, n, k, &equal);
  for (uint64_t i = 0; i < n; i++) {
    const uint32_t m = magnitude(a[i]);
    if (m < limit || m == 0 || (m == limit && equal == 0)) continue;
    if (m == limit) equal--;
    sent[i] = a[i];
    a[i] = 0;
  }
}
