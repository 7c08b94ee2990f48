/*
 * toplist.h - the best items of every user, computed once and kept: what a silo answers from when its scorers are not in memory.
 *
 * A list has XF_TOPLIST items, best first, without the user's train history; a shorter one ends with XF_NO_ID. As a scorer it
 * knows these items only: all others score below the worst of the list.
 * Not for: cold users (they have no list). Owner: caller. Thread: immutable once made.
 */
#ifndef XF_REC_TOPLIST_H
#define XF_REC_TOPLIST_H

#include "rec/scorer.h"

enum { XF_TOPLIST = 100 };

/* Asks a scorer for every user of the train part, at the instant "now". A user whom it cannot serve gets an empty list.
   @shape item[n_users x XF_TOPLIST], score[n_users x XF_TOPLIST] @err E_NOMEM and the scorer's */
XF_WARN_UNUSED enum xf_rc xf_toplist_make(uint32_t *item, float *score,
                                          const struct xf_scorer *scorer,
                                          const struct xf_rec_data *data, struct xf_diag *diag);
/* Of each listed item the category that a scorer of categories likes best in it; XF_NO_ID: none, or no item.
   @shape item[n_users x XF_TOPLIST], category[n_users x XF_TOPLIST] @err E_RANGE (a scorer that cannot tell) */
XF_WARN_UNUSED enum xf_rc xf_toplist_categories(uint32_t *category, const uint32_t *item,
                                                const struct xf_scorer *scorer,
                                                const struct xf_rec_data *data);
/* A scorer named "lists" over copies. @shape as above @own out: xf_scorer_free
   @err E_CORRUPT (an item beyond n_items, a score that is no number) E_NOMEM */
XF_WARN_UNUSED enum xf_rc xf_toplist_scorer(struct xf_scorer **out, const uint32_t *item,
                                            const float *score, uint32_t n_users, uint32_t n_items,
                                            struct xf_diag *diag);

#endif
