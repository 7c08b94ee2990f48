/*
 * mmr.h - maximal marginal relevance: each pick maximises lambda rel_i - (1 - lambda) max over the picks of S_ij.
 *
 * lambda 1 is the order by relevance. The maximum over no picks is 0, so the first pick is the most relevant one (lambda > 0).
 * O(k n) similarities. Not for: choosing candidates (rerank.h). Owner: caller's arrays. Thread: any.
 * @source Carbonell, Goldstein 1998
 */
#ifndef XF_REC_MMR_H
#define XF_REC_MMR_H

#include "rec/itemsim.h"

/* Picks min(k, n) candidates, as indices into the slate, in order; value[t], if asked for: what pick t was worth. Equal values go
   to the first candidate. @shape pick[k], value[k] or NULL @err E_NOMEM */
XF_WARN_UNUSED enum xf_rc xf_mmr(uint32_t *pick, double *value, const struct xf_slate *slate,
                                 uint32_t k, double lambda);

#endif
