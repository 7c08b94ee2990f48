/* Chunks through protobuf, against memcpy: 1 MB each way, and 100 MB at once, which shows an arena that is lost. */
#include "base/alloc.h"
#include "base/crc32c.h"
#include "tools/bench/bench.h"
#include "wire/codec.h"
#include "wire/frame.h"

#include <string.h>

enum { FRAME = XF_CHUNK_MAX + 256 };

struct stream {
  size_t n_chunk, len;  /* chunks; their payload */
  uint8_t *data, *copy; /* len bytes each */
  struct xf_buf frames; /* all of them, encoded */
  struct xf_arena arena;
};

static enum xf_rc pack(struct stream *s) {
  enum xf_rc rc = XF_OK;
  xf_buf_reset(&s->frames);
  for (size_t i = 0; i < s->n_chunk && !rc; i++) {
    struct xf_msg m = {.type = XF_MSG_UPDATE_CHUNK};
    m.chunk = (struct xf_msg_chunk){.offset = i * XF_CHUNK_MAX,
                                    .crc32c = 7,
                                    .data = s->data + i * XF_CHUNK_MAX,
                                    .data_len = XF_CHUNK_MAX};
    m.chunk.task_id.b[0] = 1;
    rc = xf_msg_encode(&s->frames, &m);
  }
  return rc;
}

/* As a connection does: the arena is forgotten after each message. */
static enum xf_rc unpack(struct stream *s, struct xf_diag *diag) {
  const uint8_t *p = s->frames.p, *end = p + s->frames.len;
  while (p < end) {
    const size_t len = (size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3];
    struct xf_msg m;
    xf_arena_reset(&s->arena);
    enum xf_rc rc =
        xf_msg_decode(&m, &s->arena, XF_MSG_UPDATE_CHUNK, p + XF_FRAME_HEADER, len, diag);
    if (rc) return rc;
    p += XF_FRAME_HEADER + len;
  }
  return XF_OK;
}

static enum xf_rc stream_init(struct stream *s, size_t n_chunk) {
  *s = (struct stream){.n_chunk = n_chunk, .len = n_chunk * XF_CHUNK_MAX};
  s->data = xf_try_pages(s->len);
  s->copy = xf_try_pages(s->len);
  xf_buf_init(&s->frames, n_chunk * FRAME);
  xf_arena_init(&s->arena, XF_MSG_ARENA);
  if (!s->data || !s->copy) return XF_E_NOMEM;
  for (size_t i = 0; i < s->len; i++) s->data[i] = (uint8_t)(i * 31 >> 3);
  return XF_OK;
}

static void stream_deinit(struct stream *s) {
  if (s->data) xf_free_pages(s->data, s->len);
  if (s->copy) xf_free_pages(s->copy, s->len);
  xf_buf_deinit(&s->frames);
  xf_arena_deinit(&s->arena);
}

static enum xf_rc measure(struct bench *b, size_t n_chunk, unsigned times, const char *pack_name,
                          const char *unpack_name, struct bench_result unpacking) {
  struct stream s;
  struct bench_pairs packs = {.n = 0}, unpacks = {.n = 0};
  enum xf_rc rc = stream_init(&s, n_chunk);
  if (!rc) rc = pack(&s);
  if (!rc) rc = unpack(&s, b->diag);
  (void)bench_memcpy(s.copy, s.data, s.len, 1); /* warm */
  const double bytes = (double)s.len * times;
  for (int r = 0; r < BENCH_PAIRS && !rc; r++) {
    const double probe = bench_memcpy(s.copy, s.data, s.len, times);
    struct xf_time t = xf_time_now();
    for (unsigned i = 0; i < times && !rc; i++) rc = pack(&s);
    const double packed = bytes / bench_since(t);
    t = xf_time_now();
    for (unsigned i = 0; i < times && !rc; i++) rc = unpack(&s, b->diag);
    bench_pair(&packs, packed, probe);
    bench_pair(&unpacks, bytes / bench_since(t), probe);
  }
  if (!rc && pack_name)
    bench_put_pairs(b,
                    (struct bench_result){.bench = "wire",
                                          .name = pack_name,
                                          .unit = "bytes/s",
                                          .probe = "memcpy",
                                          .goal = 0.7,
                                          .floor = 0.4},
                    &packs);
  unpacking.name = unpack_name;
  if (!rc) bench_put_pairs(b, unpacking, &unpacks);
  stream_deinit(&s);
  return rc;
}

enum xf_rc bench_wire(struct bench *b) {
  struct bench_result r = {
      .bench = "wire", .unit = "bytes/s", .probe = "memcpy", .goal = 0.7, .floor = 0.4};
  enum xf_rc rc = measure(b, 16, b->quick ? 1 : 100, "pack_1mb", "unpack_1mb", r);
  r.goal = 0.8;
  r.floor = 0.3;
  return rc ? rc : measure(b, b->quick ? 32 : 1600, 1, NULL, "unpack_100mb", r);
}
