// modules: param base
/* Floats without zeros from anybody: read whole and in parts the same, never outside the bytes; what is accepted and has no zero
   entry is what the writer writes. */
#include "base/alloc.h"
#include "base/assert.h"
#include "param/sparse.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FLOATS_MAX = 3 * XF_SPARSE_BLOCK };

struct bytes {
  const uint8_t *p;
  size_t len;
};

static enum xf_rc read_bytes(void *arg, uint64_t at, uint8_t *out, size_t len) {
  const struct bytes *b = arg;
  XF_ASSERT(at <= b->len && len <= b->len - at);
  memcpy(out, b->p + at, len);
  return XF_OK;
}

/* The first four bytes say how many floats the receiver expects. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  uint32_t n = 0;
  struct xf_sparse s;
  struct xf_diag diag;
  struct xf_buf again;
  if (size < sizeof n) return 0;
  memcpy(&n, data, sizeof n);
  n %= FLOATS_MAX + 1;
  struct bytes b = {data + sizeof n, size - sizeof n};
  float *x = xf_calloc((size_t)n + 1, sizeof *x), *y = xf_calloc((size_t)n + 1, sizeof *y);
  xf_diag_init(&diag);
  enum xf_rc rc = xf_sparse_init(&s, n, b.len, read_bytes, &b, &diag);
  if (!rc) rc = xf_sparse_get(&s, 0, x, n, &diag);
  XF_ASSERT(rc == XF_OK || (rc == XF_E_CORRUPT && diag.text[0]));
  if (!rc) {
    const uint32_t half = n / 2;
    XF_ASSERT(xf_sparse_get(&s, half, y, n - half, &diag) == XF_OK);
    XF_ASSERT(memcmp(x + half, y, (n - half) * sizeof *x) == 0);
    xf_buf_init(&again, size + 64);
    XF_ASSERT(xf_sparse_put(&again, x, n) == XF_OK);
    XF_ASSERT(again.len <= b.len); /* a zero may have been written out */
    XF_ASSERT(again.len < b.len || memcmp(again.p, b.p, b.len) == 0);
    xf_buf_deinit(&again);
  }
  xf_sparse_deinit(&s);
  xf_free(x);
  xf_free(y);
  return 0;
}
