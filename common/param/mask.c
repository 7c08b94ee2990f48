#include "param/mask.h"

void xf_mask_init(struct xf_mask *mask, uint64_t key, uint64_t block, uint32_t n, uint32_t take) {
  *mask = (struct xf_mask){.left = n, .take = take};
  xf_rng_init(&mask->rng, key, block);
}

bool xf_mask_next(struct xf_mask *mask) {
  const bool taken = xf_rng_below(&mask->rng, mask->left--) < mask->take;
  mask->take -= taken;
  return taken;
}
