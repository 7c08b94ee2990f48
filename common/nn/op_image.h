/*
 * op_image.h - operations on images: convolution, pooling, flattening.
 *
 * A batch of images is the matrix [n h w x c]: one row per pixel, images one after the other, each by rows; a symbol counts images.
 * What the caller gives (h, w, window, stride, padding) is checked against it. Flattening to [n x h w c] and back are views.
 * Not for: the loops of a convolution (tensor/conv.h). Owner: the graph. Thread: the graph's builder.
 */
#ifndef XF_NN_OP_IMAGE_H
#define XF_NN_OP_IMAGE_H

#include "nn/graph.h"

/* An image of h x w pixels and the windows over it. Padding is thought around the image and smaller than the window. */
struct xf_window {
  uint32_t h, w;               /* of the image */
  uint32_t kh, kw;             /* of the window */
  uint32_t stride_h, stride_w; /* 0 means 1 */
  uint32_t pad_h, pad_w;       /* above and below, left and right */
};

/* Extents of the image of results. @shape window that a builder accepts */
static inline uint32_t xf_window_out_h(const struct xf_window *v) {
  return (v->h + 2 * v->pad_h - v->kh) / (v->stride_h ? v->stride_h : 1) + 1;
}
/* @shape as xf_window_out_h */
static inline uint32_t xf_window_out_w(const struct xf_window *v) {
  return (v->w + 2 * v->pad_w - v->kw) / (v->stride_w ? v->stride_w : 1) + 1;
}

/* Cross-correlation, as every library calls convolution: zeros around the image, kernels not flipped. bias may be XF_NO_NODE.
   @shape x [n h w x ci], w [kh kw ci x co], bias [co x 1] or [1 x co], out [n oh ow x co] @source LeCun et al. 1998 */
int xf_op_conv(struct xf_graph *g, int x, int w, int bias, const struct xf_window *window);
/* Its derivatives, each linear in both inputs: with respect to x and to w. @shape dy [n oh ow x co], w and x as above; out as x, as w */
int xf_op_conv_dx(struct xf_graph *g, int dy, int w, const struct xf_window *window);
int xf_op_conv_dw(struct xf_graph *g, int x, int dy, const struct xf_window *window);

/* Largest number of each window and channel; padding is never the largest. Of equal ones the first by rows. *where (may be NULL): an
   integer node, the pixel y w + x it was found at. @shape x [n h w x c], out, *where [n oh ow x c] */
int xf_op_max_pool(struct xf_graph *g, int x, const struct xf_window *window, int *where);
/* The numbers at `where`, and the dual: each number added at its place. @shape x [n h w x c], where and y [n oh ow x c] */
int xf_op_pool_gather(struct xf_graph *g, int x, int where, const struct xf_window *window);
int xf_op_pool_scatter(struct xf_graph *g, int y, int where, const struct xf_window *window);
/* Mean of each window over the pixels that exist, and its dual: each number spread over its window. @shape as xf_op_max_pool */
int xf_op_avg_pool(struct xf_graph *g, int x, const struct xf_window *window);
int xf_op_avg_spread(struct xf_graph *g, int y, const struct xf_window *window);
/* Images as rows; a view. @shape x [n h w x c], out [n x h w c] */
int xf_op_flatten(struct xf_graph *g, int x, uint32_t h, uint32_t w);

#endif
