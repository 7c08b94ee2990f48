/* Checking the shape of a convolution, and what its kernels need beside their operands. */
#include "tensor/conv.h"

#include <inttypes.h>

/* Whatever the width of a vector: panels of weights are at most this many columns wide and begin on a cache line. */
enum { PANEL = 32, LINE = 16 };
#define NUMBERS_MAX ((uint64_t)INT32_MAX)

static enum xf_rc check_axis(const char *axis, uint32_t extent, uint32_t kernel, uint32_t stride,
                             uint32_t pad, struct xf_diag *diag) {
  if (extent < 1 || extent > XF_CONV_EXTENT_MAX)
    return xf_diag_set(diag, XF_E_SHAPE,
                       "convolution: the image's %s is %" PRIu32 "; it must be 1 to %d", axis,
                       extent, XF_CONV_EXTENT_MAX);
  if (stride < 1 || stride > XF_CONV_EXTENT_MAX)
    return xf_diag_set(diag, XF_E_SHAPE,
                       "convolution: the stride along %s is %" PRIu32 "; it must be 1 to %d", axis,
                       stride, XF_CONV_EXTENT_MAX);
  if (kernel < 1 || kernel > XF_CONV_EXTENT_MAX || pad >= kernel || kernel > extent + 2 * pad)
    return xf_diag_set(
        diag, XF_E_SHAPE,
        "convolution: a kernel of %s %" PRIu32 " with padding %" PRIu32
        " does not fit an image of %s %" PRIu32
        "; the padding must be smaller than the kernel, the kernel no larger than the padded image",
        axis, kernel, pad, axis, extent);
  return XF_OK;
}

static uint64_t round_up(uint64_t n, uint64_t to) { return (n + to - 1) / to * to; }

static uint64_t larger(uint64_t a, uint64_t b) { return a > b ? a : b; }

/* Weights in panels, for either direction, and one padded image of either side. */
static uint64_t scratch(const struct xf_conv_shape *s) {
  const uint64_t taps = (uint64_t)s->kh * s->kw;
  const uint64_t fwd = taps * s->cin * round_up(s->cout, PANEL),
                 back = taps * s->cout * round_up(s->cin, PANEL);
  const uint64_t image = (uint64_t)(s->h + 2 * s->pad_h) * (s->w + 2 * s->pad_w) * s->cin;
  const uint64_t grad = (uint64_t)(s->h + s->kh - 1) * (s->w + s->kw - 1) * s->cout;
  return larger(fwd, back) + larger(image, grad) + 4 * LINE;
}

enum xf_rc xf_conv_check(const struct xf_conv_shape *s, struct xf_diag *diag) {
  enum xf_rc rc = check_axis("height", s->h, s->kh, s->stride_h, s->pad_h, diag);
  if (!rc) rc = check_axis("width", s->w, s->kw, s->stride_w, s->pad_w, diag);
  if (rc) return rc;
  if (s->cin < 1 || s->cin > XF_CONV_EXTENT_MAX || s->cout < 1 || s->cout > XF_CONV_EXTENT_MAX)
    return xf_diag_set(diag, XF_E_SHAPE,
                       "convolution: %" PRIu32 " to %" PRIu32 " channels; both must be 1 to %d",
                       s->cin, s->cout, XF_CONV_EXTENT_MAX);
  const uint64_t in = (uint64_t)s->h * s->w * s->cin,
                 out = (uint64_t)xf_conv_out_h(s) * xf_conv_out_w(s) * s->cout;
  const uint64_t taps = (uint64_t)s->kh * s->kw;
  if (in > NUMBERS_MAX || out > NUMBERS_MAX || taps > NUMBERS_MAX / s->cin ||
      taps * s->cin > NUMBERS_MAX / s->cout || larger(in, out) * s->n > NUMBERS_MAX ||
      (uint64_t)(s->h + 2 * s->kh) * (s->w + 2 * s->kw) > NUMBERS_MAX / larger(s->cin, s->cout) ||
      scratch(s) > NUMBERS_MAX)
    return xf_diag_set(diag, XF_E_LIMIT,
                       "convolution of %" PRIu32 " images %" PRIu32 " x %" PRIu32 " x %" PRIu32
                       " to %" PRIu32 " channels: a tensor would have more than %" PRIu64
                       " numbers; lower the batch size",
                       s->n, s->h, s->w, s->cin, s->cout, NUMBERS_MAX);
  return XF_OK;
}

size_t xf_conv_scratch(const struct xf_conv_shape *s) { return (size_t)scratch(s); }
