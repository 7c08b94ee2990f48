/*
 * window.h - inside nn: windows over images in the attributes of a node, and the checks that convolution and pooling share.
 *
 * Not for: users of the engine (op_image.h). Owner, thread: as graph.h.
 */
#ifndef XF_NN_WINDOW_H
#define XF_NN_WINDOW_H

#include "nn/op_image.h"
#include "nn/oprule.h"

/* To and from attr.k; a stride of 0 becomes 1. @own value */
struct xf_attr xf_window_store(const struct xf_window *window);
struct xf_window xf_window_load(const struct xf_attr *attr);
/* The convolution of a node with that window over n images. @own value */
struct xf_conv_shape xf_conv_shape_of(const struct xf_attr *attr, uint32_t n, uint32_t ci,
                                      uint32_t co);
/* Window, stride, padding and image fit each other: fails the graph with the numbers. @err E_SHAPE */
bool xf_window_check(struct xf_graph *g, const struct xf_node *n);
/* Input k is a whole number of images of h x w: how many. @err E_SHAPE */
bool xf_window_images(struct xf_graph *g, const struct xf_node *n, int k, uint32_t h, uint32_t w,
                      struct xf_dim *images);
/* The node has the rows of that many images of h x w, and those columns. @shape [images h w x cols] @err E_SHAPE (too many) */
bool xf_window_set(struct xf_graph *g, struct xf_node *n, struct xf_dim images, uint32_t h,
                   uint32_t w, struct xf_dim cols);

#endif
