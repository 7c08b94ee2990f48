/* What people read: sums of evaluations, metrics.jsonl, summary.json. The ledger keeps the sums; files follow from it. */
#include "server/io/state.h"

#include "base/alloc.h"
#include "base/log.h"
#include "base/map.h"
#include "rec/metrics.h"
#include "resolve/stop.h"
#include "store/roundmetrics.h"
#include "json/json.h"
#include "json/jsonw.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
  SCOPE_LEN = 80,
  WORD_LEN = 64,
  NAMES_MAX = XF_RESOLVE_MEASURES + 2,
  SUMMARY_MAX = 256 * 1024,
  PLAN_YAML_MAX = 512 * 1024
};

/* --- sums --------------------------------------------------------------------------------------------------------- */

struct line { /* one scope, arm and split */
  char scope[SCOPE_LEN], arm[WORD_LEN], split[WORD_LEN];
  double sum[NAMES_MAX];
  uint64_t count[NAMES_MAX];
  bool has[NAMES_MAX];
};

struct srv_sums {
  const struct srv_state *st;
  struct line **line;
  size_t n, cap;
  struct xf_map index; /* "scope\narm\nsplit" -> line */
  uint64_t foreign;    /* figures with a name that the plan does not know */
};

struct srv_sums *srv_sums_new(const struct srv_state *st) {
  struct srv_sums *s = xf_calloc(1, sizeof *s);
  s->st = st;
  xf_map_init(&s->index);
  return s;
}

void srv_sums_free(struct srv_sums *sums) {
  if (!sums) return;
  for (size_t i = 0; i < sums->n; i++) xf_free(sums->line[i]);
  xf_free(sums->line);
  xf_map_deinit(&sums->index);
  xf_free(sums);
}

/* Names are the plan's measures, and these behind them. */
static const char *const behind[] = {"loss", "staleness"};

static size_t name_index(const struct srv_state *st, const char *name) {
  size_t i = 0;
  while (i < st->measures.n && strcmp(st->measures.key[i], name) != 0) i++;
  if (i < st->measures.n) return i;
  for (size_t k = 0; k < sizeof behind / sizeof behind[0]; k++)
    if (strcmp(name, behind[k]) == 0) return i + k;
  return NAMES_MAX;
}

static const char *name_of(const struct srv_state *st, size_t i) {
  return i < st->measures.n ? st->measures.key[i] : behind[i - st->measures.n];
}

static struct line *line_at(struct srv_sums *s, const char *scope, const struct xf_eval_metric *m) {
  char key[SCOPE_LEN + 2 * WORD_LEN];
  uint32_t at = 0;
  const int n = snprintf(key, sizeof key, "%s\n%.60s\n%.60s", scope, m->arm, m->split);
  const size_t len = n < 0 ? 0 : (size_t)n < sizeof key ? (size_t)n : sizeof key - 1;
  if (xf_map_get(&s->index, key, len, &at)) return s->line[at];
  if (s->n == s->cap) {
    s->cap = s->cap ? 2 * s->cap : 16;
    s->line = xf_realloc_array(s->line, s->cap, sizeof(struct line *));
  }
  struct line *l = xf_calloc(1, sizeof *l);
  (void)snprintf(l->scope, sizeof l->scope, "%s", scope);
  (void)snprintf(l->arm, sizeof l->arm, "%.60s", m->arm);
  (void)snprintf(l->split, sizeof l->split, "%.60s", m->split);
  xf_map_set(&s->index, key, len, (uint32_t)s->n);
  s->line[s->n++] = l;
  return l;
}

static void add(struct srv_sums *s, const char *scope, const struct xf_eval_metric *metric,
                size_t n) {
  for (size_t i = 0; i < n; i++) {
    const size_t k = name_index(s->st, metric[i].name);
    if (k == NAMES_MAX) continue;
    struct line *l = line_at(s, scope, &metric[i]);
    l->sum[k] += metric[i].sum;
    l->count[k] += metric[i].count;
    l->has[k] = true;
  }
}

void srv_sums_add(struct srv_sums *sums, uint32_t member, const struct xf_eval_metric *metric,
                  size_t n) {
  char scope[SCOPE_LEN];
  const struct xf_coord_member *m = &sums->st->cfg->members[member];
  for (size_t i = 0; i < n; i++) sums->foreign += name_index(sums->st, metric[i].name) == NAMES_MAX;
  add(sums, "global", metric, n);
  (void)snprintf(scope, sizeof scope, "domain:%s", m->domain);
  add(sums, scope, metric, n);
  (void)snprintf(scope, sizeof scope, "client:%s", m->id);
  add(sums, scope, metric, n);
}

enum xf_rc srv_sums_print(struct xf_buf *out, const struct srv_sums *sums,
                          const struct srv_drift *drift) {
  struct xf_jsonw w;
  xf_jsonw_init(&w, out);
  xf_jsonw_object(&w);
  xf_jsonw_kuint(&w, "v", 1);
  if (sums->foreign) xf_jsonw_kuint(&w, "ignored", sums->foreign);
  if (drift->set) srv_drift_put(&w, drift);
  xf_jsonw_key(&w, "lines");
  xf_jsonw_array(&w);
  for (size_t i = 0; i < sums->n; i++) {
    const struct line *l = sums->line[i];
    xf_jsonw_object(&w);
    xf_jsonw_kstr(&w, "scope", l->scope);
    xf_jsonw_kstr(&w, "arm", l->arm);
    xf_jsonw_kstr(&w, "split", l->split);
    xf_jsonw_key(&w, "values");
    xf_jsonw_object(&w);
    for (size_t k = 0; k < NAMES_MAX; k++) {
      if (!l->has[k]) continue;
      xf_jsonw_key(&w, name_of(sums->st, k));
      xf_jsonw_array(&w);
      xf_jsonw_double(&w, l->sum[k]);
      xf_jsonw_uint(&w, l->count[k]);
      xf_jsonw_array_end(&w);
    }
    xf_jsonw_object_end(&w);
    xf_jsonw_object_end(&w);
  }
  xf_jsonw_array_end(&w);
  xf_jsonw_object_end(&w);
  return xf_jsonw_finish(&w);
}

/* --- metrics.jsonl ------------------------------------------------------------------------------------------------ */

struct values {
  const struct srv_state *st;
  struct xf_rundir_value v[NAMES_MAX];
  size_t n;
};

static enum xf_rc on_value(void *arg, const char *key, const struct xf_json_value *v) {
  struct values *out = arg;
  struct xf_measure_sum s = {0};
  uint64_t count = 0;
  const size_t k = name_index(out->st, key);
  if (k == NAMES_MAX || out->n == NAMES_MAX || !xf_json_double(xf_json_at(v, 0), &s.sum) ||
      !xf_json_uint(xf_json_at(v, 1), &count))
    return XF_OK;
  s.count = (double)count;
  const double figure = k < out->st->measures.n
                            ? xf_measure_value(out->st->measures.measure[k].kind, s)
                        : count ? s.sum / s.count
                                : NAN;
  out->v[out->n++] = (struct xf_rundir_value){name_of(out->st, k), figure};
  return XF_OK;
}

typedef enum xf_rc (*on_line)(void *arg, const char *scope, const char *arm, const char *split,
                              const struct values *values, struct xf_diag *diag);

static enum xf_rc each_line(const struct srv_state *st, const char *json, on_line fn, void *arg,
                            struct xf_diag *diag) {
  struct xf_json *doc = NULL;
  if (!json || !json[0]) return XF_OK;
  const struct xf_json_limits wide = {.max_len = 64 << 20, .max_depth = 8};
  enum xf_rc rc = xf_json_parse(&doc, "ledger metrics", json, strlen(json), &wide, diag);
  if (rc) return rc;
  const struct xf_json_value *lines = xf_json_find(xf_json_root(doc), "lines");
  for (size_t i = 0; i < xf_json_len(lines) && !rc; i++) {
    const struct xf_json_value *l = xf_json_at(lines, i);
    const char *scope = "", *arm = "", *split = "";
    struct values values = {.st = st};
    if (!xf_json_str(xf_json_find(l, "scope"), &scope) ||
        !xf_json_str(xf_json_find(l, "arm"), &arm) ||
        !xf_json_str(xf_json_find(l, "split"), &split))
      continue;
    rc = xf_json_each(xf_json_find(l, "values"), on_value, &values);
    if (!rc) rc = fn(arg, scope, arm, split, &values, diag);
  }
  xf_json_free(doc);
  return rc;
}

enum xf_rc srv_metrics_stop(const struct srv_state *st, const char *json, double *figure,
                            struct xf_diag *diag) {
  const size_t i = xf_resolve_stop_measure(&st->plan, &st->measures);
  double sum = 0;
  uint64_t count = 0;
  *figure = (double)NAN;
  if (i == st->measures.n) return XF_OK;
  const enum xf_rc rc = xf_roundmetrics_valid(&sum, &count, json, st->measures.key[i], diag);
  if (!rc) *figure = xf_resolve_stop_value(&st->plan, &st->measures, sum, count);
  return rc;
}

struct writer {
  struct srv_state *st;
  uint64_t round, commits;
};

static enum xf_rc write_line(void *arg, const char *scope, const char *arm, const char *split,
                             const struct values *values, struct xf_diag *diag) {
  struct writer *w = arg;
  const struct xf_rundir_metrics m = {.round = w->round,
                                      .scope = scope,
                                      .arm = arm,
                                      .split = split,
                                      .value = values->v,
                                      .n_value = values->n,
                                      .commits = w->commits};
  return xf_rundir_metrics(&w->st->rundir, &m, diag);
}

/* The last one that says it counts. */
static void read_drift(struct srv_state *st, const char *json) {
  struct xf_json *doc = NULL;
  const struct xf_json_limits wide = {.max_len = 64 << 20, .max_depth = 8};
  if (!json || !strstr(json, "\"drift\"")) return;
  if (xf_json_parse(&doc, "ledger metrics", json, strlen(json), &wide, NULL)) return;
  srv_drift_read(&st->drift, xf_json_root(doc));
  xf_json_free(doc);
}

enum xf_rc srv_metrics_write(struct srv_state *st, uint64_t round, uint64_t commits,
                             const char *json, struct xf_diag *diag) {
  struct writer w = {st, round, commits};
  read_drift(st, json);
  enum xf_rc rc = each_line(st, json, write_line, &w, diag);
  return rc ? rc : xf_rundir_sync(&st->rundir, diag);
}

struct replay {
  struct srv_state *st;
  uint64_t commits;
  struct xf_diag *diag;
};

static enum xf_rc replay_round(void *arg, const struct xf_ledger_round *r) {
  struct replay *p = arg;
  if (r->state == XF_LEDGER_ROUND_COMMITTED && r->kind == XF_LEDGER_KIND_TRAIN) p->commits++;
  struct writer w = {p->st, r->round, p->commits};
  if (r->state == XF_LEDGER_ROUND_COMMITTED) read_drift(p->st, r->metrics);
  return r->state == XF_LEDGER_ROUND_COMMITTED
             ? each_line(p->st, r->metrics, write_line, &w, p->diag)
             : XF_OK;
}

enum xf_rc srv_metrics_replay(struct srv_state *st, struct xf_diag *diag) {
  struct xf_buf yaml;
  struct replay p = {st, 0, diag};
  xf_buf_init(&yaml, PLAN_YAML_MAX);
  enum xf_rc rc = xf_plan_print(&yaml, &st->plan);
  if (rc) xf_diag_set(diag, rc, "the plan does not fit %d bytes", PLAN_YAML_MAX);
  if (!rc) rc = xf_rundir_plan(&st->rundir, (const char *)yaml.p, yaml.len, diag);
  xf_buf_deinit(&yaml);
  if (!rc) rc = xf_ledger_rounds(st->ledger, 1, INT64_MAX, replay_round, &p, diag);
  return rc ? rc : xf_rundir_sync(&st->rundir, diag);
}

/* --- summary.json ------------------------------------------------------------------------------------------------- */

struct best {
  struct srv_state *st;
  struct xf_diag *diag;
  uint64_t round, best_round;
  double best;
  char *last; /* metrics of the last evaluation */
};

static enum xf_rc best_line(void *arg, const char *scope, const char *arm, const char *split,
                            const struct values *values, struct xf_diag *diag) {
  (void)diag;
  struct best *b = arg;
  if (strcmp(scope, "global") != 0 || strcmp(arm, "federated") != 0 || strcmp(split, "valid") != 0)
    return XF_OK;
  const size_t main = xf_measures_main(&b->st->measures);
  if (main >= b->st->measures.n) return XF_OK;
  const enum xf_measure_kind kind = b->st->measures.measure[main].kind;
  const bool down = kind == XF_MEASURE_RMSE || kind == XF_MEASURE_LOGLOSS;
  for (size_t i = 0; i < values->n; i++) {
    const double v = down ? -values->v[i].value : values->v[i].value;
    if (strcmp(values->v[i].name, b->st->measures.key[main]) != 0 || isnan(v)) continue;
    if (b->best_round && v <= b->best) continue;
    b->best = v;
    b->best_round = b->round;
  }
  return XF_OK;
}

static enum xf_rc best_round(void *arg, const struct xf_ledger_round *r) {
  struct best *b = arg;
  if (r->state != XF_LEDGER_ROUND_COMMITTED || r->kind != XF_LEDGER_KIND_EVALUATE) return XF_OK;
  b->round = r->round;
  xf_free(b->last);
  b->last = xf_strdup(r->metrics);
  return each_line(b->st, r->metrics, best_line, b, b->diag);
}

/* {"federated":{"test":{...}}} of scope global. */
static enum xf_rc last_line(void *arg, const char *scope, const char *arm, const char *split,
                            const struct values *values, struct xf_diag *diag) {
  (void)diag;
  struct xf_jsonw *w = arg;
  char key[2 * WORD_LEN];
  if (strcmp(scope, "global") != 0) return XF_OK;
  (void)snprintf(key, sizeof key, "%s.%s", arm, split);
  xf_jsonw_key(w, key);
  xf_jsonw_object(w);
  for (size_t i = 0; i < values->n; i++) xf_jsonw_kdouble(w, values->v[i].name, values->v[i].value);
  xf_jsonw_object_end(w);
  return XF_OK;
}

static void link_model(const struct srv_state *st) {
  char tmp[XF_PATH_MAX], to[XF_PATH_MAX];
  struct xf_diag diag;
  xf_diag_init(&diag);
  enum xf_rc rc = srv_state_path(st, to, XF_STATE_MODEL, &diag);
  if (!rc) rc = srv_state_path(st, tmp, XF_STATE_MODEL ".tmp", &diag);
  if (!rc) {
    (void)st->fs->unlink(st->fs, tmp); /* of an earlier try */
    if (link(st->model_path, tmp) != 0) rc = xf_diag_set(&diag, XF_E_IO, "cannot link \"%s\"", tmp);
  }
  if (!rc) rc = xf_fs_rename_durable(st->fs, tmp, to, &diag);
  if (rc)
    xf_log(XF_LOG_WARN, "final_model", XF_S("file", st->model_path),
           XF_S("reason", xf_diag_text(&diag, rc)));
}

/* The account of the run: the largest that a silo declared. */
struct account {
  uint64_t noised;
  double epsilon, epsilon_zero_out;
};

static enum xf_rc largest(void *arg, const struct xf_ledger_member *m) {
  struct account *a = arg;
  a->noised += m->noised;
  if (m->epsilon > a->epsilon) a->epsilon = m->epsilon;
  if (m->epsilon_zero_out > a->epsilon_zero_out) a->epsilon_zero_out = m->epsilon_zero_out;
  return XF_OK;
}

/* The object alone, for a field of its own. */
static enum xf_rc drift_object(struct xf_buf *out, const struct srv_drift *d) {
  struct xf_jsonw w;
  xf_jsonw_init(&w, out);
  if (!d->set) return xf_buf_put_str(out, "{}");
  srv_drift_object(&w, d);
  return xf_jsonw_finish(&w);
}

enum xf_rc srv_metrics_summary(struct srv_state *st, uint64_t bytes_down, struct xf_diag *diag) {
  enum { PRIVACY_FIELDS = 3 };
  struct best b = {.st = st, .diag = diag};
  struct account account = {0};
  struct xf_ledger_status status;
  struct xf_buf json, drift;
  struct xf_jsonw w;
  struct rusage usage = {0};
  char hex[XF_DIGEST_HEX];
  xf_buf_init(&json, SUMMARY_MAX);
  xf_buf_init(&drift, SUMMARY_MAX);
  enum xf_rc rc = xf_ledger_status(st->ledger, &status, diag);
  if (!rc) rc = xf_ledger_rounds(st->ledger, 1, INT64_MAX, best_round, &b, diag);
  if (!rc) rc = xf_ledger_members(st->ledger, largest, &account, diag);
  xf_jsonw_init(&w, &json);
  xf_jsonw_object(&w);
  if (!rc) rc = each_line(st, b.last, last_line, &w, diag);
  xf_jsonw_object_end(&w);
  if (!rc) rc = xf_jsonw_finish(&w);
  if (!rc) rc = drift_object(&drift, &st->drift);
  (void)getrusage(RUSAGE_SELF, &usage); /* zero is printed when the system does not say */
  if (!rc) {
    const struct xf_rundir_field field[] = {
        {"status", XF_RUNDIR_STR, .s = xf_ledger_run_state_name(status.state)},
        {"run", XF_RUNDIR_STR, .s = st->run_id},
        {"seed", XF_RUNDIR_UINT, .u = st->plan.seed},
        {"rounds", XF_RUNDIR_UINT, .u = status.commits},
        {"evaluations", XF_RUNDIR_UINT, .u = status.evaluations},
        {"abandoned", XF_RUNDIR_UINT, .u = status.abandoned},
        {"wall_s", XF_RUNDIR_FLOAT, .f = (double)(xf_wall_now_us() - st->created_us) * 1e-6},
        {"threads", XF_RUNDIR_UINT, .u = st->cfg->workers},
        {"best_round", XF_RUNDIR_UINT, .u = b.best_round},
        {"stopped", XF_RUNDIR_STR, .s = status.reason}, /* before the last round, or "" */
        {"metrics", XF_RUNDIR_JSON, .s = xf_buf_cstr(&json)},
        {"drift", XF_RUNDIR_JSON, .s = xf_buf_cstr(&drift)},
        {"bytes_up", XF_RUNDIR_UINT, .u = status.bytes_up},
        {"bytes_down", XF_RUNDIR_UINT, .u = bytes_down},
        {"peak_rss_bytes", XF_RUNDIR_UINT, .u = (uint64_t)usage.ru_maxrss * 1024},
        {"model_blake2b", XF_RUNDIR_STR, .s = xf_digest_print(hex, &st->model_digest)},
        /* only where noise was added */
        {"epsilon", XF_RUNDIR_FLOAT, .f = account.epsilon},
        {"epsilon_zero_out", XF_RUNDIR_FLOAT, .f = account.epsilon_zero_out},
        {"delta", XF_RUNDIR_FLOAT, .f = st->plan.privacy.delta}};
    const size_t n = sizeof field / sizeof field[0] - (account.noised ? 0 : PRIVACY_FIELDS);
    rc = xf_rundir_summary(&st->rundir, field, n, diag);
  }
  if (!rc) link_model(st);
  xf_free(b.last);
  xf_buf_deinit(&json);
  xf_buf_deinit(&drift);
  return rc;
}
