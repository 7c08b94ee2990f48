/*
 * fs.h - the file system as a table of functions, so that the same storage code runs on POSIX and on a
 * simulated disk that can crash, tear, drop or fail (fs_crash.h).
 *
 * Paths are NUL-terminated. Offsets and lengths in bytes. pread gives fewer bytes only at the end of the
 * file; pwrite writes all or fails; a failed fsync is final for the bytes written before it. Every failure leaves errno's meaning in the
 * returned code and a sentence in diag where one is taken.
 * Owner: the implementation outlives all files opened through it. Thread: POSIX any; crash disk one.
 */
#ifndef XF_BASE_FS_H
#define XF_BASE_FS_H

#include "base/buf.h"
#include "base/diag.h"
#include "base/rc.h"

#include <stddef.h>
#include <stdint.h>

struct xf_fs;

/* Open modes: read existing; create or truncate for writing; create new (E_EXISTS); read+write,
   created when absent. New files get mode 0600: what others may read is said by their directory. */
enum xf_fs_mode { XF_FS_READ, XF_FS_CREATE, XF_FS_EXCL, XF_FS_RDWR };

struct xf_file {
  const struct xf_fs *fs;
  int fd;      /* handle of the implementation; -1 when closed */
  void *state; /* implementation's */
};

/* Called per directory entry (not . or ..), in bytewise name order. Non-zero stops the walk. */
typedef enum xf_rc (*xf_fs_visit)(void *arg, const char *name);

struct xf_fs {
  enum xf_rc (*open)(const struct xf_fs *fs, struct xf_file *file, const char *path,
                     enum xf_fs_mode mode);
  enum xf_rc (*close)(struct xf_file *file);
  enum xf_rc (*pread)(struct xf_file *file, void *out, size_t len, uint64_t at, size_t *n_read);
  enum xf_rc (*pwrite)(struct xf_file *file, const void *p, size_t len, uint64_t at);
  enum xf_rc (*truncate)(struct xf_file *file, uint64_t len);
  enum xf_rc (*fsync)(struct xf_file *file);
  enum xf_rc (*size)(struct xf_file *file, uint64_t *len);
  enum xf_rc (*reserve)(struct xf_file *file,
                        uint64_t len); /* size >= len, space taken; E_NOSPACE */
  enum xf_rc (*rename)(const struct xf_fs *fs, const char *from, const char *to);
  enum xf_rc (*unlink)(const struct xf_fs *fs, const char *path);
  enum xf_rc (*syncdir)(const struct xf_fs *fs, const char *dir);
  enum xf_rc (*mkdir)(const struct xf_fs *fs, const char *dir, unsigned mode); /* existing is OK */
  enum xf_rc (*list)(const struct xf_fs *fs, const char *dir, xf_fs_visit visit, void *arg);
  enum xf_rc (*free_bytes)(const struct xf_fs *fs, const char *path, uint64_t *n);
  void *state;
};

/* The operating system's. @own static @thread any */
const struct xf_fs *xf_fs_posix(void);

/* Convenience over any implementation. Paths are joined with "/": "<dir>/<name>"; the result must fit
   XF_PATH_MAX. @err E_LIMIT */
enum { XF_PATH_MAX = 1024 };
XF_WARN_UNUSED enum xf_rc xf_fs_join(char out[XF_PATH_MAX], const char *dir, const char *name);
/* Whether a path exists (can be opened for reading). @thread as fs */
bool xf_fs_exists(const struct xf_fs *fs, const char *path);
/* Reads a whole file into buf (bounded by buf->max). @err E_NOTFOUND E_LIMIT E_IO */
XF_WARN_UNUSED enum xf_rc xf_fs_read_file(const struct xf_fs *fs, const char *path,
                                          struct xf_buf *buf, struct xf_diag *diag);
/* Durable atomic replace: write "<path>.tmp", fsync, rename, fsync the directory. After OK the new
   bytes survive a crash; after an error the file holds the old bytes, or (only when syncing the
   directory failed) the old or the new ones, whole. @err E_IO E_NOSPACE E_LIMIT
   @source PostgreSQL's durable_rename sequence */
XF_WARN_UNUSED enum xf_rc xf_fs_replace(const struct xf_fs *fs, const char *path, const void *p,
                                        size_t len, struct xf_diag *diag);
/* rename + fsync of the directory that holds `to`. @err E_IO */
XF_WARN_UNUSED enum xf_rc xf_fs_rename_durable(const struct xf_fs *fs, const char *from,
                                               const char *to, struct xf_diag *diag);

#endif
