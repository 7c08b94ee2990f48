/* Lines of a possibly gzipped file, cut into fields. */
#include "data/lines.h"

#include "base/alloc.h"
#include "base/str.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <zlib.h>

enum { CHUNK = 1 << 16, DOUBLE_COLON = ':' };

struct xf_lines {
  gzFile gz;
  char *path;
  char sep; /* 0: not yet known */
  bool again;
  bool end;
  uint64_t number;
  char *chunk; /* [CHUNK] */
  size_t chunk_at, chunk_len;
  char *line; /* [line_cap], a line with its fields NUL-terminated in place */
  size_t line_len, line_cap;
  struct xf_field *field; /* [XF_LINES_COLUMNS_MAX] */
  size_t n_field;
};

enum xf_rc xf_lines_open(struct xf_lines **out, const char *path, char sep, struct xf_diag *diag) {
  *out = NULL;
  errno = 0;
  gzFile gz = gzopen(path, "rbe");
  if (!gz) {
    const int err = errno ? errno : ENOMEM;
    return xf_diag_set(diag, xf_rc_from_errno(err), "%s: cannot open: %s", path, strerror(err));
  }
  (void)gzbuffer(gz, 2 * CHUNK);
  struct xf_lines *lines = xf_calloc(1, sizeof *lines);
  lines->gz = gz;
  lines->path = xf_strdup(path);
  lines->sep = sep;
  lines->chunk = xf_alloc(CHUNK);
  lines->line_cap = CHUNK;
  lines->line = xf_alloc(lines->line_cap);
  lines->field = xf_calloc(XF_LINES_COLUMNS_MAX, sizeof *lines->field);
  *out = lines;
  return XF_OK;
}

void xf_lines_close(struct xf_lines *lines) {
  if (!lines) return;
  (void)gzclose(lines->gz);
  xf_free(lines->path);
  xf_free(lines->chunk);
  xf_free(lines->line);
  xf_free(lines->field);
  xf_free(lines);
}

uint64_t xf_lines_get_number(const struct xf_lines *lines) { return lines->number; }

void xf_lines_again(struct xf_lines *lines) { lines->again = lines->n_field > 0; }

enum xf_rc xf_lines_fail(const struct xf_lines *lines, size_t column, enum xf_rc rc,
                         struct xf_diag *diag, const char *fmt, ...) {
  char text[XF_DIAG_LEN / 2];
  va_list ap;
  va_start(ap, fmt);
  if (vsnprintf(text, sizeof text, fmt, ap) < 0) text[0] = '\0';
  va_end(ap);
  if (column)
    return xf_diag_set(diag, rc, "%s:%llu:%zu: %s", lines->path, (unsigned long long)lines->number,
                       column, text);
  return xf_diag_set(diag, rc, "%s:%llu: %s", lines->path, (unsigned long long)lines->number, text);
}

const char *xf_lines_quote(char out[XF_LINES_QUOTE], const char *p, size_t len) {
  const size_t room = XF_LINES_QUOTE - 6; /* two quotes, "...", NUL */
  size_t at = 0;
  out[at++] = '"';
  for (size_t i = 0; i < len && i < room; i++) {
    const unsigned char c = (unsigned char)p[i];
    out[at++] = (c >= 0x20 && c != 0x7f) ? (char)c : '?';
  }
  if (len > room) {
    memcpy(out + at, "...", 3);
    at += 3;
  }
  out[at++] = '"';
  out[at] = '\0';
  return out;
}

/* The next chunk of text; sets `end` behind the last one. */
static enum xf_rc fill(struct xf_lines *lines, struct xf_diag *diag) {
  lines->chunk_at = lines->chunk_len = 0;
  errno = 0;
  const int n = gzread(lines->gz, lines->chunk, CHUNK);
  if (n > 0) {
    lines->chunk_len = (size_t)n;
    return XF_OK;
  }
  int err = Z_OK;
  const char *text = gzerror(lines->gz, &err);
  lines->end = true;
  if (n == 0 && err == Z_OK) return XF_OK;
  lines->number++;
  if (err == Z_BUF_ERROR)
    return xf_lines_fail(lines, 0, XF_E_CORRUPT, diag,
                         "the gzip file ends in the middle; it was cut off, copy it again");
  if (err == Z_DATA_ERROR)
    return xf_lines_fail(lines, 0, XF_E_CORRUPT, diag, "damaged gzip data (%s); copy it again",
                         text);
  return xf_lines_fail(lines, 0, XF_E_IO, diag, "cannot read: %s",
                       err == Z_ERRNO && errno ? strerror(errno) : text);
}

/* Appends to the line, which stays below the limit. */
static enum xf_rc append(struct xf_lines *lines, const char *p, size_t n, struct xf_diag *diag) {
  if (lines->line_len + n > XF_LINES_LINE_MAX) {
    lines->number++;
    return xf_lines_fail(lines, 0, XF_E_LIMIT, diag,
                         "a line longer than %d bytes; is this a text file with line ends?",
                         XF_LINES_LINE_MAX);
  }
  if (lines->line_len + n + 1 > lines->line_cap) {
    while (lines->line_len + n + 1 > lines->line_cap) lines->line_cap *= 2;
    lines->line = xf_realloc_array(lines->line, lines->line_cap, 1);
  }
  memcpy(lines->line + lines->line_len, p, n);
  lines->line_len += n;
  return XF_OK;
}

/* One raw line without its end. E_EOF: nothing left. */
static enum xf_rc raw_line(struct xf_lines *lines, struct xf_diag *diag) {
  bool any = false;
  lines->line_len = 0;
  for (;;) {
    enum xf_rc rc = XF_OK;
    if (lines->chunk_at == lines->chunk_len && !lines->end) rc = fill(lines, diag);
    if (rc) return rc;
    if (lines->chunk_at == lines->chunk_len) break;
    const char *from = lines->chunk + lines->chunk_at;
    const size_t left = lines->chunk_len - lines->chunk_at;
    const char *nl = memchr(from, '\n', left);
    const size_t n = nl ? (size_t)(nl - from) : left;
    any = true;
    lines->chunk_at += nl ? n + 1 : n;
    rc = append(lines, from, n, diag);
    if (rc) return rc;
    if (nl) break;
  }
  if (!any) return XF_E_EOF;
  lines->number++;
  if (lines->line_len && lines->line[lines->line_len - 1] == '\r') lines->line_len--;
  lines->line[lines->line_len] = '\0';
  return XF_OK;
}

static char find_sep(const char *line) {
  if (strchr(line, '\t')) return '\t';
  if (strstr(line, "::")) return DOUBLE_COLON;
  if (strchr(line, ',')) return ',';
  if (strchr(line, ';')) return ';';
  if (strchr(line, '|')) return '|';
  return ' ';
}

/* A quoted field that starts behind *at's quote: text in place, *at behind the closing quote. */
static enum xf_rc quoted(struct xf_lines *lines, size_t *at, struct xf_field *f, size_t column,
                         struct xf_diag *diag) {
  char *line = lines->line;
  size_t i = *at + 1, to = *at;
  f->p = line + to;
  while (i < lines->line_len) {
    if (line[i] == '"' && (i + 1 >= lines->line_len || line[i + 1] != '"')) break;
    if (line[i] == '"') i++;
    line[to++] = line[i++];
  }
  if (i >= lines->line_len)
    return xf_lines_fail(lines, column, XF_E_FORMAT, diag, "the quote does not end on its line");
  f->len = (size_t)(line + to - f->p);
  i++;
  if (i < lines->line_len && line[i] != lines->sep)
    return xf_lines_fail(lines, column, XF_E_FORMAT, diag,
                         "text after the closing quote; expected '%c'", lines->sep);
  line[to] = '\0';
  *at = i;
  return XF_OK;
}

static enum xf_rc cut(struct xf_lines *lines, struct xf_diag *diag) {
  const bool quotes = lines->sep == ',' || lines->sep == ';';
  const size_t sep_len = lines->sep == DOUBLE_COLON ? 2 : 1;
  size_t at = 0;
  lines->n_field = 0;
  for (;;) {
    if (lines->n_field == XF_LINES_COLUMNS_MAX)
      return xf_lines_fail(lines, 0, XF_E_LIMIT, diag, "more than %d columns",
                           XF_LINES_COLUMNS_MAX);
    struct xf_field *f = &lines->field[lines->n_field++];
    char *from = lines->line + at;
    if (quotes && *from == '"') {
      const enum xf_rc rc = quoted(lines, &at, f, lines->n_field, diag);
      if (rc) return rc;
      if (at >= lines->line_len) return XF_OK;
      at++;
      continue;
    }
    char *to = sep_len == 2 ? strstr(from, "::") : strchr(from, lines->sep);
    f->p = from;
    f->len = to ? (size_t)(to - from) : lines->line_len - at;
    if (!to) return XF_OK;
    *to = '\0';
    at += f->len + sep_len;
  }
}

enum xf_rc xf_lines_next(struct xf_lines *lines, const struct xf_field **field, size_t *n,
                         struct xf_diag *diag) {
  if (!lines->again) {
    enum xf_rc rc = XF_OK;
    do {
      rc = raw_line(lines, diag);
      if (rc) return rc;
      if (lines->number == 1 && lines->line_len >= 3 && !memcmp(lines->line, "\xef\xbb\xbf", 3)) {
        lines->line_len -= 3;
        memmove(lines->line, lines->line + 3, lines->line_len + 1);
      }
    } while (lines->line_len == 0);
    if (memchr(lines->line, 0, lines->line_len))
      return xf_lines_fail(lines, 0, XF_E_FORMAT, diag, "a NUL byte: this is not a text file");
    if (!lines->sep) lines->sep = find_sep(lines->line);
    rc = cut(lines, diag);
    if (rc) return rc;
  }
  lines->again = false;
  *field = lines->field;
  *n = lines->n_field;
  return XF_OK;
}

enum xf_rc xf_lines_number(const struct xf_lines *lines, size_t column,
                           const struct xf_field *field, const char *what, double *out,
                           struct xf_diag *diag) {
  char quote[XF_LINES_QUOTE];
  const char *p = field->p;
  size_t len = field->len;
  while (len && (*p == ' ' || *p == '\t')) p++, len--;
  while (len && (p[len - 1] == ' ' || p[len - 1] == '\t')) len--;
  enum xf_rc rc = xf_str_double(out, p, len);
  if (!rc && isfinite(*out)) return XF_OK;
  xf_lines_quote(quote, field->p, field->len);
  if (rc == XF_E_RANGE)
    return xf_lines_fail(lines, column, rc, diag, "%s %s is out of range", what, quote);
  if (len >= 3 && len <= 9) {
    const char *q = (*p == '-' || *p == '+') ? p + 1 : p;
    if (!strncasecmp(q, "nan", 3) || !strncasecmp(q, "inf", 3))
      return xf_lines_fail(lines, column, XF_E_NAN, diag,
                           "%s is %s; remove the row or repair the value", what, quote);
  }
  return xf_lines_fail(lines, column, XF_E_FORMAT, diag, "%s must be a number, found %s", what,
                       quote);
}
