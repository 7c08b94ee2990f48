/* Checkpoints: the first one, the one that is served, the ones that go. */
#include "server/io/state.h"

#include "base/alloc.h"
#include "base/log.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

_Static_assert((int)XF_SERVER_STATES == (int)XF_CHECKPOINT_STATES,
               "a checkpoint holds all server states");

static struct xf_checkpoint_info info_of(const struct srv_state *st, uint64_t round,
                                         const struct xf_digest *parent) {
  struct xf_checkpoint_info info = {
      .round = round, .plan = st->plan_digest, .layout = st->layout_digest};
  memcpy(info.run, st->run_id, sizeof info.run);
  if (parent) info.parent = *parent;
  return info;
}

static enum xf_rc save(const struct srv_state *st, uint64_t round, const float *global,
                       const float *const *state, const struct xf_digest *parent,
                       char name[XF_STATE_CKPT_NAME], struct xf_checkpoint_saved *saved,
                       struct xf_diag *diag) {
  char path[XF_PATH_MAX];
  struct xf_checkpoint_keys keys[XF_SPACES_MAX] = {{0}};
  for (uint32_t k = 0; k < st->spaces.n; k++)
    keys[k] = (struct xf_checkpoint_keys){st->spaces.at[k].ns, st->directory[k].all.key,
                                          st->directory[k].all.n};
  const struct xf_checkpoint_src src = {.layout = st->global.layout,
                                        .global = global,
                                        .state = {state ? state[0] : NULL, state ? state[1] : NULL},
                                        .keys = keys,
                                        .n_keys = st->spaces.n};
  const struct xf_checkpoint_info info = info_of(st, round, parent);
  xf_state_checkpoint_name(name, round);
  enum xf_rc rc = srv_state_path(st, path, name, diag);
  return rc ? rc : xf_checkpoint_save(st->fs, path, &info, &src, saved, diag);
}

static const struct xf_directory *directories(const struct srv_state *st) {
  return st->spaces.n ? st->directory : NULL;
}

enum xf_rc srv_model_zero(struct srv_state *st, struct xf_ledger_checkpoint *out,
                          struct xf_diag *diag) {
  char name[XF_STATE_CKPT_NAME];
  struct xf_checkpoint_saved saved;
  float *x = xf_try_pages(st->global.n * sizeof *x);
  if (!x)
    return xf_diag_set(diag, XF_E_NOMEM, "no memory for a model of %llu floats",
                       (unsigned long long)st->global.n);
  enum xf_rc rc = xf_global_first(&st->global, x, &st->plan, directories(st), diag);
  if (!rc) rc = save(st, 0, x, NULL, NULL, name, &saved, diag);
  xf_free_pages(x, st->global.n * sizeof *x);
  if (rc) return rc;
  *out = (struct xf_ledger_checkpoint){
      .model = saved.model, .sha256 = saved.sha256, .bytes = saved.bytes};
  memcpy(out->path, name, sizeof name);
  return XF_OK;
}

enum xf_rc srv_model_first(struct srv_state *st, struct xf_diag *diag) {
  struct xf_ledger_recovery have;
  struct xf_ledger_checkpoint row;
  enum xf_rc rc = XF_OK;
  if (!st->has_global) rc = xf_global_init(&st->global, &st->plan, directories(st), diag);
  if (rc) return rc;
  st->has_global = true;
  rc = xf_ledger_recover(st->ledger, &have, diag);
  if (rc) return rc;
  const bool first = !have.has_checkpoint;
  xf_ledger_recovery_deinit(&have);
  if (!first) return XF_OK;
  rc = srv_model_zero(st, &row, diag);
  if (rc) return rc;
  rc = xf_ledger_checkpoint_first(st->ledger, &row, diag);
  return rc ? rc : srv_model_open(st, &row, diag);
}

enum xf_rc srv_model_open(struct srv_state *st, const struct xf_ledger_checkpoint *c,
                          struct xf_diag *diag) {
  char path[XF_PATH_MAX];
  struct xf_checkpoint ckpt = {0};
  enum xf_rc rc = srv_state_path(st, path, c->path, diag);
  if (!rc) rc = xf_checkpoint_open(&ckpt, st->fs, path, diag);
  if (!rc) rc = xf_checkpoint_check(&ckpt, st->global.layout, diag);
  if (!rc && (!xf_digest_equal(&ckpt.info.model, &c->model) || ckpt.info.round != c->round))
    rc = xf_diag_set(diag, XF_E_CORRUPT, "\"%s\" is another model than the ledger's of round %llu",
                     path, (unsigned long long)c->round);
  if (rc) {
    xf_checkpoint_close(&ckpt);
    return rc == XF_E_NOTFOUND || rc == XF_E_SHAPE ? XF_E_CORRUPT : rc;
  }
  if (st->has_model) xf_checkpoint_close(&st->model);
  st->model = ckpt;
  st->has_model = true;
  memcpy(st->model_path, path, sizeof st->model_path);
  st->model_round = c->round;
  st->model_digest = c->model;
  return XF_OK;
}

struct xf_plan_lens srv_model_lens(const struct srv_state *st, uint32_t member) {
  if (!st->has_global) return (struct xf_plan_lens){.n_stage = st->plan.n_stages};
  return xf_global_lens(&st->global, &st->plan, &st->m[member].rows);
}

/* Floats of a view, run by run. */
static enum xf_rc read_floats(const struct srv_state *st, struct xf_checkpoint *model,
                              uint32_t member, struct xf_global_view view, uint64_t at, float *out,
                              size_t n, struct xf_diag *diag) {
  const struct srv_member *m = &st->m[member];
  for (size_t done = 0; done < n;) {
    const struct xf_global_run run = xf_global_view_at(&st->global, view, &m->rows, at + done);
    size_t k = n - done;
    if (k > run.len) k = (size_t)run.len;
    enum xf_rc rc = xf_checkpoint_read(model, out + done, run.from, k, diag);
    if (rc) return rc;
    done += k;
  }
  return XF_OK;
}

struct wanted {
  const struct xf_digest *model;
  char path[XF_LEDGER_TEXT_MAX];
};

static enum xf_rc on_wanted(void *arg, const struct xf_ledger_checkpoint *c, bool pruned) {
  struct wanted *w = arg;
  if (!pruned && xf_digest_equal(&c->model, w->model)) memcpy(w->path, c->path, sizeof w->path);
  return XF_OK;
}

/* The model of a task that outlived its round; the last one that was asked for stays open. */
static enum xf_rc open_past(struct srv_state *st, const struct xf_digest *base,
                            struct xf_diag *diag) {
  struct wanted w = {.model = base};
  char path[XF_PATH_MAX];
  if (st->has_past && xf_digest_equal(&st->past.info.model, base)) return XF_OK;
  srv_model_close_past(st);
  enum xf_rc rc = xf_ledger_checkpoints(st->ledger, on_wanted, &w, diag);
  if (!rc && !w.path[0])
    rc = xf_diag_set(diag, XF_E_NOTFOUND, "a task's model is not kept any more");
  if (!rc) rc = srv_state_path(st, path, w.path, diag);
  if (!rc) rc = xf_checkpoint_open(&st->past, st->fs, path, diag);
  st->has_past = !rc;
  return rc;
}

void srv_model_close_past(struct srv_state *st) {
  if (st->has_past) xf_checkpoint_close(&st->past);
  st->has_past = false;
}

enum xf_rc srv_model_read(struct srv_state *st, uint32_t member, const struct xf_digest *base,
                          struct xf_global_view view, uint64_t at, uint8_t *out, size_t len,
                          struct xf_diag *diag) {
  float x[XF_CHUNK_MAX / sizeof(float) + 2];
  const uint64_t total = xf_global_view_len(&st->global, view, &st->m[member].rows) * sizeof(float);
  const uint64_t first = at / sizeof(float);
  if (at > total || len > total - at || len > XF_CHUNK_MAX)
    return xf_diag_set(diag, XF_E_RANGE, "model bytes %llu+%zu of %llu", (unsigned long long)at,
                       len, (unsigned long long)total);
  const size_t n = (size_t)((at + len + sizeof(float) - 1) / sizeof(float) - first);
  const bool now = xf_digest_equal(base, &st->model_digest);
  enum xf_rc rc = now ? XF_OK : open_past(st, base, diag);
  if (!rc) rc = read_floats(st, now ? &st->model : &st->past, member, view, first, x, n, diag);
  if (!rc) memcpy(out, (const uint8_t *)x + at % sizeof(float), len);
  return rc;
}

enum xf_rc srv_publish_run(struct srv_state *st, struct xf_diag *diag) {
  struct srv_next *next = &st->next;
  enum xf_rc rc = save(st, next->round, next->global, (const float *const *)next->state,
                       &st->model_digest, next->path, &next->saved, diag);
  if (!rc && !xf_digest_equal(&next->saved.model, &next->model))
    rc = xf_diag_set(diag, XF_E_CORRUPT,
                     "round %llu: memory changed between computing the model and storing it",
                     (unsigned long long)next->round);
  xf_free_pages(next->global, next->n * sizeof(float));
  for (int k = 0; k < XF_SERVER_STATES; k++) xf_free_pages(next->state[k], next->n * sizeof(float));
  next->global = next->state[0] = next->state[1] = NULL;
  return rc;
}

void srv_next_drop(struct srv_state *st) {
  xf_free_pages(st->next.global, st->next.n * sizeof(float));
  for (int k = 0; k < XF_SERVER_STATES; k++)
    xf_free_pages(st->next.state[k], st->next.n * sizeof(float));
  xf_free(st->next.metrics);
  st->next = (struct srv_next){0};
}

enum xf_rc srv_model_adopt(struct srv_state *st, struct xf_diag *diag) {
  struct xf_ledger_checkpoint row = {.round = st->next.round, .model = st->next.model};
  memcpy(row.path, st->next.path, sizeof st->next.path);
  st->committed++;
  return srv_model_open(st, &row, diag);
}

/* --- what goes ---------------------------------------------------------------------------------------------------- */

struct known { /* checkpoints with a row and not pruned, ascending */
  struct xf_ledger_checkpoint *c;
  size_t n;
};

static enum xf_rc on_checkpoint(void *arg, const struct xf_ledger_checkpoint *c, bool pruned) {
  struct known *k = arg;
  if (pruned) return XF_OK;
  if (k->n % 16 == 0) k->c = xf_realloc_array(k->c, k->n + 16, sizeof *k->c);
  k->c[k->n++] = *c;
  return XF_OK;
}

static enum xf_rc prune_rows(struct srv_state *st, const struct known *k, size_t n,
                             struct xf_diag *diag) {
  enum xf_rc rc = xf_ledger_begin(st->ledger, xf_wall_now_us(), diag);
  if (rc) return rc;
  for (size_t i = 0; i < n && !rc; i++)
    rc = xf_ledger_checkpoint_prune(st->ledger, k->c[i].round, diag);
  if (!rc) rc = xf_ledger_commit(st->ledger, diag);
  if (rc) xf_ledger_rollback(st->ledger);
  return rc;
}

static enum xf_rc prune(struct srv_state *st, struct xf_diag *diag) {
  struct known k = {0};
  char path[XF_PATH_MAX];
  enum xf_rc rc = xf_ledger_checkpoints(st->ledger, on_checkpoint, &k, diag);
  size_t keep = st->cfg->checkpoint.keep;
  if (srv_state_async(st) && keep < st->plan.stages[0].fed.async.max_staleness + 2)
    keep = st->plan.stages[0].fed.async.max_staleness + 2; /* tasks still start from them */
  const size_t n = k.n > keep ? k.n - keep : 0;
  if (!rc && n)
    rc = prune_rows(st, &k, n, diag); /* the row first: a file without a row is a stray */
  for (size_t i = 0; i < n && !rc; i++) {
    rc = srv_state_path(st, path, k.c[i].path, diag);
    if (!rc) rc = st->fs->unlink(st->fs, path);
    if (rc == XF_E_NOTFOUND) rc = XF_OK;
    if (rc) xf_diag_set(diag, rc, "cannot remove \"%s\": %s", path, xf_rc_text(rc));
  }
  xf_free(k.c);
  return rc;
}

enum xf_rc srv_model_collect(struct srv_state *st, struct xf_diag *diag) {
  uint64_t keep[64 + 1];
  size_t n = 0;
  enum xf_rc rc = xf_ledger_retained(st->ledger, st->cfg->spool.retain, keep,
                                     sizeof keep / sizeof keep[0], &n, diag);
  if (!rc) rc = xf_spool_collect(&st->spool, keep, n, NULL, diag);
  return rc ? rc : prune(st, diag);
}

enum xf_rc srv_model_reserve(struct srv_state *st, enum xf_task_kind kind, struct xf_diag *diag) {
  uint64_t need = 1 << 20; /* the ledger's own */
  for (uint32_t i = 0; i < st->n; i++)
    need +=
        XF_SPOOL_HEADER + (kind == XF_TASK_EVALUATE ? XF_REPORT_MAX : srv_model_lens(st, i).all);
  uint64_t keys = 0;
  for (uint32_t k = 0; k < st->spaces.n; k++) keys += st->directory[k].all.n;
  if (kind == XF_TASK_TRAIN)
    need += 2 * ((1 + xf_resolve_server_states(&st->plan)) * st->global.n * sizeof(float) +
                 keys * XF_KEY_LEN + XF_SAFETENSORS_HEADER_MAX / 8);
  return xf_state_check_space(st->fs, st->cfg->state_dir, need, diag);
}

struct strays {
  struct srv_state *st;
  const struct known *known;
  uint64_t open; /* a model of the open round may wait for its row */
  struct xf_diag *diag;
};

enum xf_rc srv_model_set_aside(struct srv_state *st, const char *name, struct xf_diag *diag) {
  char old[XF_PATH_MAX], from[XF_PATH_MAX], to[XF_PATH_MAX];
  enum xf_rc rc = srv_state_path(st, old, SRV_OLD_DIR, diag);
  if (!rc) rc = srv_state_path(st, from, name, diag);
  if (rc) return rc;
  rc = st->fs->mkdir(st->fs, old, 0750);
  if (rc) return xf_diag_set(diag, rc, "cannot make \"%s\": %s", old, xf_rc_text(rc));
  const char *slash = strrchr(name, '/');
  const int n = snprintf(to, sizeof to, "%s/epoch-%llu-%s", old, (unsigned long long)st->epoch,
                         slash ? slash + 1 : name);
  if (n < 0 || (size_t)n >= sizeof to)
    return xf_diag_set(diag, XF_E_LIMIT, "path too long: \"%s\"", from);
  rc = xf_fs_rename_durable(st->fs, from, to, diag);
  if (rc) return rc;
  xf_log(XF_LOG_WARN, "model_set_aside", XF_S("file", name), XF_S("moved_to", to));
  return srv_old_prune(st, diag);
}

static enum xf_rc stray(void *arg, const char *name) {
  struct strays *s = arg;
  char rel[XF_STATE_CKPT_NAME + 256], open[XF_STATE_CKPT_NAME];
  if (strlen(name) > 255) return XF_OK;
  (void)snprintf(rel, sizeof rel, XF_STATE_CKPT "/%s", name);
  for (size_t i = 0; i < s->known->n; i++)
    if (strcmp(s->known->c[i].path, rel) == 0) return XF_OK;
  xf_state_checkpoint_name(open, s->open);
  if (s->open && strcmp(open, rel) == 0) return XF_OK;
  return srv_model_set_aside(s->st, rel, s->diag);
}

enum xf_rc srv_model_strays(struct srv_state *st, struct xf_diag *diag) {
  char dir[XF_PATH_MAX];
  struct known k = {0};
  struct xf_ledger_recovery r;
  uint64_t swept = 0;
  enum xf_rc rc = xf_state_sweep(st->fs, st->cfg->state_dir, &swept, diag);
  if (!rc) rc = xf_ledger_recover(st->ledger, &r, diag);
  if (rc) return rc;
  struct strays s = {.st = st, .known = &k, .open = r.has_open ? r.round : 0, .diag = diag};
  xf_ledger_recovery_deinit(&r);
  rc = xf_ledger_checkpoints(st->ledger, on_checkpoint, &k, diag);
  if (!rc) rc = srv_state_path(st, dir, XF_STATE_CKPT, diag);
  if (!rc) {
    xf_diag_init(diag);
    rc = st->fs->list(st->fs, dir, stray, &s);
  }
  if (rc && (!diag || !diag->rc))
    xf_diag_set(diag, rc, "cannot tidy \"%s\": %s", st->cfg->state_dir, xf_rc_text(rc));
  xf_free(k.c);
  return rc;
}
