/*
 * guardtable.h - what the guard judges by: every candidate's standardised scores of each judged user's held-out items and
 * negatives, asked once. Any number of guards over subsets of the candidates can then be fitted without asking again.
 *
 * Memory: judged users x candidates x negatives, at most max_bytes; where all negatives do not fit, each user keeps a
 * seeded sample of them, the same for all candidates (with n_neg 0, the full list's figure, that is an error).
 * Owner: caller, xf_guard_table_deinit. Thread: immutable once built.
 */
#ifndef XF_REC_GUARDTABLE_H
#define XF_REC_GUARDTABLE_H

#include "rec/guard.h"
#include "rec/heldout.h"

struct xf_guard_table {
  struct xf_heldout_spec held;
  uint32_t n_user, n_candidate, n_all_users;
  uint32_t *user;  /* [n_user] */
  uint64_t *start; /* [n_user + 1] first slot: held-out items, then negatives */
  uint32_t *n_pos; /* [n_user] */
  float
      *score; /* [slots x n_candidate]: user u's candidate c at (start[u] n_candidate + c n_slot) */
  bool sampled;
};

/* Asks all candidates. @own out: xf_guard_table_deinit @err as xf_guard_fit, E_LIMIT (see above) */
XF_WARN_UNUSED enum xf_rc xf_guard_table_init(struct xf_guard_table *out,
                                              const struct xf_guard_candidate *candidate,
                                              uint32_t n, const struct xf_guard_spec *spec,
                                              struct xf_diag *diag);
/* Releases; idempotent. @own table */
void xf_guard_table_deinit(struct xf_guard_table *table);
/* Number of held-out items and negatives kept of the i-th judged user. @unit slots */
static inline uint32_t xf_guard_table_slots(const struct xf_guard_table *table, uint32_t i) {
  return (uint32_t)(table->start[i + 1] - table->start[i]);
}
/* Standardised scores of candidate c. @shape [slots] @own table's */
static inline const float *xf_guard_table_row(const struct xf_guard_table *table, uint32_t i,
                                              uint32_t c) {
  return table->score + table->start[i] * table->n_candidate +
         (size_t)c * xf_guard_table_slots(table, i);
}
/* Figure of a + w b for the i-th judged user. @shape a[slots], b[slots] @unit NDCG@k */
double xf_guard_table_figure(const struct xf_guard_table *table, uint32_t i, const float *a,
                             float w, const float *b);
/* Decides over the candidates column[0 .. n) of the table, candidate[i] being column[i]; users NULL: all judged ones, else those
   with users[u] true. @shape candidate[n], column[n], users[n_all_users] @err as xf_guard_fit */
XF_WARN_UNUSED enum xf_rc
xf_guard_table_fit(struct xf_guard *out, const struct xf_guard_table *table,
                   const struct xf_guard_candidate *candidate, const uint32_t *column, uint32_t n,
                   const bool *users, const struct xf_guard_spec *spec, struct xf_diag *diag);
/* Figures of all users by a decided guard; NaN where not judged. @shape figure[n_all_users] @err E_NOMEM */
XF_WARN_UNUSED enum xf_rc xf_guard_table_eval(const struct xf_guard_table *table,
                                              const struct xf_guard *guard, const uint32_t *column,
                                              float *figure);

#endif
