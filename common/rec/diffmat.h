/*
 * diffmat.h - the symmetric matrix that scores spread along: items and entities, or these and users, normalised by degree.
 *
 *   S = D^-1/2 M D^-1/2, D: row sums of M       gram:  M = G + w A over items and entities, G with `self` times its diagonal
 *                                               users: M = B + w A over items, entities and users, B: who has what
 *
 * A is the knowledge graph (kggraph.h; NULL: none). Nodes are the graph's, users behind them. A row without entries stays zero.
 * Not for: scorers (diffuse.h). Owner: caller, xf_diffmat_deinit. Thread: immutable once built.
 */
#ifndef XF_REC_DIFFMAT_H
#define XF_REC_DIFFMAT_H

#include "rec/gram.h"
#include "rec/kggraph.h"

struct xf_diffmat {
  uint32_t n;
  uint64_t *start; /* [n + 1] */
  uint32_t *node;  /* ascending in a row */
  float *value;
  float *root; /* [n] sqrt of the row sum of M */
};

/* Builds from a Gram, a silo's own or a combined one. @own out: xf_diffmat_deinit @err E_SHAPE (the graph has other items)
   E_RANGE (w or self below 0, an entry below 0) E_NOMEM */
XF_WARN_UNUSED enum xf_rc xf_diffmat_gram(struct xf_diffmat *out, const struct xf_gram *gram,
                                          const struct xf_kg_graph *graph, double w, double self,
                                          struct xf_diag *diag);
/* Builds from a silo's users. User u is node (nodes of the graph, or n_items) + u. @own out: xf_diffmat_deinit
   @err as xf_diffmat_gram */
XF_WARN_UNUSED enum xf_rc xf_diffmat_users(struct xf_diffmat *out, const struct xf_rec_data *data,
                                           const struct xf_kg_graph *graph, double w,
                                           struct xf_diag *diag);
/* Releases; idempotent. @own mat */
void xf_diffmat_deinit(struct xf_diffmat *mat);
/* sum += a S x + ... + a^steps S^steps x for `width` vectors side by side; x is overwritten.
   @shape x, sum [n x width] @err E_NOMEM */
XF_WARN_UNUSED enum xf_rc xf_diffmat_spread(const struct xf_diffmat *mat, float *x, float *sum,
                                            uint32_t width, double a, uint32_t steps);

#endif
