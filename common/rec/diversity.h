/*
 * diversity.h - measures of lists beside accuracy: per list as sums and counts, over lists as counts of shown items.
 *
 *   ild             mean over pairs of the list of 1 - similarity (itemsim.h)          lists of two or more items
 *   categories      distinct categories in the list                                   every list
 *   novelty         mean over the items of -log2(train users of the item / train users)    lists of one or more
 *   calibration_kl  KL of the history's categories and the list's (calibrate.h)       histories with categories
 *   coverage        items shown at least once / all items
 *   gini            of the counts of all items, those never shown included: 0 all alike, towards 1 one item
 *   entropy         of the shares of the shown items, bits
 *
 * The first four are sums and counts like metrics.h; the last three are functions of the counts per item. Both add up over
 * silos, counts where the items are the same. An item without train users counts as one with one.
 * Owner: caller. Thread: any. @source docs/ALGORITHMS.md "Diversity"
 */
#ifndef XF_REC_DIVERSITY_H
#define XF_REC_DIVERSITY_H

#include "rec/itemsim.h"
#include "rec/metrics.h"

/* X(NAME, key in JSON) */
#define XF_DIVERSITY_LIST(X)  \
  X(ILD, "ild")               \
  X(CATEGORIES, "categories") \
  X(NOVELTY, "novelty")       \
  X(KL, "calibration_kl")

enum xf_diversity_kind {
#define XF_DIVERSITY_ENUM(n, t) XF_DIVERSITY_##n,
  XF_DIVERSITY_LIST(XF_DIVERSITY_ENUM)
#undef XF_DIVERSITY_ENUM
      XF_N_DIVERSITY
};

/* What to measure by; a NULL leaves its measures out. Borrowed. */
struct xf_diversity_spec {
  const struct xf_itemsim *sim;           /* ild */
  const struct xf_categories *categories; /* categories, calibration_kl */
  const uint32_t *item_count;             /* [n_items] train users of an item: novelty */
  uint32_t n_users;                       /* of train */
};

struct xf_diversity {
  uint32_t n_items;
  uint64_t *shown; /* [n_items] lists that have the item */
  struct xf_measure_sum of[XF_N_DIVERSITY];
};

/* Key of a measure. @own static */
const char *xf_diversity_name(enum xf_diversity_kind kind);
/* No lists. @own out: xf_diversity_deinit @err E_NOMEM */
XF_WARN_UNUSED enum xf_rc xf_diversity_init(struct xf_diversity *out, uint32_t n_items);
/* Releases; idempotent. @own diversity */
void xf_diversity_deinit(struct xf_diversity *diversity);
/* One list's four values, NaN where a measure is left out or has none. target: the history's shares (calibrate.h) or NULL.
   @shape value[XF_N_DIVERSITY], item[n] distinct, target[categories->n] @err E_NOMEM */
XF_WARN_UNUSED enum xf_rc xf_diversity_list(double *value, const struct xf_diversity_spec *spec,
                                            const uint32_t *item, uint32_t n, const double *target);
/* Counts a list and adds its values. @shape item[n], each below n_items; value[XF_N_DIVERSITY] */
void xf_diversity_add(struct xf_diversity *diversity, const uint32_t *item, uint32_t n,
                      const double *value);
/* Adds another's lists, a silo's say; the items are the same. @shape other->n_items equal */
void xf_diversity_merge(struct xf_diversity *diversity, const struct xf_diversity *other);
/* The mean; NaN without lists. @unit as the measure */
double xf_diversity_mean(const struct xf_diversity *diversity, enum xf_diversity_kind kind);
/* Share of items shown; 0 without items. @shape shown[n] */
double xf_diversity_coverage(const uint64_t *shown, uint32_t n);
/* Gini coefficient, zeros included; 0 when nothing was shown. @shape shown[n] @err E_NOMEM @source C. Gini 1912 */
XF_WARN_UNUSED enum xf_rc xf_diversity_gini(double *out, const uint64_t *shown, uint32_t n);
/* Entropy; 0 when nothing was shown. @shape shown[n] @unit bits @source Shannon 1948 */
double xf_diversity_entropy(const uint64_t *shown, uint32_t n);

#endif
