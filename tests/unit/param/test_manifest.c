/* Manifests and their union: order, duplicates, holders, limits; the union against a plain count. */
#include "param/manifest.h"

#include "base/rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static struct xf_key key_of(uint32_t v) {
  struct xf_key k = {{0}};
  k.b[3] = (uint8_t)(v >> 8); /* equal bytes before and after: order is decided in the middle */
  k.b[4] = (uint8_t)v;
  k.b[15] = 0x5a;
  return k;
}

static void test_sort_and_find(void **state) {
  (void)state;
  struct xf_key in[500];
  uint32_t ids[500];
  struct xf_rng rng;
  struct xf_manifest m;
  xf_rng_init(&rng, 1, 0);
  for (uint32_t i = 0; i < 500; i++) ids[i] = i;
  xf_rng_shuffle(&rng, ids, 500);
  for (size_t i = 0; i < 500; i++) in[i] = key_of(2 * ids[i]);
  assert_int_equal(xf_manifest_init(&m, in, 500, NULL), XF_OK);
  assert_int_equal(m.n, 500);
  for (uint32_t i = 0; i < 500; i++) {
    struct xf_key even = key_of(2 * i), odd = key_of(2 * i + 1);
    assert_memory_equal(&m.key[i], &even, sizeof even);
    assert_int_equal(xf_manifest_find(&m, &even), i);
    assert_true(xf_manifest_find(&m, &odd) == SIZE_MAX);
  }
  xf_manifest_deinit(&m);
  xf_manifest_deinit(&m);
  assert_int_equal(xf_manifest_init(&m, NULL, 0, NULL), XF_OK); /* a silo without rows */
  assert_true(xf_manifest_find(&m, &in[0]) == SIZE_MAX);
  xf_manifest_deinit(&m);
}

static void test_duplicates(void **state) {
  (void)state;
  struct xf_key in[40];
  struct xf_manifest m;
  struct xf_diag diag;
  for (uint32_t i = 0; i < 40; i++) in[i] = key_of(1000 - i);
  in[31] = in[7];
  xf_diag_init(&diag);
  assert_int_equal(xf_manifest_init(&m, in, 40, &diag), XF_E_INVAL);
  assert_non_null(
      strstr(diag.text, "keys 7 and 31 are the same (00000003e1000000000000000000005a)"));
  assert_null(m.key);
  xf_manifest_deinit(&m);
  assert_int_equal(xf_manifest_init(&m, in, XF_MANIFEST_MAX + 1, &diag), XF_E_LIMIT);
  assert_non_null(strstr(diag.text, "16777217 row keys"));
}

static void test_decode(void **state) {
  (void)state;
  struct xf_key in[5];
  struct xf_manifest m;
  struct xf_diag diag;
  const uint8_t *p = (const uint8_t *)in;
  for (uint32_t i = 0; i < 5; i++) in[i] = key_of(300 * i);
  xf_diag_init(&diag);
  assert_int_equal(xf_manifest_decode(&m, p, sizeof in, &diag), XF_OK);
  assert_int_equal(m.n, 5);
  assert_memory_equal(m.key, in, sizeof in);
  xf_manifest_deinit(&m);
  assert_int_equal(xf_manifest_decode(&m, p, 0, &diag), XF_OK);
  assert_int_equal(m.n, 0);
  xf_manifest_deinit(&m);
  assert_int_equal(xf_manifest_decode(&m, p, sizeof in - 1, &diag), XF_E_FORMAT);
  assert_non_null(strstr(diag.text, "79 bytes"));
  struct xf_key t = in[2];
  in[2] = in[3];
  in[3] = t;
  assert_int_equal(xf_manifest_decode(&m, p, sizeof in, &diag), XF_E_FORMAT); /* unsorted */
  assert_non_null(strstr(diag.text, "key 3 is not above key 2"));
  assert_null(m.key);
  in[3] = in[2];
  assert_int_equal(xf_manifest_decode(&m, p, sizeof in, &diag), XF_E_FORMAT); /* twice */
  xf_manifest_deinit(&m);
}

/* A random subset of [0, 600) as a manifest; `in_part` tells which. */
static void random_part(struct xf_rng *rng, struct xf_manifest *m, uint8_t *in_part, uint32_t mod) {
  struct xf_key keys[600];
  size_t n = 0;
  for (uint32_t v = 0; v < 600; v++) {
    in_part[v] = xf_rng_below(rng, mod) == 0;
    if (in_part[v]) keys[n++] = key_of(v);
  }
  assert_int_equal(xf_manifest_init(m, keys, n, NULL), XF_OK);
}

static void test_union(void **state) {
  (void)state;
  enum { PARTS = 9 };
  static uint8_t in_part[PARTS][600];
  struct xf_manifest m[PARTS];
  const struct xf_manifest *parts[PARTS];
  struct xf_rng rng;
  xf_rng_init(&rng, 5, 0);
  for (size_t n_parts = 0; n_parts <= PARTS; n_parts++) {
    for (size_t k = 0; k < n_parts; k++) {
      random_part(&rng, &m[k], in_part[k], k == 4 ? 1000000 : (uint32_t)(1 + k)); /* all; none */
      parts[k] = &m[k];
    }
    struct xf_directory d;
    assert_int_equal(xf_directory_init(&d, parts, n_parts), XF_OK);
    size_t at = 0;
    for (uint32_t v = 0; v < 600; v++) {
      uint32_t holders = 0;
      for (size_t k = 0; k < n_parts; k++) holders += in_part[k][v];
      if (!holders) continue;
      struct xf_key key = key_of(v);
      assert_true(at < d.all.n);
      assert_memory_equal(&d.all.key[at], &key, sizeof key);
      assert_int_equal(d.holders[at], holders);
      at++;
    }
    assert_int_equal(at, d.all.n);
    uint32_t rows[600];
    for (size_t k = 0; k < n_parts; k++) {
      assert_int_equal(xf_directory_rows(rows, NULL, &d, parts[k]), m[k].n);
      for (size_t i = 0; i < m[k].n; i++)
        assert_memory_equal(&d.all.key[rows[i]], &m[k].key[i], XF_KEY_LEN);
    }
    xf_directory_deinit(&d);
    xf_directory_deinit(&d);
    for (size_t k = 0; k < n_parts; k++) xf_manifest_deinit(&m[k]);
  }
}

static void test_keep(void **state) {
  (void)state;
  struct xf_key a[3] = {key_of(1), key_of(5), key_of(9)}, b[2] = {key_of(5), key_of(10)};
  struct xf_manifest ma, mb;
  struct xf_directory d;
  uint32_t rows[3], holders[3];
  assert_int_equal(xf_manifest_init(&ma, a, 3, NULL), XF_OK);
  assert_int_equal(xf_manifest_init(&mb, b, 2, NULL), XF_OK);
  const struct xf_manifest *parts[] = {&ma, &mb};
  assert_int_equal(xf_directory_init(&d, parts, 2), XF_OK);
  xf_directory_keep(&d, 1);
  assert_int_equal(d.all.n, 4);
  xf_directory_keep(&d, 2);
  assert_int_equal(d.all.n, 1);
  assert_memory_equal(&d.all.key[0], &a[1], XF_KEY_LEN);
  assert_int_equal(xf_directory_rows(rows, holders, &d, &ma), 1);
  assert_true(rows[0] == 0 && holders[0] == 0 && holders[1] == 2 && holders[2] == 0);
  xf_directory_keep(&d, 3);
  assert_int_equal(d.all.n, 0);
  xf_directory_deinit(&d);
  xf_manifest_deinit(&ma);
  xf_manifest_deinit(&mb);
}

static void test_unknown_key(void **state) {
  (void)state;
  struct xf_key in[3] = {key_of(1), key_of(5), key_of(9)}, other[2] = {key_of(5), key_of(10)};
  struct xf_manifest m, o;
  struct xf_directory d;
  uint32_t rows[3] = {7, 7, 7};
  assert_int_equal(xf_manifest_init(&m, in, 3, NULL), XF_OK);
  assert_int_equal(xf_manifest_init(&o, other, 2, NULL), XF_OK);
  const struct xf_manifest *parts[] = {&m};
  assert_int_equal(xf_directory_init(&d, parts, 1), XF_OK);
  uint32_t holders[3] = {7, 7, 7};
  assert_int_equal(xf_directory_rows(rows, holders, &d, &o), 1); /* 10 came after the freeze */
  assert_int_equal(rows[0], 1);
  assert_true(holders[0] == 1 && holders[1] == 0 && holders[2] == 7);
  assert_int_equal(xf_directory_rows(rows, NULL, &d, &m), 3);
  assert_int_equal(rows[0] + 10 * rows[1] + 100 * rows[2], 210);
  xf_directory_deinit(&d);
  xf_manifest_deinit(&m);
  xf_manifest_deinit(&o);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_sort_and_find), cmocka_unit_test(test_duplicates),
      cmocka_unit_test(test_decode),        cmocka_unit_test(test_union),
      cmocka_unit_test(test_keep),          cmocka_unit_test(test_unknown_key),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
