#include "rec/expected.h"

#include <math.h>

static double log_choose(double n, double k) {
  int sign = 0;
  return lgamma_r(n + 1, &sign) - lgamma_r(k + 1, &sign) - lgamma_r(n - k + 1, &sign);
}

static void add(struct xf_expected *e, double probability, double j) {
  e->hr += probability;
  e->ndcg += probability / log2(j + 2);
}

/* P(j) of j hits in n draws, j < k, from P(first) by ratios in logarithms. */
static struct xf_expected binomial(double p, double n, double k) {
  struct xf_expected e = {0, 0};
  const double odds = log(p) - log1p(-p);
  double lp = n * log1p(-p);
  for (double j = 0; j < k && j <= n; j++) {
    add(&e, exp(lp), j);
    lp += log((n - j) / (j + 1)) + odds;
  }
  return e;
}

static struct xf_expected hypergeometric(double above, double n_all, double n, double k) {
  struct xf_expected e = {0, 0};
  const double below = n_all - above, first = n > below ? n - below : 0;
  double lp = log_choose(above, first) + log_choose(below, n - first) - log_choose(n_all, n);
  for (double j = first; j < k && j <= n && j <= above; j++) {
    add(&e, exp(lp), j);
    lp += log((above - j) * (n - j)) - log((j + 1) * (below - n + j + 1));
  }
  return e;
}

struct xf_expected xf_expected_rank(uint64_t above, uint64_t n_all, uint32_t n, uint32_t k,
                                    bool distinct) {
  struct xf_expected e = {0, 0};
  if (k == 0) return e;
  if (distinct && n > n_all) n = (uint32_t)n_all;
  if (above == 0 || n_all == 0 || n == 0) {
    add(&e, 1, 0);
  } else if (above >= n_all) { /* every draw is above */
    if (n < k) add(&e, 1, n);
  } else if (distinct) {
    e = hypergeometric((double)above, (double)n_all, n, k);
  } else {
    e = binomial((double)above / (double)n_all, n, k);
  }
  if (e.hr > 1) e.hr = 1; /* rounding */
  if (e.ndcg > 1) e.ndcg = 1;
  return e;
}
