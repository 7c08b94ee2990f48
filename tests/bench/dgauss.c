// Exact discrete Gaussian samples a second on one thread, bits from the ChaCha20 generator; beside it the bits alone (one
// word a sample) and a vector of 1 M coordinates through the whole grid. Prints one JSON line per case.
// modules: priv base
#include "base/alloc.h"
#include "base/time.h"
#include "crypto/init.h"
#include "priv/noise.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

enum { N = 1000000, REPEATS = 7 };

static int ascending(const void *a, const void *b) {
  const double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static double since(struct xf_time t) { return xf_time_diff_s(xf_time_now(), t); }

int main(void) {
  if (xf_crypto_start()) return 1;
  int32_t *noise = xf_alloc(N * sizeof *noise);
  float *x = xf_calloc(N, sizeof *x);
  const double z[3] = {1e-4, 1, 1.1};
  for (int c = 0; c < 3; c++) {
    struct xf_grid grid;
    if (xf_grid_init(&grid, 1, z[c], NULL)) return 1;
    double sample[REPEATS], bits[REPEATS], step[REPEATS];
    for (int r = 0; r < REPEATS; r++) {
      struct xf_noise_rng rng;
      xf_noise_rng_init(&rng);
      struct xf_time t = xf_time_now();
      uint64_t sum = 0;
      for (int i = 0; i < N; i++) sum += xf_noise_rng_u64(&rng);
      bits[r] = since(t) + (sum == 1 ? 1 : 0);
      t = xf_time_now();
      if (xf_noise_fill(noise, N, &grid, &rng)) return 1;
      sample[r] = since(t);
      for (int i = 0; i < N; i++) x[i] = (float)(i % 100) * 1e-5f;
      struct xf_grid_report report;
      t = xf_time_now();
      if (xf_grid_step(x, noise, N, &grid, &report)) return 1;
      step[r] = since(t);
      xf_noise_rng_deinit(&rng);
    }
    qsort(sample, REPEATS, sizeof *sample, ascending);
    qsort(bits, REPEATS, sizeof *bits, ascending);
    qsort(step, REPEATS, sizeof *step, ascending);
    printf("{\"v\":1,\"bench\":\"dgauss\",\"case\":\"z=%g\",\"sigma2\":\"%u/"
           "%u\",\"samples_s\":%.3g,\"goal\":6e6,"
           "\"floor\":3e6,\"words_s\":%.3g,\"grid_coordinates_s\":%.3g}\n",
           z[c], grid.a, grid.b, N / sample[REPEATS / 2], N / bits[REPEATS / 2],
           N / step[REPEATS / 2]);
  }
  xf_free(noise);
  xf_free(x);
  return 0;
}
