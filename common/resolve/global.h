/*
 * global.h - the coordinator's side of a plan: layout, the global vector, a member's view of it, what each stage folds.
 *
 * Global vector: all shared segments in layout order, then all keyed ones (aligned rows, pairs of rows) in layout order, with
 * the directory's rows: the order of checkpoints. A member's wire vector has the same order with the member's rows; of a set
 * of stages it has the segments of those stages only. Transfers of a task:
 *   TRAIN of stage s   down: the wire vector of the stages that s reads (`in`), then that of s (of a statistic nothing: it is
 *                      0 until it is summed); up: that of s
 *   EVALUATE, FINAL    down: the wire vector of all stages
 * It is made without BLAS and without any silo's data, so coordinator and simulator give the same bytes.
 * Owner: caller, xf_global_deinit. Thread: immutable once built.
 */
#ifndef XF_RESOLVE_GLOBAL_H
#define XF_RESOLVE_GLOBAL_H

#include "fed/fold.h"
#include "model/model.h"
#include "param/manifest.h"
#include "plan/view.h"
#include "resolve/stages.h"

/* Which rows of the directories a member holds, by namespace: ascending. Owner: caller. */
struct xf_member_rows {
  uint32_t *row[XF_SPACES_MAX]; /* [n[k]] */
  size_t n[XF_SPACES_MAX];
};
/* Of one namespace. @own borrows row @shape row[n] */
static inline struct xf_member_rows xf_member_rows_one(uint32_t *row, size_t n) {
  return (struct xf_member_rows){{row}, {n}};
}

/* A segment of the global vector, in its order. */
struct xf_global_part {
  enum xf_role role;
  uint32_t space; /* of a keyed one: number of its namespace */
  uint32_t stage, rows, cols;
  uint64_t from; /* first float */
};

/* What a stage writes: shared floats and keyed ones, each contiguous. */
struct xf_global_stage {
  struct xf_fold_shape shape; /* its shared and aligned segments */
  uint64_t shared_at, keyed_at;
  uint64_t n;         /* floats */
  uint64_t n_control; /* the last of its shared floats, which are control variates */
  bool nova; /* the last one is the norm of silos' local steps, by which they divided the rest */
  uint32_t space; /* whose keys its keyed segments have */
  uint32_t pairs; /* keys of its paired segment, which comes last; 0: none */
  bool sum;       /* a statistic, rows of rule sums: added up, not averaged */
};

struct xf_global {
  struct xf_model *
      model; /* NULL for a recommender; aligned tables have the directory's rows, silos' own tables none */
  struct xf_layout made; /* of a recommender */
  const struct xf_layout *layout;
  struct xf_global_part *part;
  size_t n_part;
  struct xf_global_stage *stage;
  uint32_t n_stage;
  const char
      *ns[XF_SPACES_MAX]; /* namespaces, by first appearance: as xf_resolve_spaces; the layout's */
  uint32_t n_space;
  uint64_t n;                       /* floats of the global vector */
  uint64_t n_shared;                /* of which shared */
  uint64_t row_cols[XF_SPACES_MAX]; /* floats per row of each directory over all aligned segments */
};

/* Builds everything for a plan and its frozen directories, one for each of xf_resolve_spaces (NULL: without keys).
   @own out: xf_global_deinit @err E_CONFIG (the plan shares nothing) and model's */
XF_WARN_UNUSED enum xf_rc xf_global_init(struct xf_global *out, const struct xf_plan *plan,
                                         const struct xf_directory *directory,
                                         struct xf_diag *diag);
/* The same for a layout as it is, whose segments name their stages; no stage sums.
   @own out borrows layout: xf_global_deinit @err E_CONFIG E_SHAPE E_LIMIT (namespaces) */
XF_WARN_UNUSED enum xf_rc xf_global_lay(struct xf_global *out, const struct xf_layout *layout,
                                        uint32_t n_stage, struct xf_diag *diag);
/* Releases; idempotent. @own global */
void xf_global_deinit(struct xf_global *global);
/* Checkpoint 0: seeded by the plan (streams "init"), aligned rows of a model by their keys; statistics and a recommender's
   rows are 0. @shape x[n] @err model's */
XF_WARN_UNUSED enum xf_rc xf_global_first(const struct xf_global *global, float *x,
                                          const struct xf_plan *plan,
                                          const struct xf_directory *directory,
                                          struct xf_diag *diag);
/* Layout digest: SHA-256 of the canonical layout (param/layout.h), the same at every silo. @err E_LIMIT */
XF_WARN_UNUSED enum xf_rc xf_layout_digest(struct xf_digest *out, const struct xf_layout *layout);

/* Floats of the wire vector of some stages for a member that holds these rows. @unit floats */
uint64_t xf_global_wire(const struct xf_global *global, uint32_t stages,
                        const struct xf_member_rows *rows);
/* A contiguous run of such a wire vector and where it lies in the global one: at wire position `at` there are `len`
   floats from global position `from`. */
struct xf_global_run {
  uint64_t from, len;
};
/* The run that holds wire position `at` of a member with these rows; len is what is left of it from there.
   @shape at < xf_global_wire(stages, rows) */
struct xf_global_run xf_global_run_at(const struct xf_global *global, uint32_t stages,
                                      const struct xf_member_rows *rows, uint64_t at);

/* What a task moves down: first the artifacts it reads, then the stage's own slice; for EVALUATE and FINAL all. */
struct xf_global_view {
  uint32_t set[2]; /* sets of stages, one behind the other */
};
/* Of a TRAIN of that stage, or of EVALUATE and FINAL. @own value */
struct xf_global_view xf_global_view_of(const struct xf_plan *plan, bool train, uint32_t stage);
/* Floats of a view. @unit floats */
uint64_t xf_global_view_len(const struct xf_global *global, struct xf_global_view view,
                            const struct xf_member_rows *rows);
/* What a member's tasks move. @unit bytes */
struct xf_plan_lens xf_global_lens(const struct xf_global *global, const struct xf_plan *plan,
                                   const struct xf_member_rows *rows);
/* As xf_global_run_at, for a position of a view. @shape at < xf_global_view_len */
struct xf_global_run xf_global_view_at(const struct xf_global *global, struct xf_global_view view,
                                       const struct xf_member_rows *rows, uint64_t at);

#endif
