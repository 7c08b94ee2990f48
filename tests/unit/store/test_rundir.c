/* The run directory: lines, NaN, torn tails, the summary. */
#include "store/rundir.h"

#include "base/fs_crash.h"
#include "storetest.h"

#include <math.h>
#include <string.h>

static const char *text_of(const struct xf_fs *fs, const char *path) {
  static char text[4096];
  struct xf_buf buf;
  xf_buf_init(&buf, sizeof text - 1);
  assert_rc(xf_fs_read_file(fs, path, &buf, NULL), XF_OK);
  if (buf.len) memcpy(text, buf.p, buf.len);
  text[buf.len] = '\0';
  xf_buf_deinit(&buf);
  return text;
}

static const struct xf_rundir_value values[] = {{"loss", 0.1}, {"ndcg_10_full", NAN}};
static const struct xf_rundir_metrics line = {.round = 17,
                                              .scope = "domain:books",
                                              .arm = "federated",
                                              .split = "test",
                                              .value = values,
                                              .n_value = 2,
                                              .commits = 12};
static const char want[] =
    "{\"v\":1,\"round\":17,\"commits\":12,\"scope\":\"domain:books\","
    "\"arm\":\"federated\",\"split\":\"test\",\"loss\":0.1,\"ndcg_10_full\":null}\n";

static void test_metrics(void **state) {
  (void)state;
  struct xf_fs_crash *disk = xf_fs_crash_new(1);
  const struct xf_fs *fs = xf_fs_crash_as_fs(disk);
  struct xf_rundir rd;
  struct xf_file file;
  struct xf_diag diag;
  const size_t n = strlen(want);
  assert_ok(xf_rundir_open(&rd, fs, "/run", true, &diag), &diag);
  assert_ok(xf_rundir_metrics(&rd, &line, &diag), &diag);
  assert_ok(xf_rundir_metrics(&rd, &line, &diag), &diag);
  assert_ok(xf_rundir_sync(&rd, &diag), &diag);
  xf_rundir_close(&rd);
  xf_rundir_close(&rd);
  const char *text = text_of(fs, "/run/metrics.jsonl");
  assert_int_equal(strlen(text), 2 * n);
  assert_memory_equal(text, want, n);
  /* a crash tore the third line: the next open cuts it off and goes on */
  assert_rc(fs->open(fs, &file, "/run/metrics.jsonl", XF_FS_RDWR), XF_OK);
  assert_rc(fs->pwrite(&file, "{\"v\":1,\"ro", 10, 2 * n), XF_OK);
  assert_rc(fs->close(&file), XF_OK);
  assert_ok(xf_rundir_open(&rd, fs, "/run", false, &diag), &diag);
  assert_ok(xf_rundir_metrics(&rd, &line, &diag), &diag);
  xf_rundir_close(&rd);
  text = text_of(fs, "/run/metrics.jsonl");
  assert_int_equal(strlen(text), 3 * n);
  assert_string_equal(text + 2 * n, want);
  assert_ok(xf_rundir_open(&rd, fs, "/run", true, &diag), &diag);
  xf_rundir_close(&rd);
  assert_string_equal(text_of(fs, "/run/metrics.jsonl"), "");
  assert_rc(xf_rundir_metrics(&rd, &line, &diag), XF_E_STATE);
  assert_rc(xf_rundir_open(&rd, fs, "/no/run", true, &diag), XF_E_NOTFOUND);
  assert_ok(xf_rundir_open(&rd, fs, "/run", true, &diag), &diag);
  xf_fs_crash_set_capacity(disk, 10);
  assert_rc(xf_rundir_metrics(&rd, &line, &diag), XF_E_NOSPACE);
  xf_rundir_close(&rd);
  xf_fs_crash_free(disk);
}

static void test_summary(void **state) {
  (void)state;
  struct xf_fs_crash *disk = xf_fs_crash_new(1);
  const struct xf_fs *fs = xf_fs_crash_as_fs(disk);
  struct xf_rundir rd;
  struct xf_diag diag;
  const struct xf_rundir_field fields[] = {
      {.name = "status", .type = XF_RUNDIR_STR, .s = "done"},
      {.name = "seed", .type = XF_RUNDIR_UINT, .u = UINT64_MAX},
      {.name = "wall_s", .type = XF_RUNDIR_FLOAT, .f = 4.1},
      {.name = "epsilon", .type = XF_RUNDIR_FLOAT, .f = INFINITY},
      {.name = "final", .type = XF_RUNDIR_BOOL, .u = 1},
      {.name = "metrics", .type = XF_RUNDIR_JSON, .s = "{\"loss\":0.3}"},
  };
  const struct xf_rundir_field bad = {.name = "metrics", .type = XF_RUNDIR_JSON, .s = "{\"loss\":"};
  assert_ok(xf_rundir_open(&rd, fs, "/run", true, &diag), &diag);
  assert_ok(xf_rundir_summary(&rd, fields, 6, &diag), &diag);
  assert_string_equal(text_of(fs, "/run/summary.json"),
                      "{\"v\":1,\"status\":\"done\",\"seed\":18446744073709551615,\"wall_s\":4.1,"
                      "\"epsilon\":null,\"final\":true,\"metrics\":{\"loss\":0.3}}\n");
  assert_rc(xf_rundir_summary(&rd, &bad, 1, &diag), XF_E_FORMAT);
  assert_ok(xf_rundir_plan(&rd, "name: x\n", 8, &diag), &diag);
  assert_string_equal(text_of(fs, "/run/plan.resolved.yaml"), "name: x\n");
  xf_rundir_close(&rd);
  xf_fs_crash_free(disk);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_metrics),
                                     cmocka_unit_test(test_summary)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
