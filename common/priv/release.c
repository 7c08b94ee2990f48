#include "priv/release.h"

#include "base/alloc.h"
#include "priv/gauss.h"

#include <math.h>
#include <string.h>

enum xf_rc xf_release_init(struct xf_release *release, const struct xf_release_spec *spec,
                           struct xf_diag *diag) {
  *release = (struct xf_release){0};
  const bool by_epsilon = spec->epsilon != 0;
  if (by_epsilon && !(spec->epsilon > 0 && spec->epsilon <= 1000))
    return xf_diag_set(diag, XF_E_RANGE, "epsilon is %g; it must lie in (0, 1000]", spec->epsilon);
  if (!(spec->delta > 0 && spec->delta < 1) && (by_epsilon || spec->delta != 0))
    return xf_diag_set(diag, XF_E_RANGE, "delta is %g; it must lie in (0, 1)", spec->delta);
  const double z = by_epsilon ? xf_gauss_sigma(spec->epsilon, spec->delta) : spec->noise_multiplier;
  enum xf_rc rc;
  if (spec->largest != 0)
    rc = xf_grid_init_range(&release->grid, spec->sensitivity, z, spec->largest, diag);
  else rc = xf_grid_init(&release->grid, spec->sensitivity, z, diag);
  if (rc) return xf_diag_prefix(diag, rc, "the release's noise");
  release->step = ldexp(1, -release->grid.f);
  release->sd = release->grid.z_used * spec->sensitivity;
  release->delta = spec->delta;
  release->epsilon =
      spec->delta > 0 ? xf_gauss_epsilon(release->grid.z_used, spec->delta) : (double)NAN;
  release->charge = (struct xf_odometer_charge){.noise_multiplier = release->grid.z_used, .n = 1};
  return XF_OK;
}

/* Held within 2^24 steps: before the noise this never lengthens a difference, after it nothing private is used. */
static double hold(double q, bool *held) {
  const double limit = XF_GRID_SATURATE;
  *held |= q > limit || q < -limit;
  return q > limit ? limit : q < -limit ? -limit : q;
}

enum xf_rc xf_release_step(float *x, size_t n, const struct xf_release *release,
                           struct xf_noise_rng *rng, struct xf_release_report *report,
                           struct xf_diag *diag) {
  const double scale = ldexp(1, release->grid.f);
  int32_t *noise = xf_try_calloc(n ? n : 1, sizeof *noise);
  enum xf_rc rc = noise ? xf_noise_fill(noise, n, &release->grid, rng) : XF_E_NOMEM;
  *report = (struct xf_release_report){0};
  if (rc) rc = xf_diag_set(diag, rc, "the noise of %zu entries: %s", n, xf_rc_text(rc));
  for (size_t i = 0; i < n && !rc; i++) {
    const double exact = (double)x[i] * scale;
    bool held = false;
    const double q = hold(exact, &held);
    if (!isfinite(exact)) {
      rc = xf_diag_set(diag, XF_E_NAN, "entry %zu of the statistic is not finite", i);
      break;
    }
    if (q != trunc(q)) {
      rc = xf_diag_set(diag, XF_E_INVAL,
                       "entry %zu of the statistic, %.9g, is no multiple of the step %g: its "
                       "sensitivity is unknown, so it cannot be released",
                       i, (double)x[i], release->step);
      break;
    }
    x[i] = (float)(hold(q + noise[i], &held) * release->step);
    report->n_saturated += held;
  }
  if (noise) memset(noise, 0, n * sizeof *noise);
  xf_free(noise);
  if (rc && n) memset(x, 0, n * sizeof *x);
  return rc;
}
