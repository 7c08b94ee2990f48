/* A safetensors file: metadata, tensors, and whether a checkpoint's digests hold. */
#include "base/alloc.h"
#include "store/checkpoint.h"
#include "tools/inspect.h"
#include "tools/ledger_out.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK = 64 * 1024 }; /* bytes, a multiple of every element */

struct sums {
  double norm2, min, max;
  uint64_t n, nonfinite;
};

static void add(struct sums *s, double x) {
  if (!isfinite(x)) {
    s->nonfinite++;
    return;
  }
  s->norm2 += x * x;
  if (s->n == 0 || x < s->min) s->min = x;
  if (s->n == 0 || x > s->max) s->max = x;
  s->n++;
}

static enum xf_rc sum(struct xf_safetensors *f, const struct xf_safetensors_tensor *t,
                      struct sums *s, struct xf_diag *diag) {
  union {
    uint8_t b[CHUNK];
    float f[CHUNK / sizeof(float)];
    double d[CHUNK / sizeof(double)];
  } *chunk = xf_alloc(sizeof *chunk);
  enum xf_rc rc = XF_OK;
  for (uint64_t at = 0; at < t->len && !rc; at += CHUNK) {
    const size_t n = t->len - at < CHUNK ? (size_t)(t->len - at) : CHUNK;
    rc = xf_safetensors_read(f, t, chunk->b, n, at, diag);
    if (rc) break;
    if (t->dtype == XF_SAFETENSORS_F32)
      for (size_t i = 0; i < n / sizeof(float); i++) add(s, (double)chunk->f[i]);
    else
      for (size_t i = 0; i < n / sizeof(double); i++) add(s, chunk->d[i]);
  }
  xf_free(chunk);
  return rc;
}

static enum xf_rc put_tensor(struct xf_jsonw *w, struct xf_safetensors *f,
                             const struct xf_safetensors_tensor *t, struct xf_diag *diag) {
  struct sums s = {0};
  xf_jsonw_object(w);
  xf_jsonw_kstr(w, "name", t->name);
  xf_jsonw_kstr(w, "dtype", xf_safetensors_dtype_name(t->dtype));
  xf_jsonw_key(w, "shape");
  xf_jsonw_array(w);
  for (uint32_t i = 0; i < t->n_dim; i++) xf_jsonw_uint(w, t->dim[i]);
  xf_jsonw_array_end(w);
  xf_jsonw_kuint(w, "bytes", t->len);
  enum xf_rc rc = XF_OK;
  if (t->dtype == XF_SAFETENSORS_F32 || t->dtype == XF_SAFETENSORS_F64) {
    rc = sum(f, t, &s, diag);
    xf_jsonw_kdouble(w, "norm", sqrt(s.norm2));
    xf_jsonw_kdouble(w, "min", s.n ? s.min : NAN);
    xf_jsonw_kdouble(w, "max", s.n ? s.max : NAN);
    xf_jsonw_kuint(w, "nonfinite", s.nonfinite);
  }
  xf_jsonw_object_end(w);
  return rc;
}

static enum xf_rc put_tensors(struct xf_jsonw *w, struct xf_safetensors *f, struct xf_diag *diag) {
  enum xf_rc rc = XF_OK;
  xf_jsonw_key(w, "metadata");
  xf_jsonw_object(w);
  for (size_t i = 0; i < f->n_meta; i++) xf_jsonw_kstr(w, f->meta[i].key, f->meta[i].value);
  xf_jsonw_object_end(w);
  xf_jsonw_kuint(w, "data_bytes", f->data_len);
  xf_jsonw_key(w, "tensors");
  xf_jsonw_array(w);
  for (size_t i = 0; i < f->n_tensor && !rc; i++) rc = put_tensor(w, f, &f->tensor[i], diag);
  xf_jsonw_array_end(w);
  return rc;
}

/* What only a checkpoint has; its data are read through once more. */
static enum xf_rc put_checkpoint(struct xf_jsonw *w, const char *path, struct xf_diag *diag) {
  struct xf_checkpoint c = {0};
  enum xf_rc rc = xf_checkpoint_open(&c, xf_fs_posix(), path, diag);
  if (!rc) rc = xf_checkpoint_verify(&c, diag);
  if (!rc) {
    xf_jsonw_kstr(w, "run", c.info.run);
    xf_jsonw_kuint(w, "round", c.info.round);
    xf_jsonw_kdigest(w, "plan_digest", &c.info.plan);
    xf_jsonw_kdigest(w, "parent", &c.info.parent);
    xf_jsonw_kdigest(w, "model_blake2b", &c.info.model);
    xf_jsonw_kdigest(w, "layout_digest", &c.info.layout);
    xf_jsonw_kuint(w, "floats", c.n);
    xf_jsonw_kbool(w, "momentum", c.n_state > 0);
  }
  xf_jsonw_kbool(w, "verified", !rc);
  xf_checkpoint_close(&c);
  return rc;
}

enum xf_rc xf_inspect_file(struct xf_jsonw *w, const char *path, struct xf_diag *diag) {
  struct xf_safetensors f = {0};
  struct xf_diag why = {0};
  enum xf_rc bad = XF_OK, rc = xf_safetensors_open(&f, xf_fs_posix(), path, diag);
  if (rc == XF_E_LIMIT) /* what a header without sense looks like */
    rc = xf_diag_prefix(diag, XF_E_CORRUPT, "not a model");
  if (rc) return rc;
  const char *format = xf_safetensors_get(&f, "format");
  const bool checkpoint = format && strcmp(format, "crossfed-checkpoint") == 0;
  xf_jsonw_kstr(w, "kind", checkpoint ? "checkpoint" : "tensors");
  if (checkpoint) bad = put_checkpoint(w, path, &why);
  rc = put_tensors(w, &f, diag);
  xf_safetensors_close(&f);
  if (rc || !bad) return rc;
  if (diag) *diag = why; /* the contents are shown, and what is wrong with them is said */
  return bad;
}
