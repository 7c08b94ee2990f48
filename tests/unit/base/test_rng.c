/* Philox against the published vectors, and the uniformity, order and repeatability of what is built on it. */
#include "base/rng.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

/* @source Random123 1.14 kat_vectors, philox4x32 with 10 rounds */
static void test_philox(void **state) {
  (void)state;
  static const struct {
    uint32_t ctr[4], key[2], out[4];
  } rows[] = {
      {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
      {{~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
      {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
       {0xa4093822, 0x299f31d0},
       {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
  };
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    uint32_t out[4];
    xf_rng_philox(out, rows[i].ctr, rows[i].key);
    assert_memory_equal(out, rows[i].out, sizeof out);
  }
}

/* The stream is the blocks of its key in counter order, and the high counter words are the sub-stream. */
static void test_stream(void **state) {
  (void)state;
  struct xf_rng rng;
  xf_rng_init(&rng, 0x299f31d0a4093822u, 0x0370734413198a2eu);
  const uint32_t key[2] = {0xa4093822, 0x299f31d0};
  for (uint32_t block = 0; block < 5; block++) {
    const uint32_t ctr[4] = {block, 0, 0x13198a2e, 0x03707344};
    uint32_t want[4];
    xf_rng_philox(want, ctr, key);
    for (int i = 0; i < 4; i++) assert_int_equal(xf_rng_u32(&rng), want[i]);
  }
  /* The low counter word carries into the next. */
  rng.ctr[0] = UINT32_MAX;
  rng.left = 0;
  (void)xf_rng_u32(&rng);
  assert_int_equal(rng.ctr[0], 0);
  assert_int_equal(rng.ctr[1], 1);
  struct xf_rng a, b;
  xf_rng_init(&a, 1, 0);
  xf_rng_init(&b, 1, 0);
  uint32_t lo = xf_rng_u32(&a), hi = xf_rng_u32(&a);
  assert_true(xf_rng_u64(&b) == ((uint64_t)hi << 32 | lo));
  xf_rng_init(&b, 1, 1);
  assert_true(xf_rng_u32(&b) != lo);
}

static void test_below(void **state) {
  (void)state;
  struct xf_rng rng;
  xf_rng_init(&rng, 2, 0);
  assert_int_equal(xf_rng_below(&rng, 1), 0);
  uint32_t count[7] = {0};
  for (int i = 0; i < 70000; i++) {
    uint32_t v = xf_rng_below(&rng, 7);
    assert_true(v < 7);
    count[v]++;
  }
  /* chi-square with 6 degrees of freedom: 22.5 is the 0.1 % point; the seed is fixed */
  double chi = 0;
  for (int i = 0; i < 7; i++) chi += (count[i] - 1e4) * (count[i] - 1e4) / 1e4;
  assert_true(chi < 22.5);
  /* Below 3 * 2^30 a quarter of the draws are rejected; without that, every third value would come twice as
     often (1/2 of all instead of 1/3), and with a modulo the low third. */
  uint32_t third = 0, low = 0, n = 3u << 30;
  for (int i = 0; i < 30000; i++) {
    uint32_t v = xf_rng_below(&rng, n);
    assert_true(v < n);
    third += v % 3 == 0;
    low += v < n / 3;
  }
  assert_true(third > 9600 && third < 10400);
  assert_true(low > 9600 && low < 10400);
}

static void test_double_and_normal(void **state) {
  (void)state;
  struct xf_rng rng;
  xf_rng_init(&rng, 3, 0);
  double sum = 0, sum1 = 0, sum2 = 0;
  enum { N = 100000 };
  for (int i = 0; i < N; i++) {
    double u = xf_rng_double(&rng), z = xf_rng_normal(&rng);
    assert_true(u >= 0 && u < 1);
    assert_true(isfinite(z));
    sum += u;
    sum1 += z;
    sum2 += z * z;
  }
  assert_true(fabs(sum / N - 0.5) < 0.005);
  assert_true(fabs(sum1 / N) < 0.015);
  assert_true(fabs(sum2 / N - 1) < 0.02);
}

static void test_shuffle(void **state) {
  (void)state;
  struct xf_rng rng;
  xf_rng_init(&rng, 4, 0);
  uint32_t ids[100], seen[6] = {0};
  for (uint32_t i = 0; i < 100; i++) ids[i] = i;
  xf_rng_shuffle(&rng, ids, 100);
  uint8_t have[100] = {0};
  unsigned moved = 0;
  for (uint32_t i = 0; i < 100; i++) {
    have[ids[i]]++;
    moved += ids[i] != i;
  }
  for (int i = 0; i < 100; i++) assert_int_equal(have[i], 1);
  assert_true(moved > 90);
  for (int i = 0; i < 6000; i++) { /* each order of three about 1000 times */
    uint32_t t[3] = {0, 1, 2};
    xf_rng_shuffle(&rng, t, 3);
    seen[t[0] * 2 + (t[1] > t[2])]++;
  }
  for (int i = 0; i < 6; i++) assert_true(seen[i] > 870 && seen[i] < 1130);
  xf_rng_shuffle(&rng, ids, 1);
  xf_rng_shuffle(&rng, NULL, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_philox),  cmocka_unit_test(test_stream),
      cmocka_unit_test(test_below),   cmocka_unit_test(test_double_and_normal),
      cmocka_unit_test(test_shuffle),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
