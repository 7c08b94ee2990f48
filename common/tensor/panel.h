/*
 * panel.h - a weight matrix in panels, and the shape of the products with it. The kernels are members of the table
 * (kern.h): to_panels, from_panels, panel_fwd, panel_dx, panel_dw, panel_sgd, lit.
 *
 * A matrix [K x N] in panels is, one panel of `panel` columns after the other (the last: of those that are left), K rows of that
 * panel: a permutation, in as much memory. The width is the table's, so panels never leave the process.
 * Not for: batches of more than some 64 rows, where BLAS is as good. Thread: any. Owner: plain values.
 */
#ifndef XF_TENSOR_PANEL_H
#define XF_TENSOR_PANEL_H

#include <stddef.h>
#include <stdint.h>

/* Columns from .. to-1 of the left operand. */
struct xf_span {
  uint32_t from, to;
};

enum { XF_SPAN_MAX = 64 };

/* Left operand [B x K], weights [K x N]. What lies outside the spans is zero in every row of the left operand and
   left out, which changes no sum; span NULL: all of it. */
struct xf_panel_shape {
  size_t B, K, N;
  const struct xf_span *span; /* [n_span] ascending, apart */
  size_t n_span;
};

/* Numbers of scratch that panel_dx may write. @unit numbers */
static inline size_t xf_panel_scratch(size_t B, size_t N) { return (B + 64) * (N + 1) + 1024; }

#endif
