/*
 * diffuse.h - scores that spread over co-occurrence and a knowledge graph, as scorers.
 *
 *   diffuse   f = n^-1/2 x D^-1/2 (sum over k = 1 .. steps of alpha^k S^k) D^1/2,  S of G + w A      items and entities only
 *   pagerank  f = row of the user in  sum over k = 1 .. steps of alpha^k S^k,      S of B + w A      users too
 *
 * x: the history, 0 or 1, of n items; S, D: diffmat.h; A: the knowledge graph. Without a graph both are the baseline
 * without one. On a silo's own Gram `diffuse` is the local baseline, on own + lambda others (xf_gram_combine) the federated
 * model: only the Gram leaves, the graph is public. The graph of users never leaves, so `pagerank` is local.
 *
 * Both serve users they never saw. A user of the train part with the history of the train part is their own node of
 * `pagerank`; anyone else's walk starts at the items of the history and does not come back to the user.
 * Exact explanations: a score is the sum over the history of parts; for paths through the graph see kggraph.h.
 * Owner: caller, xf_scorer_free. Thread: immutable once fitted.
 * @source docs/ALGORITHMS.md "Diffusion"; Page et al. 1999 (personalised PageRank), here with symmetric normalisation and a
 * truncated sum
 */
#ifndef XF_REC_DIFFUSE_H
#define XF_REC_DIFFUSE_H

#include "rec/diffmat.h"

struct xf_diffuse_spec {
  double w;       /* of the graph's edges, >= 0 */
  double alpha;   /* decay of a step, above 0, at most 1 */
  uint32_t steps; /* 1 to XF_DIFFUSE_STEPS_MAX */
};
enum { XF_DIFFUSE_STEPS_MAX = 100 };
#define XF_DIFFUSE_DEFAULTS ((struct xf_diffuse_spec){.w = .3, .alpha = .8, .steps = 3})
#define XF_PAGERANK_DEFAULTS ((struct xf_diffuse_spec){.w = .3, .alpha = .9, .steps = 10})

/* Fits on a Gram (with beta 1: each user counts alike). graph NULL: none. Nothing is borrowed. @own out: xf_scorer_free
   @err E_RANGE (spec; entries) E_SHAPE (the graph has other items) E_NOMEM */
XF_WARN_UNUSED enum xf_rc xf_diffuse_fit(struct xf_scorer **out, const struct xf_gram *gram,
                                         const struct xf_kg_graph *graph,
                                         const struct xf_diffuse_spec *spec, struct xf_diag *diag);
/* Fits on a silo's train part. graph NULL: none. Nothing is borrowed. @own out: xf_scorer_free @err as xf_diffuse_fit */
XF_WARN_UNUSED enum xf_rc xf_pagerank_fit(struct xf_scorer **out, const struct xf_rec_data *data,
                                          const struct xf_kg_graph *graph,
                                          const struct xf_diffuse_spec *spec, struct xf_diag *diag);

#endif
