#include "data/omniglot.h"

#include "base/alloc.h"
#include "data/idx.h"
#include "data/lines.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { COLUMNS = 5, DRAWERS = 20, ROWS = 1 << 24 };

static const char *const heading[COLUMNS] = {"class_id", "alphabet", "character", "drawer", "set"};

/* The list while it is read. */
struct list {
  struct xf_lines *lines;
  struct xf_table *out;
  struct xf_names classes; /* alphabet, tab, character */
  uint32_t *drawn;         /* [classes.cap] bits: who has drawn the character */
  uint32_t cap;
};

void xf_omniglot_shrink(float *out, uint32_t side, const uint8_t *in, uint32_t n) {
  const double step = (double)n / side;
  for (uint32_t y = 0; y < side; y++)
    for (uint32_t x = 0; x < side; x++) {
      const double top = y * step, left = x * step, bottom = top + step, right = left + step;
      double sum = 0;
      for (uint32_t i = (uint32_t)top; i < n && i < bottom; i++) {
        const double high = fmin(i + 1, bottom) - fmax(i, top);
        for (uint32_t k = (uint32_t)left; k < n && k < right; k++)
          sum += in[(size_t)i * n + k] * high * (fmin(k + 1, right) - fmax(k, left));
      }
      out[(size_t)y * side + x] = (float)(sum / (step * step * 255));
    }
}

static enum xf_rc no_memory(const struct list *l, struct xf_diag *diag) {
  return xf_lines_fail(l->lines, 0, XF_E_NOMEM, diag, "not enough memory");
}

/* A whole number of low .. high. */
static enum xf_rc whole(const struct list *l, const struct xf_field *field, size_t column,
                        double low, double high, uint32_t *out, struct xf_diag *diag) {
  double value = 0;
  const enum xf_rc rc =
      xf_lines_number(l->lines, column, &field[column - 1], heading[column - 1], &value, diag);
  if (rc) return rc;
  if (value != floor(value) || value < low || value > high)
    return xf_lines_fail(l->lines, column, XF_E_FORMAT, diag,
                         "%s is %.*s; expected a whole number of %.0f to %.0f", heading[column - 1],
                         (int)(field[column - 1].len < 40 ? field[column - 1].len : 40),
                         field[column - 1].p, low, high);
  *out = (uint32_t)value;
  return XF_OK;
}

static enum xf_rc check_heading(struct list *l, struct xf_diag *diag) {
  const struct xf_field *field;
  size_t n = 0;
  const enum xf_rc rc = xf_lines_next(l->lines, &field, &n, diag);
  if (rc && rc != XF_E_EOF) return rc;
  for (size_t i = 0; i < COLUMNS; i++)
    if (n != COLUMNS || strncmp(field[i].p, heading[i], strlen(heading[i])) != 0)
      return xf_lines_fail(l->lines, 0, XF_E_FORMAT, diag,
                           "the heading must be class_id, alphabet, character, drawer, set, "
                           "separated by tabs");
  return XF_OK;
}

/* The class of alphabet and character, which must be the one that the line says. */
static enum xf_rc class_of(struct list *l, const struct xf_field *field, uint32_t *id,
                           struct xf_diag *diag) {
  char key[XF_NAMES_KEY_MAX + 1];
  uint32_t said = 0;
  const int len = snprintf(key, sizeof key, "%s\t%s", field[1].p, field[2].p);
  if (!field[1].len || !field[2].len || len < 0 || (size_t)len >= sizeof key)
    return xf_lines_fail(l->lines, 2, XF_E_FORMAT, diag,
                         "alphabet and character must have a name, of at most %d bytes together",
                         XF_NAMES_KEY_MAX - 1);
  enum xf_rc rc = whole(l, field, 1, 0, ROWS - 1, &said, diag);
  if (rc) return rc;
  if (xf_names_add(&l->classes, id, key, (size_t)len)) return no_memory(l, diag);
  if (said != *id)
    return xf_lines_fail(l->lines, 1, XF_E_FORMAT, diag,
                         "class_id is %u; the character is number %u in order of appearance, "
                         "counted from 0",
                         said, *id);
  return XF_OK;
}

/* Notes that a drawer has drawn a class. */
static enum xf_rc draw(struct list *l, uint32_t class_id, uint32_t drawer, struct xf_diag *diag) {
  if (class_id >= l->cap) {
    const uint32_t cap = class_id + 256;
    uint32_t *drawn = xf_try_realloc_array(l->drawn, cap, sizeof *drawn);
    if (!drawn) return no_memory(l, diag);
    memset(drawn + l->cap, 0, (cap - l->cap) * sizeof *drawn);
    l->drawn = drawn;
    l->cap = cap;
  }
  const uint32_t bit = 1u << drawer;
  if (l->drawn[class_id] & bit)
    return xf_lines_fail(l->lines, 4, XF_E_CONFLICT, diag,
                         "drawer %u has drawn class %u before; each draws a character once", drawer,
                         class_id);
  l->drawn[class_id] |= bit;
  return XF_OK;
}

static enum xf_rc read_line(struct list *l, size_t row, const struct xf_field *field, size_t n,
                            struct xf_diag *diag) {
  struct xf_table *t = l->out;
  uint32_t class_id = 0, drawer = 0;
  if (n != COLUMNS)
    return xf_lines_fail(l->lines, 0, XF_E_FORMAT, diag, "%zu columns; expected %d", n, COLUMNS);
  if (row >= t->n)
    return xf_lines_fail(l->lines, 0, XF_E_SHAPE, diag, "a line too many: there are %zu images",
                         t->n);
  enum xf_rc rc = class_of(l, field, &class_id, diag);
  if (!rc) rc = whole(l, field, 4, 1, DRAWERS, &drawer, diag);
  if (!rc) rc = draw(l, class_id, drawer, diag);
  if (rc) return rc;
  if (xf_names_add(&t->clients, &t->client[row], field[1].p, field[1].len))
    return no_memory(l, diag);
  t->y[row] = (float)class_id;
  t->row[row] = (uint32_t)row;
  t->part[row] = XF_PART_TRAIN;
  return XF_OK;
}

static enum xf_rc read_list(struct xf_table *out, const char *path, struct xf_diag *diag) {
  struct list l = {.out = out};
  const struct xf_field *field;
  size_t n = 0, row = 0;
  xf_names_init(&l.classes);
  enum xf_rc rc = xf_lines_open(&l.lines, path, '\t', diag);
  if (!rc) rc = check_heading(&l, diag);
  while (!rc) {
    rc = xf_lines_next(l.lines, &field, &n, diag);
    if (!rc) rc = read_line(&l, row++, field, n, diag);
  }
  if (rc == XF_E_EOF) {
    rc = XF_OK;
    if (row < out->n)
      rc = xf_diag_set(diag, XF_E_SHAPE, "%s: %zu lines for %zu images; one line each is needed",
                       path, row, out->n);
  }
  out->n_class = l.classes.n;
  xf_lines_close(l.lines);
  xf_names_deinit(&l.classes);
  xf_free(l.drawn);
  return rc;
}

static enum xf_rc read_images(struct xf_table *out, const char *path, uint32_t side,
                              struct xf_diag *diag) {
  uint8_t *bytes = NULL;
  uint32_t dim[3];
  enum xf_rc rc = xf_idx_load_images(&bytes, dim, path, diag);
  if (rc) return rc;
  if (dim[1] != dim[2])
    rc = xf_diag_set(diag, XF_E_SHAPE, "%s: images of %u x %u; squares are needed", path, dim[1],
                     dim[2]);
  else if (side < 1 || side > dim[1])
    rc = xf_diag_set(diag, XF_E_INVAL, "%s: images of %u x %u cannot be shrunk to %u x %u", path,
                     dim[1], dim[2], side, side);
  else if (dim[0] > ROWS)
    rc = xf_diag_set(diag, XF_E_LIMIT, "%s: %u images; at most %d", path, dim[0], ROWS);
  const size_t n = dim[0], in = (size_t)dim[1] * dim[2], to = (size_t)side * side;
  if (!rc) {
    out->n = out->cap = n;
    out->n_in = (uint32_t)to;
    out->scale = 1;
    out->x = xf_try_calloc(n * to, sizeof *out->x);
    out->y = xf_try_calloc(n, sizeof *out->y);
    out->part = xf_try_calloc(n, 1);
    out->row = xf_try_calloc(n, sizeof *out->row);
    out->client = xf_try_calloc(n, sizeof *out->client);
    if (!out->x || !out->y || !out->part || !out->row || !out->client)
      rc = xf_diag_set(diag, XF_E_NOMEM, "%s: not enough memory", path);
  }
  for (size_t i = 0; !rc && i < n; i++)
    xf_omniglot_shrink(out->x + i * to, side, bytes + i * in, dim[1]);
  xf_free(bytes);
  return rc;
}

enum xf_rc xf_omniglot_load(struct xf_table *out, const char *images, const char *list,
                            uint32_t side, struct xf_diag *diag) {
  xf_table_init(out);
  enum xf_rc rc = read_images(out, images, side, diag);
  if (!rc) rc = read_list(out, list, diag);
  if (rc) xf_table_deinit(out);
  return rc;
}

enum xf_rc xf_omniglot_split(struct xf_table *table, uint32_t n_valid, uint32_t n_test,
                             struct xf_diag *diag) {
  const uint32_t n = table->clients.n;
  if ((uint64_t)n_valid + n_test >= n)
    return xf_diag_set(diag, XF_E_INVAL,
                       "%u alphabets for validation and %u for test leave none of the %u to train "
                       "on",
                       n_valid, n_test, n);
  uint8_t *part = xf_calloc(n, 1);
  for (uint32_t a = 0; a < n; a++) {
    uint32_t behind = 0; /* alphabets that come later by name */
    for (uint32_t b = 0; b < n; b++)
      behind += strcmp(xf_names_get(&table->clients, b), xf_names_get(&table->clients, a)) > 0;
    part[a] = behind < n_test             ? XF_PART_TEST
              : behind < n_test + n_valid ? XF_PART_VALID
                                          : XF_PART_TRAIN;
  }
  for (size_t i = 0; i < table->n; i++) table->part[i] = part[table->client[i]];
  xf_free(part);
  return XF_OK;
}
