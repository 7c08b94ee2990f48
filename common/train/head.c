/* Features of the train rows, targets by the loss, one ridge, back into the vector of parameters. */
#include "train/head.h"

#include "base/alloc.h"
#include "model/score.h"
#include "train/ridge.h"

#include <inttypes.h>

enum { MAX_ROWS = 1 << 20 };

struct head {
  const struct xf_model_config *config;
  const struct xf_segment *weight, *bias;
  struct xf_ridge_job job;
  double *phi, *y, *w;
};

/* Both directions between the segments and w, whose last row is the bias. */
static void put_head(const struct head *h, float *params, bool from_params) {
  const struct xf_segment *seg[] = {h->weight, h->bias};
  double *w = h->w;
  for (int s = 0; s < 2; s++) {
    if (!seg[s]) continue;
    float *p = params + seg[s]->offset;
    for (size_t i = 0; i < (size_t)seg[s]->rows * seg[s]->cols; i++, w++)
      if (from_params) *w = (double)p[i];
      else p[i] = (float)*w;
  }
}

static void put_target(const struct head *h, double *to, float label) {
  const enum xf_loss loss = h->config->loss;
  for (uint32_t t = 0; t < h->job.m; t++)
    if (loss == XF_LOSS_SOFTMAX) to[t] = (uint32_t)label == t ? 1 : 0;
    else if (loss == XF_LOSS_BCE) to[t] = label > 0.5F ? 1 : -1;
    else to[t] = (double)label;
}

static enum xf_rc fill(struct head *h, const struct xf_model *model, const float *params,
                       const struct xf_table *table, const uint32_t *row, struct xf_diag *diag) {
  const size_t d = h->weight->rows;
  struct xf_score *score = NULL;
  float *x = xf_try_calloc((size_t)XF_SCORE_BLOCK * table->n_in, sizeof *x);
  enum xf_rc rc = x ? xf_score_new_hidden(&score, model, diag) : XF_E_NOMEM;
  for (uint32_t at = 0; at < h->job.n && !rc; at += XF_SCORE_BLOCK) {
    const uint32_t left = h->job.n - at, n = left < XF_SCORE_BLOCK ? left : XF_SCORE_BLOCK;
    const float *out = NULL;
    xf_table_gather(table, row + at, n, x);
    rc = xf_score_rows(score, params, x, n, &out, diag);
    for (uint32_t i = 0; i < n && !rc; i++) {
      double *phi = h->phi + (size_t)(at + i) * h->job.d;
      for (size_t k = 0; k < d; k++) phi[k] = (double)out[i * d + k];
      if (h->bias) phi[d] = 1;
      put_target(h, h->y + (size_t)(at + i) * h->job.m, table->y[row[at + i]]);
    }
  }
  xf_score_free(score);
  xf_free(x);
  return rc;
}

static enum xf_rc check(const struct head *h, const struct xf_dataset *data, size_t n,
                        struct xf_diag *diag) {
  const struct xf_table *t = &data->table;
  if (data->kind != XF_DATASET_TABLE || t->n_in != h->config->n_in)
    return xf_diag_set(diag, XF_E_SHAPE, "the head's data must be a table of %" PRIu32 " inputs",
                       h->config->n_in);
  if (h->config->loss == XF_LOSS_SOFTMAX && (!t->n_class || t->n_class > h->config->n_out))
    return xf_diag_set(diag, XF_E_SHAPE, "the labels must be classes below %" PRIu32,
                       h->config->n_out);
  return n <= MAX_ROWS
             ? XF_OK
             : xf_diag_set(diag, XF_E_LIMIT, "%zu rows for a head; at most %d", n, MAX_ROWS);
}

enum xf_rc xf_head_fit(const struct xf_model *model, float *params, const struct xf_dataset *data,
                       struct xf_head_report *report, struct xf_diag *diag) {
  struct head h = {.config = xf_model_get_config(model)};
  *report = (struct xf_head_report){0};
  if (!xf_model_get_head(model, &h.weight, &h.bias)) {
    struct xf_score *none = NULL;
    return xf_score_new_hidden(&none, model, diag); /* says why not */
  }
  size_t n = 0;
  uint32_t *row =
      data->kind == XF_DATASET_TABLE ? xf_table_rows(&data->table, XF_PART_TRAIN, &n) : NULL;
  enum xf_rc rc = check(&h, data, n, diag);
  if (rc || n == 0) goto out;
  const uint32_t d = h.weight->rows + (h.bias ? 1 : 0), m = h.weight->cols;
  h.phi = xf_try_calloc(n * d, sizeof *h.phi);
  h.y = xf_try_calloc(n * m, sizeof *h.y);
  h.w = xf_try_calloc((size_t)d * m, sizeof *h.w);
  rc = h.phi && h.y && h.w ? XF_OK : XF_E_NOMEM;
  if (rc) goto out;
  put_head(&h, params, true);
  h.job = (struct xf_ridge_job){.n = (uint32_t)n,
                                .d = d,
                                .m = m,
                                .phi = h.phi,
                                .y = h.y,
                                .prior = h.config->loss == XF_LOSS_MSE ? h.w : NULL,
                                .w = h.w};
  rc = fill(&h, model, params, &data->table, row, diag);
  if (!rc) rc = xf_ridge_solve(&h.job, diag);
  if (!rc) put_head(&h, params, false);
  if (!rc) *report = (struct xf_head_report){h.job.chosen, h.job.loo};
out:
  xf_free(row);
  xf_free(h.phi);
  xf_free(h.y);
  xf_free(h.w);
  return rc;
}
