#include "priv/unitsum.h"

#include "base/alloc.h"

#include <math.h>
#include <string.h>

enum xf_rc xf_unitsum_init(struct xf_unitsum *u, size_t n, double clip, double noise_multiplier,
                           double rate, struct xf_diag *diag) {
  *u = (struct xf_unitsum){.n = n, .always = rate == 1};
  if (!(rate > 0 && rate <= 1))
    return xf_diag_set(diag, XF_E_RANGE, "sampling rate %g; it must lie in (0, 1]", rate);
  /* rounded down: a unit never takes part more often than is charged */
  u->below = u->always ? UINT64_MAX : (uint64_t)ldexp(rate, 64);
  const enum xf_rc rc = noise_multiplier > 0 ? xf_grid_init(&u->grid, clip, noise_multiplier, diag)
                                             : xf_grid_init_clip(&u->grid, clip, diag);
  if (rc) return rc;
  u->sum = xf_try_calloc(n + 1, sizeof *u->sum);
  if (noise_multiplier > 0) u->noise = xf_try_calloc(n + 1, sizeof *u->noise);
  if (!u->sum || (noise_multiplier > 0 && !u->noise))
    return xf_diag_set(diag, XF_E_NOMEM, "no memory for sums of %zu integers", n);
  return XF_OK;
}

void xf_unitsum_deinit(struct xf_unitsum *u) {
  if (u->sum) memset(u->sum, 0, u->n * sizeof *u->sum);
  if (u->noise) memset(u->noise, 0, u->n * sizeof *u->noise);
  xf_free(u->sum);
  xf_free(u->noise);
  *u = (struct xf_unitsum){0};
}

enum xf_rc xf_unitsum_start(struct xf_unitsum *u, struct xf_noise_rng *rng) {
  memset(u->sum, 0, u->n * sizeof *u->sum);
  if (!u->noise) return XF_OK;
  const enum xf_rc rc = xf_noise_fill(u->noise, u->n, &u->grid, rng);
  for (size_t i = 0; i < u->n && !rc; i++) u->sum[i] = u->noise[i];
  return rc;
}

bool xf_unitsum_takes(const struct xf_unitsum *u, uint64_t bits) {
  return u->always || bits < u->below;
}

enum xf_rc xf_unitsum_add(struct xf_unitsum *u, const float *x) {
  struct xf_grid_report report;
  const enum xf_rc rc = xf_grid_add(u->sum, x, u->n, &u->grid, &report);
  u->n_lost += rc == XF_E_NAN;
  if (rc) return rc == XF_E_NAN ? XF_OK : rc;
  u->n_added++;
  u->n_clipped += report.n_clipped;
  return XF_OK;
}

void xf_unitsum_get(const struct xf_unitsum *u, float *out, double divisor) {
  const double back = ldexp(1, -u->grid.f) / divisor;
  for (size_t i = 0; i < u->n; i++) out[i] = (float)((double)u->sum[i] * back);
}
