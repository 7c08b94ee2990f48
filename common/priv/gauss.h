/*
 * gauss.h - the exact privacy curve of one Gaussian release (sensitivity 1, deviation sigma):
 *
 *   delta(eps) = Phi(1/(2 sigma) - eps sigma) - e^eps Phi(-1/(2 sigma) - eps sigma)
 *
 * For single releases (a Gram matrix, a statistic). Not for: many releases of one unit (rdp.h,
 * odometer.h), nor for drawing noise (dgauss.h).
 * Thread: any. Owner: nothing is owned.
 * @source B. Balle, Y.-X. Wang 2018, "Improving the Gaussian mechanism", theorem 8
 */
#ifndef XF_PRIV_GAUSS_H
#define XF_PRIV_GAUSS_H

/* delta at eps >= 0; sigma 0 gives 1. @unit probability */
double xf_gauss_delta(double sigma, double eps);
/* Smallest eps >= 0 with delta(eps) <= delta; infinite for sigma 0 or delta 0. @unit nats */
double xf_gauss_epsilon(double sigma, double delta);
/* Smallest sigma with delta(eps) <= delta, for eps > 0 and delta in (0, 1).
   @unit multiples of the sensitivity */
double xf_gauss_sigma(double eps, double delta);
/* ln erfc(x) without underflow. @source Abramowitz, Stegun 7.1.23 for x > 100 */
long double xf_gauss_log_erfc(long double x);

#endif
