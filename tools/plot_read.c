/* The points of a results file: JSON lines, a JSON array, or a table with tabs. */
#include "tools/plot.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "base/str.h"
#include "json/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FILE_MAX = 16 << 20, COLUMNS = 64 };
static const double LARGEST = 1e15; /* of a coordinate: beyond it, axes have no sensible labels */

/* A row's value in a column. */
enum cell_kind { CELL_ABSENT, CELL_NONE /* null, empty or NaN */, CELL_NUMBER, CELL_TEXT };
struct cell {
  enum cell_kind kind;
  double number;
  char text[XF_PLOT_TEXT]; /* also of numbers; longer ones are cut */
};

struct row {
  const struct xf_json_value *json; /* or a line of a table: */
  const char *cell[COLUMNS];
  size_t len[COLUMNS];
  uint32_t line;
};

struct reader {
  const struct xf_plot_request *r;
  struct xf_plot *out;
  struct xf_diag *diag;
  char *column[COLUMNS]; /* names seen */
  size_t n_column;
  uint64_t rows, chosen, with_x, with_y, with_err;
};

static int find_column(const struct reader *f, const char *key) {
  for (size_t i = 0; i < f->n_column; i++)
    if (strcmp(f->column[i], key) == 0) return (int)i;
  return -1;
}

static void cut(char out[XF_PLOT_TEXT], const char *p, size_t n) {
  if (n >= XF_PLOT_TEXT) {
    n = XF_PLOT_TEXT - 1;
    while (n > 0 && ((unsigned char)p[n] & 0xc0) == 0x80) n--; /* not inside a character */
  }
  memcpy(out, p, n);
  out[n] = '\0';
}

static void number_cell(struct cell *c, double v) {
  c->kind = isnan(v) ? CELL_NONE : CELL_NUMBER;
  c->number = v;
  (void)snprintf(c->text, sizeof c->text, "%.10g", v);
}

static struct cell json_cell(const struct xf_json_value *v) {
  struct cell c = {.kind = CELL_ABSENT};
  const char *text = NULL;
  double number = 0;
  bool yes = false;
  if (!v) return c;
  c.kind = CELL_NONE;
  if (xf_json_double(v, &number)) {
    number_cell(&c, number);
  } else if (xf_json_str(v, &text)) {
    c.kind = CELL_TEXT;
    cut(c.text, text, strlen(text));
  } else if (xf_json_bool(v, &yes)) {
    c.kind = CELL_TEXT;
    cut(c.text, yes ? "true" : "false", yes ? 4 : 5);
  } else if (xf_json_kind_of(v) != XF_JSON_NULL) {
    c.kind = CELL_TEXT;
    cut(c.text, "(a list or an object)", 21);
  }
  return c;
}

static struct cell text_cell(const char *p, size_t n) {
  struct cell c = {.kind = CELL_TEXT};
  double v = 0;
  if (!xf_str_double(&v, p, n)) number_cell(&c, v);
  else if (n == 0 || (n == 3 && (memcmp(p, "NaN", 3) == 0 || memcmp(p, "nan", 3) == 0)))
    c.kind = CELL_NONE;
  if (n && c.kind != CELL_NONE) cut(c.text, p, n);
  return c;
}

static struct cell get(const struct reader *f, const struct row *row, const char *key) {
  if (row->json) return json_cell(xf_json_find(row->json, key));
  const int i = find_column(f, key);
  return i < 0 ? (struct cell){.kind = CELL_ABSENT} : text_cell(row->cell[i], row->len[i]);
}

/* Whether a row has the value that a condition wants; numbers by value. */
static bool wanted(const struct reader *f, const struct row *row, const char *condition) {
  const char *want = strchr(condition, '=') + 1;
  char key[XF_PLOT_TEXT];
  double v = 0;
  cut(key, condition, (size_t)(want - 1 - condition));
  const struct cell c = get(f, row, key);
  if (c.kind == CELL_ABSENT || c.kind == CELL_NONE) return false;
  if (strcmp(c.text, want) == 0) return true;
  return c.kind == CELL_NUMBER && !xf_str_double(&v, want, strlen(want)) && v == c.number;
}

/* Conditions on one column are alternatives; those on different ones must all hold. */
static bool chosen(const struct reader *f, const struct row *row) {
  for (size_t i = 0; i < f->r->n_where; i++) {
    const size_t n = (size_t)(strchr(f->r->where[i], '=') - f->r->where[i]) + 1;
    bool any = false;
    for (size_t k = 0; k < f->r->n_where && !any; k++)
      any = strncmp(f->r->where[k], f->r->where[i], n) == 0 && wanted(f, row, f->r->where[k]);
    if (!any) return false;
  }
  return true;
}

static enum xf_rc number(const struct reader *f, const struct row *row, const char *key,
                         const struct cell *c) {
  if (c->kind == CELL_TEXT)
    return xf_diag_set(f->diag, XF_E_FORMAT, "%s:%u: \"%s\" is \"%s\", which is no number",
                       f->r->file, row->line, key, c->text);
  if (c->kind == CELL_NUMBER && !(fabs(c->number) <= LARGEST))
    return xf_diag_set(f->diag, XF_E_RANGE, "%s:%u: \"%s\" is %g; at most 1e15 can be drawn",
                       f->r->file, row->line, key, c->number);
  return XF_OK;
}

static enum xf_rc series_of(struct reader *f, const struct row *row, uint32_t *out) {
  const char *name = "";
  struct cell c;
  if (f->r->series) {
    c = get(f, row, f->r->series);
    if (c.kind == CELL_ABSENT || c.kind == CELL_NONE)
      return xf_diag_set(f->diag, XF_E_NOTFOUND,
                         "%s:%u: a row with \"%s\" and \"%s\" but without \"%s\"; choose rows "
                         "with --where",
                         f->r->file, row->line, f->r->x, f->r->y, f->r->series);
    name = c.text;
  }
  uint32_t s = 0;
  while (s < f->out->n_series && strcmp(f->out->name[s], name) != 0) s++;
  if (s == XF_PLOT_SERIES)
    return xf_diag_set(f->diag, XF_E_RANGE,
                       "%s:%u: more than %d values of \"%s\" cannot be told apart in one picture; "
                       "choose rows with --where",
                       f->r->file, row->line, XF_PLOT_SERIES, f->r->series);
  if (s == f->out->n_series) cut(f->out->name[f->out->n_series++], name, strlen(name));
  *out = s;
  return XF_OK;
}

static enum xf_rc take(struct reader *f, const struct row *row) {
  struct xf_plot_point p = {.line = row->line};
  f->rows++;
  if (!chosen(f, row)) return XF_OK;
  f->chosen++;
  const struct cell x = get(f, row, f->r->x), y = get(f, row, f->r->y);
  f->with_x += x.kind != CELL_ABSENT;
  f->with_y += y.kind != CELL_ABSENT;
  if (x.kind == CELL_ABSENT || y.kind == CELL_ABSENT) {
    f->out->n_other++;
    return XF_OK;
  }
  enum xf_rc rc = number(f, row, f->r->x, &x);
  if (!rc) rc = number(f, row, f->r->y, &y);
  if (rc) return rc;
  if (x.kind == CELL_NONE || y.kind == CELL_NONE) {
    f->out->n_other++;
    return XF_OK;
  }
  rc = series_of(f, row, &p.series);
  if (!rc && f->r->err) {
    const struct cell e = get(f, row, f->r->err);
    f->with_err += e.kind != CELL_ABSENT;
    rc = number(f, row, f->r->err, &e);
    if (!rc && e.kind == CELL_NUMBER) p.err = e.number;
    if (!rc && p.err < 0)
      rc = xf_diag_set(f->diag, XF_E_RANGE, "%s:%u: the error \"%s\" is %g; it cannot be below 0",
                       f->r->file, row->line, f->r->err, p.err);
  }
  if (rc) return rc;
  p.x = x.number;
  p.y = y.number;
  if (f->r->logx && p.x <= 0)
    return xf_diag_set(f->diag, XF_E_RANGE, "%s:%u: \"%s\" is %g; --logx needs numbers above 0",
                       f->r->file, row->line, f->r->x, p.x);
  if (f->out->n == XF_PLOT_POINTS)
    return xf_diag_set(f->diag, XF_E_RANGE, "%s: more than %d points; choose rows with --where",
                       f->r->file, XF_PLOT_POINTS);
  f->out->point[f->out->n++] = p;
  return XF_OK;
}

static enum xf_rc add_column(struct reader *f, const char *p, size_t n) {
  if (f->n_column == COLUMNS)
    return xf_diag_set(f->diag, XF_E_RANGE, "%s: more than %d columns", f->r->file, COLUMNS);
  f->column[f->n_column] = xf_calloc(n + 1, 1);
  memcpy(f->column[f->n_column++], p, n);
  return XF_OK;
}

/* Keys of JSON rows, only for the hint of an error: more than fit are not needed. */
static enum xf_rc note_key(void *arg, const char *key, const struct xf_json_value *v) {
  struct reader *f = arg;
  (void)v;
  if (f->n_column == COLUMNS || find_column(f, key) >= 0) return XF_OK;
  return add_column(f, key, strlen(key));
}

static enum xf_rc take_json(struct reader *f, const struct xf_json_value *v, uint32_t line) {
  const struct row row = {.json = v, .line = line};
  if (xf_json_each(v, note_key, f))
    return xf_diag_set(f->diag, XF_E_FORMAT, "%s:%u: a row must be an object, {\"%s\": ...}",
                       f->r->file, line, f->r->x);
  return take(f, &row);
}

/* The line [*p, end) up to its newline, without a carriage return; moves *p behind it. */
static size_t next_line(const char **p, const char *end, const char **line) {
  const char *stop = memchr(*p, '\n', (size_t)(end - *p));
  *line = *p;
  size_t n = (size_t)((stop ? stop : end) - *p);
  *p = stop ? stop + 1 : end;
  if (n && (*line)[n - 1] == '\r') n--;
  return n;
}

static enum xf_rc read_lines(struct reader *f, const char *p, const char *end) {
  uint32_t line = 0;
  while (p < end) {
    const char *s = NULL;
    const size_t n = next_line(&p, end, &s);
    char where[XF_PATH_MAX];
    struct xf_json *json = NULL;
    line++;
    if (strspn(s, " \t\r") >= n) continue;
    if (snprintf(where, sizeof where, "%s line %u", f->r->file, line) >= (int)sizeof where)
      return xf_diag_set(f->diag, XF_E_LIMIT, "the file's name is too long");
    enum xf_rc rc = xf_json_parse(&json, where, s, n, NULL, f->diag);
    if (!rc) rc = take_json(f, xf_json_root(json), line);
    xf_json_free(json);
    if (rc) return rc;
  }
  return XF_OK;
}

static enum xf_rc read_array(struct reader *f, const char *p, size_t n) {
  const struct xf_json_limits limits = {FILE_MAX, 0};
  struct xf_json *json = NULL;
  enum xf_rc rc = xf_json_parse(&json, f->r->file, p, n, &limits, f->diag);
  const struct xf_json_value *root = rc ? NULL : xf_json_root(json);
  for (size_t i = 0; i < xf_json_len(root) && !rc; i++)
    rc = take_json(f, xf_json_at(root, i), (uint32_t)i + 1);
  xf_json_free(json);
  return rc;
}

static enum xf_rc missing(const struct reader *f, const char *key) {
  char all[XF_DIAG_LEN / 2] = "";
  size_t at = 0;
  for (size_t i = 0; i < f->n_column && at < sizeof all; i++)
    at += (size_t)snprintf(all + at, sizeof all - at, "%s%s", i ? ", " : "", f->column[i]);
  const char *near = xf_str_closest(key, (const char *const *)f->column, f->n_column);
  return xf_diag_set(f->diag, XF_E_NOTFOUND, "%s: no column \"%s\"%s%s%s; there are: %s",
                     f->r->file, key, near ? "; did you mean \"" : "", near ? near : "",
                     near ? "\"" : "", f->n_column ? all : "none");
}

/* Cells of a line; COLUMNS + 1: more than fit. */
static size_t split(struct row *row, const char *s, size_t n) {
  const char *stop = s + n;
  for (size_t i = 0; i < COLUMNS; i++) {
    const char *tab = memchr(s, '\t', (size_t)(stop - s));
    row->cell[i] = s;
    row->len[i] = (size_t)((tab ? tab : stop) - s);
    if (!tab) return i + 1;
    s = tab + 1;
  }
  return COLUMNS + 1;
}

static enum xf_rc read_table(struct reader *f, const char *p, const char *end) {
  const char *const want[] = {f->r->x, f->r->y, f->r->series, f->r->err};
  struct row row = {.line = 1};
  const char *s = NULL;
  size_t n = next_line(&p, end, &s), cells = split(&row, s, n);
  enum xf_rc rc = XF_OK;
  for (size_t i = 0; i < cells && !rc; i++)
    rc = i == COLUMNS ? add_column(f, "", 0) : add_column(f, row.cell[i], row.len[i]);
  for (size_t i = 0; i < sizeof want / sizeof want[0] && !rc; i++)
    if (want[i] && find_column(f, want[i]) < 0) rc = missing(f, want[i]);
  while (p < end && !rc) {
    n = next_line(&p, end, &s);
    row.line++;
    if (!n) continue;
    cells = split(&row, s, n);
    if (cells != f->n_column)
      rc = xf_diag_set(f->diag, XF_E_FORMAT, "%s:%u: %zu columns by tab, but %zu in the first line",
                       f->r->file, row.line, cells, f->n_column);
    else rc = take(f, &row);
  }
  return rc;
}

/* Why nothing can be drawn, or a column that no row has. */
static enum xf_rc check(const struct reader *f) {
  if (!f->rows) return xf_diag_set(f->diag, XF_E_NOTFOUND, "%s: no rows", f->r->file);
  if (!f->chosen)
    return xf_diag_set(f->diag, XF_E_NOTFOUND, "%s: none of %llu rows is chosen by --where",
                       f->r->file, (unsigned long long)f->rows);
  if (!f->with_x) return missing(f, f->r->x);
  if (!f->with_y) return missing(f, f->r->y);
  if (!f->out->n)
    return xf_diag_set(f->diag, XF_E_NOTFOUND, "%s: no row has a number in both \"%s\" and \"%s\"",
                       f->r->file, f->r->x, f->r->y);
  if (f->r->err && !f->with_err) return missing(f, f->r->err);
  return XF_OK;
}

static int by_series_x(const void *a, const void *b) {
  const struct xf_plot_point *p = a, *q = b;
  if (p->series != q->series) return p->series < q->series ? -1 : 1;
  if (p->x != q->x) return p->x < q->x ? -1 : 1;
  return p->line < q->line ? -1 : p->line > q->line;
}

static enum xf_rc arrange(const struct reader *f) {
  struct xf_plot_point *p = f->out->point;
  qsort(p, f->out->n, sizeof *p, by_series_x);
  for (size_t i = 1; i < f->out->n && !f->r->points; i++)
    if (p[i].series == p[i - 1].series && p[i].x == p[i - 1].x)
      return xf_diag_set(f->diag, XF_E_EXISTS,
                         "%s: rows %u and %u both have \"%s\" %.10g%s%s%s; choose rows with "
                         "--where, split them by --series, or draw --points",
                         f->r->file, p[i - 1].line, p[i].line, f->r->x, p[i].x,
                         f->r->series ? " in series \"" : "",
                         f->r->series ? f->out->name[p[i].series] : "", f->r->series ? "\"" : "");
  return XF_OK;
}

enum xf_rc xf_plot_read(struct xf_plot *out, const struct xf_plot_request *request,
                        struct xf_diag *diag) {
  struct reader f = {.r = request, .out = out, .diag = diag};
  struct xf_buf text;
  *out = (struct xf_plot){.point = xf_calloc(XF_PLOT_POINTS, sizeof *out->point)};
  xf_buf_init(&text, FILE_MAX);
  enum xf_rc rc = xf_fs_read_file(xf_fs_posix(), request->file, &text, diag);
  const char *p = xf_buf_cstr(&text), *end = p + text.len;
  const char first = p[strspn(p, " \t\r\n")];
  if (rc) goto out;
  if (!first) rc = xf_diag_set(diag, XF_E_NOTFOUND, "%s: the file is empty", request->file);
  else if (first == '{') rc = read_lines(&f, p, end);
  else if (first == '[') rc = read_array(&f, p, text.len);
  else rc = read_table(&f, p, end);
  if (!rc) rc = check(&f);
  if (!rc) rc = arrange(&f);
out:
  for (size_t i = 0; i < f.n_column; i++) xf_free(f.column[i]);
  xf_buf_deinit(&text);
  if (rc) xf_plot_deinit(out);
  return rc;
}

void xf_plot_deinit(struct xf_plot *plot) {
  xf_free(plot->point);
  *plot = (struct xf_plot){0};
}
