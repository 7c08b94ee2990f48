#include "tools/exper/columns.h"

#include "base/alloc.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { CELL = 300, N_COLUMN = 9 };

static double value_of(const struct xf_exper *e, const struct xf_exper_run *r, const void *arg) {
  (void)e;
  (void)arg;
  return r->value;
}

static double tail(const struct xf_exper *e, const struct xf_exper_run *r, bool worst) {
  double *v = xf_memdup(r->client, r->n_client * sizeof *v);
  const double x = worst ? xf_stats_worst_tenth(v, r->n_client, e->up)
                         : xf_stats_best_tenth(v, r->n_client, e->up);
  xf_free(v);
  return x;
}

static double worst_of(const struct xf_exper *e, const struct xf_exper_run *r, const void *arg) {
  (void)arg;
  return r->n_client ? tail(e, r, true) : (double)NAN;
}

static double gap_of(const struct xf_exper *e, const struct xf_exper_run *r, const void *arg) {
  (void)arg;
  return r->n_client ? fabs(tail(e, r, false) - tail(e, r, true)) : (double)NAN;
}

static double bytes_of(const struct xf_exper *e, const struct xf_exper_run *r, const void *arg) {
  (void)e;
  (void)arg;
  return r->cost[XF_COST_BYTES];
}

struct goal {
  double target;
  int cost;
};

static double target_of(const struct xf_exper *e, const struct xf_exper_run *r, const void *arg) {
  const struct goal *g = arg;
  double cost[XF_N_COST];
  return xf_stats_target(cost, r->curve, r->n_curve, g->target, e->up) ? cost[g->cost]
                                                                       : (double)NAN;
}

/* A column: of mean and deviation, or a count. */
struct column {
  const char *key, *title;
  int decimals;
  bool of_target;
  int cost; /* of_target */
  double (*pick)(const struct xf_exper *, const struct xf_exper_run *, const void *);
};
static const struct column columns[] = {
    {"value", NULL, 4, false, 0, value_of},
    {"worst", "worst 10 % of clients", 4, false, 0, worst_of},
    {"gap", "best 10 % - worst", 4, false, 0, gap_of},
    {"bytes", "bytes", 0, false, 0, bytes_of},
    {"rounds_to_target", "rounds to target", 1, true, XF_COST_COMMITS, target_of},
    {"bytes_to_target", "bytes to target", 0, true, XF_COST_BYTES, target_of},
    {"time_to_target", "virtual s to target", 2, true, XF_COST_TIME, target_of},
};
enum { N_COLUMNS = sizeof columns / sizeof columns[0] };

struct row {
  const struct xf_exper_group *group;
  size_t reached;
  struct xf_exper_mean m[N_COLUMNS];
};

static void fill(struct row *row, const struct xf_exper *e, size_t g, const double *target) {
  row->group = &e->group[g];
  for (int c = 0; c < N_COLUMNS; c++) {
    if (columns[c].of_target && !target) continue;
    const struct goal goal = {target ? *target : 0, columns[c].cost};
    row->m[c] = xf_exper_over(e, g, columns[c].pick, &goal);
    if (!columns[c].of_target) continue;
    if (columns[c].cost == XF_COST_COMMITS) row->reached = row->m[c].n;
    if (row->m[c].n < row->group->n) /* the mean of those that got there would flatter */
      row->m[c] = (struct xf_exper_mean){NAN, NAN, 0};
  }
}

/* --- text and Markdown --------------------------------------------------------------------------------------------- */

static void mean_cell(char out[CELL], const struct xf_exper_mean *m, int decimals) {
  if (!isfinite(m->mean)) (void)snprintf(out, CELL, "-");
  else if (!isfinite(m->sd)) (void)snprintf(out, CELL, "%.*f", decimals, m->mean);
  else (void)snprintf(out, CELL, "%.*f +- %.*f", decimals, m->mean, decimals, m->sd);
}

/* The cells of a line; row NULL: the head. @shape cell[N_COLUMN + 1] */
static size_t cells(char cell[][CELL], const struct xf_exper *e, const struct row *row,
                    bool target) {
  size_t n = 0;
  (void)snprintf(cell[n++], CELL, "%s", row ? row->group->label : "setting");
  if (row) (void)snprintf(cell[n++], CELL, "%zu", row->group->n);
  else (void)snprintf(cell[n++], CELL, "seeds");
  for (int c = 0; c < N_COLUMNS; c++) {
    if (columns[c].of_target && !target) continue;
    if (columns[c].of_target && columns[c].cost == XF_COST_COMMITS) {
      if (row) (void)snprintf(cell[n++], CELL, "%zu/%zu", row->reached, row->group->n);
      else (void)snprintf(cell[n++], CELL, "reached");
    }
    if (row) mean_cell(cell[n++], &row->m[c], columns[c].decimals);
    else (void)snprintf(cell[n++], CELL, "%s", columns[c].title ? columns[c].title : e->metric);
  }
  return n;
}

static enum xf_rc put_line(struct xf_buf *out, char cell[][CELL], const size_t *width, size_t n,
                           bool md) {
  enum xf_rc rc = XF_OK;
  for (size_t i = 0; i < n && !rc; i++) {
    if (!md) {
      rc = xf_buf_printf(out, i ? "  %*s" : "%-*s", (int)width[i], cell[i]);
      continue;
    }
    rc = xf_buf_put_str(out, i ? " | " : "| ");
    for (const char *p = cell[i]; *p && !rc; p++) {
      if (*p == '|') rc = xf_buf_put_u8(out, '\\');
      if (!rc) rc = xf_buf_put_u8(out, (uint8_t)*p);
    }
  }
  return rc ? rc : xf_buf_put_str(out, md ? " |\n" : "\n");
}

static enum xf_rc put_grid(struct xf_buf *out, const struct xf_exper *e, const struct row *row,
                           bool target, bool md) {
  char cell[N_COLUMN + 2][CELL];
  size_t width[N_COLUMN + 2] = {0}, n = 0;
  for (size_t g = 0; g <= e->n_group; g++) {
    n = cells(cell, e, g ? &row[g - 1] : NULL, target);
    for (size_t i = 0; i < n; i++)
      if (strlen(cell[i]) > width[i]) width[i] = strlen(cell[i]);
  }
  enum xf_rc rc = XF_OK;
  for (size_t g = 0; g <= e->n_group && !rc; g++) {
    (void)cells(cell, e, g ? &row[g - 1] : NULL, target);
    rc = put_line(out, cell, width, n, md);
    for (size_t i = 0; md && !g && i < n && !rc; i++)
      rc = xf_buf_put_str(out, i ? "---:|" : "|---|");
    if (md && !g && !rc) rc = xf_buf_put_str(out, "\n");
  }
  return rc;
}

/* --- CSV and JSON -------------------------------------------------------------------------------------------------- */

static enum xf_rc csv_text(struct xf_buf *out, const char *s) {
  enum xf_rc rc = xf_buf_put_u8(out, '"');
  for (; *s && !rc; s++) {
    if (*s == '"') rc = xf_buf_put_u8(out, '"');
    if (!rc) rc = xf_buf_put_u8(out, (uint8_t)*s);
  }
  return rc ? rc : xf_buf_put_u8(out, '"');
}

static enum xf_rc csv_number(struct xf_buf *out, double v) {
  return isfinite(v) ? xf_buf_printf(out, ",%.17g", v) : xf_buf_put_u8(out, ',');
}

static enum xf_rc put_csv(struct xf_buf *out, const struct xf_exper *e, const struct row *row,
                          bool target) {
  enum xf_rc rc = xf_buf_put_str(out, "setting,seeds,metric,split,arm");
  for (int c = 0; c < N_COLUMNS && !rc; c++) {
    if (columns[c].of_target && !target) continue;
    rc = xf_buf_printf(out, ",%s_mean,%s_sd,%s_n", columns[c].key, columns[c].key, columns[c].key);
  }
  if (!rc) rc = xf_buf_put_str(out, target ? ",reached\n" : "\n");
  for (size_t g = 0; g < e->n_group && !rc; g++) {
    rc = csv_text(out, row[g].group->label);
    if (!rc) rc = xf_buf_printf(out, ",%zu,%s,%s,%s", row[g].group->n, e->metric, e->split, e->arm);
    for (int c = 0; c < N_COLUMNS && !rc; c++) {
      if (columns[c].of_target && !target) continue;
      rc = csv_number(out, row[g].m[c].mean);
      if (!rc) rc = csv_number(out, row[g].m[c].sd);
      if (!rc) rc = xf_buf_printf(out, ",%zu", row[g].m[c].n);
    }
    if (!rc && target) rc = xf_buf_printf(out, ",%zu", row[g].reached);
    if (!rc) rc = xf_buf_put_u8(out, '\n');
  }
  return rc;
}

static enum xf_rc put_json(struct xf_buf *out, const struct xf_exper *e, const struct row *row,
                           const double *target) {
  struct xf_jsonw w;
  xf_jsonw_init(&w, out);
  xf_jsonw_object(&w);
  xf_jsonw_kuint(&w, "v", 1);
  xf_jsonw_kstr(&w, "metric", e->metric);
  xf_jsonw_kstr(&w, "split", e->split);
  xf_jsonw_kstr(&w, "arm", e->arm);
  xf_jsonw_kbool(&w, "larger_is_better", e->up);
  if (target) xf_jsonw_kdouble(&w, "target", *target);
  xf_jsonw_key(&w, "settings");
  xf_jsonw_array(&w);
  for (size_t g = 0; g < e->n_group; g++) {
    xf_jsonw_object(&w);
    xf_jsonw_kstr(&w, "setting", row[g].group->label);
    xf_jsonw_kuint(&w, "seeds", row[g].group->n);
    for (int c = 0; c < N_COLUMNS; c++) {
      if (columns[c].of_target && !target) continue;
      xf_jsonw_key(&w, columns[c].key);
      xf_jsonw_object(&w);
      xf_jsonw_kdouble(&w, "mean", row[g].m[c].mean);
      xf_jsonw_kdouble(&w, "sd", row[g].m[c].sd);
      xf_jsonw_kuint(&w, "n", row[g].m[c].n);
      xf_jsonw_object_end(&w);
    }
    if (target) xf_jsonw_kuint(&w, "reached", row[g].reached);
    xf_jsonw_key(&w, "runs");
    xf_jsonw_array(&w);
    for (size_t i = 0; i < row[g].group->n; i++)
      xf_jsonw_str(&w, e->run[row[g].group->first + i].dir);
    xf_jsonw_array_end(&w);
    xf_jsonw_object_end(&w);
  }
  xf_jsonw_array_end(&w);
  xf_jsonw_object_end(&w);
  const enum xf_rc rc = xf_jsonw_finish(&w);
  return rc ? rc : xf_buf_put_u8(out, '\n');
}

enum xf_rc xf_exper_table(struct xf_buf *out, const struct xf_exper *e, enum xf_exper_format format,
                          const double *target) {
  struct row *row = xf_calloc(e->n_group, sizeof *row);
  for (size_t g = 0; g < e->n_group; g++) fill(&row[g], e, g, target);
  enum xf_rc rc = XF_OK;
  switch (format) {
  case XF_EXPER_TEXT: rc = put_grid(out, e, row, target != NULL, false); break;
  case XF_EXPER_MD: rc = put_grid(out, e, row, target != NULL, true); break;
  case XF_EXPER_CSV: rc = put_csv(out, e, row, target != NULL); break;
  case XF_EXPER_JSON: rc = put_json(out, e, row, target); break;
  }
  xf_free(row);
  return rc;
}
