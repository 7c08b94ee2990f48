/* Checkpoints: opening, checking, reading ranges of the global vector. */
#include "base/alloc.h"
#include "base/str.h"
#include "crypto/blake2b.h"
#include "store/checkpoint.h"
#include "store/checkpoint_meta.h"

#include <string.h>

enum { READ_CHUNK = 64 * 1024 };

static enum xf_rc need(const struct xf_safetensors *st, const char *path, const char *key,
                       const char **out, struct xf_diag *diag) {
  *out = xf_safetensors_get(st, key);
  if (*out) return XF_OK;
  return xf_diag_set(diag, XF_E_CORRUPT, "\"%s\" has no metadata \"%s\": not a crossfed checkpoint",
                     path, key);
}

static enum xf_rc need_digest(const struct xf_safetensors *st, const char *path, const char *key,
                              struct xf_digest *out, struct xf_diag *diag) {
  const char *s = NULL;
  enum xf_rc rc = need(st, path, key, &s, diag);
  if (!rc && xf_digest_parse(out, s))
    rc = xf_diag_set(diag, XF_E_CORRUPT, "\"%s\": metadata \"%s\" is not a digest: \"%.80s\"", path,
                     key, s);
  return rc;
}

static enum xf_rc need_number(const struct xf_safetensors *st, const char *path, const char *key,
                              uint64_t *out, struct xf_diag *diag) {
  const char *s = NULL;
  enum xf_rc rc = need(st, path, key, &s, diag);
  if (!rc && xf_str_u64(out, s, strlen(s)))
    rc = xf_diag_set(diag, XF_E_CORRUPT, "\"%s\": metadata \"%s\" is not a number: \"%.32s\"", path,
                     key, s);
  return rc;
}

static enum xf_rc read_info(struct xf_checkpoint *c, const char *path, struct xf_diag *diag) {
  const char *s = NULL;
  uint64_t version = 0;
  struct xf_checkpoint_info *i = &c->info;
  enum xf_rc rc = need(&c->st, path, "format", &s, diag);
  if (!rc && strcmp(s, XF_CHECKPOINT_FORMAT) != 0)
    rc = xf_diag_set(diag, XF_E_CORRUPT,
                     "\"%s\" is a safetensors file of format \"%.32s\", not "
                     "a crossfed checkpoint",
                     path, s);
  if (!rc) rc = need_number(&c->st, path, "format_version", &version, diag);
  if (!rc && version != XF_CHECKPOINT_VERSION)
    rc = xf_diag_set(diag, XF_E_VERSION,
                     "\"%s\" has checkpoint format %llu, this program reads format %d", path,
                     (unsigned long long)version, XF_CHECKPOINT_VERSION);
  struct xf_digest check, want;
  if (!rc) rc = need_digest(&c->st, path, XF_CHECKPOINT_CHECK, &want, diag);
  if (!rc) {
    xf_checkpoint_meta_digest(&check, c->st.meta, c->st.n_meta);
    if (!xf_digest_equal(&check, &want))
      return xf_diag_set(diag, XF_E_CORRUPT, "\"%s\": the metadata were altered or damaged", path);
  }
  if (!rc) rc = need(&c->st, path, "run", &s, diag);
  if (!rc && xf_str_copy(i->run, sizeof i->run, s))
    rc = xf_diag_set(diag, XF_E_CORRUPT, "\"%s\": run id of %zu bytes", path, strlen(s));
  if (!rc) rc = need_number(&c->st, path, "round", &i->round, diag);
  if (!rc) rc = need_digest(&c->st, path, "plan_digest", &i->plan, diag);
  if (!rc) rc = need_digest(&c->st, path, "layout_digest", &i->layout, diag);
  if (!rc) rc = need_digest(&c->st, path, "parent", &i->parent, diag);
  if (!rc) rc = need_digest(&c->st, path, "model_blake2b", &i->model, diag);
  return rc;
}

/* The next word of a list separated by single spaces. */
static bool next_word(const char **s, char *out, size_t cap) {
  size_t n = strcspn(*s, " ");
  if (n == 0 || n >= cap) return false;
  memcpy(out, *s, n);
  out[n] = '\0';
  *s += n + ((*s)[n] == ' ');
  return true;
}

/* Namespace of a tensor in "name=ns name=ns"; "" when it is not listed. */
static void find_ns(const char *list, const char *name, char ns[XF_NAME_MAX]) {
  char word[2 * XF_NAME_MAX + 1];
  size_t n = strlen(name);
  ns[0] = '\0';
  while (*list && next_word(&list, word, sizeof word))
    if (strncmp(word, name, n) == 0 && word[n] == '=' && strlen(word + n + 1) < XF_NAME_MAX) {
      memcpy(ns, word + n + 1, strlen(word + n + 1) + 1);
      return;
    }
}

static enum xf_rc add_part(struct xf_checkpoint *c, const char *path, const char *name,
                           const char *aligned, struct xf_diag *diag) {
  struct xf_checkpoint_part *p = &c->part[c->n_part];
  p->tensor = xf_safetensors_find(&c->st, name);
  find_ns(aligned, name, p->ns);
  if (!p->tensor || p->tensor->dtype != XF_SAFETENSORS_F32 || p->tensor->n_dim != 2)
    return xf_diag_set(diag, XF_E_CORRUPT, "\"%s\": model tensor \"%s\" is not there as F32 matrix",
                       path, name);
  for (size_t i = 0; i < c->n_part; i++)
    if (c->part[i].tensor == p->tensor)
      return xf_diag_set(diag, XF_E_CORRUPT, "\"%s\": model tensor \"%s\" is listed twice", path,
                         name);
  c->n_part++;
  return XF_OK;
}

static const struct xf_safetensors_tensor *find_state(const struct xf_checkpoint *c, uint32_t k) {
  static const char *const name[XF_CHECKPOINT_STATES] = {XF_CHECKPOINT_STATE0,
                                                         XF_CHECKPOINT_STATE1};
  return k < XF_CHECKPOINT_STATES ? xf_safetensors_find(&c->st, name[k]) : NULL;
}

static enum xf_rc read_parts(struct xf_checkpoint *c, const char *path, struct xf_diag *diag) {
  const char *names = NULL, *aligned = NULL;
  char name[XF_NAME_MAX];
  enum xf_rc rc = need(&c->st, path, "model", &names, diag);
  if (!rc) rc = need(&c->st, path, "aligned", &aligned, diag);
  if (rc) return rc;
  c->part = xf_try_calloc(c->st.n_tensor + 1, sizeof *c->part);
  if (!c->part) return xf_diag_set(diag, XF_E_NOMEM, "\"%s\": no memory", path);
  while (*names && !rc) {
    if (!next_word(&names, name, sizeof name) || c->n_part == c->st.n_tensor)
      return xf_diag_set(diag, XF_E_CORRUPT, "\"%s\": bad metadata \"model\"", path);
    rc = add_part(c, path, name, aligned, diag);
  }
  if (rc) return rc;
  for (int pass = 0; pass < 2; pass++) /* shared tensors first */
    for (size_t i = 0; i < c->n_part; i++)
      if ((c->part[i].ns[0] != '\0') == pass) {
        c->part[i].at = c->n;
        c->n += c->part[i].tensor->len / sizeof(float);
      }
  for (const struct xf_safetensors_tensor *t; (t = find_state(c, c->n_state)); c->n_state++)
    if (t->dtype != XF_SAFETENSORS_F32 || t->len != c->n * sizeof(float))
      return xf_diag_set(diag, XF_E_CORRUPT, "\"%s\": \"%s\" has another length than the model",
                         path, t->name);
  return XF_OK;
}

enum xf_rc xf_checkpoint_open(struct xf_checkpoint *c, const struct xf_fs *fs, const char *path,
                              struct xf_diag *diag) {
  *c = (struct xf_checkpoint){0};
  enum xf_rc rc = xf_safetensors_open(&c->st, fs, path, diag);
  if (!rc) rc = read_info(c, path, diag);
  if (!rc) rc = read_parts(c, path, diag);
  if (rc) xf_checkpoint_close(c);
  return rc;
}

void xf_checkpoint_close(struct xf_checkpoint *c) {
  xf_free(c->part);
  xf_safetensors_close(&c->st);
  *c = (struct xf_checkpoint){0};
}

enum xf_rc xf_checkpoint_verify(struct xf_checkpoint *c, struct xf_diag *diag) {
  struct xf_blake2b_ctx ctx;
  struct xf_digest got;
  char a[XF_DIGEST_HEX], b[XF_DIGEST_HEX];
  enum xf_rc rc = XF_OK;
  uint8_t *chunk = xf_alloc(READ_CHUNK);
  xf_blake2b_init(&ctx, NULL);
  for (size_t i = 0; i < c->n_part && !rc; i++) {
    const struct xf_safetensors_tensor *t = c->part[i].tensor;
    for (uint64_t at = 0; at < t->len && !rc;) {
      size_t n = t->len - at < READ_CHUNK ? (size_t)(t->len - at) : READ_CHUNK;
      rc = xf_safetensors_read(&c->st, t, chunk, n, at, diag);
      if (!rc) xf_blake2b_feed(&ctx, chunk, n);
      at += n;
    }
  }
  xf_blake2b_take(&ctx, &got);
  xf_free(chunk);
  if (rc || xf_digest_equal(&got, &c->info.model)) return rc;
  return xf_diag_set(diag, XF_E_CORRUPT,
                     "checkpoint of round %llu is damaged: its tensors hash to %.16s..., its "
                     "metadata says %.16s...",
                     (unsigned long long)c->info.round, xf_digest_print(a, &got),
                     xf_digest_print(b, &c->info.model));
}

enum xf_rc xf_checkpoint_check(const struct xf_checkpoint *c, const struct xf_layout *layout,
                               struct xf_diag *diag) {
  size_t k = 0;
  for (size_t i = 0; i < layout->n_seg; i++) {
    const struct xf_segment *s = &layout->seg[i];
    if (!xf_segment_global(s)) continue;
    if (k == c->n_part)
      return xf_diag_set(diag, XF_E_SHAPE, "the checkpoint lacks segment \"%s\"", s->name);
    const struct xf_checkpoint_part *p = &c->part[k++];
    if (strcmp(p->tensor->name, s->name) != 0 || strcmp(p->ns, s->ns) != 0)
      return xf_diag_set(diag, XF_E_SHAPE,
                         "the checkpoint has tensor \"%s\" (namespace \"%s\") where the model has "
                         "segment \"%s\" (\"%s\")",
                         p->tensor->name, p->ns, s->name, s->ns);
    if (p->tensor->dim[0] != xf_segment_len(s) / s->cols || p->tensor->dim[1] != s->cols)
      return xf_diag_set(diag, XF_E_SHAPE,
                         "segment \"%s\" is %llu x %llu in the checkpoint, %llu x %u in the model",
                         s->name, (unsigned long long)p->tensor->dim[0],
                         (unsigned long long)p->tensor->dim[1],
                         (unsigned long long)(xf_segment_len(s) / s->cols), s->cols);
  }
  if (k != c->n_part)
    return xf_diag_set(diag, XF_E_SHAPE, "the checkpoint has tensor \"%s\", the model has not",
                       c->part[k].tensor->name);
  return XF_OK;
}

enum xf_rc xf_checkpoint_read(struct xf_checkpoint *c, float *out, uint64_t at, size_t n,
                              struct xf_diag *diag) {
  enum xf_rc rc = XF_OK;
  if (at > c->n || n > c->n - at)
    return xf_diag_set(diag, XF_E_RANGE, "floats %llu+%zu of a model of %llu",
                       (unsigned long long)at, n, (unsigned long long)c->n);
  for (size_t i = 0; i < c->n_part && !rc; i++) {
    const struct xf_checkpoint_part *p = &c->part[i];
    uint64_t end = p->at + p->tensor->len / sizeof(float);
    uint64_t from = at > p->at ? at : p->at, to = at + n < end ? at + n : end;
    if (from >= to) continue;
    rc = xf_safetensors_read(&c->st, p->tensor, out + (from - at),
                             (size_t)(to - from) * sizeof(float), (from - p->at) * sizeof(float),
                             diag);
  }
  return rc;
}

enum xf_rc xf_checkpoint_read_state(struct xf_checkpoint *c, uint32_t k, float *out, uint64_t at,
                                    size_t n, struct xf_diag *diag) {
  const struct xf_safetensors_tensor *m = k < c->n_state ? find_state(c, k) : NULL;
  if (!m) return xf_diag_set(diag, XF_E_NOTFOUND, "the checkpoint holds no server state %u", k);
  if (at > c->n || n > c->n - at)
    return xf_diag_set(diag, XF_E_RANGE, "floats %llu+%zu of a server state of %llu",
                       (unsigned long long)at, n, (unsigned long long)c->n);
  return xf_safetensors_read(&c->st, m, out, n * sizeof(float), at * sizeof(float), diag);
}

enum xf_rc xf_checkpoint_keys(struct xf_checkpoint *c, struct xf_manifest *out, const char *ns,
                              struct xf_diag *diag) {
  char name[XF_SAFETENSORS_NAME_MAX];
  const struct xf_safetensors_tensor *t = NULL;
  *out = (struct xf_manifest){0};
  size_t prefix = sizeof XF_CHECKPOINT_KEYS - 1, n = strlen(ns);
  if (prefix + n < sizeof name) {
    memcpy(name, XF_CHECKPOINT_KEYS, prefix);
    memcpy(name + prefix, ns, n + 1);
    t = xf_safetensors_find(&c->st, name);
  }
  if (!t) return xf_diag_set(diag, XF_E_NOTFOUND, "the checkpoint holds no keys of \"%.64s\"", ns);
  if (t->dtype != XF_SAFETENSORS_U8 || t->n_dim != 2 || t->dim[1] != XF_KEY_LEN)
    return xf_diag_set(diag, XF_E_CORRUPT, "tensor \"%s\" is not U8 [n, %d]", name, XF_KEY_LEN);
  uint8_t *p = xf_try_calloc((size_t)t->len + 1, 1);
  if (!p) return xf_diag_set(diag, XF_E_NOMEM, "no memory for the keys of \"%.64s\"", ns);
  enum xf_rc rc = xf_safetensors_read(&c->st, t, p, (size_t)t->len, 0, diag);
  if (!rc) rc = xf_manifest_decode(out, p, (size_t)t->len, diag);
  if (rc == XF_E_FORMAT) rc = xf_diag_prefix(diag, XF_E_CORRUPT, "tensor \"%s\"", name);
  xf_free(p);
  return rc;
}
