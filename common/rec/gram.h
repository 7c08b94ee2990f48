/*
 * gram.h - item co-occurrence, the statistic that item models are made of and that travels best.
 *
 *   G = sum_u |x_u|^-beta x_u x_u^T      x_u: a user's train items, 0 or 1; beta 0, .5 or 1
 *
 * G adds up over users and so over silos. What leaves a silo is its strict upper triangle over the items it shares
 * (fed/trisum.h) and, without noise, the diagonal. With beta 1 one user changes that triangle by less than .7071 in L2,
 * whatever the history: xf_gram_sensitivity; the bound needs no clipping. Rounding a user's weight down to a grid only
 * shortens that user's part; rounding the sum would not.
 *
 * Not for: item models (item_model.h), summing silos (fed/trisum.h). Owner: caller, xf_gram_deinit. Thread: immutable
 * once built.
 * @source Steck 2019 (EASE), eq. 8: the Gram is all that a linear item model needs; docs/ALGORITHMS.md "Statistics"
 */
#ifndef XF_REC_GRAM_H
#define XF_REC_GRAM_H

#include "rec/scorer.h"

/* Symmetric: row i has the j != i with G_ij != 0, ascending, at [start[i], start[i + 1]); the diagonal is apart. */
struct xf_gram {
  uint32_t n;
  uint64_t *start; /* [n + 1] */
  uint32_t *item;
  float *value;
  float *diag; /* [n] */
  uint64_t cap;
};

struct xf_gram_spec {
  double beta;
  const uint8_t *
      counted; /* [n_items] 1: counts in |x_u|; NULL: all. With it one statistic serves all silos */
  uint64_t max_bytes; /* 0: 4 GiB */
  double
      step; /* a power of two: each user's weight is rounded down to a multiple of it, so that sums are exact and the
                  sensitivity holds on the grid that noise is added on (priv/release.h); 0: none */
};

/* Builds. Sums in double, users ascending: the same bytes everywhere. @own out: xf_gram_deinit
   @err E_RANGE (beta, step) E_LIMIT (larger than max_bytes: says how large) E_NOMEM */
XF_WARN_UNUSED enum xf_rc xf_gram_build(struct xf_gram *out, const struct xf_rec_data *data,
                                        const struct xf_gram_spec *spec, struct xf_diag *diag);
/* Releases; idempotent. @own gram */
void xf_gram_deinit(struct xf_gram *gram);
/* G_ij. @thread any */
float xf_gram_get(const struct xf_gram *gram, uint32_t i, uint32_t j);

/* The part over m shared items, shared[k] the local id of the k-th: triangle as in fed/trisum.h, diagonal; each may be NULL.
   @shape shared[m] distinct, triangle[m (m - 1) / 2], diagonal[m] @err E_INVAL E_NOMEM */
XF_WARN_UNUSED enum xf_rc xf_gram_pack(const struct xf_gram *gram, const uint32_t *shared,
                                       uint32_t m, float *triangle, float *diagonal);
/* out = own + lambda times a packed statistic of others; zero entries of it are not stored.
   @own out: xf_gram_deinit @shape as xf_gram_pack @err E_INVAL E_LIMIT (above max_bytes; 0: 4 GiB) E_NOMEM */
XF_WARN_UNUSED enum xf_rc xf_gram_combine(struct xf_gram *out, const struct xf_gram *own,
                                          double lambda, const uint32_t *shared, uint32_t m,
                                          const float *triangle, const float *diagonal,
                                          uint64_t max_bytes, struct xf_diag *diag);
/* L2 of what a user with n items adds to the beta-1 triangle: sqrt((n - 1) / (2 n)), below sqrt(1/2) for every n.
   @unit L2 norm */
double xf_gram_sensitivity(uint32_t n);
#define XF_GRAM_SENSITIVITY 0.70710678118654757
/* What an entry of a noisy triangle may reach (priv/release.h: largest): 8,192 users who all have the pair and nothing else. Fixed,
   because a grid chosen by the data would tell about them. A user of more than 4,096 items then adds nothing. */
#define XF_GRAM_LARGEST 4096.0

/* After noise of deviation sd on each entry: zeroes entries up to 4 sd, makes the diagonal a third of the row sums;
   returns how many entries stay. @shape triangle[m (m - 1) / 2], diagonal[m] */
uint64_t xf_gram_threshold(float *triangle, float *diagonal, uint32_t m, double sd);
/* The same with entries up to `cut` zeroed and `off` taken from the others (0 <= off <= cut): a lower cut finds more, and the
   subtraction keeps what noise alone brought above it small. cut 4 sd, off 0 is the threshold above.
   @shape as xf_gram_threshold */
uint64_t xf_gram_shrink(float *triangle, float *diagonal, uint32_t m, double cut, double off);

#endif
