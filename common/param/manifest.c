#include "param/manifest.h"

#include "base/alloc.h"
#include "base/digest.h"

#include <stdlib.h>
#include <string.h>

static int key_compare(const void *a, const void *b) { return memcmp(a, b, XF_KEY_LEN); }

static bool key_equal(const struct xf_key *a, const struct xf_key *b) {
  return key_compare(a, b) == 0;
}

static enum xf_rc manifest_alloc(struct xf_manifest *out, size_t n, struct xf_diag *diag) {
  *out = (struct xf_manifest){0};
  if (n > XF_MANIFEST_MAX)
    return xf_diag_set(diag, XF_E_LIMIT, "%zu row keys; at most %zu are allowed", n,
                       XF_MANIFEST_MAX);
  out->key = xf_try_calloc(n, sizeof *out->key);
  if (!out->key) return xf_diag_set(diag, XF_E_NOMEM, "no memory for %zu row keys", n);
  out->n = n;
  return XF_OK;
}

/* Names the first two places of a key in the unsorted input. */
static enum xf_rc duplicate(const struct xf_key *key, const struct xf_key *in, size_t n,
                            struct xf_diag *diag) {
  size_t first = 0, second = 0;
  while (first < n && !key_equal(&in[first], key)) first++;
  for (second = first + 1; second < n && !key_equal(&in[second], key);) second++;
  char hex[2 * XF_KEY_LEN + 1];
  xf_hex_print(hex, key->b, XF_KEY_LEN);
  return xf_diag_set(diag, XF_E_INVAL,
                     "row keys %zu and %zu are the same (%s); each key names one row", first,
                     second, hex);
}

enum xf_rc xf_manifest_init(struct xf_manifest *out, const struct xf_key *key, size_t n,
                            struct xf_diag *diag) {
  enum xf_rc rc = manifest_alloc(out, n, diag);
  if (rc || n == 0) return rc;
  memcpy(out->key, key, n * sizeof *key);
  qsort(out->key, n, sizeof *key, key_compare);
  for (size_t i = 1; i < n && !rc; i++)
    if (key_equal(&out->key[i - 1], &out->key[i])) rc = duplicate(&out->key[i], key, n, diag);
  if (rc) xf_manifest_deinit(out);
  return rc;
}

enum xf_rc xf_manifest_decode(struct xf_manifest *out, const uint8_t *p, size_t len,
                              struct xf_diag *diag) {
  *out = (struct xf_manifest){0};
  if (len % XF_KEY_LEN)
    return xf_diag_set(diag, XF_E_FORMAT, "manifest of %zu bytes is not a multiple of %d", len,
                       XF_KEY_LEN);
  /* Order is checked before memory is taken. */
  for (size_t at = XF_KEY_LEN; at < len; at += XF_KEY_LEN)
    if (memcmp(p + at - XF_KEY_LEN, p + at, XF_KEY_LEN) >= 0)
      return xf_diag_set(diag, XF_E_FORMAT,
                         "manifest key %zu is not above key %zu; keys must ascend", at / XF_KEY_LEN,
                         at / XF_KEY_LEN - 1);
  enum xf_rc rc = manifest_alloc(out, len / XF_KEY_LEN, diag);
  if (!rc && len) memcpy(out->key, p, len);
  return rc;
}

void xf_manifest_deinit(struct xf_manifest *manifest) {
  xf_free(manifest->key);
  *manifest = (struct xf_manifest){0};
}

/* First index in [from, n) whose key is not below `key`. */
static size_t lower_bound(const struct xf_manifest *m, size_t from, const struct xf_key *key) {
  size_t lo = from, hi = m->n;
  while (lo < hi) {
    size_t mid = lo + (hi - lo) / 2;
    if (key_compare(&m->key[mid], key) < 0) lo = mid + 1;
    else hi = mid;
  }
  return lo;
}

size_t xf_manifest_find(const struct xf_manifest *manifest, const struct xf_key *key) {
  size_t i = lower_bound(manifest, 0, key);
  return i < manifest->n && key_equal(&manifest->key[i], key) ? i : SIZE_MAX;
}

/* A heap of the parts' next keys, smallest first. */
struct source {
  const struct xf_key *next, *end;
};

static void sift_down(struct source *heap, size_t n, size_t i) {
  for (size_t child = 2 * i + 1; child < n; child = 2 * i + 1) {
    if (child + 1 < n && key_compare(heap[child + 1].next, heap[child].next) < 0) child++;
    if (key_compare(heap[i].next, heap[child].next) <= 0) return;
    struct source t = heap[i];
    heap[i] = heap[child];
    heap[child] = t;
    i = child;
  }
}

static enum xf_rc directory_grow(struct xf_directory *d, size_t *cap) {
  if (d->all.n == XF_MANIFEST_MAX) return XF_E_LIMIT;
  if (d->all.n < *cap) return XF_OK;
  size_t want = *cap ? *cap * 2 : 64;
  struct xf_key *key = xf_try_realloc_array(d->all.key, want, sizeof *key);
  if (!key) return XF_E_NOMEM;
  d->all.key = key;
  uint32_t *holders = xf_try_realloc_array(d->holders, want, sizeof *holders);
  if (!holders) return XF_E_NOMEM;
  d->holders = holders;
  *cap = want;
  return XF_OK;
}

static enum xf_rc directory_merge(struct xf_directory *out, struct source *heap, size_t n) {
  size_t cap = 0;
  for (size_t i = n / 2; i-- > 0;) sift_down(heap, n, i);
  while (n > 0) {
    const struct xf_key *key = heap[0].next++;
    size_t last = out->all.n - 1;
    if (out->all.n && key_equal(&out->all.key[last], key)) {
      out->holders[last]++;
    } else {
      enum xf_rc rc = directory_grow(out, &cap);
      if (rc) return rc;
      out->all.key[out->all.n] = *key;
      out->holders[out->all.n++] = 1;
    }
    if (heap[0].next == heap[0].end) heap[0] = heap[--n];
    sift_down(heap, n, 0);
  }
  return XF_OK;
}

enum xf_rc xf_directory_init(struct xf_directory *out, const struct xf_manifest *const *parts,
                             size_t n_parts) {
  *out = (struct xf_directory){0};
  struct source *heap = xf_try_calloc(n_parts, sizeof *heap);
  if (!heap) return XF_E_NOMEM;
  size_t n = 0;
  for (size_t i = 0; i < n_parts; i++)
    if (parts[i]->n) heap[n++] = (struct source){parts[i]->key, parts[i]->key + parts[i]->n};
  enum xf_rc rc = directory_merge(out, heap, n);
  xf_free(heap);
  if (rc) xf_directory_deinit(out);
  return rc;
}

void xf_directory_deinit(struct xf_directory *directory) {
  xf_manifest_deinit(&directory->all);
  xf_free(directory->holders);
  directory->holders = NULL;
}

void xf_directory_keep(struct xf_directory *directory, uint32_t min_holders) {
  size_t n = 0;
  for (size_t i = 0; i < directory->all.n; i++) {
    if (directory->holders[i] < min_holders) continue;
    directory->all.key[n] = directory->all.key[i];
    directory->holders[n++] = directory->holders[i];
  }
  directory->all.n = n;
}

size_t xf_directory_rows(uint32_t *rows, uint32_t *holders, const struct xf_directory *directory,
                         const struct xf_manifest *part) {
  size_t at = 0, n = 0;
  for (size_t i = 0; i < part->n; i++) {
    at = lower_bound(&directory->all, at, &part->key[i]);
    const bool has = at < directory->all.n && key_equal(&directory->all.key[at], &part->key[i]);
    if (holders) holders[i] = has ? directory->holders[at] : 0;
    if (has) rows[n++] = (uint32_t)at++;
  }
  return n;
}
