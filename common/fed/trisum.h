/*
 * trisum.h - the sum of silos' packed triangles over keyed items: the fold of a Gram statistic.
 *
 * A symmetric matrix over the n items of a manifest travels as its packed strict upper triangle (param/triangle.h).
 * The coordinator's triangle has all m items of the directory, a member's wire vector only the n it holds; `row` says
 * which (ascending). A statistic is a delta of an empty model whose weight is 1, so the strategy is the plain sum:
 *   new = (float)((double)old + sum over members in bytewise order of their ids)
 * Each entry's sum is taken in that order, whatever rows a call works on: the same bytes for any tiling and threads.
 *
 * Not for: making a Gram (rec/gram.h), means (fold.h). Owner: the caller's arrays and callbacks. Thread: different rows
 * of one job may be folded at the same time, each with its own scratch.
 * @source docs/ALGORITHMS.md "statistics"; decisions 1, 44, 45
 */
#ifndef XF_FED_TRISUM_H
#define XF_FED_TRISUM_H

#include "base/diag.h"
#include "param/triangle.h"

#include <stddef.h>
#include <stdint.h>

struct xf_trisum_member {
  const char *id;
  size_t slot;         /* what the callback calls this member */
  const uint32_t *row; /* [n] ascending rows of the directory */
  uint32_t n;
};

/* Positions and counts are in floats. */
struct xf_trisum_job {
  uint32_t n;                            /* items of the directory */
  const struct xf_trisum_member *member; /* ascending by id */
  size_t n_member;
  void *arg;
  /* n floats from `at` of a member's triangle. */
  enum xf_rc (*read)(void *arg, size_t slot, uint64_t at, float *out, size_t n);
  /* The same of the coordinator's triangle before and after; they may be the same storage. */
  enum xf_rc (*read_old)(void *arg, uint64_t at, float *out, size_t n);
  enum xf_rc (*write_new)(void *arg, uint64_t at, const float *x, size_t n);
};

/* Ids and rows ascending and in range, the callbacks present. @err E_INVAL (the diagnostic names the member) */
XF_WARN_UNUSED enum xf_rc xf_trisum_check(const struct xf_trisum_job *job, struct xf_diag *diag);

/* Working memory of one thread: 16 bytes per item of the directory. */
struct xf_trisum_scratch;
/* @own caller: xf_trisum_scratch_free; NULL when there is no memory for n items */
struct xf_trisum_scratch *xf_trisum_scratch_new(uint32_t n);
/* Releases; NULL is legal. @own frees */
void xf_trisum_scratch_free(struct xf_trisum_scratch *scratch);

/* Rows [begin, end) of a checked job. @err those of the callbacks; E_NAN (a new value is not finite) */
XF_WARN_UNUSED enum xf_rc xf_trisum_fold(const struct xf_trisum_job *job,
                                         struct xf_trisum_scratch *scratch, uint32_t begin,
                                         uint32_t end, struct xf_diag *diag);
/* The member's view of a row of the sum: out[b] for its items behind a. global_row is row member->row[a] of the
   coordinator's triangle. @shape global_row[job n - row[a] - 1], out[member->n - a - 1] */
void xf_trisum_take(float *out, const struct xf_trisum_member *member, uint32_t a,
                    const float *global_row);

#endif
