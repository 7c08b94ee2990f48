/*
 * inspect.h - between the files of `crossfed inspect`: what a model file or a silo's state holds, as JSON.
 * Not for: other verbs. Owner: the writer is the caller's. Thread: main.
 */
#ifndef XF_TOOLS_INSPECT_H
#define XF_TOOLS_INSPECT_H

#include "base/diag.h"
#include "json/jsonw.h"

/* A safetensors file: metadata and tensors with shape and norms; of a checkpoint also whether its digests hold.
   Keys go into the open object. @err E_CORRUPT (also when a digest differs) and those of safetensors */
XF_WARN_UNUSED enum xf_rc xf_inspect_file(struct xf_jsonw *w, const char *path,
                                          struct xf_diag *diag);
/* A silo's state directory: whom it belongs to, updates that wait or went, the odometer. @err as xf_outbox_open_read */
XF_WARN_UNUSED enum xf_rc xf_inspect_silo(struct xf_jsonw *w, const char *dir,
                                          struct xf_diag *diag);

#endif
