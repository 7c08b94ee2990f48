#include "rec/itemsim.h"

#include "base/alloc.h"

#include <inttypes.h>
#include <math.h>

void xf_itemsim_categories(struct xf_itemsim *out, const struct xf_categories *categories,
                           uint32_t n_items) {
  *out = (struct xf_itemsim){
      .kind = XF_ITEMSIM_CATEGORIES, .n_items = n_items, .category = &categories->of};
}

void xf_itemsim_gram(struct xf_itemsim *out, const struct xf_gram *gram) {
  *out = (struct xf_itemsim){.kind = XF_ITEMSIM_GRAM, .n_items = gram->n, .gram = gram};
}

void xf_itemsim_matrix(struct xf_itemsim *out, const double *matrix, uint32_t n_items) {
  *out = (struct xf_itemsim){.kind = XF_ITEMSIM_MATRIX, .n_items = n_items, .matrix = matrix};
}

enum xf_rc xf_itemsim_vectors(struct xf_itemsim *out, const float *vector, uint32_t n_items,
                              uint32_t dim, struct xf_diag *diag) {
  size_t n = 0;
  *out = (struct xf_itemsim){.kind = XF_ITEMSIM_VECTORS, .n_items = n_items, .dim = dim};
  if (xf_mul_size(&n, n_items, dim)) out->unit = xf_try_calloc(n + 1, sizeof *out->unit);
  if (!out->unit)
    return xf_diag_set(diag, XF_E_NOMEM, "no memory for %" PRIu32 " items of %" PRIu32 " factors",
                       n_items, dim);
  for (size_t i = 0; i < n_items; i++) {
    double norm2 = 0;
    for (size_t d = 0; d < dim; d++) {
      const double x = (double)vector[i * dim + d];
      if (!isfinite(x)) {
        xf_itemsim_deinit(out);
        return xf_diag_set(diag, XF_E_NAN, "factor %zu of item number %zu is not a number", d, i);
      }
      norm2 += x * x;
    }
    const double scale = norm2 > 0 ? 1 / sqrt(norm2) : 0;
    for (size_t d = 0; d < dim; d++)
      out->unit[i * dim + d] = (float)((double)vector[i * dim + d] * scale);
  }
  return XF_OK;
}

void xf_itemsim_deinit(struct xf_itemsim *sim) {
  xf_free(sim->unit);
  *sim = (struct xf_itemsim){0};
}

/* Rows are ascending. */
static double by_category(const struct xf_csr *c, uint32_t i, uint32_t j) {
  if (i >= c->n_row || j >= c->n_row) return 0;
  uint32_t a = c->start[i], b = c->start[j], common = 0;
  const uint32_t a_end = c->start[i + 1], b_end = c->start[j + 1];
  const double sizes = (double)(a_end - a) * (double)(b_end - b);
  while (a < a_end && b < b_end) {
    const uint32_t x = c->item[a], y = c->item[b];
    common += x == y;
    a += x <= y;
    b += y <= x;
  }
  return common ? (double)common / sqrt(sizes) : 0;
}

static double by_vector(const struct xf_itemsim *sim, uint32_t i, uint32_t j) {
  const float *a = sim->unit + (size_t)i * sim->dim, *b = sim->unit + (size_t)j * sim->dim;
  double dot = 0;
  for (uint32_t d = 0; d < sim->dim; d++) dot += (double)a[d] * (double)b[d];
  return fmin(dot, 1);
}

static double by_gram(const struct xf_gram *g, uint32_t i, uint32_t j) {
  const double sizes = (double)g->diag[i] * (double)g->diag[j];
  return sizes > 0 ? fmin((double)xf_gram_get(g, i, j) / sqrt(sizes), 1) : 0;
}

double xf_itemsim_get(const struct xf_itemsim *sim, uint32_t i, uint32_t j) {
  if (sim->kind == XF_ITEMSIM_MATRIX) return sim->matrix[(size_t)i * sim->n_items + j];
  if (i == j) return 1;
  switch (sim->kind) {
  case XF_ITEMSIM_CATEGORIES: return by_category(sim->category, i, j);
  case XF_ITEMSIM_VECTORS: return by_vector(sim, i, j);
  default: return by_gram(sim->gram, i, j);
  }
}
