/*
 * split.h - train, validation and test positives of each user, as compressed rows (CSR).
 *
 * Leave-one-out (decision 41): of repeated (user, item) the earliest is kept; users with at least `min` events
 * left give their last one to test and the one before to validation (ties by file order), each kept when
 * its item occurs in train; everything else is train. Without times "last" is the order of the file.
 * Random: each event of a user with at least `min` goes to test or validation with the given probability; a held-out
 * event is kept when its item occurs in train.
 * Owner: caller. Thread: immutable once built.
 */
#ifndef XF_DATA_SPLIT_H
#define XF_DATA_SPLIT_H

#include "base/rng.h"
#include "data/interactions.h"

enum xf_part { XF_PART_TRAIN, XF_PART_VALID, XF_PART_TEST, XF_N_PART };

/* Items of user u: item[start[u] .. start[u+1]), ascending. value and time are NULL where the data have none. */
struct xf_csr {
  uint32_t n_row;
  uint32_t *start; /* [n_row + 1] */
  uint32_t *item;  /* [start[n_row]] */
  float *value;
  double *time; /* seconds, as in the data */
};

/* What splitting left out. */
struct xf_split_count {
  uint64_t repeats;             /* later events of a (user, item) */
  uint64_t few_users;           /* users below min: all their events are train */
  uint64_t no_train[XF_N_PART]; /* held-out events whose item is not in train */
  uint64_t n_users[XF_N_PART];  /* users with at least one event in the part */
  uint64_t n_items_train;       /* items with a train event */
  uint64_t n_events[XF_N_PART];
};

struct xf_split {
  uint32_t n_users, n_items;
  struct xf_csr part[XF_N_PART];
  uint32_t *train_user; /* [n train] user of the k-th train event (CSR order) */
  uint32_t *item_count; /* [n_items] train events of an item */
  struct xf_split_count count;
};

struct xf_split_spec {
  enum { XF_SPLIT_LEAVE_ONE_OUT, XF_SPLIT_RANDOM } kind;
  bool by_file;                         /* leave-one-out: file order although there are times */
  uint32_t min;                         /* events a user needs to give any away; 0: 5 */
  double valid_fraction, test_fraction; /* random */
};

/* Splits. rng is used by RANDOM only (else NULL). @own out @err E_INVAL E_NOMEM */
XF_WARN_UNUSED enum xf_rc xf_split_init(struct xf_split *out, const struct xf_interactions *inter,
                                        const struct xf_split_spec *spec, struct xf_rng *rng,
                                        struct xf_diag *diag);
/* Releases; idempotent. @own split */
void xf_split_deinit(struct xf_split *split);
/* Whether a user has an item in a part (binary search). @thread any */
bool xf_csr_find(const struct xf_csr *csr, uint32_t user, uint32_t item);
/* Number of events of a part. @unit events */
static inline uint32_t xf_csr_count(const struct xf_csr *csr) {
  return csr->n_row ? csr->start[csr->n_row] : 0;
}

#endif
