#include "base/log.h"

#include "base/buf.h"
#include "base/time.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { LOG_LINE_MAX = 4096, LOG_NAME_MAX = 128 };

static struct {
  pthread_mutex_t lock;
  int fd;
  _Atomic int file_fd;
  enum xf_log_format format;
  _Atomic int level;
  _Atomic int file_level;
  char node[LOG_NAME_MAX];
  char run[LOG_NAME_MAX];
} log_sink = {.lock = PTHREAD_MUTEX_INITIALIZER,
              .fd = 2,
              .file_fd = -1,
              .format = XF_LOG_AUTO,
              .level = XF_LOG_INFO};

static const char *const level_names[] = {
#define LEVEL_NAME(n, t) t,
    XF_LOG_LEVELS(LEVEL_NAME)
#undef LEVEL_NAME
};

static void log_copy(char out[LOG_NAME_MAX], const char *s) {
  (void)snprintf(out, LOG_NAME_MAX, "%s", s ? s : "");
}

void xf_log_start(int fd, enum xf_log_format format, enum xf_log_level level, const char *node) {
  pthread_mutex_lock(&log_sink.lock);
  log_sink.fd = fd;
  log_sink.format = format != XF_LOG_AUTO ? format : isatty(fd) ? XF_LOG_LOGFMT : XF_LOG_JSON;
  log_sink.level = (int)level;
  log_copy(log_sink.node, node);
  pthread_mutex_unlock(&log_sink.lock);
}

void xf_log_set_run(const char *run) {
  pthread_mutex_lock(&log_sink.lock);
  log_copy(log_sink.run, run);
  pthread_mutex_unlock(&log_sink.lock);
}

void xf_log_set_level(enum xf_log_level level) { log_sink.level = (int)level; }

void xf_log_set_file(int fd, enum xf_log_level level) {
  pthread_mutex_lock(&log_sink.lock);
  log_sink.file_level = (int)level;
  log_sink.file_fd = fd;
  pthread_mutex_unlock(&log_sink.lock);
}

enum xf_rc xf_log_level_parse(enum xf_log_level *out, const char *s) {
  for (size_t i = 0; i < sizeof level_names / sizeof level_names[0]; i++)
    if (strcmp(level_names[i], s) == 0) {
      *out = (enum xf_log_level)i;
      return XF_OK;
    }
  return XF_E_INVAL;
}

enum xf_rc xf_log_format_parse(enum xf_log_format *out, const char *s) {
  if (strcmp(s, "auto") == 0) *out = XF_LOG_AUTO;
  else if (strcmp(s, "logfmt") == 0) *out = XF_LOG_LOGFMT;
  else if (strcmp(s, "json") == 0) *out = XF_LOG_JSON;
  else return XF_E_INVAL;
  return XF_OK;
}

bool xf_log_enabled(enum xf_log_level level) {
  return (int)level >= log_sink.level ||
         (log_sink.file_fd >= 0 && (int)level >= log_sink.file_level);
}

/* Bounded appends. A value is cut at VALUE_MAX bytes and a field that does not fit is left out, so a line is
   always whole JSON; `truncated` then says so. */
enum { VALUE_MAX = 2048, LINE_RESERVE = 32 };

struct line {
  char p[LOG_LINE_MAX];
  size_t len;
  bool full;
};

static void line_put(struct line *l, const char *s, size_t n) {
  if (n > sizeof l->p - LINE_RESERVE - l->len) l->full = true;
  if (l->full) return;
  memcpy(l->p + l->len, s, n);
  l->len += n;
}

static void line_puts(struct line *l, const char *s) { line_put(l, s, strlen(s)); }

/* Length of the UTF-8 sequence at s (NUL-terminated), or 0 when it is malformed, overlong or a surrogate. */
static size_t utf8_len(const char *s) {
  const unsigned char *u = (const unsigned char *)s;
  size_t n = u[0] < 0x80   ? 1
             : u[0] < 0xC2 ? 0
             : u[0] < 0xE0 ? 2
             : u[0] < 0xF0 ? 3
             : u[0] < 0xF5 ? 4
                           : 0;
  for (size_t i = 1; i < n; i++)
    if ((u[i] & 0xC0) != 0x80) return 0;
  if (u[0] == 0xE0 && u[1] < 0xA0) return 0;
  if (u[0] == 0xED && u[1] > 0x9F) return 0;
  if (u[0] == 0xF0 && u[1] < 0x90) return 0;
  if (u[0] == 0xF4 && u[1] > 0x8F) return 0;
  return n;
}

/* Control characters (ASCII, DEL and C1) could drive a terminal: they are always written as \u00XX. */
static bool is_control(const char *s) {
  const unsigned char *u = (const unsigned char *)s;
  return u[0] < 0x20 || u[0] == 0x7F || (u[0] == 0xC2 && u[1] < 0xA0);
}

static void line_quoted(struct line *l, const char *s) {
  char esc[8];
  size_t start = l->len;
  line_puts(l, "\"");
  while (*s && l->len - start < VALUE_MAX) {
    size_t n = utf8_len(s);
    if (n == 0) {
      line_puts(l, "\\ufffd");
      s++;
      continue;
    }
    if (is_control(s)) {
      (void)snprintf(esc, sizeof esc, "\\u%04x", (unsigned char)s[n - 1]);
      line_puts(l, esc);
    } else {
      if (*s == '"' || *s == '\\') line_puts(l, "\\");
      line_put(l, s, n);
    }
    s += n;
  }
  line_puts(l, *s ? "...\"" : "\"");
}

/* logfmt: bare words stay bare. */
static bool needs_quotes(const char *s) {
  if (!*s) return true;
  for (; *s; s++)
    if (*s <= ' ' || *s >= 0x7F || *s == '"' || *s == '=' || *s == '\\') return true;
  return false;
}

static void line_value(struct line *l, const struct xf_log_field *f, bool json) {
  char num[40];
  switch (f->type) {
  case XF_LOG_STR:
    if (json || needs_quotes(f->v.s ? f->v.s : "") || strlen(f->v.s) > VALUE_MAX)
      line_quoted(l, f->v.s ? f->v.s : "");
    else line_puts(l, f->v.s);
    return;
  case XF_LOG_INT: (void)snprintf(num, sizeof num, "%lld", (long long)f->v.i); break;
  case XF_LOG_UINT: (void)snprintf(num, sizeof num, "%llu", (unsigned long long)f->v.u); break;
  case XF_LOG_FLOAT:
    if (isfinite(f->v.f)) (void)snprintf(num, sizeof num, "%.6g", f->v.f);
    else (void)snprintf(num, sizeof num, "null");
    break;
  case XF_LOG_BOOL: (void)snprintf(num, sizeof num, "%s", f->v.i ? "true" : "false"); break;
  case XF_LOG_END: return;
  }
  line_puts(l, num);
}

static void line_field(struct line *l, const struct xf_log_field *f, bool json) {
  size_t before = l->len;
  if (l->full) return;
  if (l->len > 1) line_puts(l, json ? "," : " ");
  if (json) {
    line_quoted(l, f->key);
    line_puts(l, ":");
  } else {
    line_puts(l, f->key);
    line_puts(l, "=");
  }
  line_value(l, f, json);
  if (l->full) l->len = before;
}

static void line_build(struct line *l, bool json, enum xf_log_level level, const char *event,
                       const struct xf_log_field *fields) {
  char ts[XF_WALL_LEN];
  l->len = 0;
  l->full = false;
  if (json) line_puts(l, "{");
  line_field(l, &XF_S("ts", xf_wall_print(ts, xf_wall_now_us())), json);
  line_field(l, &XF_S("level", level_names[level]), json);
  if (log_sink.node[0]) line_field(l, &XF_S("node", log_sink.node), json);
  line_field(l, &XF_S("event", event), json);
  if (log_sink.run[0]) line_field(l, &XF_S("run", log_sink.run), json);
  for (; fields->type != XF_LOG_END; fields++) line_field(l, fields, json);
  const char *end = !l->full ? "" : json ? ",\"truncated\":true" : " truncated=true";
  int n = snprintf(l->p + l->len, LINE_RESERVE, "%s%s\n", end, json ? "}" : "");
  if (n > 0) l->len += (size_t)n;
}

static void line_write(int fd, const struct line *l) {
  size_t at = 0;
  while (at < l->len) {
    ssize_t n = write(fd, l->p + at, l->len - at);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return; /* a broken log sink must not stop a round */
    at += (size_t)n;
  }
}

void xf_log_fields(enum xf_log_level level, const char *event, const struct xf_log_field *fields) {
  if (!xf_log_enabled(level)) return;
  struct line l;
  pthread_mutex_lock(&log_sink.lock);
  if ((int)level >= log_sink.level) {
    if (log_sink.format == XF_LOG_AUTO)
      log_sink.format = isatty(log_sink.fd) ? XF_LOG_LOGFMT : XF_LOG_JSON;
    line_build(&l, log_sink.format == XF_LOG_JSON, level, event, fields);
    line_write(log_sink.fd, &l);
  }
  if (log_sink.file_fd >= 0 && (int)level >= log_sink.file_level) {
    line_build(&l, true, level, event, fields);
    line_write(log_sink.file_fd, &l);
  }
  pthread_mutex_unlock(&log_sink.lock);
}
