/* The encodings, a block at a time. */
#include "param/codec_block.h"

#include "param/half.h"
#include "param/mask.h"
#include "param/quant.h"
#include "param/topk.h"
#include "param/vec.h"

#include <math.h>
#include <string.h>

/* --- floats, whole and halved ------------------------------------------------------------------------------------- */

static size_t float_len(const struct xf_codec *c, size_t m) {
  (void)c;
  return m * sizeof(float);
}
static enum xf_rc float_put(const struct xf_codec *c, uint64_t block, uint8_t *out, const float *x,
                            size_t m, struct xf_rng *rng) {
  (void)c, (void)block, (void)rng;
  memcpy(out, x, m * sizeof *x);
  return XF_OK;
}
static const char *float_get(const struct xf_codec *c, uint64_t block, float *out, const uint8_t *p,
                             size_t m) {
  (void)c, (void)block;
  memcpy(out, p, m * sizeof *out);
  return NULL;
}

static size_t half_len(const struct xf_codec *c, size_t m) {
  (void)c;
  return 2 * m;
}
static enum xf_rc half_put(const struct xf_codec *c, uint64_t block, uint8_t *out, const float *x,
                           size_t m, struct xf_rng *rng) {
  (void)block, (void)rng;
  const bool half = c->kind == XF_CODEC_FLOAT16;
  for (size_t i = 0; i < m; i++) {
    const uint16_t h = half ? xf_half_from_float(x[i]) : xf_bfloat_from_float(x[i]);
    if ((h & (half ? 0x7c00 : 0x7f80)) == (half ? 0x7c00 : 0x7f80)) return XF_E_NAN;
    out[2 * i] = (uint8_t)h;
    out[2 * i + 1] = (uint8_t)(h >> 8);
  }
  return XF_OK;
}
static const char *half_get(const struct xf_codec *c, uint64_t block, float *out, const uint8_t *p,
                            size_t m) {
  (void)block;
  for (size_t i = 0; i < m; i++) {
    const uint16_t h = (uint16_t)(p[2 * i] | p[2 * i + 1] << 8);
    out[i] = c->kind == XF_CODEC_FLOAT16 ? xf_half_to_float(h) : xf_bfloat_to_float(h);
  }
  return NULL;
}

/* --- buckets ------------------------------------------------------------------------------------------------------ */

static size_t bucket_len(const struct xf_codec *c, size_t m) {
  const size_t bits = c->kind == XF_CODEC_INT8 ? 8 : xf_qsgd_bits(c->levels);
  return sizeof(float) + (m * bits + 7) / 8;
}
static size_t buckets_len(const struct xf_codec *c, size_t m) {
  const size_t rest = m % c->bucket;
  return m / c->bucket * bucket_len(c, c->bucket) + (rest ? bucket_len(c, rest) : 0);
}

static double uniform(struct xf_rng *rng) { return xf_rng_u32(rng) * 0x1p-32; }

static void int8_put(uint8_t *out, float scale, const float *x, size_t m, struct xf_rng *rng) {
  for (size_t i = 0; i < m; i++) out[i] = (uint8_t)(int8_t)xf_int8_round(x[i], scale, uniform(rng));
}
static const char *int8_get(float *out, float scale, const uint8_t *p, size_t m) {
  for (size_t i = 0; i < m; i++) {
    if (p[i] == 0x80) return "a level is beyond the last";
    out[i] = xf_int8_value((int8_t)p[i], scale);
  }
  return NULL;
}

static void qsgd_put(uint8_t *out, float norm, uint32_t s, const float *x, size_t m,
                     struct xf_rng *rng) {
  const unsigned width = xf_qsgd_bits(s);
  uint32_t word = 0;
  unsigned have = 0;
  for (size_t i = 0; i < m; i++) {
    word |= (uint32_t)(xf_qsgd_round(x[i], norm, s, uniform(rng)) + (int)s) << have;
    for (have += width; have >= 8; have -= 8, word >>= 8) *out++ = (uint8_t)word;
  }
  if (have) *out = (uint8_t)word;
}
static const char *qsgd_get(float *out, float norm, uint32_t s, const uint8_t *p, size_t m) {
  const unsigned width = xf_qsgd_bits(s);
  uint32_t word = 0;
  unsigned have = 0;
  for (size_t i = 0; i < m; i++) {
    for (; have < width; have += 8) word |= (uint32_t)*p++ << have;
    const uint32_t level = word & ((1u << width) - 1);
    if (level > 2 * s) return "a level is beyond the last";
    out[i] = xf_qsgd_value((int)level - (int)s, norm, s);
    word >>= width;
    have -= width;
  }
  return word ? "bits behind the last level" : NULL;
}

static enum xf_rc buckets_put(const struct xf_codec *c, uint64_t block, uint8_t *out,
                              const float *x, size_t m, struct xf_rng *rng) {
  (void)block;
  const bool int8 = c->kind == XF_CODEC_INT8;
  for (size_t at = 0; at < m; at += c->bucket) {
    const size_t n = m - at < c->bucket ? m - at : c->bucket;
    const float size = int8 ? xf_int8_scale(x + at, n) : xf_qsgd_norm(x + at, n);
    if (!isfinite(int8 ? xf_int8_value(XF_INT8_MAX, size) : size)) return XF_E_NAN;
    memcpy(out, &size, sizeof size);
    if (int8) int8_put(out + sizeof size, size, x + at, n, rng);
    else qsgd_put(out + sizeof size, size, c->levels, x + at, n, rng);
    out += bucket_len(c, n);
  }
  return XF_OK;
}
static const char *buckets_get(const struct xf_codec *c, uint64_t block, float *out,
                               const uint8_t *p, size_t m) {
  (void)block;
  const char *bad = NULL;
  for (size_t at = 0; at < m && !bad; at += c->bucket) {
    const size_t n = m - at < c->bucket ? m - at : c->bucket;
    float size;
    memcpy(&size, p, sizeof size);
    if (!isfinite(size)) return "a scale or norm is not finite";
    if (size < 0) return "a scale or norm is below 0";
    bad = c->kind == XF_CODEC_INT8 ? int8_get(out + at, size, p + sizeof size, n)
                                   : qsgd_get(out + at, size, c->levels, p + sizeof size, n);
    p += bucket_len(c, n);
  }
  return bad;
}

/* --- mask --------------------------------------------------------------------------------------------------------- */

static size_t mask_len(const struct xf_codec *c, size_t m) {
  return (size_t)xf_topk_count(c->fraction, m) * sizeof(float);
}
static enum xf_rc mask_put(const struct xf_codec *c, uint64_t block, uint8_t *out, const float *x,
                           size_t m, struct xf_rng *rng) {
  (void)rng;
  struct xf_mask mask;
  xf_mask_init(&mask, c->key, block, (uint32_t)m, (uint32_t)xf_topk_count(c->fraction, m));
  for (size_t i = 0; i < m; i++) {
    if (!xf_mask_next(&mask)) continue;
    memcpy(out, &x[i], sizeof x[i]);
    out += sizeof x[i];
  }
  return XF_OK;
}
static const char *mask_get(const struct xf_codec *c, uint64_t block, float *out, const uint8_t *p,
                            size_t m) {
  struct xf_mask mask;
  const uint32_t take = (uint32_t)xf_topk_count(c->fraction, m);
  const float scale = (float)((double)m / take);
  xf_mask_init(&mask, c->key, block, (uint32_t)m, take);
  for (size_t i = 0; i < m; i++) {
    out[i] = 0;
    if (!xf_mask_next(&mask)) continue;
    memcpy(&out[i], p, sizeof out[i]);
    p += sizeof out[i];
    out[i] *= scale;
  }
  return NULL;
}

/* ------------------------------------------------------------------------------------------------------------------ */

static const struct codec_scheme schemes[XF_CODEC_N_KIND] = {
    [XF_CODEC_FLOAT32] = {float_len, float_put, float_get},
    [XF_CODEC_FLOAT16] = {half_len, half_put, half_get},
    [XF_CODEC_BFLOAT16] = {half_len, half_put, half_get},
    [XF_CODEC_INT8] = {buckets_len, buckets_put, buckets_get},
    [XF_CODEC_QSGD] = {buckets_len, buckets_put, buckets_get},
    [XF_CODEC_MASK] = {mask_len, mask_put, mask_get},
};

const struct codec_scheme *codec_scheme(enum xf_codec_kind kind) {
  return (unsigned)kind < XF_CODEC_N_KIND && schemes[kind].len ? &schemes[kind] : NULL;
}
