/*
 * frame.h - cuts a byte stream into frames: u32be body length, u16be type, u16be zero, body.
 *
 * The per-type maximum is checked on the header, before a single body byte is buffered. Memory: at most
 * one frame (header + largest legal body), grown on demand, kept small again after a large one.
 * Owner: caller. Thread: one at a time.
 */
#ifndef XF_WIRE_FRAME_H
#define XF_WIRE_FRAME_H

#include "base/buf.h"
#include "base/diag.h"

enum { XF_FRAME_HEADER = 8, XF_FRAME_MAX = 131072 + XF_FRAME_HEADER };

struct xf_frame {
  uint16_t type;
  const uint8_t *body; /* borrowed until the next call on the reader */
  size_t body_len;
};

struct xf_frame_reader {
  struct xf_buf part; /* bytes of an incomplete frame */
  size_t frame_len;   /* whole length of the frame in `part` once its header is known, else 0 */
  bool skipping;      /* inside an unknown-type frame that is being skipped */
  size_t skip_left;
};

/* Called per complete frame; a non-OK return stops feeding and is passed on. */
typedef enum xf_rc (*xf_frame_fn)(void *arg, const struct xf_frame *frame);

/* @own caller; release with deinit */
void xf_frame_reader_init(struct xf_frame_reader *reader);
void xf_frame_reader_deinit(struct xf_frame_reader *reader);
/* Feeds received bytes; calls fn for each complete frame (whole frames inside p are not copied). Frames of
   unknown type up to XF_FRAME_MAX are delivered with body NULL and skipped, so the caller can answer
   Unsupported. @err E_LIMIT (length over the type's maximum) E_FORMAT (reserved bits) or fn's; after an
   error the stream cannot be continued */
XF_WARN_UNUSED enum xf_rc xf_frame_reader_feed(struct xf_frame_reader *reader, const uint8_t *p,
                                               size_t len, xf_frame_fn fn, void *arg,
                                               struct xf_diag *diag);
/* Bytes buffered now. @unit bytes */
size_t xf_frame_reader_held(const struct xf_frame_reader *reader);

#endif
