/*
 * admin_link.h - one question to a running coordinator: a JSON line over its UNIX socket, one JSON line back.
 * Not for: what the lines mean (admin.c). Owner: the caller's buffer. Thread: main.
 */
#ifndef XF_TOOLS_ADMIN_LINK_H
#define XF_TOOLS_ADMIN_LINK_H

#include "base/buf.h"
#include "base/diag.h"

/* Sends `request` (one line, with its newline) and reads the answer, without its newline, into `reply`.
   @unit s timeout_s, of everything @err E_UNREACHABLE (nobody listens) E_TIMEOUT E_AUTH E_LIMIT E_EOF E_IO */
XF_WARN_UNUSED enum xf_rc xf_admin_link(const char *path, const char *request, double timeout_s,
                                        struct xf_buf *reply, struct xf_diag *diag);

#endif
