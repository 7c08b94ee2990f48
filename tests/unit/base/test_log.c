// tsan
/* Log lines: exact JSON and logfmt, escaping, bounds, the second sink, many threads. */
#include "base/log.h"

#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static int pipe_fd[2], file_fd[2];
static char text[256 * 1024];

static int setup(void **state) {
  (void)state;
  xf_log_set_run(NULL);
  xf_log_set_file(-1, XF_LOG_DEBUG);
  if (pipe(pipe_fd) || pipe(file_fd)) return -1;
  return fcntl(pipe_fd[0], F_SETFL, O_NONBLOCK) || fcntl(file_fd[0], F_SETFL, O_NONBLOCK);
}

static int teardown(void **state) {
  (void)state;
  xf_log_set_file(-1, XF_LOG_DEBUG);
  xf_log_start(2, XF_LOG_AUTO, XF_LOG_INFO, NULL);
  for (int i = 0; i < 2; i++) {
    close(pipe_fd[i]);
    close(file_fd[i]);
  }
  return 0;
}

/* What was logged, without the time at the start of the one line. */
static const char *line_from(int fd, const char *start) {
  ssize_t n = read(fd, text, sizeof text - 1);
  if (n < 0) return "";
  text[n] = '\0';
  assert_int_equal(text[n - 1], '\n');
  text[n - 1] = '\0';
  assert_null(strchr(text, '\n'));
  size_t len = strlen(start);
  assert_memory_equal(text, start, len);
  /* 2026-11-24T02:15:33.123Z */
  assert_int_equal(text[len + 10], 'T');
  assert_int_equal(text[len + 23], 'Z');
  return text + len + 24;
}

static const char *json(void) { return line_from(pipe_fd[0], "{\"ts\":\""); }
static const char *logfmt(void) { return line_from(pipe_fd[0], "ts="); }

static void test_json(void **state) {
  (void)state;
  xf_log_start(pipe_fd[1], XF_LOG_JSON, XF_LOG_INFO, "silo-a");
  xf_log_set_run("r1");
  xf_log(XF_LOG_WARN, "round_committed", XF_U("round", UINT64_MAX), XF_I("left", -3),
         XF_F("dur_s", 0.25), XF_B("ok", true), XF_B("late", 0), XF_S("reason", "quorum"));
  assert_string_equal(json(),
                      "\",\"level\":\"warn\",\"node\":\"silo-a\",\"event\":\"round_committed\","
                      "\"run\":\"r1\",\"round\":18446744073709551615,\"left\":-3,\"dur_s\":0.25,"
                      "\"ok\":true,\"late\":false,\"reason\":\"quorum\"}");
  xf_log_start(pipe_fd[1], XF_LOG_JSON, XF_LOG_INFO, NULL);
  xf_log_set_run(NULL);
  xf_log(XF_LOG_INFO, "bare");
  assert_string_equal(json(), "\",\"level\":\"info\",\"event\":\"bare\"}");
  xf_log(XF_LOG_INFO, "e", XF_F("a", (double)NAN), XF_F("b", (double)INFINITY), XF_S("c", NULL));
  assert_string_equal(json(),
                      "\",\"level\":\"info\",\"event\":\"e\",\"a\":null,\"b\":null,\"c\":\"\"}");
}

static void test_escaping(void **state) {
  (void)state;
  xf_log_start(pipe_fd[1], XF_LOG_JSON, XF_LOG_INFO, NULL);
  xf_log(XF_LOG_INFO, "e", XF_S("s", "a\"b\\c\nd\te\x1b[31m\x7f"));
  assert_non_null(strstr(json(), "\"s\":\"a\\\"b\\\\c\\u000ad\\u0009e\\u001b[31m\\u007f\"}"));
  xf_log(XF_LOG_INFO, "e", XF_S("s", "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80 \xc2\x9b"));
  assert_non_null(
      strstr(json(), "\"s\":\"gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80 \\u009b\"}"));
  /* malformed, overlong, a surrogate, beyond U+10FFFF, cut short */
  xf_log(XF_LOG_INFO, "e", XF_S("s", "\xff|\xc0\x80|\xed\xa0\x80|\xf4\x90\x80\x80|\xe2\x82"));
  const char *s = json();
  assert_non_null(strstr(s, "\"s\":\"\\ufffd|\\ufffd\\ufffd|"));
  for (; *s; s++) assert_true((unsigned char)*s < 0x80);
}

static void test_logfmt(void **state) {
  (void)state;
  xf_log_start(pipe_fd[1], XF_LOG_LOGFMT, XF_LOG_DEBUG, "n1");
  xf_log(XF_LOG_DEBUG, "joined", XF_S("client", "books"), XF_S("text", "two words"),
         XF_S("q", "a\"b"), XF_S("eq", "a=b"), XF_S("empty", ""), XF_S("nl", "a\nb"), XF_U("n", 5),
         XF_F("x", 1e-9));
  assert_string_equal(logfmt(), " level=debug node=n1 event=joined client=books text=\"two words\" "
                                "q=\"a\\\"b\" eq=\"a=b\" empty=\"\" nl=\"a\\u000ab\" n=5 x=1e-09");
}

static void test_levels(void **state) {
  (void)state;
  xf_log_start(pipe_fd[1], XF_LOG_AUTO, XF_LOG_WARN, NULL); /* a pipe: JSON */
  xf_log(XF_LOG_INFO, "no");
  assert_string_equal(json(), "");
  assert_false(xf_log_enabled(XF_LOG_INFO));
  assert_true(xf_log_enabled(XF_LOG_ERROR));
  xf_log_set_file(file_fd[1], XF_LOG_INFO);
  assert_true(xf_log_enabled(XF_LOG_INFO));
  assert_false(xf_log_enabled(XF_LOG_DEBUG));
  xf_log(XF_LOG_INFO, "file_only");
  assert_string_equal(json(), "");
  assert_string_equal(line_from(file_fd[0], "{\"ts\":\""),
                      "\",\"level\":\"info\",\"event\":\"file_only\"}");
  xf_log_set_level(XF_LOG_INFO);
  xf_log(XF_LOG_INFO, "both");
  assert_non_null(strstr(json(), "both"));
  assert_non_null(strstr(line_from(file_fd[0], "{\"ts\":\""), "both"));
  enum xf_log_level level = XF_LOG_INFO;
  enum xf_log_format format = XF_LOG_AUTO;
  assert_int_equal(xf_log_level_parse(&level, "error"), XF_OK);
  assert_int_equal(level, XF_LOG_ERROR);
  assert_int_equal(xf_log_level_parse(&level, "ERROR"), XF_E_INVAL);
  assert_int_equal(xf_log_format_parse(&format, "logfmt"), XF_OK);
  assert_int_equal(format, XF_LOG_LOGFMT);
  assert_int_equal(xf_log_format_parse(&format, "json"), XF_OK);
  assert_int_equal(format, XF_LOG_JSON);
  assert_int_equal(xf_log_format_parse(&format, "auto"), XF_OK);
  assert_int_equal(format, XF_LOG_AUTO);
  assert_int_equal(xf_log_format_parse(&format, "xml"), XF_E_INVAL);
}

/* Long values are cut and fields that do not fit are left out; the line stays one whole object. */
static void test_bounds(void **state) {
  (void)state;
  static char big[10000];
  memset(big, 'x', sizeof big - 1);
  xf_log_start(pipe_fd[1], XF_LOG_JSON, XF_LOG_INFO, NULL);
  xf_log(XF_LOG_INFO, "e", XF_S("a", big), XF_U("n", 1));
  const char *s = json();
  assert_non_null(strstr(s, "xxx...\",\"n\":1}"));
  xf_log(XF_LOG_INFO, "e", XF_S("a", big), XF_S("b", big), XF_S("c", big), XF_U("n", 1));
  s = json();
  assert_true(strlen(s) < 4096);
  assert_null(strstr(s, "\"b\""));
  assert_null(strstr(s, "\"n\""));
  assert_string_equal(s + strlen(s) - 18, ",\"truncated\":true}");
  memset(big, '\x01', sizeof big - 1); /* six characters each */
  xf_log(XF_LOG_INFO, "e", XF_S("a", big));
  s = json();
  assert_string_equal(s + strlen(s) - 11, "\\u0001...\"}");
  xf_log_start(pipe_fd[1], XF_LOG_LOGFMT, XF_LOG_INFO, NULL);
  memset(big, 'x', sizeof big - 1);
  xf_log(XF_LOG_INFO, "e", XF_S("a", big), XF_S("b", big));
  s = logfmt();
  assert_string_equal(s + strlen(s) - 19, "...\" truncated=true");
}

static void test_broken_sink(void **state) {
  (void)state;
  xf_log_start(-1, XF_LOG_JSON, XF_LOG_INFO, NULL); /* a sink that cannot be written stops nobody */
  xf_log(XF_LOG_INFO, "e");
}

enum { THREADS = 4, LINES = 100 };

static void *chatter(void *arg) {
  for (int i = 0; i < LINES; i++) {
    xf_log(XF_LOG_INFO, "line", XF_S("who", (const char *)arg), XF_I("i", i));
    xf_log_set_run(i % 2 ? "a" : "b");
    if (i % 10 == 0) xf_log_set_file(-1, XF_LOG_WARN);
  }
  return NULL;
}

static void test_threads(void **state) {
  (void)state;
  static char name[THREADS][2] = {"0", "1", "2", "3"};
  pthread_t t[THREADS];
  xf_log_start(pipe_fd[1], XF_LOG_JSON, XF_LOG_INFO, NULL);
  for (int i = 0; i < THREADS; i++)
    assert_int_equal(pthread_create(&t[i], NULL, chatter, name[i]), 0);
  for (int i = 0; i < THREADS; i++) assert_int_equal(pthread_join(t[i], NULL), 0);
  ssize_t n = read(pipe_fd[0], text, sizeof text - 1); /* all fits into a pipe */
  assert_true(n > 0);
  text[n] = '\0';
  int lines = 0;
  for (char *s = text, *end = NULL; (end = strchr(s, '\n')) != NULL; s = end + 1) {
    assert_memory_equal(s, "{\"ts\":", 6);
    assert_int_equal(end[-1], '}');
    lines++;
  }
  assert_int_equal(lines, THREADS * LINES);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_json, setup, teardown),
      cmocka_unit_test_setup_teardown(test_escaping, setup, teardown),
      cmocka_unit_test_setup_teardown(test_logfmt, setup, teardown),
      cmocka_unit_test_setup_teardown(test_levels, setup, teardown),
      cmocka_unit_test_setup_teardown(test_bounds, setup, teardown),
      cmocka_unit_test_setup_teardown(test_broken_sink, setup, teardown),
      cmocka_unit_test_setup_teardown(test_threads, setup, teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
