/*
 * verify.h - `crossfed verify`: whether a state directory keeps the invariants (operations.md section 4.7).
 *
 *   I1 a silo's update counts at most once per round   I2 every acknowledged update is in its round or has a reason
 *   I3 the newest model recomputes from its parent, the frozen list and the retained spool
 *   I4 rounds are numbered without gaps, committed ones are whole   I5 the newest checkpoint exists and verifies
 *   I6 charges cover releases   I7 the event chain is intact and covers the rows   I8 no temporary or orphan file
 *   I10 the run went on to the round, and only to the round, where its plan ends it
 *
 * Read only; a running daemon may be writing (then I8 is not judged). Folding updates is `fed`'s business:
 * the caller injects it, and what a plan says. I9 (liveness) belongs to the deterministic simulation.
 * Owner: the caller. Thread: any.
 */
#ifndef XF_STORE_VERIFY_H
#define XF_STORE_VERIFY_H

#include "store/checkpoint.h"
#include "store/ledger_read.h"
#include "store/spool.h"

enum xf_verify_level { XF_VERIFY_OK, XF_VERIFY_SKIPPED, XF_VERIFY_DAMAGED };
/* One finding: the invariant ("I1" ... "I10", or "STATE" when something cannot even be opened) and a
   sentence that names the record. */
typedef void (*xf_verify_report)(void *arg, const char *invariant, enum xf_verify_level level,
                                 const char *text);

/* A committed train round to recompute. */
struct xf_verify_round {
  uint64_t round;
  uint32_t stage;
  uint64_t commits_before; /* train commits of this stage before this round */
  const uint8_t *plan;     /* canonical plan */
  size_t plan_len;
  struct xf_ledger *ledger;         /* for manifests of aligned rows */
  struct xf_checkpoint *base;       /* of the parent */
  struct xf_spool_entry *part;      /* [n_part] payloads, in the frozen order */
  const struct xf_ledger_part *who; /* [n_part] member and weight */
  size_t n_part;
  float *state
      [XF_CHECKPOINT_STATES]; /* [n] of the server optimiser: the base's on entry (zeros without), the round's on
                                         return; NULL: the made model has none */
};
/* Folds the round into `model` (which holds the base's global vector on entry), and into round->state, exactly as the
   coordinator does. @shape model[n] */
typedef enum xf_rc (*xf_verify_fold)(void *arg, const struct xf_verify_round *round, float *model,
                                     uint64_t n, struct xf_diag *diag);

/* Whether the current run of a ledger ended where its plan (canonical bytes) says, and is not going on behind it.
   @err E_CORRUPT with the sentence */
typedef enum xf_rc (*xf_verify_end)(void *arg, struct xf_ledger *ledger,
                                    const struct xf_ledger_status *status, const uint8_t *plan,
                                    size_t plan_len, struct xf_diag *diag);

struct xf_verify_opts {
  xf_verify_report report;
  void *report_arg;
  xf_verify_fold fold; /* NULL: I3 is skipped and says so */
  void *fold_arg;
  xf_verify_end end; /* NULL: I10 is skipped and says so */
  void *end_arg;
  const char *vfs; /* see ledger.h; NULL: the operating system's */
};
struct xf_verify_result {
  uint64_t checks, damages, skipped;
};

/* Verifies a coordinator's or a client's state directory (which one is seen from its files).
   @err E_CORRUPT (damages > 0) E_NOTFOUND (not a state directory) E_NOMEM E_IO */
XF_WARN_UNUSED enum xf_rc xf_store_verify(const struct xf_fs *fs, const char *dir,
                                          const struct xf_verify_opts *opts,
                                          struct xf_verify_result *out, struct xf_diag *diag);

#endif
