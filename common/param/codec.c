#include "param/codec.h"

#include "base/alloc.h"
#include "param/codec_block.h"
#include "param/quant.h"
#include "param/topk.h"
#include "param/vec.h"

#include <inttypes.h>
#include <string.h>

const char *xf_codec_name(enum xf_codec_kind kind) {
  static const char *const name[XF_CODEC_N_KIND] = {
      [XF_CODEC_FLOAT32] = "float32",   [XF_CODEC_FLOAT16] = "float16",
      [XF_CODEC_BFLOAT16] = "bfloat16", [XF_CODEC_INT8] = "int8",
      [XF_CODEC_SPARSE] = "sparse",     [XF_CODEC_QSGD] = "qsgd",
      [XF_CODEC_TOPK] = "topk",         [XF_CODEC_MASK] = "mask"};
  return (unsigned)kind < XF_CODEC_N_KIND && name[kind] ? name[kind] : "?";
}

static bool legal(const struct xf_codec *c) {
  const bool buckets = c->kind == XF_CODEC_INT8 || c->kind == XF_CODEC_QSGD;
  const bool part = c->kind == XF_CODEC_TOPK || c->kind == XF_CODEC_MASK;
  if (buckets && (c->bucket < XF_CODEC_BUCKET_MIN || c->bucket > XF_CODEC_BLOCK ||
                  (c->bucket & (c->bucket - 1))))
    return false;
  if (c->kind == XF_CODEC_QSGD && (c->levels < 1 || c->levels > XF_QSGD_LEVELS_MAX)) return false;
  if (part && !(c->fraction > 0 && c->fraction <= 1)) return false;
  return codec_scheme(c->kind) || c->kind == XF_CODEC_SPARSE || c->kind == XF_CODEC_TOPK;
}

static enum xf_rc illegal(const struct xf_codec *c, struct xf_diag *diag) {
  return xf_diag_set(diag, XF_E_INVAL, "encoding %d has a parameter out of its range",
                     (int)c->kind);
}

void xf_codec_range(const struct xf_codec *codec, uint64_t n, uint64_t *min, uint64_t *max) {
  const struct codec_scheme *s = codec_scheme(codec->kind);
  if (s) {
    *min = n / XF_CODEC_BLOCK * s->len(codec, XF_CODEC_BLOCK);
    if (n % XF_CODEC_BLOCK) *min += s->len(codec, (size_t)(n % XF_CODEC_BLOCK));
    *max = *min;
    return;
  }
  const uint64_t k = codec->kind == XF_CODEC_TOPK ? xf_topk_count(codec->fraction, n) : n;
  *min = xf_sparse_len(NULL, 0) + 8 * (n / XF_CODEC_BLOCK + (n % XF_CODEC_BLOCK != 0));
  *max = *min + XF_SPARSE_ENTRY * k;
}

enum xf_rc xf_codec_put(struct xf_buf *out, const struct xf_codec *codec, const float *x,
                        uint64_t n, struct xf_rng *rng, struct xf_diag *diag) {
  const struct codec_scheme *s = codec_scheme(codec->kind);
  if (!legal(codec)) return illegal(codec, diag);
  if (!s) return xf_sparse_put(out, x, n);
  uint8_t *bytes = xf_try_calloc(XF_CODEC_BLOCK, 2 * sizeof(float)); /* buckets of 8 take 12 */
  enum xf_rc rc = bytes ? XF_OK : XF_E_NOMEM;
  for (uint64_t at = 0; at < n && !rc; at += XF_CODEC_BLOCK) {
    const size_t m = n - at < XF_CODEC_BLOCK ? (size_t)(n - at) : XF_CODEC_BLOCK;
    const size_t bad = xf_vec_find_nonfinite(x + at, m);
    if (bad != SIZE_MAX)
      rc = xf_diag_set(diag, XF_E_NAN, "float %" PRIu64 " is not finite", at + bad);
    else if (s->put(codec, at / XF_CODEC_BLOCK, bytes, x + at, m, rng))
      rc = xf_diag_set(diag, XF_E_NAN, "floats from %" PRIu64 " on are too large for %s", at,
                       xf_codec_name(codec->kind));
    if (!rc) rc = xf_buf_put(out, bytes, s->len(codec, m));
  }
  xf_free(bytes);
  return rc;
}

static enum xf_rc corrupt(const struct xf_codec_reader *r, struct xf_diag *diag, const char *what) {
  return xf_diag_set(diag, XF_E_CORRUPT, "%s vector: %s", xf_codec_name(r->codec.kind), what);
}

enum xf_rc xf_codec_open(struct xf_codec_reader *out, const struct xf_codec *codec, uint64_t n,
                         uint64_t len, xf_sparse_bytes read, void *arg, struct xf_diag *diag) {
  uint64_t min, max;
  *out =
      (struct xf_codec_reader){.codec = *codec, .read = read, .arg = arg, .n = n, .at = UINT64_MAX};
  if (!legal(codec)) return illegal(codec, diag);
  xf_codec_range(codec, n, &min, &max);
  if (len < min || len > max) return corrupt(out, diag, "not the bytes of so many floats");
  if (!codec_scheme(codec->kind)) return xf_sparse_init(&out->sparse, n, len, read, arg, diag);
  out->block = xf_try_calloc(XF_CODEC_BLOCK, sizeof *out->block);
  out->bytes = xf_try_calloc(XF_CODEC_BLOCK, 2 * sizeof(float));
  if (!out->block || !out->bytes)
    return xf_diag_set(diag, XF_E_NOMEM, "no memory to read an encoded vector");
  return XF_OK;
}

void xf_codec_close(struct xf_codec_reader *reader) {
  xf_sparse_deinit(&reader->sparse);
  xf_free(reader->block);
  xf_free(reader->bytes);
  *reader = (struct xf_codec_reader){0};
}

static size_t block_len(const struct xf_codec_reader *r, uint64_t b) {
  const uint64_t left = r->n - b * XF_CODEC_BLOCK;
  return left < XF_CODEC_BLOCK ? (size_t)left : XF_CODEC_BLOCK;
}

static enum xf_rc decode(struct xf_codec_reader *r, uint64_t b, struct xf_diag *diag) {
  const struct codec_scheme *s = codec_scheme(r->codec.kind);
  const size_t m = block_len(r, b);
  r->at = UINT64_MAX;
  const enum xf_rc rc =
      r->read(r->arg, b * s->len(&r->codec, XF_CODEC_BLOCK), r->bytes, s->len(&r->codec, m));
  if (rc) return rc;
  const char *bad = s->get(&r->codec, b, r->block, r->bytes, m);
  if (!bad && xf_vec_find_nonfinite(r->block, m) != SIZE_MAX) bad = "a value is not finite";
  if (bad) return corrupt(r, diag, bad);
  r->at = b;
  return XF_OK;
}

enum xf_rc xf_codec_get(struct xf_codec_reader *reader, uint64_t at, float *out, size_t n,
                        struct xf_diag *diag) {
  struct xf_codec_reader *r = reader;
  if (!codec_scheme(r->codec.kind)) return xf_sparse_get(&r->sparse, at, out, n, diag);
  if (at > r->n || n > r->n - at)
    return xf_diag_set(diag, XF_E_RANGE, "floats %" PRIu64 " to %" PRIu64 " of %" PRIu64, at,
                       at + n, r->n);
  while (n) {
    const uint64_t b = at / XF_CODEC_BLOCK, in = at % XF_CODEC_BLOCK;
    const enum xf_rc rc = b == r->at ? XF_OK : decode(r, b, diag);
    if (rc) return rc;
    const size_t left = block_len(r, b) - (size_t)in, step = n < left ? n : left;
    memcpy(out, r->block + in, step * sizeof *out);
    out += step;
    at += step;
    n -= step;
  }
  return XF_OK;
}
