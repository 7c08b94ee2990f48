/* Parameters lie in one vector: P, Q, b; so do their gradient and Adam's two moments. */
#include "rec/pairmf.h"

#include "base/alloc.h"
#include "base/rng.h"

#include <math.h>
#include <string.h>

static const double BETA1 = .9, BETA2 = .999, EPSILON = 1e-8, START = .1;

struct pairmf {
  struct xf_scorer base; /* first */
  uint32_t n_users, dim;
  double *x; /* [n_users x dim], [n_items x dim], [n_items] */
};

struct fit {
  struct pairmf *m;
  const struct xf_pairs *pairs;
  const struct xf_pairmf_spec *spec;
  double *grad, *mean, *square;
  size_t n; /* of x */
};

static double *q_of(const struct pairmf *m) { return m->x + (size_t)m->n_users * m->dim; }
static size_t bias_at(const struct pairmf *m) {
  return ((size_t)m->n_users + m->base.n_items) * m->dim;
}

static double dot(const double *a, const double *b, uint32_t n) {
  double sum = 0;
  for (uint32_t k = 0; k < n; k++) sum += a[k] * b[k];
  return sum;
}

static void gradient(struct fit *f) {
  struct pairmf *m = f->m;
  const size_t bias = bias_at(m);
  for (size_t k = 0; k < f->n; k++)
    f->grad[k] = (k < bias ? f->spec->reg : f->spec->bias_reg) * m->x[k];
  for (size_t k = 0; k < f->pairs->n; k++) {
    if (f->pairs->part[k] != XF_PART_TRAIN) continue;
    const size_t i = f->pairs->item[k], p = (size_t)f->pairs->user[k] * m->dim;
    const size_t q = ((size_t)m->n_users + i) * m->dim;
    const double z = dot(m->x + p, m->x + q, m->dim) + m->x[bias + i];
    const double e = 1 / (1 + exp(-z)) - f->pairs->label[k];
    for (uint32_t c = 0; c < m->dim; c++) {
      f->grad[p + c] += e * m->x[q + c];
      f->grad[q + c] += e * m->x[p + c];
    }
    f->grad[bias + i] += e;
  }
}

static void adam(struct fit *f, uint32_t step) {
  const double c1 = 1 - pow(BETA1, step), c2 = 1 - pow(BETA2, step);
  for (size_t k = 0; k < f->n; k++) {
    f->mean[k] = BETA1 * f->mean[k] + (1 - BETA1) * f->grad[k];
    f->square[k] = BETA2 * f->square[k] + (1 - BETA2) * f->grad[k] * f->grad[k];
    f->m->x[k] -= f->spec->lr * (f->mean[k] / c1) / (sqrt(f->square[k] / c2) + EPSILON);
  }
}

static enum xf_rc pairmf_score(const struct xf_scorer *s, const struct xf_query *q, float *out,
                               struct xf_diag *diag) {
  const struct pairmf *m = (const struct pairmf *)s;
  if (q->user >= m->n_users)
    return xf_diag_set(diag, XF_E_NOTFOUND, "a user without a row: factors were fitted for %u",
                       m->n_users);
  const double *p = m->x + (size_t)q->user * m->dim, *b = m->x + bias_at(m);
  for (uint32_t i = 0; i < s->n_items; i++)
    out[i] = (float)(dot(p, q_of(m) + (size_t)i * m->dim, m->dim) + b[i]);
  return XF_OK;
}

static void pairmf_free(struct xf_scorer *s) {
  xf_free(((struct pairmf *)s)->x);
  xf_free(s);
}

static const struct xf_scorer_kind PAIRMF = {"pairmf", pairmf_score, NULL, pairmf_free};

static enum xf_rc check(const struct xf_pairs *pairs, const struct xf_pairmf_spec *s,
                        struct xf_diag *diag) {
  size_t n = 0;
  for (size_t k = 0; k < pairs->n; k++) n += pairs->part[k] == XF_PART_TRAIN;
  if (n == 0) return xf_diag_set(diag, XF_E_RANGE, "there is no train pair to factorise");
  if (s->dim >= 1 && s->steps >= 1 && s->reg >= 0 && s->bias_reg >= 0 && s->lr > 0 &&
      isfinite(s->reg + s->bias_reg + s->lr))
    return XF_OK;
  return xf_diag_set(
      diag, XF_E_RANGE,
      "factors of labelled pairs: dim %u, %u steps, reg %g, bias_reg %g, lr %g; dim, "
      "steps and lr must be above 0, the others 0 or above",
      s->dim, s->steps, s->reg, s->bias_reg, s->lr);
}

enum xf_rc xf_pairmf_fit(struct xf_scorer **out, const struct xf_pairs *pairs,
                         const struct xf_pairmf_spec *spec, struct xf_diag *diag) {
  *out = NULL;
  enum xf_rc rc = check(pairs, spec, diag);
  if (rc) return rc;
  struct pairmf *m = xf_calloc(1, sizeof *m);
  m->base = (struct xf_scorer){.kind = &PAIRMF, .n_items = pairs->n_items};
  m->n_users = pairs->n_users;
  m->dim = spec->dim;
  struct fit f = {.m = m, .pairs = pairs, .spec = spec, .n = bias_at(m) + pairs->n_items};
  m->x = xf_try_calloc(f.n + 1, sizeof *m->x);
  f.grad = xf_try_calloc(3 * f.n + 1, sizeof *f.grad);
  if (!m->x || !f.grad) {
    rc = xf_diag_set(diag, XF_E_NOMEM, "no memory for factors of %u users and %u items",
                     pairs->n_users, pairs->n_items);
    goto out;
  }
  f.mean = f.grad + f.n;
  f.square = f.mean + f.n;
  m->base.cost.memory = f.n * sizeof *m->x;
  struct xf_rng rng;
  xf_rng_init(&rng, spec->seed, 0);
  for (size_t k = 0; k < bias_at(m); k++) m->x[k] = START * xf_rng_normal(&rng);
  for (uint32_t t = 1; t <= spec->steps; t++) {
    gradient(&f);
    adam(&f, t);
  }
  for (size_t k = 0; k < f.n && !rc; k++)
    if (!isfinite(m->x[k]))
      rc = xf_diag_set(diag, XF_E_NAN, "factors of labelled pairs are not finite; lower lr");
out:
  xf_free(f.grad);
  if (rc) pairmf_free(&m->base);
  else *out = &m->base;
  return rc;
}
