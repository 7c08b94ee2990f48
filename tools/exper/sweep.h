/*
 * sweep.h - between the files of `crossfed sim sweep`: what was asked, its cells, what became of them.
 *
 * A cell is one combination and seed; its folder below the sweep's has a name that ends in the digest of its whole resolved plan, so
 * a finished one is known again whatever the grid became. It runs in NAME.part and is renamed when it is done: what lies at NAME is
 * whole, and a cell that was killed begins anew. program.txt in it is the digest of the executable that ran it: one of another build
 * is set aside as NAME.part and run again.
 * Owner: the caller. Thread: main.
 */
#ifndef XF_EXPER_SWEEP_H
#define XF_EXPER_SWEEP_H

#include "base/fs.h"
#include "plan/plan.h"
#include "tools/exper/sweepgrid.h"

enum { XF_SWEEP_SETS = 64, XF_SWEEP_NAME = 160 };

struct xf_sweep_cell {
  size_t combination;
  uint64_t seed;
  struct xf_digest plan; /* of the resolved plan's text */
  char name[XF_SWEEP_NAME];
  bool done, failed;
  char said[256]; /* of one that failed */
};

struct xf_sweep {
  const char *plan_path, *sets[XF_SWEEP_SETS], *out, *metric, *arm;
  size_t n_sets;
  uint64_t parallel; /* 0: as many as cores */
  bool json, help;
  struct xf_sweepgrid grid;
  char dir[XF_PATH_MAX];
  struct xf_sweep_cell *cell;    /* by seed, then combination */
  size_t n_cell, n_old, n_other; /* done before by this program, by another one */
  struct xf_digest program;      /* of this executable (libraries it loads are not in it) */
  bool noisy;                    /* the plan adds noise */
};

/* Loads the plan of every cell, so that a bad value is refused before anything runs; names the cells and makes the folder.
   @own sweep: xf_sweep_deinit @err those of xf_plan_load, E_CONFIG (no validation part) E_EXISTS (the folder is a run's) E_LIMIT */
XF_WARN_UNUSED enum xf_rc xf_sweep_plan(struct xf_sweep *sweep, struct xf_buf *errors,
                                        struct xf_diag *diag);
/* Which cells are done already, by this program; under the folder's lock. @err E_CONFLICT (a folder was changed) E_IO */
XF_WARN_UNUSED enum xf_rc xf_sweep_find(struct xf_sweep *sweep, struct xf_diag *diag);
/* The digest of this executable. @err E_IO E_LIMIT */
XF_WARN_UNUSED enum xf_rc xf_sweep_program(struct xf_sweep *sweep, struct xf_diag *diag);
/* Notes in a run's folder which program ran it. @err E_IO E_LIMIT */
XF_WARN_UNUSED enum xf_rc xf_sweep_sign(const struct xf_sweep *sweep, const char *dir,
                                        struct xf_diag *diag);
/* Whether this program ran what lies in a folder; not when nothing is noted there. @thread main */
bool xf_sweep_signed(const struct xf_sweep *sweep, const char *dir);
/* An empty folder NAME.part of a cell, whatever lies there. @shape dir[XF_PATH_MAX] @err E_IO E_LIMIT */
XF_WARN_UNUSED enum xf_rc xf_sweep_part(const struct xf_sweep *sweep,
                                        const struct xf_sweep_cell *cell, char *dir,
                                        struct xf_diag *diag);
/* Leaves sweep.json of a sweep that runs. @err E_IO */
XF_WARN_UNUSED enum xf_rc xf_sweep_record(const struct xf_sweep *sweep, struct xf_diag *diag);
/* Runs what is not done, `parallel` at a time; a cell that fails is noted and the others go on. @err E_IO E_NOMEM */
XF_WARN_UNUSED enum xf_rc xf_sweep_run(struct xf_sweep *sweep, struct xf_diag *diag);
/* Prints the settings, which is best on validation, its test figure alone, and how many were tried; leaves sweep.json.
   @err E_NOTFOUND (nothing to choose by) E_STATE (cells failed) E_IO */
XF_WARN_UNUSED enum xf_rc xf_sweep_report(struct xf_sweep *sweep, struct xf_diag *diag);
/* Releases; idempotent. @own sweep */
void xf_sweep_deinit(struct xf_sweep *sweep);

#endif
