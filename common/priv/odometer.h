/*
 * odometer.h - what a silo has spent: a list of charges -> epsilon, and how many releases are left.
 *
 * A charge is one update put into the outbox, whatever became of it. It counts whole (q = 1), without credit for the noise of
 * others; the exception are the steps of a training that clips and noises unit by unit (unitsum.h), whose sample is drawn by
 * Poisson sampling and stays secret. Two neighbouring relations, printed side by side:
 *   zero-out     the silo's update is replaced by zeros (sensitivity C)
 *   replace-one  it is replaced by any other one        (sensitivity 2C)
 * Of sampled steps: a unit is added or removed (bound C), or replaced by any other.
 * At q = 1 the cost at order alpha is alpha rho with rho = sum of 1 / (2 z^2), so one number is the state, beside it the few kinds
 * of sampled steps. A release without noise makes epsilon infinite for good.
 *
 * Not for: storing charges (store writes them before anything leaves). Thread: any. Owner: the caller.
 * @source C. Canonne, G. Kamath, T. Steinke 2020, theorem 4 (discrete Gaussian); M. Bun, T. Steinke 2016
 * (concentrated privacy composes by addition)
 */
#ifndef XF_PRIV_ODOMETER_H
#define XF_PRIV_ODOMETER_H

#include "priv/rdp.h"

/* Kinds of sampled steps that are told apart; a further one makes the last the worse of both. */
enum { XF_ODOMETER_SAMPLED = 4 };

struct xf_odometer {
  double rho; /* of the charges with noise, zero-out */
  struct xf_odometer_sampled {
    double rate, z;
    uint64_t n;
  } sampled[XF_ODOMETER_SAMPLED];
  uint64_t charges; /* all */
  uint64_t bare;    /* without noise */
  double least_z;   /* smallest noise multiplier charged; infinite before the first */
};

enum xf_odometer_relation { XF_ODOMETER_ZERO_OUT, XF_ODOMETER_REPLACE_ONE };

/* One way to charge: `n` releases with noise deviation noise_multiplier x clipping norm, as used
   (xf_grid.z_used); 0 for none. */
struct xf_odometer_charge {
  double noise_multiplier;
  uint64_t n;
  double rate; /* sampled steps: the probability of a unit; 0 or 1: every unit, whole */
};

struct xf_odometer_report {
  struct xf_rdp_point zero_out, replace_one;
  double delta;
};

/* Nothing spent. @own caller */
void xf_odometer_init(struct xf_odometer *odometer);
/* Adds charges, in the order of the list. @err E_RANGE (negative or NaN multiplier, rate outside [0, 1]; nothing
   added) */
XF_WARN_UNUSED enum xf_rc xf_odometer_add(struct xf_odometer *odometer,
                                          const struct xf_odometer_charge *charge, size_t n);
/* epsilon at delta under both relations. @err E_RANGE (delta outside (0, 1)) */
XF_WARN_UNUSED enum xf_rc xf_odometer_get(struct xf_odometer_report *out,
                                          const struct xf_odometer *odometer, double delta);
/* How many further releases with a noise multiplier keep epsilon <= budget; at most 2^40.
   @unit releases @err E_RANGE */
XF_WARN_UNUSED enum xf_rc xf_odometer_left(uint64_t *out, const struct xf_odometer *odometer,
                                           enum xf_odometer_relation relation,
                                           double noise_multiplier, double budget, double delta);

#endif
