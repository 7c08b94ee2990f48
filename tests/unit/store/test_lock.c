/* The state directory's lock and sub-directories. */
#include "store/lock.h"

#include "base/fs_crash.h"
#include "store/state.h"
#include "storetest.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void test_lock(void **state) {
  (void)state;
  struct xf_lock a = {.fd = -1}, b = {.fd = -1};
  struct xf_diag diag;
  char pid[32];
  const char *dir = st_path(st_dir_new(), "state");
  assert_int_equal(xf_lock_find(dir), 0);
  assert_ok(xf_lock_take(&a, dir, &diag), &diag);
  assert_int_equal(xf_lock_find(dir), getpid());
  assert_rc(xf_lock_take(&b, dir, &diag),
            XF_E_LOCKED); /* flock is per open file: the same process too */
  (void)snprintf(pid, sizeof pid, "process %ld", (long)getpid());
  assert_non_null(strstr(diag.text, pid));
  xf_lock_give(&b);
  xf_lock_give(&a);
  xf_lock_give(&a);
  assert_int_equal(xf_lock_find(dir), 0);
  assert_ok(xf_lock_take(&b, dir, &diag), &diag);
  xf_lock_give(&b);
  assert_rc(xf_lock_take(&b, st_path(dir, "no/such"), &diag), XF_E_NOTFOUND);
  st_dir_remove();
}

/* The lock goes with its process, however that ends. */
static void test_holder_killed(void **state) {
  (void)state;
  struct xf_lock lock = {.fd = -1};
  struct xf_diag diag;
  int fd[2], status = 0;
  char c = 0;
  const char *dir = st_dir_new();
  assert_int_equal(pipe(fd), 0);
  pid_t pid = fork();
  assert_true(pid >= 0);
  if (pid == 0) {
    if (xf_lock_take(&lock, dir, NULL) || write(fd[1], "x", 1) != 1) _exit(1);
    pause();
    _exit(0);
  }
  assert_int_equal(read(fd[0], &c, 1), 1);
  assert_int_equal(xf_lock_find(dir), pid);
  assert_rc(xf_lock_take(&lock, dir, &diag), XF_E_LOCKED);
  assert_int_equal(kill(pid, SIGKILL), 0);
  assert_int_equal(waitpid(pid, &status, 0), pid);
  assert_ok(xf_lock_take(&lock, dir, &diag), &diag);
  xf_lock_give(&lock);
  close(fd[0]);
  close(fd[1]);
  st_dir_remove();
}

static void test_state(void **state) {
  (void)state;
  struct xf_fs_crash *disk = xf_fs_crash_new(1);
  const struct xf_fs *fs = xf_fs_crash_as_fs(disk);
  struct xf_diag diag;
  char name[XF_STATE_CKPT_NAME];
  uint64_t n = 0;
  assert_rc(fs->mkdir(fs, "/s", 0750), XF_OK);
  assert_ok(xf_state_init_server(fs, "/s", &diag), &diag);
  assert_ok(xf_state_init_server(fs, "/s", &diag), &diag);
  xf_state_checkpoint_name(name, 17);
  assert_string_equal(name, "ckpt/round-0000000017.safetensors");
  assert_rc(xf_fs_replace(fs, "/s/ckpt/keep", "x", 1, NULL), XF_OK);
  assert_rc(xf_fs_replace(fs, "/s/ckpt/a.tmp", "x", 1, NULL), XF_OK);
  assert_ok(xf_state_sweep(fs, "/s", &n, &diag), &diag);
  assert_int_equal(n, 1);
  assert_true(xf_fs_exists(fs, "/s/ckpt/keep"));
  assert_rc(xf_state_sweep(fs, "/none", &n, &diag), XF_E_NOTFOUND);
  assert_ok(xf_state_check_space(fs, "/s", 1000, &diag), &diag);
  assert_rc(xf_state_check_space(fs, "/s", XF_FS_CRASH_CAPACITY + 1, &diag), XF_E_NOSPACE);
  assert_non_null(strstr(diag.text, "MiB"));
  xf_fs_crash_free(disk);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_lock),
                                     cmocka_unit_test(test_holder_killed),
                                     cmocka_unit_test(test_state)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
