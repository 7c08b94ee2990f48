/*
 * rdp.h - the Renyi accountant: what a number of Gaussian releases costs at every order of a pinned list,
 * and the conversion to (epsilon, delta).
 *
 *   whole releases (q = 1)   alpha / (2 sigma^2), for the continuous and the discrete Gaussian
 *   Poisson sampling (q < 1) exact series for integer and fractional orders, continuous Gaussian only;
 *                            a bound for the discrete one too (xf_rdp_get_sampled)
 *
 * sigma is the noise deviation over the sensitivity; adjacency is that of the sensitivity (odometer.h
 * prints two of them). A series that does not settle costs infinity: never too little.
 * Not for: shuffled or fixed-size batches (Poisson figures do not hold for them).
 * Thread: any. Owner: the caller's structs.
 * @source I. Mironov 2017, arXiv 1702.07476; I. Mironov, K. Talwar, L. Zhang 2019, arXiv 1908.10530, section
 * 3.3; C. Canonne, G. Kamath, T. Steinke 2020, arXiv 2004.00010, theorem 4 and proposition 12
 */
#ifndef XF_PRIV_RDP_H
#define XF_PRIV_RDP_H

#include "base/rc.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* 1.1, 1.2 .. 10.9; 11, 12 .. 63; 128, 256, 512, 1024. The list changes the digits, so its version is
   recorded with every epsilon. */
enum { XF_RDP_ORDERS = 156, XF_RDP_ORDERS_VERSION = 1 };

/* Cost so far at every order of the list. */
struct xf_rdp {
  double cost[XF_RDP_ORDERS];
};

struct xf_rdp_point {
  double value; /* epsilon or delta */
  double order; /* that gave it */
  bool at_end;  /* the first or last order of the list: a longer list would give less */
};

/* The pinned list. @shape [XF_RDP_ORDERS] @own static */
const double *xf_rdp_orders(void);
/* Cost of one release at an order > 1. q outside [0, 1], a negative sigma or order <= 1: infinity.
   @unit nats */
double xf_rdp_get(double q, double sigma, double order);
/* What one release of a Poisson sample with *discrete* Gaussian noise on integers costs at most, a unit being added or removed:
   exact at integer orders, between them the chord of a convex function (docs/internals/priv.md "Sampling"). Arguments as xf_rdp_get.
   @unit nats @source Mironov, Talwar, Zhang 2019, theorems 4 and 5 and section 3.3; van Erven, Harremoes 2014, corollary 2 */
double xf_rdp_get_sampled(double q, double sigma, double order);
/* The same for a unit that is replaced by any other. @unit nats @source I. Mironov 2017, proposition 11 (remove, then add); joint
   convexity: van Erven, Harremoes 2014, theorem 13 */
double xf_rdp_get_sampled_replace(double q, double sigma, double order);
/* No cost. @own caller */
void xf_rdp_init(struct xf_rdp *rdp);
/* Adds a number of releases. @thread one at a time */
void xf_rdp_add(struct xf_rdp *rdp, double q, double sigma, uint64_t steps);
/* epsilon at delta in (0, 1), and delta at epsilon >= 0, over any list of orders (> 1, ascending).
   @shape orders[n], cost[n] @err E_RANGE @source Canonne et al. 2020, proposition 12 */
XF_WARN_UNUSED enum xf_rc xf_rdp_epsilon(struct xf_rdp_point *out, const double *orders,
                                         const double *cost, size_t n, double delta);
XF_WARN_UNUSED enum xf_rc xf_rdp_delta(struct xf_rdp_point *out, const double *orders,
                                       const double *cost, size_t n, double epsilon);

#endif
