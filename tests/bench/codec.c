// Encodings of updates (param/codec.h) on one thread: million floats a second written and read, medians of 7, 1 M normal floats. Prints one
// JSON line per encoding. topk includes choosing the largest.
// modules: param base
#include "param/codec.h"
#include "base/alloc.h"
#include "base/time.h"
#include "param/topk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N = 1000000, REPEATS = 7 };

static int ascending(const void *a, const void *b) {
  const double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static double since(struct xf_time t) { return xf_time_diff_s(xf_time_now(), t); }

static enum xf_rc read_bytes(void *arg, uint64_t at, uint8_t *out, size_t len) {
  memcpy(out, ((const struct xf_buf *)arg)->p + at, len);
  return XF_OK;
}

static void measure(const struct xf_codec *c, const float *x, float *a, float *y) {
  double put[REPEATS], get[REPEATS];
  struct xf_diag diag;
  struct xf_buf buf;
  struct xf_rng rng;
  xf_diag_init(&diag);
  xf_rng_init(&rng, 1, 0);
  xf_buf_init(&buf, 1 << 26);
  for (int r = 0; r < REPEATS; r++) {
    struct xf_codec_reader reader;
    const float *from = x;
    memcpy(a, x, N * sizeof *a);
    xf_buf_reset(&buf);
    struct xf_time t = xf_time_now();
    if (c->kind == XF_CODEC_TOPK) {
      xf_topk_split(y, a, N, xf_topk_count(c->fraction, N));
      from = y;
    }
    if (xf_codec_put(&buf, c, from, N, &rng, &diag)) exit(1);
    put[r] = since(t);
    t = xf_time_now();
    if (xf_codec_open(&reader, c, N, buf.len, read_bytes, &buf, &diag) ||
        xf_codec_get(&reader, 0, y, N, &diag))
      exit(1);
    xf_codec_close(&reader);
    get[r] = since(t);
  }
  qsort(put, REPEATS, sizeof *put, ascending);
  qsort(get, REPEATS, sizeof *get, ascending);
  printf("{\"v\":1,\"bench\":\"codec\",\"case\":\"%s\",\"bytes\":%zu,\"write_mfloat_s\":%.3g,"
         "\"read_mfloat_s\":%.3g}\n",
         xf_codec_name(c->kind), buf.len, N * 1e-6 / put[REPEATS / 2], N * 1e-6 / get[REPEATS / 2]);
  xf_buf_deinit(&buf);
}

int main(void) {
  static const struct xf_codec codec[] = {{.kind = XF_CODEC_FLOAT32},
                                          {.kind = XF_CODEC_FLOAT16},
                                          {.kind = XF_CODEC_BFLOAT16},
                                          {.kind = XF_CODEC_INT8, .bucket = 1024},
                                          {.kind = XF_CODEC_QSGD, .bucket = 512, .levels = 7},
                                          {.kind = XF_CODEC_TOPK, .fraction = .01},
                                          {.kind = XF_CODEC_MASK, .fraction = .01}};
  float *x = xf_alloc(N * sizeof *x), *a = xf_alloc(N * sizeof *a), *y = xf_alloc(N * sizeof *y);
  struct xf_rng rng;
  xf_rng_init(&rng, 2, 0);
  for (int i = 0; i < N; i++) x[i] = (float)xf_rng_normal(&rng);
  for (size_t k = 0; k < sizeof codec / sizeof *codec; k++) measure(&codec[k], x, a, y);
  xf_free(x);
  xf_free(a);
  xf_free(y);
  return 0;
}
