#include "priv/rdpseries.h"

#include "priv/gauss.h"

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stddef.h>

/* A - 1 = sum over k >= 2 of C(a,k) (1-q)^(a-k) q^k expm1((k^2 - k) / (2 sigma^2)): the binomial sum is 1
   and the terms 0 and 1 vanish, so nothing cancels and small costs keep their digits. */
double xf_rdp_series_integer(double q, double sigma, double order) {
  const long double log_q = logl(q), log_p = log1pl(-(long double)q), s = sigma;
  long double log_sum = -INFINITY, log_c = logl(order); /* ln C(a, 1) */
  for (double k = 2; k <= order; k++) {
    log_c += logl((order - k + 1) / (long double)k);
    const long double x = (long double)(k * k - k) / (2 * s * s);
    const long double log_expm1 = x > 50 ? x : logl(expm1l(x)); /* e^-50 is below the last bit */
    const long double l = log_c + (order - k) * log_p + k * log_q + log_expm1;
    const long double top = l > log_sum ? l : log_sum, low = l > log_sum ? log_sum : l;
    log_sum = top + log1pl(expl(low - top));
  }
  return (double)(log_sum > 50 ? log_sum + expl(-log_sum) : log1pl(expl(log_sum)));
}

/* Sums of terms that alternate from some index on, as repeated means of the last partial sums (Euler's
   transformation). Everything is relative to e^scale. */
enum { WINDOW = 24 };
struct sums {
  long double scale;
  long double last[WINDOW]; /* partial sums, ring */
  long double value;        /* the newest one */
  size_t n;
};

static void sums_add(struct sums *s, long double log_term, bool negative) {
  if (log_term > s->scale) {
    const long double f = expl(s->scale - log_term);
    for (size_t i = 0; i < WINDOW; i++) s->last[i] *= f;
    s->value *= f;
    s->scale = log_term;
  }
  const long double term = expl(log_term - s->scale);
  s->value += negative ? -term : term;
}

static void sums_mark(struct sums *s) { s->last[s->n++ % WINDOW] = s->value; }

static long double sums_limit(const struct sums *s) {
  long double x[WINDOW];
  for (size_t i = 0; i < WINDOW; i++) x[i] = s->last[(s->n + i) % WINDOW];
  for (size_t n = WINDOW - 1; n > 0; n--)
    for (size_t i = 0; i < n; i++) x[i] = (x[i] + x[i + 1]) / 2;
  return x[0];
}

/* Two sums over i, left and right of the point where the two terms of the mixture are equal; C(a, i)
   changes sign with every i > a. */
double xf_rdp_series_fraction(double q, double sigma, double order) {
  enum { MOST = 100000, STRIDE = 16 };
  const long double a = order, s = sigma, root = sqrtl(2) * s, half = logl(0.5L);
  const long double log_q = logl(q), log_p = log1pl(-(long double)q);
  const long double z = s * s * (log_p - log_q) + 0.5L;
  struct sums sums = {.scale = -INFINITY};
  long double log_c = 0, limit = NAN;
  bool negative = false;
  const size_t regular =
      (size_t)order + WINDOW + 8; /* from here on the signs alternate in the window */
  for (size_t n = 0; n < MOST; n++) {
    const long double i = (long double)n, j = a - i;
    const long double left = log_c + i * log_q + j * log_p + (i * i - i) / (2 * s * s) + half +
                             xf_gauss_log_erfc((i - z) / root);
    const long double right = log_c + j * log_q + i * log_p + (j * j - j) / (2 * s * s) + half +
                              xf_gauss_log_erfc((z - j) / root);
    sums_add(&sums, left, negative);
    sums_add(&sums, right, negative);
    sums_mark(&sums);
    log_c += logl(fabsl(j) / (i + 1));
    negative ^= j < 0;
    if (n < regular || n % STRIDE) continue;
    const long double next = sums_limit(&sums);
    if (fabsl(next - limit) <= 16 * LDBL_EPSILON * fabsl(next)) {
      const double log_a = next > 0 ? (double)(sums.scale + logl(next)) : INFINITY;
      return log_a > 0 ? log_a : log_a > -1e-15 ? 0 : INFINITY; /* A >= 1 */
    }
    limit = next;
  }
  return INFINITY;
}
