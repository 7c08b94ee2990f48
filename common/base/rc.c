#include "base/rc.h"

#include <errno.h>
#include <stddef.h>

struct rc_row {
  enum xf_rc rc;
  const char *name;
  const char *text;
  bool retryable;
};

static const struct rc_row rows[] = {
#define RC_ROW(n, value, t, retry) {.rc = XF_##n, .name = #n, .text = t, .retryable = retry},
    XF_RC_LIST(RC_ROW)
#undef RC_ROW
};

static const struct rc_row *rc_row_find(enum xf_rc rc) {
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
    if (rows[i].rc == rc) return &rows[i];
  return NULL;
}

const char *xf_rc_name(enum xf_rc rc) {
  const struct rc_row *r = rc_row_find(rc);
  return r ? r->name : "E_UNKNOWN";
}

const char *xf_rc_text(enum xf_rc rc) {
  const struct rc_row *r = rc_row_find(rc);
  return r ? r->text : "unknown error code";
}

bool xf_rc_retryable(enum xf_rc rc) {
  const struct rc_row *r = rc_row_find(rc);
  return r && r->retryable;
}

enum xf_rc xf_rc_from_errno(int err) {
  switch (err) {
  case ENOSPC:
  case EDQUOT: return XF_E_NOSPACE;
  case ENOENT: return XF_E_NOTFOUND;
  case EEXIST: return XF_E_EXISTS;
  case ENOMEM: return XF_E_NOMEM;
  case EAGAIN: return XF_E_AGAIN;
  case EACCES:
  case EPERM: return XF_E_AUTH;
  default: return XF_E_IO;
  }
}

int xf_rc_exit(enum xf_rc rc) {
  switch (rc) {
  case XF_OK: return XF_EXIT_OK;
  case XF_E_CONFIG: return XF_EXIT_CONFIG;
  case XF_E_UNREACHABLE:
  case XF_E_TIMEOUT: return XF_EXIT_UNREACHABLE;
  case XF_E_AUTH: return XF_EXIT_AUTH;
  case XF_E_VERSION: return XF_EXIT_VERSION;
  case XF_E_LOCKED:
  case XF_E_CORRUPT: return XF_EXIT_STATE;
  case XF_E_NOSPACE:
  case XF_E_NOMEM:
  case XF_E_LIMIT: return XF_EXIT_NOSPACE;
  default: return XF_EXIT_FAILED;
  }
}
