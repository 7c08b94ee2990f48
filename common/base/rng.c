#include "base/rng.h"

#include <math.h>
#include <string.h>

void xf_rng_philox(uint32_t out[4], const uint32_t ctr[4], const uint32_t key[2]) {
  uint32_t c0 = ctr[0], c1 = ctr[1], c2 = ctr[2], c3 = ctr[3];
  uint32_t k0 = key[0], k1 = key[1];
  for (int round = 0; round < 10; round++) {
    uint64_t p0 = (uint64_t)0xD2511F53u * c0;
    uint64_t p1 = (uint64_t)0xCD9E8D57u * c2;
    c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
    c1 = (uint32_t)p1;
    c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
    c3 = (uint32_t)p0;
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  out[0] = c0;
  out[1] = c1;
  out[2] = c2;
  out[3] = c3;
}

void xf_rng_init(struct xf_rng *rng, uint64_t key, uint64_t stream_hi) {
  *rng = (struct xf_rng){.key = {(uint32_t)key, (uint32_t)(key >> 32)},
                         .ctr = {0, 0, (uint32_t)stream_hi, (uint32_t)(stream_hi >> 32)}};
}

uint32_t xf_rng_u32(struct xf_rng *rng) {
  if (rng->left == 0) {
    xf_rng_philox(rng->out, rng->ctr, rng->key);
    if (++rng->ctr[0] == 0) rng->ctr[1]++;
    rng->left = 4;
  }
  return rng->out[4 - rng->left--];
}

uint64_t xf_rng_u64(struct xf_rng *rng) {
  uint64_t lo = xf_rng_u32(rng);
  return lo | (uint64_t)xf_rng_u32(rng) << 32;
}

uint32_t xf_rng_below(struct xf_rng *rng, uint32_t n) {
  uint64_t m = (uint64_t)xf_rng_u32(rng) * n;
  if ((uint32_t)m < n) {
    uint32_t floor = (0u - n) % n;
    while ((uint32_t)m < floor) m = (uint64_t)xf_rng_u32(rng) * n;
  }
  return (uint32_t)(m >> 32);
}

double xf_rng_double(struct xf_rng *rng) { return (double)(xf_rng_u64(rng) >> 11) * 0x1p-53; }

double xf_rng_normal(struct xf_rng *rng) {
  double u = 1.0 - xf_rng_double(rng); /* (0, 1]: log is finite */
  double v = xf_rng_double(rng);
  return sqrt(-2.0 * log(u)) * cos(6.283185307179586476925286766559 * v);
}

void xf_rng_shuffle(struct xf_rng *rng, uint32_t *ids, size_t n) {
  for (size_t i = n; i > 1; i--) {
    size_t j = xf_rng_below(rng, (uint32_t)i);
    uint32_t t = ids[i - 1];
    ids[i - 1] = ids[j];
    ids[j] = t;
  }
}
