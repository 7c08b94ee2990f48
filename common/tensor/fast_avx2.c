/* The fast kernels for CPUs with AVX2; the build adds -mavx2 to this file. */
#include "tensor/fast.h"

#ifdef __AVX2__
#define XF_ISA "avx2"
#define xf_fast_table xf_fast_avx2
#include "tensor/fast_body.inc"
#else
const struct xf_kern xf_fast_avx2 = {.isa = "avx2 (not built)"};
#endif
