/* kill -9 of a writing process: what commit said OK for is there, what it did not is not, and the chain holds. */
#include "store/ledger.h"
#include "store/state.h"
#include "storetest.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { KILLS = 12 };

/* The child appends events in transactions of three and reports each commit; it never returns. */
static void child_run(const char *path, int fd) {
  struct xf_ledger *l = NULL;
  if (xf_ledger_open(&l, path, XF_LEDGER_WRITE, NULL, NULL)) _exit(1);
  for (uint8_t k = 0;; k++) {
    if (xf_ledger_begin(l, k, NULL)) _exit(2);
    for (int i = 0; i < 3; i++)
      if (xf_ledger_event(l, "tick", "a", "{\"n\":1}", NULL)) _exit(3);
    if (xf_ledger_commit(l, NULL)) _exit(4);
    if (write(fd, &k, 1) != 1) _exit(5);
  }
}

static enum xf_rc count_ticks(void *arg, const struct xf_ledger_entry *e) {
  uint64_t *n = arg;
  if (strcmp(e->kind, "tick") == 0) ++*n;
  return XF_OK;
}

static uint64_t ticks(const char *path) {
  struct xf_ledger *l = NULL;
  struct xf_diag diag;
  uint64_t n = 0;
  assert_ok(xf_ledger_open(&l, path, XF_LEDGER_WRITE, NULL, &diag), &diag);
  assert_ok(xf_ledger_events(l, 1, count_ticks, &n, &diag), &diag);
  xf_ledger_close(l);
  return n;
}

static void test_kill(void **state) {
  (void)state;
  struct st_run r;
  st_run_start(&r, xf_fs_posix(), NULL, st_dir_new());
  const char *path = st_path(r.dir, XF_STATE_LEDGER);
  xf_ledger_close(r.l);
  r.l = NULL;
  uint64_t before = 0;
  for (int i = 0; i < KILLS; i++) {
    int fd[2], status = 0;
    uint8_t k = 0;
    uint64_t said = 0;
    assert_int_equal(pipe(fd), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
      close(fd[0]);
      child_run(path, fd[1]);
    }
    close(fd[1]);
    for (; said < (uint64_t)(i + 1); said++) assert_int_equal(read(fd[0], &k, 1), 1);
    usleep((useconds_t)(i * 137)); /* somewhere inside a later transaction */
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    while (read(fd[0], &k, 1) == 1) said++;
    close(fd[0]);
    uint64_t now = ticks(path);
    assert_int_equal((now - before) % 3, 0);     /* whole transactions */
    assert_true(now - before >= 3 * said);       /* nothing acknowledged is lost */
    assert_true(now - before <= 3 * (said + 1)); /* at most the one whose report was cut */
    before = now;
  }
  st_run_stop(&r);
  st_dir_remove();
}

/* A transaction that was never committed leaves nothing. */
static void test_uncommitted(void **state) {
  (void)state;
  struct st_run r;
  int status = 0;
  st_run_start(&r, xf_fs_posix(), NULL, st_dir_new());
  const char *path = st_path(r.dir, XF_STATE_LEDGER);
  xf_ledger_close(r.l);
  r.l = NULL;
  pid_t pid = fork();
  assert_true(pid >= 0);
  if (pid == 0) {
    struct xf_ledger *l = NULL;
    if (xf_ledger_open(&l, path, XF_LEDGER_WRITE, NULL, NULL) || xf_ledger_begin(l, 1, NULL) ||
        xf_ledger_event(l, "tick", "a", "{}", NULL))
      _exit(1);
    raise(SIGKILL);
  }
  assert_int_equal(waitpid(pid, &status, 0), pid);
  assert_true(WIFSIGNALED(status));
  assert_int_equal(ticks(path), 0);
  st_run_stop(&r);
  st_dir_remove();
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_kill),
                                     cmocka_unit_test(test_uncommitted)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
