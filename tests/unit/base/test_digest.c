/* Digests as values and as text; hexadecimal both ways. */
#include "base/digest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void test_digest(void **state) {
  (void)state;
  struct xf_digest a = {{0}}, b;
  char hex[XF_DIGEST_HEX];
  assert_true(xf_digest_is_zero(&a));
  for (size_t i = 0; i < XF_DIGEST_LEN; i++) a.b[i] = (uint8_t)(i * 9);
  assert_false(xf_digest_is_zero(&a));
  assert_int_equal(xf_digest_parse(&b, xf_digest_print(hex, &a)), XF_OK);
  assert_int_equal(strlen(hex), 64);
  assert_memory_equal(hex, "0009121b", 8);
  assert_true(xf_digest_equal(&a, &b));
  b.b[31] ^= 1;
  assert_false(xf_digest_equal(&a, &b));
  assert_int_equal(xf_digest_from_bytes(&b, a.b, 32), XF_OK);
  assert_true(xf_digest_equal(&a, &b));
  assert_int_equal(xf_digest_from_bytes(&b, a.b, 31), XF_E_SHAPE);
  hex[5] = 'g';
  assert_int_equal(xf_digest_parse(&b, hex), XF_E_FORMAT);
  hex[5] = 'A';
  assert_int_equal(xf_digest_parse(&b, hex), XF_OK);
  hex[63] = '\0';
  assert_int_equal(xf_digest_parse(&b, hex), XF_E_FORMAT);
  assert_int_equal(xf_digest_parse(&b, ""), XF_E_FORMAT);
}

static void test_hex(void **state) {
  (void)state;
  uint8_t b[3] = {0};
  char out[7];
  assert_int_equal(xf_hex_parse(b, 3, "00fFa0", 6), XF_OK);
  xf_hex_print(out, b, 3);
  assert_string_equal(out, "00ffa0");
  xf_hex_print(out, b, 0);
  assert_string_equal(out, "");
  assert_int_equal(xf_hex_parse(b, 3, "00fFa", 5), XF_E_FORMAT);
  assert_int_equal(xf_hex_parse(b, 3, "00fF a", 6), XF_E_FORMAT);
  assert_int_equal(xf_hex_parse(b, 0, "", 0), XF_OK);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_digest),
      cmocka_unit_test(test_hex),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
