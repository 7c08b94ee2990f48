#include "priv/odometer.h"

#include <math.h>
#include <string.h>

void xf_odometer_init(struct xf_odometer *odometer) {
  *odometer = (struct xf_odometer){.least_z = INFINITY};
}

/* Steps of a known kind, or of a new one; when there is no room the last kind takes the larger rate and the smaller z. */
static void add_sampled(struct xf_odometer *o, const struct xf_odometer_charge *charge) {
  struct xf_odometer_sampled *s = o->sampled, *const last = s + XF_ODOMETER_SAMPLED - 1;
  while (s < last && s->n && (s->rate != charge->rate || s->z != charge->noise_multiplier)) s++;
  if (!s->n) *s = (struct xf_odometer_sampled){charge->rate, charge->noise_multiplier, 0};
  s->rate = fmax(s->rate, charge->rate);
  s->z = fmin(s->z, charge->noise_multiplier);
  s->n += charge->n;
}

enum xf_rc xf_odometer_add(struct xf_odometer *odometer, const struct xf_odometer_charge *charge,
                           size_t n) {
  struct xf_odometer next = *odometer;
  for (size_t i = 0; i < n; i++) {
    const double z = charge[i].noise_multiplier, rate = charge[i].rate;
    if (!(z >= 0) || !(rate >= 0 && rate <= 1)) return XF_E_RANGE;
    if (!charge[i].n) continue;
    next.charges += charge[i].n;
    if (z < next.least_z) next.least_z = z;
    const double rho = (double)charge[i].n / (2 * z * z);
    if (isfinite(rho) && rate > 0 && rate < 1) add_sampled(&next, &charge[i]);
    else if (isfinite(rho)) next.rho += rho;
    else next.bare += charge[i].n;
  }
  *odometer = next;
  return XF_OK;
}

/* What the sampled steps cost at every order. */
static void sampled_cost(double *cost, const struct xf_odometer *o,
                         enum xf_odometer_relation relation) {
  const double *orders = xf_rdp_orders();
  memset(cost, 0, XF_RDP_ORDERS * sizeof *cost);
  for (const struct xf_odometer_sampled *s = o->sampled;
       s < o->sampled + XF_ODOMETER_SAMPLED && s->n; s++)
    for (size_t i = 0; i < XF_RDP_ORDERS; i++)
      cost[i] += (double)s->n * (relation == XF_ODOMETER_REPLACE_ONE
                                     ? xf_rdp_get_sampled_replace(s->rate, s->z, orders[i])
                                     : xf_rdp_get_sampled(s->rate, s->z, orders[i]));
}

static enum xf_rc epsilon(struct xf_rdp_point *out, const double *sampled, double rho, bool bare,
                          enum xf_odometer_relation relation, double delta) {
  double cost[XF_RDP_ORDERS];
  const double *orders = xf_rdp_orders();
  if (relation == XF_ODOMETER_REPLACE_ONE) rho *= 4; /* twice the sensitivity */
  for (size_t i = 0; i < XF_RDP_ORDERS; i++)
    cost[i] = bare ? INFINITY : rho * orders[i] + sampled[i];
  return xf_rdp_epsilon(out, orders, cost, XF_RDP_ORDERS, delta);
}

enum xf_rc xf_odometer_get(struct xf_odometer_report *out, const struct xf_odometer *odometer,
                           double delta) {
  const bool bare = odometer->bare > 0;
  double sampled[XF_RDP_ORDERS];
  out->delta = delta;
  sampled_cost(sampled, odometer, XF_ODOMETER_ZERO_OUT);
  const enum xf_rc rc =
      epsilon(&out->zero_out, sampled, odometer->rho, bare, XF_ODOMETER_ZERO_OUT, delta);
  if (rc) return rc;
  sampled_cost(sampled, odometer, XF_ODOMETER_REPLACE_ONE);
  return epsilon(&out->replace_one, sampled, odometer->rho, bare, XF_ODOMETER_REPLACE_ONE, delta);
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
  double sampled[XF_RDP_ORDERS];
  sampled_cost(sampled, odometer, relation);
  while (low < high) {
    const uint64_t middle = low + (high - low + 1) / 2;
    const enum xf_rc rc =
        epsilon(&point, sampled, odometer->rho + (double)middle * rho, false, relation, delta);
    if (rc) return rc;
    if (point.value <= budget) low = middle;
    else high = middle - 1;
  }
  *out = low;
  return XF_OK;
}
