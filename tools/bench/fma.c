/* A probe: floating-point operations a second of one thread, in as many independent chains of multiply-adds as hide their
   latency, with the instructions that our kernels use on this CPU. */
#include "tools/bench/bench.h"

#include <string.h>

enum { CHAINS = 12, ROUNDS = 20000 };

/* x = x a + b converges, so that nothing overflows; the results are used so that nothing is left out. */
#define A .999f
#define B .001f

#ifdef __x86_64__
#include <immintrin.h>

/* ASan of gcc 12 lays x out on 32 bytes, and the loads want 64: no redzones here. */
__attribute__((target("avx512f"), no_sanitize("address"))) static float chains_avx512(void) {
  const __m512 a = _mm512_set1_ps(A), b = _mm512_set1_ps(B);
  __m512 x[CHAINS];
  for (int c = 0; c < CHAINS; c++) x[c] = _mm512_set1_ps((float)c);
  for (int r = 0; r < ROUNDS; r++) {
#pragma GCC unroll 12
    for (int c = 0; c < CHAINS; c++) x[c] = _mm512_fmadd_ps(x[c], a, b);
  }
  for (int c = 1; c < CHAINS; c++) x[0] = _mm512_add_ps(x[0], x[c]);
  return _mm512_cvtss_f32(x[0]);
}

__attribute__((target("avx2,fma"))) static float chains_avx2(void) {
  const __m256 a = _mm256_set1_ps(A), b = _mm256_set1_ps(B);
  __m256 x[CHAINS];
  for (int c = 0; c < CHAINS; c++) x[c] = _mm256_set1_ps((float)c);
  for (int r = 0; r < ROUNDS; r++) {
#pragma GCC unroll 12
    for (int c = 0; c < CHAINS; c++) x[c] = _mm256_fmadd_ps(x[c], a, b);
  }
  for (int c = 1; c < CHAINS; c++) x[0] = _mm256_add_ps(x[0], x[c]);
  return _mm256_cvtss_f32(x[0]);
}
#endif

typedef float four __attribute__((vector_size(16)));
static float chains_base(void) {
  const four a = {A, A, A, A}, b = {B, B, B, B};
  four x[CHAINS];
  for (int c = 0; c < CHAINS; c++) x[c] = (four){(float)c, 1, 2, 3};
  for (int r = 0; r < ROUNDS; r++) {
#pragma GCC unroll 12
    for (int c = 0; c < CHAINS; c++) x[c] = x[c] * a + b;
  }
  for (int c = 1; c < CHAINS; c++) x[0] += x[c];
  return x[0][0];
}

double bench_fma(const char *isa, double seconds) {
  float (*chains)(void) = chains_base;
  double width = 4, n = 0, spent = 0;
#ifdef __x86_64__
  if (strcmp(isa, "avx512") == 0) {
    chains = chains_avx512;
    width = 16;
  } else if (strcmp(isa, "avx2") == 0) {
    chains = chains_avx2;
    width = 8;
  }
#endif
  volatile float used = 0;
  const double t = xf_time_cpu_s();
  do {
    used = used + chains();
    n++;
    spent = xf_time_cpu_s() - t;
  } while (spent < seconds);
  return 2 * n * ROUNDS * CHAINS * width / spent;
}
