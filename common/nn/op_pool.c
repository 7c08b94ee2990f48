/* Pooling: the largest of a window with where it was, the mean of a window, and the duals of both. */
#ifndef RUN
#include "nn/window.h"

/* Which pixels of the image a window at o covers along one axis: from .. to - 1. */
struct span {
  size_t from, to;
};
static struct span span_of(size_t o, uint32_t stride, uint32_t kernel, uint32_t pad,
                           uint32_t extent) {
  const size_t begin = o * stride, end = begin + kernel;
  return (struct span){begin > pad ? begin - pad : 0, end - pad < extent ? end - pad : extent};
}

static struct xf_dim pixels_of_image(const struct xf_graph *g, const struct xf_node *n) {
  (void)g;
  const struct xf_window v = xf_window_load(&n->attr);
  return XF_DIM(v.h * v.w);
}

/* From images to images of results. */
static bool shape_pool(struct xf_graph *g, struct xf_node *n) {
  const struct xf_window v = xf_window_load(&n->attr);
  struct xf_dim images;
  if (g->node[n->in[0]].ints) return xf_shape_fail(g, n, "cannot compute with ids");
  if (!xf_window_check(g, n) || !xf_window_images(g, n, 0, v.h, v.w, &images)) return false;
  return xf_window_set(g, n, images, xf_window_out_h(&v), xf_window_out_w(&v), COLS(0));
}

/* And back. */
static bool shape_spread(struct xf_graph *g, struct xf_node *n) {
  const struct xf_window v = xf_window_load(&n->attr);
  struct xf_dim images;
  if (g->node[n->in[0]].ints) return xf_shape_fail(g, n, "cannot compute with ids");
  if (!xf_window_check(g, n) ||
      !xf_window_images(g, n, 0, xf_window_out_h(&v), xf_window_out_w(&v), &images))
    return false;
  return xf_window_set(g, n, images, v.h, v.w, COLS(0));
}

static bool shape_pool_gather(struct xf_graph *g, struct xf_node *n) {
  if (!xf_shape_check_ids(g, n, 1) || !shape_pool(g, n)) return false;
  if (xf_dim_equal(n->rows, ROWS(1)) && xf_dim_equal(n->cols, COLS(1))) return true;
  return xf_shape_fail(g, n, "needs one place per window and channel");
}

static bool shape_pool_scatter(struct xf_graph *g, struct xf_node *n) {
  if (!xf_shape_check_ids(g, n, 1)) return false;
  if (!xf_dim_equal(ROWS(0), ROWS(1)) || !xf_dim_equal(COLS(0), COLS(1)))
    return xf_shape_fail(g, n, "needs one place per number");
  return shape_spread(g, n);
}

static bool proj_max_pool(struct xf_graph *g, const struct xf_node *src, struct xf_node *proj) {
  (void)g;
  proj->ints = true;
  return xf_shape_set(proj, src->rows, src->cols);
}

/* --- derivatives */

VJP(max_pool) {
  const struct xf_window v = xf_window_load(&g->node[y].attr);
  gin[0] = xf_op_pool_scatter(g, gout[0], y + 1, &v);
}

VJP(pool_gather) {
  NODE;
  const struct xf_window v = xf_window_load(&n->attr);
  gin[0] = xf_op_pool_scatter(g, gout[0], n->in[1], &v);
}

VJP(pool_scatter) {
  NODE;
  const struct xf_window v = xf_window_load(&n->attr);
  gin[0] = xf_op_pool_gather(g, gout[0], n->in[1], &v);
}

VJP(avg_pool) {
  const struct xf_window v = xf_window_load(&g->node[y].attr);
  gin[0] = xf_op_avg_spread(g, gout[0], &v);
}

VJP(avg_spread) {
  const struct xf_window v = xf_window_load(&g->node[y].attr);
  gin[0] = xf_op_avg_pool(g, gout[0], &v);
}

/* --- builders */

int xf_op_max_pool(struct xf_graph *g, int x, const struct xf_window *window, int *where) {
  const int y = xf_graph_add_outputs(
      g, (struct xf_node){
             .op = XF_OP_MAX_POOL, .n_in = 1, .in = {x}, .attr = xf_window_store(window)});
  if (where) *where = y == XF_NO_NODE ? XF_NO_NODE : y + 1;
  return y;
}

int xf_op_pool_gather(struct xf_graph *g, int x, int where, const struct xf_window *window) {
  return xf_op_add2(g, XF_OP_POOL_GATHER, x, where, xf_window_store(window));
}

int xf_op_pool_scatter(struct xf_graph *g, int y, int where, const struct xf_window *window) {
  return xf_op_add2(g, XF_OP_POOL_SCATTER, y, where, xf_window_store(window));
}

int xf_op_avg_pool(struct xf_graph *g, int x, const struct xf_window *window) {
  return xf_op_add1(g, XF_OP_AVG_POOL, x, xf_window_store(window));
}

int xf_op_avg_spread(struct xf_graph *g, int y, const struct xf_window *window) {
  return xf_op_add1(g, XF_OP_AVG_SPREAD, y, xf_window_store(window));
}

int xf_op_flatten(struct xf_graph *g, int x, uint32_t h, uint32_t w) {
  if (x == XF_NO_NODE) return XF_NO_NODE;
  const struct xf_dim rows = g->node[x].rows, cols = g->node[x].cols;
  if (h == 0 || w == 0 || rows.n % ((uint64_t)h * w) != 0 || cols.sym != XF_SYM_ONE) {
    char text[XF_NODE_TEXT];
    (void)xf_graph_fail(g, XF_E_SHAPE, "flatten(%s): needs whole images of %u x %u pixels",
                        xf_graph_describe(g, x, text), h, w);
    return XF_NO_NODE;
  }
  return xf_op_reshape(g, x, (struct xf_dim){rows.n / (h * w), rows.sym}, XF_DIM(h * w * cols.n));
}

/* --- the table */

#define XF_SELF "nn/op_pool.c"
#include "nn/op_both.inc"

/* the largest, and where it was (int32) */
XF_OP(MAX_POOL, .name = "max_pool", .min_in = 1, .max_in = 1, .n_out = 2, .shape = shape_pool,
      .proj = proj_max_pool, .vjp = vjp_max_pool, XF_KERNEL(max_pool));
XF_OP(POOL_GATHER, .name = "pool_gather", .min_in = 2, .max_in = 2, .ids_in = 2,
      .ids_below = pixels_of_image, .shape = shape_pool_gather, .vjp = vjp_pool_gather,
      XF_KERNEL(pool_gather));
XF_OP(POOL_SCATTER, .name = "pool_scatter", .min_in = 2, .max_in = 2, .ids_in = 2,
      .ids_below = pixels_of_image, .shape = shape_pool_scatter, .vjp = vjp_pool_scatter,
      XF_KERNEL(pool_scatter));
XF_OP(AVG_POOL, .name = "avg_pool", .min_in = 1, .max_in = 1, .shape = shape_pool,
      .vjp = vjp_avg_pool, XF_KERNEL(avg_pool));
XF_OP(AVG_SPREAD, .name = "avg_spread", .min_in = 1, .max_in = 1, .shape = shape_spread,
      .vjp = vjp_avg_spread, XF_KERNEL(avg_spread));

#else /* kernels: float, then double */

/* One window of one image: pixel by pixel, all channels. */
static void RUN(max_window)(xf_real *y, int32_t *where, const xf_real *image, struct span r,
                            struct span c, size_t w, size_t C) {
  const size_t first = r.from * w + c.from;
  for (size_t k = 0; k < C; k++) {
    y[k] = image[first * C + k];
    where[k] = (int32_t)first;
  }
  for (size_t i = r.from; i < r.to; i++)
    for (size_t j = c.from; j < c.to; j++) {
      const xf_real *x = image + (i * w + j) * C;
      const int32_t at = (int32_t)(i * w + j);
      for (size_t k = 0; k < C; k++) { /* a NaN is found and kept */
        const bool up = x[k] > y[k] || x[k] != x[k];
        y[k] = up ? x[k] : y[k];
        where[k] = up ? at : where[k];
      }
    }
}

static void RUN(max_pool)(const struct xf_kargs *a) {
  const struct xf_window v = xf_window_load(a->attr);
  const size_t oh = xf_window_out_h(&v), ow = xf_window_out_w(&v), hw = (size_t)v.h * v.w;
  int32_t *where = (int32_t *)a->out_k[1];
  for (size_t o = 0; o < a->R; o++) {
    const size_t image = o / (oh * ow), oy = o / ow % oh, ox = o % ow;
    RUN(max_window)
    (OUT(a) + o * a->C, where + o * a->C, IN(a, 0) + image * hw * a->C,
     span_of(oy, v.stride_h, v.kh, v.pad_h, v.h), span_of(ox, v.stride_w, v.kw, v.pad_w, v.w), v.w,
     a->C);
  }
}

static void RUN(pool_gather)(const struct xf_kargs *a) {
  const struct xf_window v = xf_window_load(a->attr);
  const size_t per = (size_t)xf_window_out_h(&v) * xf_window_out_w(&v), hw = (size_t)v.h * v.w;
  for (size_t o = 0; o < a->R; o++)
    for (size_t k = 0; k < a->C; k++) {
      const size_t at = o / per * hw + (size_t)IDS(a, 1)[o * a->C + k];
      OUT(a)[o * a->C + k] = IN(a, 0)[at * a->C + k];
    }
}

static void RUN(pool_scatter)(const struct xf_kargs *a) {
  const struct xf_window v = xf_window_load(a->attr);
  const size_t per = (size_t)xf_window_out_h(&v) * xf_window_out_w(&v), hw = (size_t)v.h * v.w;
  memset(a->out, 0, N(a) * sizeof(xf_real));
  for (size_t o = 0; o < a->in_R[0]; o++)
    for (size_t k = 0; k < a->C; k++) {
      const size_t at = o / per * hw + (size_t)IDS(a, 1)[o * a->C + k];
      OUT(a)[at * a->C + k] += IN(a, 0)[o * a->C + k];
    }
}

/* Adds scale x [C] to y [C]. */
static void RUN(add_scaled)(xf_real *y, const xf_real *x, xf_real scale, size_t C) {
  for (size_t k = 0; k < C; k++) y[k] += scale * x[k];
}

/* Every pair (pixel, window) once; `up` from pixels to windows, else back. */
static void RUN(average)(const struct xf_kargs *a, bool up) {
  const struct xf_window v = xf_window_load(a->attr);
  const size_t oh = xf_window_out_h(&v), ow = xf_window_out_w(&v), hw = (size_t)v.h * v.w;
  const size_t C = a->C;
  memset(a->out, 0, N(a) * sizeof(xf_real));
  for (size_t o = 0; o < (up ? a->R : a->in_R[0]); o++) {
    const size_t image = o / (oh * ow) * hw;
    const struct span r = span_of(o / ow % oh, v.stride_h, v.kh, v.pad_h, v.h),
                      c = span_of(o % ow, v.stride_w, v.kw, v.pad_w, v.w);
    const xf_real scale = 1 / (xf_real)((r.to - r.from) * (c.to - c.from));
    for (size_t i = r.from; i < r.to; i++)
      for (size_t j = c.from; j < c.to; j++) {
        const size_t at = (image + i * v.w + j) * C;
        if (up) RUN(add_scaled)(OUT(a) + o * C, IN(a, 0) + at, scale, C);
        else RUN(add_scaled)(OUT(a) + at, IN(a, 0) + o * C, scale, C);
      }
  }
}

static void RUN(avg_pool)(const struct xf_kargs *a) { RUN(average)(a, true); }
static void RUN(avg_spread)(const struct xf_kargs *a) { RUN(average)(a, false); }

#endif
