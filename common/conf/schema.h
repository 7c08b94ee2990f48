/*
 * schema.h - the table that describes a config file: one row per key, everything known about it.
 *
 * A row says where the value goes in the target struct and what is legal; reading, printing, comparing,
 * encoding and the reference text all walk the same rows. docs/internals/conf.md has a worked example.
 * Rows of one section stand together; a section exists because keys name it ("fed.rounds").
 *
 * Lists: inline array + uint32_t count (XF_CONF_LIST_AT), or `heap`: a pointer the loader allocates and
 * xf_conf_deinit_target releases (XF_CONF_HEAP_AT). A list of sections has type XF_CONF_SECTIONS and a
 * schema of its own for the elements.
 * Owner: tables are static constants. Thread: constant data.
 */
#ifndef XF_CONF_SCHEMA_H
#define XF_CONF_SCHEMA_H

#include "base/buf.h"
#include "base/diag.h"

#include <stddef.h>
#include <stdint.h>

/* X(enumerator, word in the reference) with the C type of the field */
#define XF_CONF_TYPE_LIST(X)                                                      \
  X(XF_CONF_BOOL, "bool")                 /* bool: true or false */               \
  X(XF_CONF_INT, "integer")               /* int8_t .. int64_t */                 \
  X(XF_CONF_UINT, "whole number")         /* uint8_t .. uint64_t */               \
  X(XF_CONF_DOUBLE, "number")             /* double */                            \
  X(XF_CONF_STRING, "text")               /* char[N] */                           \
  X(XF_CONF_PATH, "path")                 /* char[N], kept as written */          \
  X(XF_CONF_ENUM, "one of")               /* an enum (int-sized) */               \
  X(XF_CONF_DURATION, "duration")         /* double, seconds; 90, 1.5m, 2h, 1d */ \
  X(XF_CONF_SIZE, "size")                 /* uint32_t or uint64_t; 4096, 64KiB */ \
  X(XF_CONF_SECTIONS, "list of sections") /* array of the sub schema's struct */

#define XF_CONF_ENUMERATOR_(name, text) name,
enum xf_conf_type { XF_CONF_TYPE_LIST(XF_CONF_ENUMERATOR_) };

/* What a change needs on reload, weakest first. */
#define XF_CONF_RELOAD_LIST(X)        \
  X(XF_CONF_LIVE, "live")             \
  X(XF_CONF_NEXT_ROUND, "next round") \
  X(XF_CONF_RESTART, "restart")
enum xf_conf_reload { XF_CONF_RELOAD_LIST(XF_CONF_ENUMERATOR_) };
#undef XF_CONF_ENUMERATOR_

/* A value of an enumeration; tables end with text NULL. `later`: a reserved word, refused with "not in
   this version". */
struct xf_conf_name {
  const char *text;
  int value;
  bool later;
};

struct xf_conf_schema;

struct xf_conf_key {
  const char *path; /* "fed.server.lr", relative to its schema */
  enum xf_conf_type type;
  enum xf_conf_reload reload;
  size_t at;        /* offset of the field (heap: of the pointer) */
  size_t size;      /* bytes of the field, or of one element */
  size_t at_n;      /* lists: offset of the uint32_t count */
  uint32_t cap;     /* lists: most elements */
  uint16_t tag;     /* number in the canonical encoding, unique in the schema; 0: not encoded */
  bool list;        /* a list of `type` */
  bool heap;        /* the list is allocated */
  bool required;    /* must be given */
  bool expand;      /* ${VAR:-default} is expanded */
  bool open_min;    /* min itself is out of range */
  bool id;          /* text must match [a-z0-9-]{1,63} */
  const char *def;  /* default as text, lists comma-separated; NULL: "not given" (zero, empty) */
  double min, max;  /* numbers; both 0: as the C type allows */
  const char *unit; /* for the reference; NULL: none */
  const struct xf_conf_name *names;      /* enumerations */
  const struct xf_conf_schema *sections; /* lists of sections */
  const char *help;
};

struct xf_conf_schema {
  const struct xf_conf_key *key;
  size_t n_key;
  size_t size; /* of the target struct */
};

/* Start of a row: path, offset and size of a field. {XF_CONF_AT(struct x, fed.rounds), .type = ...} */
#define XF_CONF_AT(T, field) \
  .path = #field, .at = offsetof(T, field), .size = sizeof(((T *)0)->field)
/* The same for an inline array and its count. */
#define XF_CONF_LIST_AT(T, field, count)                                                   \
  .path = #field, .at = offsetof(T, field), .size = sizeof(((T *)0)->field[0]),            \
  .cap = sizeof(((T *)0)->field) / sizeof(((T *)0)->field[0]), .at_n = offsetof(T, count), \
  .list = true
/* The same for a pointer to an allocated array of at most `most` elements. */
#define XF_CONF_HEAP_AT(T, field, count, most)                                               \
  .path = #field, .at = offsetof(T, field), .size = sizeof(*((T *)0)->field), .cap = (most), \
  .at_n = offsetof(T, count), .list = true, .heap = true

/* Text of a value, or "?" @own static */
const char *xf_conf_name_text(const struct xf_conf_name *names, int value);
/* Texts of a type and of a reload class. @own static */
const char *xf_conf_type_text(enum xf_conf_type type);
const char *xf_conf_reload_text(enum xf_conf_reload reload);
/* Fills a target with defaults. @own caller's struct of schema->size bytes */
void xf_conf_init_target(const struct xf_conf_schema *schema, void *target);
/* Releases allocated lists and zeroes the target; idempotent. @own target */
void xf_conf_deinit_target(const struct xf_conf_schema *schema, void *target);
/* Checks a table: unique paths and tags, sections together, defaults legal. For tests. @err E_INVAL */
XF_WARN_UNUSED enum xf_rc xf_conf_schema_check(const struct xf_conf_schema *schema,
                                               struct xf_diag *diag);
/* The reference of all keys as a Markdown table. @err E_LIMIT */
XF_WARN_UNUSED enum xf_rc xf_conf_help(struct xf_buf *out, const struct xf_conf_schema *schema);

/* Called for each changed key, with its full path ("members"). */
typedef void (*xf_conf_changed)(void *arg, const struct xf_conf_key *key);
/* Compares two targets; the result is the strongest class needed. false: nothing changed.
   @thread any */
bool xf_conf_diff(const struct xf_conf_schema *schema, const void *before, const void *after,
                  enum xf_conf_reload *strongest, xf_conf_changed changed, void *arg);

/* Canonical bytes of the keys that have a tag: keys at their default are left out, the others follow in
   tag order (docs/internals/conf.md). A default or a tag never changes once released. @err E_LIMIT */
XF_WARN_UNUSED enum xf_rc xf_conf_encode(struct xf_buf *out, const struct xf_conf_schema *schema,
                                         const void *target);
/* Fills a target (defaults first) from all of p[0, len); checks types and ranges. @own target is
   deinitialised on error @err E_FORMAT E_VERSION (unknown key) E_CONFIG (illegal value) E_NOMEM */
XF_WARN_UNUSED enum xf_rc xf_conf_decode(void *target, const struct xf_conf_schema *schema,
                                         const uint8_t *p, size_t len, struct xf_diag *diag);

#endif
