#include "rec/popularity.h"

#include "base/alloc.h"
#include "model/score.h"

#include <math.h>

enum xf_rc xf_popularity_init(struct xf_popularity *out, const struct xf_split *split) {
  *out = (struct xf_popularity){.n_items = split->n_items};
  out->score = xf_try_calloc((size_t)split->n_items * XF_SCORE_BLOCK + 1, sizeof *out->score);
  if (!out->score) return XF_E_NOMEM;
  for (size_t i = 0; i < split->n_items; i++) {
    const float s = (float)log1p((double)split->item_count[i]);
    for (size_t u = 0; u < XF_SCORE_BLOCK; u++) out->score[u * split->n_items + i] = s;
  }
  return XF_OK;
}

void xf_popularity_deinit(struct xf_popularity *popularity) {
  xf_free(popularity->score);
  *popularity = (struct xf_popularity){0};
}

enum xf_rc xf_popularity_score(void *arg, const uint32_t *users, uint32_t n, const float **out,
                               struct xf_diag *diag) {
  const struct xf_popularity *popularity = arg;
  (void)users;
  if (n > XF_SCORE_BLOCK)
    return xf_diag_set(diag, XF_E_LIMIT, "%u users in one block, at most %d", n, XF_SCORE_BLOCK);
  *out = popularity->score;
  return XF_OK;
}
