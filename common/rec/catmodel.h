/*
 * catmodel.h - items by their public categories: which categories go with a user's, and how popular the item is.
 *
 *   p(c)      the history's events in items of category c, over all of them           (sums to 1)
 *   K_cd    = G_cd / ((G_cc + 1)^.5 (G_dd + 1)^.5)                                    diagonal included
 *   a(d)    = sum_c p(c) K_cd
 *   score(i) = (n_i + 1)^g (o_i + mean over the categories d of i of a(d))            only o_i without a category
 *
 * o_i, above 0 and at most XF_CATEGORY_ORDER, is an order drawn once, the same with and without other silos: items of the same
 * categories would tie, and ties count against a model (heldout.h), so that whatever else broke them would look like a gain.
 *
 * G is co-occurrence of categories (gram.h over xf_categories_profile): a user's row says which categories the user has events
 * in. It is all that needs more than one silo, and knows no item, so it helps silos that share no item. n_i: own train events.
 * With beta 1 the entries of row c of G, its diagonal among them, add up to the number of users who hold c, and divided by it
 * they are the mean profile of those users: the prototype of c.
 * Explains: a score is, up to o_i, the sum over the item's categories d of (n_i + 1)^g a(d) / number of them (XF_WHY_CATEGORY).
 * Owner: caller, xf_scorer_free; borrows categories. Thread: immutable once fitted.
 * @source Sarwar et al. 2001 (item-based, cosine) with categories for items; Snell et al. 2017 (prototypes as means)
 */
#ifndef XF_REC_CATMODEL_H
#define XF_REC_CATMODEL_H

#include "data/categories.h"
#include "rec/gram.h"

#define XF_CATEGORY_ORDER 1e-4 /* a(d) is of the order of 1 where categories go together */

/* Fits with popularity to the power g >= 0 on a Gram over the categories; data: whose train events count as n_i.
   @shape gram->n = categories->n @own out: xf_scorer_free @err E_SHAPE E_RANGE (g) E_NOMEM */
XF_WARN_UNUSED enum xf_rc xf_category_fit(struct xf_scorer **out, const struct xf_gram *gram,
                                          const struct xf_categories *categories,
                                          const struct xf_rec_data *data, double g,
                                          struct xf_diag *diag);

#endif
