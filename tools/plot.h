/*
 * plot.h - between the files of `crossfed plot`: what was asked, the points that a file or runs gave, their picture.
 * Not for: computing figures; they are drawn as they stand in the file, or are means over seeds of runs.
 * Owner: the points are the caller's (xf_plot_deinit); the request borrows argv. Thread: main.
 */
#ifndef XF_TOOLS_PLOT_H
#define XF_TOOLS_PLOT_H

#include "base/buf.h"
#include "base/diag.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { XF_PLOT_SERIES = 12, XF_PLOT_POINTS = 20000, XF_PLOT_WHERE = 16, XF_PLOT_TEXT = 128 };

struct xf_plot_request {
  const char *file, *out;           /* out NULL: stdout */
  const char *x, *y, *series, *err; /* columns; series and err may be NULL */
  const char *title;                /* NULL: "<y> by <x>" */
  const char *x_label, *y_label;    /* NULL: the column's name */
  const char *where[XF_PLOT_WHERE]; /* "column=value": rows that are drawn */
  size_t n_where;
  bool logx, points; /* points: no lines, and several points of a series at one x */
  const char *const
      *run; /* directories instead of file: y is the metric (NULL: theirs), x the cost */
  size_t n_run;
  const char *split, *arm; /* of runs; NULL: valid, the plan's */
  bool band;               /* err is a band around the line, not bars */
};

struct xf_plot_point {
  double x, y, err; /* err 0: no bar */
  uint32_t series;
  uint32_t line; /* of the file */
};

/* Points by series, in each by x. Series in order of first appearance. */
struct xf_plot {
  struct xf_plot_point *point;
  size_t n;
  char name[XF_PLOT_SERIES][XF_PLOT_TEXT];
  uint32_t n_series;
  uint64_t n_other; /* rows without the columns, or without a number there: not drawn */
};

/* Reads a file of JSON lines, one JSON array of objects, or a table with a header and tabs.
   @own out: xf_plot_deinit @err E_NOTFOUND (file, column, no rows) E_FORMAT (no number) E_RANGE (also: too many) E_EXISTS (a point twice) E_LIMIT (file) */
XF_WARN_UNUSED enum xf_rc xf_plot_read(struct xf_plot *out, const struct xf_plot_request *request,
                                       struct xf_diag *diag);
/* Curves of runs: a series for each setting, its mean over seeds at the commits that all of them evaluated, err the deviation. Sets
   what the request leaves open; metric is storage for it. @shape metric[XF_PLOT_TEXT]
   @own out: xf_plot_deinit @err those of xf_exper_read, E_INVAL (x) E_RANGE (settings, points) E_NOTFOUND (no curve) */
XF_WARN_UNUSED enum xf_rc xf_plot_runs(struct xf_plot *out, struct xf_plot_request *request,
                                       char *metric, struct xf_diag *diag);
/* Releases; idempotent. @own plot */
void xf_plot_deinit(struct xf_plot *plot);
/* The SVG; the same points give the same bytes. @err E_LIMIT E_NOMEM */
XF_WARN_UNUSED enum xf_rc xf_plot_svg(struct xf_buf *out, const struct xf_plot *plot,
                                      const struct xf_plot_request *request);

#endif
