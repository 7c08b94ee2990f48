/*
 * spawn.h - this program again as a child that does not outlive its parent, even one killed by -9.
 * Owner: nobody. Thread: main, without others.
 */
#ifndef XF_EXPER_SPAWN_H
#define XF_EXPER_SPAWN_H

#include "base/diag.h"

#include <sys/types.h>

/* Starts `crossfed argv[1]...` without input or standard output; errors go to the file err_path (replaced).
   @own pid: xf_spawn_wait @err E_IO E_NOMEM */
XF_WARN_UNUSED enum xf_rc xf_spawn(pid_t *pid, char *const *argv, const char *err_path,
                                   struct xf_diag *diag);
/* Waits for any child. @own pid out, -1 when there is none @err exit status; 128 + the signal that ended it */
int xf_spawn_wait(pid_t *pid);
/* The last line of what a child said; "" without. @shape out[cap] */
void xf_spawn_said(char *out, size_t cap, const char *err_path);

#endif
