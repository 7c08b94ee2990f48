#include "wire/frame.h"

#include "wire/msg.h"

#include <string.h>

/* A reader that has just held a chunk gives its memory back down to this. */
enum { KEEP_MAX = 4096 };

void xf_frame_reader_init(struct xf_frame_reader *reader) {
  *reader = (struct xf_frame_reader){0};
  xf_buf_init(&reader->part, XF_FRAME_MAX);
}

void xf_frame_reader_deinit(struct xf_frame_reader *reader) {
  xf_buf_deinit(&reader->part);
  reader->frame_len = 0;
  reader->skip_left = 0;
}

size_t xf_frame_reader_held(const struct xf_frame_reader *reader) { return reader->part.len; }

struct header {
  uint32_t body_len;
  uint16_t type;
  bool known;
};

static enum xf_rc header_read(struct header *h, const uint8_t *p, struct xf_diag *diag) {
  h->body_len = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
  h->type = (uint16_t)(p[4] << 8 | p[5]);
  if (p[6] || p[7])
    return xf_diag_set(
        diag, XF_E_FORMAT,
        "frame header: reserved bytes are %02x%02x, expected 0000; the peer does not "
        "speak crossfed/1",
        p[6], p[7]);
  uint32_t max = xf_msg_max(h->type);
  h->known = max != 0;
  if (!h->known) max = XF_FRAME_MAX - XF_FRAME_HEADER;
  if (h->body_len > max)
    return xf_diag_set(diag, XF_E_LIMIT, "frame of type %u announces %u bytes, its limit is %u",
                       h->type, h->body_len, max);
  return XF_OK;
}

static enum xf_rc deliver(const struct header *h, const uint8_t *body, xf_frame_fn fn, void *arg) {
  struct xf_frame frame = {h->type, h->known ? body : NULL, h->known ? h->body_len : 0};
  return fn(arg, &frame);
}

/* Consumes from p what completes the frame in `part`; *used tells how much. */
static enum xf_rc feed_part(struct xf_frame_reader *r, const uint8_t *p, size_t len, size_t *used,
                            xf_frame_fn fn, void *arg, struct xf_diag *diag) {
  *used = 0;
  struct header h = {0};
  enum xf_rc rc = XF_OK;
  if (r->frame_len == 0) {
    size_t want = XF_FRAME_HEADER - r->part.len;
    if (want > len) want = len;
    if ((rc = xf_buf_put(&r->part, p, want))) return rc;
    *used = want;
    if (r->part.len < XF_FRAME_HEADER) return XF_OK;
    if ((rc = header_read(&h, r->part.p, diag))) return rc;
    if (!h.known) { /* deliver the type, then skip its body without keeping a byte */
      r->skip_left = h.body_len;
      xf_buf_reset(&r->part);
      return deliver(&h, NULL, fn, arg);
    }
    r->frame_len = XF_FRAME_HEADER + (size_t)h.body_len;
  }
  size_t want = r->frame_len - r->part.len;
  if (want > len - *used) want = len - *used;
  if ((rc = xf_buf_put(&r->part, p + *used, want))) return rc;
  *used += want;
  if (r->part.len < r->frame_len) return XF_OK;
  if ((rc = header_read(&h, r->part.p, diag))) return rc;
  r->frame_len = 0;
  rc = deliver(&h, r->part.p + XF_FRAME_HEADER, fn, arg);
  if (r->part.cap > KEEP_MAX) xf_buf_deinit(&r->part);
  else xf_buf_reset(&r->part);
  return rc;
}

enum xf_rc xf_frame_reader_feed(struct xf_frame_reader *reader, const uint8_t *p, size_t len,
                                xf_frame_fn fn, void *arg, struct xf_diag *diag) {
  while (len > 0) {
    enum xf_rc rc = XF_OK;
    size_t used = 0;
    if (reader->skip_left) {
      used = reader->skip_left < len ? reader->skip_left : len;
      reader->skip_left -= used;
    } else if (reader->part.len == 0 && len >= XF_FRAME_HEADER) {
      struct header h = {0};
      if ((rc = header_read(&h, p, diag))) return rc;
      if (h.known && len >= XF_FRAME_HEADER + (size_t)h.body_len) {
        used = XF_FRAME_HEADER + (size_t)h.body_len; /* whole frame in place: no copy */
        rc = deliver(&h, p + XF_FRAME_HEADER, fn, arg);
      } else {
        rc = feed_part(reader, p, len, &used, fn, arg, diag);
      }
    } else {
      rc = feed_part(reader, p, len, &used, fn, arg, diag);
    }
    if (rc) return rc;
    p += used;
    len -= used;
  }
  return XF_OK;
}
