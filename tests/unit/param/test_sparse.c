/* Floats without zeros: what comes back, for any part of it in any order; the length; rubbish is refused and never followed. */
#include "base/alloc.h"
#include "base/rng.h"
#include "param/sparse.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
// cmocka wants the four above first
#include <cmocka.h>

struct bytes {
  const uint8_t *p;
  size_t len, n_read;
};

static enum xf_rc read_bytes(void *arg, uint64_t at, uint8_t *out, size_t len) {
  struct bytes *b = arg;
  if (at > b->len || len > b->len - at)
    fail_msg("bytes %zu from %zu of %zu", len, (size_t)at, b->len);
  b->n_read += len;
  memcpy(out, b->p + at, len);
  return XF_OK;
}

/* About one of `every` is not 0; among them -0, NaN and the smallest denormal, which have bits. */
static void fill(float *x, uint64_t n, uint32_t every, struct xf_rng *rng) {
  static const float odd[] = {-0.0f, NAN, 1e-45f, INFINITY};
  for (uint64_t i = 0; i < n; i++) {
    if (xf_rng_below(rng, every)) x[i] = 0;
    else
      x[i] = xf_rng_below(rng, 9) ? (float)xf_rng_normal(rng)
                                  : odd[xf_rng_below(rng, sizeof odd / sizeof *odd)];
  }
}

static void check(uint64_t n, uint32_t every, struct xf_rng *rng) {
  float *x = xf_calloc((size_t)n + 1, sizeof *x), *y = xf_calloc((size_t)n + 1, sizeof *y);
  struct xf_buf buf;
  struct xf_sparse s;
  struct xf_diag diag;
  uint64_t entries = 0, blocks = (n + XF_SPARSE_BLOCK - 1) / XF_SPARSE_BLOCK;
  fill(x, n, every, rng);
  for (uint64_t i = 0; i < n; i++) entries += x[i] != 0 || signbit(x[i]); /* NaN != 0 */
  xf_buf_init(&buf, (size_t)n * 8 + 4096);
  assert_int_equal(xf_sparse_put(&buf, x, n), XF_OK);
  assert_int_equal(buf.len, xf_sparse_len(x, n));
  assert_int_equal(buf.len, 8 + 8 * blocks + 6 * entries);
  struct bytes b = {buf.p, buf.len, 0};
  xf_diag_init(&diag);
  if (xf_sparse_init(&s, n, buf.len, read_bytes, &b, &diag)) fail_msg("%s", diag.text);
  assert_int_equal(xf_sparse_get(&s, 0, y, (size_t)n, &diag), XF_OK);
  assert_memory_equal(x, y, (size_t)n * sizeof *x);
  assert_int_equal(b.n_read, buf.len); /* in order each byte is read once */
  for (int k = 0; k < 200 && n; k++) {
    const uint64_t at = xf_rng_below(rng, (uint32_t)n);
    const size_t len = xf_rng_below(rng, (uint32_t)(n - at + 1));
    memset(y, 0xff, (size_t)n * sizeof *y);
    assert_int_equal(xf_sparse_get(&s, at, y, len, &diag), XF_OK);
    assert_memory_equal(x + at, y, len * sizeof *x);
  }
  assert_int_equal(xf_sparse_get(&s, n, y, 1, &diag), XF_E_RANGE);
  assert_int_equal(xf_sparse_get(&s, n + 1, y, 0, &diag), XF_E_RANGE);
  xf_sparse_deinit(&s);
  xf_sparse_deinit(&s);
  xf_buf_deinit(&buf);
  xf_free(x);
  xf_free(y);
}

static void test_round_trip(void **state) {
  (void)state;
  static const uint64_t size[] = {0, 1, 2, 700, 65535, 65536, 65537, 150000};
  struct xf_rng rng;
  xf_rng_init(&rng, 1, 0);
  for (size_t k = 0; k < sizeof size / sizeof *size; k++)
    for (uint32_t every = 1; every <= 50; every += 7) check(size[k], every, &rng);
}

/* Every byte changed, every length cut: an error or other values, never a place outside. */
static void test_rubbish(void **state) {
  (void)state;
  enum { N = 66000 };
  float *x = xf_calloc(N, sizeof *x);
  struct xf_buf buf;
  uint32_t refused = 0;
  for (int i = 0; i < N; i += 6000) x[i] = (float)i + 1;
  xf_buf_init(&buf, 1 << 16);
  assert_int_equal(xf_sparse_put(&buf, x, N), XF_OK);
  float *y = xf_calloc(N, sizeof *y);
  uint8_t *p = xf_memdup(buf.p, buf.len);
  for (size_t i = 0; i < 2 * buf.len; i++) {
    struct xf_sparse s;
    struct bytes b = {p, i < buf.len ? buf.len : i - buf.len, 0};
    memcpy(p, buf.p, buf.len);
    if (i < buf.len) p[i] ^= 0x55;
    enum xf_rc rc = xf_sparse_init(&s, N, b.len, read_bytes, &b, NULL);
    if (!rc) rc = xf_sparse_get(&s, 0, y, N, NULL);
    assert_true(rc == XF_OK || rc == XF_E_CORRUPT);
    if (i < 24 || i >= buf.len) assert_int_equal(rc, XF_E_CORRUPT); /* the index; the length */
    refused += rc == XF_E_CORRUPT;
    xf_sparse_deinit(&s);
  }
  assert_true(refused > buf.len + 24);
  xf_free(p);
  xf_free(x);
  xf_free(y);
  xf_buf_deinit(&buf);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_round_trip),
      cmocka_unit_test(test_rubbish),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
