/*
 * fast.h - between the files of tensor only: the fast tables and the one function that calls BLAS.
 * Not for other modules (kern.h). Thread: any. Owner: constant data.
 */
#ifndef XF_TENSOR_FAST_H
#define XF_TENSOR_FAST_H

#include "tensor/kern.h"

/* The same source (fast_body.inc) compiled for three instruction sets. @own static */
extern const struct xf_kern xf_fast_base;
extern const struct xf_kern xf_fast_avx2;
extern const struct xf_kern xf_fast_avx512;
/* kern_table.inc's gemm on BLAS. @shape see struct xf_gemm */
void xf_fast_gemm(float *c, const float *a, const float *b, const struct xf_gemm *s);

#endif
