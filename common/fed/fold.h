/*
 * fold.h - the weighted mean of a round's updates and the step of the global vector, tile by tile.
 *
 *   acc += (double)w_k * (double)x_kj     over the participants in bytewise order of their ids
 *   mean = acc / W                        W: sum of the weights; 1 for a job that sums
 *   new  = (float)((double)old + eta * mean), or another server optimiser's step
 *
 * Weights are integers below 2^29, so every product is exact and the result depends only on the order
 * of the members: not on arrival, tiles, threads or instruction set. Memory is O(tile).
 *
 * Global vector: [shared floats][for each aligned segment: directory rows x cols]. Wire vector of a
 * member: [shared floats][for each aligned segment: the member's rows x cols], rows ascending in the
 * directory. A row's mean is over the members that hold it (their weights renormalised); a row that
 * none of them holds stays as it is, and so does the optimiser's state of it.
 *
 * Not for: checking updates (admission does), reading files or starting threads: bytes come and go
 * through struct xf_fold_io, and the caller runs tiles where it likes. Steps: serveropt.h.
 * Owner: the caller; nothing is kept. Thread: tiles of one job may run at the same time, each with its
 * own scratch; the callbacks of struct xf_fold_io must bear that.
 * @source McMahan et al. 2017 (FedAvg)
 */
#ifndef XF_FED_FOLD_H
#define XF_FED_FOLD_H

#include "base/diag.h"
#include "fed/serveropt.h"
#include "param/layout.h"

#include <stddef.h>
#include <stdint.h>

#define XF_FOLD_TILE ((uint64_t)64 * 1024)           /* coordinates of the global vector */
#define XF_FOLD_WEIGHT_MAX (((uint32_t)1 << 29) - 1) /* products with a float are exact */

/* An aligned segment: which namespace names its rows. */
struct xf_fold_segment {
  uint32_t ns;
  uint32_t cols;
};

struct xf_fold_shape {
  uint64_t n_shared;
  struct xf_fold_segment *seg; /* aligned segments in layout order */
  size_t n_seg;
  const char **ns; /* names, by first appearance; borrowed from the layout */
  uint32_t *rows;  /* rows of the directory of each namespace */
  size_t n_ns;
};

/* The rows of one namespace that a member holds: ascending indices into the directory. */
struct xf_fold_rows {
  const uint32_t *row;
  size_t n;
};

struct xf_fold_member {
  const char *id;
  size_t slot;                     /* what the callbacks call this member */
  uint32_t weight;                 /* 1 .. XF_FOLD_WEIGHT_MAX */
  const struct xf_fold_rows *rows; /* one for each namespace; may be NULL when there are none */
};

/* Where floats come from and go to. Positions and counts are in floats. */
struct xf_fold_io {
  void *arg;
  /* n floats of a member's wire vector: borrow gives a pointer (or NULL: then read is called), valid
     until the tile is done; borrow may be absent. */
  const float *(*borrow)(void *arg, size_t slot, uint64_t at, size_t n);
  enum xf_rc (*read)(void *arg, size_t slot, uint64_t at, float *out, size_t n);
  /* The global vector before and after; they may be the same storage. */
  enum xf_rc (*read_old)(void *arg, uint64_t at, float *out, size_t n);
  enum xf_rc (*write_new)(void *arg, uint64_t at, const float *x, size_t n);
  /* State k of the server optimiser, as long as the global vector; not read at a first commit. May be absent when the
     optimiser keeps none. */
  enum xf_rc (*read_state)(void *arg, uint32_t k, uint64_t at, float *out, size_t n);
  enum xf_rc (*write_state)(void *arg, uint32_t k, uint64_t at, const float *x, size_t n);
};

struct xf_fold_job {
  const struct xf_fold_shape *shape;
  const struct xf_fold_member *member; /* ascending by id */
  size_t n_member;
  bool sum; /* no division: mean is the plain sum (statistics; weights are 1) */
  uint64_t
      divisor; /* W, where it is not the sum of the weights (stale.h); 0: it is. Not for aligned rows */
  struct xf_server_step step;
  struct xf_fold_io io;
};

/* Sums over the tiles done so far. Of two tiles or ranges: add in coordinate order. */
struct xf_fold_stats {
  double shared_norm2;     /* squared L2 norm of the mean of the shared part */
  double rows_norm2;       /* of the rows' means */
  uint64_t rows_untouched; /* row starts (one for each segment) without a reporting holder */
};

/* The shape of a layout whose aligned segments have the directory's rows (the coordinator's layout).
   @own out borrows names from layout; release with xf_fold_shape_deinit @err E_SHAPE (two segments of
   a namespace differ in rows) */
XF_WARN_UNUSED enum xf_rc xf_fold_shape_init(struct xf_fold_shape *out,
                                             const struct xf_layout *layout, struct xf_diag *diag);
/* Releases; idempotent. @own shape */
void xf_fold_shape_deinit(struct xf_fold_shape *shape);
/* Floats in the global vector. @unit floats */
uint64_t xf_fold_global(const struct xf_fold_shape *shape);
/* Floats in a member's wire vector. @unit floats */
uint64_t xf_fold_wire(const struct xf_fold_shape *shape, const struct xf_fold_member *member);
/* Tiles in the global vector. @unit tiles */
uint64_t xf_fold_tiles(const struct xf_fold_shape *shape);
/* Puts members in the order of the fold: bytewise by id. @shape member[n] */
void xf_fold_sort(struct xf_fold_member *member, size_t n);
/* Ids ascending, weights and rows in range, the callbacks present.
   @err E_INVAL E_RANGE (the diagnostic names the member) */
XF_WARN_UNUSED enum xf_rc xf_fold_check(const struct xf_fold_job *job, struct xf_diag *diag);

/* Working memory of one thread: about 1 MiB, whatever the model and the number of members. */
struct xf_fold_scratch;
/* @own caller: xf_fold_scratch_free */
struct xf_fold_scratch *xf_fold_scratch_new(void);
/* @own frees; NULL is legal */
void xf_fold_scratch_free(struct xf_fold_scratch *scratch);

/* Coordinates [begin, end) of the global vector of a checked job; adds to stats.
   @err those of the callbacks; E_NAN (a new value is not finite; the diagnostic names it) */
XF_WARN_UNUSED enum xf_rc xf_fold_range(const struct xf_fold_job *job,
                                        struct xf_fold_scratch *scratch, uint64_t begin,
                                        uint64_t end, struct xf_fold_stats *stats,
                                        struct xf_diag *diag);
/* One tile; stats are this tile's alone, to be summed in tile order. @err as xf_fold_range */
XF_WARN_UNUSED enum xf_rc xf_fold_tile(const struct xf_fold_job *job,
                                       struct xf_fold_scratch *scratch, uint64_t tile,
                                       struct xf_fold_stats *stats, struct xf_diag *diag);
/* Checks the job and runs all tiles on the calling thread. @err E_INVAL E_RANGE and as above */
XF_WARN_UNUSED enum xf_rc xf_fold_step(const struct xf_fold_job *job, struct xf_fold_stats *stats,
                                       struct xf_diag *diag);
/* Adds a later tile's stats. @own total */
void xf_fold_stats_add(struct xf_fold_stats *total, const struct xf_fold_stats *tile);

/* Vectors in memory, for the simulator and tests. member[slot] is a wire vector. */
struct xf_fold_memory {
  const float *const *member;
  const float *old_value;
  float *new_value;               /* may equal old_value */
  float *state[XF_SERVER_STATES]; /* those that the optimiser keeps */
};
/* Callbacks over such vectors. @own borrows memory */
struct xf_fold_io xf_fold_memory_io(struct xf_fold_memory *memory);

#endif
