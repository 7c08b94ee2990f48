/* With AVX2 and FMA. Called only where the CPU has both (foldkern.c). */
#include "fed/foldkern.h"

#ifdef __AVX2__
#include <float.h>
#include <immintrin.h>
#include <string.h>

#define KERN_ADD add_avx2
#define KERN_FINISH finish_avx2
#define KERN_WIDTH 8
#define FMA(a, b, c) ((v4d)_mm256_fmadd_pd((__m256d)(a), (__m256d)(b), (__m256d)(c)))
#include "fed/foldkern_body.inc"

const struct xf_fold_kern xf_fold_kern_avx2 = {"avx2", add_avx2, finish_avx2};
#else
const struct xf_fold_kern xf_fold_kern_avx2 = {0};
#endif
