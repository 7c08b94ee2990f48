#include "base/fs.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Records what failed on which path. errno tells more than our code does ("Permission denied"), but only
   the operating system's implementation sets it; callers clear it before the operation. */
static enum xf_rc fs_fail(struct xf_diag *diag, enum xf_rc rc, const char *what, const char *path) {
  char text[128];
  const char *why = errno ? strerror_r(errno, text, sizeof text) : xf_rc_text(rc);
  return xf_diag_set(diag, rc, "cannot %s \"%s\": %s", what, path, why);
}

enum xf_rc xf_fs_join(char out[XF_PATH_MAX], const char *dir, const char *name) {
  int n = snprintf(out, XF_PATH_MAX, "%s/%s", dir, name);
  if (n >= 0 && n < XF_PATH_MAX) return XF_OK;
  out[0] = '\0';
  return XF_E_LIMIT;
}

bool xf_fs_exists(const struct xf_fs *fs, const char *path) {
  struct xf_file file;
  if (fs->open(fs, &file, path, XF_FS_READ)) return false;
  (void)file.fs->close(
      &file); /* nothing was written: a failing close says nothing about existence */
  return true;
}

/* Reads to the end rather than to a size asked for beforehand, which a growing or /proc file belies. */
static enum xf_rc fs_read_all(struct xf_file *file, struct xf_buf *buf) {
  enum { CHUNK = 64 * 1024 };
  uint64_t at = 0;
  for (;;) {
    size_t room = buf->max - buf->len, want = room < CHUNK ? room : CHUNK, got = 0;
    uint8_t past = 0;
    uint8_t *to = want ? xf_buf_reserve(buf, want) : &past;
    if (!to) return XF_E_NOMEM;
    enum xf_rc rc = file->fs->pread(file, to, want ? want : 1, at, &got);
    if (rc || got == 0) return rc;
    if (!want) return XF_E_LIMIT;
    buf->len += got;
    at += got;
  }
}

enum xf_rc xf_fs_read_file(const struct xf_fs *fs, const char *path, struct xf_buf *buf,
                           struct xf_diag *diag) {
  struct xf_file file;
  size_t before = buf->len;
  errno = 0;
  enum xf_rc rc = fs->open(fs, &file, path, XF_FS_READ);
  if (rc) return fs_fail(diag, rc, "open", path);
  rc = fs_read_all(&file, buf);
  if (rc == XF_E_LIMIT)
    xf_diag_set(diag, rc, "\"%s\" is larger than the %zu bytes allowed here", path,
                buf->max - before);
  else if (rc) fs_fail(diag, rc, "read", path);
  (void)file.fs->close(&file); /* read only: the bytes are already here */
  if (rc) buf->len = before;
  return rc;
}

/* The directory part of a path: "a/b" -> "a", "/b" -> "/", "b" -> ".". */
static enum xf_rc fs_parent(char out[XF_PATH_MAX], const char *path) {
  const char *slash = strrchr(path, '/');
  size_t n = slash == path ? 1 : slash ? (size_t)(slash - path) : 0;
  if (n >= XF_PATH_MAX) return XF_E_LIMIT;
  memcpy(out, slash ? path : ".", slash ? n : 1);
  out[slash ? n : 1] = '\0';
  return XF_OK;
}

static enum xf_rc fs_write_synced(const struct xf_fs *fs, const char *path, const void *p,
                                  size_t len, struct xf_diag *diag) {
  struct xf_file file;
  errno = 0;
  enum xf_rc rc = fs->open(fs, &file, path, XF_FS_CREATE);
  if (rc) return fs_fail(diag, rc, "create", path);
  rc = len ? fs->pwrite(&file, p, len, 0) : XF_OK;
  if (rc) fs_fail(diag, rc, "write", path);
  if (!rc && (rc = fs->fsync(&file)) != XF_OK) fs_fail(diag, rc, "sync", path);
  enum xf_rc closed = fs->close(&file);
  if (!rc && closed) rc = fs_fail(diag, closed, "close", path);
  return rc;
}

enum xf_rc xf_fs_replace(const struct xf_fs *fs, const char *path, const void *p, size_t len,
                         struct xf_diag *diag) {
  char tmp[XF_PATH_MAX];
  int n = snprintf(tmp, sizeof tmp, "%s.tmp", path);
  if (n < 0 || n >= XF_PATH_MAX)
    return xf_diag_set(diag, XF_E_LIMIT, "path longer than %d bytes: \"%.64s...\"", XF_PATH_MAX,
                       path);
  enum xf_rc rc = fs_write_synced(fs, tmp, p, len, diag);
  if (!rc) return xf_fs_rename_durable(fs, tmp, path, diag);
  (void)fs->unlink(fs, tmp); /* best effort: the next replace truncates a left-over */
  return rc;
}

enum xf_rc xf_fs_rename_durable(const struct xf_fs *fs, const char *from, const char *to,
                                struct xf_diag *diag) {
  char dir[XF_PATH_MAX];
  enum xf_rc rc = fs_parent(dir, to);
  if (rc) return xf_diag_set(diag, rc, "path longer than %d bytes: \"%.64s...\"", XF_PATH_MAX, to);
  errno = 0;
  if ((rc = fs->rename(fs, from, to)) != XF_OK) return fs_fail(diag, rc, "rename to", to);
  if ((rc = fs->syncdir(fs, dir)) != XF_OK) return fs_fail(diag, rc, "sync directory", dir);
  return XF_OK;
}
