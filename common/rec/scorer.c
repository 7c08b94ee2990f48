/* Asking a scorer for several users. */
#include "rec/scorer.h"

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
