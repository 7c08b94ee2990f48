/* The tiers of assertions: a broken invariant aborts, an unexpected state is logged once per place. */
#include "base/assert.h"

#include "base/log.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static void test_abort(void **state) {
  (void)state;
  int fd[2];
  char text[256] = "";
  assert_int_equal(pipe(fd), 0);
  pid_t pid = fork();
  assert_true(pid >= 0);
  if (pid == 0) {
    const struct rlimit none = {0, 0};
    (void)setrlimit(RLIMIT_CORE, &none);
    (void)signal(SIGABRT, SIG_DFL);
    if (dup2(fd[1], 2) < 0) _exit(9);
    XF_ASSERT(fd[0] == -5);
    _exit(0);
  }
  int status = 0;
  assert_int_equal(waitpid(pid, &status, 0), pid);
  assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
  assert_true(read(fd[0], text, sizeof text - 1) > 0);
  assert_non_null(strstr(text, "internal invariant broken: fd[0] == -5 at "));
  assert_non_null(strstr(text, "test_assert.c:"));
  close(fd[0]);
  close(fd[1]);
  XF_ASSERT(1 + 1 == 2);
}

static bool handled(int x) {
  if (!XF_EXPECT(x > 0)) return true;
  return false;
}

static void test_expect(void **state) {
  (void)state;
  int fd[2];
  char text[4096] = "";
  assert_int_equal(pipe(fd), 0);
  xf_log_start(fd[1], XF_LOG_JSON, XF_LOG_INFO, NULL);
  assert_false(handled(1));
  for (int i = 0; i < 5; i++) assert_true(handled(0));
  xf_log_start(2, XF_LOG_AUTO, XF_LOG_INFO, NULL);
  assert_true(read(fd[0], text, sizeof text - 1) > 0);
  char *line = strchr(text, '\n');
  assert_non_null(line);
  assert_string_equal(line, "\n"); /* one line for five times */
  assert_non_null(strstr(text, "\"event\":\"unexpected\",\"condition\":\"x > 0\""));
  close(fd[0]);
  close(fd[1]);
}

static void test_debug(void **state) {
  (void)state;
  int evaluated = 0;
  XF_DEBUG_ASSERT(++evaluated == 1);
#ifdef XF_DEBUG
  assert_int_equal(evaluated, 1);
#else
  assert_int_equal(evaluated, 0);
#endif
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_abort),
      cmocka_unit_test(test_expect),
      cmocka_unit_test(test_debug),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
