/* Names of metrics and protocols. */
#include "plan/metric.h"

#include "base/str.h"

#include <stdio.h>
#include <string.h>

struct row {
  const char *text;
  bool takes_k, ranks, up;
};

#define ROW(name, text, takes_k, ranks, up) {text, takes_k, ranks, up},
static const struct row rows[] = {XF_METRIC_LIST(ROW)};
enum { N_ROWS = sizeof rows / sizeof rows[0] };

const char *xf_metric_text(enum xf_metric_kind kind) { return rows[kind].text; }
bool xf_metric_is_ranking(enum xf_metric_kind kind) { return rows[kind].ranks; }
bool xf_metric_is_better_up(enum xf_metric_kind kind) { return rows[kind].up; }

static enum xf_rc unknown(const char *text, struct xf_diag *diag) {
  const char *words[N_ROWS];
  for (size_t i = 0; i < N_ROWS; i++) words[i] = rows[i].text;
  char name[32];
  size_t n = strcspn(text, "@");
  if (n >= sizeof name) n = sizeof name - 1;
  memcpy(name, text, n);
  name[n] = '\0';
  const char *near = xf_str_closest(name, words, N_ROWS);
  return xf_diag_set(diag, XF_E_FORMAT,
                     "unknown metric \"%.40s\"%s%s%s; there are: hr@k, ndcg@k, "
                     "recall@k, precision@k, mrr, auc, acc, rmse, logloss",
                     text, near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
}

static const char ADAPT[] = "@adapt";

size_t xf_metric_plain(const char *text) {
  const char *at = strstr(text, ADAPT);
  return at ? (size_t)(at - text) : strlen(text);
}

/* The K of "@adaptK", which a list length cannot stand beside. */
static enum xf_rc parse_adapt(uint32_t *adapt, const char *text, bool takes_k,
                              struct xf_diag *diag) {
  const char *k = text + xf_metric_plain(text) + sizeof ADAPT - 1;
  uint64_t steps = 0;
  if (takes_k)
    return xf_diag_set(diag, XF_E_FORMAT, "metric \"%.40s\": lists of items are not adapted", text);
  if (k[0] == '0' || xf_str_u64(&steps, k, strlen(k)) || steps < 1 || steps > XF_METRIC_ADAPT_MAX)
    return xf_diag_set(diag, XF_E_FORMAT, "metric \"%.40s\": @adapt takes 1 to %d steps", text,
                       XF_METRIC_ADAPT_MAX);
  *adapt = (uint32_t)steps;
  return XF_OK;
}

enum xf_rc xf_metric_parse(struct xf_metric *out, const char *text, struct xf_diag *diag) {
  size_t n = strcspn(text, "@");
  for (size_t i = 0; i < N_ROWS; i++) {
    if (strlen(rows[i].text) != n || strncmp(rows[i].text, text, n) != 0) continue;
    uint64_t k = 0;
    uint32_t adapt = 0;
    if (strncmp(text + n, ADAPT, sizeof ADAPT - 1) == 0) {
      const enum xf_rc rc = parse_adapt(&adapt, text, rows[i].takes_k, diag);
      *out = (struct xf_metric){.kind = (enum xf_metric_kind)i, .adapt = adapt};
      return rc;
    }
    bool has_k = text[n] == '@';
    if (has_k && !rows[i].takes_k)
      return xf_diag_set(diag, XF_E_FORMAT, "metric \"%s\" takes no list length; write \"%s\"",
                         text, rows[i].text);
    if (!has_k && rows[i].takes_k)
      return xf_diag_set(diag, XF_E_FORMAT, "metric \"%s\" needs a list length, e.g. \"%s@10\"",
                         text, text);
    if (has_k && (xf_str_u64(&k, text + n + 1, strlen(text + n + 1)) || k < 1 ||
                  k > XF_METRIC_K_MAX || text[n + 1] == '0'))
      return xf_diag_set(diag, XF_E_FORMAT, "metric \"%.40s\": the list length is 1 to %d", text,
                         XF_METRIC_K_MAX);
    *out = (struct xf_metric){.kind = (enum xf_metric_kind)i, .k = (uint32_t)k};
    return XF_OK;
  }
  return unknown(text, diag);
}

enum xf_rc xf_metric_protocol_parse(uint32_t *n_negatives, const char *text, struct xf_diag *diag) {
  uint64_t n = 0;
  *n_negatives = 0;
  if (strcmp(text, "full") == 0) return XF_OK;
  if (text[0] != 's' || text[1] == '0' || xf_str_u64(&n, text + 1, strlen(text + 1)) || n < 1 ||
      n > XF_METRIC_SAMPLES_MAX)
    return xf_diag_set(diag, XF_E_FORMAT,
                       "unknown protocol \"%.40s\"; write full, or s1 to s%d (sampled negatives)",
                       text, XF_METRIC_SAMPLES_MAX);
  *n_negatives = (uint32_t)n;
  return XF_OK;
}

const char *xf_metric_key(char out[XF_METRIC_KEY_MAX], struct xf_metric metric,
                          const char *protocol) {
  char k[24] = "";
  int n = metric.k ? snprintf(k, sizeof k, "_%u", metric.k) : 0;
  if (metric.adapt) n = snprintf(k, sizeof k, "_adapt%u", metric.adapt);
  if (n >= 0)
    n = snprintf(out, XF_METRIC_KEY_MAX, "%s%s%s%s", rows[metric.kind].text, k, protocol ? "_" : "",
                 protocol ? protocol : "");
  if (n < 0) out[0] = '\0';
  return out;
}
