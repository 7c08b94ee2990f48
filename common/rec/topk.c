#include "rec/topk.h"

#include <math.h>
#include <stdbool.h>

/* Whether (score, item) comes before x in the result. */
static bool before(float score, uint32_t item, const struct xf_topk_item *x) {
  return score > x->score || (score == x->score && item < x->item);
}

uint32_t xf_topk(struct xf_topk_item *out, uint32_t k, const float *score, uint32_t n_items,
                 const uint32_t *exclude, uint32_t n_exclude) {
  uint32_t n = 0, skip = 0;
  for (uint32_t i = 0; i < n_items && k > 0; i++) {
    /* First what sends nearly all away: not above the worst of a full list (an equal item came first), or NaN. */
    if (n == k && !(score[i] > out[n - 1].score)) continue;
    while (skip < n_exclude && exclude[skip] < i) skip++;
    if (skip < n_exclude && exclude[skip] == i) continue;
    if (isnan(score[i])) continue;
    uint32_t at = n < k ? n++ : n - 1;
    for (; at > 0 && before(score[i], i, &out[at - 1]); at--) out[at] = out[at - 1];
    out[at] = (struct xf_topk_item){i, score[i]};
  }
  return n;
}
