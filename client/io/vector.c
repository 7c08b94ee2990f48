#include "client/io/vector.h"

#include "crypto/sha256.h"
#include "store/safetensors.h"

#include <stdio.h>
#include <string.h>

enum xf_rc xf_vector_save(const struct xf_fs *fs, const char *path, const float *x, uint64_t n,
                          struct xf_diag *diag) {
  struct xf_safetensors_writer w = {0};
  struct xf_safetensors_tensor t = {
      .name = "params", .dtype = XF_SAFETENSORS_F32, .n_dim = 1, .dim = {n}};
  struct xf_digest digest;
  char hex[XF_DIGEST_HEX], tmp[XF_PATH_MAX];
  const int len = snprintf(tmp, sizeof tmp, "%s.tmp", path);
  if (len < 0 || (size_t)len >= sizeof tmp)
    return xf_diag_set(diag, XF_E_LIMIT, "path longer than %d bytes: \"%.64s...\"", XF_PATH_MAX,
                       path);
  xf_sha256(&digest, x, (size_t)n * sizeof *x);
  const struct xf_safetensors_meta meta[] = {{"format", "crossfed-vector-1"},
                                             {"sha256", xf_digest_print(hex, &digest)}};
  enum xf_rc rc = xf_safetensors_create(&w, fs, tmp, &t, 1, meta, 2, diag);
  if (rc) return rc;
  rc = xf_safetensors_put(&w, x, (size_t)n * sizeof *x, diag);
  if (rc) {
    xf_safetensors_abort(&w);
    return rc;
  }
  rc = xf_safetensors_finish(&w, NULL, diag);
  return rc ? rc : xf_fs_rename_durable(fs, tmp, path, diag);
}

enum xf_rc xf_vector_len(const struct xf_fs *fs, const char *path, uint64_t *n,
                         struct xf_diag *diag) {
  struct xf_safetensors f = {0};
  enum xf_rc rc = xf_safetensors_open(&f, fs, path, diag);
  if (rc) return rc;
  const struct xf_safetensors_tensor *t = xf_safetensors_find(&f, "params");
  if (t) *n = t->len / sizeof(float);
  else rc = xf_diag_set(diag, XF_E_CORRUPT, "\"%s\" is no parameter vector of crossfed", path);
  xf_safetensors_close(&f);
  return rc;
}

enum xf_rc xf_vector_load(const struct xf_fs *fs, const char *path, float *x, uint64_t n,
                          struct xf_diag *diag) {
  struct xf_safetensors f = {0};
  struct xf_digest digest;
  char hex[XF_DIGEST_HEX];
  enum xf_rc rc = xf_safetensors_open(&f, fs, path, diag);
  if (rc) return rc;
  const struct xf_safetensors_tensor *t = xf_safetensors_find(&f, "params");
  const char *said = xf_safetensors_get(&f, "sha256");
  if (!t || t->dtype != XF_SAFETENSORS_F32 || !said)
    rc = xf_diag_set(diag, XF_E_CORRUPT, "\"%s\" is no parameter vector of crossfed", path);
  else if (t->len / sizeof(float) != n)
    rc = xf_diag_set(diag, XF_E_SHAPE,
                     "\"%s\" holds %llu parameters, plan and data make %llu: did the data change?",
                     path, (unsigned long long)(t->len / sizeof(float)), (unsigned long long)n);
  if (!rc) rc = xf_safetensors_read(&f, t, x, (size_t)t->len, 0, diag);
  if (!rc) {
    xf_sha256(&digest, x, (size_t)n * sizeof *x);
    if (strcmp(said, xf_digest_print(hex, &digest)) != 0)
      rc = xf_diag_set(diag, XF_E_CORRUPT, "\"%s\" is damaged: its digest does not match", path);
  }
  xf_safetensors_close(&f);
  return rc;
}
