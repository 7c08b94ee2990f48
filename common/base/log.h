/*
 * log.h - structured logging: an event name and typed fields, as logfmt on a terminal or JSON lines.
 *
 *   xf_log(XF_LOG_INFO, "round_committed", XF_U("round", r), XF_F("dur_s", s), XF_S("reason", text));
 *
 * Field names are fixed (`ts level event run round client ...`) with unit suffixes (`_s`, `_bytes`).
 * Never log tensors, user ids or item ids. One process-wide sink, set once at start (and on SIGHUP).
 * Thread: any; each line is one write.
 */
#ifndef XF_BASE_LOG_H
#define XF_BASE_LOG_H

#include "base/rc.h"

#include <stddef.h>
#include <stdint.h>

/* X(NAME, text) */
#define XF_LOG_LEVELS(X) \
  X(DEBUG, "debug")      \
  X(INFO, "info")        \
  X(WARN, "warn")        \
  X(ERROR, "error")

enum xf_log_level {
#define XF_LOG_ENUM(n, t) XF_LOG_##n,
  XF_LOG_LEVELS(XF_LOG_ENUM)
#undef XF_LOG_ENUM
};

enum xf_log_format { XF_LOG_AUTO, XF_LOG_LOGFMT, XF_LOG_JSON };

enum xf_log_type { XF_LOG_END, XF_LOG_STR, XF_LOG_INT, XF_LOG_UINT, XF_LOG_FLOAT, XF_LOG_BOOL };

struct xf_log_field {
  const char *key;
  enum xf_log_type type;
  union {
    const char *s;
    int64_t i;
    uint64_t u;
    double f;
  } v;
};

#define XF_S(k, x) ((struct xf_log_field){(k), XF_LOG_STR, {.s = (x)}})
#define XF_I(k, x) ((struct xf_log_field){(k), XF_LOG_INT, {.i = (x)}})
#define XF_U(k, x) ((struct xf_log_field){(k), XF_LOG_UINT, {.u = (x)}})
#define XF_F(k, x) ((struct xf_log_field){(k), XF_LOG_FLOAT, {.f = (x)}})
#define XF_B(k, x) ((struct xf_log_field){(k), XF_LOG_BOOL, {.i = (x) ? 1 : 0}})

/* Process-wide set-up; fd 2 and AUTO by default. AUTO = logfmt on a terminal, JSON otherwise.
   `node` (may be NULL) is added to each line as "node". @own copies node */
void xf_log_start(int fd, enum xf_log_format format, enum xf_log_level level, const char *node);
/* Sets the "run" field of later lines (NULL: none). @own copies */
void xf_log_set_run(const char *run);
/* Sets the minimum level. @thread any */
void xf_log_set_level(enum xf_log_level level);
/* A second sink that gets every line at or above `level` as JSON (the run's log.jsonl); -1: none.
   @thread any */
void xf_log_set_file(int fd, enum xf_log_level level);
/* Parses "debug|info|warn|error" / "auto|logfmt|json". @err E_INVAL */
XF_WARN_UNUSED enum xf_rc xf_log_level_parse(enum xf_log_level *out, const char *s);
XF_WARN_UNUSED enum xf_rc xf_log_format_parse(enum xf_log_format *out, const char *s);
/* Whether a line at this level would be written. @thread any */
bool xf_log_enabled(enum xf_log_level level);

/* Writes one line; fields end with XF_LOG_END (added by the macro). @thread any */
void xf_log_fields(enum xf_log_level level, const char *event, const struct xf_log_field *fields);
#define xf_log(level, event, ...) \
  xf_log_fields((level), (event), (const struct xf_log_field[]){__VA_ARGS__ __VA_OPT__(, ){0}})

#endif
