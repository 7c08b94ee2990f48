/* Parts, scaling and selecting of tables; reading files is table_load.c. */
#include "data/table.h"

#include "base/alloc.h"
#include "data/lines.h"

#include <math.h>
#include <string.h>

static const double tiny_std = 1e-9; /* decision 50 in the project's notes: FLamby's guard */

void xf_table_init(struct xf_table *table) {
  *table = (struct xf_table){0};
  xf_names_init(&table->clients);
}

void xf_table_deinit(struct xf_table *table) {
  xf_free(table->x);
  xf_free(table->x8);
  xf_free(table->y);
  xf_free(table->part);
  xf_free(table->row);
  xf_free(table->client);
  xf_names_deinit(&table->clients);
  xf_table_init(table);
}

uint32_t *xf_table_rows(const struct xf_table *table, enum xf_part part, size_t *n) {
  uint32_t *ids = xf_calloc(table->n + 1, sizeof *ids);
  *n = 0;
  for (size_t i = 0; i < table->n; i++)
    if (table->part[i] == part) ids[(*n)++] = (uint32_t)i;
  return ids;
}

void xf_table_gather(const struct xf_table *table, const uint32_t *ids, size_t n, float *out) {
  const size_t d = table->n_in;
  if (table->x) {
    for (size_t i = 0; i < n; i++)
      memcpy(out + i * d, table->x + (size_t)ids[i] * d, d * sizeof *out);
    return;
  }
  for (size_t i = 0; i < n; i++) {
    const uint8_t *from = table->x8 + (size_t)ids[i] * d;
    for (size_t j = 0; j < d; j++) out[i * d + j] = ((float)from[j] - table->shift) * table->scale;
  }
}

/* Shuffled ids[0..n): the first n_test go to test, the next n_valid to validation. */
static void deal(struct xf_table *t, uint32_t *ids, size_t n, double valid, double test,
                 struct xf_rng *rng) {
  const size_t n_test = (size_t)llround((double)n * test);
  const size_t n_valid = (size_t)llround((double)n * valid);
  xf_rng_shuffle(rng, ids, n);
  for (size_t i = 0; i < n; i++) {
    enum xf_part part = XF_PART_TRAIN;
    if (i < n_test) part = XF_PART_TEST;
    else if (i < n_test + n_valid) part = XF_PART_VALID;
    t->part[ids[i]] = (uint8_t)part;
  }
}

enum xf_rc xf_table_split_random(struct xf_table *table, double valid_fraction,
                                 double test_fraction, struct xf_rng *rng, struct xf_diag *diag) {
  const double v = valid_fraction, t = test_fraction;
  if (!(v >= 0 && t >= 0 && v + t < 1))
    return xf_diag_set(diag, XF_E_INVAL,
                       "split fractions %g (validation) and %g (test) must be at least 0 and their "
                       "sum below 1",
                       v, t);
  uint32_t *ids = xf_calloc(table->n + 1, sizeof *ids);
  const uint32_t n_class = table->n_class ? table->n_class : 1;
  for (uint32_t c = 0; c < n_class; c++) {
    size_t n = 0;
    for (size_t i = 0; i < table->n; i++)
      if (!table->n_class || (uint32_t)table->y[i] == c) ids[n++] = (uint32_t)i;
    deal(table, ids, n, v, t, rng);
  }
  xf_free(ids);
  return XF_OK;
}

/* Column numbers (from 0) of a split file. */
struct split_columns {
  size_t set, row, center;
};

static bool is_word(const struct xf_field *f, const char *word) {
  return f->len == strlen(word) && !memcmp(f->p, word, f->len);
}

static enum xf_rc split_header(struct xf_lines *lines, struct split_columns *c, const char *path,
                               bool center, struct xf_diag *diag) {
  const struct xf_field *f = NULL;
  size_t n = 0;
  const enum xf_rc rc = xf_lines_next(lines, &f, &n, diag);
  if (rc == XF_E_EOF) return xf_diag_set(diag, XF_E_FORMAT, "%s: the file is empty", path);
  if (rc) return rc;
  *c = (struct split_columns){SIZE_MAX, SIZE_MAX, SIZE_MAX};
  for (size_t i = 0; i < n; i++) {
    if (is_word(&f[i], "set")) c->set = i;
    if (is_word(&f[i], "row_in_file") || (is_word(&f[i], "row") && c->row == SIZE_MAX)) c->row = i;
    if (is_word(&f[i], "center")) c->center = i;
  }
  if (c->set == SIZE_MAX || c->row == SIZE_MAX || (center && c->center == SIZE_MAX))
    return xf_lines_fail(lines, 0, XF_E_FORMAT, diag,
                         "a split file needs a header with the columns \"set\", \"row\" (or "
                         "\"row_in_file\")%s",
                         center ? " and \"center\"" : "");
  return XF_OK;
}

static enum xf_rc split_line(struct xf_table *t, struct xf_lines *lines,
                             const struct split_columns *c, const struct xf_field *f, size_t n,
                             const char *center, uint8_t *seen, struct xf_diag *diag) {
  char quote[XF_LINES_QUOTE];
  if (c->set >= n || c->row >= n || (center && c->center >= n))
    return xf_lines_fail(lines, 0, XF_E_FORMAT, diag, "%zu columns are too few", n);
  if (center && !is_word(&f[c->center], center)) return XF_OK;
  double v = 0;
  const enum xf_rc rc = xf_lines_number(lines, c->row + 1, &f[c->row], "the row", &v, diag);
  if (rc) return rc;
  size_t lo = 0, hi = t->n; /* rows ascend */
  while (lo < hi) {
    const size_t mid = lo + (hi - lo) / 2;
    if ((double)t->row[mid] < v) lo = mid + 1;
    else hi = mid;
  }
  if (lo == t->n || (double)t->row[lo] != v)
    return xf_lines_fail(lines, c->row + 1, XF_E_NOTFOUND, diag,
                         "row %g is not in the data (outside the file, or dropped for a missing "
                         "value)",
                         v);
  if (seen[lo])
    return xf_lines_fail(lines, c->row + 1, XF_E_CONFLICT, diag, "row %g is named twice", v);
  seen[lo] = 1;
  if (is_word(&f[c->set], "train")) t->part[lo] = XF_PART_TRAIN;
  else if (is_word(&f[c->set], "valid")) t->part[lo] = XF_PART_VALID;
  else if (is_word(&f[c->set], "test")) t->part[lo] = XF_PART_TEST;
  else
    return xf_lines_fail(lines, c->set + 1, XF_E_FORMAT, diag,
                         "the set must be train, valid or test, found %s",
                         xf_lines_quote(quote, f[c->set].p, f[c->set].len));
  return XF_OK;
}

enum xf_rc xf_table_split_file(struct xf_table *table, const char *path, const char *center,
                               struct xf_diag *diag) {
  struct xf_lines *lines = NULL;
  struct split_columns c = {0};
  uint8_t *seen = xf_calloc(table->n + 1, 1);
  enum xf_rc rc = xf_lines_open(&lines, path, 0, diag);
  if (!rc) rc = split_header(lines, &c, path, center != NULL, diag);
  while (!rc) {
    const struct xf_field *f = NULL;
    size_t n = 0;
    rc = xf_lines_next(lines, &f, &n, diag);
    if (!rc) rc = split_line(table, lines, &c, f, n, center, seen, diag);
  }
  if (rc == XF_E_EOF) rc = XF_OK;
  for (size_t i = 0; !rc && i < table->n; i++)
    if (!seen[i])
      rc = xf_diag_set(diag, XF_E_NOTFOUND, "%s: does not say which set row %u of the data is in",
                       path, table->row[i]);
  xf_lines_close(lines);
  xf_free(seen);
  return rc;
}

/* Mean and deviation of one input over the train rows. */
static void moments(const struct xf_table *t, uint32_t column, double *mean, double *std) {
  double sum = 0, sq = 0;
  size_t n = 0;
  for (size_t i = 0; i < t->n; i++)
    if (t->part[i] == XF_PART_TRAIN) sum += (double)t->x[i * t->n_in + column], n++;
  *mean = n ? sum / (double)n : 0;
  for (size_t i = 0; i < t->n; i++) {
    if (t->part[i] != XF_PART_TRAIN) continue;
    const double d = (double)t->x[i * t->n_in + column] - *mean;
    sq += d * d;
  }
  *std = n > 1 ? sqrt(sq / (double)(n - 1)) : 0;
}

enum xf_rc xf_table_standardise(struct xf_table *table, struct xf_diag *diag) {
  size_t n_train = 0;
  for (size_t i = 0; i < table->n; i++) n_train += table->part[i] == XF_PART_TRAIN;
  if (!table->x || n_train < 2)
    return xf_diag_set(diag, XF_E_STATE,
                       "scaling needs numeric inputs and at least 2 train rows, "
                       "found %zu",
                       n_train);
  table->n_constant = 0;
  for (uint32_t c = 0; c < table->n_in; c++) {
    double mean = 0, std = 0;
    moments(table, c, &mean, &std);
    const bool constant = std <= 1e-7 * fabs(mean) || std == 0;
    table->n_constant += constant;
    for (size_t i = 0; i < table->n; i++) {
      float *x = &table->x[i * table->n_in + c];
      *x = constant ? 0.0f : (float)(((double)*x - mean) / (std + tiny_std));
    }
  }
  return XF_OK;
}

/* Copies the chosen rows of an array of elements of `size`; NULL without one. */
static void *pick(const void *from, size_t size, const struct xf_table *src, const uint32_t *group,
                  uint32_t which, size_t n, bool *ok) {
  if (!from) return NULL;
  uint8_t *to = xf_try_calloc(n + 1, size);
  if (!to) {
    *ok = false;
    return NULL;
  }
  size_t at = 0;
  for (size_t i = 0; i < src->n; i++)
    if (group[i] == which) memcpy(to + at++ * size, (const uint8_t *)from + i * size, size);
  return to;
}

enum xf_rc xf_table_select(struct xf_table *out, const struct xf_table *src, const uint32_t *group,
                           uint32_t which) {
  xf_table_init(out);
  size_t n = 0;
  for (size_t i = 0; i < src->n; i++) n += group[i] == which;
  out->n = out->cap = n;
  out->n_in = src->n_in;
  out->shift = src->shift;
  out->scale = src->scale;
  out->n_class = src->n_class;
  bool ok = true;
  out->x = pick(src->x, src->n_in * sizeof *src->x, src, group, which, n, &ok);
  out->x8 = pick(src->x8, src->n_in, src, group, which, n, &ok);
  out->y = pick(src->y, sizeof *src->y, src, group, which, n, &ok);
  out->part = pick(src->part, 1, src, group, which, n, &ok);
  out->row = pick(src->row, sizeof *src->row, src, group, which, n, &ok);
  if (ok) return XF_OK;
  xf_table_deinit(out);
  return XF_E_NOMEM;
}
