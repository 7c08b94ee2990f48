#include "unit/wire/samples.h"

const enum xf_msg_type sample_types[] = {
#define TYPE(n, num, max) XF_MSG_##n,
    XF_MSG_LIST(TYPE)
#undef TYPE
};
const size_t n_sample_types = sizeof sample_types / sizeof sample_types[0];

struct xf_digest sample_digest(uint8_t seed) {
  struct xf_digest d;
  for (int i = 0; i < XF_DIGEST_LEN; i++) d.b[i] = (uint8_t)(seed + 7 * i);
  return d;
}

static const uint8_t keys[48] = {1, 2, 3, [16] = 4, [47] = 5};
static const uint8_t data[1000] = {9, 8, 7, [999] = 6};

static void offer(struct xf_msg_task_offer *o) {
  *o = (struct xf_msg_task_offer){.task_id = sample_digest(1),
                                  .round = 17,
                                  .stage = 2,
                                  .kind = XF_TASK_EVALUATE,
                                  .plan_digest = sample_digest(2),
                                  .base_digest = sample_digest(3),
                                  .layout_digest = sample_digest(4),
                                  .seed = 0x123456789abcdef0u,
                                  .deadline_ms = 60000,
                                  .cohort = 8,
                                  .model_len = 4096,
                                  .committed = 16,
                                  .prev_task_id = sample_digest(5),
                                  .prev_outcome = XF_OUTCOME_DISCARDED,
                                  .counted = 7};
}

static void begin(struct xf_msg_update_begin *u) {
  *u = (struct xf_msg_update_begin){.task_id = sample_digest(1),
                                    .round = 17,
                                    .base_digest = sample_digest(3),
                                    .layout_digest = sample_digest(4),
                                    .weight = (1u << 29) - 1,
                                    .n_samples = 1234,
                                    .dtype = XF_DTYPE_REPORT,
                                    .payload_len = 4097,
                                    .payload_digest = sample_digest(6),
                                    .update_digest = sample_digest(7),
                                    .has_loss = true,
                                    .loss_sum = -12.5,
                                    .loss_count = 99,
                                    .clip = 1.25,
                                    .noise_multiplier = 0.75,
                                    .epsilon = 3.5,
                                    .epsilon_zero_out = 2.5};
}

static void control(struct xf_msg *m) {
  switch (m->type) {
  case XF_MSG_HELLO:
    m->hello = (struct xf_msg_hello){1,       3,     5,    "crossfed-client 0.1.0",
                                     "run-1", 32768, true, sample_digest(9)};
    break;
  case XF_MSG_WELCOME:
    m->welcome = (struct xf_msg_welcome){.minor = 2,
                                         .features = 5,
                                         .epoch = 77,
                                         .run_id = "run-1",
                                         .federation = "lab",
                                         .member = "alpha",
                                         .domain = "books",
                                         .plan_digest = sample_digest(9),
                                         .heartbeat_ms = 5000,
                                         .dead_after_ms = 15000,
                                         .chunk_max = 65536,
                                         .committed = 16,
                                         .n_members = 8};
    break;
  case XF_MSG_REFUSED:
    m->refused = (struct xf_msg_refused){"E_AUTH", "not a member", "add it to members", 1500};
    break;
  case XF_MSG_GOODBYE: m->goodbye = (struct xf_msg_goodbye){"E_CANCELLED", "stopping", 2500}; break;
  case XF_MSG_TASK_REPLY:
    m->task_reply = (struct xf_msg_task_reply){sample_digest(1), true, "E_POLICY",
                                               "policy.max_rounds", "too many rounds"};
    break;
  case XF_MSG_TASK_CANCEL:
    m->task_cancel = (struct xf_msg_task_cancel){sample_digest(1), "E_LATE", "the round closed"};
    break;
  case XF_MSG_UPDATE_ACK:
    m->update_ack =
        (struct xf_msg_update_ack){sample_digest(1), XF_VERDICT_REJECTED, "E_NAN", "NaN at 17"};
    break;
  case XF_MSG_PING:
  case XF_MSG_PONG: m->ping.nonce = 0xfedcba9876543210u; break;
  case XF_MSG_UNSUPPORTED: m->unsupported.type = 999; break;
  default: break;
  }
}

struct xf_msg sample(enum xf_msg_type type) {
  struct xf_msg m = {.type = type};
  switch (type) {
  case XF_MSG_PLAN: m.plan = (struct xf_msg_plan){data, sizeof data}; break;
  case XF_MSG_MANIFEST_REQUEST: m.manifest_request.ns = "items"; break;
  case XF_MSG_MANIFEST: m.manifest = (struct xf_msg_manifest){"items", 10, 7, keys, 48}; break;
  case XF_MSG_DIRECTORY:
    m.directory = (struct xf_msg_directory){"items", sample_digest(8), 20, 13, 1, keys, 48};
    break;
  case XF_MSG_TASK_OFFER: offer(&m.task_offer); break;
  case XF_MSG_MODEL_GET:
    m.model_get = (struct xf_msg_model_get){sample_digest(1), 65536, 131072};
    break;
  case XF_MSG_MODEL_CHUNK: /* its dtype can only be the default */
  case XF_MSG_UPDATE_CHUNK:
    m.chunk = (struct xf_msg_chunk){.task_id = sample_digest(1),
                                    .offset = 65536,
                                    .crc32c = 0xdeadbeef,
                                    .data = data,
                                    .data_len = sizeof data};
    break;
  case XF_MSG_PROGRESS: m.progress = (struct xf_msg_progress){sample_digest(1), 5, 100}; break;
  case XF_MSG_UPDATE_BEGIN: begin(&m.update_begin); break;
  case XF_MSG_UPDATE_READY:
    m.update_ready = (struct xf_msg_update_ready){sample_digest(1), 65536};
    break;
  default: control(&m); break;
  }
  return m;
}
