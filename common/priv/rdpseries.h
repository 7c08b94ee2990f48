/*
 * rdpseries.h - ln A of the Poisson-subsampled Gaussian, where A is the order-th moment of the likelihood
 * ratio and the Renyi divergence is ln A / (order - 1). Between the files of priv only (rdp.h is the door).
 * Thread: any. Owner: nothing is owned.
 * @source Mironov, Talwar, Zhang 2019, arXiv 1908.10530, section 3.3
 */
#ifndef XF_PRIV_RDPSERIES_H
#define XF_PRIV_RDPSERIES_H

/* Orders 2, 3, ...; 0 < q < 1, sigma > 0. @unit nats */
double xf_rdp_series_integer(double q, double sigma, double order);
/* Other orders > 1; infinity when the series does not settle. @unit nats */
double xf_rdp_series_fraction(double q, double sigma, double order);

#endif
