/*
 * pki_show.h - private to `crossfed pki`: prints files of the CA for people and as JSON.
 * Not for: libraries. Owner: nothing is kept. Thread: main.
 */
#ifndef XF_TOOLS_PKI_SHOW_H
#define XF_TOOLS_PKI_SHOW_H

#include "base/diag.h"
#include "base/time.h"

#include <stdbool.h>
#include <stdint.h>

/* Prints what a PEM file says or, of a directory, the certificates its CA has issued.
   @err E_NOTFOUND E_FORMAT E_IO */
XF_WARN_UNUSED enum xf_rc xf_tool_pki_show(const char *path, bool json, int64_t now_s,
                                           struct xf_diag *diag);
/* UTC text to the second; returns out. @own caller's buffer */
const char *xf_tool_pki_time(char out[XF_WALL_LEN], int64_t s);

#endif
