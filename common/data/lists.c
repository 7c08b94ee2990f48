#include "data/lists.h"

#include "base/alloc.h"
#include "data/lines.h"
#include "data/sampler.h"

#include <string.h>

enum { FIRST = 1024 };

void xf_lists_deinit(struct xf_lists *lists) {
  xf_free(lists->user);
  xf_free(lists->start);
  xf_free(lists->item);
  xf_free(lists->relevant);
  xf_free(lists->n_relevant);
  *lists = (struct xf_lists){0};
}

/* A growing set of lists. */
struct work {
  struct xf_lists *out;
  const struct xf_qrel *qrel;
  const struct xf_names *users;
  enum xf_qrel_half half;
  size_t cap;     /* of item and relevant */
  uint32_t *mark; /* [mark_cap] 1 + list that has the item last */
  uint32_t mark_cap;
  uint8_t *seen; /* [rows of the relevance] the user has had a list */
};

static uint32_t row_count(const struct xf_csr *csr, uint32_t u) {
  return u < csr->n_row ? csr->start[u + 1] - csr->start[u] : 0;
}

static bool in_half(const struct work *w, uint32_t user) {
  return w->half == XF_QREL_ALL || xf_qrel_half(xf_names_get(w->users, user)) == w->half;
}

static bool work_init(struct work *w) {
  const size_t n = w->qrel->count.users;
  w->out->user = xf_try_calloc(n + 1, sizeof *w->out->user);
  w->out->start = xf_try_calloc(n + 2, sizeof *w->out->start);
  w->out->n_relevant = xf_try_calloc(n + 1, sizeof *w->out->n_relevant);
  w->seen = xf_try_calloc((size_t)w->qrel->relevant.n_row + 1, 1);
  return w->out->user && w->out->start && w->out->n_relevant && w->seen;
}

static void work_deinit(struct work *w) {
  xf_free(w->mark);
  xf_free(w->seen);
}

/* Room for n more candidates, and marks for n_items. */
static bool room(struct work *w, uint32_t n, uint32_t n_items) {
  const size_t need = (size_t)w->out->start[w->out->n] + n;
  if (need > w->cap) {
    const size_t cap = need + w->cap + FIRST;
    uint32_t *item = xf_try_realloc_array(w->out->item, cap, sizeof *item);
    if (item) w->out->item = item;
    uint8_t *relevant = xf_try_realloc_array(w->out->relevant, cap, 1);
    if (relevant) w->out->relevant = relevant;
    if (!item || !relevant) return false;
    w->cap = cap;
  }
  if (n_items > w->mark_cap) {
    const uint32_t cap = n_items + n_items / 2 + FIRST;
    uint32_t *mark = xf_try_realloc_array(w->mark, cap, sizeof *mark);
    if (!mark) return false;
    memset(mark + w->mark_cap, 0, (size_t)(cap - w->mark_cap) * sizeof *mark);
    w->mark = mark;
    w->mark_cap = cap;
  }
  return true;
}

/* The list whose items end at `end` is complete. */
static void finish(struct work *w, uint32_t user, uint32_t end) {
  struct xf_lists *out = w->out;
  uint32_t found = 0;
  for (uint32_t k = out->start[out->n]; k < end; k++) {
    out->relevant[k] = xf_csr_find(&w->qrel->relevant, user, out->item[k]);
    found += out->relevant[k];
  }
  out->user[out->n] = user;
  out->n_relevant[out->n] = row_count(&w->qrel->relevant, user);
  out->count.missed += out->n_relevant[out->n] - found;
  out->start[++out->n] = end;
  w->seen[user] = 1;
}

static bool is_separator(char c) { return c == ',' || c == ' '; }

/* The items of a line. */
static enum xf_rc take_items(struct work *w, const struct xf_lines *lines, struct xf_names *items,
                             uint32_t user, const struct xf_field *f, struct xf_diag *diag) {
  char q[XF_LINES_QUOTE];
  uint32_t end = w->out->start[w->out->n];
  const uint32_t stamp = w->out->n + 1, begin = end, before = items->n;
  for (size_t at = 0; at < f->len;) {
    size_t len = 0;
    while (at + len < f->len && !is_separator(f->p[at + len])) len++;
    if (len > 0) {
      uint32_t id = 0;
      enum xf_rc rc = xf_names_add(items, &id, f->p + at, len);
      if (!rc && !room(w, end - begin + 1, items->n)) rc = XF_E_NOMEM;
      if (rc)
        return xf_lines_fail(lines, 2, rc, diag, "cannot keep the item %s: %s",
                             xf_lines_quote(q, f->p + at, len), xf_rc_text(rc));
      if (w->mark[id] == stamp)
        return xf_lines_fail(lines, 2, XF_E_FORMAT, diag,
                             "item %s is twice in the list; keep it once",
                             xf_lines_quote(q, f->p + at, len));
      w->mark[id] = stamp;
      w->out->item[end++] = id;
    }
    at += len + 1;
  }
  if (end == begin)
    return xf_lines_fail(
        lines, 2, XF_E_FORMAT, diag,
        "the list is empty; write items separated by commas, or leave the user out "
        "of the relevance file");
  w->out->count.new_items += items->n - before;
  finish(w, user, end);
  return XF_OK;
}

static enum xf_rc one_line(struct work *w, const struct xf_lines *lines, struct xf_names *items,
                           const struct xf_field *f, size_t n, struct xf_diag *diag) {
  char q[XF_LINES_QUOTE];
  if (n != 2)
    return xf_lines_fail(lines, 0, XF_E_FORMAT, diag,
                         "%zu columns; a line is a user, a tab, and items separated by commas or "
                         "spaces",
                         n);
  w->out->count.lines++;
  const uint32_t user = xf_names_find(w->users, f[0].p, f[0].len);
  if (user == XF_NO_ID || row_count(&w->qrel->relevant, user) == 0) {
    if (w->out->count.no_relevance++ == 0)
      w->out->count.no_relevance_line = xf_lines_get_number(lines);
    return XF_OK;
  }
  if (w->seen[user])
    return xf_lines_fail(lines, 1, XF_E_FORMAT, diag,
                         "user %s has a list already; keep one line per user",
                         xf_lines_quote(q, f[0].p, f[0].len));
  if (in_half(w, user)) return take_items(w, lines, items, user, &f[1], diag);
  w->seen[user] = 1;
  w->out->count.other_half++;
  return XF_OK;
}

static enum xf_rc all_seen(const struct work *w, const char *path, struct xf_diag *diag) {
  uint32_t lack = 0, first = 0;
  for (uint32_t u = w->qrel->relevant.n_row; u > 0; u--)
    if (row_count(&w->qrel->relevant, u - 1) && !w->seen[u - 1]) {
      lack++;
      first = u - 1;
    }
  if (!lack) return XF_OK;
  return xf_diag_set(diag, XF_E_NOTFOUND,
                     "%s:%llu: the file ends and %u users with relevant items have no list, among "
                     "them \"%.64s\"; add their lines or draw candidates instead",
                     path, (unsigned long long)w->out->count.lines, lack,
                     xf_names_get(w->users, first));
}

enum xf_rc xf_lists_load(struct xf_lists *out, const char *path, const struct xf_qrel *qrel,
                         enum xf_qrel_half half, const struct xf_names *users,
                         struct xf_names *items, struct xf_diag *diag) {
  struct work w = {.out = out, .qrel = qrel, .users = users, .half = half};
  struct xf_lines *lines = NULL;
  *out = (struct xf_lists){0};
  enum xf_rc rc = xf_lines_open(&lines, path, '\t', diag);
  if (!rc && !work_init(&w)) rc = xf_diag_set(diag, XF_E_NOMEM, "%s: not enough memory", path);
  while (!rc) {
    const struct xf_field *f = NULL;
    size_t n = 0;
    rc = xf_lines_next(lines, &f, &n, diag);
    if (!rc) rc = one_line(&w, lines, items, f, n, diag);
  }
  if (rc == XF_E_EOF) rc = all_seen(&w, path, diag);
  xf_lines_close(lines);
  work_deinit(&w);
  if (rc) xf_lists_deinit(out);
  return rc;
}

/* Marks a row's items with the stamp; returns how many had it not. */
static uint32_t mark_row(struct work *w, const struct xf_csr *csr, uint32_t user, uint32_t stamp) {
  uint32_t n = 0;
  if (user >= csr->n_row) return 0;
  for (uint32_t k = csr->start[user]; k < csr->start[user + 1]; k++) {
    n += w->mark[csr->item[k]] != stamp;
    w->mark[csr->item[k]] = stamp;
  }
  return n;
}

static bool draw_one(struct work *w, const struct xf_csr *train, uint32_t user, uint32_t n_items,
                     uint32_t n_neg, uint64_t seed) {
  const struct xf_csr *rel = &w->qrel->relevant;
  const uint32_t n_rel = row_count(rel, user), stamp = w->out->n + 1;
  if (!room(w, n_rel + n_neg, n_items)) return false;
  uint32_t *to = w->out->item + w->out->start[w->out->n];
  memcpy(to, rel->item + rel->start[user], n_rel * sizeof *to);
  uint32_t out_of = mark_row(w, rel, user, stamp);
  out_of += mark_row(w, train, user, stamp);
  struct xf_rng rng;
  xf_rng_init(&rng, seed, xf_qrel_hash(xf_names_get(w->users, user)));
  const uint32_t got =
      xf_sampler_distinct(&rng, to + n_rel, n_neg, n_items, out_of, w->mark, stamp);
  finish(w, user, w->out->start[w->out->n] + n_rel + got);
  return true;
}

static bool all_below(const struct xf_csr *csr, uint32_t n_items) {
  for (uint32_t k = 0; k < xf_csr_count(csr); k++)
    if (csr->item[k] >= n_items) return false;
  return true;
}

enum xf_rc xf_lists_draw(struct xf_lists *out, const struct xf_qrel *qrel, enum xf_qrel_half half,
                         const struct xf_names *users, const struct xf_csr *train, uint32_t n_items,
                         uint32_t n_neg, uint64_t seed, struct xf_diag *diag) {
  struct work w = {.out = out, .qrel = qrel, .users = users, .half = half};
  *out = (struct xf_lists){0};
  if (n_neg == 0 || n_neg > n_items)
    return xf_diag_set(diag, XF_E_INVAL,
                       "%u candidates are to be drawn from %u items; ask for 1 to %u", n_neg,
                       n_items, n_items);
  if (!all_below(&qrel->relevant, n_items) || !all_below(train, n_items))
    return xf_diag_set(
        diag, XF_E_SHAPE,
        "there are events of items beyond the catalogue of %u; load relevance before "
        "the catalogue is sized",
        n_items);
  bool ok = work_init(&w);
  for (uint32_t u = 0; ok && u < qrel->relevant.n_row; u++) {
    if (row_count(&qrel->relevant, u) == 0) continue;
    if (in_half(&w, u)) ok = draw_one(&w, train, u, n_items, n_neg, seed);
    else out->count.other_half++;
  }
  work_deinit(&w);
  if (ok) return XF_OK;
  xf_lists_deinit(out);
  return xf_diag_set(diag, XF_E_NOMEM, "not enough memory to draw candidates");
}
