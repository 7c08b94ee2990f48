/*
 * kgcontent.h - how alike an item's neighbours in a knowledge graph are to those of the history, as a scorer.
 *
 *   a_i: the item's weights to its neighbours, scaled to length 1;  u = sum over the history of a_h
 *   score(i) = a_i . u / |u|       0 for an item without neighbours, and for everyone without a history in the graph
 *
 * It looks at content only: no event counts but the history's, and an item that nobody has yet is scored like any other.
 * Not for: walks longer than item - entity - item (diffuse.h). Owner: caller, xf_scorer_free. Thread: immutable once fitted.
 */
#ifndef XF_REC_KGCONTENT_H
#define XF_REC_KGCONTENT_H

#include "rec/kggraph.h"
#include "rec/scorer.h"

/* Copies what it needs of the graph. @own out: xf_scorer_free @err E_NOMEM */
XF_WARN_UNUSED enum xf_rc xf_kgcontent_fit(struct xf_scorer **out, const struct xf_kg_graph *graph,
                                           struct xf_diag *diag);

#endif
