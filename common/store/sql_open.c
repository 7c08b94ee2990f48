/* Opening, settings, migration and the integrity check. */
#include "base/str.h"
#include "store/sql.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BUSY_MS = 5000 };

/* The directory part of the path. */
static void parent_of(const char *path, char out[XF_PATH_MAX]) {
  const char *slash = strrchr(path, '/');
  size_t n = slash == path ? 1 : slash ? (size_t)(slash - path) : 1;
  memcpy(out, slash ? path : ".", n); /* the path fits XF_PATH_MAX */
  out[n] = '\0';
}

/* A new file gets its mode from us, whatever the umask; the WAL and its index inherit it from SQLite. */
static enum xf_rc create_file(struct xf_sql *sql, const struct xf_sql_kind *kind,
                              struct xf_diag *diag) {
  char text[128];
  const struct xf_fs *fs = xf_fs_posix();
  int fd = open(sql->path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, (mode_t)kind->mode);
  if (fd < 0 && errno == EEXIST) return XF_OK;
  bool ok = fd >= 0 && fchmod(fd, (mode_t)kind->mode) == 0;
  int err = errno;
  if (fd >= 0 && close(fd) != 0 && ok) {
    ok = false;
    err = errno;
  }
  if (!ok)
    return xf_diag_set(diag, xf_rc_from_errno(err), "cannot create %s \"%s\": %s", kind->what,
                       sql->path, strerror_r(err, text, sizeof text));
  char dir[XF_PATH_MAX];
  parent_of(sql->path, dir);
  enum xf_rc rc = fs->syncdir(fs, dir);
  return rc ? xf_diag_set(diag, rc, "cannot sync directory \"%s\"", dir) : XF_OK;
}

static enum xf_rc settings(struct xf_sql *sql, bool write, struct xf_diag *diag) {
  static const char *const always[] = {"PRAGMA foreign_keys=ON", "PRAGMA trusted_schema=OFF",
                                       "PRAGMA cell_size_check=ON", "PRAGMA temp_store=MEMORY"};
  static const char *const writer[] = {"PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL",
                                       "PRAGMA journal_size_limit=4194304"};
  enum xf_rc rc = XF_OK;
  sqlite3_busy_timeout(sql->db, BUSY_MS);
  sqlite3_db_config(sql->db, SQLITE_DBCONFIG_DEFENSIVE, 1, (int *)NULL);
  if (sql->exclusive) rc = xf_sql_run(sql, diag, "PRAGMA locking_mode=EXCLUSIVE", XF_SQL_ARGS());
  for (size_t i = 0; i < sizeof always / sizeof always[0] && !rc; i++)
    rc = xf_sql_run(sql, diag, always[i], XF_SQL_ARGS());
  if (!write || rc) return rc;
  for (size_t i = 0; i < sizeof writer / sizeof writer[0] && !rc; i++)
    rc = xf_sql_run(sql, diag, writer[i], XF_SQL_ARGS());
  /* The WAL and its index stay after an orderly end, so that those who may only read still can. */
  int on = 1;
  if (!rc) sqlite3_file_control(sql->db, "main", SQLITE_FCNTL_PERSIST_WAL, &on);
  return rc;
}

static enum xf_rc read_pragma(struct xf_sql *sql, int64_t *out, const char *text,
                              struct xf_diag *diag) {
  return xf_sql_one_i64(sql, out, NULL, diag, text, XF_SQL_ARGS());
}

static enum xf_rc exec(struct xf_sql *sql, const char *text, struct xf_diag *diag) {
  int rc = sqlite3_exec(sql->db, text, NULL, NULL, NULL);
  return rc == SQLITE_OK ? XF_OK : xf_sql_fail(sql, rc, diag);
}

static enum xf_rc sync_copy(const char *path, unsigned mode) {
  const struct xf_fs *fs = xf_fs_posix();
  struct xf_file file;
  char dir[XF_PATH_MAX];
  enum xf_rc rc = fs->open(fs, &file, path, XF_FS_RDWR);
  if (rc) return rc;
  rc = chmod(path, (mode_t)mode) == 0 ? fs->fsync(&file) : xf_rc_from_errno(errno);
  enum xf_rc closed = fs->close(&file);
  parent_of(path, dir);
  if (!rc) rc = closed;
  return rc ? rc : fs->syncdir(fs, dir);
}

/* A copy of an attempt that failed makes way: the database itself is still as that attempt found it. */
static enum xf_rc backup(struct xf_sql *sql, const struct xf_sql_kind *kind, int64_t version,
                         struct xf_diag *diag) {
  char to[XF_PATH_MAX];
  sqlite3_vfs *vfs = NULL;
  int n = snprintf(to, sizeof to, "%s.v%lld.bak", sql->path, (long long)version);
  if (n < 0 || n >= XF_PATH_MAX)
    return xf_diag_set(diag, XF_E_LIMIT, "path too long: \"%s\"", sql->path);
  sqlite3_file_control(sql->db, "main", SQLITE_FCNTL_VFS_POINTER, &vfs);
  if (vfs) (void)vfs->xDelete(vfs, to, 0); /* what stays in the way is reported by VACUUM */
  enum xf_rc rc = xf_sql_run(sql, diag, "VACUUM INTO ?1", XF_SQL_ARGS(A_T(to)));
  if (!rc && !sql->exclusive && (rc = sync_copy(to, kind->mode)) != XF_OK)
    xf_diag_set(diag, rc, "cannot sync: %s", xf_rc_text(rc));
  if (!rc) return XF_OK;
  return xf_diag_prefix(diag, rc, "cannot back up the %s to \"%s\" before its migration",
                        kind->what, to);
}

static enum xf_rc step(struct xf_sql *sql, const struct xf_sql_kind *kind, int64_t version,
                       struct xf_diag *diag) {
  char mark[128];
  (void)snprintf(mark, sizeof mark, "PRAGMA user_version=%lld; PRAGMA application_id=%u;",
                 (long long)version + 1, kind->app_id);
  enum xf_rc rc = exec(sql, "BEGIN IMMEDIATE", diag);
  if (rc) return rc;
  rc = exec(sql, kind->sql[version], diag);
  if (!rc) rc = exec(sql, mark, diag);
  if (!rc) rc = exec(sql, "COMMIT", diag);
  if (rc && !sqlite3_get_autocommit(sql->db)) (void)exec(sql, "ROLLBACK", NULL);
  return rc;
}

static enum xf_rc migrate(struct xf_sql *sql, bool write, const struct xf_sql_kind *kind,
                          struct xf_diag *diag) {
  int64_t version = 0, app = 0, tables = 0;
  enum xf_rc rc = read_pragma(sql, &version, "PRAGMA user_version", diag);
  if (!rc) rc = read_pragma(sql, &app, "PRAGMA application_id", diag);
  if (!rc) rc = read_pragma(sql, &tables, "SELECT count(*) FROM sqlite_schema", diag);
  if (rc) return rc;
  if ((tables || version) && (uint32_t)app != kind->app_id)
    return xf_diag_set(diag, XF_E_CORRUPT,
                       "\"%s\" is a database but not a crossfed %s (application id 0x%08x, not "
                       "0x%08x): check the path",
                       sql->path, kind->what, (unsigned)app, (unsigned)kind->app_id);
  if (version < 0 || (version == 0 && tables))
    return xf_diag_set(diag, XF_E_CORRUPT, "%s \"%s\" is damaged: schema version %lld", kind->what,
                       sql->path, (long long)version);
  if (version > kind->version)
    return xf_diag_set(diag, XF_E_VERSION,
                       "%s \"%s\" has schema %lld, this program knows schemas up to %d: install "
                       "the crossfed version that wrote it, or a later one",
                       kind->what, sql->path, (long long)version, kind->version);
  if (!write && version < kind->version)
    return xf_diag_set(diag, version ? XF_E_VERSION : XF_E_NOTFOUND,
                       version
                           ? "%s \"%s\" has an older schema: start its daemon once to migrate it"
                           : "%s \"%s\" is empty",
                       kind->what, sql->path);
  if (version > 0 && version < kind->version) rc = backup(sql, kind, version, diag);
  while (!rc && version < kind->version) rc = step(sql, kind, version++, diag);
  return rc;
}

enum xf_rc xf_sql_check(struct xf_sql *sql, struct xf_diag *diag) {
  struct xf_sql_rows rows;
  bool more = false;
  enum xf_rc rc = xf_sql_query(sql, &rows, diag, "PRAGMA integrity_check(1)", XF_SQL_ARGS());
  if (!rc) rc = xf_sql_next(sql, &rows, &more, diag);
  if (!rc && (!more || strcmp(xf_sql_str(&rows, 0), "ok") != 0))
    rc = xf_diag_set(diag, XF_E_CORRUPT,
                     "database \"%s\" is damaged: %s; restore a backup, or keep the file and use "
                     "sqlite3's .recover",
                     sql->path, more ? xf_sql_str(&rows, 0) : "no answer");
  xf_sql_end(&rows);
  if (rc) return rc;
  rc = xf_sql_query(sql, &rows, diag, "PRAGMA foreign_key_check", XF_SQL_ARGS());
  if (!rc) rc = xf_sql_next(sql, &rows, &more, diag);
  if (!rc && more)
    rc = xf_diag_set(diag, XF_E_CORRUPT,
                     "database \"%s\" is damaged: row %lld of table %s refers to a missing row of "
                     "table %s",
                     sql->path, (long long)xf_sql_i64(&rows, 1), xf_sql_str(&rows, 0),
                     xf_sql_str(&rows, 2));
  xf_sql_end(&rows);
  return rc;
}

static enum xf_rc open_all(struct xf_sql *sql, bool write, const char *vfs,
                           const struct xf_sql_kind *kind, struct xf_diag *diag) {
  int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE |
              (write ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE : SQLITE_OPEN_READONLY);
  enum xf_rc rc = write && !vfs ? create_file(sql, kind, diag) : XF_OK;
  if (rc) return rc;
  int r = sqlite3_open_v2(sql->path, &sql->db, flags, vfs);
  if (r != SQLITE_OK) {
    rc = xf_sql_fail(sql, r, diag);
    return r == SQLITE_CANTOPEN && !write
               ? xf_diag_set(diag, XF_E_NOTFOUND, "there is no readable %s at \"%s\"", kind->what,
                             sql->path)
               : rc;
  }
  rc = settings(sql, write, diag);
  if (!rc) rc = migrate(sql, write, kind, diag);
  if (!rc && write) rc = xf_sql_check(sql, diag);
  if (rc == XF_E_CORRUPT || rc == XF_E_VERSION) return rc;
  return rc ? xf_diag_prefix(diag, rc, "%s", kind->what) : XF_OK;
}

enum xf_rc xf_sql_open(struct xf_sql *sql, const char *path, bool write, const char *vfs,
                       const struct xf_sql_kind *kind, struct xf_diag *diag) {
  *sql = (struct xf_sql){.exclusive = vfs != NULL};
  enum xf_rc rc = xf_str_copy(sql->path, sizeof sql->path, path);
  if (rc)
    return xf_diag_set(diag, rc, "path longer than %d bytes: \"%.64s...\"", XF_PATH_MAX, path);
  rc = open_all(sql, write, vfs, kind, diag);
  if (rc) xf_sql_close(sql);
  return rc;
}

void xf_sql_close(struct xf_sql *sql) {
  for (size_t i = 0; i < sql->n_cache; i++) sqlite3_finalize(sql->cache[i].stmt);
  sql->n_cache = 0;
  if (sql->db) sqlite3_close_v2(sql->db); /* also when open failed */
  sql->db = NULL;
}
