/*
 * cover.h - lists that show many categories: relevance and a bonus for each category that the list does not have yet.
 *
 *   pick   rel_i + bonus x |categories of i that no pick has|, greedily
 *
 * Submodular, so greedy is within 1 - 1/e of the best list. Beyond the first item of a category nothing pushes items apart: for
 * lists whose items are unlike each other, dpp.h.
 * Owner: caller's arrays. Thread: any. @source Nemhauser, Wolsey & Fisher 1978; Ashkan, Kveton, Berkovsky & Wen 2015
 */
#ifndef XF_REC_COVER_H
#define XF_REC_COVER_H

#include "rec/itemsim.h"

/* Picks min(k, n) candidates, as indices into the slate, in order. Equal values go to the first candidate.
   @shape pick[k] @err E_NOMEM */
XF_WARN_UNUSED enum xf_rc xf_cover(uint32_t *pick, const struct xf_slate *slate, uint32_t k,
                                   double bonus, const struct xf_categories *categories);

#endif
