/*
 * json_out.h - between the verbs: the one JSON object of --json on its way to stdout.
 * Not for: writing it (json/jsonw.h). Owner: buffer and writer are the caller's. Thread: main.
 */
#ifndef XF_TOOLS_JSON_OUT_H
#define XF_TOOLS_JSON_OUT_H

#include "json/jsonw.h"

/* Finishes the object and prints it as a line; after an error nothing has been printed.
   @err those of xf_jsonw_finish, E_IO */
XF_WARN_UNUSED enum xf_rc xf_tool_json(struct xf_buf *buf, struct xf_jsonw *w);

#endif
