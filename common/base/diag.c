#include "base/diag.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void xf_diag_init(struct xf_diag *diag) {
  if (!diag) return;
  diag->rc = XF_OK;
  diag->text[0] = '\0';
}

enum xf_rc xf_diag_set(struct xf_diag *diag, enum xf_rc rc, const char *fmt, ...) {
  if (!diag) return rc;
  va_list ap;
  va_start(ap, fmt);
  diag->rc = rc;
  if (vsnprintf(diag->text, sizeof diag->text, fmt, ap) < 0) diag->text[0] = '\0';
  va_end(ap);
  return rc;
}

enum xf_rc xf_diag_prefix(struct xf_diag *diag, enum xf_rc rc, const char *fmt, ...) {
  if (!diag) return rc;
  char old[XF_DIAG_LEN];
  memcpy(old, xf_diag_text(diag, rc), strnlen(xf_diag_text(diag, rc), sizeof old - 1) + 1);
  old[sizeof old - 1] = '\0';
  va_list ap;
  va_start(ap, fmt);
  int n = vsnprintf(diag->text, sizeof diag->text, fmt, ap);
  va_end(ap);
  if (n < 0) n = 0;
  if ((size_t)n < sizeof diag->text) {
    size_t at = (size_t)n;
    int m = snprintf(diag->text + at, sizeof diag->text - at, ": %s", old);
    if (m < 0) diag->text[at] = '\0';
  }
  diag->rc = rc;
  return rc;
}

const char *xf_diag_text(const struct xf_diag *diag, enum xf_rc rc) {
  return diag && diag->text[0] ? diag->text : xf_rc_text(rc);
}
