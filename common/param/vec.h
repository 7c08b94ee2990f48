/*
 * vec.h - plain loops over flat vectors that every layer needs: delta, finite check, norms, and
 * little-endian float32 bytes. (The host is little-endian; a static assertion says so.)
 * Not for hot training kernels: those are `tensor`'s. Thread: any. Owner: caller's arrays.
 */
#ifndef XF_PARAM_VEC_H
#define XF_PARAM_VEC_H

#include "base/rc.h"

#include <stddef.h>
#include <stdint.h>

/* delta = after - before. @shape [n] each */
void xf_vec_delta(float *delta, const float *after, const float *before, size_t n);
/* Sum of squares in double, in index order. @shape x[n] */
double xf_vec_norm2(const float *x, size_t n);
/* First index that is NaN or infinite, or SIZE_MAX. @shape x[n] */
size_t xf_vec_find_nonfinite(const float *x, size_t n);
/* x *= s. @shape x[n] */
void xf_vec_scale(float *x, float s, size_t n);

#endif
