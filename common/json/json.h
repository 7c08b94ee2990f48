/*
 * json.h - reading JSON strictly: one value, bounded size and depth, no duplicate keys, line and column in errors.
 *
 * Jansson does the parsing and stays inside json.c. Numbers: integers are int64; a double also takes an integer.
 * Not for: writing (jsonw.h).
 * Owner: struct xf_json owns all its values; texts and values are borrowed from it. Thread: immutable once parsed.
 */
#ifndef XF_JSON_JSON_H
#define XF_JSON_JSON_H

#include "base/diag.h"

#include <stddef.h>
#include <stdint.h>

struct xf_json;       /* a parsed document */
struct xf_json_value; /* a value inside one */

enum xf_json_kind {
  XF_JSON_ABSENT, /* of a NULL value */
  XF_JSON_NULL,
  XF_JSON_BOOL,
  XF_JSON_INT,
  XF_JSON_DOUBLE,
  XF_JSON_STRING,
  XF_JSON_ARRAY,
  XF_JSON_OBJECT
};

struct xf_json_limits {
  size_t max_len;     /* bytes; 0: 1 MiB */
  uint32_t max_depth; /* 0: 32 */
};

/* Parses exactly one object or array. `name` stands for the text in messages ("name:3:5: ..."); limits may be NULL.
   @own caller, release with xf_json_free @err E_FORMAT E_LIMIT E_NOMEM */
XF_WARN_UNUSED enum xf_rc xf_json_parse(struct xf_json **out, const char *name, const char *p,
                                        size_t len, const struct xf_json_limits *limits,
                                        struct xf_diag *diag);
/* Releases; NULL is legal. @own takes json */
void xf_json_free(struct xf_json *json);
/* The outermost value. @own json */
const struct xf_json_value *xf_json_root(const struct xf_json *json);

/* What a value is. @thread any */
enum xf_json_kind xf_json_kind_of(const struct xf_json_value *v);
/* Member of an object, or NULL (also when v is none). @own borrowed */
const struct xf_json_value *xf_json_find(const struct xf_json_value *v, const char *key);
/* Elements of an array or members of an object; else 0. @unit values */
size_t xf_json_len(const struct xf_json_value *v);
/* Element of an array, or NULL. @own borrowed */
const struct xf_json_value *xf_json_at(const struct xf_json_value *v, size_t i);
/* Visits the members of an object in their order until one returns an error. @err of visit, E_FORMAT */
typedef enum xf_rc (*xf_json_visit)(void *arg, const char *key, const struct xf_json_value *v);
XF_WARN_UNUSED enum xf_rc xf_json_each(const struct xf_json_value *v, xf_json_visit visit,
                                       void *arg);
/* The value itself as a C value; false when it is of another kind (out untouched). @own borrowed text */
bool xf_json_str(const struct xf_json_value *v, const char **out);
bool xf_json_int(const struct xf_json_value *v, int64_t *out);
bool xf_json_uint(const struct xf_json_value *v, uint64_t *out);
bool xf_json_double(const struct xf_json_value *v, double *out);
bool xf_json_bool(const struct xf_json_value *v, bool *out);

/* A member that must be there and of that kind; diag names the key, what it must be and what it is.
   @own borrowed text @err E_NOTFOUND E_FORMAT */
XF_WARN_UNUSED enum xf_rc xf_json_get_str(const struct xf_json_value *v, const char *key,
                                          const char **out, struct xf_diag *diag);
XF_WARN_UNUSED enum xf_rc xf_json_get_int(const struct xf_json_value *v, const char *key,
                                          int64_t *out, struct xf_diag *diag);
XF_WARN_UNUSED enum xf_rc xf_json_get_uint(const struct xf_json_value *v, const char *key,
                                           uint64_t *out, struct xf_diag *diag);
XF_WARN_UNUSED enum xf_rc xf_json_get_double(const struct xf_json_value *v, const char *key,
                                             double *out, struct xf_diag *diag);
XF_WARN_UNUSED enum xf_rc xf_json_get_bool(const struct xf_json_value *v, const char *key,
                                           bool *out, struct xf_diag *diag);
/* Refuses members that are not among keys[0..n), with a hint. @err E_FORMAT */
XF_WARN_UNUSED enum xf_rc xf_json_check_keys(const struct xf_json_value *v, const char *const *keys,
                                             size_t n, struct xf_diag *diag);

#endif
