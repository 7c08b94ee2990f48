// modules: store json param crypto base
/* A model file from anywhere, as a safetensors file and as a checkpoint. The first byte: 0, the rest is the file; else the JSON
   header up to a NUL, then the data, so that lengths agree. What opens lies inside the file, and reading it stays inside. */
#include "base/assert.h"
#include "base/fs_crash.h"
#include "crypto/init.h"
#include "store/checkpoint.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char path[] = "/model.safetensors";

static void put(const struct xf_fs *fs, const uint8_t *p, size_t len, bool whole) {
  struct xf_file f;
  const uint8_t *nul = whole ? NULL : memchr(p, 0, len);
  const uint64_t head = nul ? (uint64_t)(nul - p) : len;
  uint8_t le[8];
  XF_ASSERT(fs->open(fs, &f, path, XF_FS_CREATE) == XF_OK);
  for (unsigned i = 0; i < 8; i++) le[i] = (uint8_t)(head >> 8 * i);
  if (whole) {
    XF_ASSERT(len == 0 || f.fs->pwrite(&f, p, len, 0) == XF_OK);
  } else {
    XF_ASSERT(f.fs->pwrite(&f, le, 8, 0) == XF_OK);
    XF_ASSERT(head == 0 || f.fs->pwrite(&f, p, head, 8) == XF_OK);
    if (nul && len - head > 1)
      XF_ASSERT(f.fs->pwrite(&f, nul + 1, len - head - 1, 8 + head) == XF_OK);
  }
  XF_ASSERT(f.fs->close(&f) == XF_OK);
}

static void as_tensors(const struct xf_fs *fs) {
  struct xf_safetensors st;
  struct xf_diag diag;
  uint8_t bytes[512];
  xf_diag_init(&diag);
  if (xf_safetensors_open(&st, fs, path, &diag)) {
    XF_ASSERT(diag.text[0]);
    return;
  }
  uint64_t end = 0;
  for (size_t i = 0; i < st.n_tensor; i++) {
    const struct xf_safetensors_tensor *t = &st.tensor[i];
    XF_ASSERT(t->at == end && t->n_dim <= XF_SAFETENSORS_DIMS_MAX);
    end += t->len;
    XF_ASSERT(xf_safetensors_find(&st, t->name) == t);
    const size_t n = t->len < sizeof bytes ? (size_t)t->len : sizeof bytes;
    XF_ASSERT(xf_safetensors_read(&st, t, bytes, n, t->len - n, &diag) == XF_OK);
    XF_ASSERT(xf_safetensors_read(&st, t, bytes, 1, t->len, &diag) == XF_E_RANGE);
  }
  XF_ASSERT(end == st.data_len);
  for (size_t i = 0; i < st.n_meta; i++) XF_ASSERT(xf_safetensors_get(&st, st.meta[i].key));
  xf_safetensors_close(&st);
}

static void as_checkpoint(const struct xf_fs *fs) {
  struct xf_checkpoint c;
  struct xf_manifest keys;
  struct xf_diag diag;
  float x[64];
  xf_diag_init(&diag);
  if (xf_checkpoint_open(&c, fs, path, &diag)) {
    XF_ASSERT(diag.text[0]);
    return;
  }
  const size_t n = c.n < 64 ? (size_t)c.n : 64;
  XF_ASSERT(xf_checkpoint_read(&c, x, c.n - n, n, &diag) == XF_OK);
  XF_ASSERT(xf_checkpoint_read(&c, x, c.n, 1, &diag) == XF_E_RANGE);
  for (uint32_t k = 0; k < c.n_state; k++)
    XF_ASSERT(xf_checkpoint_read_state(&c, k, x, c.n - n, n, &diag) == XF_OK);
  for (size_t i = 0; i < c.n_part; i++)
    if (c.part[i].ns[0] && !xf_checkpoint_keys(&c, &keys, c.part[i].ns, &diag)) {
      for (size_t k = 1; k < keys.n; k++)
        XF_ASSERT(memcmp(&keys.key[k - 1], &keys.key[k], sizeof keys.key[k]) < 0);
      xf_manifest_deinit(&keys);
    }
  (void)!xf_checkpoint_verify(&c, &diag);
  xf_checkpoint_close(&c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static struct xf_fs_crash *disk;
  if (size < 1 || size > 1 << 17 || xf_crypto_start()) return 0;
  if (!disk) disk = xf_fs_crash_new(1);
  xf_fs_crash_reset(disk, 1);
  const struct xf_fs *fs = xf_fs_crash_as_fs(disk);
  put(fs, data + 1, size - 1, data[0] == 0);
  as_tensors(fs);
  as_checkpoint(fs);
  return 0;
}
