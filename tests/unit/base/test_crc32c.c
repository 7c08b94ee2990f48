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

/* Long input takes another path: lengths about its blocks, odd addresses, any start. */
static void test_long(void **state) {
  (void)state;
  static uint8_t b[70000];
  const size_t about[] = {1024, 3072, 6144, 9216, 65536};
  for (size_t i = 0; i < sizeof b; i++) b[i] = (uint8_t)(i * 2654435761u >> 13);
  for (size_t k = 0; k < sizeof about / sizeof about[0]; k++)
    for (size_t n = about[k] - 9; n <= about[k] + 9; n += 3)
      for (size_t at = 0; at < 3; at++)
        assert_int_equal(xf_crc32c((uint32_t)n * 77, b + at, n),
                         xf_crc32c_ref((uint32_t)n * 77, b + at, n));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_vectors),
      cmocka_unit_test(test_against_reference),
      cmocka_unit_test(test_long),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
