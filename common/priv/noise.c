#include "priv/noise.h"

static void fill(void *arg, uint64_t *out, size_t n) {
  for (size_t i = 0; i < n; i++) out[i] = xf_noise_rng_u64(arg);
}

struct xf_dgauss_source xf_noise_source(struct xf_noise_rng *rng) {
  return (struct xf_dgauss_source){fill, rng};
}

enum xf_rc xf_noise_fill(int32_t *out, size_t n, const struct xf_grid *grid,
                         struct xf_noise_rng *rng) {
  struct xf_dgauss dgauss;
  const enum xf_rc rc = xf_dgauss_init(&dgauss, grid->a, grid->b, xf_noise_source(rng));
  if (rc) return rc;
  xf_dgauss_fill(&dgauss, out, n);
  xf_dgauss_deinit(&dgauss);
  return XF_OK;
}
