/*
 * mix.h - weights of a blend learnt on lists: linear in the candidates' standardised scores, list-wise softmax.
 *
 *   loss(w) = mean over lists of -log softmax(X w)[0] + l2 / 2 |w|^2
 *
 * X: a list's rows are its held-out item and its negatives, its columns the candidates (a guard's table: standardised over the
 * catalogue, as a blend standardises). Strictly convex: Newton's method with halved steps from 0, in double, in the
 * table's order. Weights may be negative. Lists come from split A by scorers that have not seen it; the served blend has the
 * same weights over the scorers fitted on everything.
 * Not for: features without candidates, nets (stack.h, unitfree.h). Owner: caller. Thread: any after xf_blas_start.
 * @source docs/internals/rec.md "The decision"; Cao et al. 2007 (list-wise loss)
 */
#ifndef XF_REC_MIX_H
#define XF_REC_MIX_H

#include "rec/guardtable.h"

#define XF_MIX_L2 1e-2

struct xf_mix {
  double weight[XF_BLEND_PARTS];
  double loss; /* with the penalty */
  uint32_t n_list, n_step;
};

/* Fits over the table's columns column[0 .. n). Only the first held-out item of a user counts. l2 > 0.
   @shape column[n] @err E_RANGE (l2, no list) E_NAN (no convergence) E_NOMEM */
XF_WARN_UNUSED enum xf_rc xf_mix_fit(struct xf_mix *out, const struct xf_guard_table *table,
                                     const uint32_t *column, uint32_t n, double l2,
                                     struct xf_diag *diag);

/* Negatives to learn on: for each user with a held-out item of `part`, up to n items that have a train event and are in
   no part of the user, drawn by (seed, user). @own out: xf_csr_deinit @err E_NOMEM */
XF_WARN_UNUSED enum xf_rc xf_mix_negatives(struct xf_csr *out, const struct xf_split *split,
                                           enum xf_part part, uint32_t n, uint64_t seed);

#endif
