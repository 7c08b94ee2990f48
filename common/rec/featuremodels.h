/*
 * featuremodels.h - the scorers that the slots of a feature version name, all fitted in one call and bound.
 *
 * Settings belong to the version: the same in every silo, so that a net trained elsewhere meets what it was trained on
 * (tuning them per market gained nothing: docs/BENCHMARKS.md "a market left out"). They are
 *   ease         ridge 30                    kernel       a .5, b .25           kernel.even   a .5, b .5
 *   als          dim 128, a .01, rho .3      als.faint    a .003                als.sharp     dim 64, a .03, rho .003
 * on a Gram of beta .5; pooled: on own (counted as the artifact counts) + lambda x others'. Without an artifact the pooled
 * slots are empty, with more than max_items items those of EASE.
 * A silo fits twice: on split A's rest for the lists it trains on, on its whole train part to serve.
 * Not for: a guard's candidates, which are tuned (recommender.h). Owner: caller; the features borrow the scorers beside
 * them. Thread: immutable once fitted; any number of readers.
 */
#ifndef XF_REC_FEATUREMODELS_H
#define XF_REC_FEATUREMODELS_H

#include "rec/features.h"
#include "rec/recommender.h"

#define XF_FEATURE_MODELS_LAMBDA .3

struct xf_feature_models {
  struct xf_features features; /* bound */
  struct xf_scorer *scorer[XF_FEATURES_SLOTS];
};

struct xf_feature_models_spec {
  uint32_t version;                       /* of the features */
  const struct xf_recommender_gram *gram; /* the others' co-occurrence; NULL: none */
  double lambda;                          /* 0: XF_FEATURE_MODELS_LAMBDA */
  uint32_t max_items;                     /* of EASE; 0: XF_EASE_MAX_ITEMS */
  uint64_t seed;                          /* of ALS start rows */
  struct xf_worker *pool;                 /* of ALS; NULL: none */
};

/* Fits. data->train are the histories; items beyond them score what an item without events scores.
   @own out: xf_feature_models_deinit @err E_VERSION E_RANGE (lambda) E_INVAL E_NAN (artifact) E_NOTFOUND (no train event)
   E_NOMEM and the scorers' */
XF_WARN_UNUSED enum xf_rc xf_feature_models_fit(struct xf_feature_models *out,
                                                const struct xf_rec_data *data,
                                                const struct xf_feature_models_spec *spec,
                                                struct xf_diag *diag);
/* Releases; idempotent. @own models */
void xf_feature_models_deinit(struct xf_feature_models *models);
/* The scorer in a slot; NULL: empty, or no such slot. @own models' */
const struct xf_scorer *xf_feature_models_find(const struct xf_feature_models *models,
                                               const char *slot);

#endif
