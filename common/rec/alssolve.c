/* Row systems of ALS in the eigenbasis of the fixed side. Rows are solved 64 at a time, rotated back together. */
#include "rec/alssolve.h"

#include "base/alloc.h"
#include "tensor/blas.h"
#include "tensor/kern.h"
#include "tensor/lapack.h"

#include <math.h>
#include <string.h>

/* Below SYRK_MIN rows a whole product is faster than half of one. */
enum { BLOCK = 64, GRAM_ROWS = 1024, SYRK_MIN = 16, GATHER = 256 };

/* Upper triangle of gram = f^T f: products of 1024 rows in float, summed in double. */
static void gram_sum(double *gram, float *part, const float *f, size_t n, size_t dim) {
  for (size_t at = 0; at < n; at += GRAM_ROWS) {
    const size_t m = n - at < GRAM_ROWS ? n - at : GRAM_ROWS;
    xf_blas_syrk(part, f + at * dim, dim, m, true, 0);
    for (size_t i = 0; i < dim; i++)
      for (size_t j = i; j < dim; j++) gram[i * dim + j] += (double)part[i * dim + j];
  }
}

/* Both triangles alike, to the bit. */
static void symmetric(double *g, size_t dim) {
  for (size_t i = 0; i < dim; i++)
    for (size_t j = 0; j < i; j++) g[i * dim + j] = g[j * dim + i];
}

enum xf_rc xf_als_basis_init(struct xf_als_basis *out, const float *factor, uint32_t n,
                             uint32_t n_active, uint32_t dim, double *flops) {
  *out = (struct xf_als_basis){.n = n, .n_active = n_active, .dim = dim};
  const size_t d = dim, dd = d * d;
  enum xf_rc rc = XF_E_NOMEM;
  double *vec = xf_try_calloc(dd + 1, sizeof *vec);
  out->o = xf_try_calloc((size_t)n * d + 1, sizeof *out->o);
  out->v = xf_try_calloc(dd + 1, sizeof *out->v);
  out->gram = xf_try_calloc(dd + 1, sizeof *out->gram);
  out->eig = xf_try_calloc(d + 1, sizeof *out->eig);
  if (!vec || !out->o || !out->v || !out->gram || !out->eig) goto out;
  gram_sum(out->gram, out->v, factor, n, d);
  symmetric(out->gram, d);
  memcpy(vec, out->gram, dd * sizeof *vec);
  rc = xf_lapack_dsyev(vec, out->eig, d);
  if (rc) goto out;
  for (size_t k = 0; k < d; k++) {
    if (out->eig[k] < 0) out->eig[k] = 0; /* rounding */
    for (size_t i = 0; i < d; i++) out->v[i * d + k] = (float)vec[k * d + i];
  }
  xf_als_rotate(out, factor, n, false, out->o);
  if (flops) *flops += (double)n * (double)(3 * dd + d) + 9.0 * (double)dd * (double)d;
out:
  xf_free(vec);
  if (rc) xf_als_basis_deinit(out);
  return rc;
}

void xf_als_basis_deinit(struct xf_als_basis *basis) {
  xf_free(basis->o);
  xf_free(basis->v);
  xf_free(basis->gram);
  xf_free(basis->eig);
  *basis = (struct xf_als_basis){0};
}

enum xf_rc xf_als_work_init(struct xf_als_work *out, uint32_t dim) {
  const size_t d = dim;
  *out = (struct xf_als_work){.dim = dim};
  out->x = xf_try_calloc((d < GATHER ? GATHER : d) * d + 1, sizeof *out->x);
  out->a = xf_try_calloc(d * d + 1, sizeof *out->a);
  out->d = xf_try_calloc(d + 1, sizeof *out->d);
  out->z = xf_try_calloc(d + 1, sizeof *out->z);
  out->t = xf_try_calloc(d + 1, sizeof *out->t);
  if (out->x && out->a && out->d && out->z && out->t) return XF_OK;
  xf_als_work_deinit(out);
  return XF_E_NOMEM;
}

void xf_als_work_deinit(struct xf_als_work *work) {
  xf_free(work->x);
  xf_free(work->a);
  xf_free(work->d);
  xf_free(work->z);
  xf_free(work->t);
  *work = (struct xf_als_work){0};
}

double xf_als_lambda(const struct xf_als_weight *w, double n, double n_other) {
  return w->rho * pow(n + w->a * n_other, w->nu);
}

void xf_als_rotate(const struct xf_als_basis *basis, const float *in, uint32_t n, bool back,
                   float *out) {
  const size_t d = basis->dim;
  if (n == 0) return;
  xf_kern_get()->gemm(out, in, basis->v,
                      &(struct xf_gemm){.m = n, .n = d, .k = d, .tb = back, .alpha = 1});
}

/* z = (E + X D^-1 X^T)^-1 (t 1 - X D^-1 c); out = D^-1 (X^T z + c). X has n <= dim rows, scaled here by D^-1/2. */
static enum xf_rc dual(struct xf_als_work *work, uint32_t n, float t, const float *c, float *out) {
  const struct xf_kern *k = xf_kern_get();
  const size_t d = work->dim;
  float *x = work->x, *root = work->d, *y = work->t;
  for (size_t j = 0; j < d; j++) root[j] = 1 / sqrtf(root[j]);
  for (size_t i = 0; i < n; i++) k->mul(x + i * d, x + i * d, root, d);
  if (c) k->mul(y, c, root, d);
  for (size_t i = 0; i < n; i++) {
    work->z[i] = c ? t - k->dot(x + i * d, y, d) : t;
    if (n <= 8)
      for (size_t j = 0; j <= i; j++)
        work->a[i * n + j] = work->a[j * n + i] = k->dot(x + i * d, x + j * d, d);
  }
  if (n >= SYRK_MIN) xf_blas_syrk(work->a, x, n, d, false, 0);
  else if (n > 8)
    k->gemm(work->a, x, x, &(struct xf_gemm){.m = n, .n = n, .k = d, .tb = true, .alpha = 1});
  for (size_t i = 0; i < n; i++) work->a[i * n + i] += 1;
  const enum xf_rc rc = xf_lapack_sposv(work->a, work->z, n);
  if (rc) return rc;
  if (!c) k->fill(y, 0, d);
  for (size_t i = 0; i < n; i++) k->axpy(y, work->z[i], x + i * d, d);
  k->mul(out, y, root, d);
  const double nn = n;
  work->flops += nn * (nn + 1) * (double)d + nn * nn * nn / 3 + 2 * nn * nn + 5 * nn * (double)d;
  return XF_OK;
}

static enum xf_rc primal(struct xf_als_work *work, const struct xf_als_basis *basis,
                         const uint32_t *item, uint32_t n, float t, const float *c, float *out) {
  const struct xf_kern *k = xf_kern_get();
  const size_t d = work->dim;
  float *b = work->t;
  if (n == 0) memset(work->a, 0, d * d * sizeof *work->a);
  k->fill(b, 0, d);
  for (uint32_t at = 0; at < n; at += GATHER) {
    const uint32_t m = n - at < GATHER ? n - at : GATHER;
    for (uint32_t i = 0; i < m; i++) {
      const float *o = basis->o + (size_t)item[at + i] * d;
      memcpy(work->x + i * d, o, d * sizeof *o);
      k->axpy(b, t, o, d);
    }
    xf_blas_syrk(work->a, work->x, d, m, true, at ? 1 : 0);
  }
  for (size_t j = 0; j < d; j++) work->a[j * d + j] += work->d[j];
  if (c) k->add(b, b, c, d);
  const enum xf_rc rc = xf_lapack_sposv(work->a, b, d);
  memcpy(out, b, d * sizeof *out);
  const double dd = (double)d;
  work->flops += (double)n * dd * (dd + 1) + dd * dd * dd / 3 + 2 * dd * dd;
  return rc;
}

enum xf_rc xf_als_row(struct xf_als_work *work, const struct xf_als_basis *basis,
                      const struct xf_als_weight *w, enum xf_als_form form, const uint32_t *item,
                      uint32_t n, float t, const float *c, float *out) {
  const size_t d = work->dim;
  const double lambda = xf_als_lambda(w, n, basis->n_active);
  for (size_t j = 0; j < d; j++) work->d[j] = (float)(w->a * basis->eig[j] + lambda);
  const bool small = form == XF_ALS_AUTO ? n < d : form == XF_ALS_DUAL && n <= d;
  enum xf_rc rc;
  if (small) {
    for (uint32_t i = 0; i < n; i++)
      memcpy(work->x + i * d, basis->o + (size_t)item[i] * d, d * sizeof *work->x);
    rc = dual(work, n, t, c, out);
  } else {
    rc = primal(work, basis, item, n, t, c, out);
  }
  for (size_t j = 0; !rc && j < d; j++)
    if (!isfinite(out[j])) rc = XF_E_NAN;
  return rc;
}

struct part {
  struct xf_job job; /* first: the pool hands it back */
  const struct xf_als_side *side;
  struct xf_als_work work;
  float *in, *solved; /* [BLOCK x dim] */
  uint32_t first, stride;
  enum xf_rc rc;
};

/* Rows [at, at + m): targets rotated in, solutions rotated out. */
static enum xf_rc block(struct part *p, uint32_t at, uint32_t m) {
  const struct xf_als_side *s = p->side;
  const size_t d = s->basis->dim;
  const uint32_t *start = s->observed->start;
  if (s->target) xf_als_rotate(s->basis, s->target + at * d, m, false, p->in);
  for (uint32_t i = 0; i < m; i++) {
    const uint32_t n = start[at + i + 1] - start[at + i];
    float *out = p->solved + i * d, *c = s->target ? p->in + i * d : NULL;
    if (n == 0) {
      memset(out, 0, d * sizeof *out);
      continue;
    }
    const float lambda = (float)xf_als_lambda(&s->w, n, s->basis->n_active);
    for (size_t j = 0; c && j < d; j++) c[j] *= lambda * s->kappa;
    const enum xf_rc rc = xf_als_row(&p->work, s->basis, &s->w, s->form,
                                     s->observed->item + start[at + i], n, 1, c, out);
    if (rc) return rc;
  }
  if (s->stay) memcpy(s->row + at * d, p->solved, m * d * sizeof *s->row);
  else xf_als_rotate(s->basis, p->solved, m, true, s->row + at * d);
  p->work.flops += 2.0 * ((s->target != NULL) + !s->stay) * m * (double)d * (double)d;
  return XF_OK;
}

static void run(struct xf_job *job) {
  struct part *p = (struct part *)job;
  const uint32_t n = p->side->observed->n_row;
  for (uint64_t at = (uint64_t)p->first * BLOCK; !p->rc && at < n;
       at += (uint64_t)p->stride * BLOCK) {
    const uint32_t left = n - (uint32_t)at;
    p->rc = block(p, (uint32_t)at, left < BLOCK ? left : BLOCK);
  }
}

enum { MAX_PART = 16 };

static enum xf_rc part_init(struct part *p, const struct xf_als_side *side, uint32_t first,
                            uint32_t stride) {
  const size_t n = (size_t)BLOCK * side->basis->dim;
  *p = (struct part){.job.run = run, .side = side, .first = first, .stride = stride};
  const enum xf_rc rc = xf_als_work_init(&p->work, side->basis->dim);
  p->in = xf_try_calloc(n + 1, sizeof *p->in);
  p->solved = xf_try_calloc(n + 1, sizeof *p->solved);
  return rc ? rc : p->in && p->solved ? XF_OK : XF_E_NOMEM;
}

/* Blocks go round the parts, a fixed number of them: which thread takes which changes nothing. */
enum xf_rc xf_als_solve(const struct xf_als_side *side, struct xf_worker *pool, double *flops) {
  struct part part[MAX_PART];
  const uint32_t n_part = pool ? MAX_PART : 1;
  enum xf_rc rc = pool && xf_worker_outstanding(pool) ? XF_E_STATE : XF_OK;
  if (rc) return rc;
  for (uint32_t i = 0; i < n_part; i++) {
    const enum xf_rc got = part_init(&part[i], side, i, n_part);
    if (got && !rc) rc = got;
  }
  if (!rc && !pool) run(&part[0].job);
  if (!rc && pool) {
    for (uint32_t i = 0; i < n_part; i++) xf_worker_submit(pool, &part[i].job);
    while (xf_worker_wait(pool)) continue;
  }
  for (uint32_t i = 0; i < n_part; i++) {
    if (!rc) rc = part[i].rc;
    if (flops) *flops += part[i].work.flops;
    xf_als_work_deinit(&part[i].work);
    xf_free(part[i].in);
    xf_free(part[i].solved);
  }
  return rc;
}
