/* The fast kernels for CPUs with AVX-512 (F, BW, DQ, VL); the build adds the flags to this file. */
#include "tensor/fast.h"

#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512DQ__) && defined(__AVX512VL__)
#define XF_ISA "avx512"
#define xf_fast_table xf_fast_avx512
#include "tensor/fast_body.inc"
#else
const struct xf_kern xf_fast_avx512 = {.isa = "avx512 (not built)"};
#endif
