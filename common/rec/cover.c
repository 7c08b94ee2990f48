#include "rec/cover.h"

#include "base/alloc.h"

#include <math.h>

/* Categories of an item that no pick has; items beyond the rows have none. */
static uint32_t fresh(const struct xf_csr *of, const uint8_t *shown, uint32_t item) {
  uint32_t n = 0;
  if (item >= of->n_row) return 0;
  for (uint32_t e = of->start[item]; e < of->start[item + 1]; e++) n += !shown[of->item[e]];
  return n;
}

static void show(const struct xf_csr *of, uint8_t *shown, uint32_t item) {
  if (item >= of->n_row) return;
  for (uint32_t e = of->start[item]; e < of->start[item + 1]; e++) shown[of->item[e]] = 1;
}

enum xf_rc xf_cover(uint32_t *pick, const struct xf_slate *slate, uint32_t k, double bonus,
                    const struct xf_categories *categories) {
  uint8_t *shown = xf_try_calloc((size_t)categories->n + 1, 1);
  uint8_t *taken = xf_try_calloc((size_t)slate->n + 1, 1);
  const bool ok = shown && taken;
  for (uint32_t t = 0; ok && t < k && t < slate->n; t++) {
    double most = -(double)INFINITY;
    uint32_t at = slate->n;
    for (uint32_t i = 0; i < slate->n; i++) {
      if (taken[i]) continue;
      const double v = slate->rel[i] + bonus * fresh(&categories->of, shown, slate->item[i]);
      if (at < slate->n && !(v > most)) continue;
      most = v;
      at = i;
    }
    taken[at] = 1;
    pick[t] = at;
    show(&categories->of, shown, slate->item[at]);
  }
  xf_free(shown);
  xf_free(taken);
  return ok ? XF_OK : XF_E_NOMEM;
}
