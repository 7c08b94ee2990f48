#include "datatest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
// cmocka wants the four above first
#include <cmocka.h>

static char dir[XF_PATH_MAX], path[XF_PATH_MAX];

static void remove_all(void) {
  char command[XF_PATH_MAX];
  const char *names[] = {"a.tsv", "a.csv", "a.inter", "a.tsv.gz", "img", "lab", "split.tsv"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (snprintf(command, sizeof command, "%s/%s", dir, names[i]) > 0) (void)remove(command);
  (void)remove(dir);
}

static const char *place(const char *name) {
  if (!dir[0]) {
    const char *tmp = getenv("TMPDIR");
    if (snprintf(dir, sizeof dir, "%s/xf-data-XXXXXX", tmp ? tmp : "/tmp") < 0 || !mkdtemp(dir))
      fail_msg("no temporary directory");
    (void)atexit(remove_all);
  }
  if (xf_fs_join(path, dir, name)) fail_msg("path too long");
  return path;
}

const char *datatest_file(const char *name, const void *text, size_t len) {
  FILE *f = fopen(place(name), "wb");
  assert_non_null(f);
  assert_int_equal(fwrite(text, 1, len, f), len);
  assert_int_equal(fclose(f), 0);
  return path;
}

const char *datatest_gzip(const char *name, const char *text, size_t keep) {
  gzFile gz = gzopen(place(name), "wb");
  assert_non_null(gz);
  assert_int_equal(gzwrite(gz, text, (unsigned)strlen(text)), strlen(text));
  assert_int_equal(gzclose(gz), Z_OK);
  if (keep == SIZE_MAX) return path;
  static char bytes[1 << 16];
  FILE *f = fopen(path, "rb");
  assert_non_null(f);
  const size_t n = fread(bytes, 1, sizeof bytes, f);
  assert_int_equal(fclose(f), 0);
  assert_true(keep < n);
  return datatest_file(name, bytes, keep);
}

const char *datatest_real(const char *name) {
  static char real[XF_PATH_MAX];
  const char *root = getenv("CROSSFED_DATA");
  if (xf_fs_join(real, root && *root ? root : "../shared/data", name)) return NULL;
  return xf_fs_exists(xf_fs_posix(), real) ? real : NULL;
}

void datatest_says(const struct xf_diag *diag, const char *text) {
  if (!strstr(diag->text, text)) fail_msg("\"%s\" is not in \"%s\"", text, diag->text);
}
