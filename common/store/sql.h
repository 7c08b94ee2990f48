/*
 * sql.h - private to store: SQLite with our settings, our error codes and typed arguments.
 *
 * Settings: WAL, synchronous=FULL, foreign_keys, busy timeout, bounded journal, defensive mode. With a VFS of
 * ours (no shared memory) the connection is exclusive, so that the WAL index lives on the heap.
 * Statements are kept prepared, found by the address of their literal text.
 * Not for: other modules. Owner: the embedding struct. Thread: one at a time.
 */
#ifndef XF_STORE_SQL_H
#define XF_STORE_SQL_H

#include "base/buf.h"
#include "base/diag.h"
#include "base/digest.h"
#include "base/fs.h"

#include <sqlite3.h>
#include <stddef.h>
#include <stdint.h>

enum { XF_SQL_CACHE = 96 };

struct xf_sql {
  sqlite3 *db;
  bool exclusive; /* on a VFS without shared memory */
  size_t n_cache;
  struct {
    const char *text;
    sqlite3_stmt *stmt;
  } cache[XF_SQL_CACHE];
  char path[XF_PATH_MAX];
};

struct xf_sql_arg {
  char type; /* i f t b n; 0 ends the list */
  int64_t i;
  double f;
  const void *p;
  size_t len;
};
#define A_I(x) ((struct xf_sql_arg){.type = 'i', .i = (int64_t)(x)})
#define A_F(x) ((struct xf_sql_arg){.type = 'f', .f = (x)})
#define A_T(x) xf_sql_text(x)
#define A_B(x, n) ((struct xf_sql_arg){.type = 'b', .p = (x), .len = (n)})
#define A_D(x) xf_sql_digest(x)
#define A_NULL ((struct xf_sql_arg){.type = 'n'})
#define XF_SQL_ARGS(...) ((const struct xf_sql_arg[]){__VA_ARGS__ __VA_OPT__(, ){.type = 0}})

/* Typed makers behind A_T and A_D; NULL is SQL's NULL. @own borrowed until the statement ends */
static inline struct xf_sql_arg xf_sql_text(const char *s) {
  return (struct xf_sql_arg){.type = s ? 't' : 'n', .p = s};
}
/* @own borrowed until the statement ends */
static inline struct xf_sql_arg xf_sql_digest(const struct xf_digest *d) {
  return (struct xf_sql_arg){.type = d ? 'b' : 'n', .p = d ? d->b : NULL, .len = XF_DIGEST_LEN};
}

struct xf_sql_kind {
  const char *what;       /* "ledger" */
  uint32_t app_id;        /* PRAGMA application_id */
  unsigned mode;          /* of a new file */
  const char *const *sql; /* [version] scripts; index i leads from version i to i + 1 */
  int version;
};

/* Opens, creating when `write`; migrates and checks integrity. @own sql: xf_sql_close
   @err E_NOTFOUND E_CORRUPT E_VERSION E_LOCKED E_IO */
XF_WARN_UNUSED enum xf_rc xf_sql_open(struct xf_sql *sql, const char *path, bool write,
                                      const char *vfs, const struct xf_sql_kind *kind,
                                      struct xf_diag *diag);
/* Idempotent, legal on a zeroed struct. @own sql */
void xf_sql_close(struct xf_sql *sql);
/* PRAGMA integrity_check and foreign_key_check. @err E_CORRUPT E_IO */
XF_WARN_UNUSED enum xf_rc xf_sql_check(struct xf_sql *sql, struct xf_diag *diag);
/* Our code of an SQLite result. @err never E_AGAIN */
enum xf_rc xf_sql_rc(int sqlite_rc);
/* Records the connection's last error. @err the code of `sqlite_rc` */
enum xf_rc xf_sql_fail(struct xf_sql *sql, int sqlite_rc, struct xf_diag *diag);

/* Runs one statement (a literal) that gives no rows. @err E_CONFLICT (constraint) E_NOTFOUND (foreign key)
   E_NOSPACE E_CORRUPT E_LOCKED E_IO */
XF_WARN_UNUSED enum xf_rc xf_sql_run(struct xf_sql *sql, struct xf_diag *diag, const char *text,
                                     const struct xf_sql_arg *arg);
/* Rows the last statement changed. @unit rows */
int64_t xf_sql_changes(const struct xf_sql *sql);

struct xf_sql_rows {
  sqlite3_stmt *stmt; /* read columns through the functions below */
  bool own;
};
/* Starts a query; arguments must live until end. @own rows: xf_sql_end */
XF_WARN_UNUSED enum xf_rc xf_sql_query(struct xf_sql *sql, struct xf_sql_rows *rows,
                                       struct xf_diag *diag, const char *text,
                                       const struct xf_sql_arg *arg);
/* The next row; *more is false at the end. @err E_CORRUPT E_IO */
XF_WARN_UNUSED enum xf_rc xf_sql_next(struct xf_sql *sql, struct xf_sql_rows *rows, bool *more,
                                      struct xf_diag *diag);
/* Idempotent. @own rows */
void xf_sql_end(struct xf_sql_rows *rows);

/* Columns of the current row; NULL reads as 0, "" or zeros. @own borrowed until the next row */
int64_t xf_sql_i64(const struct xf_sql_rows *rows, int col);
uint64_t xf_sql_u64(const struct xf_sql_rows *rows, int col);
double xf_sql_f64(const struct xf_sql_rows *rows, int col);
const char *xf_sql_str(const struct xf_sql_rows *rows, int col);
const void *xf_sql_blob(const struct xf_sql_rows *rows, int col, size_t *len);
bool xf_sql_is_null(const struct xf_sql_rows *rows, int col);
/* A digest column; another length than 32 (or NULL) reads as zeros. @shape 32 bytes */
void xf_sql_get_digest(const struct xf_sql_rows *rows, int col, struct xf_digest *out);
/* A text column into out[cap], cut if it does not fit (the schema bounds ours). @own out */
void xf_sql_get_str(const struct xf_sql_rows *rows, int col, char *out, size_t cap);

/* One row into a first column of each kind: *found false when there is none. @err as xf_sql_query */
XF_WARN_UNUSED enum xf_rc xf_sql_one_i64(struct xf_sql *sql, int64_t *out, bool *found,
                                         struct xf_diag *diag, const char *text,
                                         const struct xf_sql_arg *arg);

#endif
