#include "store/state.h"

#include <stdio.h>
#include <string.h>

struct sub {
  const char *name;
  unsigned mode;
};

static enum xf_rc make(const struct xf_fs *fs, const char *dir, const struct sub *sub, size_t n,
                       struct xf_diag *diag) {
  char path[XF_PATH_MAX];
  enum xf_rc rc = XF_OK;
  for (size_t i = 0; i < n && !rc; i++) {
    rc = xf_fs_join(path, dir, sub[i].name);
    if (!rc) rc = fs->mkdir(fs, path, sub[i].mode);
    if (rc) xf_diag_set(diag, rc, "cannot make \"%s/%s\": %s", dir, sub[i].name, xf_rc_text(rc));
  }
  if (rc) return rc;
  rc = fs->syncdir(fs, dir);
  return rc ? xf_diag_set(diag, rc, "cannot sync directory \"%s\": %s", dir, xf_rc_text(rc))
            : XF_OK;
}

enum xf_rc xf_state_init_server(const struct xf_fs *fs, const char *dir, struct xf_diag *diag) {
  static const struct sub sub[] = {{"ledger", 0750}, {XF_STATE_CKPT, 0750}, {XF_STATE_SPOOL, 0700}};
  return make(fs, dir, sub, sizeof sub / sizeof sub[0], diag);
}

enum xf_rc xf_state_init_client(const struct xf_fs *fs, const char *dir, struct xf_diag *diag) {
  static const struct sub sub[] = {{XF_STATE_OUTBOX, 0700}, {XF_STATE_PERSONAL, 0700}};
  return make(fs, dir, sub, sizeof sub / sizeof sub[0], diag);
}

void xf_state_checkpoint_name(char out[XF_STATE_CKPT_NAME], uint64_t round) {
  (void)snprintf(out, XF_STATE_CKPT_NAME, XF_STATE_CKPT "/round-%010llu.safetensors",
                 (unsigned long long)round);
}

enum xf_rc xf_state_check_space(const struct xf_fs *fs, const char *dir, uint64_t bytes,
                                struct xf_diag *diag) {
  uint64_t have = 0;
  enum xf_rc rc = fs->free_bytes(fs, dir, &have);
  if (rc) return xf_diag_set(diag, rc, "cannot tell the free space of \"%s\"", dir);
  if (have >= bytes) return XF_OK;
  return xf_diag_set(diag, XF_E_NOSPACE,
                     "\"%s\" has %llu MiB free, %llu MiB are needed: make room or move state_dir",
                     dir, (unsigned long long)(have >> 20), (unsigned long long)(bytes >> 20) + 1);
}

struct sweep {
  const struct xf_fs *fs;
  const char *dir;
  uint64_t n;
  struct xf_diag *diag;
};

static enum xf_rc sweep_one(void *arg, const char *name) {
  struct sweep *s = arg;
  char path[XF_PATH_MAX];
  size_t n = strlen(name);
  if (n < 4 || strcmp(name + n - 4, ".tmp") != 0) return XF_OK;
  enum xf_rc rc = xf_fs_join(path, s->dir, name);
  if (!rc) rc = s->fs->unlink(s->fs, path);
  if (rc)
    return xf_diag_set(s->diag, rc, "cannot remove \"%s/%s\": %s", s->dir, name, xf_rc_text(rc));
  s->n++;
  return XF_OK;
}

enum xf_rc xf_state_sweep(const struct xf_fs *fs, const char *dir, uint64_t *n_deleted,
                          struct xf_diag *diag) {
  char ckpt[XF_PATH_MAX];
  struct sweep s = {.fs = fs, .dir = ckpt, .diag = diag};
  enum xf_rc rc = xf_fs_join(ckpt, dir, XF_STATE_CKPT);
  if (rc) return xf_diag_set(diag, rc, "path too long: \"%s\"", dir);
  xf_diag_init(diag);
  rc = fs->list(fs, ckpt, sweep_one, &s);
  if (n_deleted) *n_deleted = s.n;
  if (rc && diag && !diag->rc)
    return xf_diag_set(diag, rc, "cannot list \"%s\": %s", ckpt, xf_rc_text(rc));
  return rc;
}
