/* Convolution and its two derivatives. The three are one trilinear form <conv(x, w), y>, so the derivatives of each are the
   other two. */
#ifndef RUN
#include "nn/op_image.h"
#include "nn/oprule.h"
#include "nn/window.h"

#include <stdio.h>

enum { TEXT = 320 };

/* Of a node whose image of inputs has ci channels and of outputs co; n images. */
static struct xf_conv_shape shape_of(const struct xf_window *v, uint32_t n, uint32_t ci,
                                     uint32_t co) {
  return (struct xf_conv_shape){.n = n,
                                .h = v->h,
                                .w = v->w,
                                .cin = ci,
                                .kh = v->kh,
                                .kw = v->kw,
                                .cout = co,
                                .stride_h = v->stride_h,
                                .stride_w = v->stride_w,
                                .pad_h = v->pad_h,
                                .pad_w = v->pad_w};
}

static bool check(struct xf_graph *g, const struct xf_node *n, uint32_t ci, uint32_t co) {
  const struct xf_window v = xf_window_load(&n->attr);
  const struct xf_conv_shape s = shape_of(&v, 1, ci, co);
  struct xf_diag diag;
  xf_diag_init(&diag);
  return !xf_conv_check(&s, &diag) || xf_shape_fail(g, n, diag.text);
}

/* Input k is the weights of ci input channels: [kh kw ci x co]. */
static bool check_weights(struct xf_graph *g, const struct xf_node *n, int k, uint32_t ci) {
  char text[TEXT];
  const struct xf_window v = xf_window_load(&n->attr);
  if (xf_dim_is(ROWS(k), v.kh * v.kw * ci) && COLS(k).sym == XF_SYM_ONE) return true;
  (void)snprintf(text, sizeof text,
                 "a %u x %u window over %u channels needs weights [%u x channels out]", v.kh, v.kw,
                 ci, v.kh * v.kw * ci);
  return xf_shape_fail(g, n, text);
}

static bool shape_conv(struct xf_graph *g, struct xf_node *n) {
  const struct xf_window v = xf_window_load(&n->attr);
  struct xf_dim images;
  if (!xf_shape_check_ids(g, n, -1) || !xf_window_check(g, n) ||
      !xf_window_images(g, n, 0, v.h, v.w, &images) || !check_weights(g, n, 1, COLS(0).n) ||
      !check(g, n, COLS(0).n, COLS(1).n))
    return false;
  if (n->n_in == 3 && (!xf_dim_is(ROWS(2), 1) || !xf_dim_equal(COLS(2), COLS(1))))
    return xf_shape_fail(g, n, "the bias must have one number per channel out");
  return xf_window_set(g, n, images, xf_window_out_h(&v), xf_window_out_w(&v), COLS(1));
}

static bool shape_conv_dx(struct xf_graph *g, struct xf_node *n) {
  const struct xf_window v = xf_window_load(&n->attr);
  struct xf_dim images;
  if (!xf_shape_check_ids(g, n, -1) || !xf_window_check(g, n)) return false;
  const uint32_t taps = v.kh * v.kw, ci = ROWS(1).n / taps;
  if (!xf_window_images(g, n, 0, xf_window_out_h(&v), xf_window_out_w(&v), &images) ||
      !check_weights(g, n, 1, ci) || !check(g, n, ci, COLS(0).n))
    return false;
  if (!xf_dim_equal(COLS(0), COLS(1)))
    return xf_shape_fail(g, n, "dy and the weights must have the same channels out");
  return xf_window_set(g, n, images, v.h, v.w, XF_DIM(ci));
}

static bool shape_conv_dw(struct xf_graph *g, struct xf_node *n) {
  const struct xf_window v = xf_window_load(&n->attr);
  struct xf_dim images, results;
  if (!xf_shape_check_ids(g, n, -1) || !xf_window_check(g, n) ||
      !xf_window_images(g, n, 0, v.h, v.w, &images) ||
      !xf_window_images(g, n, 1, xf_window_out_h(&v), xf_window_out_w(&v), &results) ||
      !check(g, n, COLS(0).n, COLS(1).n))
    return false;
  if (!xf_dim_equal(images, results))
    return xf_shape_fail(g, n, "x and dy must be of the same number of images");
  return xf_shape_set(n, XF_DIM(v.kh * v.kw * COLS(0).n), COLS(1));
}

/* Channels in and out of each of the three. */
static struct xf_conv_shape shape_at(const struct xf_graph *g, const struct xf_node *n,
                                     uint32_t images) {
  const struct xf_window v = xf_window_load(&n->attr);
  if (n->op == XF_OP_CONV_DX) return shape_of(&v, images, n->cols.n, COLS(0).n);
  return shape_of(&v, images, COLS(0).n, COLS(1).n);
}

static uint64_t scratch(const struct xf_graph *g, const struct xf_node *n) {
  const struct xf_conv_shape s = shape_at(g, n, 1);
  return xf_conv_scratch(&s);
}

/* --- derivatives */

VJP(conv) {
  NODE;
  const struct xf_window v = xf_window_load(&n->attr);
  gin[0] = xf_op_conv_dx(g, gout[0], n->in[1], &v);
  gin[1] = xf_op_conv_dw(g, n->in[0], gout[0], &v);
  if (n->n_in == 3) gin[2] = xf_op_sum_rows(g, gout[0]);
}

VJP(conv_dx) {
  NODE;
  const struct xf_window v = xf_window_load(&n->attr);
  gin[0] = xf_op_conv(g, gout[0], n->in[1], XF_NO_NODE, &v);
  gin[1] = xf_op_conv_dw(g, gout[0], n->in[0], &v);
}

VJP(conv_dw) {
  NODE;
  const struct xf_window v = xf_window_load(&n->attr);
  gin[0] = xf_op_conv_dx(g, n->in[1], gout[0], &v);
  gin[1] = xf_op_conv(g, n->in[0], gout[0], XF_NO_NODE, &v);
}

/* --- builders */

int xf_op_conv(struct xf_graph *g, int x, int w, int bias, const struct xf_window *window) {
  struct xf_node n = {.op = XF_OP_CONV, .n_in = 2, .in = {x, w}, .attr = xf_window_store(window)};
  if (bias != XF_NO_NODE) n.in[n.n_in++] = xf_op_as_row(g, bias);
  return xf_graph_add(g, n);
}

int xf_op_conv_dx(struct xf_graph *g, int dy, int w, const struct xf_window *window) {
  return xf_op_add2(g, XF_OP_CONV_DX, dy, w, xf_window_store(window));
}

int xf_op_conv_dw(struct xf_graph *g, int x, int dy, const struct xf_window *window) {
  return xf_op_add2(g, XF_OP_CONV_DW, x, dy, xf_window_store(window));
}

/* --- the table */

#define XF_SELF "nn/op_conv.c"
#include "nn/op_both.inc"

XF_OP(CONV, .name = "conv", .min_in = 2, .max_in = 3, .shape = shape_conv, .scratch = scratch,
      .vjp = vjp_conv, XF_KERNEL(conv));
XF_OP(CONV_DX, .name = "conv_dx", .min_in = 2, .max_in = 2, .shape = shape_conv_dx,
      .scratch = scratch, .vjp = vjp_conv_dx, XF_KERNEL(conv_dx));
XF_OP(CONV_DW, .name = "conv_dw", .min_in = 2, .max_in = 2, .shape = shape_conv_dw,
      .scratch = scratch, .vjp = vjp_conv_dw, XF_KERNEL(conv_dw));

#else /* kernels: float, then double */

static void RUN(conv)(const struct xf_kargs *a) {
  const struct xf_window v = xf_window_load(a->attr);
  const struct xf_conv_shape s = shape_of(&v, (uint32_t)(a->in_R[0] / ((size_t)v.h * v.w)),
                                          (uint32_t)a->in_C[0], (uint32_t)a->C);
  TABLE(a)->conv_fwd(OUT(a), IN(a, 0), IN(a, 1), a->n_in == 3 ? IN(a, 2) : NULL,
                     (xf_real *)a->scratch, &s);
}

static void RUN(conv_dx)(const struct xf_kargs *a) {
  const struct xf_window v = xf_window_load(a->attr);
  const struct xf_conv_shape s =
      shape_of(&v, (uint32_t)(a->R / ((size_t)v.h * v.w)), (uint32_t)a->C, (uint32_t)a->in_C[0]);
  TABLE(a)->conv_dx(OUT(a), IN(a, 0), IN(a, 1), (xf_real *)a->scratch, &s);
}

static void RUN(conv_dw)(const struct xf_kargs *a) {
  const struct xf_window v = xf_window_load(a->attr);
  const struct xf_conv_shape s = shape_of(&v, (uint32_t)(a->in_R[0] / ((size_t)v.h * v.w)),
                                          (uint32_t)a->in_C[0], (uint32_t)a->C);
  TABLE(a)->conv_dw(OUT(a), IN(a, 0), IN(a, 1), (xf_real *)a->scratch, &s);
}

#endif
