#include "priv/gauss.h"

#include <math.h>

long double xf_gauss_log_erfc(long double x) {
  if (x < 100) return logl(erfcl(x));
  const long double y = 1 / (2 * x * x); /* the next term is below 1e-24 */
  const long double series = -y * (1 - 3 * y * (1 - 5 * y * (1 - 7 * y)));
  return -x * x - logl(x * sqrtl(acosl(-1))) + log1pl(series);
}

double xf_gauss_delta(double sigma, double eps) {
  if (!(sigma > 0)) return 1;
  const long double s = sigma, e = eps, root2 = sqrtl(2);
  const long double in = (e * s - 1 / (2 * s)) / root2, out = (e * s + 1 / (2 * s)) / root2;
  /* both terms have the same exponential; take the larger one out of the difference */
  const long double first = xf_gauss_log_erfc(in), second = e + xf_gauss_log_erfc(out);
  if (second >= first) return 0;
  return (double)(expl(first) * -expm1l(second - first) / 2);
}

double xf_gauss_epsilon(double sigma, double delta) {
  if (!(sigma > 0) || !(delta > 0)) return INFINITY;
  if (xf_gauss_delta(sigma, 0) <= delta) return 0;
  double low = 0, high = 1;
  while (xf_gauss_delta(sigma, high) > delta) high *= 2;
  for (int i = 0; i < 200 && high - low > 1e-13 * high; i++) {
    const double middle = (low + high) / 2;
    if (xf_gauss_delta(sigma, middle) > delta) low = middle;
    else high = middle;
  }
  return high;
}

double xf_gauss_sigma(double eps, double delta) {
  double low = 0, high = 1;
  while (xf_gauss_delta(high, eps) > delta) high *= 2;
  for (int i = 0; i < 200 && high - low > 1e-13 * high; i++) {
    const double middle = (low + high) / 2;
    if (xf_gauss_delta(middle, eps) > delta) low = middle;
    else high = middle;
  }
  return high;
}
