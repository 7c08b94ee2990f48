/* The folder old/: models that a start set aside because the ledger does not know them, the newest few. */
#include "server/io/state.h"

#include "base/alloc.h"
#include "base/log.h"
#include "base/str.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct old_file {
  uint64_t epoch;
  char name[256];
};

struct old_list {
  struct old_file *file;
  size_t n, cap;
};

/* Only what was put there: epoch-<n>-<name>. */
static enum xf_rc on_file(void *arg, const char *name) {
  static const char prefix[] = "epoch-";
  struct old_list *l = arg;
  const char *number = name + sizeof prefix - 1;
  uint64_t epoch = 0;
  if (strlen(name) > 255 || strncmp(name, prefix, sizeof prefix - 1) != 0) return XF_OK;
  const char *end = strchr(number, '-');
  if (!end || xf_str_u64(&epoch, number, (size_t)(end - number))) return XF_OK;
  if (l->n == l->cap) {
    l->cap = l->cap ? 2 * l->cap : 16;
    l->file = xf_realloc_array(l->file, l->cap, sizeof *l->file);
  }
  l->file[l->n].epoch = epoch;
  (void)snprintf(l->file[l->n++].name, sizeof l->file->name, "%s", name);
  return XF_OK;
}

static int newest_first(const void *a, const void *b) {
  const struct old_file *x = a, *y = b;
  if (x->epoch != y->epoch) return x->epoch < y->epoch ? 1 : -1;
  return strcmp(y->name, x->name);
}

enum xf_rc srv_old_prune(struct srv_state *st, struct xf_diag *diag) {
  char dir[XF_PATH_MAX], path[XF_PATH_MAX];
  struct old_list l = {0};
  enum xf_rc rc = srv_state_path(st, dir, SRV_OLD_DIR, diag);
  if (rc) return rc;
  rc = st->fs->list(st->fs, dir, on_file, &l);
  if (rc == XF_E_NOTFOUND) rc = XF_OK; /* nothing was ever set aside */
  if (rc) (void)xf_diag_set(diag, rc, "cannot read \"%s\": %s", dir, xf_rc_text(rc));
  if (l.n) qsort(l.file, l.n, sizeof *l.file, newest_first);
  for (size_t i = st->cfg->checkpoint.keep_old; i < l.n && !rc; i++) {
    rc = xf_fs_join(path, dir, l.file[i].name);
    if (!rc) rc = st->fs->unlink(st->fs, path);
    if (rc) (void)xf_diag_set(diag, rc, "cannot remove \"%s\": %s", path, xf_rc_text(rc));
    else xf_log(XF_LOG_INFO, "old_model_removed", XF_S("file", l.file[i].name));
  }
  xf_free(l.file);
  return rc;
}
