/* The growable buffer: maxima are exact, a refused append changes nothing, bytes come out as they went in. */
#include "base/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void test_maximum(void **state) {
  (void)state;
  struct xf_buf b;
  xf_buf_init(&b, 10);
  assert_int_equal(xf_buf_put(&b, "12345678", 8), XF_OK);
  assert_int_equal(xf_buf_put(&b, "abc", 3), XF_E_LIMIT);
  assert_int_equal(b.len, 8);
  assert_int_equal(xf_buf_put_u32be(&b, 1), XF_E_LIMIT);
  assert_int_equal(xf_buf_put_u64le(&b, 1), XF_E_LIMIT);
  assert_int_equal(xf_buf_printf(&b, "%d", 123), XF_E_LIMIT);
  assert_null(xf_buf_reserve(&b, 3));
  assert_null(xf_buf_reserve(&b, SIZE_MAX));
  assert_int_equal(xf_buf_put(&b, b.p, SIZE_MAX), XF_E_LIMIT);
  assert_int_equal(xf_buf_printf(&b, "%d", 12), XF_OK); /* exactly full; its NUL is not content */
  assert_int_equal(b.len, 10);
  assert_string_equal(xf_buf_cstr(&b), "1234567812");
  assert_int_equal(b.len, 10);
  assert_int_equal(xf_buf_put_u8(&b, 1), XF_E_LIMIT);
  assert_int_equal(xf_buf_put(&b, NULL, 0), XF_OK);
  xf_buf_deinit(&b);
  xf_buf_deinit(&b);
  xf_buf_init(&b, 0);
  assert_non_null(xf_buf_reserve(&b, 0));
  assert_int_equal(xf_buf_put_u8(&b, 1), XF_E_LIMIT);
  assert_string_equal(xf_buf_cstr(&b), "");
  xf_buf_deinit(&b);
}

static void test_growth(void **state) {
  (void)state;
  struct xf_buf b;
  xf_buf_init(&b, 100000);
  for (uint32_t i = 0; i < 25000; i++) assert_int_equal(xf_buf_put_u32le(&b, i), XF_OK);
  assert_int_equal(b.len, b.max);
  assert_true(b.cap <= b.max);
  for (uint32_t i = 0; i < 25000; i++) {
    uint32_t v = 0;
    memcpy(&v, b.p + 4 * i, 4);
    assert_int_equal(v, i);
  }
  uint8_t *p = b.p;
  xf_buf_reset(&b);
  assert_int_equal(b.len, 0);
  assert_int_equal(xf_buf_put_str(&b, "again"), XF_OK);
  assert_ptr_equal(b.p, p); /* reset keeps the memory */
  xf_buf_deinit(&b);
}

static void test_integers_and_text(void **state) {
  (void)state;
  struct xf_buf b;
  xf_buf_init(&b, 1000);
  assert_int_equal(xf_buf_put_u8(&b, 0xab), XF_OK);
  assert_int_equal(xf_buf_put_u16be(&b, 0x0102), XF_OK);
  assert_int_equal(xf_buf_put_u32be(&b, 0x03040506), XF_OK);
  assert_int_equal(xf_buf_put_u32le(&b, 0x0a090807), XF_OK);
  assert_int_equal(xf_buf_put_u64le(&b, 0x1817161514131211u), XF_OK);
  assert_int_equal(xf_buf_put_str(&b, "ok"), XF_OK);
  assert_int_equal(xf_buf_printf(&b, "%s-%04d", "x", 42), XF_OK);
  static const uint8_t want[] = {0xab, 1,   2,    3,    4,    5,    6,    7,    8,
                                 9,    10,  0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17,
                                 0x18, 'o', 'k',  'x',  '-',  '0',  '0',  '4',  '2'};
  assert_int_equal(b.len, sizeof want);
  assert_memory_equal(b.p, want, sizeof want);
  xf_buf_consume(&b, 0);
  xf_buf_consume(&b, 19);
  assert_string_equal(xf_buf_cstr(&b), "okx-0042");
  xf_buf_consume(&b, 8);
  assert_int_equal(b.len, 0);
  xf_buf_deinit(&b);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_maximum),
      cmocka_unit_test(test_growth),
      cmocka_unit_test(test_integers_and_text),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
