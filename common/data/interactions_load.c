/* Reading interactions from TSV, CSV and .inter files. */
#include "base/alloc.h"
#include "base/buf.h"
#include "data/interactions_push.h"
#include "data/lines.h"

#include <math.h>
#include <string.h>

#define MAX_ROWS ((uint64_t)1 << 28)

struct loader {
  struct xf_interactions *out;
  struct xf_interactions_spec spec; /* with columns found by name */
  struct xf_lines *lines;
  struct xf_names seen; /* domains met, for the error when none is left */
  struct xf_diag *diag;
};

static bool ends_with(const struct xf_field *f, const char *end) {
  const size_t n = strlen(end);
  return f->len > n && !memcmp(f->p + f->len - n, end, n);
}

/* RecBole: every field is name:type. */
static bool is_inter_header(const struct xf_field *f, size_t n) {
  for (size_t i = 0; i < n; i++)
    if (!ends_with(&f[i], ":token") && !ends_with(&f[i], ":float") &&
        !ends_with(&f[i], ":token_seq") && !ends_with(&f[i], ":float_seq"))
      return false;
  return n > 0;
}

static void find_column(uint32_t *column, const struct xf_field *f, size_t n, const char *name) {
  const size_t len = strlen(name);
  for (size_t i = 0; i < n && *column == 0; i++)
    if (f[i].len > len && f[i].p[len] == ':' && !memcmp(f[i].p, name, len))
      *column = (uint32_t)i + 1;
}

static void inter_columns(struct xf_interactions_spec *spec, const struct xf_field *f, size_t n) {
  find_column(&spec->user, f, n, "user_id");
  find_column(&spec->item, f, n, "item_id");
  find_column(&spec->domain, f, n, "domain_id");
  find_column(&spec->domain, f, n, "domain");
  find_column(&spec->value, f, n, "rating");
  find_column(&spec->time, f, n, "timestamp");
}

/* Whether the first line is no data, by the number columns. */
static bool looks_like_header(const struct loader *l, const struct xf_field *f, size_t n) {
  const uint32_t column[2] = {l->spec.value, l->spec.time};
  double unused = 0;
  for (int i = 0; i < 2; i++)
    if (column[i] && column[i] <= n && f[column[i] - 1].len > 0 &&
        xf_lines_number(l->lines, column[i], &f[column[i] - 1], "", &unused, NULL) == XF_E_FORMAT)
      return true;
  return false;
}

/* Checks the column map and steps over a header. */
static enum xf_rc first_line(struct loader *l, const char *path) {
  const struct xf_field *f = NULL;
  size_t n = 0;
  enum xf_rc rc = xf_lines_next(l->lines, &f, &n, l->diag);
  if (rc == XF_E_EOF)
    return xf_diag_set(l->diag, XF_E_FORMAT, "%s: the file is empty; expected events", path);
  if (rc) return rc;
  bool header = l->spec.header == XF_HEADER_YES;
  if (l->spec.header != XF_HEADER_NO && is_inter_header(f, n)) {
    inter_columns(&l->spec, f, n);
    header = true;
  } else if (l->spec.header == XF_HEADER_AUTO) {
    header = looks_like_header(l, f, n);
  }
  l->out->count.header = header;
  if (!header) xf_lines_again(l->lines);
  if (!l->spec.user || !l->spec.item)
    return xf_diag_set(
        l->diag, XF_E_INVAL,
        "%s: columns.%s is not given and the file has no .inter header that names it", path,
        l->spec.user ? "item" : "user");
  if (l->spec.only_domain && !l->spec.domain)
    return xf_diag_set(l->diag, XF_E_INVAL,
                       "%s: domain \"%s\" is wanted but columns.domain is not given", path,
                       l->spec.only_domain);
  if (l->spec.has_min_value && !l->spec.value)
    return xf_diag_set(l->diag, XF_E_INVAL,
                       "%s: a least value is wanted but columns.value is not given", path);
  return XF_OK;
}

static enum xf_rc column(const struct loader *l, const struct xf_field *f, size_t n, uint32_t c,
                         const char *what, const char **p, size_t *len) {
  if (c == 0) return XF_OK;
  if (c > n)
    return xf_lines_fail(l->lines, 0, XF_E_FORMAT, l->diag,
                         "%zu columns, but the %s is column %u; is the separator right?", n, what,
                         c);
  *p = f[c - 1].p;
  *len = f[c - 1].len;
  if (*len == 0) return xf_lines_fail(l->lines, c, XF_E_FORMAT, l->diag, "the %s is empty", what);
  if (*len > XF_NAMES_KEY_MAX)
    return xf_lines_fail(l->lines, c, XF_E_LIMIT, l->diag, "the %s has %zu bytes, more than %d",
                         what, *len, XF_NAMES_KEY_MAX);
  return XF_OK;
}

static enum xf_rc number(const struct loader *l, const struct xf_field *f, size_t n, uint32_t c,
                         const char *what, double *out) {
  *out = (double)NAN;
  if (c == 0) return XF_OK;
  const char *p = NULL;
  size_t len = 0;
  enum xf_rc rc = column(l, f, n, c, what, &p, &len);
  if (!rc) rc = xf_lines_number(l->lines, c, &f[c - 1], what, out, l->diag);
  return rc;
}

static enum xf_rc one_line(struct loader *l, const struct xf_field *f, size_t n) {
  const struct xf_interactions_spec *s = &l->spec;
  struct xf_event e = {0};
  enum xf_rc rc = column(l, f, n, s->user, "user", &e.user, &e.user_len);
  if (!rc) rc = column(l, f, n, s->item, "item", &e.item, &e.item_len);
  if (!rc) rc = column(l, f, n, s->domain, "domain", &e.domain, &e.domain_len);
  if (!rc) rc = column(l, f, n, s->client, "client", &e.client, &e.client_len);
  if (!rc) rc = number(l, f, n, s->value, "value", &e.value);
  if (!rc) rc = number(l, f, n, s->time, "time", &e.time);
  if (rc) return rc;
  if (s->value && !isfinite((float)e.value))
    return xf_lines_fail(l->lines, s->value, XF_E_RANGE, l->diag,
                         "value %g does not fit a 32-bit float", e.value);
  l->out->count.lines++;
  if (s->only_domain &&
      (strlen(s->only_domain) != e.domain_len || memcmp(s->only_domain, e.domain, e.domain_len))) {
    uint32_t id = 0;
    if (l->out->count.other_domain++ == 0) l->out->count.other_line = xf_lines_get_number(l->lines);
    return l->seen.n < 32 ? xf_names_add(&l->seen, &id, e.domain, e.domain_len) : XF_OK;
  }
  if (s->has_min_value && e.value < s->min_value) {
    l->out->count.low_value++;
    return XF_OK;
  }
  if (l->out->n >= s->max_rows)
    return xf_lines_fail(l->lines, 0, XF_E_LIMIT, l->diag,
                         "more than %llu events; raise the limit or split the file",
                         (unsigned long long)s->max_rows);
  if (s->keep_lines) e.line = xf_lines_get_number(l->lines);
  rc = xf_interactions_push(l->out, &e);
  if (rc)
    return xf_lines_fail(l->lines, 0, rc, l->diag, "cannot keep the event: %s", xf_rc_text(rc));
  return XF_OK;
}

/* Nothing was kept: says why. */
static enum xf_rc none_kept(const struct loader *l, const char *path) {
  const struct xf_interactions_count *c = &l->out->count;
  if (c->lines == 0) return xf_diag_set(l->diag, XF_E_FORMAT, "%s: no events, only a header", path);
  if (c->other_domain < c->lines)
    return xf_diag_set(l->diag, XF_E_FORMAT, "%s: none of %llu events has a value of at least %g",
                       path, (unsigned long long)c->lines, l->spec.min_value);
  struct xf_buf buf;
  xf_buf_init(&buf, XF_DIAG_LEN / 2);
  for (uint32_t i = 0; i < l->seen.n; i++)
    if (xf_buf_printf(&buf, "%s%s", i ? ", " : "", xf_names_get(&l->seen, i))) break;
  const enum xf_rc rc =
      xf_diag_set(l->diag, XF_E_NOTFOUND, "%s: no event of domain \"%s\"; the file has: %s", path,
                  l->spec.only_domain, xf_buf_cstr(&buf));
  xf_buf_deinit(&buf);
  return rc;
}

enum xf_rc xf_interactions_load(struct xf_interactions *out, const char *path,
                                const struct xf_interactions_spec *spec, struct xf_diag *diag) {
  struct loader l = {.out = out, .spec = *spec, .diag = diag};
  xf_interactions_init(out);
  xf_names_init(&l.seen);
  if (!l.spec.max_rows) l.spec.max_rows = MAX_ROWS;
  enum xf_rc rc = xf_lines_open(&l.lines, path, spec->sep, diag);
  if (!rc) rc = first_line(&l, path);
  while (!rc) {
    const struct xf_field *f = NULL;
    size_t n = 0;
    rc = xf_lines_next(l.lines, &f, &n, diag);
    if (!rc) rc = one_line(&l, f, n);
  }
  if (rc == XF_E_EOF) rc = out->n ? XF_OK : none_kept(&l, path);
  xf_lines_close(l.lines);
  xf_names_deinit(&l.seen);
  if (rc) xf_interactions_deinit(out);
  return rc;
}
