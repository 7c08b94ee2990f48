/* The bounds-checked reader: a read beyond the end moves nothing. */
#include "base/cursor.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void test_integers(void **state) {
  (void)state;
  static const uint8_t in[] = {0xff, 1, 2, 3, 4, 5, 6, 7, 8,   9,   10,
                               1,    2, 3, 4, 5, 6, 7, 8, 'e', 'n', 'd'};
  struct xf_cursor c;
  uint8_t u8 = 0;
  uint16_t u16 = 0;
  uint32_t be = 0, le = 0;
  uint64_t u64 = 0;
  char end[4] = "";
  const uint8_t *p = NULL;
  xf_cursor_init(&c, in, sizeof in);
  assert_int_equal(xf_cursor_u8(&c, &u8), XF_OK);
  assert_int_equal(xf_cursor_u16be(&c, &u16), XF_OK);
  assert_int_equal(xf_cursor_u32be(&c, &be), XF_OK);
  assert_int_equal(xf_cursor_u32le(&c, &le), XF_OK);
  assert_int_equal(xf_cursor_u64le(&c, &u64), XF_OK);
  assert_int_equal(u8, 0xff);
  assert_int_equal(u16, 0x0102);
  assert_int_equal(be, 0x03040506);
  assert_int_equal(le, 0x0a090807);
  assert_true(u64 == 0x0807060504030201u);
  assert_int_equal(xf_cursor_left(&c), 3);
  assert_int_equal(xf_cursor_bytes(&c, &p, 4), XF_E_EOF);
  assert_int_equal(xf_cursor_bytes(&c, &p, SIZE_MAX), XF_E_EOF);
  assert_int_equal(xf_cursor_u32be(&c, &be), XF_E_EOF);
  assert_int_equal(xf_cursor_u32le(&c, &le), XF_E_EOF);
  assert_int_equal(xf_cursor_u64le(&c, &u64), XF_E_EOF);
  assert_int_equal(xf_cursor_copy(&c, end, 4), XF_E_EOF);
  assert_int_equal(xf_cursor_left(&c), 3); /* moved nothing */
  assert_int_equal(xf_cursor_copy(&c, end, 3), XF_OK);
  assert_string_equal(end, "end");
  assert_int_equal(xf_cursor_u8(&c, &u8), XF_E_EOF);
  assert_int_equal(xf_cursor_u16be(&c, &u16), XF_E_EOF);
  assert_int_equal(xf_cursor_bytes(&c, &p, 0), XF_OK);
  xf_cursor_init(&c, NULL, 0);
  assert_int_equal(xf_cursor_bytes(&c, &p, 0), XF_OK);
  assert_int_equal(xf_cursor_copy(&c, end, 0), XF_OK);
  assert_int_equal(xf_cursor_u8(&c, &u8), XF_E_EOF);
}

static void expect_line(struct xf_cursor *c, const char *want) {
  const char *p = NULL;
  size_t len = 0;
  assert_int_equal(xf_cursor_line(c, &p, &len), XF_OK);
  assert_int_equal(len, strlen(want));
  assert_memory_equal(p, want, len);
}

static void expect_field(struct xf_cursor *c, char sep, const char *want) {
  const char *p = NULL;
  size_t len = 0;
  assert_int_equal(xf_cursor_field(c, sep, &p, &len), XF_OK);
  assert_int_equal(len, strlen(want));
  assert_memory_equal(p, want, len);
}

static void test_lines(void **state) {
  (void)state;
  static const char text[] = "one\ntwo\r\n\n\rx\nlast";
  static const char *const want[] = {"one", "two", "", "\rx", "last"};
  struct xf_cursor c;
  const char *p = NULL;
  size_t len = 0;
  xf_cursor_init(&c, text, sizeof text - 1);
  for (size_t i = 0; i < sizeof want / sizeof want[0]; i++) expect_line(&c, want[i]);
  assert_int_equal(xf_cursor_line(&c, &p, &len), XF_E_EOF);
  xf_cursor_init(&c, "a\n", 2); /* the end of the last line starts no further one */
  expect_line(&c, "a");
  assert_int_equal(xf_cursor_line(&c, &p, &len), XF_E_EOF);
}

static void test_fields(void **state) {
  (void)state;
  static const char text[] = "a\t\tbc\td";
  static const char *const want[] = {"a", "", "bc", "d"};
  struct xf_cursor c;
  const char *p = NULL;
  size_t len = 0;
  xf_cursor_init(&c, text, sizeof text - 1);
  for (size_t i = 0; i < sizeof want / sizeof want[0]; i++) expect_field(&c, '\t', want[i]);
  assert_int_equal(xf_cursor_field(&c, '\t', &p, &len), XF_E_EOF);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_integers),
      cmocka_unit_test(test_lines),
      cmocka_unit_test(test_fields),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
