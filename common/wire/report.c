/* Evaluation reports and the input of the update digest. */
#include "wire/codec.h"

#include "base/str.h"
#include "wire/pb.h"

#include <math.h>
#include <string.h>

enum xf_rc xf_eval_report_encode(struct xf_buf *out, const struct xf_eval_metric *m, size_t n) {
  if (n > XF_EVAL_METRIC_MAX) return XF_E_LIMIT;
  Xf__V1__EvalMetric row[XF_EVAL_METRIC_MAX], *ptr[XF_EVAL_METRIC_MAX];
  for (size_t i = 0; i < n; i++) {
    xf__v1__eval_metric__init(&row[i]);
    row[i].arm = (char *)(uintptr_t)m[i].arm;
    row[i].split = (char *)(uintptr_t)m[i].split;
    row[i].name = (char *)(uintptr_t)m[i].name;
    row[i].sum = m[i].sum;
    row[i].count = m[i].count;
    ptr[i] = &row[i];
  }
  Xf__V1__EvalReport report;
  xf__v1__eval_report__init(&report);
  report.metric = ptr;
  report.n_metric = n;
  size_t len = xf__v1__eval_report__get_packed_size(&report);
  if (len > XF_REPORT_MAX) return XF_E_LIMIT;
  uint8_t *at = xf_buf_reserve(out, len);
  if (!at) return XF_E_LIMIT;
  out->len += xf__v1__eval_report__pack(&report, at);
  return XF_OK;
}

enum xf_rc xf_eval_report_decode(struct xf_eval_metric **m, size_t *n, struct xf_arena *arena,
                                 const uint8_t *p, size_t len, struct xf_diag *diag) {
  if (len > XF_REPORT_MAX)
    return xf_diag_set(diag, XF_E_LIMIT, "evaluation report of %zu bytes, its limit is %d", len,
                       XF_REPORT_MAX);
  const Xf__V1__EvalReport *r =
      (const Xf__V1__EvalReport *)xf_pb_unpack(&xf__v1__eval_report__descriptor, arena, p, len);
  if (!r)
    return xf_diag_set(diag, XF_E_FORMAT, "evaluation report is not a valid protobuf message");
  if (r->n_metric > XF_EVAL_METRIC_MAX)
    return xf_diag_set(diag, XF_E_LIMIT, "evaluation report has %zu metrics, its limit is %d",
                       r->n_metric, XF_EVAL_METRIC_MAX);
  struct xf_eval_metric *rows = xf_arena_calloc(arena, r->n_metric ? r->n_metric : 1, sizeof *rows);
  if (!rows)
    return xf_diag_set(diag, XF_E_LIMIT, "evaluation report does not fit its memory budget");
  for (size_t i = 0; i < r->n_metric; i++) {
    const Xf__V1__EvalMetric *e = r->metric[i];
    if (strlen(e->arm) > 32 || strlen(e->split) > 32 || strlen(e->name) > 63)
      return xf_diag_set(diag, XF_E_LIMIT,
                         "evaluation report: metric %zu has a name that is too long", i);
    if (!xf_str_is_utf8(e->arm) || !xf_str_is_utf8(e->split) || !xf_str_is_utf8(e->name))
      return xf_diag_set(diag, XF_E_FORMAT, "evaluation report: a name of metric %zu is not UTF-8",
                         i);
    if (!isfinite(e->sum))
      return xf_diag_set(diag, XF_E_NAN, "evaluation report: %s.%s is NaN or infinite", e->arm,
                         e->name);
    rows[i] = (struct xf_eval_metric){e->arm, e->split, e->name, e->sum, e->count};
  }
  *m = rows;
  *n = r->n_metric;
  return XF_OK;
}

static uint8_t *put_u64le(uint8_t *p, uint64_t v) {
  for (int i = 0; i < 8; i++) *p++ = (uint8_t)(v >> (8 * i));
  return p;
}

void xf_update_digest_input(uint8_t out[XF_UPDATE_DIGEST_INPUT],
                            const struct xf_msg_update_begin *m) {
  uint8_t *p = out;
  memcpy(p, m->task_id.b, XF_DIGEST_LEN);
  p = put_u64le(p + XF_DIGEST_LEN, m->weight);
  p = put_u64le(p, m->n_samples);
  p = put_u64le(p, m->payload_len);
  *p++ = (uint8_t)m->dtype;
  memcpy(p, m->layout_digest.b, XF_DIGEST_LEN);
  memcpy(p + XF_DIGEST_LEN, m->payload_digest.b, XF_DIGEST_LEN);
}
