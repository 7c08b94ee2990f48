/* Chooses the kernel table for the CPU it runs on. */
#include "tensor/fast.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#ifdef __x86_64__
static bool has_avx2(void) {
  return xf_fast_avx2.add && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}
static bool has_avx512(void) {
  return xf_fast_avx512.add && has_avx2() && __builtin_cpu_supports("avx512f") &&
         __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512vl");
}
#else
static bool has_avx2(void) { return false; }
static bool has_avx512(void) { return false; }
#endif

const struct xf_kern *xf_kern_next(size_t i) {
  if (i == 0) return &xf_fast_base;
  if (i == 1 && has_avx2()) return &xf_fast_avx2;
  return i == 2 && has_avx512() ? &xf_fast_avx512 : NULL;
}

const struct xf_kern *xf_kern_find(const char *isa) {
  const struct xf_kern *k = NULL;
  for (size_t i = 0; (k = xf_kern_next(i)) != NULL; i++)
    if (strcmp(k->isa, isa) == 0) return k;
  return NULL;
}

static const struct xf_kern *choose(void) {
  const char *forced = getenv(XF_KERN_ENV);
  const struct xf_kern *k = forced ? xf_kern_find(forced) : NULL, *next = NULL;
  for (size_t i = 0; !k && (next = xf_kern_next(i)) != NULL; i++)
    if (!xf_kern_next(i + 1)) k = next;
  return k;
}

/* Asked once: what a process computes must not change while it runs. */
const struct xf_kern *xf_kern_get(void) {
  static _Atomic(const struct xf_kern *) chosen;
  const struct xf_kern *k = atomic_load_explicit(&chosen, memory_order_acquire);
  if (k) return k;
  k = choose();
  atomic_store_explicit(&chosen, k, memory_order_release);
  return k;
}
