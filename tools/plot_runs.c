/* The points of runs: their curves, averaged over seeds. */
#include "tools/plot.h"

#include "base/alloc.h"
#include "base/str.h"
#include "tools/exper/runs.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static enum xf_rc cost_of(int *cost, const char *x, struct xf_diag *diag) {
  static const char *const names[XF_N_COST] = {"commits", "bytes", "time"};
  for (*cost = 0; *cost < XF_N_COST; ++*cost)
    if (strcmp(x, names[*cost]) == 0) return XF_OK;
  return xf_diag_set(diag, XF_E_INVAL, "--x %s: of runs it must be commits, bytes or time", x);
}

static const struct xf_curve_point *find(const struct xf_exper_run *run, double commits) {
  for (size_t i = 0; i < run->n_curve; i++)
    if (run->curve[i].cost[XF_COST_COMMITS] == commits) return &run->curve[i];
  return NULL;
}

/* The mean of a group at an evaluation of its first run; false when another seed has none there. */
static bool mean_at(struct xf_plot_point *p, const struct xf_exper *e,
                    const struct xf_exper_group *g, const struct xf_curve_point *first, int cost) {
  double *v = xf_calloc(g->n, sizeof *v), x = 0;
  bool all = true;
  for (size_t i = 0; i < g->n && all; i++) {
    const struct xf_curve_point *at = find(&e->run[g->first + i], first->cost[XF_COST_COMMITS]);
    all = at && isfinite(at->cost[cost]);
    if (!all) break;
    v[i] = at->value;
    x += at->cost[cost] / (double)g->n;
  }
  p->x = x;
  p->y = xf_stats_mean(v, g->n);
  p->err = g->n > 1 ? xf_stats_sd(v, g->n) : 0;
  xf_free(v);
  return all;
}

static enum xf_rc take_group(struct xf_plot *out, const struct xf_exper *e, size_t group, int cost,
                             struct xf_diag *diag) {
  const struct xf_exper_group *g = &e->group[group];
  const struct xf_exper_run *run = &e->run[g->first];
  const size_t before = out->n;
  for (size_t i = 0; i < run->n_curve; i++) {
    struct xf_plot_point p = {.series = out->n_series, .line = (uint32_t)i};
    if (!mean_at(&p, e, g, &run->curve[i], cost)) {
      out->n_other++;
      continue;
    }
    if (out->n == XF_PLOT_POINTS)
      return xf_diag_set(diag, XF_E_RANGE, "more than %d points; draw fewer runs", XF_PLOT_POINTS);
    out->point[out->n++] = p;
  }
  if (out->n == before) return XF_OK; /* no curve: no line and no name */
  (void)snprintf(out->name[out->n_series], XF_PLOT_TEXT, "%.*s", XF_PLOT_TEXT - 1, g->label);
  out->n_series++;
  return XF_OK;
}

static enum xf_rc take(struct xf_plot *out, const struct xf_plot_request *r,
                       const struct xf_exper *e, int cost, struct xf_diag *diag) {
  enum xf_rc rc = XF_OK;
  if (e->n_group > XF_PLOT_SERIES)
    return xf_diag_set(diag, XF_E_RANGE,
                       "%zu settings cannot be told apart in one picture, at most %d; draw fewer",
                       e->n_group, XF_PLOT_SERIES);
  for (size_t g = 0; g < e->n_group && !rc; g++) rc = take_group(out, e, g, cost, diag);
  if (!rc && !out->n)
    rc = xf_diag_set(diag, XF_E_NOTFOUND,
                     "no curve of %s by %s (arm %s, split %s): it needs evaluations between rounds "
                     "(eval.every)%s",
                     e->metric, r->x, e->arm, e->split,
                     cost == XF_COST_COMMITS ? "" : " of crossfed sim; daemons have --x commits");
  for (size_t i = 0; i < out->n && !rc && r->logx; i++)
    if (!(out->point[i].x > 0))
      rc = xf_diag_set(diag, XF_E_RANGE, "--logx needs numbers above 0; %s begins at %g", r->x,
                       out->point[i].x);
  return rc;
}

enum xf_rc xf_plot_runs(struct xf_plot *out, struct xf_plot_request *request, char *metric,
                        struct xf_diag *diag) {
  struct xf_plot_request *r = request;
  const struct xf_exper_query q = {r->y, r->split ? r->split : "valid", r->arm};
  struct xf_exper e;
  int cost = 0;
  *out = (struct xf_plot){0};
  if (!r->x) r->x = "commits";
  enum xf_rc rc = cost_of(&cost, r->x, diag);
  if (!rc) rc = xf_exper_read(&e, r->run, r->n_run, &q, diag);
  if (rc) return rc;
  out->point = xf_calloc(XF_PLOT_POINTS, sizeof *out->point);
  rc = take(out, r, &e, cost, diag);
  (void)snprintf(metric, XF_PLOT_TEXT, "%s", e.metric);
  r->y = metric;
  r->file = r->run[0];
  r->band = true;
  if (out->n_series > 1) r->series = "setting";
  static const char *const label[XF_N_COST] = {"training rounds", "bytes, both ways",
                                               "virtual seconds"};
  if (!r->x_label) r->x_label = label[cost];
  xf_exper_deinit(&e);
  if (rc) xf_plot_deinit(out);
  return rc;
}
