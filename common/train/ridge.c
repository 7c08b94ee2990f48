/* Both forms come down to Z = U S^1/2 [n x r] of Phi = U S^1/2 V^T: what is fitted is Z (S + lambda I)^-1 Z^T R. */
#include "train/ridge.h"

#include "base/alloc.h"
#include "tensor/lapack.h"

#include <math.h>

enum { GRID = 13 };
#define TIE 1e-9 /* relative: below it errors differ by rounding */
static const double grid[GRID] = {.001, .003, .01, .03, .1, .3, 1, 3, 10, 30, 100, 300, 1000};

struct ridge {
  const struct xf_ridge_job *job;
  uint32_t r;    /* min(n, d) */
  bool dual;     /* n < d */
  double *v, *s; /* [r x r] eigenvectors by rows, [r] eigenvalues */
  double *rest;  /* [n x m] R = Y - Phi W0 */
  double *z;     /* [n x r] */
  double *c;     /* [r x m] Z^T R */
  double *fit;   /* [m] of a sample */
};

static void ridge_deinit(struct ridge *g) {
  double *all[] = {g->v, g->s, g->rest, g->z, g->c, g->fit};
  for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) xf_free(all[i]);
}

static enum xf_rc ridge_init(struct ridge *g, const struct xf_ridge_job *job) {
  const size_t n = job->n, m = job->m;
  *g = (struct ridge){.job = job, .dual = job->n < job->d};
  g->r = g->dual ? job->n : job->d;
  const size_t r = g->r;
  g->v = xf_try_calloc(r * r, sizeof(double));
  g->s = xf_try_calloc(r, sizeof(double));
  g->rest = xf_try_calloc(n * m, sizeof(double));
  g->z = xf_try_calloc(n * r, sizeof(double));
  g->c = xf_try_calloc(r * m, sizeof(double));
  g->fit = xf_try_calloc(m, sizeof(double));
  return g->v && g->s && g->rest && g->z && g->c && g->fit ? XF_OK : XF_E_NOMEM;
}

/* to += f * from */
static void add(double *to, const double *from, double f, size_t n) {
  for (size_t i = 0; i < n; i++) to[i] += f * from[i];
}

static double dot(const double *a, const double *b, size_t n) {
  double sum = 0;
  for (size_t i = 0; i < n; i++) sum += a[i] * b[i];
  return sum;
}

static void residuals(struct ridge *g) {
  const struct xf_ridge_job *j = g->job;
  for (size_t i = 0; i < j->n; i++) {
    double *to = g->rest + i * j->m;
    for (size_t t = 0; t < j->m; t++) to[t] = j->y[i * j->m + t];
    for (size_t k = 0; k < j->d && j->prior; k++)
      add(to, j->prior + k * j->m, -j->phi[i * j->d + k], j->m);
  }
}

static enum xf_rc decompose(struct ridge *g) {
  const struct xf_ridge_job *j = g->job;
  const size_t d = j->d, r = g->r;
  for (size_t i = 0; i < j->n; i++) {
    const double *row = j->phi + i * d;
    for (size_t k = 0; k < r; k++)
      if (g->dual) g->v[i * r + k] = dot(row, j->phi + k * d, d);
      else add(g->v + k * r, row, row[k], r);
  }
  const enum xf_rc rc = xf_lapack_dsyev(g->v, g->s, r);
  for (size_t k = 0; k < r && !rc; k++) g->s[k] = fmax(g->s[k], 0); /* rounding */
  return rc;
}

static void project(struct ridge *g) {
  const struct xf_ridge_job *j = g->job;
  const size_t r = g->r;
  for (size_t i = 0; i < j->n; i++)
    for (size_t k = 0; k < r; k++) {
      g->z[i * r + k] =
          g->dual ? sqrt(g->s[k]) * g->v[k * r + i] : dot(j->phi + i * j->d, g->v + k * r, r);
      add(g->c + k * j->m, g->rest + i * j->m, g->z[i * r + k], j->m);
    }
}

/* Mean squared error of each sample by the heads that have not seen it. */
static double loo_error(const struct ridge *g, double lambda) {
  const struct xf_ridge_job *j = g->job;
  double sum = 0;
  for (size_t i = 0; i < j->n; i++) {
    double h = 0;
    for (size_t t = 0; t < j->m; t++) g->fit[t] = 0;
    for (size_t k = 0; k < g->r; k++) {
      const double z = g->z[i * g->r + k], f = z / (g->s[k] + lambda);
      h += z * f;
      add(g->fit, g->c + k * j->m, f, j->m);
    }
    for (size_t t = 0; t < j->m; t++) {
      const double e = (g->rest[i * j->m + t] - g->fit[t]) / (1 - h);
      sum += e * e;
    }
  }
  return sum / ((double)j->n * j->m);
}

/* W - W0: V (S + lambda I)^-1 C, or Phi^T U S^-1/2 (S + lambda I)^-1 C, where an eigenvalue of 0 has nothing to add. */
static void solve(const struct ridge *g, double lambda) {
  const struct xf_ridge_job *j = g->job;
  const size_t r = g->r, m = j->m;
  for (size_t k = 0; k < r && !g->dual; k++)
    for (size_t a = 0; a < r; a++)
      add(j->w + a * m, g->c + k * m, g->v[k * r + a] / (g->s[k] + lambda), m);
  for (size_t i = 0; i < j->n && g->dual; i++) {
    for (size_t t = 0; t < m; t++) g->fit[t] = 0;
    for (size_t k = 0; k < r; k++)
      if (g->s[k] > 0)
        add(g->fit, g->c + k * m, g->v[k * r + i] / (sqrt(g->s[k]) * (g->s[k] + lambda)), m);
    for (size_t a = 0; a < j->d; a++) add(j->w + a * m, g->fit, j->phi[i * j->d + a], m);
  }
}

static enum xf_rc check(const double *lambda, uint32_t n, const struct xf_ridge_job *j,
                        struct xf_diag *diag) {
  if (!j->d || !j->m)
    return xf_diag_set(diag, XF_E_INVAL, "a ridge head of %u features and %u targets", j->d, j->m);
  for (uint32_t i = 0; i < n; i++)
    if (!(lambda[i] > 0) || !isfinite(lambda[i]) || (i && lambda[i] <= lambda[i - 1]))
      return xf_diag_set(diag, XF_E_INVAL, "lambda is %g; it must be above %g", lambda[i],
                         i ? lambda[i - 1] : 0);
  for (size_t i = 0; i < (size_t)j->n * j->m; i++)
    if (!isfinite(j->y[i]))
      return xf_diag_set(diag, XF_E_NAN, "a target of the ridge is no number");
  return n ? XF_OK : xf_diag_set(diag, XF_E_INVAL, "no lambda to choose from");
}

enum xf_rc xf_ridge_solve(struct xf_ridge_job *job, struct xf_diag *diag) {
  const double *lambda = job->lambda ? job->lambda : grid;
  const uint32_t n_lambda = job->lambda ? job->n_lambda : GRID;
  struct ridge g;
  enum xf_rc rc = check(lambda, n_lambda, job, diag);
  if (rc) return rc;
  rc = ridge_init(&g, job);
  if (!rc) residuals(&g);
  if (!rc) rc = decompose(&g);
  if (!rc) project(&g);
  double least = INFINITY;
  job->loo = INFINITY;
  for (uint32_t i = 0; i < n_lambda && !rc; i++) {
    const double e = job->n ? loo_error(&g, lambda[i]) : 0;
    if (!(e <= least * (1 + TIE))) continue;
    least = fmin(least, e);
    job->loo = e;
    job->chosen = lambda[i];
  }
  if (!rc && !isfinite(job->loo)) rc = XF_E_NAN;
  for (size_t i = 0; i < (size_t)job->d * job->m && !rc; i++)
    job->w[i] = job->prior ? job->prior[i] : 0;
  if (!rc) solve(&g, job->chosen);
  ridge_deinit(&g);
  return rc ? xf_diag_set(diag, rc, "ridge of %u samples by %u features: %s", job->n, job->d,
                          rc == XF_E_NAN ? "not finite" : xf_rc_text(rc))
            : XF_OK;
}
