#include "store/sql.h"

#include "base/assert.h"
#include "base/str.h"

#include <string.h>

enum xf_rc xf_sql_rc(int sqlite_rc) {
  switch (sqlite_rc & 0xff) {
  case SQLITE_OK:
  case SQLITE_ROW:
  case SQLITE_DONE: return XF_OK;
  case SQLITE_CORRUPT:
  case SQLITE_NOTADB: return XF_E_CORRUPT;
  case SQLITE_FULL: return XF_E_NOSPACE;
  case SQLITE_BUSY:
  case SQLITE_LOCKED: return XF_E_LOCKED;
  case SQLITE_CONSTRAINT:
    return sqlite_rc == SQLITE_CONSTRAINT_FOREIGNKEY ? XF_E_NOTFOUND : XF_E_CONFLICT;
  case SQLITE_NOMEM: return XF_E_NOMEM;
  case SQLITE_TOOBIG: return XF_E_LIMIT;
  case SQLITE_READONLY:
  case SQLITE_PERM:
  case SQLITE_AUTH: return XF_E_AUTH;
  default: return XF_E_IO;
  }
}

enum xf_rc xf_sql_fail(struct xf_sql *sql, int sqlite_rc, struct xf_diag *diag) {
  enum xf_rc rc = xf_sql_rc(sqlite_rc);
  return xf_diag_set(diag, rc ? rc : XF_E_IO, "database \"%s\": %s", sql->path,
                     sql->db ? sqlite3_errmsg(sql->db) : sqlite3_errstr(sqlite_rc));
}

static enum xf_rc bind(struct xf_sql *sql, sqlite3_stmt *stmt, const struct xf_sql_arg *arg,
                       struct xf_diag *diag) {
  int rc = SQLITE_OK;
  for (int i = 1; arg->type && rc == SQLITE_OK; i++, arg++) {
    switch (arg->type) {
    case 'i': rc = sqlite3_bind_int64(stmt, i, arg->i); break;
    case 'f': rc = sqlite3_bind_double(stmt, i, arg->f); break;
    case 't': rc = sqlite3_bind_text(stmt, i, arg->p, -1, SQLITE_STATIC); break;
    case 'b':
      /* A NULL pointer would be SQL's NULL: an empty blob needs an address. */
      rc = sqlite3_bind_blob64(stmt, i, arg->len ? arg->p : "", arg->len, SQLITE_STATIC);
      break;
    default: rc = sqlite3_bind_null(stmt, i); break;
    }
  }
  return rc == SQLITE_OK ? XF_OK : xf_sql_fail(sql, rc, diag);
}

enum xf_rc xf_sql_query(struct xf_sql *sql, struct xf_sql_rows *rows, struct xf_diag *diag,
                        const char *text, const struct xf_sql_arg *arg) {
  *rows = (struct xf_sql_rows){0};
  for (size_t i = 0; i < sql->n_cache; i++)
    if (sql->cache[i].text == text) {
      /* A callback may ask the same again while the first walk stands: then a statement of its own. */
      if (sqlite3_stmt_busy(sql->cache[i].stmt)) rows->own = true;
      else rows->stmt = sql->cache[i].stmt;
      break;
    }
  if (!rows->stmt) {
    rows->own |= sql->n_cache == XF_SQL_CACHE;
    int rc = sqlite3_prepare_v3(sql->db, text, -1, rows->own ? 0 : SQLITE_PREPARE_PERSISTENT,
                                &rows->stmt, NULL);
    if (rc != SQLITE_OK) return xf_sql_fail(sql, rc, diag);
    if (!rows->own) {
      sql->cache[sql->n_cache].text = text;
      sql->cache[sql->n_cache++].stmt = rows->stmt;
    }
  }
  enum xf_rc rc = bind(sql, rows->stmt, arg, diag);
  if (rc) xf_sql_end(rows);
  return rc;
}

enum xf_rc xf_sql_next(struct xf_sql *sql, struct xf_sql_rows *rows, bool *more,
                       struct xf_diag *diag) {
  int rc = sqlite3_step(rows->stmt);
  *more = rc == SQLITE_ROW;
  return rc == SQLITE_ROW || rc == SQLITE_DONE ? XF_OK : xf_sql_fail(sql, rc, diag);
}

void xf_sql_end(struct xf_sql_rows *rows) {
  if (!rows->stmt) return;
  if (rows->own) {
    sqlite3_finalize(rows->stmt); /* its result repeats that of the last step */
  } else {
    sqlite3_reset(rows->stmt);
    sqlite3_clear_bindings(rows->stmt);
  }
  *rows = (struct xf_sql_rows){0};
}

enum xf_rc xf_sql_run(struct xf_sql *sql, struct xf_diag *diag, const char *text,
                      const struct xf_sql_arg *arg) {
  struct xf_sql_rows rows;
  enum xf_rc rc = xf_sql_query(sql, &rows, diag, text, arg);
  if (rc) return rc;
  bool more = true;
  while (!rc && more) rc = xf_sql_next(sql, &rows, &more, diag); /* pragmas give rows */
  xf_sql_end(&rows);
  return rc;
}

int64_t xf_sql_changes(const struct xf_sql *sql) { return sqlite3_changes64(sql->db); }

int64_t xf_sql_i64(const struct xf_sql_rows *rows, int col) {
  return sqlite3_column_int64(rows->stmt, col);
}

uint64_t xf_sql_u64(const struct xf_sql_rows *rows, int col) {
  return (uint64_t)sqlite3_column_int64(rows->stmt, col);
}

double xf_sql_f64(const struct xf_sql_rows *rows, int col) {
  return sqlite3_column_double(rows->stmt, col);
}

const char *xf_sql_str(const struct xf_sql_rows *rows, int col) {
  const char *s = (const char *)sqlite3_column_text(rows->stmt, col);
  return s ? s : "";
}

const void *xf_sql_blob(const struct xf_sql_rows *rows, int col, size_t *len) {
  const void *p = sqlite3_column_blob(rows->stmt, col);
  *len = (size_t)sqlite3_column_bytes(rows->stmt, col);
  return p ? p : "";
}

bool xf_sql_is_null(const struct xf_sql_rows *rows, int col) {
  return sqlite3_column_type(rows->stmt, col) == SQLITE_NULL;
}

void xf_sql_get_digest(const struct xf_sql_rows *rows, int col, struct xf_digest *out) {
  size_t len = 0;
  const void *p = xf_sql_blob(rows, col, &len);
  *out = (struct xf_digest){0};
  if (len == XF_DIGEST_LEN) memcpy(out->b, p, len);
}

void xf_sql_get_str(const struct xf_sql_rows *rows, int col, char *out, size_t cap) {
  const char *s = xf_sql_str(rows, col);
  size_t n = strlen(s);
  if (n >= cap) n = cap - 1;
  memcpy(out, s, n);
  out[n] = '\0';
}

enum xf_rc xf_sql_one_i64(struct xf_sql *sql, int64_t *out, bool *found, struct xf_diag *diag,
                          const char *text, const struct xf_sql_arg *arg) {
  struct xf_sql_rows rows;
  bool more = false;
  *out = 0;
  enum xf_rc rc = xf_sql_query(sql, &rows, diag, text, arg);
  if (!rc) rc = xf_sql_next(sql, &rows, &more, diag);
  if (!rc && more) *out = xf_sql_i64(&rows, 0);
  xf_sql_end(&rows);
  if (found) *found = more;
  return rc;
}
