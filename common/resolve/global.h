/*
 * global.h - the coordinator's side of a plan: layout, fold shape, the first global vector, a member's view of it.
 *
 * Global vector: [shared floats][for each aligned segment: directory rows x cols], the order of fed/fold.h and of
 * checkpoints. It is made without BLAS and without any silo's data, so coordinator and simulator give the same bytes.
 * Owner: caller, xf_global_deinit. Thread: immutable once built.
 */
#ifndef XF_RESOLVE_GLOBAL_H
#define XF_RESOLVE_GLOBAL_H

#include "fed/fold.h"
#include "model/model.h"
#include "param/manifest.h"
#include "plan/plan.h"

struct xf_global {
  struct xf_model *model; /* aligned tables have the directory's rows, the silos' own tables none */
  const struct xf_layout *layout;
  struct xf_fold_shape shape;
  uint64_t n;        /* floats of the global vector */
  uint64_t row_cols; /* floats per directory row over all aligned segments */
};

/* Builds everything for a plan and its frozen directory (NULL without alignment).
   @own out: xf_global_deinit @err E_CONFIG (the plan shares nothing) and model's */
XF_WARN_UNUSED enum xf_rc xf_global_init(struct xf_global *out, const struct xf_plan *plan,
                                         const struct xf_directory *directory,
                                         struct xf_diag *diag);
/* Releases; idempotent. @own global */
void xf_global_deinit(struct xf_global *global);
/* Checkpoint 0: seeded by the plan (streams "init"), aligned rows by their keys. @shape x[n] @err model's */
XF_WARN_UNUSED enum xf_rc xf_global_first(const struct xf_global *global, float *x,
                                          const struct xf_plan *plan,
                                          const struct xf_directory *directory,
                                          struct xf_diag *diag);
/* Layout digest: SHA-256 of the canonical layout (param/layout.h), the same at every silo. @err E_LIMIT */
XF_WARN_UNUSED enum xf_rc xf_layout_digest(struct xf_digest *out, const struct xf_layout *layout);
/* Floats of the wire vector of a member that holds n_rows of the directory. @unit floats */
uint64_t xf_global_wire(const struct xf_global *global, size_t n_rows);

/* A contiguous run of a member's wire vector and where it lies in the global one: at wire position `wire` there are
   `len` floats from global position `from`. */
struct xf_global_run {
  uint64_t from, len;
};
/* The run that holds wire position `at` of a member whose rows are row[n_row] (ascending directory rows); len is what
   is left of it from there. @shape row[n_row]; at < xf_global_wire(n_row) */
struct xf_global_run xf_global_run_at(const struct xf_global *global, const uint32_t *row,
                                      size_t n_row, uint64_t at);

#endif
