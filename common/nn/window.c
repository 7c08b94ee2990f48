#include "nn/window.h"

#include <stdio.h>

enum { H, W, KH, KW, SH, SW, PH, PW, EXTENT_MAX = 1 << 15, TEXT = 256 };

struct xf_attr xf_window_store(const struct xf_window *v) {
  struct xf_attr a = {.k = {v->h, v->w, v->kh, v->kw, v->stride_h ? v->stride_h : 1,
                            v->stride_w ? v->stride_w : 1, v->pad_h, v->pad_w}};
  return a;
}

struct xf_window xf_window_load(const struct xf_attr *a) {
  return (struct xf_window){.h = a->k[H],
                            .w = a->k[W],
                            .kh = a->k[KH],
                            .kw = a->k[KW],
                            .stride_h = a->k[SH],
                            .stride_w = a->k[SW],
                            .pad_h = a->k[PH],
                            .pad_w = a->k[PW]};
}

static bool axis_fits(uint32_t extent, uint32_t kernel, uint32_t stride, uint32_t pad) {
  return extent >= 1 && extent <= EXTENT_MAX && kernel >= 1 && kernel <= EXTENT_MAX &&
         stride >= 1 && stride <= EXTENT_MAX && pad < kernel && kernel <= extent + 2 * pad;
}

bool xf_window_check(struct xf_graph *g, const struct xf_node *n) {
  const struct xf_window v = xf_window_load(&n->attr);
  if (axis_fits(v.h, v.kh, v.stride_h, v.pad_h) && axis_fits(v.w, v.kw, v.stride_w, v.pad_w))
    return true;
  char text[TEXT];
  (void)snprintf(
      text, sizeof text,
      "a window of %u x %u with stride %u x %u and padding %u x %u does not fit images of "
      "%u x %u; padding must be smaller than the window, the window no larger than the "
      "padded image",
      v.kh, v.kw, v.stride_h, v.stride_w, v.pad_h, v.pad_w, v.h, v.w);
  return xf_shape_fail(g, n, text);
}

bool xf_window_images(struct xf_graph *g, const struct xf_node *n, int k, uint32_t h, uint32_t w,
                      struct xf_dim *images) {
  const struct xf_dim rows = ROWS(k);
  const uint64_t pixels = (uint64_t)h * w;
  *images = (struct xf_dim){(uint32_t)(rows.n / pixels), rows.sym};
  if (rows.n % pixels == 0 && COLS(k).sym == XF_SYM_ONE) return true;
  char text[TEXT];
  (void)snprintf(text, sizeof text, "input %d needs rows of whole images of %u x %u = %llu pixels",
                 k, h, w, (unsigned long long)pixels);
  return xf_shape_fail(g, n, text);
}

bool xf_window_set(struct xf_graph *g, struct xf_node *n, struct xf_dim images, uint32_t h,
                   uint32_t w, struct xf_dim cols) {
  const uint64_t pixels = (uint64_t)h * w; /* below 2^33 */
  if (images.n <= UINT32_MAX / pixels)
    return xf_shape_set(n, (struct xf_dim){(uint32_t)(images.n * pixels), images.sym}, cols);
  char text[TEXT];
  (void)snprintf(text, sizeof text, "%u images of %u x %u pixels are more than 2^32 - 1 rows",
                 images.n, h, w);
  return xf_shape_fail(g, n, text);
}

struct xf_conv_shape xf_conv_shape_of(const struct xf_attr *attr, uint32_t n, uint32_t ci,
                                      uint32_t co) {
  return (struct xf_conv_shape){.n = n,
                                .h = attr->k[H],
                                .w = attr->k[W],
                                .cin = ci,
                                .kh = attr->k[KH],
                                .kw = attr->k[KW],
                                .cout = co,
                                .stride_h = attr->k[SH],
                                .stride_w = attr->k[SW],
                                .pad_h = attr->k[PH],
                                .pad_w = attr->k[PW]};
}
