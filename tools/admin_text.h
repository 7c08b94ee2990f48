/*
 * admin_text.h - answers of the admin socket as text for people.
 * Not for: asking (admin_link.h). Owner: the caller's. Thread: main.
 */
#ifndef XF_TOOLS_ADMIN_TEXT_H
#define XF_TOOLS_ADMIN_TEXT_H

#include "base/buf.h"
#include "json/json.h"

/* "41 s", "4 m 10 s", "3 h 2 m", "2 d 1 h". @unit s @own caller's buffer */
const char *xf_admin_ago(char out[32], double seconds);
/* One line behind `head` of a round's "drift"; nothing when there is none. @err E_LIMIT E_NOMEM */
XF_WARN_UNUSED enum xf_rc xf_tool_drift_text(struct xf_buf *out, const struct xf_json_value *drift,
                                             const char *head);
/* The answer to status and to rounds; a missing value is "-". @err E_LIMIT E_NOMEM */
XF_WARN_UNUSED enum xf_rc xf_admin_text_status(struct xf_buf *out,
                                               const struct xf_json_value *reply);
XF_WARN_UNUSED enum xf_rc xf_admin_text_rounds(struct xf_buf *out,
                                               const struct xf_json_value *reply);
/* The answer to pause, resume, drain and reload. @err E_LIMIT E_NOMEM */
XF_WARN_UNUSED enum xf_rc xf_admin_text_done(struct xf_buf *out, const char *command,
                                             const struct xf_json_value *reply);

#endif
