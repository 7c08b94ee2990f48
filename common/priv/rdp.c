/* Orders, conversion, and the integer orders; fractional ones are in rdpseries.c. */
#include "priv/rdp.h"

#include "priv/rdpseries.h"

#include <math.h>
#include <string.h>

/* The fractions are 1 + x / 10 as other accountants write them: the literals below are those doubles
   (a test compares). */
static const double orders[] = {
    1.1,  1.2,  1.3,  1.4, 1.5, 1.6, 1.7, 1.8, 1.9, 2.0,  2.1,  2.2,  2.3,  2.4,  2.5,  2.6,
    2.7,  2.8,  2.9,  3.0, 3.1, 3.2, 3.3, 3.4, 3.5, 3.6,  3.7,  3.8,  3.9,  4.0,  4.1,  4.2,
    4.3,  4.4,  4.5,  4.6, 4.7, 4.8, 4.9, 5.0, 5.1, 5.2,  5.3,  5.4,  5.5,  5.6,  5.7,  5.8,
    5.9,  6.0,  6.1,  6.2, 6.3, 6.4, 6.5, 6.6, 6.7, 6.8,  6.9,  7.0,  7.1,  7.2,  7.3,  7.4,
    7.5,  7.6,  7.7,  7.8, 7.9, 8.0, 8.1, 8.2, 8.3, 8.4,  8.5,  8.6,  8.7,  8.8,  8.9,  9.0,
    9.1,  9.2,  9.3,  9.4, 9.5, 9.6, 9.7, 9.8, 9.9, 10.0, 10.1, 10.2, 10.3, 10.4, 10.5, 10.6,
    10.7, 10.8, 10.9, 11,  12,  13,  14,  15,  16,  17,   18,   19,   20,   21,   22,   23,
    24,   25,   26,   27,  28,  29,  30,  31,  32,  33,   34,   35,   36,   37,   38,   39,
    40,   41,   42,   43,  44,  45,  46,  47,  48,  49,   50,   51,   52,   53,   54,   55,
    56,   57,   58,   59,  60,  61,  62,  63,  128, 256,  512,  1024};
_Static_assert(sizeof orders / sizeof orders[0] == XF_RDP_ORDERS, "the list is pinned");

const double *xf_rdp_orders(void) { return orders; }

double xf_rdp_get(double q, double sigma, double order) {
  if (!(q >= 0 && q <= 1) || !(sigma >= 0) || !(order > 1)) return INFINITY;
  if (q == 0) return 0;
  if (sigma == 0) return INFINITY;
  if (q == 1) return order / (2 * sigma * sigma);
  const double log_a = order == floor(order) ? xf_rdp_series_integer(q, sigma, order)
                                             : xf_rdp_series_fraction(q, sigma, order);
  return log_a / (order - 1);
}

/* ln A at an order >= 1: exact at integers, the chord between them. A(1) = 1. */
static double log_sampled(double q, double sigma, double order) {
  const double low = floor(order), t = order - low;
  const double at_low = low < 2 ? 0 : xf_rdp_series_integer(q, sigma, low);
  return t > 0 ? (1 - t) * at_low + t * xf_rdp_series_integer(q, sigma, low + 1) : at_low;
}

double xf_rdp_get_sampled(double q, double sigma, double order) {
  if (!(q > 0 && q < 1) || !(sigma > 0) || !(order > 1)) return xf_rdp_get(q, sigma, order);
  return log_sampled(q, sigma, order) / (order - 1);
}

double xf_rdp_get_sampled_replace(double q, double sigma, double order) {
  if (!(q > 0 && q < 1) || !(sigma > 0) || !(order > 1)) return xf_rdp_get(q, sigma / 2, order);
  /* mixtures with the same part q: A <= 1 - q + q A of the whole release at twice the sensitivity */
  const double whole = (order - 1) * order * 2 / (sigma * sigma);
  const double top = whole + log(q),
               mixed = top > 0 ? top + log1p((1 - q) * exp(-top)) : log1p(q * expm1(whole));
  const double apart = (order - 0.5) / (order - 1) * xf_rdp_get_sampled(q, sigma, 2 * order) +
                       xf_rdp_get_sampled(q, sigma, 2 * order - 1);
  return fmin(mixed / (order - 1), apart);
}

void xf_rdp_init(struct xf_rdp *rdp) { memset(rdp, 0, sizeof *rdp); }

void xf_rdp_add(struct xf_rdp *rdp, double q, double sigma, uint64_t steps) {
  if (!steps) return; /* 0 times infinity */
  for (size_t i = 0; i < XF_RDP_ORDERS; i++)
    rdp->cost[i] += (double)steps * xf_rdp_get(q, sigma, orders[i]);
}

static enum xf_rc check(const double *list, const double *cost, size_t n) {
  if (!n) return XF_E_RANGE;
  for (size_t i = 0; i < n; i++)
    if (!(list[i] > 1) || !(cost[i] >= 0) || (i && list[i] <= list[i - 1])) return XF_E_RANGE;
  return XF_OK;
}

/* Order 1.01 and below: the bound is not stable there and never the best. */
#define LEAST_ORDER 1.01

enum xf_rc xf_rdp_epsilon(struct xf_rdp_point *out, const double *list, const double *cost,
                          size_t n, double delta) {
  if (!(delta > 0 && delta < 1) || check(list, cost, n)) return XF_E_RANGE;
  size_t best = 0;
  double least = INFINITY;
  for (size_t i = 0; i < n; i++) {
    const double a = list[i], r = cost[i];
    double eps = INFINITY;
    if (delta * delta + expm1(-r) > 0) eps = 0; /* delta >= sqrt(1 - e^-r) bounds all of it */
    else if (a > LEAST_ORDER) eps = r + log1p(-1 / a) - (log(delta) + log(a)) / (a - 1);
    if (eps < least) least = eps, best = i;
  }
  *out = (struct xf_rdp_point){least > 0 ? least : 0, list[best], best == 0 || best == n - 1};
  return XF_OK;
}

enum xf_rc xf_rdp_delta(struct xf_rdp_point *out, const double *list, const double *cost, size_t n,
                        double epsilon) {
  if (!(epsilon >= 0) || check(list, cost, n)) return XF_E_RANGE;
  size_t best = 0;
  double least = 0; /* ln delta */
  for (size_t i = 0; i < n; i++) {
    const double a = list[i], r = cost[i];
    double log_delta = 0.5 * log(-expm1(-r));
    if (a > LEAST_ORDER) {
      const double bound = (a - 1) * (r - epsilon + log1p(-1 / a)) - log(a);
      if (bound < log_delta) log_delta = bound;
    }
    if (log_delta < least) least = log_delta, best = i;
  }
  *out = (struct xf_rdp_point){exp(least), list[best], best == 0 || best == n - 1};
  return XF_OK;
}
