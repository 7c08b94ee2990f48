/* Messages to bytes and back; everything a hostile peer may put into a body is refused by name. */
#include "wire/codec.h"

#include "unit/wire/samples.h"
#include "wire/frame.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <xf.pb-c.h>

#include <cmocka.h>

static struct xf_arena arena;
static struct xf_buf out;
static struct xf_diag diag;

/* Encodes into `out` and gives the body. */
static const uint8_t *encode(const struct xf_msg *m, size_t *len) {
  xf_buf_reset(&out);
  assert_int_equal(xf_msg_encode(&out, m), XF_OK);
  *len = out.len - XF_FRAME_HEADER;
  return out.p + XF_FRAME_HEADER;
}

static enum xf_rc decode(struct xf_msg *m, enum xf_msg_type type, const void *body, size_t len) {
  xf_arena_reset(&arena);
  xf_diag_init(&diag);
  return xf_msg_decode(m, &arena, (uint16_t)type, body, len, &diag);
}

/* Field numbers present in a body, as a bit set. */
static uint32_t fields_of(const uint8_t *p, size_t len) {
  uint32_t set = 0;
  for (size_t at = 0; at < len;) {
    unsigned key = p[at++];
    if (key & 0x80) key = (key & 0x7f) | (unsigned)p[at++] << 7;
    set |= 1u << (key >> 3);
    uint64_t v = 0;
    switch (key & 7) {
    case 0:
      while (p[at++] & 0x80) {
      }
      break;
    case 1: at += 8; break;
    case 5: at += 4; break;
    default:
      for (int shift = 0;; shift += 7) {
        uint8_t b = p[at++];
        v |= (uint64_t)(b & 0x7f) << shift;
        if (!(b & 0x80)) break;
      }
      at += v;
    }
  }
  return set;
}

static unsigned n_fields(enum xf_msg_type type) {
  static const ProtobufCMessageDescriptor *const d[] = {
      NULL,
      &xf__v1__hello__descriptor,
      &xf__v1__welcome__descriptor,
      &xf__v1__refused__descriptor,
      &xf__v1__plan__descriptor,
      &xf__v1__manifest_request__descriptor,
      &xf__v1__manifest__descriptor,
      &xf__v1__directory__descriptor,
      &xf__v1__task_offer__descriptor,
      &xf__v1__task_reply__descriptor,
      &xf__v1__task_cancel__descriptor,
      &xf__v1__model_get__descriptor,
      &xf__v1__model_chunk__descriptor,
      &xf__v1__progress__descriptor,
      &xf__v1__update_begin__descriptor,
      &xf__v1__update_ready__descriptor,
      &xf__v1__update_chunk__descriptor,
      &xf__v1__update_ack__descriptor,
      &xf__v1__ping__descriptor,
      &xf__v1__pong__descriptor,
      &xf__v1__goodbye__descriptor,
      &xf__v1__unsupported__descriptor,
  };
  assert_int_equal(sizeof d / sizeof d[0], n_sample_types + 1);
  return d[type]->n_fields;
}

/* Every field of every message is written, read and written again as the same bytes. */
static void test_round_trip(void **state) {
  (void)state;
  for (size_t i = 0; i < n_sample_types; i++) {
    struct xf_msg m = sample(sample_types[i]), back;
    struct xf_buf first;
    size_t len = 0;
    const uint8_t *body = encode(&m, &len);
    unsigned present = (unsigned)__builtin_popcount(fields_of(body, len));
    unsigned silent = m.type == XF_MSG_MODEL_CHUNK ? 1 : 0; /* dtype: float32 is the default */
    assert_int_equal(present + silent, n_fields(m.type));
    xf_buf_init(&first, 1 << 20);
    assert_int_equal(xf_buf_put(&first, out.p, out.len), XF_OK);
    if (decode(&back, m.type, first.p + XF_FRAME_HEADER, len)) fail_msg("%s", diag.text);
    assert_int_equal(back.type, m.type);
    (void)encode(&back, &len);
    assert_int_equal(out.len, first.len);
    assert_memory_equal(out.p, first.p, first.len);
    assert_int_equal(out.p[0] << 24 | out.p[1] << 16 | out.p[2] << 8 | out.p[3], len);
    assert_int_equal(out.p[4] << 8 | out.p[5], m.type);
    assert_string_not_equal(xf_msg_name(m.type), "?");
    assert_int_equal(xf_msg_unknown_fields(), 0);
    xf_buf_deinit(&first);
  }
}

static void same_digest(const struct xf_digest *a, uint8_t seed) {
  struct xf_digest want = sample_digest(seed);
  assert_true(xf_digest_equal(a, &want));
}

/* Values, one by one: two swapped fields would pass the round trip. The protobuf side is read here with the
   generated code, so that both directions are pinned to proto/xf.proto. */
static void test_values(void **state) {
  (void)state;
  struct xf_msg m = sample(XF_MSG_TASK_OFFER), back;
  size_t len = 0;
  const uint8_t *body = encode(&m, &len);
  Xf__V1__TaskOffer *pb = xf__v1__task_offer__unpack(NULL, len, body);
  assert_non_null(pb);
  assert_int_equal(pb->round, 17);
  assert_int_equal(pb->stage, 2);
  assert_int_equal(pb->kind, XF__V1__TASK_KIND__TASK_EVALUATE);
  assert_int_equal(pb->deadline_ms, 60000);
  assert_int_equal(pb->cohort, 8);
  assert_int_equal(pb->model_len, 4096);
  assert_int_equal(pb->committed, 16);
  assert_int_equal(pb->prev_outcome, XF__V1__OUTCOME__OUTCOME_DISCARDED);
  assert_int_equal(pb->plan_digest.data[0], 2);
  assert_int_equal(pb->base_digest.data[0], 3);
  assert_int_equal(pb->layout_digest.data[0], 4);
  assert_int_equal(pb->prev_task_id.data[0], 5);
  xf__v1__task_offer__free_unpacked(pb, NULL);
  assert_int_equal(decode(&back, m.type, body, len), XF_OK);
  assert_int_equal(back.task_offer.round, 17);
  assert_int_equal(back.task_offer.cohort, 8);
  assert_int_equal(back.task_offer.deadline_ms, 60000);
  same_digest(&back.task_offer.base_digest, 3);
  same_digest(&back.task_offer.plan_digest, 2);

  m = sample(XF_MSG_UPDATE_BEGIN);
  body = encode(&m, &len);
  Xf__V1__UpdateBegin *u = xf__v1__update_begin__unpack(NULL, len, body);
  assert_non_null(u);
  assert_int_equal(u->weight, (1u << 29) - 1);
  assert_int_equal(u->n_samples, 1234);
  assert_int_equal(u->payload_len, 4097);
  assert_int_equal(u->loss_count, 99);
  assert_true(u->has_loss && u->loss_sum == -12.5 && u->clip == 1.25);
  assert_true(u->noise_multiplier == 0.75 && u->epsilon == 3.5 && u->epsilon_zero_out == 2.5);
  assert_int_equal(u->payload_digest.data[0], 6);
  assert_int_equal(u->update_digest.data[0], 7);
  xf__v1__update_begin__free_unpacked(u, NULL);
  assert_int_equal(decode(&back, m.type, body, len), XF_OK);
  assert_int_equal(back.update_begin.weight, (1u << 29) - 1);
  assert_int_equal(back.update_begin.n_samples, 1234);
  assert_true(back.update_begin.epsilon == 3.5 && back.update_begin.clip == 1.25);

  m = sample(XF_MSG_WELCOME);
  body = encode(&m, &len);
  assert_int_equal(decode(&back, m.type, body, len), XF_OK);
  assert_string_equal(back.welcome.federation, "lab");
  assert_string_equal(back.welcome.member, "alpha");
  assert_string_equal(back.welcome.domain, "books");
  assert_int_equal(back.welcome.heartbeat_ms, 5000);
  assert_int_equal(back.welcome.dead_after_ms, 15000);
  Xf__V1__Welcome *w = xf__v1__welcome__unpack(NULL, len, body);
  assert_non_null(w);
  assert_string_equal(w->federation, "lab");
  assert_int_equal(w->heartbeat_ms, 5000);
  assert_int_equal(w->epoch, 77);
  xf__v1__welcome__free_unpacked(w, NULL);
}

static void test_optional(void **state) {
  (void)state;
  struct xf_msg m = sample(XF_MSG_HELLO), back;
  size_t len = 0;
  m.hello.has_plan = false;
  m.hello.run_id = NULL; /* NULL is "" */
  const uint8_t *body = encode(&m, &len);
  assert_int_equal(decode(&back, m.type, body, len), XF_OK);
  assert_false(back.hello.has_plan);
  assert_true(xf_digest_is_zero(&back.hello.plan_digest));
  assert_string_equal(back.hello.run_id, "");
  m = sample(XF_MSG_TASK_OFFER);
  memset(&m.task_offer.prev_task_id, 0, sizeof m.task_offer.prev_task_id);
  body = encode(&m, &len);
  assert_int_equal(decode(&back, m.type, body, len), XF_OK);
  assert_true(xf_digest_is_zero(&back.task_offer.prev_task_id));
  assert_int_equal(decode(&back, XF_MSG_PING, NULL, 0), XF_OK); /* an empty body is a message */
  assert_int_equal(back.ping.nonce, 0);
}

/* --- refusals --- */

static char long_text[2000];

static void bad_hello_minor(struct xf_msg *m) { m->hello.minor_min = 4; }
static void bad_hello_chunk(struct xf_msg *m) { m->hello.chunk_max = 1023; }
static void bad_hello_software(struct xf_msg *m) { m->hello.software = long_text + 1999 - 129; }
static void bad_welcome_beat(struct xf_msg *m) { m->welcome.heartbeat_ms = 9; }
static void bad_welcome_dead(struct xf_msg *m) { m->welcome.dead_after_ms = 4999; }
static void bad_welcome_chunk(struct xf_msg *m) { m->welcome.chunk_max = 65537; }
static void bad_welcome_member(struct xf_msg *m) { m->welcome.member = long_text + 1999 - 64; }
static void bad_refused_code(struct xf_msg *m) { m->refused.code = long_text + 1999 - 33; }
static void bad_refused_text(struct xf_msg *m) { m->refused.text = long_text + 1999 - 1025; }
static void bad_plan_empty(struct xf_msg *m) { m->plan.canonical_len = 0; }
static void bad_manifest_keys(struct xf_msg *m) { m->manifest.keys_len = 47; }
static void bad_manifest_end(struct xf_msg *m) { m->manifest.offset = 8; }
static void bad_manifest_over(struct xf_msg *m) { m->manifest.offset = UINT64_MAX; }
static void bad_directory_part(struct xf_msg *m) { m->directory.holders_len = 46; }
static void bad_directory_end(struct xf_msg *m) { m->directory.offset = 2; }
static void bad_offer_kind(struct xf_msg *m) { m->task_offer.kind = 3; }
static void bad_offer_kind_neg(struct xf_msg *m) { m->task_offer.kind = (enum xf_task_kind) - 1; }
static void bad_offer_outcome(struct xf_msg *m) { m->task_offer.prev_outcome = 3; }
static void bad_offer_len(struct xf_msg *m) { m->task_offer.model_len = 4097; }
static void bad_chunk_empty(struct xf_msg *m) { m->chunk.data_len = 0; }
static void bad_chunk_dtype(struct xf_msg *m) { m->chunk.dtype = XF_DTYPE_INT8; }
static void bad_begin_weight(struct xf_msg *m) { m->update_begin.weight = 1u << 29; }
static void bad_begin_dtype(struct xf_msg *m) { m->update_begin.dtype = XF_DTYPE_MASK + 1; }
static void bad_begin_loss(struct xf_msg *m) { m->update_begin.loss_sum = (double)NAN; }
static void bad_begin_clip(struct xf_msg *m) { m->update_begin.clip = (double)INFINITY; }
static void bad_begin_noise(struct xf_msg *m) { m->update_begin.noise_multiplier = -(double)NAN; }
static void bad_begin_eps(struct xf_msg *m) { m->update_begin.epsilon = -(double)INFINITY; }
static void bad_begin_eps0(struct xf_msg *m) { m->update_begin.epsilon_zero_out = (double)NAN; }
static void bad_ack_none(struct xf_msg *m) { m->update_ack.verdict = XF_VERDICT_NONE; }
static void bad_ack_beyond(struct xf_msg *m) { m->update_ack.verdict = 8; }
static void bad_reply_key(struct xf_msg *m) { m->task_reply.key = long_text + 1999 - 129; }

static void test_refusals(void **state) {
  (void)state;
  static const struct {
    enum xf_msg_type type;
    void (*spoil)(struct xf_msg *m);
    enum xf_rc rc;
    const char *field;
  } rows[] = {
      {XF_MSG_HELLO, bad_hello_minor, XF_E_FORMAT, "HELLO.minor_min"},
      {XF_MSG_HELLO, bad_hello_chunk, XF_E_RANGE, "HELLO.chunk_max"},
      {XF_MSG_HELLO, bad_hello_software, XF_E_LIMIT, "HELLO.software"},
      {XF_MSG_WELCOME, bad_welcome_beat, XF_E_RANGE, "WELCOME.heartbeat_ms"},
      {XF_MSG_WELCOME, bad_welcome_dead, XF_E_RANGE, "WELCOME.dead_after_ms"},
      {XF_MSG_WELCOME, bad_welcome_chunk, XF_E_RANGE, "WELCOME.chunk_max"},
      {XF_MSG_WELCOME, bad_welcome_member, XF_E_LIMIT, "WELCOME.member"},
      {XF_MSG_REFUSED, bad_refused_code, XF_E_LIMIT, "REFUSED.code"},
      {XF_MSG_REFUSED, bad_refused_text, XF_E_LIMIT, "REFUSED.text"},
      {XF_MSG_PLAN, bad_plan_empty, XF_E_FORMAT, "PLAN.canonical"},
      {XF_MSG_MANIFEST, bad_manifest_keys, XF_E_FORMAT, "MANIFEST.keys"},
      {XF_MSG_MANIFEST, bad_manifest_end, XF_E_RANGE, "MANIFEST.offset"},
      {XF_MSG_MANIFEST, bad_manifest_over, XF_E_RANGE, "MANIFEST.offset"},
      {XF_MSG_DIRECTORY, bad_directory_part, XF_E_FORMAT, "DIRECTORY.holders"},
      {XF_MSG_DIRECTORY, bad_directory_end, XF_E_RANGE, "DIRECTORY.offset"},
      {XF_MSG_TASK_OFFER, bad_offer_kind, XF_E_RANGE, "TASK_OFFER.kind"},
      {XF_MSG_TASK_OFFER, bad_offer_kind_neg, XF_E_RANGE, "TASK_OFFER.kind"},
      {XF_MSG_TASK_OFFER, bad_offer_outcome, XF_E_RANGE, "TASK_OFFER.prev_outcome"},
      {XF_MSG_TASK_OFFER, bad_offer_len, XF_E_FORMAT, "TASK_OFFER.model_len"},
      {XF_MSG_TASK_REPLY, bad_reply_key, XF_E_LIMIT, "TASK_REPLY.key"},
      {XF_MSG_MODEL_CHUNK, bad_chunk_empty, XF_E_LIMIT, "MODEL_CHUNK.data"},
      {XF_MSG_MODEL_CHUNK, bad_chunk_dtype, XF_E_UNSUPPORTED, "MODEL_CHUNK.dtype"},
      {XF_MSG_UPDATE_CHUNK, bad_chunk_empty, XF_E_LIMIT, "UPDATE_CHUNK.data"},
      {XF_MSG_UPDATE_BEGIN, bad_begin_weight, XF_E_RANGE, "UPDATE_BEGIN.weight"},
      {XF_MSG_UPDATE_BEGIN, bad_begin_dtype, XF_E_UNSUPPORTED, "UPDATE_BEGIN.dtype"},
      {XF_MSG_UPDATE_BEGIN, bad_begin_loss, XF_E_NAN, "UPDATE_BEGIN.loss_sum"},
      {XF_MSG_UPDATE_BEGIN, bad_begin_clip, XF_E_NAN, "UPDATE_BEGIN.clip"},
      {XF_MSG_UPDATE_BEGIN, bad_begin_noise, XF_E_NAN, "UPDATE_BEGIN.noise_multiplier"},
      {XF_MSG_UPDATE_BEGIN, bad_begin_eps, XF_E_NAN, "UPDATE_BEGIN.epsilon "},
      {XF_MSG_UPDATE_BEGIN, bad_begin_eps0, XF_E_NAN, "UPDATE_BEGIN.epsilon_zero_out"},
      {XF_MSG_UPDATE_ACK, bad_ack_none, XF_E_RANGE, "UPDATE_ACK.verdict"},
      {XF_MSG_UPDATE_ACK, bad_ack_beyond, XF_E_RANGE, "UPDATE_ACK.verdict"},
  };
  memset(long_text, 'x', sizeof long_text - 1);
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    struct xf_msg m = sample(rows[i].type), back;
    size_t len = 0;
    rows[i].spoil(&m);
    const uint8_t *body = encode(&m, &len);
    enum xf_rc rc = decode(&back, m.type, body, len);
    if (rc != rows[i].rc || !strstr(diag.text, rows[i].field))
      fail_msg("%s: expected %s, got %s: %s", rows[i].field, xf_rc_name(rows[i].rc), xf_rc_name(rc),
               diag.text);
  }
}

/* Every digest of every message, one byte short, one too long, absent. */
static void test_digests(void **state) {
  (void)state;
  static uint8_t raw[33];
  unsigned n_digests = 0;
  for (size_t i = 0; i < n_sample_types; i++) {
    for (unsigned field = 1; field < 16; field++) {
      struct xf_msg m = sample(sample_types[i]), back;
      size_t len = 0;
      const uint8_t *body = encode(&m, &len);
      /* An appended occurrence of a field replaces the earlier one; only digests are 32 bytes long here. */
      uint8_t longer[2200];
      if (len > sizeof longer - 40) continue;
      memcpy(longer, body, len);
      longer[len] = (uint8_t)(field << 3 | 2);
      bool is_digest = false;
      for (size_t at = 0; at + 34 <= len; at++)
        if (body[at] == longer[len] && body[at + 1] == 32 &&
            body[at + 3] == (uint8_t)(body[at + 2] + 7) &&
            body[at + 4] == (uint8_t)(body[at + 3] + 7))
          is_digest = true;
      if (!is_digest) continue;
      n_digests++;
      for (uint8_t n = 31; n <= 33; n++) {
        longer[len + 1] = n;
        memcpy(longer + len + 2, raw, n);
        enum xf_rc rc = decode(&back, m.type, longer, len + 2 + n);
        if (len + 2 + n > xf_msg_max((uint16_t)m.type)) continue;
        if (rc != (n == 32 ? XF_OK : XF_E_FORMAT))
          fail_msg("%s field %u of %u bytes: %s", xf_msg_name(m.type), field, n, xf_rc_name(rc));
        if (rc) assert_non_null(strstr(diag.text, "is not a 32-byte digest"));
      }
    }
  }
  assert_int_equal(n_digests, 21);
  /* Absent where it must be there. */
  struct xf_msg back;
  assert_int_equal(decode(&back, XF_MSG_PROGRESS, NULL, 0), XF_E_FORMAT);
  assert_non_null(strstr(diag.text, "PROGRESS.task_id"));
  assert_int_equal(decode(&back, XF_MSG_WELCOME, NULL, 0), XF_E_FORMAT);
}

/* --- limits --- */

static void test_limits(void **state) {
  (void)state;
  struct xf_msg m, back;
  static uint8_t body[XF_FRAME_MAX + 1];
  for (size_t i = 0; i < n_sample_types; i++) {
    enum xf_msg_type type = sample_types[i];
    assert_int_equal(decode(&back, type, body, xf_msg_max((uint16_t)type) + 1), XF_E_LIMIT);
    assert_int_equal(arena.used, 0); /* refused before anything was unpacked */
    assert_non_null(strstr(diag.text, xf_msg_name(type)));
  }
  assert_int_equal(decode(&back, 999, body, 1), XF_E_LIMIT); /* no type, no bytes */
  assert_int_equal(decode(&back, 999, body, 0), XF_E_UNSUPPORTED);
  assert_int_equal(decode(&back, XF_MSG_NONE, body, 0), XF_E_UNSUPPORTED);
  assert_int_equal(xf_msg_max(999), 0);
  assert_string_equal(xf_msg_name(999), "?");

  m = sample(XF_MSG_UPDATE_CHUNK);
  m.chunk.data = body;
  m.chunk.data_len = XF_CHUNK_MAX; /* the largest chunk fits */
  size_t len = 0;
  const uint8_t *p = encode(&m, &len);
  assert_int_equal(decode(&back, m.type, p, len), XF_OK);
  m.chunk.data_len = XF_CHUNK_MAX + 1;
  p = encode(&m, &len);
  assert_int_equal(decode(&back, m.type, p, len), XF_E_LIMIT);
  m.chunk.data_len = 66048; /* over the type's maximum: not even written */
  xf_buf_reset(&out);
  assert_int_equal(xf_msg_encode(&out, &m), XF_E_LIMIT);
  assert_int_equal(out.len, 0);
  struct xf_buf small;
  xf_buf_init(&small, 20);
  m = sample(XF_MSG_HELLO);
  assert_int_equal(xf_msg_encode(&small, &m), XF_E_LIMIT);
  assert_int_equal(small.len, 0);
  xf_buf_deinit(&small);
  m.type = XF_MSG_NONE;
  assert_int_equal(xf_msg_encode(&out, &m), XF_E_UNSUPPORTED);
}

static void test_unknown_fields(void **state) {
  (void)state;
  struct xf_msg m = sample(XF_MSG_TASK_CANCEL), back;
  size_t len = 0;
  uint8_t longer[1024];
  const uint8_t *body = encode(&m, &len);
  memcpy(longer, body, len);
  const uint8_t extra[] = {0xa0, 0x06, 0x01,               /* field 100, a number */
                           0xaa, 0x06, 0x02, 'h', 'i',     /* field 101, bytes */
                           0xb5, 0x06, 1,    2,   3,   4}; /* field 102, fixed32 */
  memcpy(longer + len, extra, sizeof extra);
  uint64_t before = xf_msg_unknown_fields();
  assert_int_equal(decode(&back, m.type, longer, len + sizeof extra), XF_OK);
  assert_int_equal(xf_msg_unknown_fields() - before, 3);
  assert_string_equal(back.task_cancel.text, "the round closed");
}

/* Two bytes of input become some forty of memory: the budget ends it, not the machine. */
static void test_arena_budget(void **state) {
  (void)state;
  struct xf_msg back;
  static uint8_t tiny[131072];
  for (size_t i = 0; i + 1 < sizeof tiny; i += 2) {
    tiny[i] = 15 << 3; /* an unknown number */
    tiny[i + 1] = 0;
  }
  assert_int_equal(decode(&back, XF_MSG_PLAN, tiny, sizeof tiny), XF_E_FORMAT);
  assert_true(arena.used <= XF_MSG_ARENA);
  static uint8_t rows[XF_REPORT_MAX];
  for (size_t i = 0; i < sizeof rows; i += 2) {
    rows[i] = 1 << 3 | 2; /* an empty metric */
    rows[i + 1] = 0;
  }
  struct xf_eval_metric *metric = NULL;
  size_t n = 0;
  xf_arena_reset(&arena);
  assert_int_equal(xf_eval_report_decode(&metric, &n, &arena, rows, sizeof rows, &diag),
                   XF_E_FORMAT);
  assert_true(arena.used <= XF_MSG_ARENA);
  assert_null(metric);
  /* The largest legal message still fits. */
  struct xf_msg m = {.type = XF_MSG_PLAN, .plan = {tiny, 131072 - 8}};
  size_t len = 0;
  const uint8_t *body = encode(&m, &len);
  assert_int_equal(decode(&back, XF_MSG_PLAN, body, len), XF_OK);
}

/* Any prefix and any flipped byte is either a message or an error; never more than the budget. */
static void test_damage(void **state) {
  (void)state;
  for (size_t i = 0; i < n_sample_types; i++) {
    struct xf_msg m = sample(sample_types[i]), back;
    size_t len = 0;
    const uint8_t *body = encode(&m, &len);
    uint8_t copy[2048];
    if (len > sizeof copy) continue;
    for (size_t n = 0; n < len; n++) {
      memcpy(copy, body, n);
      (void)!decode(&back, m.type, copy, n);
      memcpy(copy, body, len);
      copy[n] ^= (uint8_t)(1u << n % 8);
      (void)!decode(&back, m.type, copy, len);
      assert_true(arena.used <= XF_MSG_ARENA);
    }
  }
}

static void test_names(void **state) {
  (void)state;
  assert_string_equal(xf_task_kind_name(XF_TASK_FINAL), "final");
  assert_string_equal(xf_task_kind_name((enum xf_task_kind)9), "?");
  assert_string_equal(xf_verdict_name(XF_VERDICT_CORRUPT), "corrupt");
  assert_string_equal(xf_verdict_name((enum xf_verdict)99), "?");
}

static int setup(void **state) {
  (void)state;
  xf_arena_init(&arena, XF_MSG_ARENA);
  xf_buf_init(&out, 1 << 20);
  return 0;
}

static int teardown(void **state) {
  (void)state;
  xf_arena_deinit(&arena);
  xf_buf_deinit(&out);
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_round_trip),     cmocka_unit_test(test_values),
      cmocka_unit_test(test_optional),       cmocka_unit_test(test_refusals),
      cmocka_unit_test(test_digests),        cmocka_unit_test(test_limits),
      cmocka_unit_test(test_unknown_fields), cmocka_unit_test(test_arena_budget),
      cmocka_unit_test(test_damage),         cmocka_unit_test(test_names),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
