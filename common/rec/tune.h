/*
 * tune.h - how the decision's families of scorers are tuned on split A and fitted (parts of recommender.c).
 *
 * Each family tries its settings on the train part without split A, asks the figure of the users that judge, and fits the best
 * setting on the whole train part as a candidate of the recommender. Without split A (too little data) nothing is tried:
 * the first setting of each list (of the ALS grid: the middle) is fitted.
 * Owner: xf_tune_deinit; candidates go to the recommender. Thread: one.
 */
#ifndef XF_REC_TUNE_H
#define XF_REC_TUNE_H

#include "rec/recommender.h"

struct xf_tune {
  const struct xf_recommender_input *in;
  const struct xf_recommender_spec *spec;
  struct xf_recommender *rec;
  struct xf_split inner;
  struct xf_rec_data data, inner_data; /* train, train without split A */
  struct xf_heldout_spec held;         /* of split A */
  bool possible;                       /* there is a split A */
  bool *judge;                         /* [n_users] */
  float *figure, *best;                /* [n_users] of a try, of the best so far */
};

/* Makes split A and scratch. @own out: xf_tune_deinit @err E_NOMEM */
XF_WARN_UNUSED enum xf_rc xf_tune_init(struct xf_tune *out, struct xf_recommender *rec,
                                       const struct xf_recommender_input *in,
                                       const struct xf_recommender_spec *spec,
                                       struct xf_diag *diag);
/* Releases; idempotent. @own tune */
void xf_tune_deinit(struct xf_tune *tune);
/* Figure of a scorer on split A: each user's into tune->figure, the mean into *mean. Counts as a try. @err of xf_heldout_eval, E_CANCELLED */
XF_WARN_UNUSED enum xf_rc xf_tune_try(struct xf_tune *tune, const struct xf_scorer *scorer,
                                      double *mean, struct xf_diag *diag);
/* Whether the caller wants it no more. @err E_CANCELLED */
XF_WARN_UNUSED enum xf_rc xf_tune_go_on(const struct xf_tune *tune, struct xf_diag *diag);
/* The next candidate, named, without a scorer yet. @own recommender's @err E_LIMIT (too many) */
XF_WARN_UNUSED enum xf_rc xf_tune_candidate(struct xf_tune *tune,
                                            struct xf_recommender_candidate **out, const char *name,
                                            uint32_t flags, struct xf_diag *diag);
/* Says in the report what was not made a candidate. @err never */
void xf_tune_note(struct xf_tune *tune, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Implicit ALS: a x rho at the first dim, then the other dims. @err of xf_als_search */
XF_WARN_UNUSED enum xf_rc xf_tune_als(struct xf_tune *tune, struct xf_diag *diag);
/* Item kernel, EASE and, with a knowledge graph, diffusion on the own Gram, and on own + lambda x others where there is an artifact.
   @err E_SHAPE (artifact) E_RANGE E_NAN E_NOMEM */
XF_WARN_UNUSED enum xf_rc xf_tune_items(struct xf_tune *tune, struct xf_diag *diag);
/* The model of the items' categories, on the own Gram over them and on own + lambda x others where there is an artifact.
   @err as xf_tune_items */
XF_WARN_UNUSED enum xf_rc xf_tune_categories(struct xf_tune *tune, struct xf_diag *diag);
/* Own + lambda x others' counts where they were summed, and counts among overlapping users. @err E_NAN E_NOMEM */
XF_WARN_UNUSED enum xf_rc xf_tune_popular(struct xf_tune *tune, struct xf_diag *diag);
/* What the knowledge graph says of items' contents; nothing to tune. @err E_NOMEM */
XF_WARN_UNUSED enum xf_rc xf_tune_content(struct xf_tune *tune, struct xf_diag *diag);

#endif
