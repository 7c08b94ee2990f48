// Ridge heads: the normal equations by brute force in both forms, leave-one-out by leaving out, what is refused.
#include "base/alloc.h"
#include "base/rng.h"
#include "tensor/blas.h"
#include "train/ridge.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
// cmocka wants the four above first
#include <cmocka.h>

enum { N_MAX = 12, D_MAX = 9, M = 2 };

static struct xf_diag diag;

struct problem {
  uint32_t n, d;
  double phi[N_MAX * D_MAX], y[N_MAX * M], prior[D_MAX * M], w[D_MAX * M];
};

static struct problem draw(uint32_t n, uint32_t d) {
  struct problem p = {.n = n, .d = d};
  struct xf_rng rng;
  xf_rng_init(&rng, n, d);
  for (uint32_t i = 0; i < n * d; i++) p.phi[i] = xf_rng_normal(&rng);
  for (uint32_t i = 0; i < n * M; i++) p.y[i] = 3 * xf_rng_normal(&rng);
  for (uint32_t i = 0; i < d * M; i++) p.prior[i] = xf_rng_normal(&rng);
  return p;
}

// W - W0 by Gaussian elimination on the normal equations, without the sample `out`
static void brute(double *w, const struct problem *p, double lambda, bool prior, uint32_t out) {
  double a[D_MAX][D_MAX + M];
  for (uint32_t i = 0; i < p->d; i++)
    for (uint32_t k = 0; k < p->d + M; k++) {
      a[i][k] = i == k ? lambda : 0;
      for (uint32_t s = 0; s < p->n; s++) {
        double to = k < p->d ? p->phi[s * p->d + k] : p->y[s * M + k - p->d];
        for (uint32_t f = 0; f < p->d && k >= p->d && prior; f++)
          to -= p->phi[s * p->d + f] * p->prior[f * M + k - p->d];
        if (s != out) a[i][k] += p->phi[s * p->d + i] * to;
      }
    }
  for (uint32_t i = 0; i < p->d; i++)
    for (uint32_t r = 0; r < p->d; r++) {
      const double f = a[r][i] / a[i][i];
      for (uint32_t k = 0; k < p->d + M && r != i; k++) a[r][k] -= f * a[i][k];
    }
  for (uint32_t i = 0; i < p->d; i++)
    for (uint32_t t = 0; t < M; t++)
      w[i * M + t] = a[i][p->d + t] / a[i][i] + (prior ? p->prior[i * M + t] : 0);
}

static double left_out(const struct problem *p, double lambda, bool prior) {
  double sum = 0, w[D_MAX * M];
  for (uint32_t s = 0; s < p->n; s++) {
    brute(w, p, lambda, prior, s);
    for (uint32_t t = 0; t < M; t++) {
      double e = p->y[s * M + t];
      for (uint32_t k = 0; k < p->d; k++) e -= p->phi[s * p->d + k] * w[k * M + t];
      sum += e * e;
    }
  }
  return sum / (p->n * M);
}

static struct xf_ridge_job job_of(struct problem *p, const double *lambda, uint32_t n) {
  return (struct xf_ridge_job){.n = p->n,
                               .d = p->d,
                               .m = M,
                               .phi = p->phi,
                               .y = p->y,
                               .lambda = lambda,
                               .n_lambda = n,
                               .w = p->w};
}

static void solves_in_both_forms(void **state) {
  (void)state;
  static const uint32_t n[] = {12, 9, 5, 1}, d[] = {4, 9, 9, 3};
  for (size_t i = 0; i < 4; i++)
    for (int prior = 0; prior < 2; prior++) {
      struct problem p = draw(n[i], d[i]);
      const double lambda = .7;
      double want[D_MAX * M];
      struct xf_ridge_job job = job_of(&p, &lambda, 1);
      job.prior = prior ? p.prior : NULL;
      assert_int_equal(xf_ridge_solve(&job, &diag), XF_OK);
      brute(want, &p, lambda, prior, UINT32_MAX);
      for (uint32_t k = 0; k < d[i] * M; k++) assert_true(fabs(p.w[k] - want[k]) < 1e-10);
      assert_true(fabs(job.loo - left_out(&p, lambda, prior)) < 1e-8 * (1 + job.loo));
      assert_true(job.chosen == lambda);
    }
}

static void chooses_by_leaving_out(void **state) {
  (void)state;
  static const double lambda[] = {.01, .1, 1, 10, 100};
  for (uint32_t d = 3; d <= 9; d += 3) {
    struct problem p = draw(7, d);
    double best = INFINITY, at = 0;
    for (size_t i = 0; i < 5; i++) {
      const double e = left_out(&p, lambda[i], false);
      if (e > best) continue;
      best = e;
      at = lambda[i];
    }
    struct xf_ridge_job job = job_of(&p, lambda, 5);
    assert_int_equal(xf_ridge_solve(&job, &diag), XF_OK);
    assert_true(job.chosen == at);
    assert_true(fabs(job.loo - best) < 1e-8 * best);
  }
}

// Two samples alike, one feature always 0: eigenvalues of 0 on either side.
static void rank_may_be_short(void **state) {
  (void)state;
  for (uint32_t n = 2; n <= 10; n += 8) {
    struct problem p = draw(n, 5);
    const double lambda = .3;
    double want[D_MAX * M];
    memcpy(p.phi + 5, p.phi, 5 * sizeof *p.phi);
    for (uint32_t i = 0; i < n; i++) p.phi[i * 5 + 2] = 0;
    struct xf_ridge_job job = job_of(&p, &lambda, 1);
    assert_int_equal(xf_ridge_solve(&job, &diag), XF_OK);
    brute(want, &p, lambda, false, UINT32_MAX);
    for (uint32_t k = 0; k < 5 * M; k++) assert_true(fabs(p.w[k] - want[k]) < 1e-10);
    assert_true(fabs(p.w[2 * M]) < 1e-12);
  }
}

// A clean linear relation wants the least lambda of the grid, noise alone the largest; nothing seen leaves the prior.
static void ends_of_the_grid(void **state) {
  (void)state;
  struct problem p = draw(12, 3);
  for (uint32_t i = 0; i < 12 * M; i++)
    p.y[i] = p.phi[i / M * 3] - 2 * p.phi[i / M * 3 + 1] + (i % M) * p.phi[i / M * 3 + 2];
  struct xf_ridge_job job = job_of(&p, NULL, 0);
  assert_int_equal(xf_ridge_solve(&job, &diag), XF_OK);
  assert_true(job.chosen == .001 && job.loo < 1e-5 && fabs(p.w[M] + 2) < 1e-3);
  for (uint32_t i = 0; i < 12 * M; i++) p.y[i] = 0;
  assert_int_equal(xf_ridge_solve(&job, &diag), XF_OK);
  assert_true(job.chosen == 1000 && p.w[0] == 0);
  job.n = 0;
  job.prior = p.prior;
  assert_int_equal(xf_ridge_solve(&job, &diag), XF_OK);
  assert_memory_equal(p.w, p.prior, 3 * M * sizeof *p.w);
}

// A sample left out alone says nothing of lambda: all errors are equal but for rounding, and the largest is taken.
static void equal_errors(void **state) {
  (void)state;
  for (uint32_t d = 2; d <= 9; d++) {
    struct problem p = draw(1, d);
    struct xf_ridge_job job = job_of(&p, NULL, 0);
    assert_int_equal(xf_ridge_solve(&job, &diag), XF_OK);
    assert_true(job.chosen == 1000);
    job.prior = p.prior;
    assert_int_equal(xf_ridge_solve(&job, &diag), XF_OK);
    assert_true(job.chosen == 1000);
  }
}

static void refuses(void **state) {
  (void)state;
  struct problem p = draw(4, 3);
  const double bad[][2] = {{0, 1}, {2, 1}, {1, INFINITY}};
  for (size_t i = 0; i < 3; i++) {
    struct xf_ridge_job job = job_of(&p, bad[i], 2);
    assert_int_equal(xf_ridge_solve(&job, &diag), XF_E_INVAL);
    assert_non_null(strstr(diag.text, "lambda"));
  }
  struct xf_ridge_job job = job_of(&p, NULL, 0);
  p.phi[2] = NAN;
  assert_int_equal(xf_ridge_solve(&job, &diag), XF_E_NAN);
  p.phi[2] = 1;
  p.y[0] = INFINITY;
  assert_int_equal(xf_ridge_solve(&job, &diag), XF_E_NAN);
  job.m = 0;
  assert_int_equal(xf_ridge_solve(&job, &diag), XF_E_INVAL);
}

int main(void) {
  struct xf_blas_info info;
  if (xf_blas_start(&info, &diag)) return 1;
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(solves_in_both_forms), cmocka_unit_test(chooses_by_leaving_out),
      cmocka_unit_test(rank_may_be_short),    cmocka_unit_test(ends_of_the_grid),
      cmocka_unit_test(equal_errors),         cmocka_unit_test(refuses),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
