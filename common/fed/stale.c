#include "fed/stale.h"

#include <math.h>

double xf_stale_get(const struct xf_stale *stale, uint64_t tau) {
  const double t = (double)tau;
  switch (stale->kind) {
  case XF_STALE_CONSTANT: break;
  case XF_STALE_INVERSE_SQRT: return 1 / sqrt(1 + t);
  case XF_STALE_INVERSE: return 1 / (1 + t);
  case XF_STALE_POLYNOMIAL: return pow(1 + t, -stale->a);
  case XF_STALE_HINGE: return t <= stale->b ? 1 : 1 / (stale->a * (t - stale->b) + 1);
  case XF_STALE_ADASGD: {
    const double half = stale->threshold / 2;
    return exp(-log(half + 1) / half * t);
  }
  }
  return 1;
}

uint32_t xf_stale_weight(const struct xf_stale *stale, uint64_t tau) {
  const double w = nearbyint(xf_stale_get(stale, tau) * XF_STALE_ONE);
  return w < 1 ? 1 : (uint32_t)w;
}
