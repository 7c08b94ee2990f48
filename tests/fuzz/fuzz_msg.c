// modules: base wire
/* Every message from hostile bytes: the first byte chooses the type (0: an evaluation report), the rest is the
   body. What decodes must encode, within its limit, and mean the same when it is read again. */
#include "wire/codec.h"

#include "base/assert.h"
#include "wire/frame.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void report(struct xf_arena *arena, struct xf_arena *again, const uint8_t *p, size_t len) {
  struct xf_eval_metric *m = NULL, *back = NULL;
  size_t n = 0, n_back = 0;
  struct xf_diag diag;
  if (xf_eval_report_decode(&m, &n, arena, p, len, &diag)) return;
  XF_ASSERT(n <= XF_EVAL_METRIC_MAX);
  struct xf_buf out;
  xf_buf_init(&out, XF_REPORT_MAX);
  enum xf_rc rc = xf_eval_report_encode(&out, m, n);
  if (!rc) rc = xf_eval_report_decode(&back, &n_back, again, out.p, out.len, &diag);
  XF_ASSERT(rc == XF_OK && n == n_back);
  for (size_t i = 0; i < n; i++)
    XF_ASSERT(m[i].count == back[i].count && strcmp(m[i].name, back[i].name) == 0);
  xf_buf_deinit(&out);
}

static void message(struct xf_arena *arena, struct xf_arena *again, uint16_t type, const uint8_t *p,
                    size_t len) {
  struct xf_msg m, back;
  struct xf_diag diag;
  xf_diag_init(&diag);
  enum xf_rc rc = xf_msg_decode(&m, arena, type, p, len, &diag);
  XF_ASSERT(arena->used <= XF_MSG_ARENA);
  if (rc) {
    XF_ASSERT(diag.text[0]); /* never refused without a sentence */
    return;
  }
  struct xf_buf first, second;
  xf_buf_init(&first, XF_FRAME_MAX);
  xf_buf_init(&second, XF_FRAME_MAX);
  rc = xf_msg_encode(&first, &m);
  if (!rc)
    rc = xf_msg_decode(&back, again, type, first.p + XF_FRAME_HEADER, first.len - XF_FRAME_HEADER,
                       &diag);
  if (!rc) rc = xf_msg_encode(&second, &back);
  XF_ASSERT(rc == XF_OK && first.len == second.len);
  XF_ASSERT(memcmp(first.p, second.p, first.len) == 0);
  xf_buf_deinit(&first);
  xf_buf_deinit(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct xf_arena arena, again;
  if (size == 0) return 0;
  xf_arena_init(&arena, XF_MSG_ARENA);
  xf_arena_init(&again, XF_MSG_ARENA);
  if (data[0] == 0) report(&arena, &again, data + 1, size - 1);
  else message(&arena, &again, data[0], data + 1, size - 1);
  xf_arena_deinit(&arena);
  xf_arena_deinit(&again);
  return 0;
}
