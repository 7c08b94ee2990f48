/*
 * runfile.h - between the files of exper: one run directory.
 * Owner: the caller. Thread: one at a time.
 */
#ifndef XF_EXPER_RUNFILE_H
#define XF_EXPER_RUNFILE_H

#include "tools/exper/runs.h"

/* Setting and seed of a finished run; dir is set. @err E_STATE E_FORMAT E_NOTFOUND */
XF_WARN_UNUSED enum xf_rc xf_runfile_open(struct xf_exper_run *run, struct xf_diag *diag);
/* The metric to take when none is named, of those that the split has. @shape key[XF_EXPER_KEY] @err E_NOTFOUND */
XF_WARN_UNUSED enum xf_rc xf_runfile_metric(char *key, const struct xf_exper_run *run,
                                            const char *split, struct xf_diag *diag);
/* Curve, clients and value. @err E_FORMAT E_LIMIT */
XF_WARN_UNUSED enum xf_rc xf_runfile_figures(struct xf_exper_run *run, const char *metric,
                                             const char *split, const char *arm,
                                             struct xf_diag *diag);
/* E_NOTFOUND with what the run has instead. @err E_NOTFOUND */
enum xf_rc xf_runfile_missing(const struct xf_exper_run *run, const char *metric, const char *split,
                              const char *arm, struct xf_diag *diag);

#endif
