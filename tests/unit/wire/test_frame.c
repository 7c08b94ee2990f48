/* Cutting a byte stream into frames, however it arrives; nothing of a frame that is too long is kept. */
#include "wire/frame.h"

#include "base/rng.h"
#include "unit/wire/samples.h"
#include "wire/codec.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static struct xf_buf stream; /* every sample, twice */
static struct xf_frame_reader reader;

/* What arrived: types and a running sum over bodies. */
struct seen {
  size_t n, bodyless;
  uint16_t last;
  size_t last_len;
  uint64_t sum;
  enum xf_rc answer;
};

static enum xf_rc on_frame(void *arg, const struct xf_frame *frame) {
  struct seen *s = arg;
  s->n++;
  s->last = frame->type;
  s->last_len = frame->body_len;
  s->sum = s->sum * 31 + frame->type;
  if (!frame->body) s->bodyless++;
  for (size_t i = 0; i < frame->body_len; i++) s->sum = s->sum * 31 + frame->body[i];
  return s->answer;
}

static enum xf_rc feed(const uint8_t *p, size_t len, struct seen *s, struct xf_diag *diag) {
  return xf_frame_reader_feed(&reader, p, len, on_frame, s, diag);
}

static void whole(struct seen *s) {
  struct xf_diag diag;
  *s = (struct seen){0};
  assert_int_equal(feed(stream.p, stream.len, s, &diag), XF_OK);
  assert_int_equal(s->n, 2 * n_sample_types);
  assert_int_equal(xf_frame_reader_held(&reader), 0);
}

static void test_byte_by_byte(void **state) {
  (void)state;
  struct seen want, s = {0};
  struct xf_diag diag;
  whole(&want);
  for (size_t i = 0; i < stream.len; i++) assert_int_equal(feed(stream.p + i, 1, &s, &diag), XF_OK);
  assert_int_equal(s.n, want.n);
  assert_int_equal(s.sum, want.sum);
  assert_int_equal(xf_frame_reader_held(&reader), 0);
}

static void test_random_splits(void **state) {
  (void)state;
  struct seen want;
  struct xf_diag diag;
  struct xf_rng rng;
  whole(&want);
  xf_rng_init(&rng, 7, 1);
  for (int round = 0; round < 300; round++) {
    struct seen s = {0};
    for (size_t at = 0; at < stream.len;) {
      size_t n = 1 + xf_rng_below(&rng, round % 3 ? 40 : 3000);
      if (n > stream.len - at) n = stream.len - at;
      uint8_t piece[4096]; /* exactly as long: a sanitizer sees reads beyond */
      memcpy(piece, stream.p + at, n);
      assert_int_equal(feed(piece, n, &s, &diag), XF_OK);
      at += n;
    }
    assert_int_equal(s.n, want.n);
    assert_int_equal(s.sum, want.sum);
  }
}

static void header(uint8_t h[XF_FRAME_HEADER], uint32_t len, uint16_t type) {
  const uint8_t bytes[XF_FRAME_HEADER] = {(uint8_t)(len >> 24), (uint8_t)(len >> 16),
                                          (uint8_t)(len >> 8),  (uint8_t)len,
                                          (uint8_t)(type >> 8), (uint8_t)type};
  memcpy(h, bytes, sizeof bytes);
}

/* The limit speaks on the header: no byte of the body has been seen. */
static void test_limits(void **state) {
  (void)state;
  struct xf_diag diag;
  struct seen s = {0};
  uint8_t h[XF_FRAME_HEADER];
  for (size_t i = 0; i < n_sample_types; i++) {
    uint16_t type = (uint16_t)sample_types[i];
    for (int split = 0; split < 2; split++) {
      header(h, xf_msg_max(type) + 1, type);
      xf_diag_init(&diag);
      if (split) assert_int_equal(feed(h, 3, &s, &diag), XF_OK);
      assert_int_equal(feed(h + 3 * split, sizeof h - 3 * (size_t)split, &s, &diag), XF_E_LIMIT);
      assert_non_null(strstr(diag.text, "announces"));
      assert_true(reader.part.cap <= 4096);
      xf_frame_reader_deinit(&reader);
      xf_frame_reader_init(&reader);
      header(h, xf_msg_max(type), type);
      assert_int_equal(feed(h, sizeof h, &s, &diag), XF_OK); /* the largest legal one */
      xf_frame_reader_deinit(&reader);
      xf_frame_reader_init(&reader);
    }
  }
  assert_int_equal(s.n, 0);
  header(h, UINT32_MAX, XF_MSG_PLAN);
  assert_int_equal(feed(h, sizeof h, &s, &diag), XF_E_LIMIT);
  header(h, XF_FRAME_MAX, 999); /* unknown ones have a limit too */
  assert_int_equal(feed(h, sizeof h, &s, &diag), XF_E_LIMIT);
  header(h, 0, XF_MSG_PING);
  h[7] = 1;
  assert_int_equal(feed(h, sizeof h, &s, &diag), XF_E_FORMAT);
  assert_non_null(strstr(diag.text, "does not speak crossfed/1"));
}

/* An unknown frame is told, skipped without a byte kept, and the next one is found. */
static void test_unknown(void **state) {
  (void)state;
  static uint8_t bytes[2 * XF_FRAME_HEADER + XF_FRAME_MAX];
  uint32_t len = XF_FRAME_MAX - XF_FRAME_HEADER;
  struct xf_diag diag;
  header(bytes, len, 4711);
  header(bytes + XF_FRAME_HEADER + len, 0, XF_MSG_PONG);
  size_t total = 2 * XF_FRAME_HEADER + len;
  static const size_t steps[] = {1, 5, 4096, sizeof bytes};
  for (size_t k = 0; k < sizeof steps / sizeof steps[0]; k++) {
    struct seen s = {0};
    for (size_t at = 0; at < total;) {
      size_t n = total - at < steps[k] ? total - at : steps[k];
      assert_int_equal(feed(bytes + at, n, &s, &diag), XF_OK);
      assert_true(xf_frame_reader_held(&reader) < XF_FRAME_HEADER);
      at += n;
    }
    assert_int_equal(s.n, 2);
    assert_int_equal(s.bodyless, 1);
    assert_int_equal(s.last, XF_MSG_PONG);
  }
  struct seen s = {0};
  header(bytes, 0, 4711); /* nothing to skip */
  assert_int_equal(feed(bytes, XF_FRAME_HEADER, &s, &diag), XF_OK);
  assert_int_equal(feed(bytes + XF_FRAME_HEADER + len, XF_FRAME_HEADER, &s, &diag), XF_OK);
  assert_int_equal(s.n, 2);
}

static void test_memory_and_errors(void **state) {
  (void)state;
  struct xf_diag diag;
  struct seen s = {0};
  static uint8_t big[XF_FRAME_HEADER + 60000];
  header(big, 60000, XF_MSG_MODEL_CHUNK);
  assert_int_equal(feed(big, 30000, &s, &diag), XF_OK);
  assert_int_equal(xf_frame_reader_held(&reader), 30000);
  assert_int_equal(feed(big + 30000, sizeof big - 30000, &s, &diag), XF_OK);
  assert_int_equal(s.last_len, 60000);
  assert_true(reader.part.cap <= 4096); /* a large frame does not stay */
  s.answer = XF_E_CANCELLED;
  assert_int_equal(feed(stream.p, stream.len, &s, &diag), XF_E_CANCELLED);
  assert_int_equal(s.n, 2); /* the first refusal stops */
  assert_int_equal(feed(NULL, 0, &s, &diag), XF_OK);
}

static int setup(void **state) {
  (void)state;
  xf_buf_init(&stream, 1 << 20);
  for (size_t i = 0; i < 2 * n_sample_types; i++) {
    struct xf_msg m = sample(sample_types[i % n_sample_types]);
    if (xf_msg_encode(&stream, &m)) return -1;
  }
  return 0;
}

static int teardown(void **state) {
  (void)state;
  xf_buf_deinit(&stream);
  return 0;
}

static int fresh(void **state) {
  (void)state;
  xf_frame_reader_init(&reader);
  return 0;
}

static int used(void **state) {
  (void)state;
  xf_frame_reader_deinit(&reader);
  xf_frame_reader_deinit(&reader);
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_byte_by_byte, fresh, used),
      cmocka_unit_test_setup_teardown(test_random_splits, fresh, used),
      cmocka_unit_test_setup_teardown(test_limits, fresh, used),
      cmocka_unit_test_setup_teardown(test_unknown, fresh, used),
      cmocka_unit_test_setup_teardown(test_memory_and_errors, fresh, used),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
