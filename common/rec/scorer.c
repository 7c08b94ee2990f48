/* Asking a scorer for several users, and what a score is made of. */
#include "rec/scorer.h"

#include <stdlib.h>
#include <string.h>

enum xf_rc xf_scorer_score_many(const struct xf_scorer *scorer, const struct xf_query *query,
                                uint32_t n, float *out, bool *served, struct xf_diag *diag) {
  if (scorer->many) return scorer->many(scorer, query, n, out, served, diag);
  for (uint32_t i = 0; i < n; i++) {
    float *row = out + (size_t)i * scorer->n_items;
    const enum xf_rc rc = scorer->kind->score(scorer, &query[i], row, diag);
    served[i] = rc == XF_OK;
    if (rc && rc != XF_E_NOTFOUND) return rc;
    if (rc) memset(row, 0, scorer->n_items * sizeof *row);
  }
  return XF_OK;
}

void xf_why_insert(struct xf_why *out, uint32_t *n, uint32_t k, struct xf_why why) {
  uint32_t at = *n;
  while (at > 0 && out[at - 1].share < why.share) at--;
  if (at == k) return;
  const uint32_t last = *n < k ? (*n)++ : k - 1;
  memmove(out + at + 1, out + at, (last - at) * sizeof *out);
  out[at] = why;
}

void xf_why_add(struct xf_why *all, uint32_t *n, struct xf_why why) {
  uint32_t at = 0;
  while (at < *n && all[at].item != why.item) at++;
  if (at == *n) all[(*n)++] = (struct xf_why){why.item, 0};
  all[at].share += why.share;
}

static int by_share(const void *a, const void *b) {
  const struct xf_why *x = a, *y = b;
  if (x->share != y->share) return x->share > y->share ? -1 : 1;
  return (x->item > y->item) - (x->item < y->item);
}

uint32_t xf_why_best(struct xf_why *out, uint32_t k, struct xf_why *all, uint32_t n) {
  qsort(all, n, sizeof *all, by_share);
  if (n > k) n = k;
  memcpy(out, all, n * sizeof *out);
  return n;
}
