/* The task's model: written to a file as it comes, read into memory when the work begins. */
#include "base/alloc.h"
#include "client/io/parts.h"
#include "crypto/blake2b.h"

#define FETCH_FILE \
  "model.part" /* a cache: never synced, made anew for each task, but for artifacts that stay */

static void fetch_failed(struct xf_client *c, enum xf_rc rc) {
  client_fail(c, rc, "model file", xf_rc_text(rc));
}

void client_fetch_begin(struct xf_client *c, const struct xf_msg_task_offer *offer, uint64_t keep) {
  char path[XF_PATH_MAX];
  enum xf_rc rc = XF_OK;
  if (keep == 0 || !c->model_open) {
    if (c->model_open) rc = c->model.fs->close(&c->model);
    c->model_open = false;
    if (!rc) rc = client_path(c, path, FETCH_FILE);
    if (!rc) rc = c->fs->open(c->fs, &c->model, path, XF_FS_RDWR);
    c->model_open = rc == XF_OK;
  }
  if (!rc) rc = c->model.fs->truncate(&c->model, keep);
  if (!rc) rc = c->model.fs->reserve(&c->model, offer->model_len);
  c->model_len = offer->model_len;
  if (rc) fetch_failed(c, rc);
}

void client_fetch_write(struct xf_client *c, uint64_t offset, const uint8_t *data, size_t len) {
  if (!c->model_open) return; /* it failed, the daemon is ending */
  enum xf_rc rc = c->model.fs->pwrite(&c->model, data, len, offset);
  if (rc) fetch_failed(c, rc);
}

enum xf_rc client_fetch_read(struct xf_client *c, const struct xf_msg_task_offer *offer,
                             struct xf_diag *diag) {
  size_t got = 0;
  struct xf_digest digest;
  if (c->base_len != offer->model_len) {
    xf_free(c->base);
    c->base = xf_try_calloc((size_t)offer->model_len / sizeof(float) + 1, sizeof(float));
    c->base_len = c->base ? offer->model_len : 0;
    if (!c->base)
      return xf_diag_set(diag, XF_E_NOMEM, "no memory for a model of %llu bytes",
                         (unsigned long long)offer->model_len);
  }
  if (!c->model_open) return xf_diag_set(diag, XF_E_STATE, "there is no fetched model");
  enum xf_rc rc = c->model.fs->pread(&c->model, c->base, (size_t)offer->model_len, 0, &got);
  if (rc || got != offer->model_len)
    return xf_diag_set(diag, rc ? rc : XF_E_CORRUPT, "the fetched model cannot be read back");
  if (xf_silo_spaces(c->silo)) return XF_OK; /* only the own rows: the digest covers all */
  xf_blake2b(&digest, c->base, (size_t)offer->model_len);
  if (!xf_digest_equal(&digest, &offer->base_digest))
    return xf_diag_set(diag, XF_E_CORRUPT, "the fetched model does not match the task's digest");
  return XF_OK;
}
