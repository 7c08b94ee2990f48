/*
 * features.h - what a decision layer sees of a candidate: numbers without a unit, so that one net fits every silo.
 *
 * Of each scorer two numbers, z(s) and z(log(max(s, 0) + .001)), and z(log(1 + train events)) of the item. z takes the
 * mean away and divides by the deviation over the list that is ranked: given candidates, or for the whole catalogue the
 * items outside the user's history. A constant column becomes 0. So nothing tells an item, a user or a market.
 * Negative scores: a score below 0 counts as 0 in the logarithm only; z(s) keeps their order. A model that gives
 * negative scores (EASE) says "not related" with them, and how much not carries no information worth a logarithm.
 *
 * The order of features is a *version*: a fixed list of scorer names. A net belongs to a version, whatever scorers a
 * silo has: a slot without a scorer, or whose scorer cannot serve the user (E_NOTFOUND), gives zeros, and
 * xf_features_print says which slots are empty.
 *   feature 0: log popularity; 1 + 2s, 2 + 2s: z(s), z(log) of slot s
 *
 * Not for: nets on them (stack.h, unitfree.h). Owner: caller; scorers are borrowed. Thread: immutable once bound.
 */
#ifndef XF_REC_FEATURES_H
#define XF_REC_FEATURES_H

#include "base/buf.h"
#include "data/lists.h"
#include "data/listset.h"
#include "rec/scorer.h"

enum { XF_FEATURES_VERSION = 2, XF_FEATURES_SLOTS = 15, XF_FEATURES_MAX = 1 + 2 * 15 };
#define XF_FEATURES_LOG_OFFSET 1e-3

/* X(text) slots of each version, in order. A version never changes; a further one gets its own list.
   2 adds a kernel that divides by both items alike (a = b = .5) and implicit ALS with little (als), less (als.faint) and much
   weight on what was not observed (als.sharp): models that err differently. */
#define XF_FEATURES_LIST_1(X) X("ease.own") X("ease.pooled") X("kernel.own") X("kernel.pooled")
#define XF_FEATURES_LIST_2(X) \
  XF_FEATURES_LIST_1(X)       \
  X("kernel.even.own") X("kernel.even.pooled") X("als") X("als.faint") X("als.sharp")

struct xf_feature_set {
  uint32_t version, n_slot, n_feature;
  const char *const *slot;
};

struct xf_features {
  const struct xf_feature_set *set;
  uint32_t n_items;
  float *log_pop; /* [n_items] log(1 + train events) */
  const struct xf_scorer *scorer[XF_FEATURES_SLOTS];
};

/* The set of a version, or NULL. @own static */
const struct xf_feature_set *xf_feature_set_find(uint32_t version);
/* "log(ease.own)" for people. @own text */
void xf_feature_name(const struct xf_feature_set *set, uint32_t feature, char text[64]);

/* Without scorers. @shape item_count[n_items] train events @own out: xf_features_deinit @err E_VERSION E_INVAL E_NOMEM */
XF_WARN_UNUSED enum xf_rc xf_features_init(struct xf_features *out, uint32_t version,
                                           const uint32_t *item_count, uint32_t n_items,
                                           struct xf_diag *diag);
/* Releases, not the scorers; idempotent. @own features */
void xf_features_deinit(struct xf_features *features);
/* Puts a scorer into the slot of that name. @own borrows scorer @err E_NOTFOUND (lists the slots) E_SHAPE E_EXISTS */
XF_WARN_UNUSED enum xf_rc xf_features_bind(struct xf_features *features, const char *slot,
                                           const struct xf_scorer *scorer, struct xf_diag *diag);
/* Says in words which slots have scorers and which are zeros. @err E_LIMIT E_NOMEM */
XF_WARN_UNUSED enum xf_rc xf_features_print(const struct xf_features *features,
                                            struct xf_buf *text);

/* Features of the n items of a list; list NULL: of all n_items, standardised over those outside the history.
   Bit s of *served says that slot s gave numbers; may be NULL. @shape list[n], out[n x n_feature]
   @err E_NOTFOUND (an item beyond the catalogue) E_NAN (names slot and item) E_NOMEM and the scorers' */
XF_WARN_UNUSED enum xf_rc xf_features_make(const struct xf_features *features,
                                           const struct xf_query *query, const uint32_t *list,
                                           uint32_t n, float *out, uint32_t *served,
                                           struct xf_diag *diag);

struct xf_features_draw {
  uint32_t n_neg; /* 0: 99 */
  uint64_t seed;
  bool catalogue; /* standardise over the catalogue instead of over the list */
};

/* Lists to train on: for each held-out item of a user it and n_neg uniform items that the user has neither in `history`
   nor in `held`, without repetition while there are enough, then round again; users with all items have none. The scorers must not have seen `held`.
   A draw depends on (seed, user, held-out item) only. @shape rows of history and held are users
   @own out: xf_listset_deinit @err E_SHAPE (rows differ, items beyond the catalogue) E_RANGE (no list at all) and
   as xf_features_make */
XF_WARN_UNUSED enum xf_rc xf_features_draw(struct xf_listset *out,
                                           const struct xf_features *features,
                                           const struct xf_csr *history, const struct xf_csr *held,
                                           const struct xf_features_draw *spec,
                                           struct xf_diag *diag);
/* Lists as given: for each relevant item that its list has, it and the list's others, cut or repeated to n_list - 1.
   @shape rows of history are users; users beyond have none @own out @err as xf_features_draw, E_RANGE (a list without
   an irrelevant item) */
XF_WARN_UNUSED enum xf_rc xf_features_given(struct xf_listset *out,
                                            const struct xf_features *features,
                                            const struct xf_csr *history,
                                            const struct xf_lists *lists, uint32_t n_list,
                                            bool catalogue, struct xf_diag *diag);

#endif
