/* A newest model that does not verify is computed again, if what it was made of is still there. */
#include "server/io/aggregate.h"

#include "base/alloc.h"
#include "base/log.h"
#include "crypto/sha256.h"

#include <string.h>

enum { CHUNK = 64 * 1024 };

/* The whole file against the ledger: the model's own digest would not see a damaged momentum. */
static enum xf_rc check_file(const struct srv_state *st, const struct xf_ledger_checkpoint *c,
                             struct xf_diag *diag) {
  char path[XF_PATH_MAX];
  struct xf_file file;
  struct xf_sha256_ctx sha;
  struct xf_digest got;
  size_t n = 1;
  enum xf_rc rc = srv_state_path(st, path, c->path, diag);
  if (rc) return rc;
  rc = st->fs->open(st->fs, &file, path, XF_FS_READ);
  if (rc)
    return xf_diag_set(diag, rc == XF_E_NOTFOUND ? XF_E_CORRUPT : rc, "cannot open \"%s\": %s",
                       path, xf_rc_text(rc));
  uint8_t *chunk = xf_alloc(CHUNK);
  xf_sha256_init(&sha);
  for (uint64_t at = 0; !rc && n; at += n) {
    rc = st->fs->pread(&file, chunk, CHUNK, at, &n);
    if (!rc) xf_sha256_feed(&sha, chunk, n);
  }
  xf_sha256_take(&sha, &got);
  xf_sha256_deinit(&sha);
  xf_free(chunk);
  (void)st->fs->close(&file); /* read only */
  if (rc) return xf_diag_set(diag, rc, "cannot read \"%s\": %s", path, xf_rc_text(rc));
  return xf_digest_equal(&got, &c->sha256)
             ? XF_OK
             : xf_diag_set(diag, XF_E_CORRUPT, "\"%s\" has another SHA-256 than the ledger says",
                           path);
}

static enum xf_rc open_checked(struct srv_state *st, const struct xf_ledger_checkpoint *c,
                               struct xf_diag *diag) {
  enum xf_rc rc = check_file(st, c, diag);
  return rc ? rc : srv_model_open(st, c, diag);
}

struct parts {
  const struct srv_state *st;
  uint32_t *member;
  uint64_t *weight;
  struct xf_digest *task;
  size_t n;
};

static enum xf_rc on_update(void *arg, const struct xf_ledger_stored *s) {
  struct parts *p = arg;
  if (!s->frozen) return XF_OK;
  if (p->n == p->st->n) return XF_E_CORRUPT;
  p->member[p->n] = srv_state_member(p->st, s->u.member);
  if (p->member[p->n] == UINT32_MAX) return XF_E_NOTFOUND; /* a former member */
  p->task[p->n] = s->u.task_id;
  p->weight[p->n++] = s->weight;
  return XF_OK;
}

struct parent {
  const struct xf_digest *want;
  struct xf_ledger_checkpoint c;
  uint64_t trained; /* models before it, model 0 included */
  bool found;
};

static enum xf_rc on_checkpoint(void *arg, const struct xf_ledger_checkpoint *c, bool pruned) {
  struct parent *p = arg;
  if (p->found) return XF_OK;
  p->found = !pruned && xf_digest_equal(&c->model, p->want);
  if (p->found) p->c = *c;
  else p->trained++;
  return XF_OK;
}

static enum xf_rc set_aside(struct srv_state *st, const struct xf_ledger_checkpoint *c,
                            struct xf_diag *diag) {
  const enum xf_rc rc = srv_model_set_aside(st, c->path, diag);
  return rc == XF_E_NOTFOUND ? XF_OK : rc; /* it may be missing altogether */
}

static enum xf_rc refold(struct srv_state *st, const struct xf_ledger_checkpoint *newest,
                         struct xf_diag *diag) {
  struct parent parent = {.want = &newest->parent};
  struct parts p = {.st = st};
  struct srv_agg a = {0};
  const uint64_t committed = st->committed;
  enum xf_rc rc = xf_ledger_checkpoints(st->ledger, on_checkpoint, &parent, diag);
  if (!rc && !parent.found) rc = xf_diag_set(diag, XF_E_CORRUPT, "its parent is not kept any more");
  if (!rc) rc = open_checked(st, &parent.c, diag);
  if (rc) return rc;
  p.member = xf_calloc(st->n, sizeof *p.member);
  p.weight = xf_calloc(st->n, sizeof *p.weight);
  p.task = xf_calloc(st->n, sizeof *p.task);
  rc = xf_ledger_updates(st->ledger, newest->round, on_update, &p, diag);
  if (!rc) {
    st->committed = parent.trained; /* the rate of that commit */
    const struct srv_frozen list = {p.member, p.weight, p.task, NULL, p.n};
    srv_agg_init(&a, st, newest->round, XF_TASK_TRAIN, &list);
    rc = srv_agg_run(&a, diag);
    if (!rc && !xf_digest_equal(&a.model, &newest->model))
      rc = xf_diag_set(diag, XF_E_CORRUPT, "its updates give another model now");
    if (!rc) rc = set_aside(st, newest, diag);
    if (!rc) {
      srv_agg_give(&a, st);
      rc = srv_publish_run(st, diag);
    }
    srv_agg_deinit(&a);
  }
  srv_next_drop(st);
  st->committed = committed;
  xf_free(p.member);
  xf_free(p.weight);
  xf_free(p.task);
  return rc;
}

static enum xf_rc remake(struct srv_state *st, const struct xf_ledger_checkpoint *newest,
                         struct xf_diag *diag) {
  struct xf_ledger_checkpoint again;
  enum xf_rc rc = set_aside(st, newest, diag);
  if (!rc) rc = srv_model_zero(st, &again, diag);
  if (!rc && !xf_digest_equal(&again.model, &newest->model))
    rc = xf_diag_set(diag, XF_E_CORRUPT, "the plan gives another first model now");
  return rc;
}

enum xf_rc srv_heal_open(struct srv_state *st, const struct xf_ledger_checkpoint *newest,
                         struct xf_diag *diag) {
  struct xf_diag why;
  xf_diag_init(&why);
  enum xf_rc rc = open_checked(st, newest, diag);
  if (rc != XF_E_CORRUPT) return rc;
  xf_log(XF_LOG_ERROR, "model_damaged", XF_U("round", newest->round),
         XF_S("reason", xf_diag_text(diag, rc)));
  rc = newest->round ? refold(st, newest, &why) : remake(st, newest, &why);
  if (!rc) rc = open_checked(st, newest, &why);
  if (rc)
    return xf_diag_set(diag, XF_E_CORRUPT,
                       "model of round %llu, \"%s\", is damaged and cannot be computed again: %s",
                       (unsigned long long)newest->round, newest->path, xf_diag_text(&why, rc));
  xf_log(XF_LOG_WARN, "model_recomputed", XF_U("round", newest->round));
  return XF_OK;
}
