#include "data/pairs.h"

#include "base/alloc.h"
#include "base/map.h"
#include "base/str.h"
#include "data/lines.h"

#include <string.h>

enum { FIRST = 1024, N_COLUMN = 3 };

struct loader {
  struct xf_pairs *out;
  struct xf_lines *lines;
  struct xf_map seen; /* user, item -> number of the pair */
  size_t cap;
};

void xf_pairs_deinit(struct xf_pairs *pairs) {
  xf_free(pairs->user);
  xf_free(pairs->item);
  xf_free(pairs->label);
  xf_free(pairs->part);
  *pairs = (struct xf_pairs){0};
}

static bool grow(struct loader *l) {
  struct xf_pairs *p = l->out;
  if (p->n < l->cap) return true;
  const size_t cap = l->cap ? 2 * l->cap : FIRST;
  uint32_t *user = xf_try_realloc_array(p->user, cap, sizeof *user);
  if (user) p->user = user;
  uint32_t *item = xf_try_realloc_array(p->item, cap, sizeof *item);
  if (item) p->item = item;
  uint8_t *label = xf_try_realloc_array(p->label, cap, 1);
  if (label) p->label = label;
  if (!user || !item || !label) return false;
  l->cap = cap;
  return true;
}

static enum xf_rc whole(const struct loader *l, const struct xf_field *f, size_t column,
                        const char *what, uint64_t max, uint32_t *out, struct xf_diag *diag) {
  char q[XF_LINES_QUOTE];
  uint64_t n = 0;
  const struct xf_field *at = &f[column - 1];
  const enum xf_rc rc = xf_str_u64(&n, at->p, at->len);
  if (rc || n > max)
    return xf_lines_fail(l->lines, column, rc ? XF_E_FORMAT : XF_E_RANGE, diag,
                         "the %s must be a whole number of 0 to %llu, found %s", what,
                         (unsigned long long)max, xf_lines_quote(q, at->p, at->len));
  *out = (uint32_t)n;
  return XF_OK;
}

static enum xf_rc one_line(struct loader *l, const struct xf_field *f, size_t n,
                           struct xf_diag *diag) {
  struct xf_pairs *p = l->out;
  uint32_t pair[2] = {0, 0}, label = 0, before = 0;
  if (n != N_COLUMN)
    return xf_lines_fail(l->lines, 0, XF_E_FORMAT, diag,
                         "%zu columns; a line is user, item, label (1 or 0), without a header", n);
  enum xf_rc rc = whole(l, f, 1, "user", XF_PAIRS_ID_MAX, &pair[0], diag);
  if (!rc) rc = whole(l, f, 2, "item", XF_PAIRS_ID_MAX, &pair[1], diag);
  if (!rc) rc = whole(l, f, 3, "label", 1, &label, diag);
  if (rc) return rc;
  if (xf_map_get(&l->seen, pair, sizeof pair, &before)) {
    if (p->label[before] != label)
      return xf_lines_fail(l->lines, 3, XF_E_FORMAT, diag,
                           "user %u and item %u were there with the other label; keep one of the "
                           "two lines",
                           pair[0], pair[1]);
    if (p->repeats++ == 0) p->repeats_line = xf_lines_get_number(l->lines);
    return XF_OK;
  }
  if (p->n >= UINT32_MAX - 1 || !grow(l))
    return xf_lines_fail(l->lines, 0, XF_E_NOMEM, diag, "not enough memory for more pairs");
  xf_map_set(&l->seen, pair, sizeof pair, (uint32_t)p->n);
  p->user[p->n] = pair[0];
  p->item[p->n] = pair[1];
  p->label[p->n++] = (uint8_t)label;
  if (pair[0] >= p->n_users) p->n_users = pair[0] + 1;
  if (pair[1] >= p->n_items) p->n_items = pair[1] + 1;
  return XF_OK;
}

enum xf_rc xf_pairs_load(struct xf_pairs *out, const char *path, struct xf_diag *diag) {
  struct loader l = {.out = out};
  *out = (struct xf_pairs){0};
  xf_map_init(&l.seen);
  enum xf_rc rc = xf_lines_open(&l.lines, path, 0, diag);
  while (!rc) {
    const struct xf_field *f = NULL;
    size_t n = 0;
    rc = xf_lines_next(l.lines, &f, &n, diag);
    if (!rc) rc = one_line(&l, f, n, diag);
  }
  if (rc == XF_E_EOF) {
    rc = out->n ? XF_OK
                : xf_diag_set(diag, XF_E_FORMAT, "%s: the file is empty; expected pairs", path);
    out->part = xf_try_calloc(out->n + 1, 1);
    if (!rc && !out->part) rc = xf_diag_set(diag, XF_E_NOMEM, "%s: not enough memory", path);
  }
  xf_lines_close(l.lines);
  xf_map_deinit(&l.seen);
  if (rc) xf_pairs_deinit(out);
  return rc;
}

enum xf_rc xf_pairs_split(struct xf_pairs *pairs, double valid, double test, struct xf_rng *rng,
                          struct xf_diag *diag) {
  if (!(valid >= 0 && test >= 0 && valid + test < 1))
    return xf_diag_set(
        diag, XF_E_INVAL,
        "fractions %g and %g of validation and test; they must be at least 0 and below "
        "1 together",
        valid, test);
  uint32_t *order = xf_try_calloc(pairs->n + 1, sizeof *order);
  if (!order) return xf_diag_set(diag, XF_E_NOMEM, "not enough memory to split pairs");
  const size_t n_test = (size_t)((double)pairs->n * test);
  const size_t n_valid = (size_t)((double)pairs->n * valid);
  for (size_t i = 0; i < pairs->n; i++) order[i] = (uint32_t)i;
  xf_rng_shuffle(rng, order, pairs->n);
  for (size_t k = 0; k < pairs->n; k++)
    pairs->part[order[k]] = k < n_test             ? XF_PART_TEST
                            : k < n_test + n_valid ? XF_PART_VALID
                                                   : XF_PART_TRAIN;
  xf_free(order);
  return XF_OK;
}

enum xf_rc xf_pairs_positives(struct xf_csr *out, const struct xf_pairs *pairs, enum xf_part part) {
  uint32_t *user = xf_try_calloc(pairs->n + 1, sizeof *user);
  uint32_t *item = xf_try_calloc(pairs->n + 1, sizeof *item);
  size_t n = 0;
  *out = (struct xf_csr){0};
  for (size_t i = 0; user && item && i < pairs->n; i++) {
    if (!pairs->label[i] || pairs->part[i] != part) continue;
    user[n] = pairs->user[i];
    item[n++] = pairs->item[i];
  }
  const enum xf_rc rc =
      user && item ? xf_csr_init(out, pairs->n_users, pairs->n_items, user, item, n) : XF_E_NOMEM;
  xf_free(user);
  xf_free(item);
  return rc;
}
