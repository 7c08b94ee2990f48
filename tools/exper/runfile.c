/* One run directory: plan.resolved.yaml and metrics.jsonl. */
#include "tools/exper/runfile.h"

#include "base/alloc.h"
#include "base/map.h"
#include "base/str.h"
#include "json/json.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { PLAN_MAX = 1 << 20, METRICS_MAX = 512 << 20 };

static enum xf_rc read_file(struct xf_buf *out, const char *dir, const char *name, size_t max,
                            struct xf_diag *diag) {
  char path[XF_PATH_MAX];
  xf_buf_init(out, max);
  enum xf_rc rc = xf_fs_join(path, dir, name);
  if (rc) return xf_diag_set(diag, rc, "the path \"%.64s...\" is too long", dir);
  return xf_fs_read_file(xf_fs_posix(), path, out, diag);
}

enum xf_rc xf_runfile_open(struct xf_exper_run *run, struct xf_diag *diag) {
  struct xf_buf text;
  char path[XF_PATH_MAX];
  const struct xf_fs *fs = xf_fs_posix();
  enum xf_rc rc = xf_fs_join(path, run->dir, "metrics.jsonl");
  if (rc) return xf_diag_set(diag, rc, "the path \"%.64s...\" is too long", run->dir);
  if (!xf_fs_exists(fs, path))
    return xf_diag_set(diag, XF_E_NOTFOUND,
                       "%s: no metrics.jsonl there; a run directory is what crossfed sim --out "
                       "leaves, a coordinator's state directory, or a sweep's",
                       run->dir);
  rc = xf_fs_join(path, run->dir, "summary.json");
  if (!rc && !xf_fs_exists(fs, path))
    return xf_diag_set(diag, XF_E_STATE,
                       "%s: the run is not finished (no summary.json); leave it out or run it to "
                       "its end",
                       run->dir);
  rc = read_file(&text, run->dir, "plan.resolved.yaml", PLAN_MAX, diag);
  const char *p = xf_buf_cstr(&text), *seed = strstr(p, "\nseed: ");
  if (!rc && (!seed || xf_str_u64(&run->seed, seed + 7, strcspn(seed + 7, "\n"))))
    rc =
        xf_diag_set(diag, XF_E_FORMAT, "%s/plan.resolved.yaml: no line \"seed: NUMBER\"", run->dir);
  if (!rc) {
    rc = xf_setting_read(&run->setting, p, text.len);
    if (rc)
      xf_diag_set(diag, rc, "%s/plan.resolved.yaml: not as crossfed writes it (%s)", run->dir,
                  xf_rc_text(rc));
  }
  xf_buf_deinit(&text);
  return rc;
}

typedef enum xf_rc (*on_line)(void *arg, const struct xf_json_value *line);

/* The lines that contain both needles (NULL: all). */
static enum xf_rc each_line(const char *dir, const char *a, const char *b, on_line fn, void *arg,
                            struct xf_diag *diag) {
  struct xf_buf text;
  enum xf_rc rc = read_file(&text, dir, "metrics.jsonl", METRICS_MAX, diag);
  const char *p = (const char *)text.p, *end = p + text.len;
  for (uint32_t n = 1; p < end && !rc; n++) {
    const char *stop = memchr(p, '\n', (size_t)(end - p));
    const size_t len = (size_t)((stop ? stop : end) - p);
    char name[XF_PATH_MAX + 64];
    struct xf_json *json = NULL;
    if ((!a || memmem(p, len, a, strlen(a))) && (!b || memmem(p, len, b, strlen(b)))) {
      (void)snprintf(name, sizeof name, "%s/metrics.jsonl line %u", dir, n);
      rc = xf_json_parse(&json, name, p, len, NULL, diag);
      if (!rc && xf_json_kind_of(xf_json_root(json)) != XF_JSON_OBJECT)
        rc = xf_diag_set(diag, XF_E_FORMAT, "%s: must be an object, {\"v\":1, ...}", name);
      if (!rc) rc = fn(arg, xf_json_root(json));
      xf_json_free(json);
    }
    p = stop ? stop + 1 : end;
  }
  xf_buf_deinit(&text);
  return rc;
}

/* --- which metrics ------------------------------------------------------------------------------------------------- */

static bool is_figure(const char *key) {
  static const char *const other[] = {"v",      "round", "commits", "bytes_up", "bytes_down",
                                      "time_s", "scope", "arm",     "split"};
  for (size_t i = 0; i < sizeof other / sizeof other[0]; i++)
    if (strcmp(key, other[i]) == 0) return false;
  return true;
}

static enum xf_rc pick_key(void *arg, const char *key, const struct xf_json_value *v) {
  char *out = arg;
  (void)v;
  const bool ndcg = strncmp(key, "ndcg", 4) == 0, has = strncmp(out, "ndcg", 4) == 0;
  if (is_figure(key) && (!out[0] || (ndcg && !has))) return xf_str_copy(out, XF_EXPER_KEY, key);
  return XF_OK;
}

static enum xf_rc pick_line(void *arg, const struct xf_json_value *line) {
  const enum xf_rc rc = xf_json_each(line, pick_key, arg);
  return rc ? rc : XF_E_EOF; /* one is enough */
}

enum xf_rc xf_runfile_metric(char *key, const struct xf_exper_run *run, const char *split,
                             struct xf_diag *diag) {
  char needle[2 * XF_EXPER_KEY];
  (void)snprintf(needle, sizeof needle, "\"%s\"", split);
  key[0] = '\0';
  const enum xf_rc rc = each_line(run->dir, needle, NULL, pick_line, key, diag);
  if (rc && rc != XF_E_EOF) return rc;
  return key[0] ? XF_OK : xf_runfile_missing(run, "(any)", split, "(any)", diag);
}

struct names {
  char text[512];
  size_t at;
};

static void name(struct names *n, const char *word) {
  const size_t len = strlen(word);
  for (const char *p = n->text; (p = strstr(p, word)); p += len)
    if ((p == n->text || p[-1] == ' ') && (p[len] == ',' || !p[len])) return;
  if (n->at + len + 3 > sizeof n->text) return;
  n->at +=
      (size_t)snprintf(n->text + n->at, sizeof n->text - n->at, "%s%s", n->at ? ", " : "", word);
}

static enum xf_rc name_key(void *arg, const char *key, const struct xf_json_value *v) {
  (void)v;
  if (is_figure(key)) name(arg, key);
  return XF_OK;
}

static enum xf_rc name_line(void *arg, const struct xf_json_value *line) {
  struct names *n = arg; /* [2]: metrics, then arms with splits */
  const char *arm = "?", *split = "?";
  char both[2 * XF_EXPER_KEY];
  (void)xf_json_str(xf_json_find(line, "arm"), &arm);
  (void)xf_json_str(xf_json_find(line, "split"), &split);
  (void)snprintf(both, sizeof both, "%s/%s", arm, split);
  name(&n[1], both);
  return xf_json_each(line, name_key, &n[0]);
}

enum xf_rc xf_runfile_missing(const struct xf_exper_run *run, const char *metric, const char *split,
                              const char *arm, struct xf_diag *diag) {
  struct names n[2] = {{"", 0}, {"", 0}};
  const enum xf_rc rc = each_line(run->dir, NULL, NULL, name_line, n, diag);
  if (rc) return rc;
  if (!n[1].at)
    return xf_diag_set(diag, XF_E_NOTFOUND,
                       "%s/metrics.jsonl: no figures; the plan needs eval.metrics", run->dir);
  return xf_diag_set(diag, XF_E_NOTFOUND,
                     "%s: no figure \"%s\" of arm %s, split %s; there are metrics %s of arms and "
                     "splits %s (--metric, --arm, --split)",
                     run->dir, metric, arm, split, n[0].text, n[1].text);
}

/* --- figures ------------------------------------------------------------------------------------------------------- */

struct figures {
  struct xf_exper_run *run;
  const char *metric, *split, *arm;
  struct xf_map scope;
};

static double number(const struct xf_json_value *line, const char *key) {
  double v = NAN;
  return xf_json_double(xf_json_find(line, key), &v) ? v : (double)NAN;
}

static void take_curve(struct xf_exper_run *run, double value) {
  struct xf_curve_point *last = run->n_curve ? &run->curve[run->n_curve - 1] : NULL;
  if (!last || last->cost[XF_COST_COMMITS] != run->cost[XF_COST_COMMITS]) {
    run->curve = xf_realloc_array(run->curve, run->n_curve + 1, sizeof *run->curve);
    last = &run->curve[run->n_curve++];
  }
  memcpy(last->cost, run->cost, sizeof last->cost);
  last->value = value;
}

static void take_client(struct figures *f, const char *scope, double value) {
  struct xf_exper_run *run = f->run;
  uint32_t i = (uint32_t)run->n_client;
  if (!xf_map_get(&f->scope, scope, strlen(scope), &i)) {
    xf_map_set(&f->scope, scope, strlen(scope), i);
    run->client = xf_realloc_array(run->client, run->n_client + 1, sizeof *run->client);
    run->n_client++;
  }
  run->client[i] = value;
}

static enum xf_rc take(void *arg, const struct xf_json_value *line) {
  struct figures *f = arg;
  const char *scope = NULL, *arm = NULL, *split = NULL;
  if (!xf_json_str(xf_json_find(line, "scope"), &scope) ||
      !xf_json_str(xf_json_find(line, "arm"), &arm) || strcmp(arm, f->arm) != 0 ||
      !xf_json_str(xf_json_find(line, "split"), &split) || strcmp(split, f->split) != 0)
    return XF_OK;
  f->run->cost[XF_COST_COMMITS] = number(line, "commits");
  f->run->cost[XF_COST_BYTES] = number(line, "bytes_up") + number(line, "bytes_down");
  f->run->cost[XF_COST_TIME] = number(line, "time_s");
  const double value = number(line, f->metric);
  if (!isfinite(value)) return XF_OK;
  if (strcmp(scope, "global") != 0 && strlen(scope) < 65536) take_client(f, scope, value);
  else if (isfinite(f->run->cost[XF_COST_COMMITS])) take_curve(f->run, value);
  return XF_OK;
}

enum xf_rc xf_runfile_figures(struct xf_exper_run *run, const char *metric, const char *split,
                              const char *arm, struct xf_diag *diag) {
  struct figures f = {.run = run, .metric = metric, .split = split, .arm = arm};
  char a[2 * XF_EXPER_KEY], b[2 * XF_EXPER_KEY];
  (void)snprintf(a, sizeof a, "\"%s\"", arm);
  (void)snprintf(b, sizeof b, "\"%s\"", split);
  for (int c = 0; c < XF_N_COST; c++) run->cost[c] = NAN;
  xf_map_init(&f.scope);
  const enum xf_rc rc = each_line(run->dir, a, b, take, &f, diag);
  xf_map_deinit(&f.scope);
  run->value =
      run->n_curve ? run->curve[run->n_curve - 1].value : xf_stats_mean(run->client, run->n_client);
  return rc;
}
