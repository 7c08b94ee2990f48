/*
 * safetensors.h - named tensors in one file: u64 header length, JSON header, raw little-endian data.
 *
 * Writing goes to a path that the caller renames afterwards (checkpoint.h does it atomically). Reading
 * trusts nothing: every offset, shape and length is checked before use; tensors must fill the data part
 * without holes or overlap. Limits: XF_SAFETENSORS_HEADER_MAX, XF_SAFETENSORS_TENSORS_MAX.
 * Not for: what the tensors mean (checkpoint.h).
 * Owner: the caller embeds the structs. Thread: one at a time; readers of one open file may pread
 * from several threads on the POSIX fs.
 * @source https://huggingface.co/docs/safetensors "Format"
 */
#ifndef XF_STORE_SAFETENSORS_H
#define XF_STORE_SAFETENSORS_H

#include "base/buf.h"
#include "base/digest.h"
#include "base/fs.h"
#include "crypto/sha256.h"

#include <stdint.h>

enum {
  XF_SAFETENSORS_HEADER_MAX = 8 << 20, /* bytes; the reference reader allows 100 MB */
  XF_SAFETENSORS_TENSORS_MAX = 4096,
  XF_SAFETENSORS_DIMS_MAX = 8,
  XF_SAFETENSORS_NAME_MAX = 128,
  XF_SAFETENSORS_META_MAX = 256 /* entries */
};

/* X(NAME, text, bytes) - what crossfed writes; other dtypes are read as E_UNSUPPORTED */
#define XF_SAFETENSORS_DTYPE_LIST(X) \
  X(F32, "F32", 4)                   \
  X(F64, "F64", 8)                   \
  X(U8, "U8", 1)                     \
  X(U32, "U32", 4)                   \
  X(I64, "I64", 8)

enum xf_safetensors_dtype {
#define XF_SAFETENSORS_ENUM(n, t, b) XF_SAFETENSORS_##n,
  XF_SAFETENSORS_DTYPE_LIST(XF_SAFETENSORS_ENUM)
#undef XF_SAFETENSORS_ENUM
};

struct xf_safetensors_tensor {
  char name[XF_SAFETENSORS_NAME_MAX];
  enum xf_safetensors_dtype dtype;
  uint32_t n_dim;
  uint64_t dim[XF_SAFETENSORS_DIMS_MAX];
  uint64_t at;  /* offset in the data part; set by writer and reader */
  uint64_t len; /* bytes; set by writer and reader */
};

struct xf_safetensors_meta {
  const char *key;
  const char *value;
};

/* Text of a dtype and bytes per element. @own static @unit bytes */
const char *xf_safetensors_dtype_name(enum xf_safetensors_dtype dtype);
size_t xf_safetensors_dtype_size(enum xf_safetensors_dtype dtype);

/* --- writing ------------------------------------------------------------------------------------ */

struct xf_safetensors_writer {
  struct xf_file file;
  struct xf_sha256_ctx sha; /* of the whole file */
  uint64_t data_at;         /* offset of the data part */
  uint64_t data_len;
  uint64_t done; /* data bytes written; the file has data_at + data_len */
  char path[XF_PATH_MAX];
};

/* Creates `path`, reserves the space and writes the header; computes at/len of each tensor (in the given
   order, no holes). @own writer: xf_safetensors_finish or xf_safetensors_abort in every case of OK
   @err E_INVAL E_EXISTS (name twice) E_LIMIT E_NOSPACE E_IO */
XF_WARN_UNUSED enum xf_rc xf_safetensors_create(struct xf_safetensors_writer *w,
                                                const struct xf_fs *fs, const char *path,
                                                struct xf_safetensors_tensor *tensor, size_t n,
                                                const struct xf_safetensors_meta *meta,
                                                size_t n_meta, struct xf_diag *diag);
/* Appends the next len data bytes (tensor after tensor). @err E_RANGE (beyond the last) E_NOSPACE E_IO */
XF_WARN_UNUSED enum xf_rc xf_safetensors_put(struct xf_safetensors_writer *w, const void *p,
                                             size_t len, struct xf_diag *diag);
/* fsync and close; `sha256` (may be NULL) is the digest of the whole file. On error the file is removed.
   @own closes w @err E_SHAPE (bytes missing) E_IO */
XF_WARN_UNUSED enum xf_rc xf_safetensors_finish(struct xf_safetensors_writer *w,
                                                struct xf_digest *sha256, struct xf_diag *diag);
/* Closes and removes the file; legal after finish and on a zeroed struct. @own closes w */
void xf_safetensors_abort(struct xf_safetensors_writer *w);

/* --- reading ------------------------------------------------------------------------------------ */

struct xf_safetensors {
  struct xf_file file;
  uint64_t data_at;
  uint64_t data_len;
  struct xf_safetensors_tensor *tensor; /* ascending `at` */
  size_t n_tensor;
  struct xf_safetensors_meta *meta;
  size_t n_meta;
  char *text; /* what meta points into */
};

/* Opens and checks everything but the data. diag names the file, the tensor and the wrong value.
   @own f: xf_safetensors_close; on error nothing is left open
   @err E_NOTFOUND E_CORRUPT E_LIMIT E_UNSUPPORTED E_NOMEM E_IO */
XF_WARN_UNUSED enum xf_rc xf_safetensors_open(struct xf_safetensors *f, const struct xf_fs *fs,
                                              const char *path, struct xf_diag *diag);
/* Releases; idempotent, legal on a zeroed struct. @own f */
void xf_safetensors_close(struct xf_safetensors *f);
/* The tensor of that name, or NULL. @own borrowed */
const struct xf_safetensors_tensor *xf_safetensors_find(const struct xf_safetensors *f,
                                                        const char *name);
/* The metadata value of that key, or NULL. @own borrowed */
const char *xf_safetensors_get(const struct xf_safetensors *f, const char *key);
/* Bytes [at, at+len) of a tensor. @unit bytes @err E_RANGE E_CORRUPT (file shorter than it was) E_IO */
XF_WARN_UNUSED enum xf_rc xf_safetensors_read(struct xf_safetensors *f,
                                              const struct xf_safetensors_tensor *tensor, void *out,
                                              size_t len, uint64_t at, struct xf_diag *diag);

#endif
