/*
 * dataset.h - a silo's data file as the plan wants it: loaded, split, scaled.
 *
 * Where the file lies and which columns mean what is the silo's business (client.yaml, or a plan's `sim`); how it is
 * split and scaled is the plan's. Random splits are seeded by (plan seed, member).
 * Owner: caller. Thread: any.
 */
#ifndef XF_RESOLVE_DATASET_H
#define XF_RESOLVE_DATASET_H

#include "data/dataset.h"
#include "plan/plan.h"

struct xf_source {
  const char *path;
  uint32_t user, item, domain, value, time; /* columns from 1; interactions */
  const char *only_domain;                  /* NULL: all rows */
  const char *
      split; /* predefined split: file of tables; answers: "VALIDATION,TEST", path being the train part */
  const char *center; /* its lines that count; NULL: all */
};

/* @own out: xf_dataset_deinit also after an error @err those of data; E_SHAPE (inputs differ from model.n_in) */
XF_WARN_UNUSED enum xf_rc xf_resolve_dataset(struct xf_dataset *out, const struct xf_plan *plan,
                                             const char *member, const struct xf_source *source,
                                             struct xf_diag *diag);
/* The same for interactions that are loaded already: takes `inter` and splits it. @own takes inter's
   contents */
XF_WARN_UNUSED enum xf_rc xf_resolve_interactions(struct xf_dataset *out,
                                                  const struct xf_plan *plan, const char *member,
                                                  struct xf_interactions *inter,
                                                  struct xf_diag *diag);
/* The same for a table that is there already. @own takes table's contents */
XF_WARN_UNUSED enum xf_rc xf_resolve_table(struct xf_dataset *out, const struct xf_plan *plan,
                                           const char *member, struct xf_table *table,
                                           struct xf_diag *diag);
/* A source's sequences with the parts of a predefined split (else all train); for answers and texts. @own out:
   xf_seqset_deinit @err those of data E_CONFIG */
XF_WARN_UNUSED enum xf_rc xf_resolve_load_sequences(struct xf_seqset *out,
                                                    const struct xf_plan *plan,
                                                    const struct xf_source *source,
                                                    struct xf_diag *diag);
/* Sequences as a member's data set: takes `set`, deals a random split. @own takes set's contents @err E_SHAPE (more tokens
   than model.n_in) and those of data */
XF_WARN_UNUSED enum xf_rc xf_resolve_sequences(struct xf_dataset *out, const struct xf_plan *plan,
                                               const char *member, struct xf_seqset *set,
                                               struct xf_diag *diag);
/* Images of a folder with files named as MNIST's (train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-..., each perhaps .gz): train
   and test rows; a folder without t10k files has no test rows. `path`: the
   folder, or its train images. @own out: xf_table_deinit @err those of data */
XF_WARN_UNUSED enum xf_rc xf_resolve_load_images(struct xf_table *out, const char *path,
                                                 struct xf_diag *diag);
/* Images as a member's data set: takes `table`, deals data.split.valid_fraction of its train rows to validation.
   @own takes table's contents @err E_SHAPE (inputs differ from model.n_in) */
XF_WARN_UNUSED enum xf_rc xf_resolve_images(struct xf_dataset *out, const struct xf_plan *plan,
                                            const char *member, struct xf_table *table,
                                            struct xf_diag *diag);
/* The loader's view of a source under a plan (min_value). @own value, borrows source */
struct xf_interactions_spec xf_resolve_columns(const struct xf_plan *plan,
                                               const struct xf_source *source);

#endif
