/* Encodings: the vectors of the specification, exact lengths, any part reads as the whole, no bias, rubbish is refused. */
#include "base/alloc.h"
#include "param/codec.h"
#include "param/half.h"
#include "param/mask.h"
#include "param/quant.h"
#include "param/topk.h"
#include "param/vec.h"

#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
// cmocka wants the four above first
#include <cmocka.h>

#define NEAR(got, want) assert_true(fabs((double)(got) - (want)) <= 1e-6 * fmax(1, fabs(want)))

/* compression.json */
static const float V[5] = {0.5f, -3.0f, 1.0f, 0.2f, -0.7f};

static void test_qsgd_vector(void **state) {
  (void)state;
  static const double u[] = {0.3, 0.9, 0.1, 0.5, 0.25};
  static const int level[] = {1, -3, 2, 0, -1};
  static const double value[] = {0.8208227579691002, -2.4624682739073007, 1.6416455159382004, 0,
                                 -0.8208227579691002};
  const float norm = xf_qsgd_norm(V, 5);
  NEAR(norm, 3.283291031876401);
  for (int i = 0; i < 5; i++) {
    assert_int_equal(xf_qsgd_round(V[i], norm, 4, u[i]), level[i]);
    NEAR(xf_qsgd_value(level[i], norm, 4), value[i]);
  }
  assert_int_equal(xf_qsgd_bits(1), 2);
  assert_int_equal(xf_qsgd_bits(7), 4);
  assert_int_equal(xf_qsgd_bits(8), 5);
  assert_int_equal(xf_qsgd_bits(127), 8);
}

static void test_int8_vector(void **state) {
  (void)state;
  static const double u[] = {0.9, 0.5, 0.3, 0.1, 0.6};
  static const int q[] = {22, -127, 42, 8, -30}, nearest[] = {21, -127, 42, 8, -30};
  static const double value[] = {0.49606299212598426, -3.0, 0.9921259842519685, 0.1889763779527559,
                                 -0.7086614173228346};
  const float scale = xf_int8_scale(V, 5);
  NEAR(scale, 0.023622047244094488);
  for (int i = 0; i < 5; i++) {
    assert_int_equal(xf_int8_round(V[i], scale, u[i]), q[i]);
    assert_int_equal(xf_int8_round(V[i], scale, .5), nearest[i]);
    NEAR(xf_int8_value(nearest[i], scale), value[i]);
  }
}

/* FedPAQ: the mean of what two silos' quantised updates decode to. */
static void test_fedpaq_vector(void **state) {
  (void)state;
  static const int level[] = {1, -3, 2, 0, -1}, nearest[] = {21, -127, 42, 8, -30};
  static const double want[] = {0.6584428750475422, -2.7312341369536504, 1.3168857500950844,
                                0.09448818897637795, -0.7647420876459674};
  const float norm = xf_qsgd_norm(V, 5), scale = xf_int8_scale(V, 5);
  for (int i = 0; i < 5; i++)
    NEAR((xf_qsgd_value(level[i], norm, 4) + xf_int8_value(nearest[i], scale)) / 2, want[i]);
}

static void test_topk_vector(void **state) {
  (void)state;
  static const float grad[3][5] = {
      {0.5f, -3, 1, 0.2f, -0.7f}, {0.6f, 0.1f, 0, 0.2f, -0.9f}, {0.1f, 0.1f, 0.4f, 0.9f, 0}};
  static const double sent[3][5] = {{0, -3, 1, 0, 0}, {1.1, 0, 0, 0, -1.6}, {0, 0, 0.4, 1.3, 0}};
  static const double rest[3][5] = {
      {0.5, 0, 0, 0.2, -0.7}, {0, 0.1, 0, 0.4, 0}, {0.1, 0.2, 0, 0, 0}};
  float a[5] = {0}, out[5];
  for (int r = 0; r < 3; r++) {
    for (int i = 0; i < 5; i++) a[i] += grad[r][i];
    xf_topk_split(out, a, 5, 2);
    for (int i = 0; i < 5; i++) {
      NEAR(out[i], sent[r][i]);
      NEAR(a[i], rest[r][i]);
    }
  }
}

/* Of sums that float32 holds exactly, nothing is lost and nothing invented. Ties go to the lower place. */
static void test_topk_invariant(void **state) {
  (void)state;
  enum { N = 5000, ROUNDS = 40 };
  struct xf_rng rng;
  float *a = xf_calloc(N, sizeof *a), *out = xf_calloc(N, sizeof *out);
  double *all = xf_calloc(N, sizeof *all), *sent = xf_calloc(N, sizeof *sent);
  xf_rng_init(&rng, 7, 0);
  for (int r = 0; r < ROUNDS; r++) {
    float least = INFINITY, largest = 0;
    uint64_t n = 0;
    for (int i = 0; i < N; i++) {
      const float d = (float)((int)xf_rng_below(&rng, 2001) - 1000) / 64;
      a[i] += d;
      all[i] += (double)d;
    }
    xf_topk_split(out, a, N, 131);
    for (int i = 0; i < N; i++) {
      sent[i] += (double)out[i];
      assert_true(out[i] == 0 || a[i] == 0);
      n += out[i] != 0;
      if (out[i] != 0) least = fminf(least, fabsf(out[i]));
      largest = fmaxf(largest, fabsf(a[i]));
    }
    assert_int_equal(n, 131);
    assert_true(least >= largest);
  }
  for (int i = 0; i < N; i++) assert_true(sent[i] + (double)a[i] == all[i]);
  float tie[4] = {-1, 1, 2, 1};
  xf_topk_split(out, tie, 4, 2);
  assert_true(out[0] == -1 && out[1] == 0 && out[2] == 2 && out[3] == 0);
  float few[3] = {0, -0.0f, 3};
  xf_topk_split(out, few, 3, 2);
  assert_true(out[2] == 3 && !signbit(out[1]));
  assert_int_equal(xf_topk_count(.01, 1), 1);
  assert_int_equal(xf_topk_count(.01, 1000), 10);
  assert_int_equal(xf_topk_count(1, 7), 7);
  assert_int_equal(xf_topk_count(.5, 0), 0);
  xf_free(a), xf_free(out), xf_free(all), xf_free(sent);
}

/* Every binary16 comes back; what lies between two rounds to the nearer, a tie to the even one. */
static void test_half(void **state) {
  (void)state;
  for (uint32_t h = 0; h < 0x10000; h++) {
    if ((h & 0x7c00) == 0x7c00 && (h & 0x3ff)) continue;
    assert_int_equal(xf_half_from_float(xf_half_to_float((uint16_t)h)), h);
    if ((h & 0x7fff) >= 0x7bff) continue;
    const float x = xf_half_to_float((uint16_t)h), y = xf_half_to_float((uint16_t)(h + 1));
    const float mid = (float)(((double)x + (double)y) / 2);
    assert_int_equal(xf_half_from_float(mid), h + (h & 1));
    assert_int_equal(xf_half_from_float(nextafterf(mid, x)), h);
    assert_int_equal(xf_half_from_float(nextafterf(mid, y)), h + 1);
  }
  assert_int_equal(xf_half_from_float(1), 0x3c00);
  assert_int_equal(xf_half_from_float(65504), 0x7bff);
  assert_int_equal(xf_half_from_float(65520), 0x7c00);
  assert_int_equal(xf_half_from_float(-INFINITY), 0xfc00);
  assert_int_equal(xf_bfloat_from_float(1), 0x3f80);
  assert_int_equal(xf_bfloat_from_float(0x1.01p0f), 0x3f80); /* ties to even */
  assert_int_equal(xf_bfloat_from_float(0x1.03p0f), 0x3f82);
  assert_int_equal(xf_bfloat_from_float(FLT_MAX), 0x7f80);
  assert_true(xf_bfloat_to_float(0xc040) == -3);
}

static const struct xf_codec codecs[] = {
    {XF_CODEC_FLOAT32, 0, 0, 0, 0},    {XF_CODEC_FLOAT16, 0, 0, 0, 0},
    {XF_CODEC_BFLOAT16, 0, 0, 0, 0},   {XF_CODEC_INT8, 1024, 0, 0, 0},
    {XF_CODEC_QSGD, 512, 7, 0, 0},     {XF_CODEC_QSGD, 8, 1, 0, 0},
    {XF_CODEC_QSGD, 65536, 127, 0, 0}, {XF_CODEC_MASK, 0, 0, .1, 12345},
    {XF_CODEC_SPARSE, 0, 0, 0, 0},     {XF_CODEC_TOPK, 0, 0, .01, 0},
    {XF_CODEC_INT8, 8, 0, 0, 0},
};
enum { N_CODEC = sizeof codecs / sizeof *codecs };

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

static void normal(float *x, uint64_t n, struct xf_rng *rng) {
  for (uint64_t i = 0; i < n; i++) x[i] = (float)xf_rng_normal(rng);
}

/* The whole vector in order reads each byte once; any part is that part of it. */
static void check(const struct xf_codec *c, uint64_t n) {
  struct xf_rng rng;
  struct xf_buf buf;
  struct xf_diag diag;
  struct xf_codec_reader r;
  uint64_t min, max;
  float *x = xf_calloc((size_t)n + 1, sizeof *x), *y = xf_calloc((size_t)n + 1, sizeof *y);
  float *whole = xf_calloc((size_t)n + 1, sizeof *whole);
  xf_rng_init(&rng, 3, n);
  normal(x, n, &rng);
  if (c->kind == XF_CODEC_TOPK) {
    memcpy(y, x, (size_t)n * sizeof *x);
    xf_topk_split(x, y, n, xf_topk_count(c->fraction, n));
  }
  xf_buf_init(&buf, 1 << 24);
  xf_diag_init(&diag);
  assert_int_equal(xf_codec_put(&buf, c, x, n, &rng, &diag), XF_OK);
  xf_codec_range(c, n, &min, &max);
  assert_in_range(buf.len, min, max);
  if (c->kind != XF_CODEC_SPARSE) assert_int_equal(buf.len, max);
  struct bytes b = {buf.p, buf.len, 0};
  assert_int_equal(xf_codec_open(&r, c, n, buf.len, read_bytes, &b, &diag), XF_OK);
  assert_int_equal(xf_codec_get(&r, 0, whole, (size_t)n, &diag), XF_OK);
  assert_int_equal(b.n_read, buf.len);
  for (int k = 0; k < 20; k++) {
    const uint64_t at = xf_rng_below(&rng, (uint32_t)n + 1);
    const size_t len = xf_rng_below(&rng, (uint32_t)(n - at + 1));
    assert_int_equal(xf_codec_get(&r, at, y, len, &diag), XF_OK);
    assert_memory_equal(y, whole + at, len * sizeof *y);
  }
  assert_int_equal(xf_codec_get(&r, n, y, 1, &diag), XF_E_RANGE);
  const bool exact =
      c->kind == XF_CODEC_FLOAT32 || c->kind == XF_CODEC_SPARSE || c->kind == XF_CODEC_TOPK;
  if (exact) assert_memory_equal(x, whole, (size_t)n * sizeof *x);
  xf_codec_close(&r);
  for (int more = -1; more <= 1; more += 2) {
    assert_int_equal(
        xf_codec_open(&r, c, n, buf.len + (uint64_t)(int64_t)more, read_bytes, &b, &diag),
        XF_E_CORRUPT);
    xf_codec_close(&r);
  }
  xf_buf_deinit(&buf);
  xf_free(x), xf_free(y), xf_free(whole);
}

static void test_parts(void **state) {
  (void)state;
  static const uint64_t n[] = {1, 5, 511, 513, 65536, 65537, 150001};
  for (int c = 0; c < N_CODEC; c++)
    for (size_t k = 0; k < sizeof n / sizeof *n; k++) check(&codecs[c], n[k]);
}

/* 1,000,000 floats: the sizes that the documentation states. */
static void test_sizes(void **state) {
  (void)state;
  static const uint64_t want[N_CODEC] = {4000000, 2000000, 2000000, 1003908, 507816, 750000,
                                         1000064, 400024,  6000136, 60136,   1500000};
  for (int c = 0; c < N_CODEC; c++) {
    uint64_t min, max;
    xf_codec_range(&codecs[c], 1000000, &min, &max);
    assert_int_equal(max, want[c]);
  }
}

/* The mean over many draws is x, within 5 standard errors. */
static void test_unbiased(void **state) {
  (void)state;
  enum { N = 64, DRAWS = 4000 };
  for (int c = 0; c < N_CODEC; c++) {
    struct xf_codec codec = codecs[c];
    if (codec.kind != XF_CODEC_INT8 && codec.kind != XF_CODEC_QSGD && codec.kind != XF_CODEC_MASK)
      continue;
    struct xf_rng rng;
    struct xf_diag diag;
    struct xf_buf buf;
    float x[N], y[N];
    double sum[N] = {0}, square[N] = {0};
    xf_diag_init(&diag);
    xf_rng_init(&rng, 11, (uint64_t)c);
    normal(x, N, &rng);
    xf_buf_init(&buf, 1 << 16);
    for (int k = 0; k < DRAWS; k++) {
      struct xf_codec_reader r;
      codec.key = (uint64_t)k;
      xf_buf_reset(&buf);
      assert_int_equal(xf_codec_put(&buf, &codec, x, N, &rng, &diag), XF_OK);
      struct bytes b = {buf.p, buf.len, 0};
      assert_int_equal(xf_codec_open(&r, &codec, N, buf.len, read_bytes, &b, &diag), XF_OK);
      assert_int_equal(xf_codec_get(&r, 0, y, N, &diag), XF_OK);
      xf_codec_close(&r);
      for (int i = 0; i < N; i++) sum[i] += (double)y[i], square[i] += (double)y[i] * (double)y[i];
    }
    for (int i = 0; i < N; i++) {
      const double mean = sum[i] / DRAWS, var = fmax(0, square[i] / DRAWS - mean * mean);
      if (fabs(mean - (double)x[i]) > 5 * sqrt(var / DRAWS) + 1e-6)
        fail_msg("%s: float %d: mean %.6f of %.6f", xf_codec_name(codec.kind), i, mean,
                 (double)x[i]);
    }
    xf_buf_deinit(&buf);
  }
}

/* The same key takes the same places, another one others; of each block the same number. */
static void test_mask(void **state) {
  (void)state;
  struct xf_mask a, b, other;
  int same = 0, taken = 0;
  xf_mask_init(&a, 5, 1, 1000, 100);
  xf_mask_init(&b, 5, 1, 1000, 100);
  xf_mask_init(&other, 6, 1, 1000, 100);
  for (int i = 0; i < 1000; i++) {
    const bool in = xf_mask_next(&a);
    assert_int_equal(in, xf_mask_next(&b));
    taken += in;
    same += in && xf_mask_next(&other);
  }
  assert_int_equal(taken, 100);
  assert_in_range(same, 1, 40);
}

static void test_refused(void **state) {
  (void)state;
  struct xf_buf buf;
  struct xf_diag diag;
  struct xf_rng rng;
  static const struct xf_codec bad[] = {
      {XF_CODEC_INT8, 0, 0, 0, 0},        {XF_CODEC_INT8, 12, 0, 0, 0},
      {XF_CODEC_QSGD, 512, 0, 0, 0},      {XF_CODEC_QSGD, 512, 128, 0, 0},
      {XF_CODEC_MASK, 0, 0, 0, 0},        {XF_CODEC_TOPK, 0, 0, 1.5, 0},
      {XF_CODEC_TOPK, 0, 0, NAN, 0},      {XF_CODEC_N_KIND, 0, 0, 0, 0},
      {(enum xf_codec_kind)4, 0, 0, 0, 0}};
  float x[3] = {1, 2, 70000};
  xf_buf_init(&buf, 1 << 16);
  xf_diag_init(&diag);
  xf_rng_init(&rng, 1, 0);
  for (size_t k = 0; k < sizeof bad / sizeof *bad; k++)
    assert_int_equal(xf_codec_put(&buf, &bad[k], x, 3, &rng, &diag), XF_E_INVAL);
  assert_int_equal(xf_codec_put(&buf, &codecs[1], x, 3, &rng, &diag), XF_E_NAN);
  assert_non_null(strstr(diag.text, "too large for float16"));
  x[1] = FLT_MAX;
  x[2] = FLT_MAX;
  assert_int_equal(xf_codec_put(&buf, &codecs[4], x, 3, &rng, &diag), XF_E_NAN);
  x[2] = NAN;
  for (int c = 0; c < 8; c++) {
    assert_int_equal(xf_codec_put(&buf, &codecs[c], x, 3, &rng, &diag), XF_E_NAN);
    assert_non_null(strstr(diag.text, "float 2 is not finite"));
  }
  assert_int_equal(buf.len, 0);
  xf_buf_deinit(&buf);
}

/* Bytes nobody writes. */
static void test_corrupt(void **state) {
  (void)state;
  static const struct {
    struct xf_codec codec;
    uint8_t p[16];
    size_t n, len;
    const char *text;
  } row[] = {
      {{XF_CODEC_FLOAT16, 0, 0, 0, 0}, {0, 0x7c}, 1, 2, "not finite"},
      {{XF_CODEC_BFLOAT16, 0, 0, 0, 0}, {0xc0, 0xff}, 1, 2, "not finite"},
      {{XF_CODEC_INT8, 8, 0, 0, 0}, {0, 0, 0x80, 0x7f, 1}, 1, 5, "not finite"},
      {{XF_CODEC_INT8, 8, 0, 0, 0}, {0, 0, 0x80, 0xbf, 1}, 1, 5, "below 0"},
      {{XF_CODEC_INT8, 8, 0, 0, 0}, {0, 0, 0x80, 0x3f, 0x80}, 1, 5, "beyond the last"},
      {{XF_CODEC_INT8, 8, 0, 0, 0}, {0xff, 0xff, 0x7f, 0x7f, 0x7f}, 1, 5, "not finite"},
      {{XF_CODEC_QSGD, 8, 1, 0, 0}, {0, 0, 0x80, 0x3f, 3}, 1, 5, "beyond the last"},
      {{XF_CODEC_QSGD, 8, 1, 0, 0}, {0, 0, 0x80, 0x3f, 0x41}, 1, 5, "behind the last"},
      {{XF_CODEC_MASK, 0, 0, 1, 0}, {0, 0, 0x80, 0x7f}, 1, 4, "not finite"},
  };
  for (size_t k = 0; k < sizeof row / sizeof *row; k++) {
    struct xf_codec_reader r;
    struct xf_diag diag;
    float x[2];
    struct bytes b = {row[k].p, row[k].len, 0};
    xf_diag_init(&diag);
    assert_int_equal(xf_codec_open(&r, &row[k].codec, row[k].n, row[k].len, read_bytes, &b, &diag),
                     XF_OK);
    assert_int_equal(xf_codec_get(&r, 0, x, row[k].n, &diag), XF_E_CORRUPT);
    if (!strstr(diag.text, row[k].text)) fail_msg("row %zu: %s", k, diag.text);
    xf_codec_close(&r);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_qsgd_vector),    cmocka_unit_test(test_int8_vector),
      cmocka_unit_test(test_fedpaq_vector),  cmocka_unit_test(test_topk_vector),
      cmocka_unit_test(test_topk_invariant), cmocka_unit_test(test_half),
      cmocka_unit_test(test_parts),          cmocka_unit_test(test_sizes),
      cmocka_unit_test(test_unbiased),       cmocka_unit_test(test_mask),
      cmocka_unit_test(test_refused),        cmocka_unit_test(test_corrupt)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
