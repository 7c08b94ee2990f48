/* CRC-32C: published vectors, and the fast kernel against the reference at every length and alignment. */
#include "base/crc32c.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

/* @source RFC 3720 appendix B.4; the check value of "123456789" */
static void test_vectors(void **state) {
  (void)state;
  uint8_t b[32];
  assert_int_equal(xf_crc32c(0, "123456789", 9), 0xe3069283u);
  assert_int_equal(xf_crc32c(0, "", 0), 0);
  memset(b, 0, sizeof b);
  assert_int_equal(xf_crc32c(0, b, sizeof b), 0x8a9136aau);
  memset(b, 0xff, sizeof b);
  assert_int_equal(xf_crc32c(0, b, sizeof b), 0x62a8ab43u);
  for (size_t i = 0; i < sizeof b; i++) b[i] = (uint8_t)i;
  assert_int_equal(xf_crc32c(0, b, sizeof b), 0x46dd794eu);
}

static void test_against_reference(void **state) {
  (void)state;
  uint8_t b[200];
  for (size_t i = 0; i < sizeof b; i++) b[i] = (uint8_t)(i * 151 + 7);
  for (size_t at = 0; at < 9; at++)
    for (size_t n = 0; at + n <= 100; n++)
      assert_int_equal(xf_crc32c(0, b + at, n), xf_crc32c_ref(0, b + at, n));
  uint32_t whole = xf_crc32c(0, b, sizeof b);
  for (size_t cut = 0; cut <= sizeof b; cut += 7)
    assert_int_equal(xf_crc32c(xf_crc32c(0, b, cut), b + cut, sizeof b - cut), whole);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_vectors),
      cmocka_unit_test(test_against_reference),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
