// modules: http base
/* Targets of HTTP requests: whatever the bytes, the reader returns; what it accepts is bounded UTF-8 without NUL, and written
   again with every byte percent-encoded it reads the same. */
#include "base/assert.h"
#include "base/str.h"
#include "http/bind.h"
#include "http/query.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t encode(char *out, const char *s) {
  static const char hex[] = "0123456789ABCDEF";
  size_t n = 0;
  for (; *s; s++) {
    out[n++] = '%';
    out[n++] = hex[(unsigned char)*s >> 4];
    out[n++] = hex[(unsigned char)*s & 15];
  }
  return n;
}

static void text_of(const struct xf_http_query *q, const char *s) {
  XF_ASSERT(s >= q->text && s < q->text + sizeof q->text);
  XF_ASSERT(memchr(s, 0, (size_t)(q->text + sizeof q->text - s)));
  XF_ASSERT(xf_str_is_utf8(s));
}

/* Only what fits again: three bytes for each. */
static void round_trip(const struct xf_http_query *q) {
  static struct xf_http_query again;
  static char target[4 * XF_HTTP_TARGET_MAX + 2 * XF_HTTP_PAIRS + 8];
  size_t n = 0;
  target[n++] = '/';
  n += encode(target + n, q->path + 1);
  target[n++] = '?';
  for (size_t i = 0; i < q->n; i++) {
    n += encode(target + n, q->pair[i].name);
    target[n++] = '=';
    n += encode(target + n, q->pair[i].value);
    target[n++] = '&';
  }
  const enum xf_rc rc = xf_http_query_parse(&again, target, n, NULL);
  XF_ASSERT(rc == (n > XF_HTTP_TARGET_MAX ? XF_E_LIMIT : XF_OK));
  if (rc) return;
  XF_ASSERT(again.n == q->n && strcmp(again.path, q->path) == 0);
  for (size_t i = 0; i < q->n; i++)
    XF_ASSERT(!strcmp(again.pair[i].name, q->pair[i].name) &&
              !strcmp(again.pair[i].value, q->pair[i].value));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const struct xf_http_param known[] = {{"user", false}, {"history", true}, {"k", false}};
  static struct xf_http_query q;
  struct xf_http_address address;
  struct xf_diag diag;
  char text[64];
  xf_diag_init(&diag);
  const enum xf_rc rc = xf_http_query_parse(&q, (const char *)data, size, &diag);
  XF_ASSERT(q.n <= XF_HTTP_PAIRS);
  if (rc) {
    XF_ASSERT(diag.text[0]);
  } else {
    text_of(&q, q.path);
    XF_ASSERT(q.path[0] == '/');
    for (size_t i = 0; i < q.n; i++) {
      text_of(&q, q.pair[i].name);
      text_of(&q, q.pair[i].value);
    }
    uint32_t k = 0;
    bool on = false;
    if (!xf_http_query_uint(&q, "k", &k, 10, 1, 1000, &diag)) XF_ASSERT(k >= 1 && k <= 1000);
    (void)!xf_http_query_bool(&q, "explain", &on, &diag);
    (void)!xf_http_query_check(&q, known, 3, &diag);
    round_trip(&q);
  }
  const size_t n = size < sizeof text - 1 ? size : sizeof text - 1;
  memcpy(text, data, n);
  text[n] = '\0';
  (void)!xf_http_address_parse(&address, text, &diag);
  (void)xf_http_host_is_local(text);
  return 0;
}
