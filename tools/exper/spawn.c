#include "tools/exper/spawn.h"

#include "base/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SAID_MAX = 1 << 20, CANNOT_START = 127 };

static void child(pid_t parent, char *const *argv, int in, int err) {
  (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(CANNOT_START); /* it died before the line above */
  if (dup2(in, 0) < 0 || dup2(in, 1) < 0 || dup2(err, 2) < 0) _exit(CANNOT_START);
  (void)execv("/proc/self/exe", argv);
  _exit(CANNOT_START);
}

enum xf_rc xf_spawn(pid_t *pid, char *const *argv, const char *err_path, struct xf_diag *diag) {
  const int in = open("/dev/null", O_RDWR | O_CLOEXEC);
  const int err = open(err_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  const pid_t self = getpid();
  enum xf_rc rc = XF_OK;
  if (in < 0 || err < 0)
    rc = xf_diag_set(diag, xf_rc_from_errno(errno), "%s cannot be written: %s", err_path,
                     strerror(errno));
  if (!rc) {
    *pid = fork();
    if (*pid == 0) child(self, argv, in, err);
    if (*pid < 0)
      rc = xf_diag_set(diag, XF_E_NOMEM, "no process can be started: %s", strerror(errno));
  }
  if (in >= 0) (void)close(in);
  if (err >= 0) (void)close(err);
  return rc;
}

int xf_spawn_wait(pid_t *pid) {
  int status = 0;
  do *pid = waitpid(-1, &status, 0);
  while (*pid < 0 && errno == EINTR);
  if (*pid < 0) return -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void xf_spawn_said(char *out, size_t cap, const char *err_path) {
  struct xf_buf text;
  xf_buf_init(&text, SAID_MAX);
  out[0] = '\0';
  if (!xf_fs_read_file(xf_fs_posix(), err_path, &text, NULL)) {
    while (text.len && text.p[text.len - 1] == '\n') text.len--;
    const char *p = xf_buf_cstr(&text), *line = strrchr(p, '\n');
    (void)snprintf(out, cap, "%s", line ? line + 1 : p);
  }
  xf_buf_deinit(&text);
}
