/* Chooses the kernel table for the CPU it runs on. */
#include "tensor/fast.h"

#ifdef __x86_64__
static bool has_avx2(void) { return xf_fast_avx2.add && __builtin_cpu_supports("avx2"); }
#else
static bool has_avx2(void) { return false; }
#endif

const struct xf_kern *xf_kern_get(void) { return has_avx2() ? &xf_fast_avx2 : &xf_fast_base; }

const struct xf_kern *xf_kern_next(size_t i) {
  if (i == 0) return &xf_fast_base;
  return i == 1 && has_avx2() ? &xf_fast_avx2 : NULL;
}
