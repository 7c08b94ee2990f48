/* Newton's method on the list-wise loss of a guard's table. */
#include "rec/mix.h"

#include "base/alloc.h"
#include "base/rng.h"
#include "data/csr.h"
#include "data/sampler.h"
#include "tensor/lapack.h"

#include <math.h>
#include <string.h>

enum { STEPS = 100, HALVINGS = 40 };
static const double TOLERANCE = 1e-7;

enum { D_MAX = 2 * XF_BLEND_PARTS };

struct fit {
  const struct xf_guard_table *table;
  const uint32_t *column;
  uint32_t d; /* two for each candidate: z, bent z */
  double l2;
  uint64_t *start;                                      /* [n_user + 1] first row of a list */
  double *x;                                            /* [rows x d] */
  double *p;                                            /* [rows of a list] probabilities */
  double *c;                                            /* [d] a centred row */
  double grad[D_MAX], mean[D_MAX], hess[D_MAX * D_MAX]; /* hess [d x d] */
};

/* Rows of a list: the first held-out item, then the negatives. */
static void fill(struct fit *f, uint32_t i) {
  const uint32_t n_pos = f->table->n_pos[i], slots = xf_guard_table_slots(f->table, i);
  for (uint32_t k = 0; k < f->d / 2; k++) {
    const float *row = xf_guard_table_row(f->table, i, f->column[k]);
    double *x = f->x + f->start[i] * f->d + 2 * (size_t)k;
    for (uint32_t r = 0; r < slots; r++) {
      if (r > 0 && r < n_pos) continue;
      x[0] = (double)row[r];
      x[1] = (double)xf_guard_bend(row[r]);
      x += f->d;
    }
  }
}

/* Probabilities of a list under w; its loss. */
static double softmax(struct fit *f, uint32_t i, const double *w) {
  const uint32_t n = (uint32_t)(f->start[i + 1] - f->start[i]);
  const double *x = f->x + f->start[i] * f->d;
  double top = -INFINITY, sum = 0;
  for (uint32_t r = 0; r < n; r++, x += f->d) {
    double z = 0;
    for (uint32_t k = 0; k < f->d; k++) z += w[k] * x[k];
    f->p[r] = z;
    top = fmax(top, z);
  }
  const double first = f->p[0] - top;
  for (uint32_t r = 0; r < n; r++) sum += f->p[r] = exp(f->p[r] - top);
  for (uint32_t r = 0; r < n; r++) f->p[r] /= sum;
  return log(sum) - first;
}

/* Adds one list's gradient and the upper half of its Hessian. */
static void add_list(struct fit *f, uint32_t i) {
  const uint32_t n = (uint32_t)(f->start[i + 1] - f->start[i]), d = f->d;
  const double *x = f->x + f->start[i] * d;
  memset(f->mean, 0, sizeof f->mean);
  for (uint32_t r = 0; r < n; r++)
    for (uint32_t k = 0; k < d; k++) f->mean[k] += f->p[r] * x[r * (size_t)d + k];
  for (uint32_t k = 0; k < d; k++) f->grad[k] += f->mean[k] - x[k];
  for (uint32_t r = 0; r < n; r++) {
    for (uint32_t k = 0; k < d; k++) f->c[k] = x[r * (size_t)d + k] - f->mean[k];
    for (uint32_t k = 0; k < d; k++) {
      const double a = f->p[r] * f->c[k];
      double *h = f->hess + (size_t)k * d;
      for (uint32_t l = k; l < d; l++) h[l] += a * f->c[l];
    }
  }
}

static double evaluate(struct fit *f, const double *w, bool full) {
  const uint32_t d = f->d;
  const double n = f->table->n_user;
  double loss = 0, norm2 = 0;
  if (full) {
    memset(f->grad, 0, sizeof f->grad);
    memset(f->hess, 0, sizeof f->hess);
  }
  for (uint32_t i = 0; i < f->table->n_user; i++) {
    loss += softmax(f, i, w);
    if (full) add_list(f, i);
  }
  for (uint32_t k = 0; k < d; k++) {
    norm2 += w[k] * w[k];
    if (!full) continue;
    f->grad[k] = f->grad[k] / n + f->l2 * w[k];
    for (uint32_t l = k; l < d; l++)
      f->hess[k * d + l] = f->hess[l * d + k] = f->hess[k * d + l] / n + (k == l ? f->l2 : 0);
  }
  return loss / n + f->l2 / 2 * norm2;
}

/* One step with halving; *done when the gradient is small or no step lowers the loss. */
static enum xf_rc newton(struct fit *f, double *w, double *loss, bool *done, struct xf_diag *diag) {
  double size = 0, t = 1, step[D_MAX], try[D_MAX];
  for (uint32_t k = 0; k < f->d; k++) size = fmax(size, fabs(f->grad[k]));
  *done = size < TOLERANCE;
  if (*done) return XF_OK;
  const enum xf_rc rc = xf_lapack_invert(f->hess, f->d, diag);
  if (rc) return rc;
  for (uint32_t k = 0; k < f->d; k++) {
    step[k] = 0;
    for (uint32_t l = 0; l < f->d; l++) step[k] += f->hess[k * f->d + l] * f->grad[l];
  }
  for (int h = 0; h < HALVINGS; h++, t /= 2) {
    for (uint32_t k = 0; k < f->d; k++) try[k] = w[k] - t * step[k];
    if (evaluate(f, try, false) >= *loss) continue;
    memcpy(w, try, f->d * sizeof *w);
    *loss = evaluate(f, w, true);
    return XF_OK;
  }
  *done = true; /* at the precision of the loss */
  return XF_OK;
}

static enum xf_rc fit_init(struct fit *f, struct xf_diag *diag) {
  const uint32_t n = f->table->n_user;
  uint64_t most = 0;
  f->start = xf_try_calloc((size_t)n + 1, sizeof *f->start);
  for (uint32_t i = 0; f->start && i < n; i++) {
    const uint64_t rows = 1 + xf_guard_table_slots(f->table, i) - f->table->n_pos[i];
    f->start[i + 1] = f->start[i] + rows;
    if (rows > most) most = rows;
  }
  f->x = f->start ? xf_try_calloc((size_t)f->start[n] * f->d + 1, sizeof *f->x) : NULL;
  f->p = xf_try_calloc((size_t)most + 1, sizeof *f->p);
  f->c = xf_try_calloc(f->d, sizeof *f->c);
  if (!f->x || !f->p || !f->c) return xf_diag_set(diag, XF_E_NOMEM, "no memory for %u lists", n);
  for (uint32_t i = 0; i < n; i++) fill(f, i);
  return XF_OK;
}

enum xf_rc xf_mix_fit(struct xf_mix *out, const struct xf_guard_table *table,
                      const uint32_t *column, uint32_t n, double l2, struct xf_diag *diag) {
  *out = (struct xf_mix){.n_list = table->n_user};
  if (!(l2 > 0) || !isfinite(l2) || table->n_user == 0 || n == 0 || n > XF_BLEND_PARTS)
    return xf_diag_set(diag, XF_E_RANGE,
                       "a mix of %u candidates on %u lists with l2 %g: each must be above 0", n,
                       table->n_user, l2);
  struct fit *f = xf_calloc(1, sizeof *f);
  double w[D_MAX] = {0};
  bool done = false;
  *f = (struct fit){.table = table, .column = column, .d = 2 * n, .l2 = l2};
  enum xf_rc rc = fit_init(f, diag);
  out->loss = rc ? 0 : evaluate(f, w, true);
  while (!rc && !done && out->n_step < STEPS) {
    rc = newton(f, w, &out->loss, &done, diag);
    out->n_step += !rc && !done;
  }
  if (!rc && (!done || !isfinite(out->loss)))
    rc = xf_diag_set(diag, XF_E_NAN, "the mix did not converge in %d steps (loss %g)", STEPS,
                     out->loss);
  for (uint32_t k = 0; k < n; k++) out->weight[k] = (struct xf_guard_mix){w[2 * k], w[2 * k + 1]};
  xf_free(f->start);
  xf_free(f->x);
  xf_free(f->p);
  xf_free(f->c);
  xf_free(f);
  return rc;
}

enum xf_rc xf_mix_negatives(struct xf_csr *out, const struct xf_split *split, enum xf_part part,
                            uint32_t n, uint64_t seed) {
  const uint32_t n_users = split->n_users, n_items = split->n_items;
  const struct xf_csr *held = &split->part[part];
  uint32_t *mark = xf_try_calloc((size_t)n_items + 1, sizeof *mark), stamp = 0;
  size_t n_list = 0;
  for (uint32_t u = 0; u < n_users; u++) n_list += held->start[u + 1] > held->start[u];
  *out = (struct xf_csr){.n_row = n_users};
  out->start = xf_try_calloc((size_t)n_users + 1, sizeof *out->start);
  out->item = xf_try_calloc(n_list * n + 1, sizeof *out->item);
  if (!mark || !out->start || !out->item) {
    xf_free(mark);
    xf_csr_deinit(out);
    return XF_E_NOMEM;
  }
  for (uint32_t u = 0; u < n_users; u++) {
    out->start[u + 1] = out->start[u];
    if (held->start[u] == held->start[u + 1]) continue;
    uint32_t taken = 0;
    struct xf_rng rng;
    stamp++;
    for (uint32_t i = 0; i < n_items; i++)
      if (split->item_count[i] == 0) mark[i] = stamp;
    for (int p = 0; p < XF_N_PART; p++)
      for (uint32_t k = split->part[p].start[u]; k < split->part[p].start[u + 1]; k++)
        mark[split->part[p].item[k]] = stamp;
    for (uint32_t i = 0; i < n_items; i++) taken += mark[i] == stamp;
    xf_rng_init(&rng, seed, u);
    out->start[u + 1] +=
        xf_sampler_distinct(&rng, out->item + out->start[u], n, n_items, taken, mark, stamp);
  }
  xf_free(mark);
  return XF_OK;
}
