/* The safetensors reader: everything a file says is checked before it is used. */
#include "base/alloc.h"
#include "store/safetensors.h"
#include "json/json.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HEADER_DEPTH = 4 };

struct reading {
  struct xf_safetensors *f;
  const char *path;
  struct xf_diag *diag;
  size_t text_len;
};

#define BAD(r, ...) bad((r)->diag, (r)->path, __VA_ARGS__)
static enum xf_rc bad(struct xf_diag *diag, const char *path, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static enum xf_rc bad(struct xf_diag *diag, const char *path, const char *fmt, ...) {
  char text[XF_DIAG_LEN];
  va_list ap;
  va_start(ap, fmt);
  (void)vsnprintf(text, sizeof text, fmt, ap);
  va_end(ap);
  return xf_diag_set(diag, XF_E_CORRUPT, "\"%s\": %s", path, text);
}

static enum xf_rc read_dtype(struct reading *r, struct xf_safetensors_tensor *t, const char *name,
                             const struct xf_json_value *v) {
  const char *s = NULL;
  if (!xf_json_str(xf_json_find(v, "dtype"), &s))
    return BAD(r, "tensor \"%.64s\" has no dtype", name);
  for (int i = 0; xf_safetensors_dtype_size((enum xf_safetensors_dtype)i); i++)
    if (strcmp(s, xf_safetensors_dtype_name((enum xf_safetensors_dtype)i)) == 0) {
      t->dtype = (enum xf_safetensors_dtype)i;
      return XF_OK;
    }
  return xf_diag_set(r->diag, XF_E_UNSUPPORTED,
                     "\"%s\": tensor \"%.64s\" has dtype \"%.16s\"; F32 F64 U8 U32 I64 are read",
                     r->path, name, s);
}

static enum xf_rc read_shape(struct reading *r, struct xf_safetensors_tensor *t, const char *name,
                             const struct xf_json_value *v, uint64_t *len) {
  const struct xf_json_value *shape = xf_json_find(v, "shape");
  size_t n = xf_json_len(shape);
  if (xf_json_kind_of(shape) != XF_JSON_ARRAY || n > XF_SAFETENSORS_DIMS_MAX)
    return BAD(r, "tensor \"%.64s\": shape is not a list of at most %d numbers", name,
               XF_SAFETENSORS_DIMS_MAX);
  *len = xf_safetensors_dtype_size(t->dtype);
  t->n_dim = (uint32_t)n;
  for (size_t i = 0; i < n; i++)
    if (!xf_json_uint(xf_json_at(shape, i), &t->dim[i]) ||
        __builtin_mul_overflow(*len, t->dim[i], len))
      return BAD(r, "tensor \"%.64s\": bad extent %zu in its shape", name, i);
  return XF_OK;
}

static enum xf_rc read_offsets(struct reading *r, struct xf_safetensors_tensor *t, const char *name,
                               const struct xf_json_value *v, uint64_t len) {
  const struct xf_json_value *o = xf_json_find(v, "data_offsets");
  uint64_t from = 0, to = 0;
  if (xf_json_kind_of(o) != XF_JSON_ARRAY || xf_json_len(o) != 2 ||
      !xf_json_uint(xf_json_at(o, 0), &from) || !xf_json_uint(xf_json_at(o, 1), &to) || from > to)
    return BAD(r, "tensor \"%.64s\": data_offsets are not two ascending numbers", name);
  if (to > r->f->data_len)
    return BAD(r, "tensor \"%.64s\" ends at byte %llu of %llu data bytes", name,
               (unsigned long long)to, (unsigned long long)r->f->data_len);
  if (to - from != len)
    return BAD(r, "tensor \"%.64s\": its shape needs %llu bytes, its offsets hold %llu", name,
               (unsigned long long)len, (unsigned long long)(to - from));
  t->at = from;
  t->len = len;
  return XF_OK;
}

static const char *keep_text(struct reading *r, const char *s) {
  size_t n = strlen(s) + 1; /* the sum is below the header's length: both are inside it */
  char *to = r->f->text + r->text_len;
  memcpy(to, s, n);
  r->text_len += n;
  return to;
}

static enum xf_rc on_meta(void *arg, const char *key, const struct xf_json_value *v) {
  struct reading *r = arg;
  const char *value = NULL;
  if (!xf_json_str(v, &value)) return BAD(r, "metadata \"%.64s\" is not a text", key);
  if (r->f->n_meta == XF_SAFETENSORS_META_MAX)
    return BAD(r, "more than %d metadata entries", XF_SAFETENSORS_META_MAX);
  struct xf_safetensors_meta *m = &r->f->meta[r->f->n_meta++];
  m->key = keep_text(r, key);
  m->value = keep_text(r, value);
  return XF_OK;
}

static enum xf_rc on_tensor(void *arg, const char *key, const struct xf_json_value *v) {
  struct reading *r = arg;
  struct xf_safetensors *f = r->f;
  uint64_t len = 0;
  if (xf_json_kind_of(v) != XF_JSON_OBJECT)
    return BAD(r, "header entry \"%.64s\" is not an object", key);
  if (strcmp(key, "__metadata__") == 0) return xf_json_each(v, on_meta, r);
  size_t n = strlen(key);
  if (n == 0 || n >= XF_SAFETENSORS_NAME_MAX)
    return BAD(r, "tensor name \"%.64s\" has %zu bytes, 1 to %d are allowed", key, n,
               XF_SAFETENSORS_NAME_MAX - 1);
  if (xf_json_len(v) != 3)
    return BAD(r, "tensor \"%.64s\" has other keys than dtype, shape, data_offsets", key);
  struct xf_safetensors_tensor *t = &f->tensor[f->n_tensor++];
  memcpy(t->name, key, n + 1);
  enum xf_rc rc = read_dtype(r, t, key, v);
  if (!rc) rc = read_shape(r, t, key, v, &len);
  return rc ? rc : read_offsets(r, t, key, v, len);
}

/* By offset; an empty tensor before the one that starts at the same place. */
static int by_offset(const void *a, const void *b) {
  const struct xf_safetensors_tensor *x = a, *y = b;
  if (x->at != y->at) return x->at < y->at ? -1 : 1;
  if (x->len != y->len) return x->len < y->len ? -1 : 1;
  return strcmp(x->name, y->name);
}

static enum xf_rc check_cover(struct reading *r) {
  const struct xf_safetensors *f = r->f;
  uint64_t at = 0;
  for (size_t i = 0; i < f->n_tensor; i++) {
    if (f->tensor[i].at != at)
      return BAD(r, "tensor \"%.64s\" starts at byte %llu, not at %llu: a hole or an overlap",
                 f->tensor[i].name, (unsigned long long)f->tensor[i].at, (unsigned long long)at);
    at += f->tensor[i].len;
  }
  if (at != f->data_len)
    return BAD(r, "%llu bytes after the last tensor", (unsigned long long)(f->data_len - at));
  return XF_OK;
}

static enum xf_rc parse(struct reading *r, const char *text, size_t len) {
  struct xf_json *json = NULL;
  struct xf_safetensors *f = r->f;
  const struct xf_json_limits limits = {.max_len = XF_SAFETENSORS_HEADER_MAX,
                                        .max_depth = HEADER_DEPTH};
  if (len == 0 || text[0] != '{') return BAD(r, "the header does not start with \"{\"");
  enum xf_rc rc = xf_json_parse(&json, r->path, text, len, &limits, r->diag);
  if (rc) return rc == XF_E_FORMAT ? xf_diag_prefix(r->diag, XF_E_CORRUPT, "header") : rc;
  size_t n = xf_json_len(xf_json_root(json));
  if (n > XF_SAFETENSORS_TENSORS_MAX + 1)
    rc = xf_diag_set(r->diag, XF_E_LIMIT, "\"%s\": %zu tensors, the limit is %d", r->path, n,
                     XF_SAFETENSORS_TENSORS_MAX);
  if (!rc) {
    f->tensor = xf_try_calloc(n + 1, sizeof *f->tensor);
    f->meta = xf_try_calloc(XF_SAFETENSORS_META_MAX, sizeof *f->meta);
    f->text = xf_try_calloc(len + 1, 1);
    if (!f->tensor || !f->meta || !f->text)
      rc = xf_diag_set(r->diag, XF_E_NOMEM, "\"%s\": no memory for %zu tensors", r->path, n);
  }
  if (!rc) rc = xf_json_each(xf_json_root(json), on_tensor, r);
  xf_json_free(json);
  if (rc) return rc;
  if (f->n_tensor) qsort(f->tensor, f->n_tensor, sizeof *f->tensor, by_offset);
  return check_cover(r);
}

static enum xf_rc read_header(struct reading *r) {
  struct xf_safetensors *f = r->f;
  uint8_t b[8];
  uint64_t size = 0, n = 0;
  size_t got = 0;
  enum xf_rc rc = f->file.fs->size(&f->file, &size);
  if (!rc) rc = f->file.fs->pread(&f->file, b, sizeof b, 0, &got);
  if (rc) return xf_diag_set(r->diag, rc, "cannot read \"%s\": %s", r->path, xf_rc_text(rc));
  if (got < sizeof b) return BAD(r, "%zu bytes, not a safetensors file", got);
  for (size_t i = 0; i < 8; i++) n |= (uint64_t)b[i] << 8 * i;
  if (n > XF_SAFETENSORS_HEADER_MAX)
    return xf_diag_set(r->diag, XF_E_LIMIT,
                       "\"%s\": a header of %llu bytes, the limit is %d: damaged, or not a "
                       "safetensors file",
                       r->path, (unsigned long long)n, XF_SAFETENSORS_HEADER_MAX);
  if (n > size - 8)
    return BAD(r, "a header of %llu bytes in a file of %llu: cut off", (unsigned long long)n,
               (unsigned long long)size);
  f->data_at = 8 + n;
  f->data_len = size - f->data_at;
  char *text = xf_try_calloc((size_t)n + 1, 1);
  if (!text)
    return xf_diag_set(r->diag, XF_E_NOMEM, "\"%s\": no memory for a header of %llu bytes", r->path,
                       (unsigned long long)n);
  rc = f->file.fs->pread(&f->file, text, (size_t)n, 8, &got);
  if (rc) xf_diag_set(r->diag, rc, "cannot read \"%s\": %s", r->path, xf_rc_text(rc));
  else if (got != n) rc = BAD(r, "the header is cut off");
  if (!rc) rc = parse(r, text, (size_t)n);
  xf_free(text);
  return rc;
}

enum xf_rc xf_safetensors_open(struct xf_safetensors *f, const struct xf_fs *fs, const char *path,
                               struct xf_diag *diag) {
  *f = (struct xf_safetensors){0};
  enum xf_rc rc = fs->open(fs, &f->file, path, XF_FS_READ);
  if (rc) {
    *f = (struct xf_safetensors){0};
    return xf_diag_set(diag, rc, "cannot open \"%s\": %s", path, xf_rc_text(rc));
  }
  struct reading r = {.f = f, .path = path, .diag = diag};
  rc = read_header(&r);
  if (rc) xf_safetensors_close(f);
  return rc;
}

void xf_safetensors_close(struct xf_safetensors *f) {
  if (f->file.fs) (void)f->file.fs->close(&f->file); /* read only */
  xf_free(f->tensor);
  xf_free(f->meta);
  xf_free(f->text);
  *f = (struct xf_safetensors){0};
}

const struct xf_safetensors_tensor *xf_safetensors_find(const struct xf_safetensors *f,
                                                        const char *name) {
  for (size_t i = 0; i < f->n_tensor; i++)
    if (strcmp(f->tensor[i].name, name) == 0) return &f->tensor[i];
  return NULL;
}

const char *xf_safetensors_get(const struct xf_safetensors *f, const char *key) {
  for (size_t i = 0; i < f->n_meta; i++)
    if (strcmp(f->meta[i].key, key) == 0) return f->meta[i].value;
  return NULL;
}

enum xf_rc xf_safetensors_read(struct xf_safetensors *f, const struct xf_safetensors_tensor *tensor,
                               void *out, size_t len, uint64_t at, struct xf_diag *diag) {
  size_t got = 0;
  if (at > tensor->len || len > tensor->len - at)
    return xf_diag_set(diag, XF_E_RANGE, "tensor \"%s\": bytes %llu+%zu of %llu", tensor->name,
                       (unsigned long long)at, len, (unsigned long long)tensor->len);
  enum xf_rc rc = f->file.fs->pread(&f->file, out, len, f->data_at + tensor->at + at, &got);
  if (rc)
    return xf_diag_set(diag, rc, "cannot read tensor \"%s\": %s", tensor->name, xf_rc_text(rc));
  if (got != len)
    return xf_diag_set(diag, XF_E_CORRUPT, "tensor \"%s\" is cut off: the file has shrunk",
                       tensor->name);
  return XF_OK;
}
