// modules: json base
/* JSON of files, headers and the admin socket: whatever the bytes, the reader returns; what it accepts can be walked, within
   its limits, and a refusal has a sentence. */
#include "base/assert.h"
#include "json/json.h"

#include <math.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { DEPTH = 8 };

struct walk {
  uint32_t depth;
};

static enum xf_rc visit(void *arg, const char *key, const struct xf_json_value *v) {
  struct walk *w = arg;
  const char *s = NULL;
  double d = 0;
  int64_t i = 0;
  uint64_t u = 0;
  bool b = false;
  XF_ASSERT(key && w->depth <= DEPTH);
  const enum xf_json_kind kind = xf_json_kind_of(v);
  XF_ASSERT(kind != XF_JSON_ABSENT);
  XF_ASSERT(xf_json_str(v, &s) == (kind == XF_JSON_STRING) && (!s || strlen(s) < 1 << 16));
  XF_ASSERT(xf_json_bool(v, &b) == (kind == XF_JSON_BOOL));
  XF_ASSERT(xf_json_int(v, &i) == (kind == XF_JSON_INT));
  XF_ASSERT(!xf_json_uint(v, &u) || (kind == XF_JSON_INT && i >= 0 && u == (uint64_t)i));
  if (xf_json_double(v, &d)) XF_ASSERT(isfinite(d));
  w->depth++;
  enum xf_rc rc = XF_OK;
  if (kind == XF_JSON_OBJECT) rc = xf_json_each(v, visit, w);
  for (size_t k = 0; kind == XF_JSON_ARRAY && !rc && k < xf_json_len(v); k++)
    rc = visit(w, "", xf_json_at(v, k));
  w->depth--;
  return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const char *const keys[] = {"v", "cmd", "last", "metrics"};
  const struct xf_json_limits limits = {.max_len = 1 << 16, .max_depth = DEPTH};
  struct xf_json *json = NULL;
  struct xf_diag diag;
  xf_diag_init(&diag);
  enum xf_rc rc = xf_json_parse(&json, "fuzz", (const char *)data, size, &limits, &diag);
  if (rc) {
    XF_ASSERT(!json && diag.text[0]);
    return 0;
  }
  const struct xf_json_value *root = xf_json_root(json);
  struct walk w = {0};
  uint64_t u = 0;
  XF_ASSERT(visit(&w, "", root) == XF_OK);
  if (xf_json_kind_of(root) == XF_JSON_OBJECT) {
    (void)!xf_json_check_keys(root, keys, 4, &diag);
    (void)!xf_json_get_uint(root, "v", &u, &diag);
  }
  xf_json_free(json);
  return 0;
}
