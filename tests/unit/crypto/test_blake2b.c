/* BLAKE2b-256, keyed and unkeyed, whole and in pieces, and the pseudonyms made of it. */
#include "base/digest.h"
#include "crypto/blake2b.h"
#include "crypto/init.h"
#include "crypto/pseudonym.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static uint8_t key[32]; /* 00 01 02 .. 1f */

static int setup(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof key; i++) key[i] = (uint8_t)i;
  return xf_crypto_start();
}

static void assert_hex(const uint8_t *p, size_t n, const char *hex) {
  char text[XF_DIGEST_HEX];
  xf_hex_print(text, p, n);
  assert_string_equal(text, hex);
}

/* Expected values: Python's hashlib.blake2b(digest_size=32), an independent implementation. */
static void test_known(void **state) {
  (void)state;
  struct xf_digest d;
  xf_blake2b(&d, "abc", 3);
  assert_hex(d.b, 32, "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319");
  xf_blake2b(&d, NULL, 0);
  assert_hex(d.b, 32, "0e5751c026e543b2e8ab2eb06099daa1d1e5df47778f7787faab45cdf12fe3a8");
  xf_blake2b_keyed(&d, key, "abc", 3);
  assert_hex(d.b, 32, "d63a32d3e44738d7907f964316c241adaba0abfeabc32349677578a15a203f7f");
}

static void test_pieces(void **state) {
  (void)state;
  uint8_t msg[1000];
  for (size_t i = 0; i < sizeof msg; i++) msg[i] = (uint8_t)(i * 11);
  struct {
    char odd; /* the context works at any alignment */
    struct xf_blake2b_ctx ctx;
  } s;
  for (size_t piece = 1; piece < sizeof msg; piece += 97) {
    xf_blake2b_init(&s.ctx, key);
    for (size_t at = 0; at < sizeof msg; at += piece)
      xf_blake2b_feed(&s.ctx, msg + at, at + piece > sizeof msg ? sizeof msg - at : piece);
    struct xf_digest got, want;
    xf_blake2b_take(&s.ctx, &got);
    xf_blake2b_keyed(&want, key, msg, sizeof msg);
    assert_true(xf_digest_equal(&got, &want));
    static const struct xf_blake2b_ctx zero;
    assert_memory_equal(&s.ctx, &zero, sizeof zero); /* nothing of the key stays */
  }
}

/* Fields carry their length: moving a byte over the border gives another digest. */
static void test_fields(void **state) {
  (void)state;
  struct xf_digest d[2];
  static const char *const rows[2][2] = {{"ab", "c"}, {"a", "bc"}};
  for (int i = 0; i < 2; i++) {
    struct xf_blake2b_ctx ctx;
    xf_blake2b_init(&ctx, NULL);
    for (int j = 0; j < 2; j++) xf_blake2b_feed_field(&ctx, rows[i][j], strlen(rows[i][j]));
    xf_blake2b_take(&ctx, &d[i]);
  }
  assert_false(xf_digest_equal(&d[0], &d[1]));
}

/* Expected: hashlib.blake2b(u64le(5) b"users" b"42", digest_size=16, key=bytes(range(32))) */
static void test_pseudonym(void **state) {
  (void)state;
  uint8_t a[XF_PSEUDONYM_LEN], b[XF_PSEUDONYM_LEN];
  xf_pseudonym(a, key, "users", "42", 2);
  assert_hex(a, sizeof a, "a46f05fa3afdc6fa49e3ce7c1e46b40e");
  xf_pseudonym(b, key, "users", "42", 2);
  assert_memory_equal(a, b, sizeof a);
  xf_pseudonym(b, key, "users4", "2", 1); /* same bytes, another border */
  assert_memory_not_equal(a, b, sizeof a);
  xf_pseudonym(b, key, "items", "42", 2);
  assert_memory_not_equal(a, b, sizeof a);
  key[31] ^= 1;
  xf_pseudonym(b, key, "users", "42", 2);
  assert_memory_not_equal(a, b, sizeof a);
  key[31] ^= 1;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_known),
      cmocka_unit_test(test_pieces),
      cmocka_unit_test(test_fields),
      cmocka_unit_test(test_pseudonym),
  };
  return cmocka_run_group_tests(tests, setup, NULL);
}
