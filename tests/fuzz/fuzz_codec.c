// modules: param base
/* Encoded floats from anybody: read whole and in parts the same, never outside the bytes; what is accepted of blocks is finite. */
#include "base/alloc.h"
#include "base/assert.h"
#include "param/codec.h"
#include "param/vec.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FLOATS_MAX = 2 * XF_CODEC_BLOCK };

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

/* Encoding, log2 of the bucket, levels, fraction in 255ths, then how many floats the receiver expects. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  enum { HEAD = 8 };
  uint32_t n;
  struct xf_diag diag;
  struct xf_codec_reader r;
  if (size < HEAD) return 0;
  const struct xf_codec codec = {.kind = (enum xf_codec_kind)(data[0] % XF_CODEC_N_KIND),
                                 .bucket = 1u << (data[1] % 17),
                                 .levels = data[2],
                                 .fraction = data[3] / 255.0,
                                 .key = data[1]};
  memcpy(&n, data + 4, sizeof n);
  n %= FLOATS_MAX + 1;
  struct bytes b = {data + HEAD, size - HEAD};
  float *x = xf_calloc((size_t)n + 1, sizeof *x), *y = xf_calloc((size_t)n + 1, sizeof *y);
  xf_diag_init(&diag);
  enum xf_rc rc = xf_codec_open(&r, &codec, n, b.len, read_bytes, &b, &diag);
  if (!rc) rc = xf_codec_get(&r, 0, x, n, &diag);
  XF_ASSERT(rc == XF_OK || ((rc == XF_E_CORRUPT || rc == XF_E_INVAL) && diag.text[0]));
  if (!rc) {
    const bool sparse = codec.kind == XF_CODEC_SPARSE || codec.kind == XF_CODEC_TOPK;
    XF_ASSERT(sparse || xf_vec_find_nonfinite(x, n) == SIZE_MAX);
    XF_ASSERT(xf_codec_get(&r, n / 2, y, n - n / 2, &diag) == XF_OK);
    XF_ASSERT(memcmp(x + n / 2, y, (n - n / 2) * sizeof *x) == 0);
  }
  xf_codec_close(&r);
  xf_free(x);
  xf_free(y);
  return 0;
}
