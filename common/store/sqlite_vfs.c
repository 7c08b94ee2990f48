#include "store/sqlite_vfs.h"

#include "base/alloc.h"
#include "base/str.h"

#include <sqlite3.h>
#include <string.h>

/* What SQLite may do with our files: whole sectors can be torn, neighbours are not touched. */
enum { SECTOR = 512 };

struct xf_sqlite_vfs {
  sqlite3_vfs base;
  const struct xf_fs *fs;
  char name[32];
};

struct vfile {
  sqlite3_file base;
  struct xf_file file;
  bool sync_dir; /* created, and its directory not synced since */
  bool remove;   /* on close */
  char path[XF_PATH_MAX];
};

static int sqlite_code(enum xf_rc rc, int io) {
  switch (rc) {
  case XF_OK: return SQLITE_OK;
  case XF_E_NOSPACE: return SQLITE_FULL;
  case XF_E_NOMEM: return SQLITE_NOMEM;
  default: return io;
  }
}

static enum xf_rc sync_parent(const struct xf_fs *fs, const char *path) {
  char dir[XF_PATH_MAX];
  const char *slash = strrchr(path, '/');
  size_t n = slash == path ? 1 : slash ? (size_t)(slash - path) : 1;
  memcpy(dir, slash ? path : ".", n);
  dir[n] = '\0';
  return fs->syncdir(fs, dir);
}

static int v_close(sqlite3_file *f) {
  struct vfile *v = (struct vfile *)f;
  enum xf_rc rc = v->file.fs->close(&v->file);
  if (v->remove)
    (void)v->file.fs->unlink(v->file.fs, v->path); /* temporary: nobody reads it again */
  return sqlite_code(rc, SQLITE_IOERR_CLOSE);
}

static int v_read(sqlite3_file *f, void *out, int len, sqlite3_int64 at) {
  struct vfile *v = (struct vfile *)f;
  size_t got = 0, want = (size_t)len;
  enum xf_rc rc = v->file.fs->pread(&v->file, out, want, (uint64_t)at, &got);
  if (rc) return SQLITE_IOERR_READ;
  if (got == want) return SQLITE_OK;
  memset((char *)out + got, 0, want - got); /* SQLite asks for zeros */
  return SQLITE_IOERR_SHORT_READ;
}

static int v_write(sqlite3_file *f, const void *p, int len, sqlite3_int64 at) {
  struct vfile *v = (struct vfile *)f;
  return sqlite_code(v->file.fs->pwrite(&v->file, p, (size_t)len, (uint64_t)at),
                     SQLITE_IOERR_WRITE);
}

static int v_truncate(sqlite3_file *f, sqlite3_int64 len) {
  struct vfile *v = (struct vfile *)f;
  return sqlite_code(v->file.fs->truncate(&v->file, (uint64_t)len), SQLITE_IOERR_TRUNCATE);
}

static int v_sync(sqlite3_file *f, int flags) {
  struct vfile *v = (struct vfile *)f;
  (void)flags;
  enum xf_rc rc = v->file.fs->fsync(&v->file);
  if (rc) return sqlite_code(rc, SQLITE_IOERR_FSYNC);
  if (v->sync_dir && (rc = sync_parent(v->file.fs, v->path)) != XF_OK)
    return sqlite_code(rc, SQLITE_IOERR_DIR_FSYNC);
  v->sync_dir = false;
  return SQLITE_OK;
}

static int v_size(sqlite3_file *f, sqlite3_int64 *out) {
  struct vfile *v = (struct vfile *)f;
  uint64_t n = 0;
  enum xf_rc rc = v->file.fs->size(&v->file, &n);
  *out = (sqlite3_int64)n;
  return sqlite_code(rc, SQLITE_IOERR_FSTAT);
}

/* One connection at a time (see the header): nothing to lock against. */
static int v_lock(sqlite3_file *f, int level) {
  (void)f;
  (void)level;
  return SQLITE_OK;
}

static int v_reserved(sqlite3_file *f, int *out) {
  (void)f;
  *out = 0;
  return SQLITE_OK;
}

static int v_control(sqlite3_file *f, int op, void *arg) {
  (void)f;
  (void)op;
  (void)arg;
  return SQLITE_NOTFOUND;
}

static int v_sector(sqlite3_file *f) {
  (void)f;
  return SECTOR;
}

static int v_traits(sqlite3_file *f) {
  (void)f;
  return 0;
}

static const struct sqlite3_io_methods methods = {
    .iVersion = 1,
    .xClose = v_close,
    .xRead = v_read,
    .xWrite = v_write,
    .xTruncate = v_truncate,
    .xSync = v_sync,
    .xFileSize = v_size,
    .xLock = v_lock,
    .xUnlock = v_lock,
    .xCheckReservedLock = v_reserved,
    .xFileControl = v_control,
    .xSectorSize = v_sector,
    .xDeviceCharacteristics = v_traits,
};

static const struct xf_fs *fs_of(sqlite3_vfs *vfs) { return ((struct xf_sqlite_vfs *)vfs)->fs; }

static int v_open(sqlite3_vfs *vfs, const char *path, sqlite3_file *f, int flags, int *out_flags) {
  struct vfile *v = (struct vfile *)f;
  const struct xf_fs *fs = fs_of(vfs);
  memset(v, 0, sizeof *v);
  if (!path || xf_str_copy(v->path, sizeof v->path, path))
    return SQLITE_CANTOPEN; /* temporary files stay in memory: PRAGMA temp_store */
  bool exists = xf_fs_exists(fs, path), write = flags & SQLITE_OPEN_READWRITE;
  if (!exists && !(write && (flags & SQLITE_OPEN_CREATE))) return SQLITE_CANTOPEN;
  enum xf_rc rc = fs->open(fs, &v->file, path, write ? XF_FS_RDWR : XF_FS_READ);
  if (rc) return sqlite_code(rc, SQLITE_CANTOPEN);
  v->base.pMethods = &methods;
  v->sync_dir = !exists;
  v->remove = flags & SQLITE_OPEN_DELETEONCLOSE;
  if (out_flags) *out_flags = flags;
  return SQLITE_OK;
}

static int v_delete(sqlite3_vfs *vfs, const char *path, int sync) {
  const struct xf_fs *fs = fs_of(vfs);
  enum xf_rc rc = fs->unlink(fs, path);
  if (rc == XF_E_NOTFOUND) return SQLITE_IOERR_DELETE_NOENT;
  if (!rc && sync) rc = sync_parent(fs, path);
  return sqlite_code(rc, SQLITE_IOERR_DELETE);
}

static int v_access(sqlite3_vfs *vfs, const char *path, int flags, int *out) {
  const struct xf_fs *fs = fs_of(vfs);
  (void)flags;
  *out = xf_fs_exists(fs, path);
  return SQLITE_OK;
}

static int v_full_path(sqlite3_vfs *vfs, const char *path, int n_out, char *out) {
  (void)vfs;
  return xf_str_copy(out, (size_t)n_out, path) ? SQLITE_CANTOPEN : SQLITE_OK;
}

/* The salts of a WAL come from here. Fixed, so that a schedule of the simulation repeats byte for byte. */
static int v_random(sqlite3_vfs *vfs, int n, char *out) {
  (void)vfs;
  for (int i = 0; i < n; i++) out[i] = (char)(i * 37 + 11);
  return n;
}

static int v_sleep(sqlite3_vfs *vfs, int us) {
  (void)vfs;
  return us; /* virtual time: nobody holds a lock that waiting would free */
}

static int v_time(sqlite3_vfs *vfs, sqlite3_int64 *out) {
  (void)vfs;
  *out =
      (sqlite3_int64)210866760000000; /* 1970 in Julian milliseconds: no clock in the simulation */
  return SQLITE_OK;
}

enum xf_rc xf_sqlite_vfs_start(struct xf_sqlite_vfs **out, const struct xf_fs *fs,
                               const char *name) {
  *out = NULL;
  if (sqlite3_vfs_find(name)) return XF_E_EXISTS;
  struct xf_sqlite_vfs *v = xf_calloc(1, sizeof *v);
  enum xf_rc rc = xf_str_copy(v->name, sizeof v->name, name);
  if (rc) {
    xf_free(v);
    return rc;
  }
  v->fs = fs;
  v->base = (sqlite3_vfs){.iVersion = 2,
                          .szOsFile = sizeof(struct vfile),
                          .mxPathname = XF_PATH_MAX - 1,
                          .zName = v->name,
                          .xOpen = v_open,
                          .xDelete = v_delete,
                          .xAccess = v_access,
                          .xFullPathname = v_full_path,
                          .xRandomness = v_random,
                          .xSleep = v_sleep,
                          .xCurrentTimeInt64 = v_time};
  if (sqlite3_vfs_register(&v->base, 0) != SQLITE_OK) {
    xf_free(v);
    return XF_E_NOMEM;
  }
  *out = v;
  return XF_OK;
}

void xf_sqlite_vfs_stop(struct xf_sqlite_vfs *vfs) {
  if (!vfs) return;
  (void)sqlite3_vfs_unregister(&vfs->base); /* it is registered: nothing else can fail */
  xf_free(vfs);
}
