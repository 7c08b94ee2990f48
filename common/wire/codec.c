/* Decoding: one function per message, each checking every field it copies. */
#include "wire/codec.h"

#include "base/str.h"
#include "wire/pb.h"

#include <math.h>
#include <stdatomic.h>
#include <string.h>

static atomic_uint_fast64_t unknown_fields;

uint64_t xf_msg_unknown_fields(void) { return unknown_fields; }

static void *pb_alloc(void *arena, size_t n) { return xf_arena_alloc(arena, n); }
static void pb_free(void *arena, void *p) {
  (void)arena;
  (void)p; /* the arena is reset as a whole */
}

ProtobufCMessage *xf_pb_unpack(const ProtobufCMessageDescriptor *desc, struct xf_arena *arena,
                               const uint8_t *p, size_t len) {
  ProtobufCAllocator allocator = {pb_alloc, pb_free, arena};
  ProtobufCMessage *m = protobuf_c_message_unpack(desc, &allocator, len, p);
  if (m && m->n_unknown_fields) unknown_fields += m->n_unknown_fields;
  return m;
}

/* Where a field error is reported: the message's name and the diag. */
struct ctx {
  const char *msg;
  struct xf_diag *diag;
  enum xf_rc rc; /* first failure */
};

static void bad(struct ctx *c, enum xf_rc rc, const char *field, const char *why) {
  if (!c->rc) c->rc = xf_diag_set(c->diag, rc, "%s.%s %s", c->msg, field, why);
}

static void get_digest(struct ctx *c, struct xf_digest *out, const ProtobufCBinaryData *b,
                       const char *field, bool optional) {
  if (optional && b->len == 0) memset(out, 0, sizeof *out);
  else if (xf_digest_from_bytes(out, b->data, b->len))
    bad(c, XF_E_FORMAT, field, "is not a 32-byte digest");
}

static const char *get_str(struct ctx *c, const char *s, size_t max, const char *field) {
  if (!s) return "";
  if (strlen(s) > max) bad(c, XF_E_LIMIT, field, "is too long");
  else if (!xf_str_is_utf8(s)) bad(c, XF_E_FORMAT, field, "is not UTF-8");
  return s;
}

static double get_real(struct ctx *c, double v, const char *field) {
  if (!isfinite(v)) bad(c, XF_E_NAN, field, "is NaN or infinite");
  return v;
}

enum { ID_MAX = 63, TEXT_MAX = 1024, CODE_MAX = 32 };

#define DECODER(lower, Pb) \
  static void get_##lower(struct ctx *c, struct xf_msg *out, const Xf__V1__##Pb *m)

DECODER(hello, Hello) {
  out->hello = (struct xf_msg_hello){.minor_min = m->minor_min,
                                     .minor_max = m->minor_max,
                                     .features = m->features,
                                     .software = get_str(c, m->software, 128, "software"),
                                     .run_id = get_str(c, m->run_id, 128, "run_id"),
                                     .chunk_max = m->chunk_max,
                                     .has_plan = m->plan_digest.len != 0};
  get_digest(c, &out->hello.plan_digest, &m->plan_digest, "plan_digest", true);
  if (m->minor_min > m->minor_max) bad(c, XF_E_FORMAT, "minor_min", "is above minor_max");
  if (m->chunk_max < 1024) bad(c, XF_E_RANGE, "chunk_max", "is below 1024");
}

DECODER(welcome, Welcome) {
  out->welcome =
      (struct xf_msg_welcome){.minor = m->minor,
                              .features = m->features,
                              .epoch = m->epoch,
                              .run_id = get_str(c, m->run_id, 128, "run_id"),
                              .federation = get_str(c, m->federation, ID_MAX, "federation"),
                              .member = get_str(c, m->member, ID_MAX, "member"),
                              .domain = get_str(c, m->domain, ID_MAX, "domain"),
                              .heartbeat_ms = m->heartbeat_ms,
                              .dead_after_ms = m->dead_after_ms,
                              .chunk_max = m->chunk_max,
                              .committed = m->committed,
                              .n_members = m->n_members};
  get_digest(c, &out->welcome.plan_digest, &m->plan_digest, "plan_digest", false);
  if (m->heartbeat_ms < 10) bad(c, XF_E_RANGE, "heartbeat_ms", "is below 10");
  if (m->dead_after_ms < m->heartbeat_ms)
    bad(c, XF_E_RANGE, "dead_after_ms", "is below heartbeat_ms");
  if (m->chunk_max < 1024 || m->chunk_max > XF_CHUNK_MAX)
    bad(c, XF_E_RANGE, "chunk_max", "is outside 1024..65536");
}

DECODER(refused, Refused) {
  out->refused = (struct xf_msg_refused){get_str(c, m->code, CODE_MAX, "code"),
                                         get_str(c, m->text, TEXT_MAX, "text"),
                                         get_str(c, m->fix, TEXT_MAX, "fix"), m->retry_after_ms};
}

DECODER(plan, Plan) {
  out->plan = (struct xf_msg_plan){m->canonical.data, m->canonical.len};
  if (m->canonical.len == 0) bad(c, XF_E_FORMAT, "canonical", "is empty");
}

DECODER(manifest_request, ManifestRequest) {
  out->manifest_request.ns = get_str(c, m->ns, ID_MAX, "ns");
}

DECODER(manifest, Manifest) {
  out->manifest = (struct xf_msg_manifest){get_str(c, m->ns, ID_MAX, "ns"), m->total, m->offset,
                                           m->keys.data, m->keys.len};
  if (m->keys.len % 16 || m->keys.len > XF_CHUNK_MAX)
    bad(c, XF_E_FORMAT, "keys", "is not a whole number of 16-byte keys within 64 KiB");
  if (m->offset > m->total || m->keys.len / 16 > m->total - m->offset)
    bad(c, XF_E_RANGE, "offset", "runs beyond total");
}

DECODER(directory, Directory) {
  out->directory = (struct xf_msg_directory){.ns = get_str(c, m->ns, ID_MAX, "ns"),
                                             .n_all = m->n_all,
                                             .total = m->total,
                                             .offset = m->offset,
                                             .holders = m->holders.data,
                                             .holders_len = m->holders.len};
  get_digest(c, &out->directory.digest, &m->digest, "digest", false);
  if (m->holders.len % 4 || m->holders.len > XF_CHUNK_MAX)
    bad(c, XF_E_FORMAT, "holders", "is not a whole number of counts within 64 KiB");
  if (m->offset > m->total || m->holders.len / 4 > m->total - m->offset)
    bad(c, XF_E_RANGE, "offset", "runs beyond total");
}

DECODER(task_offer, TaskOffer) {
  out->task_offer = (struct xf_msg_task_offer){.round = m->round,
                                               .stage = m->stage,
                                               .kind = (enum xf_task_kind)m->kind,
                                               .seed = m->seed,
                                               .deadline_ms = m->deadline_ms,
                                               .cohort = m->cohort,
                                               .model_len = m->model_len,
                                               .committed = m->committed,
                                               .prev_outcome = (enum xf_outcome)m->prev_outcome,
                                               .counted = m->counted};
  struct xf_msg_task_offer *o = &out->task_offer;
  get_digest(c, &o->task_id, &m->task_id, "task_id", false);
  get_digest(c, &o->plan_digest, &m->plan_digest, "plan_digest", false);
  get_digest(c, &o->base_digest, &m->base_digest, "base_digest", false);
  get_digest(c, &o->layout_digest, &m->layout_digest, "layout_digest", false);
  get_digest(c, &o->prev_task_id, &m->prev_task_id, "prev_task_id", true);
  if ((unsigned)m->kind > XF_TASK_FINAL) bad(c, XF_E_RANGE, "kind", "is unknown");
  if ((unsigned)m->prev_outcome > XF_OUTCOME_DISCARDED)
    bad(c, XF_E_RANGE, "prev_outcome", "is unknown");
  if (m->model_len % 4) bad(c, XF_E_FORMAT, "model_len", "is not a whole number of float32");
}

DECODER(task_reply, TaskReply) {
  out->task_reply = (struct xf_msg_task_reply){.accepted = m->accepted,
                                               .code = get_str(c, m->code, CODE_MAX, "code"),
                                               .key = get_str(c, m->key, 128, "key"),
                                               .text = get_str(c, m->text, TEXT_MAX, "text")};
  get_digest(c, &out->task_reply.task_id, &m->task_id, "task_id", false);
}

DECODER(task_cancel, TaskCancel) {
  out->task_cancel = (struct xf_msg_task_cancel){.code = get_str(c, m->code, CODE_MAX, "code"),
                                                 .text = get_str(c, m->text, TEXT_MAX, "text")};
  get_digest(c, &out->task_cancel.task_id, &m->task_id, "task_id", false);
}

DECODER(model_get, ModelGet) {
  out->model_get = (struct xf_msg_model_get){.offset = m->offset, .length = m->length};
  get_digest(c, &out->model_get.task_id, &m->task_id, "task_id", false);
}

static void get_chunk(struct ctx *c, struct xf_msg_chunk *out, const ProtobufCBinaryData *task_id,
                      uint64_t offset, uint32_t crc, const ProtobufCBinaryData *data) {
  *out = (struct xf_msg_chunk){
      .offset = offset, .crc32c = crc, .data = data->data, .data_len = data->len};
  get_digest(c, &out->task_id, task_id, "task_id", false);
  if (data->len == 0 || data->len > XF_CHUNK_MAX)
    bad(c, XF_E_LIMIT, "data", "is outside 1..65536 bytes");
}

DECODER(model_chunk, ModelChunk) {
  get_chunk(c, &out->chunk, &m->task_id, m->offset, m->crc32c, &m->data);
  out->chunk.dtype = (enum xf_dtype)m->dtype;
  if (m->dtype != XF__V1__DTYPE__DTYPE_FLOAT32) bad(c, XF_E_UNSUPPORTED, "dtype", "is not float32");
}

DECODER(update_chunk, UpdateChunk) {
  get_chunk(c, &out->chunk, &m->task_id, m->offset, m->crc32c, &m->data);
}

DECODER(progress, Progress) {
  out->progress = (struct xf_msg_progress){.done = m->done, .total = m->total};
  get_digest(c, &out->progress.task_id, &m->task_id, "task_id", false);
}

DECODER(update_begin, UpdateBegin) {
  struct xf_msg_update_begin *u = &out->update_begin;
  *u = (struct xf_msg_update_begin){
      .round = m->round,
      .weight = m->weight,
      .n_samples = m->n_samples,
      .dtype = (enum xf_dtype)m->dtype,
      .payload_len = m->payload_len,
      .has_loss = m->has_loss,
      .loss_sum = get_real(c, m->loss_sum, "loss_sum"),
      .loss_count = m->loss_count,
      .clip = get_real(c, m->clip, "clip"),
      .noise_multiplier = get_real(c, m->noise_multiplier, "noise_multiplier"),
      .epsilon = get_real(c, m->epsilon, "epsilon"),
      .epsilon_zero_out = get_real(c, m->epsilon_zero_out, "epsilon_zero_out")};
  get_digest(c, &u->task_id, &m->task_id, "task_id", false);
  get_digest(c, &u->base_digest, &m->base_digest, "base_digest", false);
  get_digest(c, &u->layout_digest, &m->layout_digest, "layout_digest", false);
  get_digest(c, &u->payload_digest, &m->payload_digest, "payload_digest", false);
  get_digest(c, &u->update_digest, &m->update_digest, "update_digest", false);
  if (m->weight >= (1u << 29)) bad(c, XF_E_RANGE, "weight", "is not below 2^29");
  if ((unsigned)m->dtype > XF_DTYPE_MASK) bad(c, XF_E_UNSUPPORTED, "dtype", "is unknown");
}

DECODER(update_ready, UpdateReady) {
  out->update_ready.offset = m->offset;
  get_digest(c, &out->update_ready.task_id, &m->task_id, "task_id", false);
}

DECODER(update_ack, UpdateAck) {
  out->update_ack = (struct xf_msg_update_ack){.verdict = (enum xf_verdict)m->verdict,
                                               .code = get_str(c, m->code, CODE_MAX, "code"),
                                               .text = get_str(c, m->text, TEXT_MAX, "text")};
  get_digest(c, &out->update_ack.task_id, &m->task_id, "task_id", false);
  if (m->verdict <= 0 || (unsigned)m->verdict > XF_VERDICT_CORRUPT)
    bad(c, XF_E_RANGE, "verdict", "is unknown");
}

DECODER(ping, Ping) {
  (void)c;
  out->ping.nonce = m->nonce;
}
DECODER(pong, Pong) {
  (void)c;
  out->ping.nonce = m->nonce;
}

DECODER(goodbye, Goodbye) {
  out->goodbye = (struct xf_msg_goodbye){get_str(c, m->code, CODE_MAX, "code"),
                                         get_str(c, m->text, TEXT_MAX, "text"), m->retry_after_ms};
}

DECODER(unsupported, Unsupported) {
  (void)c;
  out->unsupported.type = m->type;
}

/* X(TYPE, lower, descriptor prefix, Pb type) */
#define PB_LIST(X)                                                         \
  X(HELLO, hello, hello, Hello)                                            \
  X(WELCOME, welcome, welcome, Welcome)                                    \
  X(REFUSED, refused, refused, Refused)                                    \
  X(PLAN, plan, plan, Plan)                                                \
  X(MANIFEST_REQUEST, manifest_request, manifest_request, ManifestRequest) \
  X(MANIFEST, manifest, manifest, Manifest)                                \
  X(DIRECTORY, directory, directory, Directory)                            \
  X(TASK_OFFER, task_offer, task_offer, TaskOffer)                         \
  X(TASK_REPLY, task_reply, task_reply, TaskReply)                         \
  X(TASK_CANCEL, task_cancel, task_cancel, TaskCancel)                     \
  X(MODEL_GET, model_get, model_get, ModelGet)                             \
  X(MODEL_CHUNK, model_chunk, model_chunk, ModelChunk)                     \
  X(PROGRESS, progress, progress, Progress)                                \
  X(UPDATE_BEGIN, update_begin, update_begin, UpdateBegin)                 \
  X(UPDATE_READY, update_ready, update_ready, UpdateReady)                 \
  X(UPDATE_CHUNK, update_chunk, update_chunk, UpdateChunk)                 \
  X(UPDATE_ACK, update_ack, update_ack, UpdateAck)                         \
  X(PING, ping, ping, Ping)                                                \
  X(PONG, pong, pong, Pong)                                                \
  X(GOODBYE, goodbye, goodbye, Goodbye)                                    \
  X(UNSUPPORTED, unsupported, unsupported, Unsupported)

enum xf_rc xf_msg_decode(struct xf_msg *out, struct xf_arena *arena, uint16_t type,
                         const uint8_t *body, size_t body_len, struct xf_diag *diag) {
  *out = (struct xf_msg){.type = (enum xf_msg_type)type};
  struct ctx c = {xf_msg_name(out->type), diag, XF_OK};
  if (body_len > xf_msg_max(type))
    return xf_diag_set(diag, XF_E_LIMIT, "%s of %zu bytes, its limit is %u", c.msg, body_len,
                       xf_msg_max(type));
  switch (out->type) {
#define PB_DECODE(TYPE, lower, desc, Pb)                                                           \
  case XF_MSG_##TYPE: {                                                                            \
    const ProtobufCMessage *m =                                                                    \
        xf_pb_unpack(&xf__v1__##desc##__descriptor, arena, body, body_len);                        \
    if (!m)                                                                                        \
      return xf_diag_set(diag, XF_E_FORMAT, "%s: not a valid protobuf message (%zu bytes)", c.msg, \
                         body_len);                                                                \
    get_##lower(&c, out, (const Xf__V1__##Pb *)m);                                                 \
    return c.rc;                                                                                   \
  }
    PB_LIST(PB_DECODE)
#undef PB_DECODE
  case XF_MSG_NONE: break;
  }
  return xf_diag_set(diag, XF_E_UNSUPPORTED, "message type %u is unknown", type);
}
