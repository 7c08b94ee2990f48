/* The ChaCha20 key stream against RFC 8439 and libsodium; the noise generator; secret memory. */
#include "base/digest.h"
#include "crypto/chacha.h"
#include "crypto/init.h"
#include "crypto/random.h"
#include "crypto/secret.h"
#include "crypto/stream.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

static int setup(void **state) {
  (void)state;
  return xf_crypto_start();
}

/* @source RFC 8439 section 2.4.2 (key 00..1f, nonce 00..00 4a 00 00 00 00, counter 1) */
static void test_rfc8439(void **state) {
  (void)state;
  static const char text[] =
      "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, "
      "sunscreen would be it.";
  static const uint8_t nonce[XF_CHACHA_NONCE_LEN] = {[7] = 0x4a};
  uint8_t key[XF_CHACHA_KEY_LEN], out[sizeof text - 1], head[16], tail[6];
  for (size_t i = 0; i < sizeof key; i++) key[i] = (uint8_t)i;
  struct xf_chacha s;
  xf_chacha_init(&s, key, nonce, 1);
  xf_chacha_fill(&s, out, 50); /* pieces continue within a block */
  xf_chacha_fill(&s, out + 50, sizeof out - 50);
  xf_chacha_deinit(&s);
  xf_chacha_deinit(&s);
  for (size_t i = 0; i < sizeof out; i++) out[i] ^= (uint8_t)text[i];
  assert_int_equal(sizeof out, 114);
  assert_int_equal(xf_hex_parse(head, 16, "6e2e359a2568f98041ba0728dd0d6981", 32), 0);
  assert_int_equal(xf_hex_parse(tail, 6, "f2785e42874d", 12), 0);
  assert_memory_equal(out, head, 16);
  assert_memory_equal(out + 108, tail, 6);
}

/* Random keys, nonces, counters and lengths: OpenSSL's and libsodium's streams are the same bytes. */
static void test_like_sodium(void **state) {
  (void)state;
  enum { LEN = 20000 };
  static uint8_t ours[LEN], theirs[LEN];
  struct xf_rng rng;
  xf_stream_init(&rng, 1, "test", 0, "chacha");
  for (int round = 0; round < 50; round++) {
    uint8_t key[XF_CHACHA_KEY_LEN], nonce[XF_CHACHA_NONCE_LEN];
    for (size_t i = 0; i < sizeof key; i++) key[i] = (uint8_t)xf_rng_u32(&rng);
    for (size_t i = 0; i < sizeof nonce; i++) nonce[i] = (uint8_t)xf_rng_u32(&rng);
    uint32_t counter = xf_rng_u32(&rng) >> 1;
    size_t len = 1 + xf_rng_below(&rng, LEN - 1);
    struct xf_chacha s;
    xf_chacha_init(&s, key, nonce, counter);
    for (size_t at = 0; at < len;) {
      size_t n = 1 + xf_rng_below(&rng, 700);
      if (n > len - at) n = len - at;
      xf_chacha_fill(&s, ours + at, n);
      at += n;
    }
    xf_chacha_deinit(&s);
    memset(theirs, 0, len);
    assert_int_equal(crypto_stream_chacha20_ietf_xor_ic(theirs, theirs, len, nonce, counter, key),
                     0);
    assert_memory_equal(ours, theirs, len);
  }
}

static void test_noise_seeded(void **state) {
  (void)state;
  struct xf_noise_rng a, b, c;
  xf_noise_rng_init_seeded(&a, 5, 2, "m");
  xf_noise_rng_init_seeded(&b, 5, 2, "m");
  xf_noise_rng_init_seeded(&c, 5, 3, "m");
  assert_true(a.seeded);
  int differs = 0;
  for (int i = 0; i < 5000; i++) { /* over several refills, with odd 32-bit words between */
    if (i % 3 == 0) assert_int_equal(xf_noise_rng_u32(&a), xf_noise_rng_u32(&b));
    uint64_t v = xf_noise_rng_u64(&a);
    assert_int_equal(v, xf_noise_rng_u64(&b));
    differs += v != xf_noise_rng_u64(&c);
  }
  assert_int_equal(differs, 5000);
  xf_noise_rng_deinit(&a);
  xf_noise_rng_deinit(&a);
  xf_noise_rng_deinit(&b);
  xf_noise_rng_deinit(&c);
}

/* Two fresh generators never agree, and what was handed out is gone from the buffer. */
static void test_noise_private(void **state) {
  (void)state;
  struct xf_noise_rng a, b;
  xf_noise_rng_init(&a);
  xf_noise_rng_init(&b);
  assert_false(a.seeded);
  static const uint8_t zero[XF_NOISE_BLOCK];
  for (int i = 0; i < XF_NOISE_BLOCK / 8; i++)
    assert_int_not_equal(xf_noise_rng_u64(&a), xf_noise_rng_u64(&b));
  assert_memory_equal(a.buf, zero, sizeof zero);
  xf_noise_rng_deinit(&a);
  xf_noise_rng_deinit(&b);
}

static void test_below(void **state) {
  (void)state;
  struct xf_noise_rng rng;
  xf_noise_rng_init_seeded(&rng, 1, 0, NULL);
  assert_int_equal(xf_noise_rng_below(&rng, 1), 0);
  enum { N = 6, DRAWS = 60000 };
  int count[N] = {0};
  for (int i = 0; i < DRAWS; i++) count[xf_noise_rng_below(&rng, N)]++;
  double chi2 = 0;
  for (int i = 0; i < N; i++) chi2 += (count[i] - 1e4) * (count[i] - 1e4) / 1e4;
  assert_true(chi2 < 20.5); /* 0.999 quantile, 5 degrees of freedom; the seed is fixed */
  uint64_t n = (UINT64_C(1) << 63) + 1; /* half of all draws are rejected */
  for (int i = 0; i < 1000; i++) assert_true(xf_noise_rng_below(&rng, n) < n);
  xf_noise_rng_deinit(&rng);
}

static void test_csprng(void **state) {
  (void)state;
  uint8_t b[64] = {0};
  static const uint8_t zero[64];
  xf_random_bytes(b, sizeof b);
  assert_memory_not_equal(b, zero, sizeof b);
  assert_int_not_equal(xf_random_u64(), xf_random_u64());
}

static void test_secret(void **state) {
  (void)state;
  struct xf_secret s = {0};
  xf_secret_deinit(&s);
  assert_int_equal(xf_secret_init(&s, 32), XF_OK);
  static const uint8_t zero[32];
  assert_memory_equal(s.p, zero, 32);
  xf_random_bytes(s.p, s.len);
  assert_true(xf_secret_equal(s.p, s.p, s.len));
  assert_false(xf_secret_equal(s.p, zero, s.len));
  xf_secret_deinit(&s);
  assert_null(s.p);
  xf_secret_deinit(&s);
  assert_int_equal(xf_secret_init(&s, SIZE_MAX / 2), XF_E_NOMEM);
  char text[8] = "secret!";
  xf_secret_wipe(text, sizeof text);
  assert_memory_equal(text, zero, sizeof text);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_rfc8439),      cmocka_unit_test(test_like_sodium),
      cmocka_unit_test(test_noise_seeded), cmocka_unit_test(test_noise_private),
      cmocka_unit_test(test_below),        cmocka_unit_test(test_csprng),
      cmocka_unit_test(test_secret),
  };
  return cmocka_run_group_tests(tests, setup, NULL);
}
