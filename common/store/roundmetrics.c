#include "store/roundmetrics.h"

#include "json/json.h"

#include <string.h>

static bool is(const struct xf_json_value *line, const char *key, const char *want) {
  const char *text = "";
  return xf_json_str(xf_json_find(line, key), &text) && strcmp(text, want) == 0;
}

enum xf_rc xf_roundmetrics_valid(double *sum, uint64_t *count, const char *json, const char *name,
                                 struct xf_diag *diag) {
  const struct xf_json_limits wide = {.max_len = 64 << 20, .max_depth = 8};
  struct xf_json *doc = NULL;
  *sum = 0;
  *count = 0;
  if (!json || !json[0]) return XF_OK;
  const enum xf_rc rc = xf_json_parse(&doc, "ledger metrics", json, strlen(json), &wide, diag);
  if (rc) return rc;
  const struct xf_json_value *lines = xf_json_find(xf_json_root(doc), "lines");
  for (size_t i = 0; i < xf_json_len(lines); i++) {
    const struct xf_json_value *l = xf_json_at(lines, i);
    if (!is(l, "scope", "global") || !is(l, "arm", "federated") || !is(l, "split", "valid"))
      continue;
    const struct xf_json_value *v = xf_json_find(xf_json_find(l, "values"), name);
    if (xf_json_double(xf_json_at(v, 0), sum) && xf_json_uint(xf_json_at(v, 1), count)) break;
    *sum = 0;
    *count = 0;
  }
  xf_json_free(doc);
  return XF_OK;
}
