/* Reading dense tables. */
#include "base/alloc.h"
#include "base/buf.h"
#include "data/lines.h"
#include "data/table.h"

#include <math.h>
#include <string.h>

#define MAX_ROWS ((uint64_t)1 << 28)
enum { FIRST_ROWS = 64, CLASS_MAX = 65536, VALUES_TEXT = 200 };

enum column_role { PLAIN, ONE_HOT, LABEL, CLIENT, LEFT_OUT };

struct loader {
  struct xf_table *out;
  const struct xf_table_spec *spec;
  struct xf_lines *lines;
  struct xf_diag *diag;
  size_t n_column;
  enum column_role *role;   /* [n_column] */
  const struct xf_field *f; /* the current line */
  uint32_t file_row;
  bool classes; /* every label so far is a small integer >= 0 */
};

static bool is_missing(const struct xf_field *f) {
  return f->len == 0 || (f->len == 1 && *f->p == '?') || (f->len == 2 && !memcmp(f->p, "NA", 2));
}

static enum xf_rc set_role(struct loader *l, uint32_t column, enum column_role role,
                           const char *key) {
  if (column == 0 || column > l->n_column)
    return xf_lines_fail(l->lines, 0, XF_E_INVAL, l->diag,
                         "%s names column %u, but the file has %zu columns", key, column,
                         l->n_column);
  if (l->role[column - 1] != PLAIN)
    return xf_lines_fail(l->lines, column, XF_E_INVAL, l->diag,
                         "%s names column %u, which already has another role", key, column);
  l->role[column - 1] = role;
  return XF_OK;
}

static enum xf_rc set_roles(struct loader *l) {
  const struct xf_table_spec *s = l->spec;
  l->role = xf_calloc(l->n_column, sizeof *l->role);
  enum xf_rc rc = set_role(l, s->label ? s->label : (uint32_t)l->n_column, LABEL, "table.label");
  if (!rc && s->client) rc = set_role(l, s->client, CLIENT, "columns.client");
  for (size_t i = 0; !rc && i < s->n_drop; i++)
    rc = set_role(l, s->drop[i], LEFT_OUT, "table.drop");
  for (size_t i = 0; !rc && i < s->n_one_hot; i++) {
    rc = set_role(l, s->one_hot[i].column, ONE_HOT, "table.one_hot");
    if (!rc && (s->one_hot[i].n < 2 || s->one_hot[i].n > XF_TABLE_ONE_HOT_MAX))
      rc = xf_lines_fail(l->lines, s->one_hot[i].column, XF_E_INVAL, l->diag,
                         "table.one_hot lists %u values; it needs 2 to %d", s->one_hot[i].n,
                         XF_TABLE_ONE_HOT_MAX);
    if (!rc) l->out->n_in += s->one_hot[i].n - 1;
  }
  for (size_t c = 0; !rc && c < l->n_column; c++) l->out->n_in += l->role[c] == PLAIN;
  if (!rc && l->out->n_in == 0)
    rc = xf_lines_fail(l->lines, 0, XF_E_INVAL, l->diag, "no input column is left");
  return rc;
}

/* A header has a text where an input should be. */
static bool looks_like_header(const struct loader *l) {
  double unused = 0;
  for (size_t c = 0; c < l->n_column; c++)
    if ((l->role[c] == PLAIN || l->role[c] == ONE_HOT) && !is_missing(&l->f[c]) &&
        xf_lines_number(l->lines, c + 1, &l->f[c], "", &unused, NULL) == XF_E_FORMAT)
      return true;
  return false;
}

static enum xf_rc first_line(struct loader *l, const char *path) {
  enum xf_rc rc = xf_lines_next(l->lines, &l->f, &l->n_column, l->diag);
  if (rc == XF_E_EOF)
    return xf_diag_set(l->diag, XF_E_FORMAT, "%s: the file is empty; expected rows of numbers",
                       path);
  if (!rc) rc = set_roles(l);
  if (rc) return rc;
  if (l->spec->header == XF_HEADER_NO ||
      (l->spec->header == XF_HEADER_AUTO && !looks_like_header(l)))
    xf_lines_again(l->lines);
  return XF_OK;
}

/* Grows the array whose pointer is at `array`. */
static bool grow_one(void *array, size_t cap, size_t size) {
  void *old = NULL;
  memcpy(&old, array, sizeof old);
  void *more = xf_try_realloc_array(old, cap, size);
  if (more) memcpy(array, &more, sizeof more);
  return more != NULL;
}

static bool grow(struct loader *l) {
  struct xf_table *t = l->out;
  const size_t cap = t->cap ? t->cap * 2 : FIRST_ROWS;
  size_t row = 0;
  if (!xf_mul_size(&row, t->n_in, sizeof *t->x)) return false;
  if (!grow_one(&t->x, cap, row) || !grow_one(&t->y, cap, sizeof *t->y) ||
      !grow_one(&t->part, cap, 1) || !grow_one(&t->row, cap, sizeof *t->row))
    return false;
  if (l->spec->client && !grow_one(&t->client, cap, sizeof *t->client)) return false;
  t->cap = cap;
  return true;
}

static enum xf_rc one_hot(struct loader *l, const struct xf_table_one_hot *h, float *to) {
  double v = 0;
  const size_t c = h->column - 1;
  const enum xf_rc rc = xf_lines_number(l->lines, c + 1, &l->f[c], "the value", &v, l->diag);
  if (rc) return rc;
  bool known = v == h->value[0];
  for (uint32_t k = 1; k < h->n; k++) {
    to[k - 1] = v == h->value[k] ? 1.0f : 0.0f;
    known = known || v == h->value[k];
  }
  if (known) return XF_OK;
  struct xf_buf buf;
  xf_buf_init(&buf, VALUES_TEXT);
  for (uint32_t k = 0; k < h->n; k++)
    if (xf_buf_printf(&buf, "%s%g", k ? ", " : "", h->value[k])) break;
  const enum xf_rc bad =
      xf_lines_fail(l->lines, c + 1, XF_E_RANGE, l->diag,
                    "%g is none of the values that table.one_hot lists (%s)", v, xf_buf_cstr(&buf));
  xf_buf_deinit(&buf);
  return bad;
}

/* E_AGAIN: a value is missing and rows with missing values are dropped. */
static enum xf_rc find_missing(struct loader *l) {
  for (size_t c = 0; c < l->n_column; c++) {
    if (l->role[c] == LEFT_OUT || l->role[c] == CLIENT || !is_missing(&l->f[c])) continue;
    if (l->spec->drop_missing) return XF_E_AGAIN;
    return xf_lines_fail(l->lines, c + 1, XF_E_FORMAT, l->diag,
                         "a value is missing; fill it in, or set table.missing: drop");
  }
  return XF_OK;
}

static enum xf_rc fits_float(struct loader *l, size_t c, double v) {
  if (isfinite((float)v)) return XF_OK;
  return xf_lines_fail(l->lines, c + 1, XF_E_RANGE, l->diag, "%g does not fit a 32-bit float", v);
}

static enum xf_rc read_row(struct loader *l) {
  struct xf_table *t = l->out;
  float *x = t->x + t->n * t->n_in;
  for (size_t c = 0; c < l->n_column; c++) {
    enum xf_rc rc = XF_OK;
    double v = 0;
    if (l->role[c] == CLIENT) {
      rc = xf_names_add(&t->clients, &t->client[t->n], l->f[c].p, l->f[c].len);
      if (rc) return xf_lines_fail(l->lines, c + 1, rc, l->diag, "the client is no usable name");
    }
    if (l->role[c] != PLAIN && l->role[c] != LABEL) continue;
    rc = xf_lines_number(l->lines, c + 1, &l->f[c], "the value", &v, l->diag);
    if (!rc) rc = fits_float(l, c, v);
    if (rc) return rc;
    if (l->role[c] == PLAIN) {
      *x++ = (float)v;
      continue;
    }
    if (l->spec->binary) v = v > 0;
    l->classes = l->classes && v >= 0 && v < CLASS_MAX && v == floor(v);
    if (l->classes && (uint32_t)v >= t->n_class) t->n_class = (uint32_t)v + 1;
    t->y[t->n] = (float)v;
  }
  for (size_t i = 0; i < l->spec->n_one_hot; i++) {
    const enum xf_rc rc = one_hot(l, &l->spec->one_hot[i], x);
    if (rc) return rc;
    x += l->spec->one_hot[i].n - 1;
  }
  return XF_OK;
}

static enum xf_rc one_line(struct loader *l, size_t n) {
  struct xf_table *t = l->out;
  if (n != l->n_column)
    return xf_lines_fail(l->lines, 0, XF_E_FORMAT, l->diag,
                         "%zu columns, but the first line has %zu", n, l->n_column);
  const uint32_t file_row = l->file_row++;
  enum xf_rc rc = find_missing(l);
  if (rc == XF_E_AGAIN) {
    t->n_missing++;
    return XF_OK;
  }
  if (rc) return rc;
  const uint64_t max = l->spec->max_rows ? l->spec->max_rows : MAX_ROWS;
  if (t->n >= max)
    return xf_lines_fail(l->lines, 0, XF_E_LIMIT, l->diag, "more than %llu rows",
                         (unsigned long long)max);
  if (t->n == t->cap && !grow(l))
    return xf_lines_fail(l->lines, 0, XF_E_NOMEM, l->diag, "not enough memory for the table");
  t->part[t->n] = XF_PART_TRAIN;
  t->row[t->n] = file_row;
  rc = read_row(l);
  if (!rc) t->n++;
  return rc;
}

enum xf_rc xf_table_load(struct xf_table *out, const char *path, const struct xf_table_spec *spec,
                         struct xf_diag *diag) {
  struct loader l = {.out = out, .spec = spec, .diag = diag, .classes = true};
  xf_table_init(out);
  enum xf_rc rc = xf_lines_open(&l.lines, path, spec->sep, diag);
  if (!rc) rc = first_line(&l, path);
  while (!rc) {
    size_t n = 0;
    rc = xf_lines_next(l.lines, &l.f, &n, diag);
    if (!rc) rc = one_line(&l, n);
  }
  if (rc == XF_E_EOF) {
    rc = XF_OK;
    if (out->n == 0)
      rc = xf_diag_set(diag, XF_E_FORMAT, "%s: no rows are left (%llu had missing values)", path,
                       (unsigned long long)out->n_missing);
    if (!l.classes) out->n_class = 0;
  }
  xf_lines_close(l.lines);
  xf_free(l.role);
  if (rc) xf_table_deinit(out);
  return rc;
}
