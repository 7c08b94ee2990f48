/*
 * codec.h - messages <-> bytes. The only user of protobuf-c.
 *
 * Decoding order: frame header (frame.h) checks the type's size limit before any byte of the body is kept;
 * then protobuf unpacks into a budgeted arena; then every field is checked here (digest lengths, enum
 * ranges, finite floats, string lengths, chunk crc is NOT checked here). Thread: any; one arena each.
 */
#ifndef XF_WIRE_CODEC_H
#define XF_WIRE_CODEC_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/diag.h"
#include "wire/msg.h"

/* Appends one whole frame (header and body). @err E_LIMIT (body over the type's maximum, or buf full) */
XF_WARN_UNUSED enum xf_rc xf_msg_encode(struct xf_buf *out, const struct xf_msg *msg);
/* Decodes a body of a known type. out borrows from arena. @err E_FORMAT E_LIMIT E_NAN E_UNSUPPORTED;
   diag names message, field and value */
XF_WARN_UNUSED enum xf_rc xf_msg_decode(struct xf_msg *out, struct xf_arena *arena, uint16_t type,
                                        const uint8_t *body, size_t body_len, struct xf_diag *diag);
/* Arena budget that is enough for any legal message. @unit bytes */
enum { XF_MSG_ARENA = 512 * 1024 };
/* Number of unknown fields met by decode in this process (a counter for status). @thread any */
uint64_t xf_msg_unknown_fields(void);

/* Evaluation payload (spooled as an update's payload). */
struct xf_eval_metric {
  const char *arm, *split, *name;
  double sum;
  uint64_t count;
};
enum { XF_EVAL_METRIC_MAX = 512 };
/* @shape m[n] @err E_LIMIT */
XF_WARN_UNUSED enum xf_rc xf_eval_report_encode(struct xf_buf *out, const struct xf_eval_metric *m,
                                                size_t n);
/* @own *m in arena @err E_FORMAT E_LIMIT E_NAN */
XF_WARN_UNUSED enum xf_rc xf_eval_report_decode(struct xf_eval_metric **m, size_t *n,
                                                struct xf_arena *arena, const uint8_t *p,
                                                size_t len, struct xf_diag *diag);

/* The bytes whose SHA-256 is update_digest: task_id, u64le weight, u64le n_samples, u64le payload_len,
   u8 dtype, layout_digest, payload_digest. @source docs/PROTOCOL.md "Digests" */
enum { XF_UPDATE_DIGEST_INPUT = 32 + 8 + 8 + 8 + 1 + 32 + 32 };
void xf_update_digest_input(uint8_t out[XF_UPDATE_DIGEST_INPUT],
                            const struct xf_msg_update_begin *m);

#endif
