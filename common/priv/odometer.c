#include "priv/odometer.h"

#include <math.h>
#include <string.h>

void xf_odometer_init(struct xf_odometer *odometer) {
  *odometer = (struct xf_odometer){.least_z = INFINITY};
}

enum xf_rc xf_odometer_add(struct xf_odometer *odometer, const struct xf_odometer_charge *charge,
                           size_t n) {
  struct xf_odometer next = *odometer;
  for (size_t i = 0; i < n; i++) {
    const double z = charge[i].noise_multiplier;
    if (!(z >= 0)) return XF_E_RANGE;
    if (!charge[i].n) continue;
    next.charges += charge[i].n;
    if (z < next.least_z) next.least_z = z;
    const double rho = (double)charge[i].n / (2 * z * z);
    if (isfinite(rho)) next.rho += rho;
    else next.bare += charge[i].n;
  }
  *odometer = next;
  return XF_OK;
}

static enum xf_rc epsilon(struct xf_rdp_point *out, double rho, bool bare,
                          enum xf_odometer_relation relation, double delta) {
  double cost[XF_RDP_ORDERS];
  const double *orders = xf_rdp_orders();
  if (relation == XF_ODOMETER_REPLACE_ONE) rho *= 4; /* twice the sensitivity */
  for (size_t i = 0; i < XF_RDP_ORDERS; i++) cost[i] = bare ? INFINITY : rho * orders[i];
  return xf_rdp_epsilon(out, orders, cost, XF_RDP_ORDERS, delta);
}

enum xf_rc xf_odometer_get(struct xf_odometer_report *out, const struct xf_odometer *odometer,
                           double delta) {
  const bool bare = odometer->bare > 0;
  out->delta = delta;
  const enum xf_rc rc = epsilon(&out->zero_out, odometer->rho, bare, XF_ODOMETER_ZERO_OUT, delta);
  return rc ? rc : epsilon(&out->replace_one, odometer->rho, bare, XF_ODOMETER_REPLACE_ONE, delta);
}

enum xf_rc xf_odometer_left(uint64_t *out, const struct xf_odometer *odometer,
                            enum xf_odometer_relation relation, double noise_multiplier,
                            double budget, double delta) {
  *out = 0;
  if (!(noise_multiplier >= 0) || !(budget >= 0) || !(delta > 0 && delta < 1)) return XF_E_RANGE;
  const double rho = 1 / (2 * noise_multiplier * noise_multiplier);
  if (odometer->bare || !isfinite(rho)) return XF_OK;
  uint64_t low = 0,
           high = (uint64_t)1 << 40; /* low fits unless even 0 does not; the answer is <= high */
  struct xf_rdp_point point;
  while (low < high) {
    const uint64_t middle = low + (high - low + 1) / 2;
    const enum xf_rc rc =
        epsilon(&point, odometer->rho + (double)middle * rho, false, relation, delta);
    if (rc) return rc;
    if (point.value <= budget) low = middle;
    else high = middle - 1;
  }
  *out = low;
  return XF_OK;
}
