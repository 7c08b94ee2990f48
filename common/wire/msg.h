/*
 * msg.h - the protocol's messages as plain C structs; protobuf-c stays behind codec.c.
 *
 * A decoded message borrows: strings are NUL-terminated and bytes point into the arena given to
 * xf_msg_decode (valid until that arena is reset). A message to encode borrows from its maker until
 * xf_msg_encode returns. Field meanings: proto/xf.proto and docs/PROTOCOL.md.
 * Thread: values; any.
 */
#ifndef XF_WIRE_MSG_H
#define XF_WIRE_MSG_H

#include "base/digest.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { XF_CHUNK_MAX = 65536, XF_CONTROL_MAX = 4096, XF_REPORT_MAX = 65536 };
enum { XF_PROTO_MINOR = 0 }; /* protocol 1.<minor>; ALPN crossfed/1 */

/* X(NAME, number, largest body in bytes). The limit is enforced from the frame header. */
#define XF_MSG_LIST(X)        \
  X(HELLO, 1, 1024)           \
  X(WELCOME, 2, 1024)         \
  X(REFUSED, 3, 2048)         \
  X(PLAN, 4, 131072)          \
  X(MANIFEST_REQUEST, 5, 256) \
  X(MANIFEST, 6, 66048)       \
  X(DIRECTORY, 7, 66048)      \
  X(TASK_OFFER, 8, 1024)      \
  X(TASK_REPLY, 9, 2048)      \
  X(TASK_CANCEL, 10, 2048)    \
  X(MODEL_GET, 11, 256)       \
  X(MODEL_CHUNK, 12, 66048)   \
  X(PROGRESS, 13, 256)        \
  X(UPDATE_BEGIN, 14, 1024)   \
  X(UPDATE_READY, 15, 256)    \
  X(UPDATE_CHUNK, 16, 66048)  \
  X(UPDATE_ACK, 17, 2048)     \
  X(PING, 18, 64)             \
  X(PONG, 19, 64)             \
  X(GOODBYE, 20, 2048)        \
  X(UNSUPPORTED, 21, 64)

enum xf_msg_type {
  XF_MSG_NONE = 0,
#define XF_MSG_ENUM(n, num, max) XF_MSG_##n = num,
  XF_MSG_LIST(XF_MSG_ENUM)
#undef XF_MSG_ENUM
};

enum xf_dtype {
  XF_DTYPE_FLOAT32,
  XF_DTYPE_FLOAT16,
  XF_DTYPE_BFLOAT16,
  XF_DTYPE_INT8,
  XF_DTYPE_REPORT,
  XF_DTYPE_SPARSE, /* param/sparse.h */
  XF_DTYPE_QSGD,   /* all but REPORT: param/codec.h */
  XF_DTYPE_TOPK,
  XF_DTYPE_MASK
};

/* X(NAME, text) */
#define XF_TASK_KIND_LIST(X) \
  X(TRAIN, "train")          \
  X(EVALUATE, "evaluate")    \
  X(FINAL, "final")
enum xf_task_kind {
#define XF_TASK_KIND_ENUM(n, t) XF_TASK_##n,
  XF_TASK_KIND_LIST(XF_TASK_KIND_ENUM)
#undef XF_TASK_KIND_ENUM
};

enum xf_outcome { XF_OUTCOME_NONE, XF_OUTCOME_COMMITTED, XF_OUTCOME_DISCARDED };

/* X(NAME, text) */
#define XF_VERDICT_LIST(X)     \
  X(NONE, "none")              \
  X(ACCEPTED, "accepted")      \
  X(DUPLICATE_OK, "duplicate") \
  X(LATE, "late")              \
  X(STALE, "stale")            \
  X(CONFLICT, "conflict")      \
  X(REJECTED, "rejected")      \
  X(CORRUPT, "corrupt")
enum xf_verdict {
#define XF_VERDICT_ENUM(n, t) XF_VERDICT_##n,
  XF_VERDICT_LIST(XF_VERDICT_ENUM)
#undef XF_VERDICT_ENUM
};

struct xf_msg_hello {
  uint32_t minor_min, minor_max;
  uint64_t features;
  const char *software;
  const char *run_id;
  uint32_t chunk_max;
  bool has_plan;
  struct xf_digest plan_digest;
};

struct xf_msg_welcome {
  uint32_t minor;
  uint64_t features;
  uint64_t epoch;
  const char *run_id, *federation, *member, *domain;
  struct xf_digest plan_digest;
  uint32_t heartbeat_ms, dead_after_ms, chunk_max;
  uint64_t committed;
  uint32_t n_members;
};

struct xf_msg_refused {
  const char *code, *text, *fix;
  uint32_t retry_after_ms;
};

struct xf_msg_plan {
  const uint8_t *canonical;
  size_t canonical_len;
};

struct xf_msg_manifest_request {
  const char *ns;
};

struct xf_msg_manifest {
  const char *ns;
  uint64_t total, offset; /* keys */
  const uint8_t *keys;
  size_t keys_len; /* bytes, a multiple of 16 */
};

struct xf_msg_directory {
  const char *ns;
  struct xf_digest digest;
  uint64_t n_all, total, offset; /* keys */
  const uint8_t *holders;        /* u32 little-endian each */
  size_t holders_len;            /* bytes, a multiple of 4 */
};

struct xf_msg_task_offer {
  struct xf_digest task_id;
  uint64_t round;
  uint32_t stage;
  enum xf_task_kind kind;
  struct xf_digest plan_digest, base_digest, layout_digest;
  uint64_t seed;
  uint32_t deadline_ms;
  uint32_t cohort;
  uint64_t model_len;
  uint64_t committed;
  struct xf_digest prev_task_id; /* zero: none */
  enum xf_outcome prev_outcome;
  uint64_t counted; /* updates of this silo that are in the model */
};

struct xf_msg_task_reply {
  struct xf_digest task_id;
  bool accepted;
  const char *code, *key, *text;
};

struct xf_msg_task_cancel {
  struct xf_digest task_id;
  const char *code, *text;
};

struct xf_msg_model_get {
  struct xf_digest task_id;
  uint64_t offset, length;
};

struct xf_msg_chunk { /* MODEL_CHUNK and UPDATE_CHUNK */
  struct xf_digest task_id;
  uint64_t offset;
  enum xf_dtype dtype; /* MODEL_CHUNK only */
  uint32_t crc32c;
  const uint8_t *data;
  size_t data_len;
};

struct xf_msg_progress {
  struct xf_digest task_id;
  uint64_t done, total;
};

struct xf_msg_update_begin {
  struct xf_digest task_id;
  uint64_t round;
  struct xf_digest base_digest, layout_digest;
  uint64_t weight, n_samples;
  enum xf_dtype dtype;
  uint64_t payload_len;
  struct xf_digest payload_digest, update_digest;
  bool has_loss;
  double loss_sum;
  uint64_t loss_count;
  double clip, noise_multiplier, epsilon, epsilon_zero_out;
};

struct xf_msg_update_ready {
  struct xf_digest task_id;
  uint64_t offset;
};

struct xf_msg_update_ack {
  struct xf_digest task_id;
  enum xf_verdict verdict;
  const char *code, *text;
};

struct xf_msg_ping { /* PING and PONG */
  uint64_t nonce;
};

struct xf_msg_goodbye {
  const char *code, *text;
  uint32_t retry_after_ms;
};

struct xf_msg_unsupported {
  uint32_t type;
};

struct xf_msg {
  enum xf_msg_type type;
  union {
    struct xf_msg_hello hello;
    struct xf_msg_welcome welcome;
    struct xf_msg_refused refused;
    struct xf_msg_plan plan;
    struct xf_msg_manifest_request manifest_request;
    struct xf_msg_manifest manifest;
    struct xf_msg_directory directory;
    struct xf_msg_task_offer task_offer;
    struct xf_msg_task_reply task_reply;
    struct xf_msg_task_cancel task_cancel;
    struct xf_msg_model_get model_get;
    struct xf_msg_chunk chunk;
    struct xf_msg_progress progress;
    struct xf_msg_update_begin update_begin;
    struct xf_msg_update_ready update_ready;
    struct xf_msg_update_ack update_ack;
    struct xf_msg_ping ping;
    struct xf_msg_goodbye goodbye;
    struct xf_msg_unsupported unsupported;
  };
};

/* "task_offer" etc.; "?" for an unknown type. @own static */
const char *xf_msg_name(enum xf_msg_type type);
/* Largest legal body of a type; 0 for an unknown type. @unit bytes */
uint32_t xf_msg_max(uint16_t type);
/* @own static */
const char *xf_task_kind_name(enum xf_task_kind kind);
const char *xf_verdict_name(enum xf_verdict verdict);

#endif
