/* The safetensors format: dtypes and the writer. */
#include "store/safetensors.h"

#include "base/alloc.h"
#include "base/map.h"
#include "base/str.h"
#include "json/jsonw.h"

#include <string.h>

enum { ALIGN = 64 }; /* the data part starts at a multiple of it */

static const struct {
  const char *name;
  size_t size;
} dtypes[] = {
#define DTYPE_ROW(n, t, b) {t, b},
    XF_SAFETENSORS_DTYPE_LIST(DTYPE_ROW)
#undef DTYPE_ROW
};
enum { N_DTYPES = sizeof dtypes / sizeof dtypes[0] };

const char *xf_safetensors_dtype_name(enum xf_safetensors_dtype dtype) {
  return (unsigned)dtype < N_DTYPES ? dtypes[dtype].name : "?";
}

size_t xf_safetensors_dtype_size(enum xf_safetensors_dtype dtype) {
  return (unsigned)dtype < N_DTYPES ? dtypes[dtype].size : 0;
}

/* Bytes of a tensor, or false on a shape that overflows. */
static bool tensor_len(const struct xf_safetensors_tensor *t, uint64_t *len) {
  uint64_t n = xf_safetensors_dtype_size(t->dtype);
  for (uint32_t i = 0; i < t->n_dim; i++)
    if (__builtin_mul_overflow(n, t->dim[i], &n)) return false;
  *len = n;
  return n <= INT64_MAX;
}

/* Places the tensors one after the other; names are there and unique. */
static enum xf_rc place(struct xf_safetensors_tensor *tensor, size_t n, uint64_t *total,
                        struct xf_diag *diag) {
  struct xf_map names;
  enum xf_rc rc = XF_OK;
  *total = 0;
  if (n > XF_SAFETENSORS_TENSORS_MAX)
    return xf_diag_set(diag, XF_E_LIMIT, "%zu tensors, the limit is %d", n,
                       XF_SAFETENSORS_TENSORS_MAX);
  xf_map_init(&names);
  for (size_t i = 0; i < n && !rc; i++) {
    struct xf_safetensors_tensor *t = &tensor[i];
    uint32_t other = 0;
    size_t len = strnlen(t->name, sizeof t->name);
    if (len == 0 || len == sizeof t->name || strcmp(t->name, "__metadata__") == 0 ||
        (unsigned)t->dtype >= N_DTYPES || t->n_dim > XF_SAFETENSORS_DIMS_MAX ||
        !tensor_len(t, &t->len) || t->len > INT64_MAX - *total)
      rc = xf_diag_set(diag, XF_E_INVAL, "tensor %zu \"%.127s\": bad name, dtype or shape", i,
                       t->name);
    else if (xf_map_get(&names, t->name, len, &other))
      rc = xf_diag_set(diag, XF_E_EXISTS, "tensor \"%s\" twice", t->name);
    if (rc) break;
    xf_map_set(&names, t->name, len, (uint32_t)i);
    t->at = *total;
    *total += t->len;
  }
  xf_map_deinit(&names);
  return rc;
}

static enum xf_rc header(struct xf_buf *out, const struct xf_safetensors_tensor *tensor, size_t n,
                         const struct xf_safetensors_meta *meta, size_t n_meta) {
  struct xf_jsonw w;
  xf_jsonw_init(&w, out);
  xf_jsonw_object(&w);
  if (n_meta) {
    xf_jsonw_key(&w, "__metadata__");
    xf_jsonw_object(&w);
    for (size_t i = 0; i < n_meta; i++) xf_jsonw_kstr(&w, meta[i].key, meta[i].value);
    xf_jsonw_object_end(&w);
  }
  for (size_t i = 0; i < n; i++) {
    xf_jsonw_key(&w, tensor[i].name);
    xf_jsonw_object(&w);
    xf_jsonw_kstr(&w, "dtype", xf_safetensors_dtype_name(tensor[i].dtype));
    xf_jsonw_key(&w, "shape");
    xf_jsonw_array(&w);
    for (uint32_t k = 0; k < tensor[i].n_dim; k++) xf_jsonw_uint(&w, tensor[i].dim[k]);
    xf_jsonw_array_end(&w);
    xf_jsonw_key(&w, "data_offsets");
    xf_jsonw_array(&w);
    xf_jsonw_uint(&w, tensor[i].at);
    xf_jsonw_uint(&w, tensor[i].at + tensor[i].len);
    xf_jsonw_array_end(&w);
    xf_jsonw_object_end(&w);
  }
  xf_jsonw_object_end(&w);
  enum xf_rc rc = xf_jsonw_finish(&w);
  while (!rc && (out->len) % ALIGN) rc = xf_buf_put_u8(out, ' ');
  return rc;
}

enum xf_rc xf_safetensors_create(struct xf_safetensors_writer *w, const struct xf_fs *fs,
                                 const char *path, struct xf_safetensors_tensor *tensor, size_t n,
                                 const struct xf_safetensors_meta *meta, size_t n_meta,
                                 struct xf_diag *diag) {
  struct xf_buf head;
  *w = (struct xf_safetensors_writer){.file = {.fd = -1}};
  xf_buf_init(&head, 8 + XF_SAFETENSORS_HEADER_MAX);
  enum xf_rc rc = xf_str_copy(w->path, sizeof w->path, path);
  if (rc)
    return xf_diag_set(diag, rc, "path longer than %d bytes: \"%.64s...\"", XF_PATH_MAX, path);
  rc = place(tensor, n, &w->data_len, diag);
  if (rc) return rc;
  rc = xf_buf_put_u64le(&head, 0);
  if (!rc) rc = header(&head, tensor, n, meta, n_meta);
  if (rc) {
    xf_buf_deinit(&head);
    return xf_diag_set(diag, rc, "\"%s\": a header of more than %d bytes", path,
                       XF_SAFETENSORS_HEADER_MAX);
  }
  for (int i = 0; i < 8; i++) head.p[i] = (uint8_t)((uint64_t)(head.len - 8) >> 8 * i);
  w->data_at = head.len;
  rc = fs->open(fs, &w->file, path, XF_FS_CREATE);
  if (rc) {
    w->file = (struct xf_file){.fd = -1};
    xf_buf_deinit(&head);
    return xf_diag_set(diag, rc, "cannot create \"%s\": %s", path, xf_rc_text(rc));
  }
  xf_sha256_init(&w->sha);
  xf_sha256_feed(&w->sha, head.p, head.len);
  rc = fs->reserve(&w->file, w->data_at + w->data_len);
  if (!rc) rc = fs->pwrite(&w->file, head.p, head.len, 0);
  if (rc) {
    xf_diag_set(diag, rc, "cannot write %llu bytes to \"%s\": %s",
                (unsigned long long)(w->data_at + w->data_len), path, xf_rc_text(rc));
    xf_safetensors_abort(w);
  }
  xf_buf_deinit(&head);
  return rc;
}

enum xf_rc xf_safetensors_put(struct xf_safetensors_writer *w, const void *p, size_t len,
                              struct xf_diag *diag) {
  if (len > w->data_len - w->done)
    return xf_diag_set(diag, XF_E_RANGE, "\"%s\": %zu bytes beyond the last tensor", w->path,
                       len - (size_t)(w->data_len - w->done));
  enum xf_rc rc = len ? w->file.fs->pwrite(&w->file, p, len, w->data_at + w->done) : XF_OK;
  if (rc) return xf_diag_set(diag, rc, "cannot write to \"%s\": %s", w->path, xf_rc_text(rc));
  xf_sha256_feed(&w->sha, p, len);
  w->done += len;
  return XF_OK;
}

enum xf_rc xf_safetensors_finish(struct xf_safetensors_writer *w, struct xf_digest *sha256,
                                 struct xf_diag *diag) {
  struct xf_digest d;
  enum xf_rc rc = XF_OK;
  if (w->done != w->data_len)
    rc = xf_diag_set(diag, XF_E_SHAPE, "\"%s\": %llu of %llu data bytes were written", w->path,
                     (unsigned long long)w->done, (unsigned long long)w->data_len);
  if (!rc && (rc = w->file.fs->fsync(&w->file)) != XF_OK)
    xf_diag_set(diag, rc, "cannot sync \"%s\": %s", w->path, xf_rc_text(rc));
  if (rc) {
    xf_safetensors_abort(w);
    return rc;
  }
  rc = w->file.fs->close(&w->file);
  if (rc) xf_diag_set(diag, rc, "cannot close \"%s\": %s", w->path, xf_rc_text(rc));
  xf_sha256_take(&w->sha, &d);
  if (sha256) *sha256 = d;
  xf_sha256_deinit(&w->sha);
  w->file = (struct xf_file){.fd = -1};
  return rc;
}

void xf_safetensors_abort(struct xf_safetensors_writer *w) {
  if (!w->file.fs) return;
  const struct xf_fs *fs = w->file.fs;
  (void)fs->close(&w->file); /* its bytes are thrown away */
  (void)fs->unlink(fs, w->path);
  xf_sha256_deinit(&w->sha);
  w->file = (struct xf_file){.fd = -1};
}
