/*
 * columns.h - what settings are compared by, and the table of it: text, Markdown, CSV or JSON.
 * Owner: the caller's exper. Thread: main.
 */
#ifndef XF_EXPER_COLUMNS_H
#define XF_EXPER_COLUMNS_H

#include "tools/exper/runs.h"
#include "json/jsonw.h"

enum xf_exper_format { XF_EXPER_TEXT, XF_EXPER_MD, XF_EXPER_CSV, XF_EXPER_JSON };

/* Appends the table; with has_target also what reaching it took, which is a mean only where every seed did.
   @err E_LIMIT E_NOMEM */
XF_WARN_UNUSED enum xf_rc xf_exper_table(struct xf_buf *out, const struct xf_exper *exper,
                                         enum xf_exper_format format, const double *target);

#endif
