/* SHA-256 against the NIST examples, and the incremental form against the one-shot form. */
#include "base/digest.h"
#include "crypto/sha256.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void assert_hex(const struct xf_digest *d, const char *hex) {
  char text[XF_DIGEST_HEX];
  assert_string_equal(xf_digest_print(text, d), hex);
}

/* @source FIPS 180-4 examples (NIST CSRC, SHA256.pdf and the 1,000,000 x "a" message) */
static void test_nist(void **state) {
  (void)state;
  static const struct {
    const char *msg, *hex;
  } rows[] = {
      {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
      {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
      {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
       "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    struct xf_digest d;
    xf_sha256(&d, rows[i].msg, strlen(rows[i].msg));
    assert_hex(&d, rows[i].hex);
  }
}

static void test_million(void **state) {
  (void)state;
  static char a[1000];
  memset(a, 'a', sizeof a);
  struct xf_sha256_ctx ctx;
  xf_sha256_init(&ctx);
  for (int i = 0; i < 1000; i++) xf_sha256_feed(&ctx, a, sizeof a);
  struct xf_digest d;
  xf_sha256_take(&ctx, &d);
  assert_hex(&d, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
  xf_sha256_deinit(&ctx);
  xf_sha256_deinit(&ctx);
}

static void test_pieces(void **state) {
  (void)state;
  uint8_t msg[300];
  for (size_t i = 0; i < sizeof msg; i++) msg[i] = (uint8_t)(i * 7);
  struct xf_sha256_ctx ctx;
  xf_sha256_init(&ctx);
  for (size_t piece = 1; piece < sizeof msg; piece += 13) {
    for (size_t at = 0; at < sizeof msg; at += piece)
      xf_sha256_feed(&ctx, msg + at, at + piece > sizeof msg ? sizeof msg - at : piece);
    struct xf_digest got, want;
    xf_sha256_take(&ctx, &got); /* starts afresh: the next round needs no init */
    xf_sha256(&want, msg, sizeof msg);
    assert_true(xf_digest_equal(&got, &want));
  }
  xf_sha256_feed(&ctx, msg, 5);
  xf_sha256_reset(&ctx);
  struct xf_digest none;
  xf_sha256_take(&ctx, &none);
  assert_hex(&none, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  xf_sha256_deinit(&ctx);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_nist),
      cmocka_unit_test(test_million),
      cmocka_unit_test(test_pieces),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
