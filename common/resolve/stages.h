/*
 * stages.h - what the stages of a recommender's plan exchange: one layout, segment by segment, and in which namespace.
 *
 *   statistic gram     <name>/diagonal aligned, <name>/pairs paired   (with noise only the pairs)
 *             counts   <name>/counts   aligned, one column
 *             categories as gram, over the categories of items
 *             overlap  <name>/overlap  aligned, one column; its users are aligned as well, and no row of theirs moves
 *   rows               <name>/user     aligned, <name>/item  domain
 *        rule sums     <name>/sums     aligned, <name>/item  domain
 *                      with rows.inner what the rounds without split A left: <name>/inner_user inner_target user, <name>/inner_item domain
 *   train, scorer      <name>/w1 b1 w2, the net of rec/unitfree.h, shared
 *
 * A segment carries the number of its stage. A stage's *artifact* is its slice of the one global vector: checkpoint, ledger and
 * recovery know no other file. Plans of other models have one stage; its layout is the model's.
 * Not for: the coordinator's vector (global.h). Owner: caller. Thread: any.
 */
#ifndef XF_RESOLVE_STAGES_H
#define XF_RESOLVE_STAGES_H

#include "model/model.h"
#include "plan/plan.h"

enum { XF_SPACES_MAX = 3 }; /* items, users, categories of items */

/* What the keys of a namespace name. */
enum xf_space_of { XF_SPACE_USERS, XF_SPACE_ITEMS, XF_SPACE_CATEGORIES };

/* A namespace whose keys a plan aligns: silos announce theirs, the coordinator freezes a directory of it. */
struct xf_space {
  const char *ns; /* the plan's */
  enum xf_space_of of;
  uint32_t min_holders; /* silos that must hold a key before the directory knows it */
};
/* All of a plan, in the order in which its stages first need them. */
struct xf_spaces {
  struct xf_space at[XF_SPACES_MAX];
  uint32_t n; /* 0: nothing is aligned */
};

/* Rows of the tables: a silo's, or at the coordinator 0 users, 0 items, 0 categories. */
struct xf_stage_sizes {
  uint32_t n_users, n_items, n_categories;
  uint32_t n_keys
      [XF_SPACES_MAX]; /* of each namespace: the directory's, or those of the silo that the directory knows */
  bool silo;           /* aligned tables have all the silo's rows, else the directory's */
};

/* Whether the plan's model is a recommender: statistics, rows, a scorer, a guard. @thread any */
bool xf_resolve_recommends(const struct xf_plan *plan);
/* The namespaces that the plan aligns: of items or categories for statistics, of users for rows, aligned users and
   overlap. @own borrows plan */
struct xf_spaces xf_resolve_spaces(const struct xf_plan *plan);
/* Whether a stage counts holders of such keys. @thread any */
bool xf_resolve_keyed(const struct xf_plan_stage_part *stage, enum xf_space_of of);
/* Index of a namespace by its name, or spaces->n. @thread any */
uint32_t xf_spaces_find(const struct xf_spaces *spaces, const char *ns);
/* The layout of a recommender's plan. @own out: xf_layout_deinit, also after an error @err E_LIMIT E_UNSUPPORTED */
XF_WARN_UNUSED enum xf_rc xf_resolve_layout(struct xf_layout *out, const struct xf_plan *plan,
                                            const struct xf_stage_sizes *sizes,
                                            struct xf_diag *diag);
/* Name of a stage's segment: "gram/pairs"; with '_' for each '-' of the stage's name. @shape out[XF_NAME_MAX] */
void xf_resolve_segment(char *out, const struct xf_plan_stage_part *stage, const char *part);

/* The net of a scorer stage. @own out: xf_model_free @err model's */
XF_WARN_UNUSED enum xf_rc xf_resolve_scorer(struct xf_model **out, struct xf_diag *diag);
/* Its first weights, the same everywhere: by the plan's seed and the stage. @shape x[layout.n] of the net @err model's */
XF_WARN_UNUSED enum xf_rc xf_resolve_scorer_first(const struct xf_model *net, float *x,
                                                  const struct xf_plan *plan, uint32_t stage,
                                                  struct xf_diag *diag);
/* Sets of stages (bits): those whose slices a silo reads in a stage, without the stage itself. @thread any */
uint32_t xf_resolve_inputs(const struct xf_plan *plan, uint32_t stage);

#endif
