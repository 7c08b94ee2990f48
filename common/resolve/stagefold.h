/*
 * stagefold.h - one stage's commit: its slice of the global vector from the updates of a round's participants.
 *
 * Shared and aligned segments by fed/fold.h (mean, or for a statistic the sum), pairs by fed/trisum.h. All that other stages
 * wrote stays as it is: the caller starts from a copy. The daemon, the simulator and `crossfed verify` fold by this one
 * function. Positions of `read` are in the member's wire vector of the stage, all others in the global vector.
 * Owner: the caller's arrays. Thread: one.
 * @source fed/fold.h, fed/trisum.h
 */
#ifndef XF_RESOLVE_STAGEFOLD_H
#define XF_RESOLVE_STAGEFOLD_H

#include "fed/strategy.h"
#include "param/codec.h"
#include "resolve/global.h"

struct xf_stagefold_member {
  const char *id;
  size_t slot; /* what `read` calls this member */
  uint32_t weight;
  const struct xf_member_rows *rows;
  uint64_t len; /* bytes of the update, where it may be encoded; 0: all floats */
  double norm2; /* out, of an encoded one: sum of squares of what was read, each float once */
  struct stagefold_coded *coded; /* private; NULL */
};

struct xf_stagefold {
  const struct xf_global *global;
  uint32_t stage;
  struct xf_server_step
      step; /* control variates: + (members that take part / n_listed) times the mean; FedNova: eta times the mean norm */
  uint64_t divisor;                   /* as of struct xf_fold_job (xf_resolve_divisor) */
  uint64_t n_listed;                  /* all members, needed with control variates */
  struct xf_stagefold_member *member; /* put in bytewise order here */
  size_t n_member;
  struct xf_fold_io io; /* without borrow */
  struct xf_codec
      codec; /* of updates whose length is not that of their floats (sparse), or of all */
  /* Bytes [at, at + n) of an encoded update. NULL: none is. */
  enum xf_rc (*read_bytes)(void *arg, size_t slot, uint64_t at, uint8_t *out, size_t n);
  /* Before each piece of work, done of total; an error stops. NULL: none. */
  enum xf_rc (*progress)(void *arg, uint64_t done, uint64_t total);
  struct xf_fold_stats stats; /* out: of the means, pairs not included */
};

/* Floats of a member's update. @unit floats */
uint64_t xf_stagefold_wire(const struct xf_global *global, uint32_t stage,
                           const struct xf_member_rows *rows);
/* Folds. @err E_INVAL (with control variates: n_listed) E_RANGE (names the member) E_NAN E_NOMEM E_CORRUPT (an encoded update) E_SHAPE (its length), those of
   the callbacks */
XF_WARN_UNUSED enum xf_rc xf_stagefold_run(struct xf_stagefold *fold, struct xf_diag *diag);

#endif
