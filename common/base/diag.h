/*
 * diag.h - the human explanation of an error: what, where, the actual value, and the fix.
 *
 * Used at the seams where a person reads it (config, data, certificates, checkpoints, plans).
 * Not for: control flow; that is the returned `enum xf_rc`.
 * Owner: the caller's stack or struct; no allocation. Thread: one owner at a time.
 */
#ifndef XF_BASE_DIAG_H
#define XF_BASE_DIAG_H

#include "base/rc.h"

enum { XF_DIAG_LEN = 640 };

struct xf_diag {
  enum xf_rc rc;
  char text[XF_DIAG_LEN];
};

/* Resets to "no error". A NULL diag is legal everywhere below. @own caller */
void xf_diag_init(struct xf_diag *diag);
/* Records `rc` with a formatted sentence (no trailing newline) and returns `rc`, so that
   `return xf_diag_set(diag, XF_E_FORMAT, "...")` reads as one step. Truncates safely. @err rc */
enum xf_rc xf_diag_set(struct xf_diag *diag, enum xf_rc rc, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Puts "prefix: " before the recorded sentence (adds the place as errors travel up). @err diag->rc */
enum xf_rc xf_diag_prefix(struct xf_diag *diag, enum xf_rc rc, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* The sentence, or the generic text of rc when none was recorded. @own diag */
const char *xf_diag_text(const struct xf_diag *diag, enum xf_rc rc);

#endif
