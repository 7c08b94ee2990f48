/* The 4 KiB header of a spool file. Layout: docs/FORMATS.md "spool". */
#include "base/crc32c.h"
#include "base/cursor.h"
#include "store/spool_impl.h"

#include <string.h>

enum { CRC_AT = XF_SPOOL_HEADER - 4, CLIPPED = 1, NOISED = 2 };
static const char magic[8] = {'X', 'F', 'S', 'P', 'O', 'O', 'L', '\n'};

static uint8_t *put(uint8_t *p, const void *v, size_t n) {
  memcpy(p, v, n);
  return p + n;
}

static uint8_t *put_u32(uint8_t *p, uint32_t v) {
  for (int i = 0; i < 4; i++) p[i] = (uint8_t)(v >> 8 * i);
  return p + 4;
}

static uint8_t *put_u64(uint8_t *p, uint64_t v) {
  for (int i = 0; i < 8; i++) p[i] = (uint8_t)(v >> 8 * i);
  return p + 8;
}

static uint8_t *put_f64(uint8_t *p, double v) {
  uint64_t bits = 0;
  memcpy(&bits, &v, sizeof bits);
  return put_u64(p, bits);
}

void xf_spool_head_encode(uint8_t out[XF_SPOOL_HEADER], const struct xf_spool_head *head) {
  const struct xf_charge *c = &head->charge;
  memset(out, 0, XF_SPOOL_HEADER);
  uint8_t *p = put(out, magic, sizeof magic);
  p = put_u32(p, XF_SPOOL_VERSION);
  p = put_u32(p, XF_SPOOL_HEADER);
  p = put(p, head->task_id.b, XF_DIGEST_LEN);
  p = put(p, head->update_digest.b, XF_DIGEST_LEN);
  p = put(p, head->payload_digest.b, XF_DIGEST_LEN);
  p = put_u64(p, head->round);
  p = put_u64(p, head->weight);
  p = put_u64(p, head->n_samples);
  p = put_u64(p, head->payload_len);
  p = put_u32(p, head->dtype);
  p = put_u32(p, (c->clipped ? CLIPPED : 0u) | (c->noised ? NOISED : 0u));
  p = put_f64(p, c->clip);
  p = put_f64(p, c->noise_multiplier);
  p = put_f64(p, c->sensitivity);
  p = put_f64(p, c->epsilon);
  p = put_f64(p, c->epsilon_zero_out);
  p = put(p, head->member, sizeof head->member);
  (void)put(p, head->meta, sizeof head->meta);
  (void)put_u32(out + CRC_AT, xf_crc32c(0, out, CRC_AT));
}

static void get_f64(struct xf_cursor *cur, double *out, enum xf_rc *rc) {
  uint64_t bits = 0;
  if (!*rc) *rc = xf_cursor_u64le(cur, &bits);
  memcpy(out, &bits, sizeof bits);
}

/* The header has a fixed size, so the cursor cannot run out; a wrong layout constant would show here. */
static enum xf_rc get_all(struct xf_cursor *cur, struct xf_spool_head *h, uint32_t *version,
                          uint32_t *size) {
  const uint8_t *skip = NULL;
  uint32_t flags = 0;
  enum xf_rc rc = xf_cursor_bytes(cur, &skip, sizeof magic);
  if (!rc) rc = xf_cursor_u32le(cur, version);
  if (!rc) rc = xf_cursor_u32le(cur, size);
  if (!rc) rc = xf_cursor_copy(cur, h->task_id.b, XF_DIGEST_LEN);
  if (!rc) rc = xf_cursor_copy(cur, h->update_digest.b, XF_DIGEST_LEN);
  if (!rc) rc = xf_cursor_copy(cur, h->payload_digest.b, XF_DIGEST_LEN);
  if (!rc) rc = xf_cursor_u64le(cur, &h->round);
  if (!rc) rc = xf_cursor_u64le(cur, &h->weight);
  if (!rc) rc = xf_cursor_u64le(cur, &h->n_samples);
  if (!rc) rc = xf_cursor_u64le(cur, &h->payload_len);
  if (!rc) rc = xf_cursor_u32le(cur, &h->dtype);
  if (!rc) rc = xf_cursor_u32le(cur, &flags);
  h->charge.clipped = flags & CLIPPED;
  h->charge.noised = flags & NOISED;
  get_f64(cur, &h->charge.clip, &rc);
  get_f64(cur, &h->charge.noise_multiplier, &rc);
  get_f64(cur, &h->charge.sensitivity, &rc);
  get_f64(cur, &h->charge.epsilon, &rc);
  get_f64(cur, &h->charge.epsilon_zero_out, &rc);
  if (!rc) rc = xf_cursor_copy(cur, h->member, sizeof h->member);
  if (!rc) rc = xf_cursor_copy(cur, h->meta, sizeof h->meta);
  return rc;
}

enum xf_rc xf_spool_head_decode(struct xf_spool_head *out, const uint8_t in[XF_SPOOL_HEADER],
                                const char *path, struct xf_diag *diag) {
  struct xf_cursor cur;
  uint32_t crc = 0, version = 0, size = 0;
  xf_cursor_init(&cur, in + CRC_AT, 4);
  enum xf_rc rc = xf_cursor_u32le(&cur, &crc);
  if (!rc && memcmp(in, magic, sizeof magic) != 0)
    return xf_diag_set(diag, XF_E_CORRUPT, "\"%s\" does not start like a spool file", path);
  if (!rc && crc != xf_crc32c(0, in, CRC_AT))
    return xf_diag_set(diag, XF_E_CORRUPT, "\"%s\": the header's checksum does not fit", path);
  *out = (struct xf_spool_head){0};
  xf_cursor_init(&cur, in, CRC_AT);
  if (!rc) rc = get_all(&cur, out, &version, &size);
  if (rc) return xf_diag_set(diag, XF_E_CORRUPT, "\"%s\": the header is cut off", path);
  if (version != XF_SPOOL_VERSION || size != XF_SPOOL_HEADER)
    return xf_diag_set(diag, XF_E_VERSION, "\"%s\" has spool format %u, this program reads %d",
                       path, version, XF_SPOOL_VERSION);
  if (!memchr(out->member, 0, sizeof out->member) || !memchr(out->meta, 0, sizeof out->meta) ||
      out->payload_len > XF_SPOOL_PAYLOAD_MAX)
    return xf_diag_set(diag, XF_E_CORRUPT, "\"%s\": the header makes no sense", path);
  return XF_OK;
}
