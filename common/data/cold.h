/*
 * cold.h - cold users: people with a history in a source domain and held-out events in a target domain where they have none.
 *
 * Files in CDRIB's form, "user item" by tab, comma or space, gzipped or not: a train file per domain, and held-out files of
 * the target. User keys are numbers; those below n_common are the same person in both domains, all others are different
 * people though their numbers coincide: they get the keys "source:N" and "target:N", so that joining by key is right.
 * Not for: a domain's own split (split.h). Owner: caller. Thread: any.
 * @source the form and the rule of ids: Cao et al. 2022, "CDRIB"
 */
#ifndef XF_DATA_COLD_H
#define XF_DATA_COLD_H

#include "data/csr.h"

struct xf_cold_files {
  const char *source_train, *target_train;
  const char *valid, *test; /* of the target; either may be NULL */
};

struct xf_cold_count {
  uint32_t both; /* users with train events in both domains: what transfer is learned from */
  uint64_t no_train
      [XF_N_PART]; /* held-out events whose item has no train event in the target: left out */
  uint64_t repeats[XF_N_PART]; /* held-out pairs that occur again: count once */
  uint32_t users[XF_N_PART];   /* cold users with a held-out event */
};

struct xf_cold {
  struct xf_interactions source, target; /* train events */
  struct xf_csr
      held[XF_N_PART]; /* VALID, TEST: rows are users of `source`, columns items of `target` */
  struct xf_cold_count count;
};

/* Loads. @own out @err as xf_interactions_load; E_FORMAT with file:line: a user that is no number; a held-out user with train
   events in the target (not cold) or without any in the source (nothing to score from) */
XF_WARN_UNUSED enum xf_rc xf_cold_load(struct xf_cold *out, const struct xf_cold_files *files,
                                       uint32_t n_common, struct xf_diag *diag);
/* Releases; idempotent. @own cold */
void xf_cold_deinit(struct xf_cold *cold);

#endif
