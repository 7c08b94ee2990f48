/* Checkpoints: the global vector's order, its digest, and saving. */
#include "store/checkpoint.h"

#include "base/alloc.h"
#include "base/fail.h"
#include "crypto/blake2b.h"
#include "crypto/sha256.h"
#include "store/checkpoint_meta.h"

#include <stdio.h>
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "float32 arrays are written as they are");

uint64_t xf_checkpoint_floats(const struct xf_layout *layout) {
  return xf_layout_count(layout, XF_ROLE_SHARED) + xf_layout_count(layout, XF_ROLE_ALIGNED) +
         xf_layout_count(layout, XF_ROLE_PAIRED);
}

uint64_t xf_checkpoint_offset(const struct xf_layout *layout, size_t segment) {
  if (segment >= layout->n_seg || !xf_segment_global(&layout->seg[segment])) return UINT64_MAX;
  const bool keyed = xf_segment_keyed(&layout->seg[segment]);
  uint64_t at = keyed ? xf_layout_count(layout, XF_ROLE_SHARED) : 0;
  for (size_t i = 0; i < segment; i++)
    if (xf_segment_global(&layout->seg[i]) && xf_segment_keyed(&layout->seg[i]) == keyed)
      at += xf_segment_len(&layout->seg[i]);
  return at;
}

void xf_checkpoint_digest(struct xf_digest *out, const struct xf_layout *layout,
                          const float *global) {
  struct xf_blake2b_ctx ctx;
  xf_blake2b_init(&ctx, NULL);
  for (size_t i = 0; i < layout->n_seg; i++) {
    if (!xf_segment_global(&layout->seg[i])) continue;
    xf_blake2b_feed(&ctx, global + xf_checkpoint_offset(layout, i),
                    (size_t)xf_segment_len(&layout->seg[i]) * sizeof *global);
  }
  xf_blake2b_take(&ctx, out);
}

void xf_checkpoint_meta_digest(struct xf_digest *out, const struct xf_safetensors_meta *meta,
                               size_t n) {
  struct xf_blake2b_ctx ctx;
  xf_blake2b_init(&ctx, NULL);
  for (size_t i = 0; i < n; i++) {
    if (strcmp(meta[i].key, XF_CHECKPOINT_CHECK) == 0) continue;
    xf_blake2b_feed_field(&ctx, meta[i].key, strlen(meta[i].key));
    xf_blake2b_feed_field(&ctx, meta[i].value, strlen(meta[i].value));
  }
  xf_blake2b_take(&ctx, out);
}

/* What goes into the file, beside the data. */
struct plan {
  struct xf_safetensors_tensor *tensor;
  size_t n;
  char round[24], version[16];
  char plan[XF_DIGEST_HEX], parent[XF_DIGEST_HEX], model[XF_DIGEST_HEX], layout[XF_DIGEST_HEX];
  struct xf_buf names, aligned;
};

static enum xf_rc add_tensor(struct plan *p, const char *name, enum xf_safetensors_dtype dtype,
                             uint32_t n_dim, uint64_t d0, uint64_t d1) {
  struct xf_safetensors_tensor *t = &p->tensor[p->n++];
  *t = (struct xf_safetensors_tensor){.dtype = dtype, .n_dim = n_dim, .dim = {d0, d1}};
  int n = snprintf(t->name, sizeof t->name, "%s", name);
  return n < 0 || n >= (int)sizeof t->name ? XF_E_LIMIT : XF_OK;
}

static enum xf_rc plan_segments(struct plan *p, const struct xf_checkpoint_src *src) {
  enum xf_rc rc = XF_OK;
  for (size_t i = 0; i < src->layout->n_seg && !rc; i++) {
    const struct xf_segment *s = &src->layout->seg[i];
    if (!xf_segment_global(s)) continue;
    rc = add_tensor(p, s->name, XF_SAFETENSORS_F32, 2, xf_segment_len(s) / s->cols, s->cols);
    if (!rc) rc = xf_buf_printf(&p->names, "%s%s", p->names.len ? " " : "", s->name);
    if (!rc && xf_segment_keyed(s))
      rc = xf_buf_printf(&p->aligned, "%s%s=%s", p->aligned.len ? " " : "", s->name, s->ns);
  }
  return rc;
}

static enum xf_rc plan_file(struct plan *p, const struct xf_checkpoint_src *src) {
  char name[XF_SAFETENSORS_NAME_MAX];
  uint64_t n = xf_checkpoint_floats(src->layout);
  enum xf_rc rc = plan_segments(p, src);
  static const char *const state[XF_CHECKPOINT_STATES] = {XF_CHECKPOINT_STATE0,
                                                          XF_CHECKPOINT_STATE1};
  for (uint32_t k = 0; k < XF_CHECKPOINT_STATES && src->state[k] && !rc; k++)
    rc = add_tensor(p, state[k], XF_SAFETENSORS_F32, 1, n, 0);
  for (size_t i = 0; i < src->n_keys && !rc; i++) {
    int k = snprintf(name, sizeof name, XF_CHECKPOINT_KEYS "%s", src->keys[i].ns);
    rc = k < 0 || k >= (int)sizeof name ? XF_E_LIMIT : XF_OK;
    if (!rc) rc = add_tensor(p, name, XF_SAFETENSORS_U8, 2, src->keys[i].n, XF_KEY_LEN);
  }
  return rc;
}

static enum xf_rc write_data(struct xf_safetensors_writer *w, const struct xf_checkpoint_src *src,
                             struct xf_diag *diag) {
  enum xf_rc rc = XF_OK;
  const struct xf_layout *layout = src->layout;
  for (size_t i = 0; i < layout->n_seg && !rc; i++)
    if (xf_segment_global(&layout->seg[i]))
      rc = xf_safetensors_put(w, src->global + xf_checkpoint_offset(layout, i),
                              (size_t)xf_segment_len(&layout->seg[i]) * sizeof(float), diag);
  for (uint32_t k = 0; k < XF_CHECKPOINT_STATES && src->state[k] && !rc; k++)
    rc = xf_safetensors_put(w, src->state[k], (size_t)xf_checkpoint_floats(layout) * sizeof(float),
                            diag);
  for (size_t i = 0; i < src->n_keys && !rc; i++)
    rc = xf_safetensors_put(w, src->keys[i].key, src->keys[i].n * XF_KEY_LEN, diag);
  return rc;
}

static enum xf_rc write_file(const struct xf_fs *fs, const char *tmp, struct plan *p,
                             const struct xf_checkpoint_info *info,
                             const struct xf_checkpoint_src *src, struct xf_checkpoint_saved *out,
                             struct xf_diag *diag) {
  struct xf_safetensors_writer w;
  struct xf_digest check;
  char check_text[XF_DIGEST_HEX];
  struct xf_safetensors_meta meta[] = {
      {"format", XF_CHECKPOINT_FORMAT},
      {"format_version", p->version},
      {"run", info->run},
      {"round", p->round},
      {"plan_digest", p->plan},
      {"layout_digest", p->layout},
      {"parent", p->parent},
      {"model_blake2b", p->model},
      {"model", xf_buf_cstr(&p->names)},
      {"aligned", xf_buf_cstr(&p->aligned)},
      {XF_CHECKPOINT_CHECK, check_text},
  };
  const size_t n_meta = sizeof meta / sizeof meta[0];
  xf_checkpoint_meta_digest(&check, meta, n_meta);
  xf_digest_print(check_text, &check);
  enum xf_rc rc = xf_safetensors_create(&w, fs, tmp, p->tensor, p->n, meta, n_meta, diag);
  if (rc) return rc;
  rc = write_data(&w, src, diag);
  out->bytes = w.data_at + w.data_len;
  if (!rc) return xf_safetensors_finish(&w, &out->sha256, diag);
  xf_safetensors_abort(&w);
  return rc;
}

static enum xf_rc commit_file(const struct xf_fs *fs, const char *tmp, const char *path,
                              struct xf_diag *diag) {
  char dir[XF_PATH_MAX];
  const char *slash = strrchr(path, '/');
  size_t n = slash == path ? 1 : slash ? (size_t)(slash - path) : 0;
  memcpy(dir, slash ? path : ".", slash ? n : 1);
  dir[slash ? n : 1] = '\0';
  XF_FAILPOINT("K10");
  enum xf_rc rc = fs->rename(fs, tmp, path);
  if (rc) {
    (void)fs->unlink(fs, tmp); /* a left-over is swept at the next start */
    return xf_diag_set(diag, rc, "cannot rename to \"%s\": %s", path, xf_rc_text(rc));
  }
  XF_FAILPOINT("K11");
  rc = fs->syncdir(fs, dir);
  if (rc) return xf_diag_set(diag, rc, "cannot sync directory \"%s\": %s", dir, xf_rc_text(rc));
  XF_FAILPOINT("K12");
  return XF_OK;
}

enum xf_rc xf_checkpoint_save(const struct xf_fs *fs, const char *path,
                              const struct xf_checkpoint_info *info,
                              const struct xf_checkpoint_src *src, struct xf_checkpoint_saved *out,
                              struct xf_diag *diag) {
  char tmp[XF_PATH_MAX];
  struct plan p = {0};
  *out = (struct xf_checkpoint_saved){0};
  int n = snprintf(tmp, sizeof tmp, "%s.tmp", path);
  if (n < 0 || n >= XF_PATH_MAX)
    return xf_diag_set(diag, XF_E_LIMIT, "path longer than %d bytes: \"%.64s...\"", XF_PATH_MAX,
                       path);
  if (src->n_keys > XF_CHECKPOINT_NS_MAX)
    return xf_diag_set(diag, XF_E_LIMIT, "%zu key namespaces, the limit is %d", src->n_keys,
                       XF_CHECKPOINT_NS_MAX);
  xf_buf_init(&p.names, (size_t)XF_SEGMENT_MAX * XF_NAME_MAX);
  xf_buf_init(&p.aligned, (size_t)2 * XF_SEGMENT_MAX * XF_NAME_MAX);
  p.tensor = xf_calloc(src->layout->n_seg + XF_CHECKPOINT_STATES + src->n_keys, sizeof *p.tensor);
  xf_checkpoint_digest(&out->model, src->layout, src->global);
  (void)snprintf(p.round, sizeof p.round, "%llu", (unsigned long long)info->round);
  (void)snprintf(p.version, sizeof p.version, "%d", XF_CHECKPOINT_VERSION);
  xf_digest_print(p.plan, &info->plan);
  xf_digest_print(p.layout, &info->layout);
  xf_digest_print(p.parent, &info->parent);
  xf_digest_print(p.model, &out->model);
  enum xf_rc rc = plan_file(&p, src);
  if (rc) xf_diag_set(diag, rc, "\"%s\": tensor or namespace name too long", path);
  if (!rc) rc = write_file(fs, tmp, &p, info, src, out, diag);
  if (!rc) rc = commit_file(fs, tmp, path, diag);
  xf_buf_deinit(&p.names);
  xf_buf_deinit(&p.aligned);
  xf_free(p.tensor);
  return rc;
}
