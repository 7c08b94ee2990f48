#include "rec/stack.h"

#include "base/alloc.h"
#include "tensor/lapack.h"

#include <math.h>
#include <string.h>

enum { STEPS = 100, HALVINGS = 40 };
static const double TOLERANCE = 1e-9;

struct fit {
  const struct xf_listset *lists;
  int part;
  double l2;
  uint32_t d, n;          /* features, lists of the part */
  double *p;              /* [n_list] probabilities */
  double *grad, *hess;    /* [d], [d x d] */
  double *w, *try, *mean; /* [d] */
};

static bool fit_init(struct fit *f) {
  const size_t d = f->d;
  f->p = xf_try_calloc(f->lists->n_list, sizeof *f->p);
  f->grad = xf_try_calloc(d, sizeof *f->grad);
  f->hess = xf_try_calloc(d * d, sizeof *f->hess);
  f->w = xf_try_calloc(d, sizeof *f->w);
  f->try = xf_try_calloc(d, sizeof *f->try);
  f->mean = xf_try_calloc(d, sizeof *f->mean);
  return f->p && f->grad && f->hess && f->w && f->try && f->mean;
}

static void fit_deinit(struct fit *f) {
  xf_free(f->p);
  xf_free(f->grad);
  xf_free(f->hess);
  xf_free(f->w);
  xf_free(f->try);
  xf_free(f->mean);
}

/* Probabilities of a list under w; its loss. */
static double softmax(struct fit *f, const float *x, const double *w) {
  const uint32_t n = f->lists->n_list;
  double top = -INFINITY, sum = 0;
  for (uint32_t i = 0; i < n; i++) {
    double z = 0;
    for (uint32_t k = 0; k < f->d; k++) z += w[k] * (double)x[(size_t)i * f->d + k];
    f->p[i] = z;
    if (z > top) top = z;
  }
  const double first = f->p[0] - top;
  for (uint32_t i = 0; i < n; i++) sum += f->p[i] = exp(f->p[i] - top);
  for (uint32_t i = 0; i < n; i++) f->p[i] /= sum;
  return log(sum) - first;
}

/* Adds one list's gradient and the upper half of its Hessian: mean(x) - x_0, and the covariance of x under p. */
static void add_list(struct fit *f, const float *x) {
  const uint32_t d = f->d;
  memset(f->mean, 0, d * sizeof *f->mean);
  for (uint32_t i = 0; i < f->lists->n_list; i++)
    for (uint32_t k = 0; k < d; k++) f->mean[k] += f->p[i] * (double)x[(size_t)i * d + k];
  for (uint32_t k = 0; k < d; k++) f->grad[k] += f->mean[k] - (double)x[k];
  for (uint32_t i = 0; i < f->lists->n_list; i++) {
    const float *row = x + (size_t)i * d;
    for (uint32_t k = 0; k < d; k++) {
      const double c = f->p[i] * ((double)row[k] - f->mean[k]);
      for (uint32_t l = k; l < d; l++)
        f->hess[(size_t)k * d + l] += c * ((double)row[l] - f->mean[l]);
    }
  }
}

/* Loss at w; with `full` also gradient and Hessian, penalties included. */
static double evaluate(struct fit *f, const double *w, bool full) {
  const uint32_t d = f->d;
  double loss = 0, norm2 = 0;
  if (full) {
    memset(f->grad, 0, d * sizeof *f->grad);
    memset(f->hess, 0, (size_t)d * d * sizeof *f->hess);
  }
  for (uint32_t u = 0; u < f->lists->n; u++) {
    if (f->lists->part[u] != f->part) continue;
    const float *x = f->lists->x + u * xf_listset_size(f->lists);
    loss += softmax(f, x, w);
    if (full) add_list(f, x);
  }
  for (uint32_t k = 0; k < d; k++) {
    norm2 += w[k] * w[k];
    if (!full) continue;
    f->grad[k] = f->grad[k] / f->n + f->l2 * w[k];
    for (uint32_t l = k; l < d; l++) {
      const double h = f->hess[(size_t)k * d + l] / f->n + (k == l ? f->l2 : 0);
      f->hess[(size_t)k * d + l] = f->hess[(size_t)l * d + k] = h;
    }
  }
  return loss / f->n + f->l2 / 2 * norm2;
}

/* One Newton step with halving; *done when no step lowers the loss or the gradient is small. */
static enum xf_rc newton(struct fit *f, double *loss, bool *done, struct xf_diag *diag) {
  const uint32_t d = f->d;
  double size = 0, t = 1;
  for (uint32_t k = 0; k < d; k++) size = fmax(size, fabs(f->grad[k]));
  *done = size < TOLERANCE;
  if (*done) return XF_OK;
  const enum xf_rc rc = xf_lapack_invert(f->hess, d, diag);
  if (rc) return rc;
  for (int h = 0; h < HALVINGS; h++, t /= 2) {
    for (uint32_t k = 0; k < d; k++) {
      double step = 0;
      for (uint32_t l = 0; l < d; l++) step += f->hess[(size_t)k * d + l] * f->grad[l];
      f->try[k] = f->w[k] - t * step;
    }
    if (evaluate(f, f->try, false) >= *loss) continue;
    memcpy(f->w, f->try, d * sizeof *f->w);
    *loss = evaluate(f, f->w, true);
    return XF_OK;
  }
  *done = true; /* at the precision of the loss */
  return XF_OK;
}

static enum xf_rc check(const struct fit *f, const struct xf_feature_set *set, uint32_t version,
                        struct xf_diag *diag) {
  if (!set) return xf_diag_set(diag, XF_E_VERSION, "there are no features of version %u", version);
  if (f->lists->n_in != set->n_feature)
    return xf_diag_set(diag, XF_E_SHAPE, "lists of %u features; version %u has %u", f->lists->n_in,
                       version, set->n_feature);
  if (!(f->l2 > 0) || !isfinite(f->l2))
    return xf_diag_set(diag, XF_E_RANGE, "the stack's l2 is %g; it must be above 0", f->l2);
  if (f->n == 0)
    return xf_diag_set(diag, XF_E_RANGE,
                       "there is no list to fit a stack on; users need 2 or more train items");
  for (uint32_t u = 0; u < f->lists->n; u++)
    for (size_t i = 0; i < xf_listset_size(f->lists); i++)
      if (!isfinite(f->lists->x[u * xf_listset_size(f->lists) + i]))
        return xf_diag_set(diag, XF_E_NAN, "feature %zu of user %u's list is not a number",
                           i % set->n_feature, f->lists->user[u]);
  return XF_OK;
}

enum xf_rc xf_stack_fit(struct xf_stack *out, uint32_t version, const struct xf_listset *lists,
                        int part, double l2, struct xf_diag *diag) {
  struct fit f = {.lists = lists, .part = part, .l2 = l2, .d = lists->n_in};
  *out = (struct xf_stack){.version = version, .n_feature = lists->n_in};
  for (uint32_t u = 0; u < lists->n; u++) f.n += lists->part[u] == part;
  enum xf_rc rc = check(&f, xf_feature_set_find(version), version, diag);
  if (!rc && !fit_init(&f)) rc = xf_diag_set(diag, XF_E_NOMEM, "not enough memory to fit a stack");
  if (!rc) {
    bool done = false;
    double loss = evaluate(&f, f.w, true);
    while (!rc && !done && out->n_step < STEPS) {
      rc = newton(&f, &loss, &done, diag);
      out->n_step += !rc && !done;
    }
    if (!rc && (!done || !isfinite(loss)))
      rc = xf_diag_set(diag, XF_E_NAN, "the stack did not converge in %d steps (loss %g)", STEPS,
                       loss);
    for (uint32_t k = 0; k < f.d; k++) out->w[k] = (float)f.w[k];
    out->loss = loss;
    out->n_list = f.n;
  }
  fit_deinit(&f);
  return rc;
}

enum xf_rc xf_stack_scorer(struct xf_scorer **out, const struct xf_stack *stack,
                           const struct xf_features *features, struct xf_diag *diag) {
  *out = NULL;
  if (stack->version != features->set->version)
    return xf_diag_set(diag, XF_E_VERSION, "a stack over features of version %u, not %u",
                       stack->version, features->set->version);
  const struct xf_listnet net = {.n_in = stack->n_feature, .w2 = stack->w};
  return xf_listnet_new(out, "stack", &net, 1, features, diag);
}

enum xf_rc xf_stack_print(const struct xf_stack *stack, struct xf_buf *text) {
  const struct xf_feature_set *set = xf_feature_set_find(stack->version);
  enum xf_rc rc = xf_buf_printf(text, "stack on %u lists, loss %.4f\n", stack->n_list, stack->loss);
  for (uint32_t k = 0; !rc && set && k < set->n_feature; k++) {
    char name[64];
    xf_feature_name(set, k, name);
    rc = xf_buf_printf(text, "  %-24s %+.4f\n", name, (double)stack->w[k]);
  }
  return rc;
}
