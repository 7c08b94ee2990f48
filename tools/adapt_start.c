/* A trained start: the plan beside the model decides what the model must look like. */
#include "tools/adapt.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "resolve/global.h"
#include "store/state.h"

static enum xf_rc read_plan(struct xf_plan *out, const char *dir, const char *const *sets,
                            size_t n_sets, struct xf_diag *diag) {
  const struct xf_fs *fs = xf_fs_posix();
  char path[XF_PATH_MAX];
  struct xf_buf buf;
  enum xf_rc rc = xf_fs_join(path, dir, "plan.resolved.yaml");
  if (!rc && xf_fs_exists(fs, path)) return xf_plan_load(out, path, sets, n_sets, NULL, diag);
  if (!rc) rc = xf_fs_join(path, dir, "plan.bin");
  if (rc || !xf_fs_exists(fs, path))
    return xf_diag_set(diag, XF_E_NOTFOUND,
                       "%s: has neither plan.resolved.yaml (a run of crossfed sim --out, or a "
                       "coordinator's state) nor plan.bin (a silo's)",
                       dir);
  if (n_sets) return xf_diag_set(diag, XF_E_INVAL, "--set: %s holds a plan that is not text", dir);
  xf_buf_init(&buf, XF_PLAN_BYTES_MAX);
  rc = xf_fs_read_file(fs, path, &buf, diag);
  if (!rc) rc = xf_plan_decode(out, buf.p, buf.len, diag);
  xf_buf_deinit(&buf);
  return rc ? xf_diag_prefix(diag, rc, "%s", path) : XF_OK;
}

static enum xf_rc read_model(struct adapt_start *s, const char *path, struct xf_diag *diag) {
  struct xf_global global = {0};
  struct xf_checkpoint c;
  struct xf_digest plan;
  enum xf_rc rc = xf_checkpoint_open(&c, xf_fs_posix(), path, diag);
  if (rc) return rc;
  s->info = c.info;
  rc = xf_plan_digest(&plan, &s->plan);
  if (!rc && !xf_digest_equal(&plan, &c.info.plan))
    rc = xf_diag_set(diag, XF_E_CONFLICT,
                     "%s: the model is of another plan than the one beside it, or than --set "
                     "makes of it",
                     path);
  if (!rc) rc = xf_global_init(&global, &s->plan, NULL, diag);
  if (!rc) rc = xf_checkpoint_check(&c, global.layout, diag);
  if (!rc) rc = xf_checkpoint_verify(&c, diag);
  s->n = c.n;
  s->x = rc ? NULL : xf_try_calloc((size_t)c.n, sizeof *s->x);
  if (!rc && !s->x) rc = XF_E_NOMEM;
  if (!rc) rc = xf_checkpoint_read(&c, s->x, 0, (size_t)c.n, diag);
  xf_global_deinit(&global);
  xf_checkpoint_close(&c);
  return rc;
}

enum xf_rc adapt_start_load(struct adapt_start *out, const char *dir, const char *const *sets,
                            size_t n_sets, struct xf_diag *diag) {
  char path[XF_PATH_MAX];
  enum xf_rc rc = read_plan(&out->plan, dir, sets, n_sets, diag);
  if (!rc) rc = read_plan(&out->trained, dir, NULL, 0, diag);
  if (!rc) rc = xf_adapt_check(&out->plan, diag);
  if (!rc) rc = xf_fs_join(path, dir, XF_STATE_MODEL);
  return rc ? rc : read_model(out, path, diag);
}

void adapt_start_deinit(struct adapt_start *start) {
  xf_free(start->x);
  start->x = NULL;
}
