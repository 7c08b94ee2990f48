/*
 * conv.h - the shape of a two-dimensional convolution and the memory its kernels need. The kernels are members
 * of the table (kern.h): conv_fwd, conv_dx, conv_dw.
 *
 * Activations are [n][h][w][c], weights [kh][kw][cin][cout]: as matrices [n h w x c] and [kh kw cin x cout].
 * Not for: pooling (nn). Thread: any. Owner: plain values.
 */
#ifndef XF_TENSOR_CONV_H
#define XF_TENSOR_CONV_H

#include "base/diag.h"

#include <stddef.h>
#include <stdint.h>

/* Zeros are thought around the image: pad_h above and below, pad_w left and right. n may be 0. */
struct xf_conv_shape {
  uint32_t n, h, w, cin, kh, kw, cout, stride_h, stride_w, pad_h, pad_w;
};

/* Extents are 1 to this, and pads smaller than the kernel. */
enum { XF_CONV_EXTENT_MAX = 1 << 15 };

/* Whether the kernels take it: extents, pads below the kernel's size, a kernel inside the padded image, every
   tensor and the scratch below 2^31 numbers. @err E_SHAPE (says which extent) E_LIMIT */
XF_WARN_UNUSED enum xf_rc xf_conv_check(const struct xf_conv_shape *s, struct xf_diag *diag);
/* Rows of the output. @shape s that xf_conv_check accepts */
static inline uint32_t xf_conv_out_h(const struct xf_conv_shape *s) {
  return (s->h + 2 * s->pad_h - s->kh) / s->stride_h + 1;
}
/* Columns of the output. @shape s that xf_conv_check accepts */
static inline uint32_t xf_conv_out_w(const struct xf_conv_shape *s) {
  return (s->w + 2 * s->pad_w - s->kw) / s->stride_w + 1;
}
/* Numbers of scratch that each of the three kernels may write; does not depend on n. @unit numbers */
size_t xf_conv_scratch(const struct xf_conv_shape *s);

#endif
