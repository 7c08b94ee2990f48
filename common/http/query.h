/*
 * query.h - a request's target, "/v1/recommend?user=a%20b&k=10": its path and parameters, decoded and checked.
 *
 * Percent-decoding is strict (two hexadecimal digits), a plus sign in the query is a space, what comes out is UTF-8 without
 * NUL. Parameters keep their order; a name alone ("?explain") has the value "". Empty parts ("&&") are skipped.
 * Not for: bodies. Owner: the caller's struct, all inline. Thread: any; no I/O.
 * @source RFC 3986 section 2.1; WHATWG URL, application/x-www-form-urlencoded
 */
#ifndef XF_HTTP_QUERY_H
#define XF_HTTP_QUERY_H

#include "base/diag.h"

#include <stddef.h>
#include <stdint.h>

enum { XF_HTTP_TARGET_MAX = 8192, XF_HTTP_PAIRS = 256 };

struct xf_http_pair {
  const char *name, *value; /* in `text` */
};

struct xf_http_query {
  const char *path; /* decoded, begins with "/" */
  struct xf_http_pair pair[XF_HTTP_PAIRS];
  size_t n;
  char text[XF_HTTP_TARGET_MAX + XF_HTTP_PAIRS + 2]; /* a name alone grows by a NUL */
};

/* What a route accepts. */
struct xf_http_param {
  const char *name;
  bool many; /* may be given more than once */
};

/* Reads a target as it was sent. @err E_FORMAT (characters, percent-encoding, UTF-8, no leading slash) E_LIMIT (too long,
   too many parameters) @own nothing of target is kept */
XF_WARN_UNUSED enum xf_rc xf_http_query_parse(struct xf_http_query *out, const char *target,
                                              size_t len, struct xf_diag *diag);
/* Refuses names that are not among param[0..n), with a hint, and repetitions. @err E_INVAL */
XF_WARN_UNUSED enum xf_rc xf_http_query_check(const struct xf_http_query *query,
                                              const struct xf_http_param *param, size_t n,
                                              struct xf_diag *diag);
/* The first value of a name, or NULL. @own query */
const char *xf_http_query_find(const struct xf_http_query *query, const char *name);
/* A whole number from min to max; `def` when the name is not given. @err E_RANGE: diag names the parameter, its value and
   the range */
XF_WARN_UNUSED enum xf_rc xf_http_query_uint(const struct xf_http_query *query, const char *name,
                                             uint32_t *out, uint32_t def, uint32_t min,
                                             uint32_t max, struct xf_diag *diag);
/* 1, true, 0, false; a name alone is true, a missing one false. @err E_FORMAT */
XF_WARN_UNUSED enum xf_rc xf_http_query_bool(const struct xf_http_query *query, const char *name,
                                             bool *out, struct xf_diag *diag);

#endif
