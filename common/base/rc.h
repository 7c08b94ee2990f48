/*
 * rc.h - the one list of error codes. Every fallible function returns `enum xf_rc`;
 * XF_OK is 0 and everything else is negative, so `if (rc)` reads naturally.
 *
 * Not for: human explanations (see diag.h). The text here is the short generic sentence.
 * Thread: constant data, any thread.
 */
#ifndef XF_BASE_RC_H
#define XF_BASE_RC_H

#include <stdbool.h>

#define XF_WARN_UNUSED __attribute__((warn_unused_result))

/* X(name, value, text, retryable) */
#define XF_RC_LIST(X)                                                   \
  X(OK, 0, "ok", false)                                                 \
  X(E_AGAIN, -1, "would exceed a bound now; try again later", true)     \
  X(E_NOMEM, -2, "not enough memory for a size taken from input", true) \
  X(E_INVAL, -3, "invalid argument or value", false)                    \
  X(E_RANGE, -4, "number out of range", false)                          \
  X(E_FORMAT, -5, "malformed input", false)                             \
  X(E_LIMIT, -6, "input exceeds a limit", false)                        \
  X(E_SHAPE, -7, "shape or length does not fit", false)                 \
  X(E_NAN, -8, "value is NaN or infinite", false)                       \
  X(E_IO, -9, "input/output error", false)                              \
  X(E_NOSPACE, -10, "no space left", true)                              \
  X(E_NOTFOUND, -11, "not found", false)                                \
  X(E_EXISTS, -12, "already exists", false)                             \
  X(E_LOCKED, -13, "in use by another process", true)                   \
  X(E_CORRUPT, -14, "stored or transferred bytes are damaged", true)    \
  X(E_VERSION, -15, "incompatible version", false)                      \
  X(E_AUTH, -16, "not authorised", false)                               \
  X(E_POLICY, -17, "refused by policy", false)                          \
  X(E_CONFIG, -18, "bad configuration", false)                          \
  X(E_STATE, -19, "not possible in this state", false)                  \
  X(E_CONFLICT, -20, "conflicts with what is already recorded", false)  \
  X(E_STALE, -21, "based on another model version", false)              \
  X(E_LATE, -22, "arrived after its round had closed", false)           \
  X(E_TIMEOUT, -23, "timed out", true)                                  \
  X(E_UNREACHABLE, -24, "peer unreachable", true)                       \
  X(E_CANCELLED, -25, "cancelled", true)                                \
  X(E_UNSUPPORTED, -26, "not supported", false)                         \
  X(E_CRYPTO, -27, "cryptographic operation failed", false)             \
  X(E_EOF, -28, "end of input", false)

enum xf_rc {
#define XF_RC_ENUM(name, value, text, retry) XF_##name = value,
  XF_RC_LIST(XF_RC_ENUM)
#undef XF_RC_ENUM
};

/* Name of a code without prefix, e.g. "E_STALE"; "E_UNKNOWN" for a foreign number. @own static */
const char *xf_rc_name(enum xf_rc rc);
/* Generic one-clause text of a code. @own static */
const char *xf_rc_text(enum xf_rc rc);
/* Whether repeating the same call later may succeed. @thread any */
bool xf_rc_retryable(enum xf_rc rc);
/* Maps errno to a code (ENOSPC -> E_NOSPACE, ENOENT -> E_NOTFOUND, else E_IO). @err never 0 */
enum xf_rc xf_rc_from_errno(int err);

/* Exit statuses of the three programs (design.md section 7). */
enum xf_exit {
  XF_EXIT_OK = 0,
  XF_EXIT_FAILED = 1,
  XF_EXIT_USAGE = 2,
  XF_EXIT_CONDITION = 3,
  XF_EXIT_UNREACHABLE = 4,
  XF_EXIT_AUTH = 5,
  XF_EXIT_VERSION = 6,
  XF_EXIT_STATE = 7,
  XF_EXIT_NOSPACE = 8,
  XF_EXIT_CONFIG = 78
};
/* Exit status that stands for an error code. @thread any */
int xf_rc_exit(enum xf_rc rc);

#endif
