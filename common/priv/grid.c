#include "priv/grid.h"

#include "base/assert.h"
#include "param/vec.h"

#include <float.h>
#include <math.h>
#include <string.h>

/* Largest f with x 2^f <= 2^bits. */
static int largest_shift(double x, int bits) {
  int e = 0;
  const double m = frexp(x, &e); /* x = m 2^e, m in [.5, 1) */
  return bits - e + (m == 0.5);
}

static enum xf_rc check_clip(double clip, struct xf_diag *diag) {
  if (clip >= 0x1p-80 && clip <= 0x1p80) return XF_OK;
  return xf_diag_set(diag, XF_E_RANGE, "clipping norm %g; noise needs one from 1e-24 to 1e24",
                     clip);
}

/* largest 0: any. */
static enum xf_rc init(struct xf_grid *grid, double clip, double noise_multiplier, double largest,
                       struct xf_diag *diag) {
  const enum xf_rc rc = check_clip(clip, diag);
  if (rc) return rc;
  if (!(noise_multiplier >= 1e-6 && noise_multiplier <= 1e6))
    return xf_diag_set(diag, XF_E_RANGE, "noise multiplier %g; it must lie in [1e-6, 1e6]",
                       noise_multiplier);
  const int noise = largest_shift(noise_multiplier * clip, 15), signal = largest_shift(clip, 23);
  *grid =
      (struct xf_grid){.clip = clip, .z = noise_multiplier, .f = noise < signal ? noise : signal};
  if (largest > 0) {
    const int room = largest_shift(largest, 24);
    if (room < grid->f) grid->f = room;
    if (ldexp(noise_multiplier * clip, grid->f) < 64)
      return xf_diag_set(diag, XF_E_RANGE,
                         "entries up to %g beside noise of deviation %g do not fit one grid: raise "
                         "the noise, or state "
                         "a smaller largest entry",
                         largest, noise_multiplier * clip);
  }
  const double bound = ldexp(clip, grid->f), sigma = noise_multiplier * bound;
  /* up, past the rounding of the product */
  const double variance = sigma * sigma * (1 + 4 * DBL_EPSILON);
  double b = 0x1p30;
  while (ceil(variance * b) >= 0x1p31)
    b /= 2; /* variance <= 2^30 (1 + 4 eps) and 2^30 + 1 < 2^31 */
  grid->a = (uint32_t)ceil(variance * b);
  grid->b = (uint32_t)b;
  grid->z_used = sqrt((double)grid->a / (double)grid->b) / bound;
  return XF_OK;
}

enum xf_rc xf_grid_init_clip(struct xf_grid *grid, double clip, struct xf_diag *diag) {
  *grid = (struct xf_grid){.clip = clip, .b = 1};
  const enum xf_rc rc = check_clip(clip, diag);
  if (!rc) grid->f = largest_shift(clip, 23);
  return rc;
}

enum xf_rc xf_grid_init(struct xf_grid *grid, double clip, double noise_multiplier,
                        struct xf_diag *diag) {
  return init(grid, clip, noise_multiplier, 0, diag);
}

enum xf_rc xf_grid_init_range(struct xf_grid *grid, double clip, double noise_multiplier,
                              double largest, struct xf_diag *diag) {
  if (!(largest > 0 && largest <= 0x1p80))
    return xf_diag_set(diag, XF_E_RANGE, "largest entry %g; it must lie in (0, 1e24]", largest);
  return init(grid, clip, noise_multiplier, largest, diag);
}

/* The factor of the clipped and scaled vector. The computed norm may be off by n roundings: taken off here,
   so that the true norm of the result is at most C 2^f. */
static double factor_of(const struct xf_grid *grid, double norm, size_t n) {
  const double most = norm * (1 + ((double)n + 16) * DBL_EPSILON);
  return ldexp(most > grid->clip ? grid->clip / most : 1, grid->f);
}

/* Finite? Then its norm, and the factor that clips and scales it. */
static enum xf_rc measure(const float *x, size_t n, const struct xf_grid *grid,
                          struct xf_grid_report *report, double *factor) {
  *report = (struct xf_grid_report){0};
  if (xf_vec_find_nonfinite(x, n) != SIZE_MAX) return XF_E_NAN;
  report->norm = sqrt(xf_vec_norm2(x, n));
  report->n_clipped = report->norm > grid->clip;
  *factor = factor_of(grid, report->norm, n);
  return XF_OK;
}

/* norm2 is exact: the integers are below 2^24, their squares add up to 2^46 at most. */
static bool is_bounded(const struct xf_grid *grid, uint64_t norm2) {
  const double bound = ldexp(grid->clip, grid->f);
  return (double)norm2 <= bound * bound;
}

enum xf_rc xf_grid_add(int64_t *sum, const float *x, size_t n, const struct xf_grid *grid,
                       struct xf_grid_report *report) {
  double factor = 0;
  const enum xf_rc rc = measure(x, n, grid, report, &factor);
  if (rc) return rc;
  uint64_t norm2 = 0;
  for (size_t i = 0; i < n; i++) {
    const int32_t q = (int32_t)((double)x[i] * factor); /* toward zero */
    norm2 += (uint64_t)((int64_t)q * q);
    sum[i] += q;
  }
  return XF_EXPECT(is_bounded(grid, norm2)) ? XF_OK : XF_E_STATE;
}

enum xf_rc xf_grid_step(float *x, const int32_t *noise, size_t n, const struct xf_grid *grid,
                        struct xf_grid_report *report) {
  double factor = 0;
  const enum xf_rc rc = measure(x, n, grid, report, &factor);
  if (rc) return rc;
  const double back = ldexp(1, -grid->f);
  uint64_t norm2 = 0;
  for (size_t i = 0; i < n; i++) {
    const int32_t q = (int32_t)((double)x[i] * factor); /* toward zero */
    norm2 += (uint64_t)((int64_t)q * q);
    int64_t y = (int64_t)q + noise[i];
    const int64_t limit = XF_GRID_SATURATE;
    report->n_saturated += y > limit || y < -limit;
    y = y > limit ? limit : y < -limit ? -limit : y;
    x[i] = (float)((double)y * back);
  }
  if (XF_EXPECT(is_bounded(grid, norm2))) return XF_OK;
  memset(x, 0, n * sizeof *x);
  return XF_E_STATE;
}
