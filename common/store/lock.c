#include "store/lock.h"

#include "base/fs.h"
#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/vfs.h>
#include <unistd.h>

/* File systems whose locks, shared memory or fsync reach another machine. Numbers: linux/magic.h and
   statfs(2); not all of them are in one header. */
static const struct {
  unsigned long magic;
  const char *name;
} network[] = {
    {0x6969, "NFS"},        {0x517b, "SMB"},          {0xff534d42, "CIFS"},  {0xfe534d42, "SMB2"},
    {0x5346414f, "AFS"},    {0x6b414653, "kAFS"},     {0x00c36400, "Ceph"},  {0x01021997, "9P"},
    {0x564c, "NCP"},        {0x73757245, "Coda"},     {0x7461636f, "OCFS2"}, {0x01161970, "GFS2"},
    {0x0bd00bd0, "Lustre"}, {0x47504653, "GPFS"},     {0xa501fcf5, "VxFS"},  {0x19830326, "BeeGFS"},
    {0xaad7aaea, "PanFS"},  {0x20030528, "OrangeFS"},
};

enum xf_rc xf_lock_check_fs(const char *dir, struct xf_diag *diag) {
  struct statfs st;
  char text[128];
  int r = 0;
  do r = statfs(dir, &st);
  while (r != 0 && errno == EINTR);
  if (r != 0) {
    int err = errno;
    return xf_diag_set(diag, xf_rc_from_errno(err), "cannot look at the file system of \"%s\": %s",
                       dir, strerror_r(err, text, sizeof text));
  }
  for (size_t i = 0; i < sizeof network / sizeof network[0]; i++)
    if (((unsigned long)st.f_type & 0xffffffffUL) == network[i].magic)
      return xf_diag_set(diag, XF_E_UNSUPPORTED,
                         "\"%s\" is on a network file system (%s), where locks and fsync cannot be "
                         "trusted: put the state directory on a local disk",
                         dir, network[i].name);
  return XF_OK;
}

static enum xf_rc lock_path(char out[XF_PATH_MAX], const char *dir, struct xf_diag *diag) {
  enum xf_rc rc = xf_fs_join(out, dir, "lock");
  return rc ? xf_diag_set(diag, rc, "path longer than %d bytes: \"%.64s...\"", XF_PATH_MAX, dir)
            : XF_OK;
}

static long read_pid(int fd) {
  char text[32];
  uint64_t pid = 0;
  ssize_t n = pread(fd, text, sizeof text, 0);
  if (n <= 0) return 0;
  size_t len = strnlen(text, (size_t)n);
  if (len && text[len - 1] == '\n') len--;
  return xf_str_u64(&pid, text, len) == XF_OK && pid <= INT32_MAX ? (long)pid : 0;
}

static enum xf_rc write_pid(int fd) {
  char text[32];
  int n = snprintf(text, sizeof text, "%ld\n", (long)getpid());
  if (ftruncate(fd, 0) != 0 || pwrite(fd, text, (size_t)n, 0) != n) return xf_rc_from_errno(errno);
  return XF_OK;
}

enum xf_rc xf_lock_take(struct xf_lock *lock, const char *dir, struct xf_diag *diag) {
  char path[XF_PATH_MAX], text[128];
  const struct xf_fs *fs = xf_fs_posix();
  lock->fd = -1;
  enum xf_rc rc = fs->mkdir(fs, dir, 0750);
  if (rc)
    return xf_diag_set(diag, rc, "cannot make the state directory \"%s\": %s", dir,
                       rc == XF_E_NOTFOUND ? "its parent does not exist" : xf_rc_text(rc));
  rc = xf_lock_check_fs(dir, diag);
  if (!rc) rc = lock_path(path, dir, diag);
  if (rc) return rc;
  int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0640);
  if (fd < 0) {
    int err = errno;
    return xf_diag_set(diag, xf_rc_from_errno(err), "cannot open \"%s\": %s", path,
                       strerror_r(err, text, sizeof text));
  }
  if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
    int err = errno;
    long pid = read_pid(fd);
    (void)close(fd);
    if (err != EWOULDBLOCK)
      return xf_diag_set(diag, xf_rc_from_errno(err), "cannot lock \"%s\": %s", path,
                         strerror_r(err, text, sizeof text));
    return xf_diag_set(diag, XF_E_LOCKED,
                       "state directory \"%s\" is in use by process %ld: stop it, or use another "
                       "state.dir",
                       dir, pid);
  }
  rc = write_pid(fd);
  if (rc) {
    (void)close(fd);
    return xf_diag_set(diag, rc, "cannot write to \"%s\": %s", path, xf_rc_text(rc));
  }
  lock->fd = fd;
  return XF_OK;
}

void xf_lock_give(struct xf_lock *lock) {
  if (lock->fd < 0) return;
  (void)!ftruncate(lock->fd, 0); /* a stale pid would do no harm: the lock decides */
  (void)close(lock->fd);
  lock->fd = -1;
}

long xf_lock_find(const char *dir) {
  char path[XF_PATH_MAX];
  long pid = 0;
  if (lock_path(path, dir, NULL)) return 0;
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  if (flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK) pid = read_pid(fd);
  (void)close(fd); /* gives a lock that was got */
  return pid;
}
