// modules: base wire
/* A byte stream cut into frames: however it is split, the same frames arrive and the same error ends it. The
   first byte of an input chooses the splits, the rest is the stream. */
#include "wire/frame.h"

#include "base/assert.h"
#include "base/crc32c.h"
#include "wire/codec.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What a reader delivered, as a running checksum. */
struct seen {
  struct xf_arena *arena;
  uint64_t n;
  uint32_t sum;
};

static enum xf_rc on_frame(void *arg, const struct xf_frame *frame) {
  struct seen *s = arg;
  s->n++;
  s->sum = xf_crc32c(s->sum, &frame->type, sizeof frame->type);
  if (!frame->body) {
    XF_ASSERT(xf_msg_max(frame->type) == 0);
    return XF_OK;
  }
  XF_ASSERT(frame->body_len <= xf_msg_max(frame->type));
  s->sum = xf_crc32c(s->sum, frame->body, frame->body_len);
  struct xf_msg msg;
  struct xf_diag diag;
  xf_arena_reset(s->arena);
  enum xf_rc rc = xf_msg_decode(&msg, s->arena, frame->type, frame->body, frame->body_len, &diag);
  s->sum = xf_crc32c(s->sum, &rc, sizeof rc);
  return XF_OK; /* the stream goes on, to find the frames behind a bad one */
}

static enum xf_rc feed(struct seen *seen, const uint8_t *p, size_t len, unsigned step) {
  struct xf_frame_reader reader;
  struct xf_diag diag;
  enum xf_rc rc = XF_OK;
  xf_frame_reader_init(&reader);
  for (size_t at = 0; !rc && at < len;) {
    size_t n = step ? step : len;
    if (step) step = 1 + (step * 29 + 7) % 251;
    if (n > len - at) n = len - at;
    rc = xf_frame_reader_feed(&reader, p + at, n, on_frame, seen, &diag);
    XF_ASSERT(xf_frame_reader_held(&reader) <= XF_FRAME_MAX);
    XF_ASSERT(reader.part.cap <= XF_FRAME_MAX);
    at += n;
  }
  xf_frame_reader_deinit(&reader);
  return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct xf_arena arena;
  if (size == 0) return 0;
  xf_arena_init(&arena, XF_MSG_ARENA);
  struct seen whole = {.arena = &arena}, split = {.arena = &arena};
  enum xf_rc a = feed(&whole, data + 1, size - 1, 0);
  enum xf_rc b = feed(&split, data + 1, size - 1, 1u + data[0]);
  XF_ASSERT(a == b && whole.n == split.n && whole.sum == split.sum);
  xf_arena_deinit(&arena);
  return 0;
}
