/* Keys of the seeded streams: fixed for ever, and different wherever one argument differs. */
#include "base/digest.h"
#include "crypto/init.h"
#include "crypto/stream.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static int setup(void **state) {
  (void)state;
  return xf_crypto_start();
}

/* Expected: Python's hashlib.blake2b over the encoding in stream.h */
static void test_known(void **state) {
  (void)state;
  uint8_t key[XF_STREAM_KEY_LEN];
  char hex[XF_DIGEST_HEX];
  xf_stream_key(key, 1, "shuffle", 3, "books-01");
  xf_hex_print(hex, key, sizeof key);
  assert_string_equal(hex, "b4843f83247a294074e7ef2eebfbafd9a4814bd6fef87396975fa483259f661c");
  struct xf_rng rng, by_hand;
  xf_stream_init(&rng, 1, "shuffle", 3, "books-01");
  xf_rng_init(&by_hand, 0x40297a24833f84b4u, 0xd9affbeb2eefe774u);
  for (int i = 0; i < 9; i++) assert_int_equal(xf_rng_u64(&rng), xf_rng_u64(&by_hand));
}

static void test_same(void **state) {
  (void)state;
  struct xf_rng a, b;
  xf_stream_init(&a, 42, "init", 0, NULL);
  xf_stream_init(&b, 42, "init", 0, "");
  for (int i = 0; i < 100; i++) assert_int_equal(xf_rng_u64(&a), xf_rng_u64(&b));
}

/* All purposes x rounds x members x seeds: no two keys alike. */
static void test_distinct(void **state) {
  (void)state;
#define NAME(n) n,
  static const char *const purposes[] = {XF_STREAM_PURPOSES(NAME)};
#undef NAME
  static const char *const members[] = {"", "a", "b", "ab"};
  enum { N_P = sizeof purposes / sizeof purposes[0], N = 2 * N_P * 3 * 4 };
  static uint8_t keys[N][XF_STREAM_KEY_LEN];
  size_t n = 0;
  for (uint64_t seed = 0; seed < 2; seed++)
    for (size_t p = 0; p < N_P; p++)
      for (uint64_t round = 0; round < 3; round++)
        for (size_t m = 0; m < 4; m++)
          xf_stream_key(keys[n++], seed, purposes[p], round, members[m]);
  assert_int_equal(n, N);
  for (size_t i = 0; i < N; i++)
    for (size_t j = 0; j < i; j++) assert_memory_not_equal(keys[i], keys[j], 16);
}

/* Neighbouring rounds are uncorrelated: about half of the bits of the two streams agree. */
static void test_independent(void **state) {
  (void)state;
  struct xf_rng a, b;
  xf_stream_init(&a, 7, "negative", 1, "x");
  xf_stream_init(&b, 7, "negative", 2, "x");
  int equal = 0, total = 64 * 4096;
  for (int i = 0; i < 4096; i++)
    equal += 64 - __builtin_popcountll(xf_rng_u64(&a) ^ xf_rng_u64(&b));
  /* sd = sqrt(total) / 2 = 256; six of them */
  assert_in_range(equal, total / 2 - 1536, total / 2 + 1536);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_known),
      cmocka_unit_test(test_same),
      cmocka_unit_test(test_distinct),
      cmocka_unit_test(test_independent),
  };
  return cmocka_run_group_tests(tests, setup, NULL);
}
