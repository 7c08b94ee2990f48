/*
 * grid.h - how a private update leaves a silo: clipped, on an integer grid, with integer noise.
 *
 *   clip -> scale by 2^f -> round toward zero -> add integer noise -> float32 q 2^-f
 *
 * Rounding toward zero never lengthens, so the integer vector's norm is at most C 2^f by construction: that
 * is the sensitivity, with no retries and no appeal to floating point. f is the largest integer with
 * z C 2^f <= 2^15 and C 2^f <= 2^23, so integers are exact in float32 and fit the exact sampler. The
 * variance is a rational a/b, rounded up; what the odometer charges is z_used, from a/b.
 *
 * Not for: drawing the noise (dgauss.h). Draw a whole vector's noise before looking at data: the time a draw
 * takes must not tell anything about them.
 * Thread: any. Owner: the caller's arrays.
 * @source I. Mironov 2012, "On significance of the least significant bits"; C. Canonne, G. Kamath,
 * T. Steinke 2020, arXiv 2004.00010, theorem 4
 */
#ifndef XF_PRIV_GRID_H
#define XF_PRIV_GRID_H

#include "base/diag.h"

#include <stddef.h>
#include <stdint.h>

enum { XF_GRID_SATURATE = 1 << 24 };

struct xf_grid {
  double clip;   /* C */
  double z;      /* noise multiplier asked for */
  double z_used; /* sqrt(a/b) / (C 2^f), at least z: what is charged */
  int f;
  uint32_t a, b; /* variance of the integer noise, both below 2^31 */
};

struct xf_grid_report {
  double norm;          /* before clipping */
  uint64_t n_clipped;   /* 0 or 1 */
  uint64_t n_saturated; /* integers beyond 2^24 after the noise, set to it */
};

/* f, a, b for a clipping norm in [2^-80, 2^80] and a noise multiplier in [1e-6, 1e6].
   @own caller @err E_RANGE */
XF_WARN_UNUSED enum xf_rc xf_grid_init(struct xf_grid *grid, double clip, double noise_multiplier,
                                       struct xf_diag *diag);
/* The same for vectors whose entries may reach `largest` (> 0): f is also small enough that they stay within 2^24 steps.
   @err E_RANGE (also: the noise would be under 64 steps) */
XF_WARN_UNUSED enum xf_rc xf_grid_init_range(struct xf_grid *grid, double clip,
                                             double noise_multiplier, double largest,
                                             struct xf_diag *diag);
/* The same without noise (z, z_used and the variance 0): as fine as 2^23 steps for the clip allow. @err E_RANGE */
XF_WARN_UNUSED enum xf_rc xf_grid_init_clip(struct xf_grid *grid, double clip,
                                            struct xf_diag *diag);
/* sum += x, clipped, scaled and rounded toward zero: what one of many adds, at most C 2^f long. n_saturated stays 0.
   @shape x[n], sum[n] @err as xf_grid_step, and sum is then as before (E_NAN) or to be thrown away (E_STATE) */
XF_WARN_UNUSED enum xf_rc xf_grid_add(int64_t *sum, const float *x, size_t n,
                                      const struct xf_grid *grid, struct xf_grid_report *report);
/* x <- its private form, with the noise drawn before (xf_dgauss_fill with a, b).
   @shape x[n], noise[n] @err E_NAN (x untouched); E_STATE (the sensitivity bound failed: a defect; x is
   then all zeros) */
XF_WARN_UNUSED enum xf_rc xf_grid_step(float *x, const int32_t *noise, size_t n,
                                       const struct xf_grid *grid, struct xf_grid_report *report);

#endif
