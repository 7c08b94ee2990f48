#include "data/categories.h"

#include "base/alloc.h"
#include "data/lines.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { FIRST = 4096 };

static const struct {
  const char *name, *text, *fix;
} info[XF_N_CATEGORY_FINDING] = {
#define ROW(n, k, w, f) {k, w, f},
    XF_CATEGORY_FINDING_LIST(ROW)
#undef ROW
};

const char *xf_category_finding_name(enum xf_category_finding kind) { return info[kind].name; }
const char *xf_category_finding_text(enum xf_category_finding kind) { return info[kind].text; }
const char *xf_category_finding_fix(enum xf_category_finding kind) { return info[kind].fix; }

/* Pairs (item, category) as they come. */
struct work {
  struct xf_categories *out;
  const struct xf_names *items;
  struct xf_lines *lines;
  struct xf_categories_spec spec;
  uint32_t *item, *category;
  size_t n, cap;
  uint8_t *seen; /* [items] the item had a line */
};

/* Counts one; the first is the example. */
static void found(struct work *w, enum xf_category_finding kind, uint64_t line, const char *item,
                  const char *category) {
  struct xf_finding *f = &w->out->finding[kind];
  char a[XF_LINES_QUOTE], b[XF_LINES_QUOTE];
  if (f->count++ > 0) return;
  f->line = line;
  (void)snprintf(f->example, sizeof f->example, "item %s%s%s",
                 xf_lines_quote(a, item, strlen(item)), category ? " has twice " : "",
                 category ? xf_lines_quote(b, category, strlen(category)) : "");
}

static bool room(struct work *w) {
  if (w->n < w->cap) return true;
  const size_t cap = w->cap * 2 + FIRST;
  uint32_t *item = xf_try_realloc_array(w->item, cap, sizeof *item);
  if (item) w->item = item;
  uint32_t *category = xf_try_realloc_array(w->category, cap, sizeof *category);
  if (category) w->category = category;
  if (!item || !category) return false;
  w->cap = cap;
  return true;
}

static enum xf_rc no_memory(const struct work *w, struct xf_diag *diag) {
  return xf_lines_fail(w->lines, 0, XF_E_NOMEM, diag, "not enough memory");
}

/* One category of an item; first: where the pairs of this line begin. */
static enum xf_rc add(struct work *w, uint32_t item, const char *p, size_t len, size_t first,
                      struct xf_diag *diag) {
  uint32_t id = 0;
  char quote[XF_LINES_QUOTE];
  const enum xf_rc rc = xf_names_add(&w->out->names, &id, p, len);
  if (rc == XF_E_NOMEM) return no_memory(w, diag);
  if (rc)
    return xf_lines_fail(w->lines, w->spec.category, XF_E_FORMAT, diag,
                         "the category %s has %zu bytes; at most %d", xf_lines_quote(quote, p, len),
                         len, XF_NAMES_KEY_MAX);
  for (size_t k = first; k < w->n; k++)
    if (w->category[k] == id) {
      found(w, XF_CATEGORY_TWICE, xf_lines_get_number(w->lines), xf_names_get(w->items, item),
            xf_names_get(&w->out->names, id));
      return XF_OK;
    }
  if (!room(w)) return no_memory(w, diag);
  w->item[w->n] = item;
  w->category[w->n++] = id;
  return XF_OK;
}

static enum xf_rc add_list(struct work *w, uint32_t item, const struct xf_field *list,
                           struct xf_diag *diag) {
  const char *at = list->p, *end = list->p + list->len;
  const size_t first = w->n;
  enum xf_rc rc = XF_OK;
  while (!rc && at < end) {
    const char *bar = memchr(at, w->spec.list_sep, (size_t)(end - at)), *to = bar ? bar : end;
    const char *next = bar ? bar + 1 : end;
    while (at < to && *at == ' ') at++;
    while (to > at && to[-1] == ' ') to--;
    if (at < to) rc = add(w, item, at, (size_t)(to - at), first, diag);
    at = next;
  }
  if (!rc && w->n == first)
    found(w, XF_CATEGORY_EMPTY, xf_lines_get_number(w->lines), xf_names_get(w->items, item), NULL);
  return rc;
}

static enum xf_rc read_line(struct work *w, const struct xf_field *field, size_t n,
                            struct xf_diag *diag) {
  const uint32_t need = w->spec.item > w->spec.category ? w->spec.item : w->spec.category;
  const uint64_t line = xf_lines_get_number(w->lines);
  if (n < need)
    return xf_lines_fail(w->lines, 0, XF_E_FORMAT, diag,
                         "%zu column%s, %" PRIu32
                         " are needed: an item's key, a tab, its categories separated by '%c'",
                         n, n == 1 ? "" : "s", need, w->spec.list_sep);
  const struct xf_field *key = &field[w->spec.item - 1], *list = &field[w->spec.category - 1];
  const uint32_t item = xf_names_find(w->items, key->p, key->len);
  if (item == XF_NO_ID) {
    found(w, XF_CATEGORY_UNKNOWN, line, key->p, NULL);
    return XF_OK;
  }
  if (w->seen[item]) found(w, XF_CATEGORY_REPEATS, line, key->p, NULL);
  w->seen[item] = 1;
  return add_list(w, item, list, diag);
}

static enum xf_rc finish(struct work *w, const char *path, struct xf_diag *diag) {
  struct xf_categories *c = w->out;
  c->n = c->names.n;
  const enum xf_rc rc = xf_csr_init(&c->of, w->items->n, c->n, w->item, w->category, w->n);
  if (rc)
    return xf_diag_set(diag, rc, "%s: cannot keep %zu categories of items: %s", path, w->n,
                       xf_rc_text(rc));
  if (w->n == 0)
    return xf_diag_set(diag, XF_E_FORMAT,
                       "%s: none of the %" PRIu32
                       " items of the data has a category there; a line is an item's key as in the "
                       "data, a tab, its categories separated by '%c'",
                       path, w->items->n, w->spec.list_sep);
  for (uint32_t i = 0; i < w->items->n; i++)
    if (c->of.start[i] == c->of.start[i + 1])
      found(w, XF_CATEGORY_MISSING, 0, xf_names_get(w->items, i), NULL);
  return XF_OK;
}

enum xf_rc xf_categories_load(struct xf_categories *out, const char *path,
                              const struct xf_names *items, const struct xf_categories_spec *spec,
                              struct xf_diag *diag) {
  struct work w = {.out = out, .items = items};
  const struct xf_field *field = NULL;
  size_t n = 0;
  *out = (struct xf_categories){0};
  xf_names_init(&out->names);
  if (spec) w.spec = *spec;
  if (!w.spec.item) w.spec.item = 1;
  if (!w.spec.category) w.spec.category = 2;
  if (!w.spec.sep) w.spec.sep = '\t';
  if (!w.spec.list_sep) w.spec.list_sep = '|';
  if (w.spec.item == w.spec.category || w.spec.item > XF_LINES_COLUMNS_MAX ||
      w.spec.category > XF_LINES_COLUMNS_MAX || w.spec.sep == w.spec.list_sep)
    return xf_diag_set(diag, XF_E_INVAL,
                       "%s: items in column %" PRIu32 ", categories in column %" PRIu32
                       ", separators '%c' and '%c': columns and separators must differ",
                       path, w.spec.item, w.spec.category, w.spec.sep, w.spec.list_sep);
  w.seen = xf_try_calloc((size_t)items->n + 1, 1);
  enum xf_rc rc = w.seen ? xf_lines_open(&w.lines, path, w.spec.sep, diag)
                         : xf_diag_set(diag, XF_E_NOMEM, "%s: not enough memory", path);
  while (!rc && !(rc = xf_lines_next(w.lines, &field, &n, diag)))
    rc = read_line(&w, field, n, diag);
  if (rc == XF_E_EOF) rc = finish(&w, path, diag);
  xf_lines_close(w.lines);
  xf_free(w.seen);
  xf_free(w.item);
  xf_free(w.category);
  if (rc) xf_categories_deinit(out);
  return rc;
}

enum xf_rc xf_categories_profile(struct xf_csr *out, const struct xf_categories *categories,
                                 const struct xf_csr *items) {
  const struct xf_csr *of = &categories->of;
  size_t n = 0;
  *out = (struct xf_csr){0};
  for (uint32_t e = items->start[0]; e < items->start[items->n_row]; e++)
    n += of->start[items->item[e] + 1] - of->start[items->item[e]];
  uint32_t *user = xf_try_calloc(n + 1, sizeof *user),
           *category = xf_try_calloc(n + 1, sizeof *user);
  n = 0;
  for (uint32_t u = 0; user && category && u < items->n_row; u++)
    for (uint32_t e = items->start[u]; e < items->start[u + 1]; e++)
      for (uint32_t k = of->start[items->item[e]]; k < of->start[items->item[e] + 1]; k++) {
        user[n] = u;
        category[n++] = of->item[k];
      }
  const enum xf_rc rc = user && category
                            ? xf_csr_init(out, items->n_row, categories->n, user, category, n)
                            : XF_E_NOMEM;
  xf_free(user);
  xf_free(category);
  return rc;
}

void xf_categories_deinit(struct xf_categories *categories) {
  xf_csr_deinit(&categories->of);
  xf_names_deinit(&categories->names);
  *categories = (struct xf_categories){0};
}
