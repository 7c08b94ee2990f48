#include "tools/exper/runs.h"

#include "base/alloc.h"
#include "base/str.h"
#include "plan/metric.h"
#include "tools/exper/runfile.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum xf_rc xf_exper_direction(bool *up, const char *key, struct xf_diag *diag) {
  const size_t n = strcspn(key, "_");
#define XF_EXPER_KNOWN(name, text, k, rank, better) {text, better},
  static const struct {
    const char *text;
    bool up;
  } known[] = {XF_METRIC_LIST(XF_EXPER_KNOWN){"loss", false}};
#undef XF_EXPER_KNOWN
  for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
    if (strlen(known[i].text) == n && memcmp(known[i].text, key, n) == 0) {
      *up = known[i].up;
      return XF_OK;
    }
  return xf_diag_set(diag, XF_E_UNSUPPORTED,
                     "--metric %s: it is not known whether larger is better; metrics are named as "
                     "in metrics.jsonl: acc, logloss, ndcg_10_full",
                     key);
}

/* --- directories --------------------------------------------------------------------------------------------------- */

static enum xf_rc add(struct xf_exper *e, const char *dir, struct xf_diag *diag) {
  if (e->n == XF_EXPER_RUNS)
    return xf_diag_set(diag, XF_E_LIMIT, "more than %d runs", XF_EXPER_RUNS);
  e->run = xf_realloc_array(e->run, e->n + 1, sizeof *e->run);
  struct xf_exper_run *run = &e->run[e->n++];
  *run = (struct xf_exper_run){.value = NAN};
  enum xf_rc rc = xf_str_copy(run->dir, sizeof run->dir, dir);
  if (rc) return xf_diag_set(diag, rc, "the path \"%.64s...\" is too long", dir);
  for (size_t n = strlen(run->dir); n > 1 && run->dir[n - 1] == '/';) run->dir[--n] = '\0';
  return xf_runfile_open(run, diag);
}

struct cells {
  struct xf_exper *e;
  const char *dir;
  struct xf_diag *diag;
};

static enum xf_rc add_cell(void *arg, const char *name) {
  struct cells *c = arg;
  char dir[XF_PATH_MAX], path[XF_PATH_MAX];
  const size_t n = strlen(name);
  if (n > 5 && strcmp(name + n - 5, ".part") == 0) return XF_OK;
  if (xf_fs_join(dir, c->dir, name) || xf_fs_join(path, dir, "summary.json")) return XF_E_LIMIT;
  return xf_fs_exists(xf_fs_posix(), path) ? add(c->e, dir, c->diag) : XF_OK;
}

static enum xf_rc add_dir(struct xf_exper *e, const char *dir, struct xf_diag *diag) {
  char path[XF_PATH_MAX];
  const struct xf_fs *fs = xf_fs_posix();
  enum xf_rc rc = xf_fs_join(path, dir, "sweep.json");
  if (rc) return xf_diag_set(diag, rc, "the path \"%.64s...\" is too long", dir);
  if (!xf_fs_exists(fs, path)) return add(e, dir, diag);
  struct cells c = {e, dir, diag};
  const size_t before = e->n;
  rc = fs->list(fs, dir, add_cell, &c);
  if (!rc && e->n == before)
    rc = xf_diag_set(diag, XF_E_NOTFOUND, "%s: a sweep without a finished run", dir);
  return rc;
}

/* --- groups -------------------------------------------------------------------------------------------------------- */

static int by_group(const void *a, const void *b) {
  const struct xf_exper_run *p = a, *q = b;
  if (p->group != q->group) return p->group < q->group ? -1 : 1;
  return p->seed < q->seed ? -1 : p->seed > q->seed;
}

static enum xf_rc make_groups(struct xf_exper *e, struct xf_diag *diag) {
  e->group = xf_calloc(e->n, sizeof *e->group);
  size_t *head = xf_calloc(e->n, sizeof *head);
  for (size_t i = 0; i < e->n; i++) {
    size_t g = 0;
    while (g < e->n_group && !xf_setting_same(&e->run[head[g]].setting, &e->run[i].setting)) g++;
    if (g == e->n_group) head[e->n_group++] = i;
    e->run[i].group = g;
    e->group[g].n++;
  }
  xf_free(head);
  qsort(e->run, e->n, sizeof *e->run, by_group);
  for (size_t i = 1; i < e->n; i++)
    if (e->run[i].group == e->run[i - 1].group && e->run[i].seed == e->run[i - 1].seed)
      return xf_diag_set(diag, XF_E_EXISTS,
                         "%s and %s are runs of the same plan and seed; leave one of them out",
                         e->run[i - 1].dir, e->run[i].dir);
  const struct xf_setting **all = xf_calloc(e->n_group, sizeof *all);
  for (size_t g = 0, at = 0; g < e->n_group; at += e->group[g++].n) {
    e->group[g].first = at;
    all[g] = &e->run[at].setting;
  }
  for (size_t g = 0; g < e->n_group; g++) {
    xf_setting_label(e->group[g].label, XF_EXPER_LABEL, all[g], all, e->n_group);
    const char *name = xf_setting_find(all[g], "name");
    if (!e->group[g].label[0])
      (void)snprintf(e->group[g].label, XF_EXPER_LABEL, "%s", name ? name : "run");
  }
  xf_free(all);
  return XF_OK;
}

static enum xf_rc resolve(struct xf_exper *e, const struct xf_exper_query *q,
                          struct xf_diag *diag) {
  const char *kind = xf_setting_find(&e->run[0].setting, "model.kind");
  const char *arm = q->arm                                     ? q->arm
                    : kind && strcmp(kind, "recommender") == 0 ? "guarded"
                                                               : "federated";
  enum xf_rc rc = xf_str_copy(e->arm, sizeof e->arm, arm);
  if (!rc) rc = xf_str_copy(e->split, sizeof e->split, q->split);
  if (!rc && q->metric) rc = xf_str_copy(e->metric, sizeof e->metric, q->metric);
  if (rc) return xf_diag_set(diag, rc, "--metric, --arm or --split is too long");
  if (!q->metric) rc = xf_runfile_metric(e->metric, &e->run[0], e->split, diag);
  return rc ? rc : xf_exper_direction(&e->up, e->metric, diag);
}

enum xf_rc xf_exper_read(struct xf_exper *out, const char *const *dir, size_t n,
                         const struct xf_exper_query *query, struct xf_diag *diag) {
  bool any = false;
  *out = (struct xf_exper){0};
  enum xf_rc rc = n ? XF_OK : xf_diag_set(diag, XF_E_INVAL, "no run directory is given");
  for (size_t i = 0; i < n && !rc; i++) rc = add_dir(out, dir[i], diag);
  if (!rc) rc = resolve(out, query, diag);
  if (!rc) rc = make_groups(out, diag);
  for (size_t i = 0; i < out->n && !rc; i++) {
    rc = xf_runfile_figures(&out->run[i], out->metric, out->split, out->arm, diag);
    any |= isfinite(out->run[i].value);
  }
  if (!rc && !any) rc = xf_runfile_missing(&out->run[0], out->metric, out->split, out->arm, diag);
  if (rc) xf_exper_deinit(out);
  return rc;
}

void xf_exper_deinit(struct xf_exper *e) {
  for (size_t i = 0; i < e->n; i++) {
    xf_setting_deinit(&e->run[i].setting);
    xf_free(e->run[i].curve);
    xf_free(e->run[i].client);
  }
  xf_free(e->run);
  xf_free(e->group);
  *e = (struct xf_exper){0};
}

struct xf_exper_mean xf_exper_over(const struct xf_exper *e, size_t group,
                                   double (*pick)(const struct xf_exper *exper,
                                                  const struct xf_exper_run *run, const void *arg),
                                   const void *arg) {
  const struct xf_exper_group *g = &e->group[group];
  double *v = xf_calloc(g->n, sizeof *v);
  struct xf_exper_mean m = {0};
  for (size_t i = 0; i < g->n; i++) {
    const double x = pick(e, &e->run[g->first + i], arg);
    if (isfinite(x)) v[m.n++] = x;
  }
  m.mean = xf_stats_mean(v, m.n);
  m.sd = xf_stats_sd(v, m.n);
  xf_free(v);
  return m;
}
