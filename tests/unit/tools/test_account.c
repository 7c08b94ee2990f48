// crossfed account: figures, JSON, refusals.
#include "tools/tools.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
// cmocka wants the four above first
#include <cmocka.h>

// Runs the verb with stdout (or stderr) in a file, returns its status.
static int run(char *text, size_t cap, int fd, const char *const *args) {
  char *argv[20] = {(char *)(uintptr_t) "account"};
  int argc = 1;
  for (; args[argc - 1]; argc++) argv[argc] = (char *)(uintptr_t)args[argc - 1];
  FILE *file = tmpfile();
  assert_non_null(file);
  (void)fflush(stdout);
  const int saved = dup(fd);
  assert_true(saved >= 0 && dup2(fileno(file), fd) == fd);
  const int status = xf_tool_account(argc, argv);
  (void)fflush(stdout);
  assert_true(dup2(saved, fd) == fd);
  (void)close(saved);
  rewind(file);
  text[fread(text, 1, cap - 1, file)] = 0;
  (void)fclose(file);
  return status;
}
#define RUN(text, fd, ...) run(text, sizeof text, fd, (const char *const[]){__VA_ARGS__, NULL})

static void test_figures(void **state) {
  (void)state;
  char text[4096];
  assert_int_equal(
      RUN(text, 1, "--q", "0.04", "--sigma", "1.5", "--steps", "2250", "--delta", "1e-5"), 0);
  assert_non_null(strstr(text, "epsilon 7.32911 at delta 1e-05 (order 3.9, accountant rdp)\n"));
  assert_non_null(strstr(text, "Poisson"));
  assert_int_equal(RUN(text, 1, "--json", "--q=1", "--sigma=5", "--steps=50", "--delta=1e-5",
                       "--accountant=rdp"),
                   0);
  assert_memory_equal(text, "{\"v\":1,\"epsilon\":7.0773", 23);
  assert_non_null(strstr(
      text, ",\"delta\":1e-05,\"order\":4.2,\"accountant\":\"rdp\",\"assumes\":[\"sigma is"));
  assert_non_null(strstr(text, "\"]}\n"));
  assert_int_equal(RUN(text, 1, "--json", "--q=1", "--sigma=0", "--steps=1", "--delta=1e-5"), 0);
  assert_non_null(strstr(text, "{\"v\":1,\"epsilon\":null,\"delta\":1e-05,\"order\":null,"));
  assert_int_equal(RUN(text, 1, "--help"), 0);
  assert_non_null(strstr(text, "usage: crossfed account"));
}

static void test_refusals(void **state) {
  (void)state;
  const struct {
    const char *args[12], *said;
  } rows[] = {
      {{"--q", "1", "--sigma", "1", "--steps", "1"}, "--delta is missing"},
      {{"--q"}, "--q needs a value"},
      {{"--q", "1.5"}, "at most 1"},
      {{"--q", "0"}, "above 0"},
      {{"--q", "nan"}, "not a number"},
      {{"--sigma", "-1"}, "0 or more"},
      {{"--steps", "1.5"}, "whole number"},
      {{"--steps", "0"}, "whole number"},
      {{"--delta", "1"}, "below 1"},
      {{"--accountant", "pld"}, "not in this version"},
      {{"--accountant", "gdp"}, "only rdp"},
      {{"--qq", "1"}, "unknown argument \"--qq\""},
  };
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    char text[4096];
    assert_int_equal(run(text, sizeof text, 2, rows[i].args), 2);
    if (!strstr(text, rows[i].said)) fail_msg("row %zu said: %s", i, text);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_figures),
                                     cmocka_unit_test(test_refusals)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
