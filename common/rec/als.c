/* State and half-steps of implicit ALS. */
#include "rec/als.h"

#include "base/alloc.h"
#include "base/rng.h"
#include "base/time.h"
#include "param/vec.h"
#include "tensor/kern.h"

#include <math.h>
#include <string.h>

enum { DIM_MAX = 1024, SWEEPS = 6 };
static const double START_SD = 0.1;

static bool active(const struct xf_csr *csr, uint32_t row) {
  return csr->start[row + 1] > csr->start[row];
}

static uint32_t count_active(const struct xf_csr *csr) {
  uint32_t n = 0;
  for (uint32_t r = 0; r < csr->n_row; r++) n += active(csr, r);
  return n;
}

static enum xf_rc check(const struct xf_rec_data *data, const struct xf_als_spec *spec,
                        struct xf_diag *diag) {
  const struct xf_als_weight *w = &spec->w;
  if (spec->dim < 1 || spec->dim > DIM_MAX)
    return xf_diag_set(diag, XF_E_INVAL, "dim is %u; give 1 to %d", spec->dim, DIM_MAX);
  if (!(w->a >= 0) || !(w->rho > 0) || !isfinite(w->a) || !isfinite(w->rho) || !isfinite(w->nu))
    return xf_diag_set(diag, XF_E_INVAL,
                       "a is %g, rho %g, nu %g; give a >= 0, rho > 0 and a finite nu", w->a, w->rho,
                       w->nu);
  const struct xf_csr *t = data->train;
  if (t->n_row != data->n_users)
    return xf_diag_set(diag, XF_E_SHAPE, "the train part has %u users, expected %u", t->n_row,
                       data->n_users);
  for (uint32_t k = 0; k < xf_csr_count(t); k++)
    if (t->item[k] >= data->n_items)
      return xf_diag_set(diag, XF_E_SHAPE, "train event %u is of item %u; there are %u items", k,
                         t->item[k], data->n_items);
  return XF_OK;
}

static bool transpose(struct xf_csr *out, const struct xf_csr *in, uint32_t n_items) {
  const uint32_t n = xf_csr_count(in);
  out->n_row = n_items;
  out->start = xf_try_calloc((size_t)n_items + 2, sizeof *out->start);
  out->item = xf_try_calloc((size_t)n + 1, sizeof *out->item);
  if (!out->start || !out->item) return false;
  uint32_t *at = out->start + 1; /* becomes the next free place, then the row's end */
  for (uint32_t k = 0; k < n; k++) out->start[in->item[k] + 1]++;
  for (uint32_t i = 0; i < n_items; i++) out->start[i + 1] += out->start[i];
  for (uint32_t i = n_items; i > 0; i--) at[i - 1] = out->start[i - 1];
  for (uint32_t u = 0; u < in->n_row; u++)
    for (uint32_t k = in->start[u]; k < in->start[u + 1]; k++) out->item[at[in->item[k]]++] = u;
  return true;
}

static void start_rows(struct xf_als *als) {
  const size_t d = als->spec.dim;
  for (uint32_t u = 0; u < als->n_users; u++) {
    struct xf_rng rng;
    if (!active(&als->by_user, u)) continue;
    xf_rng_init(&rng, als->spec.seed, als->spec.key ? als->spec.key[u] : u);
    for (size_t k = 0; k < d; k++) als->p[u * d + k] = (float)(START_SD * xf_rng_normal(&rng));
  }
}

enum xf_rc xf_als_init(struct xf_als *out, const struct xf_rec_data *data,
                       const struct xf_als_spec *spec, struct xf_diag *diag) {
  *out = (struct xf_als){.spec = *spec, .n_users = data->n_users, .n_items = data->n_items};
  enum xf_rc rc = check(data, spec, diag);
  if (rc) return rc;
  if (spec->sweeps == 0) out->spec.sweeps = SWEEPS;
  out->by_user = *data->train;
  out->p = xf_try_calloc((size_t)out->n_users * spec->dim + 1, sizeof *out->p);
  out->q = xf_try_calloc((size_t)out->n_items * spec->dim + 1, sizeof *out->q);
  if (!out->p || !out->q || !transpose(&out->by_item, data->train, data->n_items)) {
    rc = xf_diag_set(diag, XF_E_NOMEM, "not enough memory for %u users and %u items of dim %u",
                     out->n_users, out->n_items, spec->dim);
    goto out;
  }
  out->n_active_users = count_active(&out->by_user);
  out->n_active_items = count_active(&out->by_item);
  start_rows(out);
  out->spec.key = NULL;
  rc = xf_als_step_items(out, diag);
out:
  if (rc) xf_als_deinit(out);
  return rc;
}

void xf_als_deinit(struct xf_als *als) {
  xf_free(als->by_item.start);
  xf_free(als->by_item.item);
  xf_free(als->p);
  xf_free(als->q);
  *als = (struct xf_als){0};
}

/* The fixed side's rows in the basis take the place of its own; rotation <- rotation V. */
static enum xf_rc follow(struct xf_als *als, bool users, struct xf_als_basis *basis,
                         double *rotation) {
  const size_t d = basis->dim;
  float **fixed = users ? &als->q : &als->p, *rotated = basis->o;
  double *row = xf_try_calloc(d, sizeof *row);
  if (!row) return XF_E_NOMEM;
  for (size_t i = 0; i < d; i++) {
    memset(row, 0, d * sizeof *row);
    for (size_t j = 0; j < d; j++)
      for (size_t k = 0; k < d; k++) row[k] += rotation[i * d + j] * (double)basis->v[j * d + k];
    memcpy(rotation + i * d, row, d * sizeof *row);
  }
  xf_free(row);
  basis->o = *fixed;
  *fixed = rotated;
  return XF_OK;
}

/* rotation NULL: both sides keep their coordinates. Else both go over to those of the fixed side's eigenvectors, which saves
   turning the solved rows back, and *rotation [dim x dim] follows. */
static enum xf_rc half(struct xf_als *als, bool users, const struct xf_als_pull *pull,
                       double *rotation, struct xf_diag *diag) {
  const struct xf_time from = xf_time_now();
  struct xf_als_basis basis;
  enum xf_rc rc = xf_als_basis_init(
      &basis, users ? als->q : als->p, users ? als->n_items : als->n_users,
      users ? als->n_active_items : als->n_active_users, als->spec.dim, &als->flops);
  if (!rc) {
    const struct xf_als_side side = {.observed = users ? &als->by_user : &als->by_item,
                                     .basis = &basis,
                                     .w = als->spec.w,
                                     .form = als->spec.form,
                                     .target = pull ? pull->target : NULL,
                                     .kappa = pull ? pull->kappa : 0,
                                     .stay = rotation != NULL,
                                     .row = users ? als->p : als->q};
    rc = xf_als_solve(&side, als->pool, &als->flops);
    if (!rc && rotation) rc = follow(als, users, &basis, rotation);
    xf_als_basis_deinit(&basis);
  }
  als->seconds += xf_time_diff_s(xf_time_now(), from);
  if (rc)
    return xf_diag_set(diag, rc, "solving the %s rows: %s", users ? "users'" : "items'",
                       xf_rc_text(rc));
  return XF_OK;
}

enum xf_rc xf_als_step_users(struct xf_als *als, const struct xf_als_pull *pull,
                             struct xf_diag *diag) {
  if (pull && !(pull->kappa >= 0 && pull->kappa <= 1))
    return xf_diag_set(diag, XF_E_RANGE, "kappa is %g; give 0 to 1", (double)pull->kappa);
  return half(als, true, pull && pull->kappa > 0 ? pull : NULL, NULL, diag);
}

enum xf_rc xf_als_step_items(struct xf_als *als, struct xf_diag *diag) {
  return half(als, false, NULL, NULL, diag);
}

/* A side's rows in their first coordinates again: row R^T. */
static void turn_back(const double *rotation, float **row, uint32_t n, uint32_t dim, float *r,
                      float *out) {
  const size_t d = dim;
  for (size_t i = 0; i < d * d; i++) r[i] = (float)rotation[i];
  xf_kern_get()->gemm(out, *row, r,
                      &(struct xf_gemm){.m = n, .n = d, .k = d, .tb = true, .alpha = 1});
  xf_free(*row);
  *row = out;
}

/* The objective does not change when both sides are rotated alike, so in between nothing is turned back. */
enum xf_rc xf_als_fit(struct xf_als *als, struct xf_diag *diag) {
  const size_t d = als->spec.dim;
  double *rotation = xf_try_calloc(d * d + 1, sizeof *rotation);
  float *r = xf_try_calloc(d * d + 1, sizeof *r);
  float *p = xf_try_calloc(als->n_users * d + 1, sizeof *p);
  float *q = xf_try_calloc(als->n_items * d + 1, sizeof *q);
  enum xf_rc rc = XF_OK;
  if (!rotation || !r || !p || !q)
    rc = xf_diag_set(diag, XF_E_NOMEM, "not enough memory to fit %u users and %u items of dim %u",
                     als->n_users, als->n_items, als->spec.dim);
  for (size_t i = 0; !rc && i < d; i++) rotation[i * d + i] = 1;
  if (!rc) rc = half(als, true, NULL, rotation, diag);
  for (uint32_t s = 1; !rc && s < als->spec.sweeps; s++) {
    rc = half(als, false, NULL, rotation, diag);
    if (!rc) rc = half(als, true, NULL, rotation, diag);
  }
  if (!rc) {
    turn_back(rotation, &als->p, als->n_users, als->spec.dim, r, p);
    turn_back(rotation, &als->q, als->n_items, als->spec.dim, r, q);
    p = q = NULL;
  }
  xf_free(rotation);
  xf_free(r);
  xf_free(p);
  xf_free(q);
  return rc;
}

static double dot64(const float *a, const float *b, size_t n) {
  double s = 0;
  for (size_t k = 0; k < n; k++) s += (double)a[k] * (double)b[k];
  return s;
}

double xf_als_objective(const struct xf_als *als, const struct xf_als_pull *pull) {
  const size_t d = als->spec.dim;
  const struct xf_als_weight *w = &als->spec.w;
  double sum = 0;
  for (uint32_t u = 0; u < als->n_users; u++) {
    const struct xf_csr *c = &als->by_user;
    const float *p = als->p + u * d, *m = pull ? pull->target + u * d : NULL;
    if (!active(c, u)) continue;
    double away = 0;
    for (size_t k = 0; k < d; k++) {
      const double v = (double)p[k] - (m ? (double)pull->kappa * (double)m[k] : 0);
      away += v * v;
    }
    sum += xf_als_lambda(w, c->start[u + 1] - c->start[u], als->n_active_items) * away;
    for (uint32_t i = 0; i < als->n_items; i++) {
      const double s = active(&als->by_item, i) ? dot64(p, als->q + i * d, d) : 0;
      sum += w->a * s * s;
    }
    for (uint32_t k = c->start[u]; k < c->start[u + 1]; k++) {
      const double e = 1 - dot64(p, als->q + c->item[k] * d, d);
      sum += e * e;
    }
  }
  for (uint32_t i = 0; i < als->n_items; i++) {
    const uint32_t n = als->by_item.start[i + 1] - als->by_item.start[i];
    const float *q = als->q + i * d;
    if (n) sum += xf_als_lambda(w, n, als->n_active_users) * dot64(q, q, d);
  }
  return sum;
}

void xf_als_get_rows(const struct xf_als *als, uint32_t first, uint32_t n, float *out) {
  const size_t d = als->spec.dim;
  memcpy(out, als->p + first * d, n * d * sizeof *out);
}

enum xf_rc xf_als_set_rows(struct xf_als *als, uint32_t first, uint32_t n, const float *in) {
  const size_t d = als->spec.dim;
  if (first > als->n_users || n > als->n_users - first) return XF_E_SHAPE;
  if (xf_vec_find_nonfinite(in, n * d) != SIZE_MAX) return XF_E_NAN;
  for (uint32_t u = 0; u < n; u++)
    if (active(&als->by_user, first + u))
      memcpy(als->p + (first + u) * d, in + u * d, d * sizeof *in);
  return XF_OK;
}

void xf_als_pull_target(const struct xf_als *als, const float *sum, const float *own,
                        const uint32_t *holders, uint32_t min_holders, float *out) {
  const size_t d = als->spec.dim;
  const uint32_t least = min_holders < 2 ? 2 : min_holders;
  for (uint32_t u = 0; u < als->n_users; u++) {
    float *m = out + u * d;
    memset(m, 0, d * sizeof *m);
    if (!active(&als->by_user, u) || holders[u] < least) continue;
    const float share = 1 / (float)(holders[u] - 1);
    for (size_t k = 0; k < d; k++) m[k] = (sum[u * d + k] - own[u * d + k]) * share;
  }
}
