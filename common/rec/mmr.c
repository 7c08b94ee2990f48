#include "rec/mmr.h"

#include "base/alloc.h"

#include <math.h>

enum xf_rc xf_mmr(uint32_t *pick, double *value, const struct xf_slate *slate, uint32_t k,
                  double lambda) {
  const uint32_t n = slate->n;
  double *near = xf_try_calloc((size_t)n + 1, sizeof *near); /* largest similarity to a pick */
  uint8_t *taken = xf_try_calloc((size_t)n + 1, 1);
  const bool ok = near && taken;
  if (k > n) k = n;
  for (uint32_t t = 0; ok && t < k; t++) {
    double most = -(double)INFINITY;
    uint32_t at = n;
    for (uint32_t i = 0; i < n; i++) {
      const double v = lambda * slate->rel[i] - (1 - lambda) * near[i];
      if (taken[i] || (at < n && !(v > most))) continue;
      most = v;
      at = i;
    }
    taken[at] = 1;
    pick[t] = at;
    if (value) value[t] = most;
    for (uint32_t i = 0; i < n; i++) {
      if (taken[i]) continue;
      const double s = xf_itemsim_get(slate->sim, slate->item[at], slate->item[i]);
      near[i] = t == 0 ? s : fmax(near[i], s);
    }
  }
  xf_free(near);
  xf_free(taken);
  return ok ? XF_OK : XF_E_NOMEM;
}
