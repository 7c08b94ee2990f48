/*
 * codec_block.h - private to common/param: one block of each encoding that has a fixed length (codec.h has the bytes).
 */
#ifndef XF_PARAM_CODEC_BLOCK_H
#define XF_PARAM_CODEC_BLOCK_H

#include "param/codec.h"

struct codec_scheme {
  /* Bytes of m floats. */
  size_t (*len)(const struct xf_codec *codec, size_t m);
  /* Writes them. @err E_NAN: x does not fit */
  enum xf_rc (*put)(const struct xf_codec *codec, uint64_t block, uint8_t *out, const float *x,
                    size_t m, struct xf_rng *rng);
  /* NULL, or what is wrong with the bytes. */
  const char *(*get)(const struct xf_codec *codec, uint64_t block, float *out, const uint8_t *p,
                     size_t m);
};

/* NULL: not in blocks. @own static */
const struct codec_scheme *codec_scheme(enum xf_codec_kind kind);

#endif
