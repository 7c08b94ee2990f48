/*
 * codec.h - how the floats of an update travel: one table of encodings, writing, and reading any part again.
 *
 * Blocks of 65,536 floats follow each other; of the last only what there is. A block of m floats (the bucket divides a block):
 *
 *   float32   f32le each                                  float16, bfloat16   u16le each
 *   int8      per bucket: f32le scale, i8 each            qsgd                per bucket: f32le norm, then level + s of each in
 *   mask      f32le of each float that the mask takes                         qsgd_bits(s) bits, low bits first, 0 to the byte's end
 *   sparse    the whole vector as in sparse.h             topk                as sparse, of at most topk_count(fraction, n) floats
 *
 * All but sparse and topk have one length for n floats. A reader trusts nothing: other lengths, levels beyond s, bits set in padding,
 * scales and norms below 0 or not finite, and values that are not finite are E_CORRUPT.
 * Order of operations of a sender: clip, noise, then this. Owner: caller. Thread: a reader one at a time.
 * @source half.h, quant.h, topk.h, mask.h, sparse.h
 */
#ifndef XF_PARAM_CODEC_H
#define XF_PARAM_CODEC_H

#include "base/rng.h"
#include "param/sparse.h"

#include <stdbool.h>

/* Numbers are those of `Dtype` on the wire (proto/xf.proto), where 4 is a report. */
enum xf_codec_kind {
  XF_CODEC_FLOAT32 = 0,
  XF_CODEC_FLOAT16 = 1,
  XF_CODEC_BFLOAT16 = 2,
  XF_CODEC_INT8 = 3,
  XF_CODEC_SPARSE = 5,
  XF_CODEC_QSGD = 6,
  XF_CODEC_TOPK = 7,
  XF_CODEC_MASK = 8,
  XF_CODEC_N_KIND
};

enum { XF_CODEC_BLOCK = XF_SPARSE_BLOCK, XF_CODEC_BUCKET_MIN = 8 };

struct xf_codec {
  enum xf_codec_kind kind;
  uint32_t bucket; /* int8, qsgd: floats, a power of two from 8 to 65536 */
  uint32_t levels; /* qsgd: s, 1 to 127 */
  double fraction; /* topk, mask: of the floats, in (0, 1] */
  uint64_t key;    /* mask: of this round */
};

/* As in plans: "float32". "?" for a foreign number. @own static */
const char *xf_codec_name(enum xf_codec_kind kind);
/* Bytes that n floats take, at least and at most. @shape n floats @unit bytes */
void xf_codec_range(const struct xf_codec *codec, uint64_t n, uint64_t *min, uint64_t *max);
/* Appends. rng rounds (int8, qsgd; else unused). topk: x has been reduced to what is sent (topk.h). @shape x[n] @err E_INVAL (codec)
   E_NAN (x, or it does not fit the encoding: the index of the float is in diag) E_LIMIT E_NOMEM */
XF_WARN_UNUSED enum xf_rc xf_codec_put(struct xf_buf *out, const struct xf_codec *codec,
                                       const float *x, uint64_t n, struct xf_rng *rng,
                                       struct xf_diag *diag);

struct xf_codec_reader {
  struct xf_codec codec;
  xf_sparse_bytes read;
  void *arg;
  uint64_t n, at;          /* floats; the block decoded last, UINT64_MAX: none */
  float *block;            /* [65536] */
  uint8_t *bytes;          /* of a block */
  struct xf_sparse sparse; /* of the two that are not read in blocks */
};

/* Of n floats in len bytes. @own out: xf_codec_close, also after an error @err E_INVAL (codec) E_CORRUPT E_NOMEM and the callback's */
XF_WARN_UNUSED enum xf_rc xf_codec_open(struct xf_codec_reader *out, const struct xf_codec *codec,
                                        uint64_t n, uint64_t len, xf_sparse_bytes read, void *arg,
                                        struct xf_diag *diag);
/* Releases; idempotent, legal on a zeroed struct. @own reader */
void xf_codec_close(struct xf_codec_reader *reader);
/* Floats [at, at + n). Blocks read in order are decoded once. @shape out[n] @err E_RANGE E_CORRUPT and the callback's */
XF_WARN_UNUSED enum xf_rc xf_codec_get(struct xf_codec_reader *reader, uint64_t at, float *out,
                                       size_t n, struct xf_diag *diag);

#endif
