/*
 * charge.h - what one release costs in privacy, as a value: recorded by the silo before the bytes can leave
 * (outbox.h) and, as the silo declares it, by the coordinator (ledger.h).
 * Not for: accounting (priv). Owner: plain value. Thread: any.
 */
#ifndef XF_STORE_CHARGE_H
#define XF_STORE_CHARGE_H

#include <stdbool.h>

struct xf_charge {
  bool clipped;
  bool noised;             /* false: nothing is claimed, the other numbers are 0 */
  double clip;             /* L2 bound C of the release; 0: none */
  double noise_multiplier; /* z: standard deviation of the noise over clip */
  double sensitivity;      /* L2 sensitivity accounted for: 2C replace-one, C zero-out */
  double epsilon;          /* replace-one, cumulative with this release */
  double epsilon_zero_out; /* zero-out, cumulative with this release */
};

#endif
