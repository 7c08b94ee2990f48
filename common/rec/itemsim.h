/*
 * itemsim.h - how alike two items are, for re-ranking and for the measures of diversity: one interface, four sources.
 *
 *   categories   cosine of multi-hot rows: common / sqrt(n_i n_j)           (data/categories.h)
 *   vectors      cosine of item factors
 *   Gram         G_ij / sqrt(G_ii G_jj): cosine of the items' columns of users (gram.h)
 *   matrix       given numbers
 *
 * An item is like itself: 1 (a matrix: what it says). An item without categories, with a zero row or without events is
 * like no other: 0. The first three are positive semidefinite, which the DPP needs (a thresholded Gram perhaps not).
 * Not for: reading categories. Owner: caller, xf_itemsim_deinit; sources are borrowed, vectors copied. Thread: immutable.
 */
#ifndef XF_REC_ITEMSIM_H
#define XF_REC_ITEMSIM_H

#include "data/categories.h"
#include "rec/gram.h"

enum xf_itemsim_kind {
  XF_ITEMSIM_CATEGORIES,
  XF_ITEMSIM_VECTORS,
  XF_ITEMSIM_GRAM,
  XF_ITEMSIM_MATRIX
};

struct xf_itemsim {
  enum xf_itemsim_kind kind;
  uint32_t n_items;
  const struct xf_csr *category;
  const struct xf_gram *gram;
  const double *matrix;
  float *unit; /* [n_items x dim] own: rows of length 1, or 0 */
  uint32_t dim;
};

/* Candidates of one list, best first: what dpp.h, mmr.h and calibrate.h pick from. Borrowed. */
struct xf_slate {
  const struct xf_itemsim *sim; /* calibrate.h needs none */
  const uint32_t *item;         /* [n] */
  const double *rel;            /* [n] relevance, finite */
  uint32_t n;
};

/* By categories; items of the data beyond its rows have none. @own borrows categories */
void xf_itemsim_categories(struct xf_itemsim *out, const struct xf_categories *categories,
                           uint32_t n_items);
/* By factors. @own out: xf_itemsim_deinit; vector is copied @shape vector[n_items x dim] @err E_NAN (names item and column)
   E_NOMEM */
XF_WARN_UNUSED enum xf_rc xf_itemsim_vectors(struct xf_itemsim *out, const float *vector,
                                             uint32_t n_items, uint32_t dim, struct xf_diag *diag);
/* By common users. @own borrows gram */
void xf_itemsim_gram(struct xf_itemsim *out, const struct xf_gram *gram);
/* As given, symmetric. @shape matrix[n_items x n_items] @own borrows matrix */
void xf_itemsim_matrix(struct xf_itemsim *out, const double *matrix, uint32_t n_items);
/* Releases; idempotent, legal on a zeroed struct. @own sim */
void xf_itemsim_deinit(struct xf_itemsim *sim);
/* Similarity, at most 1 (a matrix: as it says). @unit cosine */
double xf_itemsim_get(const struct xf_itemsim *sim, uint32_t i, uint32_t j);

#endif
