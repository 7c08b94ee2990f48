/* The operating system's files. Writes never follow a symbolic link in the last component, so nobody who
   may write to the directory can redirect them. */
#include "base/alloc.h"
#include "base/fs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

static enum xf_rc last_error(void) { return xf_rc_from_errno(errno); }

static enum xf_rc posix_open(const struct xf_fs *fs, struct xf_file *file, const char *path,
                             enum xf_fs_mode mode) {
  static const int flags[] = {
      [XF_FS_READ] = O_RDONLY,
      [XF_FS_CREATE] = O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW,
      [XF_FS_EXCL] = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW,
      [XF_FS_RDWR] = O_RDWR | O_CREAT | O_NOFOLLOW,
  };
  *file = (struct xf_file){.fs = fs, .fd = -1};
  do file->fd = open(path, flags[mode] | O_CLOEXEC, 0600);
  while (file->fd < 0 && errno == EINTR);
  return file->fd < 0 ? last_error() : XF_OK;
}

static enum xf_rc posix_close(struct xf_file *file) {
  int fd = file->fd;
  file->fd = -1;
  if (fd < 0) return XF_OK;
  /* Linux releases the descriptor even when close is interrupted: closing again could hit another's. */
  return close(fd) == 0 || errno == EINTR ? XF_OK : last_error();
}

static enum xf_rc posix_pread(struct xf_file *file, void *out, size_t len, uint64_t at,
                              size_t *n_read) {
  uint8_t *p = out;
  size_t done = 0;
  if (at > INT64_MAX - len) return XF_E_RANGE;
  while (done < len) {
    ssize_t n = pread(file->fd, p + done, len - done, (off_t)(at + done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return last_error();
    if (n == 0) break;
    done += (size_t)n;
  }
  *n_read = done;
  return XF_OK;
}

static enum xf_rc posix_pwrite(struct xf_file *file, const void *p, size_t len, uint64_t at) {
  const uint8_t *b = p;
  size_t done = 0;
  if (at > INT64_MAX - len) return XF_E_RANGE;
  while (done < len) {
    ssize_t n = pwrite(file->fd, b + done, len - done, (off_t)(at + done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return last_error();
    if (n == 0) return XF_E_IO;
    done += (size_t)n;
  }
  return XF_OK;
}

static enum xf_rc posix_truncate(struct xf_file *file, uint64_t len) {
  int r = 0;
  if (len > INT64_MAX) return XF_E_RANGE;
  do r = ftruncate(file->fd, (off_t)len);
  while (r != 0 && errno == EINTR);
  return r == 0 ? XF_OK : last_error();
}

/* Never retried after a failure: the kernel may have dropped the dirty pages and report success next time. */
static enum xf_rc posix_fsync(struct xf_file *file) {
  return fsync(file->fd) == 0 ? XF_OK : last_error();
}

static enum xf_rc posix_size(struct xf_file *file, uint64_t *len) {
  struct stat st;
  if (fstat(file->fd, &st) != 0) return last_error();
  *len = (uint64_t)st.st_size;
  return XF_OK;
}

static enum xf_rc posix_reserve(struct xf_file *file, uint64_t len) {
  int err = 0;
  if (len > INT64_MAX) return XF_E_RANGE;
  if (len == 0) return XF_OK;
  do err = posix_fallocate(file->fd, 0, (off_t)len);
  while (err == EINTR);
  errno = err;
  return err == 0 ? XF_OK : err == EFBIG ? XF_E_NOSPACE : xf_rc_from_errno(err);
}

static enum xf_rc posix_rename(const struct xf_fs *fs, const char *from, const char *to) {
  (void)fs;
  return rename(from, to) == 0 ? XF_OK : last_error();
}

static enum xf_rc posix_unlink(const struct xf_fs *fs, const char *path) {
  (void)fs;
  return unlink(path) == 0 ? XF_OK : last_error();
}

static enum xf_rc posix_syncdir(const struct xf_fs *fs, const char *dir) {
  (void)fs;
  int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return last_error();
  enum xf_rc rc = fsync(fd) == 0 ? XF_OK : last_error();
  int err = errno;
  (void)close(fd); /* nothing was written through it */
  errno = err;
  return rc;
}

static enum xf_rc posix_mkdir(const struct xf_fs *fs, const char *dir, unsigned mode) {
  (void)fs;
  struct stat st;
  if (mkdir(dir, (mode_t)mode) == 0) return XF_OK;
  if (errno != EEXIST) return last_error();
  if (stat(dir, &st) == 0 && S_ISDIR(st.st_mode)) return XF_OK;
  errno = EEXIST;
  return XF_E_EXISTS;
}

struct name_list {
  char **name;
  size_t n, cap;
};

static enum xf_rc names_read(struct name_list *l, DIR *d) {
  for (;;) {
    errno = 0;
    const struct dirent *e = readdir(d);
    if (!e) return errno ? last_error() : XF_OK;
    if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) continue;
    if (l->n == l->cap) {
      size_t cap = l->cap ? l->cap * 2 : 32;
      char **p = xf_try_realloc_array(l->name, cap, sizeof *p);
      if (!p) return XF_E_NOMEM;
      l->name = p;
      l->cap = cap;
    }
    l->name[l->n++] = xf_strdup(e->d_name);
  }
}

static int name_compare(const void *a, const void *b) {
  return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Reads all names before the first visit, so that the visitor may create and remove files. */
static enum xf_rc posix_list(const struct xf_fs *fs, const char *dir, xf_fs_visit visit,
                             void *arg) {
  (void)fs;
  struct name_list l = {0};
  DIR *d = opendir(dir);
  if (!d) return last_error();
  enum xf_rc rc = names_read(&l, d);
  (void)closedir(d);
  if (!rc && l.n) qsort(l.name, l.n, sizeof *l.name, name_compare);
  for (size_t i = 0; i < l.n && !rc; i++) rc = visit(arg, l.name[i]);
  for (size_t i = 0; i < l.n; i++) xf_free(l.name[i]);
  xf_free(l.name);
  return rc;
}

static enum xf_rc posix_free_bytes(const struct xf_fs *fs, const char *path, uint64_t *n) {
  (void)fs;
  struct statvfs st;
  if (statvfs(path, &st) != 0) return last_error();
  *n = (uint64_t)st.f_bavail * st.f_frsize;
  return XF_OK;
}

const struct xf_fs *xf_fs_posix(void) {
  static const struct xf_fs fs = {
      .open = posix_open,
      .close = posix_close,
      .pread = posix_pread,
      .pwrite = posix_pwrite,
      .truncate = posix_truncate,
      .fsync = posix_fsync,
      .size = posix_size,
      .reserve = posix_reserve,
      .rename = posix_rename,
      .unlink = posix_unlink,
      .syncdir = posix_syncdir,
      .mkdir = posix_mkdir,
      .list = posix_list,
      .free_bytes = posix_free_bytes,
  };
  return &fs;
}
