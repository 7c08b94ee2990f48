/* Exact federated iALS: what a domain adds for each user, and the solution from the sum. */
#include "rec/als.h"

#include "base/alloc.h"
#include "param/vec.h"
#include "tensor/lapack.h"

#include <math.h>
#include <string.h>

/* acc (double) += q q^T packed, q, 1 */
static void add_item(double *acc, const float *q, size_t d) {
  double *a = acc;
  for (size_t i = 0; i < d; i++) {
    const double qi = (double)q[i];
    for (size_t j = 0; j <= i; j++) a[j] += qi * (double)q[j];
    a += i + 1;
  }
  for (size_t i = 0; i < d; i++) a[i] += (double)q[i];
  a[d] += 1;
}

enum xf_rc xf_als_add_sums(const struct xf_als *als, uint32_t first, uint32_t n, float weight,
                           float *out) {
  const size_t d = als->spec.dim, len = xf_als_sums_len(als->spec.dim);
  struct xf_als_basis basis;
  double *acc = xf_try_calloc(len, sizeof *acc);
  enum xf_rc rc = acc ? xf_als_basis_init(&basis, als->q, als->n_items, als->n_active_items,
                                          als->spec.dim, NULL)
                      : XF_E_NOMEM;
  if (rc) goto out;
  const double a = als->spec.w.a;
  for (uint32_t u = 0; u < n; u++) {
    const uint32_t *start = als->by_user.start + first + u;
    if (start[1] == start[0]) continue;
    double *at = acc;
    for (size_t i = 0; i < d; i++)
      for (size_t j = 0; j <= i; j++) *at++ = a * basis.gram[i * d + j];
    memset(at, 0, d * sizeof *at);
    at[d] = a * als->n_active_items;
    for (uint32_t k = start[0]; k < start[1]; k++)
      add_item(acc, als->q + als->by_user.item[k] * d, d);
    for (size_t i = 0; i < len; i++) out[u * len + i] += (float)((double)weight * acc[i]);
  }
  xf_als_basis_deinit(&basis);
out:
  xf_free(acc);
  return rc;
}

static enum xf_rc solve_user(const struct xf_als *als, const float *sums, float *full, float *p) {
  const size_t d = als->spec.dim;
  const float *b = sums + d * (d + 1) / 2;
  const double lambda = als->spec.w.rho * pow((double)b[d], als->spec.w.nu);
  for (size_t i = 0; i < d; i++)
    for (size_t j = 0; j <= i; j++) full[i * d + j] = full[j * d + i] = *sums++;
  for (size_t i = 0; i < d; i++) full[i * d + i] += (float)lambda;
  memcpy(p, b, d * sizeof *p);
  const enum xf_rc rc = xf_lapack_sposv(full, p, d);
  return rc ? rc : xf_vec_find_nonfinite(p, d) == SIZE_MAX ? XF_OK : XF_E_NAN;
}

enum xf_rc xf_als_set_sums(struct xf_als *als, uint32_t first, uint32_t n, const float *sums,
                           struct xf_diag *diag) {
  const size_t d = als->spec.dim, len = xf_als_sums_len(als->spec.dim);
  if (first > als->n_users || n > als->n_users - first)
    return xf_diag_set(diag, XF_E_SHAPE, "users %u to %llu of %u", first,
                       (unsigned long long)first + n, als->n_users);
  float *full = xf_try_calloc(d * d + d, sizeof *full);
  if (!full) return xf_diag_set(diag, XF_E_NOMEM, "not enough memory for dim %zu", d);
  enum xf_rc rc = XF_OK;
  for (uint32_t u = 0; !rc && u < n; u++) {
    const uint32_t *start = als->by_user.start + first + u;
    if (start[1] == start[0]) continue;
    rc = solve_user(als, sums + u * len, full, full + d * d);
    if (rc) rc = xf_diag_set(diag, rc, "the sums of user %u: %s", first + u, xf_rc_text(rc));
    else memcpy(als->p + (first + u) * d, full + d * d, d * sizeof *als->p);
  }
  xf_free(full);
  return rc;
}
