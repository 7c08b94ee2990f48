/* The fast kernels for CPUs with AVX2 and FMA; the build adds -mavx2 -mfma to this file. */
#include "tensor/fast.h"

#if defined(__AVX2__) && defined(__FMA__)
#define XF_ISA "avx2"
#define xf_fast_table xf_fast_avx2
#include "tensor/fast_body.inc"
#else
const struct xf_kern xf_fast_avx2 = {.isa = "avx2 (not built)"};
#endif
