// Expected figures under random negatives: direct sums, simulation, edges; bootstrap, Holm and the verdict over domains.
#include "rec/expected.h"
#include "rec/paired.h"

#include "base/rng.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above first
#include <cmocka.h>

static void near(double got, double want, double tolerance) {
  if (!(fabs(got - want) <= tolerance)) fail_msg("%.17g, want %.17g", got, want);
}

/* sum of n-choose-j p^j q^(n-j) made with products, for small n */
static void test_direct(void **state) {
  (void)state;
  const uint32_t n = 12, k = 5;
  for (uint32_t above = 0; above <= 20; above++) {
    const double p = above / 20.0;
    double ndcg = 0, hr = 0, choose = 1;
    for (uint32_t j = 0; j < k; j++) {
      const double b = choose * pow(p, j) * pow(1 - p, n - j);
      hr += b;
      ndcg += b / log2(j + 2);
      choose = choose * (n - j) / (j + 1);
    }
    const struct xf_expected e = xf_expected_rank(above, 20, n, k, false);
    near(e.ndcg, ndcg, 1e-13);
    near(e.hr, hr, 1e-13);
  }
  /* without repetition, by hand: 2 of 4 above, two draws: P(0) = 1/6, P(1) = 4/6, P(2) = 1/6 */
  const struct xf_expected e = xf_expected_rank(2, 4, 2, 2, true);
  near(e.hr, 5.0 / 6, 1e-13);
  near(e.ndcg, 1.0 / 6 + 4.0 / 6 / log2(3), 1e-13);
}

static void test_edges(void **state) {
  (void)state;
  near(xf_expected_rank(0, 5000, 999, 10, false).ndcg, 1, 0);
  near(xf_expected_rank(5000, 5000, 999, 10, false).ndcg, 0, 0);
  near(xf_expected_rank(4999, 5000, 999, 10, false).hr, 0, 1e-300);
  near(xf_expected_rank(3, 0, 999, 10, false).ndcg, 1, 0);
  near(xf_expected_rank(7, 7, 3, 10, false).ndcg, 1 / log2(5), 1e-15); /* all three are above */
  near(xf_expected_rank(5, 9, 7, 0, false).hr, 0, 0);
  /* where (1 - p)^n is no double any more, a long list still sums to one */
  near(xf_expected_rank(600, 1000, 999, 1000, false).hr, 1, 1e-9);
  near(xf_expected_rank(600, 1000, 999, 1000, true).hr, 1, 1e-9);
  /* drawing everything there is: the full rank */
  near(xf_expected_rank(4, 50, 50, 10, true).ndcg, 1 / log2(6), 1e-11);
  near(xf_expected_rank(4, 50, 999, 10, true).ndcg, 1 / log2(6), 1e-11);
  double last = 2;
  for (uint64_t r = 0; r <= 3000; r += 10) { /* falls with the rank */
    const double v = xf_expected_rank(r, 3000, 999, 10, false).ndcg;
    assert_true(v >= 0 && v <= 1 && v <= last);
    last = v;
  }
}

static void test_simulation(void **state) {
  (void)state;
  enum { N = 400, DRAWS = 20000, K = 10, NEG = 99 };
  struct xf_rng rng;
  xf_rng_init(&rng, 7, 0);
  for (int distinct = 0; distinct < 2; distinct++) {
    const uint32_t above = 30;
    double sum = 0, sq = 0;
    uint32_t id[N];
    for (uint32_t i = 0; i < N; i++) id[i] = i;
    for (int d = 0; d < DRAWS; d++) {
      uint32_t hits = 0;
      for (uint32_t i = 0; i < NEG; i++) {
        const uint32_t at = distinct ? i + xf_rng_below(&rng, N - i) : xf_rng_below(&rng, N);
        const uint32_t x = id[at];
        if (distinct) id[at] = id[i], id[i] = x;
        hits += x < above;
      }
      const double v = hits < K ? 1 / log2(hits + 2.0) : 0;
      sum += v;
      sq += v * v;
    }
    const double mean = sum / DRAWS, se = sqrt((sq / DRAWS - mean * mean) / DRAWS);
    near(xf_expected_rank(above, N, NEG, K, distinct).ndcg, mean, 4 * se);
  }
}

static void test_bootstrap(void **state) {
  (void)state;
  enum { N = 400 };
  float a[N], b[N], zero[N] = {0};
  struct xf_rng rng;
  struct xf_paired p, again;
  xf_rng_init(&rng, 3, 0);
  for (int i = 0; i < N; i++) {
    b[i] = (float)xf_rng_normal(&rng);
    a[i] = b[i] + .1f + (float)xf_rng_normal(&rng);
  }
  a[17] = NAN;
  const struct xf_paired_spec spec = {.n_draw = 4000, .seed = 5};
  assert_int_equal(xf_paired_bootstrap(&p, a, b, N, &spec, NULL), XF_OK);
  assert_int_equal(xf_paired_bootstrap(&again, a, b, N, &spec, NULL), XF_OK);
  assert_memory_equal(&p, &again, sizeof p);
  assert_int_equal(p.n, N - 1);
  /* the bootstrap agrees with the normal law */
  near(p.low, p.mean - 1.96 * p.se, .25 * p.se);
  near(p.high, p.mean + 1.96 * p.se, .25 * p.se);
  near(p.p_above, .5 * erfc(p.mean / p.se / sqrt(2)), .02);
  near(p.p_below + p.p_above, 1, .01);
  /* the other way round */
  assert_int_equal(xf_paired_bootstrap(&again, b, a, N, &spec, NULL), XF_OK);
  near(again.mean, -p.mean, 1e-12);
  near(again.p_below, p.p_above, 1e-12);
  /* no difference proves nothing */
  assert_int_equal(xf_paired_bootstrap(&p, zero, zero, N, &spec, NULL), XF_OK);
  near(p.p_below, 1, 0);
  near(p.p_above, 1, 0);
  assert_int_equal(xf_paired_bootstrap(&p, zero, zero, 0, &spec, NULL), XF_OK);
  assert_true(isnan(p.mean) && p.p_below == 1);
  const struct xf_paired_spec bad = {.level = 1.5};
  assert_int_equal(xf_paired_bootstrap(&p, a, b, N, &bad, NULL), XF_E_INVAL);
}

static void test_holm(void **state) {
  (void)state;
  double p[] = {.01, .04, .03, .005}, out[5];
  const double want[] = {.03, .06, .06, .02}; /* 3 x .01; max(2 x .03, .04); 4 x .005 */
  assert_int_equal(xf_paired_holm(out, p, 4), XF_OK);
  for (int i = 0; i < 4; i++) near(out[i], want[i], 1e-15);
  const double some[] = {.02, (double)NAN, .9}, adjusted[] = {.04, 1, .9};
  assert_int_equal(xf_paired_holm(out, some, 3), XF_OK);
  for (int i = 0; i < 3; i++) near(out[i], adjusted[i], 1e-15);
  assert_int_equal(xf_paired_holm(p, p, 4), XF_OK); /* in place */
  for (int i = 0; i < 4; i++) near(p[i], want[i], 1e-15);
}

static void test_judge(void **state) {
  (void)state;
  struct xf_paired_verdict v;
  bool lose[4];
  struct xf_paired d[4] = {{100, .02, .005, 0, 0, .9999, .0001},
                           {100, -.01, .006, 0, 0, .02, .98}, /* .02 x 3 is no loss */
                           {100, .005, .005, 0, 0, .8, .2},
                           {0, (double)NAN, (double)NAN, 0, 0, 1, 1}};
  assert_int_equal(xf_paired_judge(&v, lose, d, 4, 0), XF_OK);
  assert_true(v.good && v.n_lose == 0 && v.n_below_se == 1);
  near(v.mean, .005, 1e-12);
  d[1].p_below = .01; /* .03 is */
  assert_int_equal(xf_paired_judge(&v, lose, d, 4, 0), XF_OK);
  assert_true(!v.good && v.n_lose == 1 && lose[1] && !lose[0] && !lose[2] && !lose[3]);
  d[1] = (struct xf_paired){100, -.03, .05, 0,
                            0,   .3,   .7}; /* none loses, but the mean is not above 0 */
  assert_int_equal(xf_paired_judge(&v, NULL, d, 4, 0), XF_OK);
  assert_true(!v.good && v.n_lose == 0 && v.mean < 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_direct),     cmocka_unit_test(test_edges),
      cmocka_unit_test(test_simulation), cmocka_unit_test(test_bootstrap),
      cmocka_unit_test(test_holm),       cmocka_unit_test(test_judge),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
