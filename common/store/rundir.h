/*
 * rundir.h - the run directory people read: plan.resolved.yaml, metrics.jsonl, summary.json,
 * model.safetensors, log.jsonl (design.md section 7). The coordinator's state directory is one too. Lines of scope global go to
 * events.out.tfevents.crossfed (tfevents.h) as well, a step being a commit.
 *
 * metrics.jsonl is appended a whole line at a time; a torn last line (a crash) is cut off at the next open.
 * NaN and infinities are null. Not for: anything a restart needs (that is the ledger).
 * Owner: the caller embeds the struct. Thread: one at a time.
 */
#ifndef XF_STORE_RUNDIR_H
#define XF_STORE_RUNDIR_H

#include "base/digest.h"
#include "base/fs.h"
#include "store/tfevents.h"

#include <stddef.h>
#include <stdint.h>

struct xf_rundir {
  const struct xf_fs *fs;
  char dir[XF_PATH_MAX];
  struct xf_file metrics;
  uint64_t metrics_len;
  struct xf_tfevents events;
  bool open;
};

/* Makes the directory (0750) when absent and opens metrics.jsonl for appending; `fresh` empties it.
   @own rd: xf_rundir_close @err E_LIMIT E_NOSPACE E_IO */
XF_WARN_UNUSED enum xf_rc xf_rundir_open(struct xf_rundir *rd, const struct xf_fs *fs,
                                         const char *dir, bool fresh, struct xf_diag *diag);
/* Idempotent, legal on a zeroed struct. @own rd */
void xf_rundir_close(struct xf_rundir *rd);
/* Path of a file of the run, e.g. "log.jsonl". @err E_LIMIT */
XF_WARN_UNUSED enum xf_rc xf_rundir_path(const struct xf_rundir *rd, char out[XF_PATH_MAX],
                                         const char *name);
/* plan.resolved.yaml, replaced whole. @err E_NOSPACE E_IO */
XF_WARN_UNUSED enum xf_rc xf_rundir_plan(struct xf_rundir *rd, const char *text, size_t len,
                                         struct xf_diag *diag);

struct xf_rundir_value {
  const char *name; /* "loss", "ndcg_10_full" */
  double value;
};
/* What a run took up to a line: all bytes of both directions; time is the simulator's virtual one. */
struct xf_rundir_cost {
  uint64_t bytes_up, bytes_down;
  double time_s;
};
struct xf_rundir_metrics {
  uint64_t round;
  const char *scope; /* "global", "domain:books", "client:silo-1" */
  const char *arm;   /* "federated", ... */
  const char *split; /* "train", "valid", "test" */
  const struct xf_rundir_value *value;
  size_t n_value;
  uint64_t commits;                  /* training rounds committed so far */
  const struct xf_rundir_cost *cost; /* NULL: not known */
};
/* One line of metrics.jsonl; doubles are printed so that they read back equal. @err E_NOSPACE E_IO */
XF_WARN_UNUSED enum xf_rc xf_rundir_metrics(struct xf_rundir *rd, const struct xf_rundir_metrics *m,
                                            struct xf_diag *diag);
/* Makes the lines written so far durable. @err E_IO */
XF_WARN_UNUSED enum xf_rc xf_rundir_sync(struct xf_rundir *rd, struct xf_diag *diag);

enum xf_rundir_type {
  XF_RUNDIR_STR,
  XF_RUNDIR_UINT,
  XF_RUNDIR_FLOAT,
  XF_RUNDIR_BOOL,
  XF_RUNDIR_JSON
};
struct xf_rundir_field { /* one key of summary.json */
  const char *name;
  enum xf_rundir_type type;
  const char *s; /* STR (NULL: null) and JSON (an object or array, verbatim) */
  uint64_t u;    /* UINT and BOOL */
  double f;      /* FLOAT */
};
/* summary.json = {"v":1, fields in the given order}, replaced whole. @err E_FORMAT (bad JSON) E_IO */
XF_WARN_UNUSED enum xf_rc xf_rundir_summary(struct xf_rundir *rd,
                                            const struct xf_rundir_field *field, size_t n,
                                            struct xf_diag *diag);

#endif
