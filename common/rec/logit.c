#include "rec/logit.h"

#include "tensor/lapack.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

enum { STEPS = 100, HALVINGS = 40, SIDE = XF_LOGIT_MAX + 1 };
static const double TOLERANCE = 1e-8; /* a row */

struct rows {
  const double *x;
  const uint8_t *label;
  size_t n;
  double l2;
};

/* Features of a row, standardised, and the 1 of the bias behind them. */
static void standard(const struct xf_logit *f, const double *x, double *z) {
  for (uint32_t k = 0; k < f->n_feature; k++)
    z[k] = f->unit[k] > 0 ? (x[k] - f->mean[k]) / f->unit[k] : 0;
  z[f->n_feature] = 1;
}

double xf_logit_score(const struct xf_logit *logit, const double *x) {
  double z[SIDE], sum = logit->b;
  standard(logit, x, z);
  for (uint32_t k = 0; k < logit->n_feature; k++) sum += logit->w[k] * z[k];
  return sum;
}

/* Loss; with grad also gradient and Hessian over w and b. */
static double evaluate(const struct xf_logit *f, const struct rows *r, double *grad, double *hess) {
  const uint32_t d = f->n_feature, m = d + 1;
  double loss = 0, z[SIDE];
  if (grad) {
    memset(grad, 0, m * sizeof *grad);
    memset(hess, 0, (size_t)m * m * sizeof *hess);
  }
  for (size_t i = 0; i < r->n; i++) {
    const double *x = r->x + i * d;
    const double s = xf_logit_score(f, x), t = r->label[i] ? s : -s;
    loss += t > 0 ? log1p(exp(-t)) : log1p(exp(t)) - t;
    if (!grad) continue;
    const double p = 1 / (1 + exp(-s)), e = p - (r->label[i] ? 1 : 0), h = p * (1 - p);
    standard(f, x, z);
    for (uint32_t k = 0; k < m; k++) {
      grad[k] += e * z[k];
      for (uint32_t l = k; l < m; l++) hess[(size_t)k * m + l] += h * z[k] * z[l];
    }
  }
  for (uint32_t k = 0; k < d; k++) {
    loss += r->l2 / 2 * f->w[k] * f->w[k];
    if (!grad) continue;
    grad[k] += r->l2 * f->w[k];
    hess[(size_t)k * m + k] += r->l2;
  }
  for (uint32_t k = 0; grad && k < m; k++)
    for (uint32_t l = 0; l < k; l++) hess[(size_t)k * m + l] = hess[(size_t)l * m + k];
  return loss;
}

static enum xf_rc prepare(struct xf_logit *f, const struct rows *r, struct xf_diag *diag) {
  size_t positive = 0;
  if (f->n_feature < 1 || f->n_feature > XF_LOGIT_MAX)
    return xf_diag_set(diag, XF_E_SHAPE,
                       "logistic regression on %" PRIu32 " features; give 1 to %d", f->n_feature,
                       XF_LOGIT_MAX);
  if (!(r->l2 > 0) || !isfinite(r->l2))
    return xf_diag_set(diag, XF_E_RANGE, "logistic regression: l2 is %g; it must be above 0",
                       r->l2);
  for (size_t i = 0; i < r->n; i++) positive += r->label[i] != 0;
  if (positive == 0 || positive == r->n)
    return xf_diag_set(diag, XF_E_RANGE,
                       "logistic regression on %zu rows, %zu of label 1: both labels are needed",
                       r->n, positive);
  for (uint32_t k = 0; k < f->n_feature; k++) {
    double sum = 0, square = 0, largest = 0;
    for (size_t i = 0; i < r->n; i++) {
      const double x = r->x[i * f->n_feature + k];
      if (!isfinite(x))
        return xf_diag_set(diag, XF_E_NAN, "row %zu: feature %" PRIu32 " is not a number", i, k);
      sum += x;
      largest = fmax(largest, fabs(x));
    }
    f->mean[k] = sum / (double)r->n;
    for (size_t i = 0; i < r->n; i++) {
      const double x = r->x[i * f->n_feature + k] - f->mean[k];
      square += x * x;
    }
    f->unit[k] = sqrt(square / (double)r->n);
    if (f->unit[k] <= 1e-12 * largest) f->unit[k] = 0; /* rounding of the mean */
  }
  return XF_OK;
}

enum xf_rc xf_logit_fit(struct xf_logit *out, const double *x, const uint8_t *label, size_t n,
                        uint32_t n_feature, double l2, struct xf_diag *diag) {
  const struct rows rows = {x, label, n, l2};
  const uint32_t m = n_feature + 1;
  double grad[SIDE], hess[SIDE * SIDE];
  *out = (struct xf_logit){.n_feature = n_feature};
  enum xf_rc rc = prepare(out, &rows, diag);
  if (rc) return rc;
  out->loss = evaluate(out, &rows, grad, hess);
  for (; out->n_step < STEPS; out->n_step++) {
    double size = 0, t = 1;
    for (uint32_t k = 0; k < m; k++) size = fmax(size, fabs(grad[k]));
    if (size < TOLERANCE * (double)n) return XF_OK;
    rc = xf_lapack_invert(hess, m, diag);
    if (rc) return rc;
    int halved = 0;
    for (; halved < HALVINGS; halved++, t /= 2) {
      struct xf_logit next = *out;
      for (uint32_t k = 0; k < m; k++) {
        double step = 0;
        for (uint32_t l = 0; l < m; l++) step += hess[(size_t)k * m + l] * grad[l];
        *(k < n_feature ? &next.w[k] : &next.b) -= t * step;
      }
      next.loss = evaluate(&next, &rows, NULL, NULL);
      if (next.loss >= out->loss) continue;
      *out = next;
      break;
    }
    if (halved == HALVINGS) return XF_OK; /* at the precision of the loss */
    out->loss = evaluate(out, &rows, grad, hess);
  }
  return xf_diag_set(diag, XF_E_NAN, "logistic regression: no convergence after %d steps", STEPS);
}
