/* What a sweep came to: the settings on validation, the best of them, its test figure and no other. */
#include "base/alloc.h"
#include "tools/exper/columns.h"
#include "tools/exper/runs.h"
#include "tools/exper/sweep.h"
#include "json/jsonw.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { OUT_MAX = 64 << 20 };

struct outcome {
  struct xf_exper e;      /* on validation: every finished run below the folder */
  size_t best, n_earlier; /* group; e.n_group: none. Groups that are of no cell */
  struct xf_exper_mean valid, test;
  size_t failed, reads, other; /* other: settings with a run of another build; not chosen */
};

static double value_of(const struct xf_exper *e, const struct xf_exper_run *r, const void *arg) {
  (void)e;
  (void)arg;
  return r->value;
}

static bool is_cell(const struct xf_sweep *s, const struct xf_exper_run *r) {
  const char *slash = strrchr(r->dir, '/');
  for (size_t i = 0; i < s->n_cell; i++)
    if (strcmp(slash ? slash + 1 : r->dir, s->cell[i].name) == 0) return true;
  return false;
}

/* The best setting with at least as many seeds as were asked for, all with the figure and of this build; the first of equals. */
static void choose(const struct xf_sweep *s, struct outcome *o) {
  o->best = o->e.n_group;
  for (size_t g = 0; g < o->e.n_group; g++) {
    const struct xf_exper_group *group = &o->e.group[g];
    size_t mine = 0, other = 0;
    for (size_t i = 0; i < group->n; i++) {
      mine += is_cell(s, &o->e.run[group->first + i]);
      other += !xf_sweep_signed(s, o->e.run[group->first + i].dir);
    }
    o->n_earlier += !mine;
    o->other += other > 0;
    const struct xf_exper_mean m = xf_exper_over(&o->e, g, value_of, NULL);
    if (other || group->n < s->grid.n_seed || m.n < group->n) continue;
    if (o->best < o->e.n_group && !(o->e.up ? m.mean > o->valid.mean : m.mean < o->valid.mean))
      continue;
    o->best = g;
    o->valid = m;
  }
}

static enum xf_rc read_test(struct outcome *o, struct xf_diag *diag) {
  const struct xf_exper_group *g = &o->e.group[o->best];
  const char **dir = xf_calloc(g->n, sizeof *dir);
  struct xf_exper test;
  const struct xf_exper_query q = {o->e.metric, "test", o->e.arm};
  for (size_t i = 0; i < g->n; i++) dir[i] = o->e.run[g->first + i].dir;
  o->test = (struct xf_exper_mean){NAN, NAN, 0};
  enum xf_rc rc = xf_exper_read(&test, dir, g->n, &q, diag);
  if (!rc) {
    o->test = xf_exper_over(&test, 0, value_of, NULL);
    xf_exper_deinit(&test);
  }
  xf_free(dir);
  return rc == XF_E_NOTFOUND ? XF_OK : rc; /* no test part */
}

/* Settings whose test figure sweeps in this folder have shown, this one's included: a line each in test-reads.txt, the first run. */
static enum xf_rc count_read(const struct xf_sweep *s, struct outcome *o, struct xf_diag *diag) {
  char path[XF_PATH_MAX], line[XF_SWEEP_NAME + 2];
  const char *dir = o->e.run[o->e.group[o->best].first].dir, *slash = strrchr(dir, '/');
  struct xf_buf text;
  (void)snprintf(line, sizeof line, "%.*s\n", XF_SWEEP_NAME, slash ? slash + 1 : dir);
  xf_buf_init(&text, OUT_MAX);
  enum xf_rc rc = xf_fs_join(path, s->dir, "test-reads.txt");
  if (!rc && xf_fs_exists(xf_fs_posix(), path))
    rc = xf_fs_read_file(xf_fs_posix(), path, &text, diag);
  if (!rc && !strstr(xf_buf_cstr(&text), line)) {
    rc = xf_buf_put_str(&text, line);
    if (!rc) rc = xf_fs_replace(xf_fs_posix(), path, text.p, text.len, diag);
  }
  for (size_t i = 0; i < text.len; i++) o->reads += text.p[i] == '\n';
  xf_buf_deinit(&text);
  return rc;
}

static void put_mean(struct xf_jsonw *w, const char *key, const struct xf_exper_mean *m) {
  xf_jsonw_key(w, key);
  xf_jsonw_object(w);
  xf_jsonw_kdouble(w, "mean", m->mean);
  xf_jsonw_kdouble(w, "sd", m->sd);
  xf_jsonw_kuint(w, "n", m->n);
  xf_jsonw_object_end(w);
}

static void put_grid(struct xf_jsonw *w, const struct xf_sweep *s) {
  xf_jsonw_kstr(w, "plan", s->plan_path);
  xf_jsonw_kstr(w, "out", s->dir);
  xf_jsonw_key(w, "sets");
  xf_jsonw_array(w);
  for (size_t i = 0; i < s->n_sets; i++) xf_jsonw_str(w, s->sets[i]);
  xf_jsonw_array_end(w);
  xf_jsonw_key(w, "grid");
  xf_jsonw_object(w);
  for (size_t a = 0; a < s->grid.n_axis; a++) {
    xf_jsonw_key(w, s->grid.axis[a].key);
    xf_jsonw_array(w);
    for (size_t i = 0; i < s->grid.axis[a].n; i++) xf_jsonw_str(w, s->grid.axis[a].value[i]);
    xf_jsonw_array_end(w);
  }
  xf_jsonw_object_end(w);
  xf_jsonw_key(w, "seeds");
  xf_jsonw_array(w);
  for (size_t i = 0; i < s->grid.n_seed; i++) xf_jsonw_uint(w, s->grid.seed[i]);
  xf_jsonw_array_end(w);
}

/* o NULL: nothing to choose among. */
static void put_outcome(struct xf_jsonw *w, const struct outcome *o) {
  xf_jsonw_kuint(w, "settings_tried", o ? o->e.n_group : 0);
  xf_jsonw_kuint(w, "settings_of_earlier_grids", o ? o->n_earlier : 0);
  xf_jsonw_kuint(w, "runs", o ? o->e.n : 0);
  if (!o) return;
  xf_jsonw_kstr(w, "metric", o->e.metric);
  xf_jsonw_kstr(w, "arm", o->e.arm);
  xf_jsonw_key(w, "best");
  if (o->best == o->e.n_group) {
    xf_jsonw_null(w);
    return;
  }
  xf_jsonw_object(w);
  xf_jsonw_kstr(w, "setting", o->e.group[o->best].label);
  put_mean(w, "valid", &o->valid);
  put_mean(w, "test", &o->test);
  xf_jsonw_kuint(w, "test_read_of_settings", o->reads);
  xf_jsonw_key(w, "runs");
  xf_jsonw_array(w);
  for (size_t i = 0; i < o->e.group[o->best].n; i++)
    xf_jsonw_str(w, o->e.run[o->e.group[o->best].first + i].dir);
  xf_jsonw_array_end(w);
  xf_jsonw_object_end(w);
}

/* One object for --json and sweep.json, as a line. */
static enum xf_rc put_json(struct xf_buf *out, const struct xf_sweep *s, const struct outcome *o,
                           const char *status) {
  struct xf_jsonw w;
  xf_jsonw_init(&w, out);
  xf_jsonw_object(&w);
  xf_jsonw_kuint(&w, "v", 1);
  xf_jsonw_kstr(&w, "status", status);
  put_grid(&w, s);
  xf_jsonw_key(&w, "failed");
  xf_jsonw_array(&w);
  for (size_t i = 0; i < s->n_cell; i++)
    if (s->cell[i].failed) xf_jsonw_str(&w, s->cell[i].name);
  xf_jsonw_array_end(&w);
  put_outcome(&w, o);
  xf_jsonw_object_end(&w);
  const enum xf_rc rc = xf_jsonw_finish(&w);
  return rc ? rc : xf_buf_put_u8(out, '\n');
}

static enum xf_rc save(const struct xf_sweep *s, const struct xf_buf *text, struct xf_diag *diag) {
  char path[XF_PATH_MAX];
  const enum xf_rc rc = xf_fs_join(path, s->dir, "sweep.json");
  return rc ? rc : xf_fs_replace(xf_fs_posix(), path, text->p, text->len, diag);
}

enum xf_rc xf_sweep_record(const struct xf_sweep *s, struct xf_diag *diag) {
  struct xf_buf text;
  xf_buf_init(&text, OUT_MAX);
  enum xf_rc rc = put_json(&text, s, NULL, "running");
  if (!rc) rc = save(s, &text, diag);
  xf_buf_deinit(&text);
  return rc;
}

static void print_mean(const struct xf_exper_mean *m) {
  if (!isfinite(m->mean)) printf("-");
  else printf(isfinite(m->sd) ? "%.4f +- %.4f" : "%.4f", m->mean, m->sd);
}

static void print_choice(const struct xf_sweep *s, const struct outcome *o) {
  const struct xf_exper *e = &o->e;
  printf("%zu settings tried in %zu runs", e->n_group, e->n);
  if (o->n_earlier) printf(", %zu of them of earlier grids in this folder", o->n_earlier);
  if (o->best == e->n_group) {
    printf("; no setting has all its seeds, of this build of crossfed, so none is chosen\n");
    return;
  }
  printf("\nbest on validation: %s, %s ", e->group[o->best].label, e->metric);
  print_mean(&o->valid);
  printf("; on test ");
  print_mean(&o->test);
  if (o->reads > 1) printf(" (in this folder test was read for %zu settings)\n", o->reads);
  else printf(" (read for this setting alone)\n");
  if (e->n_group > 1) printf("the validation figure is the best of %zu and flatters\n", e->n_group);
  if (s->noisy)
    printf("each run states the epsilon of its own updates; choosing among %zu settings on the "
           "same data is not in it\n",
           e->n_group);
}

static enum xf_rc print_text(const struct xf_sweep *s, const struct outcome *o,
                             struct xf_diag *diag) {
  struct xf_buf table;
  xf_buf_init(&table, OUT_MAX);
  enum xf_rc rc = xf_exper_table(&table, &o->e, XF_EXPER_TEXT, NULL);
  if (!rc) {
    printf("%s on validation, arm %s, %s is better; mean +- deviation over seeds\n", o->e.metric,
           o->e.arm, o->e.up ? "larger" : "smaller");
    if (fwrite(table.p, 1, table.len, stdout) != table.len) rc = XF_E_IO;
    print_choice(s, o);
  }
  xf_buf_deinit(&table);
  return rc ? xf_diag_set(diag, rc, "standard output cannot be written") : XF_OK;
}

enum xf_rc xf_sweep_report(struct xf_sweep *s, struct xf_diag *diag) {
  struct outcome o = {.failed = 0};
  struct xf_buf text;
  const char *dir = s->dir;
  const struct xf_exper_query q = {s->metric, "valid", s->arm};
  for (size_t i = 0; i < s->n_cell; i++) o.failed += s->cell[i].failed;
  if (o.failed == s->n_cell)
    return xf_diag_set(diag, XF_E_STATE, "all %zu runs failed: %s (%s/*.part/stderr.txt)",
                       s->n_cell, s->cell[0].said, s->dir);
  enum xf_rc rc = xf_exper_read(&o.e, &dir, 1, &q, diag);
  if (rc) return rc;
  choose(s, &o);
  if (o.other)
    (void)fprintf(
        stderr,
        "%zu settings in %s have runs of another build of crossfed and are not chosen; run "
        "their grid and seeds again, or delete them\n",
        o.other, s->dir);
  if (o.best < o.e.n_group) rc = read_test(&o, diag);
  if (!rc && o.best < o.e.n_group && isfinite(o.test.mean)) rc = count_read(s, &o, diag);
  xf_buf_init(&text, OUT_MAX);
  if (!rc) rc = put_json(&text, s, &o, o.failed ? "failed" : "done");
  if (!rc) rc = save(s, &text, diag);
  if (!rc && !s->json) rc = print_text(s, &o, diag);
  else if (!rc && fwrite(text.p, 1, text.len, stdout) != text.len) rc = XF_E_IO;
  if (!rc && fflush(stdout)) rc = xf_diag_set(diag, XF_E_IO, "standard output cannot be written");
  if (!rc && o.failed)
    rc =
        xf_diag_set(diag, XF_E_STATE,
                    "%zu of %zu runs failed (%s/*.part/stderr.txt says why); the same command runs "
                    "only these again",
                    o.failed, s->n_cell, s->dir);
  xf_buf_deinit(&text);
  xf_exper_deinit(&o.e);
  return rc;
}
