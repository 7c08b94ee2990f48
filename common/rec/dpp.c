#include "rec/dpp.h"

#include "base/alloc.h"

#include <math.h>

#define LEAST 1e-10 /* of the diagonal */

double xf_dpp_quality(double theta, double r) { return theta / (2 * (1 - theta)) * (r - 1); }

struct work {
  const struct xf_slate *slate;
  double ridge;
  double *row;   /* [k x n] Cholesky entries: row t, candidate i */
  double *left;  /* [n] what the picks leave of the diagonal of S */
  double *whole; /* [n] the diagonal */
  uint8_t *taken;
};

static double blended(const struct work *w, uint32_t i, uint32_t j) {
  const struct xf_slate *s = w->slate;
  const double x = (1 - w->ridge) * xf_itemsim_get(s->sim, s->item[i], s->item[j]);
  return i == j ? x + w->ridge : x;
}

/* The free candidate of the largest gain, or n. */
static uint32_t best(const struct work *w, double *gain) {
  const uint32_t n = w->slate->n;
  uint32_t at = n;
  for (uint32_t i = 0; i < n; i++) {
    if (w->taken[i] || !(w->left[i] > LEAST * w->whole[i])) continue;
    const double g = 2 * w->slate->rel[i] + log(w->left[i]);
    if (at < n && !(g > *gain)) continue;
    at = i;
    *gain = g;
  }
  return at;
}

static uint32_t most_relevant(const struct work *w) {
  const struct xf_slate *s = w->slate;
  uint32_t at = s->n;
  for (uint32_t i = 0; i < s->n; i++)
    if (!w->taken[i] && (at == s->n || s->rel[i] > s->rel[at])) at = i;
  return at;
}

/* Entry t of every free candidate's row, after candidate j was picked as number t. */
static void grow(struct work *w, uint32_t j, uint32_t t) {
  const uint32_t n = w->slate->n;
  const double scale = 1 / sqrt(w->left[j]);
  for (uint32_t i = 0; i < n; i++) {
    if (w->taken[i]) continue;
    double x = blended(w, j, i);
    for (uint32_t m = 0; m < t; m++) x -= w->row[(size_t)m * n + j] * w->row[(size_t)m * n + i];
    x *= scale;
    w->row[(size_t)t * n + i] = x;
    w->left[i] -= x * x;
  }
}

static void pick_all(struct work *w, uint32_t *pick, double *gain, uint32_t k) {
  const uint32_t n = w->slate->n;
  bool spanned = false;
  for (uint32_t i = 0; i < n; i++) w->left[i] = w->whole[i] = blended(w, i, i);
  for (uint32_t t = 0; t < k; t++) {
    double g = -(double)INFINITY;
    uint32_t at = spanned ? n : best(w, &g);
    spanned = at == n;
    if (spanned) at = most_relevant(w);
    w->taken[at] = 1;
    pick[t] = at;
    if (gain) gain[t] = g;
    if (!spanned && t + 1 < k) grow(w, at, t);
  }
}

enum xf_rc xf_dpp(uint32_t *pick, double *gain, const struct xf_slate *slate, uint32_t k,
                  double ridge) {
  struct work w = {.slate = slate, .ridge = ridge};
  const size_t n = slate->n;
  size_t entries = 0;
  if (k > n) k = slate->n;
  if (!xf_mul_size(&entries, n, k)) return XF_E_NOMEM;
  w.row = xf_try_calloc(entries + 1, sizeof *w.row);
  w.left = xf_try_calloc(n + 1, sizeof *w.left);
  w.whole = xf_try_calloc(n + 1, sizeof *w.whole);
  w.taken = xf_try_calloc(n + 1, 1);
  const bool ok = w.row && w.left && w.whole && w.taken;
  if (ok) pick_all(&w, pick, gain, k);
  xf_free(w.row);
  xf_free(w.left);
  xf_free(w.whole);
  xf_free(w.taken);
  return ok ? XF_OK : XF_E_NOMEM;
}
