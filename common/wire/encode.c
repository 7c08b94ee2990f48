/* Encoding: fills the generated struct on the stack and packs it straight into the output buffer. */
#include "wire/codec.h"
#include "wire/pb.h"

/* protobuf-c's structs are not const-correct; packing never writes through these. */
static char *str(const char *s) { return (char *)(uintptr_t)(s ? s : ""); }

static ProtobufCBinaryData bytes(const void *p, size_t n) {
  return (ProtobufCBinaryData){n, (uint8_t *)(uintptr_t)p};
}

static ProtobufCBinaryData digest(const struct xf_digest *d) { return bytes(d->b, XF_DIGEST_LEN); }

static ProtobufCBinaryData digest_opt(const struct xf_digest *d) {
  return bytes(d->b, xf_digest_is_zero(d) ? 0 : XF_DIGEST_LEN);
}

static enum xf_rc put_frame(struct xf_buf *out, enum xf_msg_type type, const ProtobufCMessage *m) {
  size_t len = protobuf_c_message_get_packed_size(m);
  if (len > xf_msg_max((uint16_t)type)) return XF_E_LIMIT;
  uint8_t *at = xf_buf_reserve(out, 8 + len);
  if (!at) return 8 + len > out->max - out->len ? XF_E_LIMIT : XF_E_NOMEM;
  at[0] = (uint8_t)(len >> 24);
  at[1] = (uint8_t)(len >> 16);
  at[2] = (uint8_t)(len >> 8);
  at[3] = (uint8_t)len;
  at[4] = (uint8_t)((unsigned)type >> 8);
  at[5] = (uint8_t)type;
  at[6] = at[7] = 0;
  out->len += 8 + protobuf_c_message_pack(m, at + 8);
  return XF_OK;
}

#define ENCODER(lower, Pb)                                                      \
  static enum xf_rc put_##lower(struct xf_buf *out, const struct xf_msg *msg) { \
    Xf__V1__##Pb m;                                                             \
    xf__v1__##lower##__init(&m);                                                \
    fill_##lower(&m, msg);                                                      \
    return put_frame(out, msg->type, &m.base);                                  \
  }
#define FILL(lower, Pb) static void fill_##lower(Xf__V1__##Pb *m, const struct xf_msg *msg)

FILL(hello, Hello) {
  const struct xf_msg_hello *h = &msg->hello;
  m->minor_min = h->minor_min;
  m->minor_max = h->minor_max;
  m->features = h->features;
  m->software = str(h->software);
  m->run_id = str(h->run_id);
  m->chunk_max = h->chunk_max;
  if (h->has_plan) m->plan_digest = digest(&h->plan_digest);
}

FILL(welcome, Welcome) {
  const struct xf_msg_welcome *w = &msg->welcome;
  m->minor = w->minor;
  m->features = w->features;
  m->epoch = w->epoch;
  m->run_id = str(w->run_id);
  m->federation = str(w->federation);
  m->member = str(w->member);
  m->domain = str(w->domain);
  m->plan_digest = digest(&w->plan_digest);
  m->heartbeat_ms = w->heartbeat_ms;
  m->dead_after_ms = w->dead_after_ms;
  m->chunk_max = w->chunk_max;
  m->committed = w->committed;
  m->n_members = w->n_members;
}

FILL(refused, Refused) {
  m->code = str(msg->refused.code);
  m->text = str(msg->refused.text);
  m->fix = str(msg->refused.fix);
  m->retry_after_ms = msg->refused.retry_after_ms;
}

FILL(plan, Plan) { m->canonical = bytes(msg->plan.canonical, msg->plan.canonical_len); }

FILL(manifest_request, ManifestRequest) { m->ns = str(msg->manifest_request.ns); }

FILL(manifest, Manifest) {
  const struct xf_msg_manifest *f = &msg->manifest;
  m->ns = str(f->ns);
  m->total = f->total;
  m->offset = f->offset;
  m->keys = bytes(f->keys, f->keys_len);
}

FILL(directory, Directory) {
  const struct xf_msg_directory *d = &msg->directory;
  m->ns = str(d->ns);
  m->digest = digest(&d->digest);
  m->n_all = d->n_all;
  m->total = d->total;
  m->offset = d->offset;
  m->holders = bytes(d->holders, d->holders_len);
}

FILL(task_offer, TaskOffer) {
  const struct xf_msg_task_offer *o = &msg->task_offer;
  m->task_id = digest(&o->task_id);
  m->round = o->round;
  m->stage = o->stage;
  m->kind = (Xf__V1__TaskKind)o->kind;
  m->plan_digest = digest(&o->plan_digest);
  m->base_digest = digest(&o->base_digest);
  m->layout_digest = digest(&o->layout_digest);
  m->seed = o->seed;
  m->deadline_ms = o->deadline_ms;
  m->cohort = o->cohort;
  m->model_len = o->model_len;
  m->committed = o->committed;
  m->prev_task_id = digest_opt(&o->prev_task_id);
  m->prev_outcome = (Xf__V1__Outcome)o->prev_outcome;
  m->counted = o->counted;
}

FILL(task_reply, TaskReply) {
  const struct xf_msg_task_reply *r = &msg->task_reply;
  m->task_id = digest(&r->task_id);
  m->accepted = r->accepted;
  m->code = str(r->code);
  m->key = str(r->key);
  m->text = str(r->text);
}

FILL(task_cancel, TaskCancel) {
  m->task_id = digest(&msg->task_cancel.task_id);
  m->code = str(msg->task_cancel.code);
  m->text = str(msg->task_cancel.text);
}

FILL(model_get, ModelGet) {
  m->task_id = digest(&msg->model_get.task_id);
  m->offset = msg->model_get.offset;
  m->length = msg->model_get.length;
}

FILL(model_chunk, ModelChunk) {
  const struct xf_msg_chunk *k = &msg->chunk;
  m->task_id = digest(&k->task_id);
  m->offset = k->offset;
  m->dtype = (Xf__V1__Dtype)k->dtype;
  m->crc32c = k->crc32c;
  m->data = bytes(k->data, k->data_len);
}

FILL(progress, Progress) {
  m->task_id = digest(&msg->progress.task_id);
  m->done = msg->progress.done;
  m->total = msg->progress.total;
}

FILL(update_begin, UpdateBegin) {
  const struct xf_msg_update_begin *u = &msg->update_begin;
  m->task_id = digest(&u->task_id);
  m->round = u->round;
  m->base_digest = digest(&u->base_digest);
  m->layout_digest = digest(&u->layout_digest);
  m->weight = u->weight;
  m->n_samples = u->n_samples;
  m->dtype = (Xf__V1__Dtype)u->dtype;
  m->payload_len = u->payload_len;
  m->payload_digest = digest(&u->payload_digest);
  m->update_digest = digest(&u->update_digest);
  m->has_loss = u->has_loss;
  m->loss_sum = u->loss_sum;
  m->loss_count = u->loss_count;
  m->clip = u->clip;
  m->noise_multiplier = u->noise_multiplier;
  m->epsilon = u->epsilon;
  m->epsilon_zero_out = u->epsilon_zero_out;
}

FILL(update_ready, UpdateReady) {
  m->task_id = digest(&msg->update_ready.task_id);
  m->offset = msg->update_ready.offset;
}

FILL(update_chunk, UpdateChunk) {
  const struct xf_msg_chunk *k = &msg->chunk;
  m->task_id = digest(&k->task_id);
  m->offset = k->offset;
  m->crc32c = k->crc32c;
  m->data = bytes(k->data, k->data_len);
}

FILL(update_ack, UpdateAck) {
  const struct xf_msg_update_ack *a = &msg->update_ack;
  m->task_id = digest(&a->task_id);
  m->verdict = (Xf__V1__Verdict)a->verdict;
  m->code = str(a->code);
  m->text = str(a->text);
}

FILL(ping, Ping) { m->nonce = msg->ping.nonce; }
FILL(pong, Pong) { m->nonce = msg->ping.nonce; }

FILL(goodbye, Goodbye) {
  m->code = str(msg->goodbye.code);
  m->text = str(msg->goodbye.text);
  m->retry_after_ms = msg->goodbye.retry_after_ms;
}

FILL(unsupported, Unsupported) { m->type = msg->unsupported.type; }

ENCODER(hello, Hello)
ENCODER(welcome, Welcome)
ENCODER(refused, Refused)
ENCODER(plan, Plan)
ENCODER(manifest_request, ManifestRequest)
ENCODER(manifest, Manifest)
ENCODER(directory, Directory)
ENCODER(task_offer, TaskOffer)
ENCODER(task_reply, TaskReply)
ENCODER(task_cancel, TaskCancel)
ENCODER(model_get, ModelGet)
ENCODER(model_chunk, ModelChunk)
ENCODER(progress, Progress)
ENCODER(update_begin, UpdateBegin)
ENCODER(update_ready, UpdateReady)
ENCODER(update_chunk, UpdateChunk)
ENCODER(update_ack, UpdateAck)
ENCODER(ping, Ping)
ENCODER(pong, Pong)
ENCODER(goodbye, Goodbye)
ENCODER(unsupported, Unsupported)

enum xf_rc xf_msg_encode(struct xf_buf *out, const struct xf_msg *msg) {
  switch (msg->type) {
  case XF_MSG_HELLO: return put_hello(out, msg);
  case XF_MSG_WELCOME: return put_welcome(out, msg);
  case XF_MSG_REFUSED: return put_refused(out, msg);
  case XF_MSG_PLAN: return put_plan(out, msg);
  case XF_MSG_MANIFEST_REQUEST: return put_manifest_request(out, msg);
  case XF_MSG_MANIFEST: return put_manifest(out, msg);
  case XF_MSG_DIRECTORY: return put_directory(out, msg);
  case XF_MSG_TASK_OFFER: return put_task_offer(out, msg);
  case XF_MSG_TASK_REPLY: return put_task_reply(out, msg);
  case XF_MSG_TASK_CANCEL: return put_task_cancel(out, msg);
  case XF_MSG_MODEL_GET: return put_model_get(out, msg);
  case XF_MSG_MODEL_CHUNK: return put_model_chunk(out, msg);
  case XF_MSG_PROGRESS: return put_progress(out, msg);
  case XF_MSG_UPDATE_BEGIN: return put_update_begin(out, msg);
  case XF_MSG_UPDATE_READY: return put_update_ready(out, msg);
  case XF_MSG_UPDATE_CHUNK: return put_update_chunk(out, msg);
  case XF_MSG_UPDATE_ACK: return put_update_ack(out, msg);
  case XF_MSG_PING: return put_ping(out, msg);
  case XF_MSG_PONG: return put_pong(out, msg);
  case XF_MSG_GOODBYE: return put_goodbye(out, msg);
  case XF_MSG_UNSUPPORTED: return put_unsupported(out, msg);
  case XF_MSG_NONE: break;
  }
  return XF_E_UNSUPPORTED;
}
