/* Layouts: what may be added, counts per role, and the canonical bytes behind the layout digest. */
#include "param/layout.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void add(struct xf_layout *l, const char *name, enum xf_role role, const char *ns,
                uint32_t rows, uint32_t cols) {
  assert_int_equal(xf_layout_add(l, name, role, ns, rows, cols, NULL), XF_OK);
}

static void example(struct xf_layout *l) {
  xf_layout_init(l);
  add(l, "net/w", XF_ROLE_SHARED, NULL, 3, 4);
  add(l, "item", XF_ROLE_DOMAIN, "", 10, 4);
  add(l, "user", XF_ROLE_ALIGNED, "users", 5, 4);
  add(l, "user_b", XF_ROLE_ALIGNED, "users", 5, 1);
  add(l, "private", XF_ROLE_USER, NULL, 7, 2);
  add(l, "net/b", XF_ROLE_SHARED, NULL, 3, 1);
}

static void test_segments(void **state) {
  (void)state;
  struct xf_layout l;
  example(&l);
  assert_int_equal(l.n_seg, 6);
  assert_int_equal(l.n, 12 + 40 + 20 + 5 + 14 + 3);
  uint64_t at = 0;
  for (size_t i = 0; i < l.n_seg; i++) {
    assert_int_equal(l.seg[i].offset, at);
    at += (uint64_t)l.seg[i].rows * l.seg[i].cols;
  }
  const struct xf_segment *s = xf_layout_find(&l, "user_b");
  assert_ptr_equal(s, &l.seg[3]);
  assert_string_equal(s->ns, "users");
  assert_null(xf_layout_find(&l, "net"));
  assert_int_equal(xf_layout_count(&l, XF_ROLE_SHARED), 15);
  assert_int_equal(xf_layout_count(&l, XF_ROLE_DOMAIN), 40);
  assert_int_equal(xf_layout_count(&l, XF_ROLE_USER), 14);
  assert_int_equal(xf_layout_count(&l, XF_ROLE_ALIGNED), 25);
  assert_int_equal(xf_layout_row_cols(&l, "users"), 5);
  assert_int_equal(xf_layout_row_cols(&l, "items"), 0);
  xf_layout_deinit(&l);
  xf_layout_deinit(&l);
  assert_int_equal(l.n, 0);
}

static void refuse(struct xf_layout *l, const char *name, enum xf_role role, const char *ns,
                   uint32_t rows, uint32_t cols, enum xf_rc rc, const char *says) {
  struct xf_diag diag;
  xf_diag_init(&diag);
  size_t n_seg = l->n_seg;
  uint64_t n = l->n;
  assert_int_equal(xf_layout_add(l, name, role, ns, rows, cols, &diag), rc);
  assert_non_null(strstr(diag.text, says));
  assert_int_equal(l->n_seg, n_seg);
  assert_int_equal(l->n, n);
}

static void test_refusals(void **state) {
  (void)state;
  struct xf_layout l;
  char name[XF_NAME_MAX + 1];
  example(&l);
  refuse(&l, "", XF_ROLE_SHARED, NULL, 1, 1, XF_E_INVAL, "segment name");
  refuse(&l, "Upper", XF_ROLE_SHARED, NULL, 1, 1, XF_E_INVAL, "\"Upper\"");
  refuse(&l, "a b", XF_ROLE_SHARED, NULL, 1, 1, XF_E_INVAL, "\"a b\"");
  memset(name, 'a', XF_NAME_MAX);
  name[XF_NAME_MAX] = '\0';
  refuse(&l, name, XF_ROLE_SHARED, NULL, 1, 1, XF_E_INVAL, "1 to 63");
  name[XF_NAME_MAX - 1] = '\0';
  add(&l, name, XF_ROLE_SHARED, NULL, 1, 1);
  refuse(&l, "x", (enum xf_role)9, NULL, 1, 1, XF_E_INVAL, "role 9");
  refuse(&l, "x", XF_ROLE_SHARED, "users", 1, 1, XF_E_INVAL, "only aligned");
  refuse(&l, "x", XF_ROLE_ALIGNED, NULL, 1, 1, XF_E_INVAL, "needs a namespace");
  refuse(&l, "x", XF_ROLE_ALIGNED, "Users!", 1, 1, XF_E_INVAL, "Users!");
  refuse(&l, "x", XF_ROLE_SHARED, NULL, 1, 0, XF_E_INVAL, "0 columns");
  refuse(&l, "item", XF_ROLE_SHARED, NULL, 1, 1, XF_E_EXISTS, "\"item\" is defined twice");
  refuse(&l, "x", XF_ROLE_SHARED, NULL, UINT32_MAX, UINT32_MAX, XF_E_LIMIT, "4294967295");
  refuse(&l, "x", XF_ROLE_SHARED, NULL, 1u << 31, 1, XF_E_LIMIT, "exceed the limit of 2147483648");
  add(&l, "none", XF_ROLE_ALIGNED, "users", 0, 4); /* a silo without such rows */
  add(&l, "rest", XF_ROLE_SHARED, NULL, (uint32_t)(XF_PARAM_MAX - l.n), 1); /* exactly full */
  refuse(&l, "x", XF_ROLE_SHARED, NULL, 1, 1, XF_E_LIMIT, "exceed");
  xf_layout_deinit(&l);
  xf_layout_init(&l);
  for (int i = 0; i < XF_SEGMENT_MAX; i++) {
    snprintf(name, sizeof name, "s%d", i);
    add(&l, name, XF_ROLE_SHARED, NULL, 1, 1);
  }
  refuse(&l, "x", XF_ROLE_SHARED, NULL, 1, 1, XF_E_LIMIT, "more than 256");
  xf_layout_deinit(&l);
}

static void test_copy(void **state) {
  (void)state;
  struct xf_layout l, c;
  char name[16];
  xf_layout_init(&l);
  for (int i = 0; i < 40; i++) { /* the copy can grow at every size */
    xf_layout_copy(&c, &l);
    assert_int_equal(c.n_seg, l.n_seg);
    assert_int_equal(c.n, l.n);
    if (l.n_seg) {
      assert_ptr_not_equal(c.seg, l.seg);
      assert_memory_equal(c.seg, l.seg, l.n_seg * sizeof *l.seg);
    }
    add(&c, "more", XF_ROLE_SHARED, NULL, 2, 2);
    assert_null(xf_layout_find(&l, "more"));
    xf_layout_deinit(&c);
    snprintf(name, sizeof name, "s%d", i);
    add(&l, name, XF_ROLE_USER, NULL, 1, 3);
  }
  xf_layout_deinit(&l);
}

static void test_encode(void **state) {
  (void)state;
  static const uint8_t want[] = "\x05\0net/w\0\0\0\3\0\0\0\4\0\0\0"       /* shared, 3 x 4 */
                                "\x04\0user\3\5\0users\0\0\0\0\4\0\0\0"   /* aligned: rows say 0 */
                                "\x06\0user_b\3\5\0users\0\0\0\0\1\0\0\0" /* in layout order */
                                "\x05\0net/b\0\0\0\3\0\0\0\1\0\0\0";
  struct xf_layout l;
  struct xf_buf b;
  example(&l);
  xf_buf_init(&b, 1000);
  assert_int_equal(xf_layout_encode(&b, &l), XF_OK);
  assert_int_equal(b.len, sizeof want - 1);
  assert_memory_equal(b.p, want, sizeof want - 1);
  /* Domain and user segments and a silo's own number of rows leave the digest alone. */
  struct xf_layout other;
  struct xf_buf c;
  xf_layout_init(&other);
  add(&other, "net/w", XF_ROLE_SHARED, NULL, 3, 4);
  add(&other, "user", XF_ROLE_ALIGNED, "users", 999, 4);
  add(&other, "item", XF_ROLE_DOMAIN, NULL, 77, 4);
  add(&other, "user_b", XF_ROLE_ALIGNED, "users", 999, 1);
  add(&other, "net/b", XF_ROLE_SHARED, NULL, 3, 1);
  xf_buf_init(&c, 1000);
  assert_int_equal(xf_layout_encode(&c, &other), XF_OK);
  assert_int_equal(c.len, b.len);
  assert_memory_equal(c.p, b.p, b.len);
  xf_buf_deinit(&c);
  xf_layout_deinit(&other);
  /* A buffer that is too small stays as it was, wherever it ends. */
  for (size_t max = 2; max < sizeof want + 1; max++) {
    xf_buf_init(&c, max);
    assert_int_equal(xf_buf_put_str(&c, "ab"), XF_OK);
    assert_int_equal(xf_layout_encode(&c, &l), XF_E_LIMIT);
    assert_int_equal(c.len, 2);
    xf_buf_deinit(&c);
  }
  xf_buf_deinit(&b);
  xf_layout_deinit(&l);
}

static void test_role_names(void **state) {
  (void)state;
  enum xf_role role = XF_ROLE_USER;
#define ROW(n, t)                                              \
  assert_string_equal(xf_role_name(XF_ROLE_##n), t);           \
  assert_int_equal(xf_role_parse(&role, t, strlen(t)), XF_OK); \
  assert_int_equal(role, XF_ROLE_##n);
  XF_ROLE_LIST(ROW)
#undef ROW
  assert_int_equal(xf_role_parse(&role, "shared:x", 6), XF_OK);
  assert_int_equal(xf_role_parse(&role, "shared", 5), XF_E_INVAL);
  assert_int_equal(xf_role_parse(&role, "aligned:users", 13), XF_E_INVAL);
  assert_int_equal(xf_role_parse(&role, "", 0), XF_E_INVAL);
  assert_string_equal(xf_role_name((enum xf_role)7), "unknown");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_segments),   cmocka_unit_test(test_refusals),
      cmocka_unit_test(test_copy),       cmocka_unit_test(test_encode),
      cmocka_unit_test(test_role_names),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
