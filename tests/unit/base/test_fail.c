/* Failpoints and planted bugs (flavour faults); in every other flavour the macros are nothing. */
#include "base/fail.h"

#include "base/time.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#ifdef XF_FAULTS

/* Runs `passages` of a failpoint in a child with this environment; gives its wait status. */
static int child(const char *points, const char *name, int passages) {
  pid_t pid = fork();
  assert_true(pid >= 0);
  if (pid == 0) {
    setenv("CROSSFED_FAILPOINTS", points, 1);
    if (!freopen("/dev/null", "w", stderr)) _exit(9);
    for (int i = 0; i < passages; i++) XF_FAILPOINT(name);
    _exit(0);
  }
  int status = 0;
  assert_int_equal(waitpid(pid, &status, 0), pid);
  return status;
}

static bool killed(int status) { return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL; }
static bool lived(int status) { return WIFEXITED(status) && WEXITSTATUS(status) == 0; }

static void test_kill(void **state) {
  (void)state;
  assert_true(killed(child("K6=kill", "K6", 1)));
  assert_true(killed(child("K1=kill,K6=kill@3", "K6", 3)));
  assert_true(lived(child("K6=kill@3", "K6", 2)));
  assert_true(lived(child("K6=kill", "K66", 5)));
  assert_true(lived(child("", "K6", 1)));
  /* What cannot be read is refused, the rest holds. */
  assert_true(lived(child("K6,K6=,K6=kil,K6=kill@,K6=kill@0,=kill,K6=sleep:,K6=sleep:x", "K6", 3)));
  assert_true(killed(child("nonsense,K6=kill", "K6", 1)));
}

static void test_sleep(void **state) {
  (void)state;
  struct xf_time start = xf_time_now();
  assert_true(lived(child("K9=sleep:60@2", "K9", 3)));
  double s = xf_time_diff_s(xf_time_now(), start);
  assert_true(s >= 0.06);
  start = xf_time_now();
  assert_true(lived(child("K9=sleep:30", "K9", 3))); /* on each passage */
  assert_true(xf_time_diff_s(xf_time_now(), start) >= 0.09);
}

static void test_planted(void **state) {
  (void)state;
  xf_failpoint_plant("ack_early,skip_syncdir");
  assert_true(XF_PLANTED("ack_early"));
  assert_true(XF_PLANTED("skip_syncdir"));
  assert_false(XF_PLANTED("ack"));
  assert_false(XF_PLANTED("ack_early,skip_syncdir"));
  assert_false(XF_PLANTED(""));
  xf_failpoint_plant(NULL);
  assert_false(XF_PLANTED("ack_early"));
  xf_failpoint_plant("");
  assert_false(XF_PLANTED("ack_early"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_kill),
      cmocka_unit_test(test_sleep),
      cmocka_unit_test(test_planted),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

#else

static void test_absent(void **state) {
  (void)state;
  setenv("CROSSFED_FAILPOINTS", "K6=kill", 1);
  setenv("CROSSFED_PLANTED", "ack_early", 1);
  XF_FAILPOINT("K6");
  assert_false(XF_PLANTED("ack_early"));
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_absent)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}

#endif
