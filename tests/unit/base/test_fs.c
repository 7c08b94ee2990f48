/* The operating system's files through struct xf_fs, and the conveniences over it. */
#include "base/fs.h"

#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char dir[64];
static char path_buf[4][XF_PATH_MAX];

/* Path of a file in the test's directory (four at a time). */
static const char *at(const char *name) {
  static unsigned i;
  char *out = path_buf[i++ % 4];
  assert_int_equal(xf_fs_join(out, dir, name), XF_OK);
  return out;
}

static int setup(void **state) {
  (void)state;
  const char *tmp = getenv("TMPDIR");
  snprintf(dir, sizeof dir, "%.40s/xf-fs-XXXXXX", tmp ? tmp : "/tmp");
  return mkdtemp(dir) ? 0 : -1;
}

static enum xf_rc visit_unlink(void *arg, const char *name) {
  (void)arg;
  if (xf_fs_posix()->unlink(xf_fs_posix(), at(name))) (void)rmdir(at(name));
  return XF_OK;
}

static int teardown(void **state) {
  (void)state;
  if (xf_fs_posix()->list(xf_fs_posix(), dir, visit_unlink, NULL)) return -1;
  return rmdir(dir);
}

static void check_content(const char *name, const char *want) {
  struct xf_buf b;
  xf_buf_init(&b, 1 << 20);
  assert_int_equal(xf_fs_read_file(xf_fs_posix(), at(name), &b, NULL), XF_OK);
  assert_string_equal(xf_buf_cstr(&b), want);
  assert_int_equal(b.len, strlen(want));
  xf_buf_deinit(&b);
}

static void test_open_modes(void **state) {
  (void)state;
  const struct xf_fs *fs = xf_fs_posix();
  struct xf_file f;
  size_t n = 0;
  char out[8] = "";
  struct stat st;
  assert_int_equal(fs->open(fs, &f, at("f"), XF_FS_READ), XF_E_NOTFOUND);
  assert_int_equal(f.fd, -1);
  assert_int_equal(fs->open(fs, &f, at("f"), XF_FS_EXCL), XF_OK);
  assert_int_equal(fcntl(f.fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
  assert_int_equal(fstat(f.fd, &st), 0);
  assert_int_equal(st.st_mode & 0077, 0); /* nobody else's */
  assert_int_equal(fs->pwrite(&f, "hello", 5, 0), XF_OK);
  assert_int_equal(fs->pread(&f, out, 1, 0, &n), XF_E_IO); /* write only */
  assert_int_equal(fs->close(&f), XF_OK);
  assert_int_equal(fs->close(&f), XF_OK); /* idempotent */
  assert_int_equal(fs->open(fs, &f, at("f"), XF_FS_EXCL), XF_E_EXISTS);
  assert_int_equal(fs->open(fs, &f, at("f"), XF_FS_RDWR), XF_OK);
  assert_int_equal(fs->pread(&f, out, 8, 1, &n), XF_OK);
  assert_int_equal(n, 4);
  assert_memory_equal(out, "ello", 4);
  assert_int_equal(fs->pwrite(&f, "HE", 2, 0), XF_OK);
  assert_int_equal(fs->fsync(&f), XF_OK);
  assert_int_equal(fs->close(&f), XF_OK);
  check_content("f", "HEllo");
  assert_int_equal(fs->open(fs, &f, at("f"), XF_FS_CREATE), XF_OK);
  assert_int_equal(fs->close(&f), XF_OK);
  check_content("f", "");
}

static void test_sizes(void **state) {
  (void)state;
  const struct xf_fs *fs = xf_fs_posix();
  struct xf_file f;
  uint64_t len = 0;
  size_t n = 9;
  char out[4] = "xxx";
  assert_int_equal(fs->open(fs, &f, at("f"), XF_FS_RDWR), XF_OK);
  assert_int_equal(fs->reserve(&f, 0), XF_OK);
  assert_int_equal(fs->reserve(&f, 5000), XF_OK);
  assert_int_equal(fs->size(&f, &len), XF_OK);
  assert_int_equal(len, 5000);
  assert_int_equal(fs->reserve(&f, 10), XF_OK); /* never shrinks */
  assert_int_equal(fs->truncate(&f, 100), XF_OK);
  assert_int_equal(fs->size(&f, &len), XF_OK);
  assert_int_equal(len, 100);
  assert_int_equal(fs->pread(&f, out, 3, 98, &n), XF_OK);
  assert_int_equal(n, 2);
  assert_int_equal(out[0] | out[1], 0);
  assert_int_equal(fs->pread(&f, out, 3, 1000, &n), XF_OK);
  assert_int_equal(n, 0);
  assert_int_equal(fs->pread(&f, out, 3, UINT64_MAX, &n), XF_E_RANGE);
  assert_int_equal(fs->pwrite(&f, out, 3, UINT64_MAX - 1), XF_E_RANGE);
  assert_int_equal(fs->truncate(&f, UINT64_MAX), XF_E_RANGE);
  assert_int_equal(fs->reserve(&f, UINT64_MAX), XF_E_RANGE);
  assert_int_equal(fs->close(&f), XF_OK);
  assert_int_equal(fs->pwrite(&f, "x", 1, 0), XF_E_IO);
  assert_int_equal(fs->fsync(&f), XF_E_IO);
  assert_int_equal(fs->size(&f, &len), XF_E_IO);
  assert_int_equal(fs->free_bytes(fs, dir, &len), XF_OK);
  assert_true(len > 0);
  assert_int_equal(fs->free_bytes(fs, at("none"), &len), XF_E_NOTFOUND);
}

/* A file that may not grow further takes what fits and says so: the loop over short writes ends in an error. */
static void test_short_write(void **state) {
  (void)state;
  const struct xf_fs *fs = xf_fs_posix();
  struct xf_file f;
  struct rlimit old, limit;
  uint64_t len = 0;
  static char big[20000];
  assert_int_equal(fs->open(fs, &f, at("f"), XF_FS_CREATE), XF_OK);
  assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
  limit = (struct rlimit){10000, old.rlim_max};
  void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
  enum xf_rc rc = fs->pwrite(&f, big, sizeof big, 0);
  enum xf_rc reserved = fs->reserve(&f, 20000);
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
  signal(SIGXFSZ, handler);
  assert_int_equal(rc, XF_E_IO);
  assert_int_equal(reserved, XF_E_NOSPACE);
  assert_int_equal(fs->size(&f, &len), XF_OK);
  assert_int_equal(len, 10000);
  assert_int_equal(fs->close(&f), XF_OK);
}

static void test_symlinks(void **state) {
  (void)state;
  const struct xf_fs *fs = xf_fs_posix();
  struct xf_file f;
  assert_int_equal(xf_fs_replace(fs, at("victim"), "safe", 4, NULL), XF_OK);
  assert_int_equal(symlink(at("victim"), at("link")), 0);
  assert_int_equal(fs->open(fs, &f, at("link"), XF_FS_CREATE), XF_E_IO);
  assert_int_equal(fs->open(fs, &f, at("link"), XF_FS_RDWR), XF_E_IO);
  assert_int_equal(fs->open(fs, &f, at("link"), XF_FS_EXCL), XF_E_EXISTS);
  assert_int_equal(symlink(at("victim"), at("m.tmp")), 0);
  struct xf_diag diag;
  xf_diag_init(&diag);
  assert_int_equal(xf_fs_replace(fs, at("m"), "evil", 4, &diag), XF_E_IO);
  assert_non_null(strstr(diag.text, "m.tmp"));
  check_content("victim", "safe");
  check_content("link", "safe"); /* reading follows */
}

static void test_replace(void **state) {
  (void)state;
  const struct xf_fs *fs = xf_fs_posix();
  struct xf_diag diag;
  xf_diag_init(&diag);
  assert_int_equal(xf_fs_replace(fs, at("m"), "one", 3, &diag), XF_OK);
  check_content("m", "one");
  assert_int_equal(xf_fs_replace(fs, at("m"), "", 0, &diag), XF_OK);
  check_content("m", "");
  assert_int_equal(xf_fs_replace(fs, at("m"), "two", 3, &diag), XF_OK);
  check_content("m", "two");
  assert_false(xf_fs_exists(fs, at("m.tmp")));
  assert_int_equal(xf_fs_replace(fs, at("no/m"), "x", 1, &diag), XF_E_NOTFOUND);
  assert_non_null(strstr(diag.text, "cannot create"));
  assert_non_null(strstr(diag.text, "no/m.tmp"));
  assert_non_null(strstr(diag.text, strerror(ENOENT)));
  assert_int_equal(fs->mkdir(fs, at("d"), 0700), XF_OK);
  assert_int_equal(xf_fs_replace(fs, at("d"), "x", 1, &diag),
                   XF_E_IO); /* a directory is in the way */
  assert_non_null(strstr(diag.text, "cannot rename"));
  char big[XF_PATH_MAX + 8];
  memset(big, 'a', sizeof big - 1);
  big[sizeof big - 1] = '\0';
  assert_int_equal(xf_fs_replace(fs, big, "x", 1, &diag), XF_E_LIMIT);
  assert_int_equal(xf_fs_rename_durable(fs, at("m"), at("no/m"), &diag), XF_E_NOTFOUND);
  assert_int_equal(xf_fs_rename_durable(fs, at("m"), at("d/m"), &diag), XF_OK);
  check_content("d/m", "two");
  assert_int_equal(xf_fs_rename_durable(fs, at("d/m"), at("m"), &diag), XF_OK);
  assert_int_equal(xf_fs_rename_durable(fs, at("m"), big, &diag), XF_E_IO); /* ENAMETOOLONG */
  big[XF_PATH_MAX + 2] = '/';
  assert_int_equal(xf_fs_rename_durable(fs, at("m"), big, &diag), XF_E_LIMIT);
}

static void test_relative(void **state) {
  (void)state;
  char old[XF_PATH_MAX];
  assert_non_null(getcwd(old, sizeof old));
  assert_int_equal(chdir(dir), 0);
  enum xf_rc rc = xf_fs_replace(xf_fs_posix(), "bare", "x", 1, NULL); /* its directory is "." */
  assert_int_equal(chdir(old), 0);
  assert_int_equal(rc, XF_OK);
  check_content("bare", "x");
}

static void test_read_file(void **state) {
  (void)state;
  const struct xf_fs *fs = xf_fs_posix();
  struct xf_buf b;
  struct xf_diag diag;
  static char big[200000];
  xf_diag_init(&diag);
  memset(big, 'z', sizeof big);
  assert_int_equal(xf_fs_replace(fs, at("f"), big, sizeof big, NULL), XF_OK);
  xf_buf_init(&b, sizeof big);
  assert_int_equal(xf_fs_read_file(fs, at("f"), &b, &diag), XF_OK); /* exactly the maximum */
  assert_int_equal(b.len, sizeof big);
  assert_memory_equal(b.p, big, sizeof big);
  xf_buf_deinit(&b);
  xf_buf_init(&b, sizeof big - 1);
  assert_int_equal(xf_fs_read_file(fs, at("f"), &b, &diag), XF_E_LIMIT);
  assert_non_null(strstr(diag.text, "larger than the 199999 bytes"));
  assert_int_equal(b.len, 0);
  assert_int_equal(xf_buf_put_str(&b, "head"), XF_OK);
  assert_int_equal(xf_fs_replace(fs, at("f"), "tail", 4, NULL), XF_OK);
  assert_int_equal(xf_fs_read_file(fs, at("f"), &b, &diag), XF_OK); /* appends */
  assert_string_equal(xf_buf_cstr(&b), "headtail");
  assert_int_equal(xf_fs_read_file(fs, at("none"), &b, &diag), XF_E_NOTFOUND);
  assert_non_null(strstr(diag.text, "cannot open"));
  assert_int_equal(xf_fs_read_file(fs, dir, &b, &diag), XF_E_IO);
  assert_non_null(strstr(diag.text, "cannot read"));
  assert_string_equal(xf_buf_cstr(&b), "headtail"); /* an error leaves what was there */
  xf_buf_deinit(&b);
}

static enum xf_rc visit_join(void *arg, const char *name) {
  char *all = arg; /* 64 bytes */
  size_t n = strlen(all);
  return xf_str_copy(all + n, 64 - n, name);
}

static enum xf_rc visit_stop(void *arg, const char *name) {
  (void)name;
  ++*(int *)arg;
  return XF_E_CANCELLED;
}

static void test_directories(void **state) {
  (void)state;
  const struct xf_fs *fs = xf_fs_posix();
  static const char *const names[] = {"b", "a", "Z", "c10", "c9"};
  char all[64] = "";
  int visits = 0;
  struct stat st;
  assert_int_equal(fs->mkdir(fs, at("d"), 0700), XF_OK);
  assert_int_equal(stat(at("d"), &st), 0);
  assert_int_equal(st.st_mode & 0777, 0700);
  assert_int_equal(fs->mkdir(fs, at("d"), 0700), XF_OK);
  assert_int_equal(fs->mkdir(fs, at("no/d"), 0700), XF_E_NOTFOUND);
  assert_int_equal(rmdir(at("d")), 0);
  for (size_t i = 0; i < 5; i++)
    assert_int_equal(xf_fs_replace(fs, at(names[i]), "x", 1, NULL), XF_OK);
  assert_int_equal(fs->mkdir(fs, at("a"), 0700), XF_E_EXISTS); /* a file of that name */
  assert_int_equal(fs->list(fs, dir, visit_join, all), XF_OK);
  assert_string_equal(all, "Zabc10c9");
  assert_int_equal(fs->list(fs, dir, visit_stop, &visits), XF_E_CANCELLED);
  assert_int_equal(visits, 1);
  assert_int_equal(fs->list(fs, at("none"), visit_stop, &visits), XF_E_NOTFOUND);
  assert_int_equal(fs->syncdir(fs, dir), XF_OK);
  assert_int_equal(fs->syncdir(fs, at("none")), XF_E_NOTFOUND);
  assert_int_equal(fs->syncdir(fs, at("a")), XF_E_IO);
  assert_int_equal(fs->unlink(fs, at("a")), XF_OK);
  assert_int_equal(fs->unlink(fs, at("a")), XF_E_NOTFOUND);
  assert_int_equal(fs->rename(fs, at("a"), at("b")), XF_E_NOTFOUND);
  assert_true(xf_fs_exists(fs, at("b")));
  assert_false(xf_fs_exists(fs, at("a")));
}

static void test_join(void **state) {
  (void)state;
  char out[XF_PATH_MAX], big[XF_PATH_MAX];
  assert_int_equal(xf_fs_join(out, "a/b", "c"), XF_OK);
  assert_string_equal(out, "a/b/c");
  memset(big, 'a', sizeof big);
  big[XF_PATH_MAX - 3] = '\0';
  assert_int_equal(xf_fs_join(out, big, "c"), XF_OK);
  assert_int_equal(strlen(out), XF_PATH_MAX - 1);
  assert_int_equal(xf_fs_join(out, big, "cd"), XF_E_LIMIT);
  assert_string_equal(out, "");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(test_open_modes), TEST(test_sizes),       TEST(test_short_write),
      TEST(test_symlinks),   TEST(test_replace),     TEST(test_relative),
      TEST(test_read_file),  TEST(test_directories), cmocka_unit_test(test_join),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
