/*
 * clip.h - L2 clipping of an update: as a whole, and row by row.
 *
 * In plain mode this is all that bounds a silo's influence. In private mode rows are clipped here and the
 * whole update in grid.h, whose bound holds exactly (float rounding can leave this one an ulp above C).
 * Thread: any. Owner: the caller's arrays.
 * @source H. B. McMahan et al. 2018, arXiv 1710.06963, section 2 (flat clipping)
 */
#ifndef XF_PRIV_CLIP_H
#define XF_PRIV_CLIP_H

#include "base/rc.h"

#include <stdbool.h>
#include <stddef.h>

struct xf_clip_report {
  double norm;      /* before, of the largest row for rows */
  size_t n_clipped; /* vectors that were longer than the bound */
};

/* x *= min(1, clip / |x|); clip 0 or infinite leaves x and still reports the norm.
   @shape x[n] @err E_NAN (x untouched) E_RANGE (clip negative or NaN) */
XF_WARN_UNUSED enum xf_rc xf_clip_step(float *x, size_t n, double clip,
                                       struct xf_clip_report *report);
/* The same for each of n_rows rows. @shape x[n_rows][cols] @err as xf_clip_step */
XF_WARN_UNUSED enum xf_rc xf_clip_rows(float *x, size_t n_rows, size_t cols, double clip,
                                       struct xf_clip_report *report);

#endif
