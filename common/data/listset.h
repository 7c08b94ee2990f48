/*
 * listset.h - training data of a decision layer: for each sample a list of candidates as a matrix, the positive first.
 *
 * A list is [n_list x n_in] floats (features of rec/features.h, or anything else with a row per candidate). All lists have
 * the same length, so that a batch is one matrix; a model of kind `scorer` learns to put the first row first.
 * Not for: candidate lists of items (lists.h). Owner: caller. Thread: immutable once filled.
 */
#ifndef XF_DATA_LISTSET_H
#define XF_DATA_LISTSET_H

#include "base/diag.h"

#include <stddef.h>
#include <stdint.h>

struct xf_listset {
  uint32_t n, n_list, n_in;
  float *x;       /* [n x n_list x n_in] */
  uint32_t *user; /* [n] whose list */
  uint8_t *part;  /* [n] enum xf_part of split.h; all train after xf_listset_init */
};

/* Zeroed lists. @own out: xf_listset_deinit @err E_INVAL (a length or width of 0) E_NOMEM (says how large) */
XF_WARN_UNUSED enum xf_rc xf_listset_init(struct xf_listset *out, uint32_t n, uint32_t n_list,
                                          uint32_t n_in, struct xf_diag *diag);
/* Releases; idempotent. @own listset */
void xf_listset_deinit(struct xf_listset *listset);
/* Numbers of one list, and of all. @unit floats */
static inline size_t xf_listset_size(const struct xf_listset *listset) {
  return (size_t)listset->n_list * listset->n_in;
}

#endif
