/*
 * release.h - a statistic that leaves once: integer noise on a sum over users whose sensitivity is known beforehand.
 *
 *   entries are multiples of `step` = 2^-f  ->  + integer noise  ->  held within 2^24 steps  ->  float32
 *
 * Nothing is clipped: that one user changes the sum by at most `sensitivity` in L2 must follow from how it was made, on the grid
 * itself. So every user's part has to be made of multiples of the step (rec/gram.h: step), and a sum that is not
 * made of them is refused. The unit is what the sensitivity is about: for a Gram one user of one silo, added or removed; a person
 * in several silos pays in each.
 * epsilon is the analytic Gaussian's for the deviation used; the noise is the discrete Gaussian, whose delta along one axis is
 * within .1 % of it from 64 steps on (tested). `charge` is what an odometer adds up, by the looser bound that is exact for the discrete
 * one. A charge about users and one about a silo's whole update are different units: never in one odometer.
 * Not for: updates of a model, which are clipped (grid.h). Thread: any. Owner: the caller's arrays.
 * @source B. Balle, Y.-X. Wang 2018 (curve); docs/internals/priv.md "Releases"
 */
#ifndef XF_PRIV_RELEASE_H
#define XF_PRIV_RELEASE_H

#include "priv/noise.h"
#include "priv/odometer.h"

struct xf_release_spec {
  double sensitivity;      /* L2 */
  double epsilon, delta;   /* what one release may cost, or */
  double noise_multiplier; /* with epsilon 0: deviation over the sensitivity */
  double
      largest; /* no entry is expected above; it must not follow from the data; 0: as fine a grid as the noise allows */
};

struct xf_release {
  struct xf_grid grid;
  double step;           /* 2^-f: what entries are multiples of */
  double sd;             /* deviation of the noise on each entry */
  double epsilon, delta; /* of this release alone; delta 0: not asked, epsilon NaN */
  struct xf_odometer_charge charge;
};

struct xf_release_report {
  uint64_t n_saturated; /* entries held at 2^24 steps, before or after the noise */
};

/* Noise and grid. With epsilon, delta must be in (0, 1). @own caller @err E_RANGE */
XF_WARN_UNUSED enum xf_rc xf_release_init(struct xf_release *release,
                                          const struct xf_release_spec *spec, struct xf_diag *diag);
/* x <- x + noise, drawn whole before x is looked at; after an error nothing of x may leave (it is all zeros).
   @shape x[n] @own borrows rng @err E_NAN E_INVAL (an entry is no multiple of the step; diag says which) E_NOMEM */
XF_WARN_UNUSED enum xf_rc xf_release_step(float *x, size_t n, const struct xf_release *release,
                                          struct xf_noise_rng *rng,
                                          struct xf_release_report *report, struct xf_diag *diag);

#endif
