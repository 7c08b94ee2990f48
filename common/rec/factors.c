#include "rec/factors.h"

#include "base/alloc.h"
#include "param/vec.h"
#include "tensor/kern.h"

#include <math.h>
#include <string.h>

struct factors {
  struct xf_scorer base;
  uint32_t n_users, dim;
  float *user;      /* [n_users x dim] */
  float *item;      /* [n_items x dim] */
  float *user_bias; /* [n_users] or NULL */
  float *item_bias; /* [n_items] or NULL */
  float *inverse;   /* [n_items] 1 / length of the item's row; 0 for a zero row */
  float bias;
};

static enum xf_rc score(const struct xf_scorer *s, const struct xf_query *q, float *out,
                        struct xf_diag *diag) {
  const struct factors *f = (const struct factors *)s;
  const struct xf_kern *k = xf_kern_get();
  const uint32_t n = s->n_items, dim = f->dim;
  if (q->user < f->n_users) {
    const float *p = f->user + (size_t)q->user * dim;
    const float level = f->bias + (f->user_bias ? f->user_bias[q->user] : 0);
    for (uint32_t i = 0; i < n; i++) out[i] = k->dot(p, f->item + (size_t)i * dim, dim) + level;
    if (f->item_bias) k->add(out, out, f->item_bias, n);
    return XF_OK;
  }
  if (q->n == 0)
    return xf_diag_set(diag, XF_E_NOTFOUND, "neither a user of the train part nor a history");
  float *mean = xf_try_calloc(dim, sizeof *mean);
  if (!mean) return XF_E_NOMEM;
  for (uint32_t h = 0; h < q->n; h++) {
    const float *row = f->item + (size_t)q->item[h] * dim;
    const float w = f->inverse[q->item[h]] / (float)q->n;
    for (uint32_t c = 0; c < dim; c++) mean[c] += w * row[c];
  }
  for (uint32_t i = 0; i < n; i++)
    out[i] = k->dot(mean, f->item + (size_t)i * dim, dim) * f->inverse[i];
  xf_free(mean);
  return XF_OK;
}

/* Of a history's mean cosine: each item's cosine over their number, the largest first. */
static uint32_t explain(const struct xf_scorer *s, const struct xf_query *q, uint32_t item,
                        struct xf_why *out, uint32_t k) {
  const struct factors *f = (const struct factors *)s;
  const struct xf_kern *kern = xf_kern_get();
  uint32_t n = 0;
  if (q->user < f->n_users || item >= s->n_items) return 0;
  for (uint32_t h = 0; h < q->n && k > 0; h++) {
    const uint32_t j = q->item[h];
    const float dot =
        kern->dot(f->item + (size_t)item * f->dim, f->item + (size_t)j * f->dim, f->dim);
    const float share = dot * f->inverse[item] * f->inverse[j] / (float)q->n;
    if (n == k && !(share > out[n - 1].share)) continue;
    uint32_t at = n < k ? n++ : n - 1;
    for (; at > 0 && share > out[at - 1].share; at--) out[at] = out[at - 1];
    out[at] = (struct xf_why){j, share};
  }
  return n;
}

static void factors_free(struct xf_scorer *s) {
  struct factors *f = (struct factors *)s;
  xf_free(f->user);
  xf_free(f->item);
  xf_free(f->user_bias);
  xf_free(f->item_bias);
  xf_free(f->inverse);
  xf_free(f);
}

static const struct xf_scorer_kind factors_kind = {"factors", score, explain, factors_free};

/* A segment's numbers, or NULL where the model has no such segment. */
static enum xf_rc copy(float **out, const struct xf_layout *layout, const char *name,
                       const float *params, struct xf_diag *diag) {
  const struct xf_segment *seg = xf_layout_find(layout, name);
  *out = NULL;
  if (!seg) return XF_OK;
  const size_t n = (size_t)seg->rows * seg->cols;
  if (xf_vec_find_nonfinite(params + seg->offset, n) != SIZE_MAX)
    return xf_diag_set(diag, XF_E_NAN, "segment \"%s\" of the model holds NaN or infinity", name);
  *out = xf_try_calloc(n, sizeof **out);
  if (!*out) return xf_diag_set(diag, XF_E_NOMEM, "no memory for %zu floats of \"%s\"", n, name);
  memcpy(*out, params + seg->offset, n * sizeof **out);
  return XF_OK;
}

static enum xf_rc fill(struct factors *f, const struct xf_layout *layout, const float *params,
                       struct xf_diag *diag) {
  float *bias = NULL;
  enum xf_rc rc = copy(&f->user, layout, "user", params, diag);
  if (!rc) rc = copy(&f->item, layout, "item", params, diag);
  if (!rc) rc = copy(&f->user_bias, layout, "user_bias", params, diag);
  if (!rc) rc = copy(&f->item_bias, layout, "item_bias", params, diag);
  if (!rc) rc = copy(&bias, layout, "bias", params, diag);
  if (bias) f->bias = bias[0];
  xf_free(bias);
  if (rc) return rc;
  f->inverse = xf_try_calloc(f->base.n_items, sizeof *f->inverse);
  if (!f->inverse) return XF_E_NOMEM;
  for (uint32_t i = 0; i < f->base.n_items; i++) {
    const double length = sqrt(xf_vec_norm2(f->item + (size_t)i * f->dim, f->dim));
    f->inverse[i] = length > 0 ? (float)(1 / length) : 0;
  }
  return XF_OK;
}

enum xf_rc xf_factors_scorer(struct xf_scorer **out, const struct xf_model *model,
                             const float *params, struct xf_diag *diag) {
  const struct xf_layout *layout = xf_model_get_layout(model);
  const struct xf_segment *user = xf_layout_find(layout, "user");
  const struct xf_segment *item = xf_layout_find(layout, "item");
  *out = NULL;
  if (!user || !item || user->cols != item->cols)
    return xf_diag_set(diag, XF_E_UNSUPPORTED, "this model has no rows of users and items");
  struct factors *f = xf_calloc(1, sizeof *f);
  f->base = (struct xf_scorer){.kind = &factors_kind, .n_items = item->rows};
  f->n_users = user->rows;
  f->dim = user->cols;
  f->base.cost.memory = ((uint64_t)f->n_users + f->base.n_items) * f->dim * sizeof(float);
  const enum xf_rc rc = fill(f, layout, params, diag);
  if (rc) {
    xf_scorer_free(&f->base);
    return rc;
  }
  *out = &f->base;
  return XF_OK;
}
