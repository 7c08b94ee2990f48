/*
 * lines.h - a text file, gzipped or not, line by line and field by field, with places for errors.
 *
 * Fields are separated by one character (tab, comma, semicolon, space, '|' or "::" as ':'); with a comma or semicolon
 * a field may be quoted ("a, b", "" inside means "). Quoted fields end on their line. "\r\n", a missing last newline and
 * a UTF-8 byte order mark are accepted; blank lines are skipped; a NUL byte is refused (not text).
 * Not for: meaning of columns (interactions.h, table.h). Owner: caller. Thread: one at a time.
 */
#ifndef XF_DATA_LINES_H
#define XF_DATA_LINES_H

#include "base/diag.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { XF_LINES_COLUMNS_MAX = 4096, XF_LINES_LINE_MAX = 1 << 20 };

struct xf_field {
  const char *p; /* len bytes and a NUL */
  size_t len;
};

struct xf_lines;

/* Opens a file. sep 0: found from the first line (tab, else "::", else comma, else semicolon, else '|', else
   space). @own caller: xf_lines_close @err E_NOTFOUND E_IO E_NOMEM */
XF_WARN_UNUSED enum xf_rc xf_lines_open(struct xf_lines **out, const char *path, char sep,
                                        struct xf_diag *diag);
/* Closes; NULL is legal. @own takes lines */
void xf_lines_close(struct xf_lines *lines);
/* The fields of the next line. @own lines, until the next call @err E_EOF (no more) E_CORRUPT (damaged or
   truncated gzip) E_FORMAT E_LIMIT E_IO */
XF_WARN_UNUSED enum xf_rc xf_lines_next(struct xf_lines *lines, const struct xf_field **field,
                                        size_t *n, struct xf_diag *diag);
/* The current line is given again by the next xf_lines_next. @own lines */
void xf_lines_again(struct xf_lines *lines);
/* Number of the current line, from 1. @unit lines */
uint64_t xf_lines_get_number(const struct xf_lines *lines);
/* Records "file:line:column: text" and returns rc; the text may quote a field through xf_lines_quote. column
   from 1, 0: the whole line. @err rc */
enum xf_rc xf_lines_fail(const struct xf_lines *lines, size_t column, enum xf_rc rc,
                         struct xf_diag *diag, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));
enum { XF_LINES_QUOTE = 48 };
/* A field in quotes, shortened, unprintable bytes as '?'; returns out. @own caller's buffer */
const char *xf_lines_quote(char out[XF_LINES_QUOTE], const char *p, size_t len);
/* A finite number; the error names place and text. @err E_FORMAT E_RANGE E_NAN */
XF_WARN_UNUSED enum xf_rc xf_lines_number(const struct xf_lines *lines, size_t column,
                                          const struct xf_field *field, const char *what,
                                          double *out, struct xf_diag *diag);

#endif
