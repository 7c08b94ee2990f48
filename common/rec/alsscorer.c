/* The ALS scorer: factors in the items' eigenbasis, where a user can be folded in or explained at any time. */
#include "rec/als.h"

#include "base/alloc.h"
#include "tensor/kern.h"

#include <math.h>
#include <string.h>

struct als_scorer {
  struct xf_scorer base; /* first */
  struct xf_als_basis basis;
  struct xf_als_weight w;
  enum xf_als_form form;
  struct xf_csr train; /* own copy: which history a row stands for */
  float *p;            /* [n_users x dim] rotated */
  float *target;       /* [n_users x dim] rotated kappa m, NULL: no pull */
};

static const struct als_scorer *self(const struct xf_scorer *s) {
  return (const struct als_scorer *)s;
}

/* Whether the stored row answers the query. */
static bool has_row(const struct als_scorer *s, const struct xf_query *q) {
  if (q->user >= s->train.n_row) return false;
  const uint32_t from = s->train.start[q->user], n = s->train.start[q->user + 1] - from;
  return n == q->n && (n == 0 || memcmp(s->train.item + from, q->item, n * sizeof *q->item) == 0);
}

/* lambda kappa m of the query's user into c; false: none. */
static bool pull_of(const struct als_scorer *s, const struct xf_query *q, float *c) {
  if (!s->target || q->user >= s->train.n_row) return false;
  const size_t d = s->basis.dim;
  const float lambda = (float)xf_als_lambda(&s->w, q->n, s->basis.n_active);
  for (size_t k = 0; k < d; k++) c[k] = lambda * s->target[q->user * d + k];
  return true;
}

static enum xf_rc check_history(const struct als_scorer *s, const struct xf_query *q,
                                struct xf_diag *diag) {
  for (uint32_t i = 0; i < q->n; i++)
    if (q->item[i] >= s->basis.n)
      return xf_diag_set(diag, XF_E_RANGE, "item %u in the history; there are %u items", q->item[i],
                         s->basis.n);
  return XF_OK;
}

static enum xf_rc als_score(const struct xf_scorer *scorer, const struct xf_query *q, float *out,
                            struct xf_diag *diag) {
  const struct als_scorer *s = self(scorer);
  const size_t d = s->basis.dim;
  struct xf_als_work work = {0};
  const float *p = NULL;
  float *fold = NULL;
  enum xf_rc rc = check_history(s, q, diag);
  if (rc) return rc;
  if (has_row(s, q)) {
    p = s->p + q->user * d;
  } else if (q->n == 0) {
    return xf_diag_set(diag, XF_E_NOTFOUND, "a user without row and without history");
  } else {
    rc = xf_als_work_init(&work, s->basis.dim);
    fold = xf_try_calloc(2 * d, sizeof *fold);
    if (!rc && !fold) rc = XF_E_NOMEM;
    const bool pulled = !rc && pull_of(s, q, fold + d);
    if (!rc)
      rc = xf_als_row(&work, &s->basis, &s->w, s->form, q->item, q->n, 1, pulled ? fold + d : NULL,
                      fold);
    if (rc) rc = xf_diag_set(diag, rc, "folding in a user of %u items: %s", q->n, xf_rc_text(rc));
    p = fold;
  }
  if (!rc)
    xf_kern_get()->gemm(out, p, s->basis.o,
                        &(struct xf_gemm){.m = 1, .n = s->basis.n, .k = d, .tb = true, .alpha = 1});
  xf_als_work_deinit(&work);
  xf_free(fold);
  return rc;
}

/* One product for users whose rows are stored; the others one by one. */
static enum xf_rc als_many(const struct xf_scorer *scorer, const struct xf_query *q, uint32_t n,
                           float *out, bool *served, struct xf_diag *diag) {
  const struct als_scorer *s = self(scorer);
  const size_t d = s->basis.dim, m = s->basis.n;
  float *row = xf_try_calloc((size_t)n * d + 1, sizeof *row);
  if (!row) return xf_diag_set(diag, XF_E_NOMEM, "not enough memory for %u rows", n);
  for (uint32_t i = 0; i < n; i++) {
    served[i] = has_row(s, &q[i]);
    if (served[i]) memcpy(row + i * d, s->p + q[i].user * d, d * sizeof *row);
  }
  xf_kern_get()->gemm(out, row, s->basis.o,
                      &(struct xf_gemm){.m = n, .n = m, .k = d, .tb = true, .alpha = 1});
  xf_free(row);
  for (uint32_t i = 0; i < n; i++) {
    if (served[i]) continue;
    const enum xf_rc rc = als_score(scorer, &q[i], out + i * m, diag);
    served[i] = rc == XF_OK;
    if (rc && rc != XF_E_NOTFOUND) return rc;
    if (rc) memset(out + i * m, 0, m * sizeof *out);
  }
  return XF_OK;
}

/* Keeps the k best, best first; ties keep the earlier. Returns how many there are. */
static uint32_t insert(struct xf_why *out, uint32_t n, uint32_t k, struct xf_why why) {
  uint32_t at = n;
  while (at > 0 && out[at - 1].share < why.share) at--;
  if (at >= k) return n;
  const uint32_t last = n < k ? n : k - 1;
  for (uint32_t i = last; i > at; i--) out[i] = out[i - 1];
  out[at] = why;
  return n < k ? n + 1 : k;
}

static uint32_t als_explain(const struct xf_scorer *scorer, const struct xf_query *q, uint32_t item,
                            struct xf_why *out, uint32_t k) {
  const struct als_scorer *s = self(scorer);
  const struct xf_kern *kern = xf_kern_get();
  const size_t d = s->basis.dim;
  struct xf_als_work work = {0};
  float *y = xf_try_calloc(2 * d, sizeof *y);
  uint32_t n = 0;
  if (item >= s->basis.n || q->n == 0 || check_history(s, q, NULL) || !y) goto out;
  if (xf_als_work_init(&work, s->basis.dim)) goto out;
  memcpy(y, s->basis.o + item * d, d * sizeof *y); /* y = A^-1 q_item */
  if (xf_als_row(&work, &s->basis, &s->w, s->form, q->item, q->n, 0, y, y)) goto out;
  for (uint32_t i = 0; i < q->n; i++)
    n = insert(out, n, k,
               (struct xf_why){q->item[i], kern->dot(y, s->basis.o + q->item[i] * d, d)});
  if (pull_of(s, q, y + d))
    n = insert(out, n, k, (struct xf_why){XF_NO_ID, kern->dot(y, y + d, d)});
out:
  xf_als_work_deinit(&work);
  xf_free(y);
  return n;
}

static void als_free(struct xf_scorer *scorer) {
  struct als_scorer *s = (struct als_scorer *)scorer;
  xf_als_basis_deinit(&s->basis);
  xf_free(s->train.start);
  xf_free(s->train.item);
  xf_free(s->p);
  xf_free(s->target);
  xf_free(s);
}

static const struct xf_scorer_kind ALS = {"als", als_score, als_explain, als_free};

static enum xf_rc copy(struct als_scorer *s, const struct xf_als *als,
                       const struct xf_als_pull *pull) {
  const size_t n_row = (size_t)als->n_users + 1, n_event = xf_csr_count(&als->by_user);
  const size_t n = (size_t)als->n_users * als->spec.dim;
  s->train.n_row = als->n_users;
  s->train.start = xf_try_calloc(n_row, sizeof *s->train.start);
  s->train.item = xf_try_calloc(n_event + 1, sizeof *s->train.item);
  s->p = xf_try_calloc(n + 1, sizeof *s->p);
  if (pull) s->target = xf_try_calloc(n + 1, sizeof *s->target);
  if (!s->train.start || !s->train.item || !s->p || (pull && !s->target)) return XF_E_NOMEM;
  memcpy(s->train.start, als->by_user.start, n_row * sizeof *s->train.start);
  memcpy(s->train.item, als->by_user.item, n_event * sizeof *s->train.item);
  const enum xf_rc rc =
      xf_als_basis_init(&s->basis, als->q, als->n_items, als->n_active_items, als->spec.dim, NULL);
  if (rc) return rc;
  xf_als_rotate(&s->basis, als->p, als->n_users, false, s->p);
  if (!pull) return XF_OK;
  xf_als_rotate(&s->basis, pull->target, als->n_users, false, s->target);
  xf_kern_get()->scale(s->target, s->target, pull->kappa, n);
  s->base.cost.memory += n * sizeof *s->target;
  return XF_OK;
}

enum xf_rc xf_als_scorer(struct xf_scorer **out, const struct xf_als *als,
                         const struct xf_als_pull *pull, struct xf_diag *diag) {
  struct als_scorer *s = xf_calloc(1, sizeof *s);
  *out = NULL;
  s->base = (struct xf_scorer){.kind = &ALS, .n_items = als->n_items, .many = als_many};
  s->base.cost.seconds = als->seconds;
  s->base.cost.memory = ((uint64_t)als->n_users + als->n_items) * als->spec.dim * sizeof(float);
  s->w = als->spec.w;
  s->form = als->spec.form;
  const enum xf_rc rc = copy(s, als, pull && pull->kappa > 0 ? pull : NULL);
  if (rc) {
    als_free(&s->base);
    return xf_diag_set(diag, rc, "the factors of %u users and %u items: %s", als->n_users,
                       als->n_items, xf_rc_text(rc));
  }
  *out = &s->base;
  return XF_OK;
}
