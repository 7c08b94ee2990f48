/*
 * pairs.h - labelled pairs (user, item, 1 or 0), negatives included, split at random: click-through tasks such as KGCN's Last.FM.
 *
 * User and item are whole numbers and are kept as ids, because a knowledge graph names the items by the same numbers.
 * Not for: interactions, whose negatives are sampled (split.h). Owner: caller. Thread: immutable once split.
 */
#ifndef XF_DATA_PAIRS_H
#define XF_DATA_PAIRS_H

#include "data/csr.h"

enum { XF_PAIRS_ID_MAX = (1 << 24) - 1 };

struct xf_pairs {
  size_t n;
  uint32_t n_users, n_items; /* 1 + the largest id */
  uint32_t *user, *item;     /* [n] in file order */
  uint8_t *label;            /* [n] 1 or 0 */
  uint8_t *part;             /* [n] enum xf_part; all TRAIN before xf_pairs_split */
  uint64_t repeats;          /* lines that repeat a pair with its label: left out */
  uint64_t repeats_line;     /* of the first */
};

/* Loads. @own out @err as xf_interactions_load; E_FORMAT E_RANGE with file:line:column (an id, a label, a pair with both labels) */
XF_WARN_UNUSED enum xf_rc xf_pairs_load(struct xf_pairs *out, const char *path,
                                        struct xf_diag *diag);
/* Releases; idempotent. @own pairs */
void xf_pairs_deinit(struct xf_pairs *pairs);
/* Deals the pairs by one shuffle: floor(n x fraction) to test, as many to validation, the rest to train; KGCN's 6:2:2 is (.2, .2).
   @err E_INVAL (fractions) E_NOMEM */
XF_WARN_UNUSED enum xf_rc xf_pairs_split(struct xf_pairs *pairs, double valid, double test,
                                         struct xf_rng *rng, struct xf_diag *diag);
/* The positives of a part as rows of users. @own out: xf_csr_deinit @err E_NOMEM */
XF_WARN_UNUSED enum xf_rc xf_pairs_positives(struct xf_csr *out, const struct xf_pairs *pairs,
                                             enum xf_part part);

#endif
