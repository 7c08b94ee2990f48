/* Which build of this program ran a cell. */
#include "crypto/blake2b.h"
#include "tools/exper/sweep.h"

#include <string.h>

enum { PROGRAM_MAX = 1 << 30, LINE_MAX_LEN = XF_DIGEST_HEX + 1 };

static const char file_name[] = "program.txt";

static void line_of(char line[LINE_MAX_LEN], const struct xf_digest *program) {
  (void)xf_digest_print(line, program);
  memcpy(line + XF_DIGEST_HEX - 1, "\n", 2);
}

enum xf_rc xf_sweep_program(struct xf_sweep *s, struct xf_diag *diag) {
  struct xf_buf text;
  xf_buf_init(&text, PROGRAM_MAX);
  const enum xf_rc rc = xf_fs_read_file(xf_fs_posix(), "/proc/self/exe", &text, diag);
  if (!rc) xf_blake2b(&s->program, text.p, text.len);
  xf_buf_deinit(&text);
  return rc;
}

enum xf_rc xf_sweep_sign(const struct xf_sweep *s, const char *dir, struct xf_diag *diag) {
  char path[XF_PATH_MAX], line[LINE_MAX_LEN];
  const enum xf_rc rc = xf_fs_join(path, dir, file_name);
  if (rc) return xf_diag_set(diag, rc, "the path \"%.64s...\" is too long", dir);
  line_of(line, &s->program);
  return xf_fs_replace(xf_fs_posix(), path, line, strlen(line), diag);
}

bool xf_sweep_signed(const struct xf_sweep *s, const char *dir) {
  char path[XF_PATH_MAX], line[LINE_MAX_LEN];
  struct xf_buf text;
  xf_buf_init(&text, 4096);
  line_of(line, &s->program);
  const bool same = !xf_fs_join(path, dir, file_name) &&
                    !xf_fs_read_file(xf_fs_posix(), path, &text, NULL) &&
                    strcmp(xf_buf_cstr(&text), line) == 0;
  xf_buf_deinit(&text);
  return same;
}
