/*
 * unitsum.h - one step of a training that hides a unit (a record, a user): which units take part, the sum of their clipped
 * gradients on an integer grid, and the noise on it.
 *
 *   every unit takes part with probability `rate`, by itself (Poisson sampling)
 *   each one's gradient -> clip C -> scale by 2^f -> round toward zero -> added as integers -> + integer noise -> float
 *
 * Each unit's integers depend on that unit alone, so one unit more changes the sum by a vector of length at most C 2^f exactly: the
 * order of adding, the number of units and float rounding have no part in it. (A sum of clipped gradients in float32 has no
 * such bound: one unit more changes the rounding of all the others.) Noise is drawn before any unit is looked at. The sample
 * must stay secret: with noise it comes from the noise's own generator.
 * Not for: updates clipped as a whole (grid.h), statistics (release.h), what it costs (odometer.h: rate and number of steps).
 * Owner: caller; the generator is borrowed. Thread: one at a time.
 * @source Abadi et al. 2016, algorithm 1 (with a constant divisor); McMahan et al. 2018, algorithm 1
 */
#ifndef XF_PRIV_UNITSUM_H
#define XF_PRIV_UNITSUM_H

#include "priv/noise.h"

#include <stdbool.h>

struct xf_unitsum {
  struct xf_grid grid;
  uint64_t below; /* a unit takes part when 64 bits are below it */
  bool always;
  size_t n;
  int64_t *sum;
  int32_t *noise;                      /* NULL without noise */
  uint64_t n_added, n_clipped, n_lost; /* since init; lost: not finite, added nothing */
};

/* For vectors of n floats. noise_multiplier 0: none, and nothing is hidden. rate in (0, 1].
   @own caller: xf_unitsum_deinit, also after an error @err E_RANGE E_NOMEM */
XF_WARN_UNUSED enum xf_rc xf_unitsum_init(struct xf_unitsum *u, size_t n, double clip,
                                          double noise_multiplier, double rate,
                                          struct xf_diag *diag);
/* Releases, wiped; idempotent. @own u */
void xf_unitsum_deinit(struct xf_unitsum *u);
/* A new step: the sum becomes this step's noise. @own borrows rng @err E_RANGE */
XF_WARN_UNUSED enum xf_rc xf_unitsum_start(struct xf_unitsum *u, struct xf_noise_rng *rng);
/* Whether the next unit takes part, by 64 uniform bits. @thread any */
bool xf_unitsum_takes(const struct xf_unitsum *u, uint64_t bits);
/* Adds a unit's gradient; one that is not finite adds nothing. @shape x[n] @err E_STATE (the bound failed: a defect) */
XF_WARN_UNUSED enum xf_rc xf_unitsum_add(struct xf_unitsum *u, const float *x);
/* The noised sum divided by a constant. @shape out[n] */
void xf_unitsum_get(const struct xf_unitsum *u, float *out, double divisor);

#endif
