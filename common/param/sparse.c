#include "param/sparse.h"

#include "base/alloc.h"

#include <inttypes.h>
#include <string.h>

static uint32_t bits(float x) {
  uint32_t u;
  memcpy(&u, &x, sizeof u);
  return u;
}

static uint64_t blocks(uint64_t n) { return n / XF_SPARSE_BLOCK + (n % XF_SPARSE_BLOCK != 0); }

uint64_t xf_sparse_len(const float *x, uint64_t n) {
  uint64_t entries = 0;
  for (uint64_t i = 0; i < n; i++) entries += bits(x[i]) != 0;
  return 8 + 8 * blocks(n) + XF_SPARSE_ENTRY * entries;
}

enum xf_rc xf_sparse_put(struct xf_buf *out, const float *x, uint64_t n) {
  uint64_t entries = 0;
  enum xf_rc rc = xf_buf_put_u64le(out, n);
  for (uint64_t b = 0; b < blocks(n) && !rc; b++) {
    const uint64_t to = (b + 1) * XF_SPARSE_BLOCK < n ? (b + 1) * XF_SPARSE_BLOCK : n;
    for (uint64_t i = b * XF_SPARSE_BLOCK; i < to; i++) entries += bits(x[i]) != 0;
    rc = xf_buf_put_u64le(out, entries);
  }
  for (uint64_t i = 0; i < n && !rc; i++) {
    const uint32_t u = bits(x[i]), at = (uint32_t)(i % XF_SPARSE_BLOCK);
    if (!u) continue;
    const uint8_t entry[XF_SPARSE_ENTRY] = {(uint8_t)at,        (uint8_t)(at >> 8),
                                            (uint8_t)u,         (uint8_t)(u >> 8),
                                            (uint8_t)(u >> 16), (uint8_t)(u >> 24)};
    rc = xf_buf_put(out, entry, sizeof entry);
  }
  return rc;
}

static uint64_t u64le(const uint8_t *p) {
  uint64_t v = 0;
  for (int i = 7; i >= 0; i--) v = v << 8 | p[i];
  return v;
}

static enum xf_rc corrupt(struct xf_diag *diag, const char *what) {
  return xf_diag_set(diag, XF_E_CORRUPT, "sparse vector: %s", what);
}

static uint64_t block_len(const struct xf_sparse *s, uint64_t b) {
  const uint64_t left = s->n - b * XF_SPARSE_BLOCK;
  return left < XF_SPARSE_BLOCK ? left : XF_SPARSE_BLOCK;
}

static enum xf_rc read_ends(struct xf_sparse *s, uint64_t len, struct xf_diag *diag) {
  uint8_t head[8];
  if (len < 8 + 8 * s->n_block) return corrupt(diag, "shorter than its index");
  enum xf_rc rc = s->read(s->arg, 0, head, sizeof head);
  if (rc) return rc;
  if (u64le(head) != s->n) return corrupt(diag, "of another number of floats");
  for (uint64_t b = 0, before = 0; b < s->n_block; b++) {
    rc = s->read(s->arg, 8 + 8 * b, head, sizeof head);
    if (rc) return rc;
    s->end[b] = u64le(head);
    if (s->end[b] < before || s->end[b] - before > block_len(s, b))
      return corrupt(diag, "a block has fewer than none, or more entries than places");
    before = s->end[b];
  }
  const uint64_t all = s->n_block ? s->end[s->n_block - 1] : 0;
  if (len != 8 + 8 * s->n_block + XF_SPARSE_ENTRY * all)
    return corrupt(diag, "its entries do not fill it");
  return XF_OK;
}

enum xf_rc xf_sparse_init(struct xf_sparse *out, uint64_t n, uint64_t len, xf_sparse_bytes read,
                          void *arg, struct xf_diag *diag) {
  *out = (struct xf_sparse){.read = read, .arg = arg, .n = n, .n_block = blocks(n)};
  out->at = out->n_block;
  out->end = xf_try_calloc((size_t)out->n_block + 1, sizeof *out->end);
  out->block = xf_try_calloc(XF_SPARSE_BLOCK, sizeof *out->block);
  out->bytes = xf_try_calloc(XF_SPARSE_BLOCK, XF_SPARSE_ENTRY);
  if (!out->end || !out->block || !out->bytes)
    return xf_diag_set(diag, XF_E_NOMEM, "no memory to read a sparse vector of %" PRIu64 " floats",
                       n);
  return read_ends(out, len, diag);
}

void xf_sparse_deinit(struct xf_sparse *sparse) {
  xf_free(sparse->end);
  xf_free(sparse->block);
  xf_free(sparse->bytes);
  *sparse = (struct xf_sparse){0};
}

static enum xf_rc decode(struct xf_sparse *s, uint64_t b, struct xf_diag *diag) {
  const uint64_t from = b ? s->end[b - 1] : 0, n = s->end[b] - from, len = block_len(s, b);
  const uint64_t at = 8 + 8 * s->n_block + XF_SPARSE_ENTRY * from;
  uint64_t last = 0;
  s->at = s->n_block;
  const enum xf_rc rc = n ? s->read(s->arg, at, s->bytes, (size_t)n * XF_SPARSE_ENTRY) : XF_OK;
  if (rc) return rc;
  memset(s->block, 0, (size_t)len * sizeof *s->block);
  for (uint64_t k = 0; k < n; k++) {
    const uint8_t *e = s->bytes + k * XF_SPARSE_ENTRY;
    const uint32_t place = (uint32_t)e[0] | (uint32_t)e[1] << 8;
    const uint32_t u =
        (uint32_t)e[2] | (uint32_t)e[3] << 8 | (uint32_t)e[4] << 16 | (uint32_t)e[5] << 24;
    if (place >= len || (k && place <= last)) return corrupt(diag, "places do not ascend");
    memcpy(&s->block[place], &u, sizeof u);
    last = place;
  }
  s->at = b;
  return XF_OK;
}

enum xf_rc xf_sparse_get(struct xf_sparse *sparse, uint64_t at, float *out, size_t n,
                         struct xf_diag *diag) {
  struct xf_sparse *s = sparse;
  if (at > s->n || n > s->n - at)
    return xf_diag_set(diag, XF_E_RANGE, "floats %" PRIu64 " to %" PRIu64 " of %" PRIu64, at,
                       at + n, s->n);
  while (n) {
    const uint64_t b = at / XF_SPARSE_BLOCK, in = at % XF_SPARSE_BLOCK;
    const enum xf_rc rc = b == s->at ? XF_OK : decode(s, b, diag);
    if (rc) return rc;
    const uint64_t left = block_len(s, b) - in, step = n < left ? n : left;
    memcpy(out, s->block + in, (size_t)step * sizeof *out);
    out += step;
    at += step;
    n -= (size_t)step;
  }
  return XF_OK;
}
