/* The ridge map in double: H is small, its eigenvectors give the inverse for any g. */
#include "rec/crossmap.h"

#include "base/alloc.h"
#include "tensor/lapack.h"

#include <math.h>
#include <string.h>

enum { DIM_MAX = 1024 };

/* 1 / |x|; 0 for a zero row; NaN when it is not a number. */
static double inverse_norm(const float *x, uint32_t n) {
  double s = 0;
  for (uint32_t i = 0; i < n; i++) s += (double)x[i] * (double)x[i];
  return isfinite(s) ? (s > 0 ? 1 / sqrt(s) : 0) : (double)NAN;
}

enum xf_rc xf_crossmap_sums_init(struct xf_crossmap_sums *out, uint32_t ds, uint32_t dt) {
  *out = (struct xf_crossmap_sums){.ds = ds, .dt = dt};
  if (ds < 1 || dt < 1 || ds > DIM_MAX || dt > DIM_MAX) return XF_E_INVAL;
  const size_t n = (size_t)ds + 1;
  out->h = xf_try_calloc(n * n, sizeof *out->h);
  out->c = xf_try_calloc(n * dt, sizeof *out->c);
  if (out->h && out->c) return XF_OK;
  xf_crossmap_sums_deinit(out);
  return XF_E_NOMEM;
}

void xf_crossmap_sums_deinit(struct xf_crossmap_sums *sums) {
  xf_free(sums->h);
  xf_free(sums->c);
  *sums = (struct xf_crossmap_sums){0};
}

enum xf_rc xf_crossmap_add_user(struct xf_crossmap_sums *sums, const float *s, const float *t) {
  const size_t n = (size_t)sums->ds + 1, dt = sums->dt;
  const double us = inverse_norm(s, sums->ds), ut = inverse_norm(t, sums->dt);
  if (isnan(us) || isnan(ut)) return XF_E_NAN;
  if (us <= 0 || ut <= 0) return XF_OK;
  for (size_t i = 0; i < n; i++) {
    const double ai = i < sums->ds ? (double)s[i] * us : 1;
    for (size_t j = 0; j < n; j++)
      sums->h[i * n + j] += ai * (j < sums->ds ? (double)s[j] * us : 1);
    for (size_t j = 0; j < dt; j++) sums->c[i * dt + j] += ai * ((double)t[j] * ut);
  }
  sums->n += 1;
  return XF_OK;
}

enum xf_rc xf_crossmap_add_sums(struct xf_crossmap_sums *sums,
                                const struct xf_crossmap_sums *other) {
  const size_t n = (size_t)sums->ds + 1;
  if (sums->ds != other->ds || sums->dt != other->dt) return XF_E_SHAPE;
  for (size_t i = 0; i < n * n; i++) sums->h[i] += other->h[i];
  for (size_t i = 0; i < n * sums->dt; i++) sums->c[i] += other->c[i];
  sums->n += other->n;
  return XF_OK;
}

/* m = V^T diag(1 / (w + ridge)) V c, rows of v the eigenvectors */
static enum xf_rc solve(float *m, const double *v, const double *w, double ridge, const double *c,
                        size_t n, size_t dt) {
  double *sum = xf_try_calloc(n * dt, sizeof *sum);
  if (!sum) return XF_E_NOMEM;
  enum xf_rc rc = XF_OK;
  for (size_t k = 0; !rc && k < n; k++) {
    const double inverse = 1 / (w[k] + ridge);
    if (!(w[k] + ridge > 0)) rc = XF_E_NAN;
    for (size_t j = 0; !rc && j < dt; j++) {
      double y = 0;
      for (size_t i = 0; i < n; i++) y += v[k * n + i] * c[i * dt + j];
      for (size_t i = 0; i < n; i++) sum[i * dt + j] += v[k * n + i] * y * inverse;
    }
  }
  for (size_t i = 0; !rc && i < n * dt; i++) {
    m[i] = (float)sum[i];
    if (!isfinite(m[i])) rc = XF_E_NAN;
  }
  xf_free(sum);
  return rc;
}

enum xf_rc xf_crossmap_init(struct xf_crossmap *out, const struct xf_crossmap_sums *sums, double g,
                            struct xf_diag *diag) {
  const size_t n = (size_t)sums->ds + 1, dt = sums->dt;
  *out = (struct xf_crossmap){.ds = sums->ds, .dt = sums->dt};
  if (!(g > 0) || !isfinite(g) || !(sums->n > 0))
    return xf_diag_set(diag, XF_E_INVAL, "g is %g over %g common users; both must be above 0", g,
                       sums->n);
  double *v = xf_try_calloc(n * n, sizeof *v), *w = xf_try_calloc(n, sizeof *w);
  out->m = xf_try_calloc(n * dt, sizeof *out->m);
  enum xf_rc rc = v && w && out->m ? XF_OK : XF_E_NOMEM;
  if (!rc) {
    memcpy(v, sums->h, n * n * sizeof *v);
    rc = xf_lapack_dsyev(v, w, n);
  }
  if (!rc) rc = solve(out->m, v, w, g * sums->n / sums->ds, sums->c, n, dt);
  xf_free(v);
  xf_free(w);
  if (!rc) return XF_OK;
  xf_crossmap_deinit(out);
  return xf_diag_set(diag, rc, "the map from %u to %zu dimensions, g %g: %s", sums->ds, dt, g,
                     rc == XF_E_NAN ? "the sums and the ridge are not positive definite; raise g"
                                    : xf_rc_text(rc));
}

void xf_crossmap_deinit(struct xf_crossmap *map) {
  xf_free(map->m);
  *map = (struct xf_crossmap){0};
}

enum xf_rc xf_crossmap_row(const struct xf_crossmap *map, const float *s, float *out) {
  const size_t dt = map->dt;
  const double unit = inverse_norm(s, map->ds);
  if (!(unit > 0)) return XF_E_NAN;
  for (size_t j = 0; j < dt; j++) {
    double y = (double)map->m[map->ds * dt + j];
    for (size_t i = 0; i < map->ds; i++) y += (double)s[i] * unit * (double)map->m[i * dt + j];
    out[j] = (float)y;
  }
  return XF_OK;
}

enum xf_rc xf_crossgram_init(struct xf_crossgram *out, uint32_t ns, uint32_t nt) {
  size_t n = 0;
  *out = (struct xf_crossgram){.ns = ns, .nt = nt};
  if (!xf_mul_size(&n, ns, nt)) return XF_E_NOMEM;
  out->w = xf_try_calloc(n + 1, sizeof *out->w);
  return out->w ? XF_OK : XF_E_NOMEM;
}

void xf_crossgram_deinit(struct xf_crossgram *gram) {
  xf_free(gram->w);
  *gram = (struct xf_crossgram){0};
}

static enum xf_rc in_range(const uint32_t *item, uint32_t n, uint32_t limit) {
  for (uint32_t i = 0; i < n; i++)
    if (item[i] >= limit) return XF_E_RANGE;
  return XF_OK;
}

enum xf_rc xf_crossgram_add_user(struct xf_crossgram *gram, const uint32_t *s, uint32_t n_s,
                                 const uint32_t *t, uint32_t n_t) {
  if (in_range(s, n_s, gram->ns) || in_range(t, n_t, gram->nt)) return XF_E_RANGE;
  const float share = n_s ? 1 / sqrtf((float)n_s) : 0;
  for (uint32_t i = 0; i < n_s; i++)
    for (uint32_t j = 0; j < n_t; j++) gram->w[(size_t)s[i] * gram->nt + t[j]] += share;
  return XF_OK;
}

enum xf_rc xf_crossgram_add(struct xf_crossgram *gram, const struct xf_crossgram *other) {
  if (gram->ns != other->ns || gram->nt != other->nt) return XF_E_SHAPE;
  const size_t n = (size_t)gram->ns * gram->nt;
  for (size_t i = 0; i < n; i++) gram->w[i] += other->w[i];
  return XF_OK;
}

enum xf_rc xf_crossgram_score(const struct xf_crossgram *gram, const uint32_t *s, uint32_t n_s,
                              float *out) {
  const size_t nt = gram->nt;
  if (in_range(s, n_s, gram->ns)) return XF_E_RANGE;
  const float share = n_s ? 1 / sqrtf((float)n_s) : 0;
  memset(out, 0, nt * sizeof *out);
  for (uint32_t i = 0; i < n_s; i++)
    for (size_t j = 0; j < nt; j++) out[j] += share * gram->w[s[i] * nt + j];
  return XF_OK;
}
