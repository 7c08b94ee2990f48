/*
 * mix.h - a blend learnt on lists: of each candidate's standardised score z a curve, list-wise softmax.
 *
 *   score(i) = sum over candidates of  linear z + bend log(.3 + max(z, -.2))
 *   loss     = mean over lists of -log softmax(scores)[held-out item] + l2 / 2 (|linear|^2 + |bend|^2)
 *
 * z: a candidate's scores without mean and unit per user over the catalogue outside the history (blend.h). The bend tells a
 * candidate's best items apart less than its middle ones. Strictly convex: Newton's method with halved steps from 0, in
 * double, in the table's order. Weights may be negative. Lists come from split A by scorers that have not seen it; the
 * served mix has the same weights over the scorers fitted on everything.
 * Not for: features without candidates, nets (stack.h, unitfree.h). Owner: caller. Thread: any after xf_blas_start.
 * @source docs/internals/rec.md "The decision"; Cao et al. 2007 (list-wise loss)
 */
#ifndef XF_REC_MIX_H
#define XF_REC_MIX_H

#include "rec/guardtable.h"

#define XF_MIX_L2 1e-2

struct xf_mix {
  struct xf_guard_mix weight[XF_BLEND_PARTS];
  double loss; /* with the penalty */
  uint32_t n_list, n_step;
};

/* Fits over the table's columns column[0 .. n). Only the first held-out item of a user counts. l2 > 0.
   @shape column[n] @err E_RANGE (l2, no list) E_NAN (no convergence) E_NOMEM */
XF_WARN_UNUSED enum xf_rc xf_mix_fit(struct xf_mix *out, const struct xf_guard_table *table,
                                     const uint32_t *column, uint32_t n, double l2,
                                     struct xf_diag *diag);

/* A mix as a scorer over the candidates that it was learnt for; part[i].weight is not read, names are copied.
   @own out: xf_scorer_free; borrows the scorers @err E_INVAL (none, too many) E_SHAPE (numbers of items differ) */
XF_WARN_UNUSED enum xf_rc xf_mix_scorer(struct xf_scorer **out, const struct xf_mix *mix,
                                        const struct xf_blend_part *part, uint32_t n,
                                        struct xf_diag *diag);
/* Negatives to learn on: for each user with a held-out item of `part`, up to n items that have a train event and are in
   no part of the user, drawn by (seed, user). @own out: xf_csr_deinit @err E_NOMEM */
XF_WARN_UNUSED enum xf_rc xf_mix_negatives(struct xf_csr *out, const struct xf_split *split,
                                           enum xf_part part, uint32_t n, uint64_t seed);

#endif
