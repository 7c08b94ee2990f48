/* The files against the ledger: checkpoints, the spool, and the recomputation of the newest model. */
#include "base/alloc.h"
#include "crypto/blake2b.h"
#include "store/ledger_rows.h"
#include "store/state.h"
#include "store/verify_impl.h"

#include <string.h>

struct files {
  struct xf_verify *v;
  struct xf_diag *diag;
  struct xf_spool spool;
  struct xf_ledger_status status;
  bool any, has_parent;
  struct xf_ledger_checkpoint newest, parent; /* the two newest */
  bool newest_pruned;
  uint64_t n_checkpoints, damages, open_updates;
};

static enum xf_rc state_path(const struct files *f, char out[XF_PATH_MAX], const char *name) {
  return xf_fs_join(out, f->v->dir, name);
}

static enum xf_rc file_sha256(const struct xf_fs *fs, const char *path, struct xf_digest *out) {
  enum { CHUNK = 64 * 1024 };
  struct xf_file file;
  struct xf_sha256_ctx sha;
  uint64_t at = 0;
  size_t n = 1;
  enum xf_rc rc = fs->open(fs, &file, path, XF_FS_READ);
  if (rc) return rc;
  uint8_t *chunk = xf_alloc(CHUNK);
  xf_sha256_init(&sha);
  while (!rc && n) {
    rc = fs->pread(&file, chunk, CHUNK, at, &n);
    if (!rc) xf_sha256_feed(&sha, chunk, n);
    at += n;
  }
  xf_sha256_take(&sha, out);
  xf_sha256_deinit(&sha);
  xf_free(chunk);
  (void)fs->close(&file); /* read only */
  return rc;
}

/* --- I5 --- */

static enum xf_rc check_checkpoint(struct files *f, const struct xf_ledger_checkpoint *c,
                                   bool whole) {
  struct xf_checkpoint ckpt = {0};
  struct xf_diag why;
  struct xf_digest sha;
  char path[XF_PATH_MAX];
  xf_diag_init(&why);
  enum xf_rc rc = state_path(f, path, c->path);
  if (!rc) rc = xf_checkpoint_open(&ckpt, f->v->fs, path, &why);
  if (!rc && (ckpt.info.round != c->round || !xf_digest_equal(&ckpt.info.model, &c->model) ||
              !xf_digest_equal(&ckpt.info.parent, &c->parent)))
    rc = xf_diag_set(&why, XF_E_CORRUPT, "\"%s\" is another model than the ledger's", path);
  if (!rc && whole) {
    rc = xf_checkpoint_verify(&ckpt, &why);
    if (!rc) rc = file_sha256(f->v->fs, path, &sha);
    if (!rc && !xf_digest_equal(&sha, &c->sha256))
      rc = xf_diag_set(&why, XF_E_CORRUPT, "\"%s\" has another SHA-256 than the ledger says", path);
  }
  xf_checkpoint_close(&ckpt);
  if (!rc) return XF_OK;
  f->damages++;
  xf_verify_say(f->v, "I5", XF_VERIFY_DAMAGED, "model of round %llu: %s",
                (unsigned long long)c->round, xf_diag_text(&why, rc));
  return XF_OK;
}

static enum xf_rc on_checkpoint(void *arg, const struct xf_ledger_checkpoint *c, bool pruned) {
  struct files *f = arg;
  enum xf_rc rc = XF_OK;
  f->n_checkpoints++;
  if (f->any && !f->newest_pruned) rc = check_checkpoint(f, &f->newest, false);
  f->parent = f->newest;
  f->has_parent = f->any && !f->newest_pruned;
  f->newest = *c;
  f->any = true;
  f->newest_pruned = pruned;
  return rc;
}

static enum xf_rc verify_checkpoints(struct files *f) {
  enum xf_rc rc = xf_ledger_checkpoints(f->v->l, on_checkpoint, f, f->diag);
  if (rc) return rc;
  if (!f->any) {
    xf_verify_say(f->v, "I5", XF_VERIFY_OK, "no model is recorded yet");
    return XF_OK;
  }
  rc = check_checkpoint(f, &f->newest, true);
  if (!rc && f->damages == 0)
    xf_verify_say(f->v, "I5", XF_VERIFY_OK, "model of round %llu verifies; %llu models in all",
                  (unsigned long long)f->newest.round, (unsigned long long)f->n_checkpoints);
  return rc;
}

/* --- I3 --- */

struct parts {
  struct xf_ledger_part *who;
  struct xf_spool_entry *entry;
  char (*file)[128];
  size_t n;
};

static enum xf_rc on_part(void *arg, const struct xf_ledger_stored *s) {
  struct parts *p = arg;
  if (!s->frozen) return XF_OK;
  if (p->n % 64 == 0) {
    p->who = xf_realloc_array(p->who, p->n + 64, sizeof *p->who);
    p->file = xf_realloc_array(p->file, p->n + 64, sizeof *p->file);
  }
  p->who[p->n] = (struct xf_ledger_part){.weight = s->weight};
  memcpy(p->who[p->n].member, s->u.member, sizeof p->who[p->n].member);
  memcpy(p->file[p->n], s->spool, sizeof p->file[p->n]);
  p->n++;
  return XF_OK;
}

/* model_blake2b of a global vector, in the order of the checkpoint that it continues. */
static void digest_like(struct xf_digest *out, const struct xf_checkpoint *c, const float *model) {
  struct xf_blake2b_ctx ctx;
  xf_blake2b_init(&ctx, NULL);
  for (size_t i = 0; i < c->n_part; i++)
    xf_blake2b_feed(&ctx, model + c->part[i].at, (size_t)c->part[i].tensor->len);
  xf_blake2b_take(&ctx, out);
}

static enum xf_rc stage_of(struct files *f, uint64_t round, struct xf_verify_round *out) {
  struct xf_sql_rows rows;
  bool more = false;
  enum xf_rc rc = xf_sql_query(
      &f->v->l->sql, &rows, f->diag,
      "SELECT stage, (SELECT count(*) FROM round b WHERE b.run=r.run AND b.stage=r.stage"
      " AND b.kind='train' AND b.state='committed' AND b.round<r.round)"
      " FROM round r WHERE run=?1 AND round=?2",
      XF_SQL_ARGS(A_T(f->v->l->run), A_I(round)));
  if (!rc) rc = xf_sql_next(&f->v->l->sql, &rows, &more, f->diag);
  if (!rc && more) {
    out->stage = (uint32_t)xf_sql_u64(&rows, 0);
    out->commits_before = xf_sql_u64(&rows, 1);
  }
  xf_sql_end(&rows);
  return rc;
}

static enum xf_rc open_parts(struct files *f, struct parts *p, struct xf_diag *why) {
  enum xf_rc rc = XF_OK;
  p->entry = xf_calloc(p->n + 1, sizeof *p->entry);
  for (size_t i = 0; i < p->n && !rc; i++) {
    rc = xf_spool_open(&p->entry[i], &f->spool, p->file[i], why);
    if (!rc) rc = xf_spool_verify(&p->entry[i], why);
  }
  return rc;
}

/* The server state of the newest model is behind no digest of the ledger: it is compared bit by bit. */
static enum xf_rc same_state(struct xf_checkpoint *made, uint32_t k, const float *state,
                             struct xf_diag *why) {
  enum { BLOCK = 4096 };
  float *have = xf_alloc(BLOCK * sizeof *have);
  enum xf_rc rc = XF_OK;
  for (uint64_t at = 0; at < made->n && !rc; at += BLOCK) {
    const size_t n = made->n - at < BLOCK ? (size_t)(made->n - at) : BLOCK;
    rc = xf_checkpoint_read_state(made, k, have, at, n, why);
    if (!rc && memcmp(have, state + at, n * sizeof *have) != 0)
      rc = xf_diag_set(why, XF_E_CORRUPT,
                       "the state of the server optimiser in \"ckpt\" differs from the recomputed "
                       "one at or after "
                       "float %llu; the next round would go on from it",
                       (unsigned long long)at);
  }
  xf_free(have);
  return rc;
}

/* Opens the round's own model and makes room for its server state, which begins as the parent's. */
static enum xf_rc open_made(struct files *f, struct xf_verify_round *round,
                            struct xf_checkpoint *made, struct xf_diag *why) {
  char path[XF_PATH_MAX];
  enum xf_rc rc = state_path(f, path, f->newest.path);
  if (!rc) rc = xf_checkpoint_open(made, f->v->fs, path, why);
  if (rc || !made->n_state) return rc;
  if (made->n != round->base->n)
    return xf_diag_set(why, XF_E_CORRUPT, "the newest model has %llu floats, its parent %llu",
                       (unsigned long long)made->n, (unsigned long long)round->base->n);
  for (uint32_t k = 0; k < made->n_state && !rc; k++) {
    round->state[k] = xf_try_calloc((size_t)made->n + 1, sizeof *round->state[k]);
    if (!round->state[k])
      rc = xf_diag_set(why, XF_E_NOMEM, "no memory for %llu floats", (unsigned long long)made->n);
    else if (k < round->base->n_state)
      rc = xf_checkpoint_read_state(round->base, k, round->state[k], 0, (size_t)made->n, why);
  }
  return rc;
}

static enum xf_rc fold(struct files *f, struct xf_verify_round *round, struct xf_diag *why) {
  struct xf_digest got;
  char a[XF_DIGEST_HEX], b[XF_DIGEST_HEX];
  uint64_t n = round->base->n;
  float *model = xf_try_calloc((size_t)n + 1, sizeof *model);
  if (!model)
    return xf_diag_set(why, XF_E_NOMEM, "no memory for %llu floats", (unsigned long long)n);
  struct xf_checkpoint made = {0};
  enum xf_rc rc = open_made(f, round, &made, why);
  if (!rc) rc = xf_checkpoint_verify(round->base, why);
  if (!rc) rc = xf_checkpoint_read(round->base, model, 0, (size_t)n, why);
  if (!rc) rc = f->v->opts->fold(f->v->opts->fold_arg, round, model, n, why);
  if (!rc) {
    digest_like(&got, round->base, model);
    if (!xf_digest_equal(&got, &f->newest.model))
      rc = xf_diag_set(why, XF_E_CORRUPT, "recomputed as %.16s..., committed as %.16s...",
                       xf_digest_print(a, &got), xf_digest_print(b, &f->newest.model));
  }
  for (uint32_t k = 0; k < made.n_state && !rc; k++)
    rc = same_state(&made, k, round->state[k], why);
  if (made.part) xf_checkpoint_close(&made);
  for (uint32_t k = 0; k < XF_CHECKPOINT_STATES; k++) xf_free(round->state[k]);
  xf_free(model);
  return rc;
}

static enum xf_rc recompute(struct files *f, struct parts *p, struct xf_diag *why) {
  struct xf_checkpoint base;
  struct xf_buf plan;
  char path[XF_PATH_MAX];
  struct xf_verify_round round = {.round = f->newest.round, .ledger = f->v->l, .base = &base};
  xf_buf_init(&plan, 16 << 20);
  enum xf_rc rc = xf_ledger_plan(f->v->l, &plan, why);
  if (!rc) rc = stage_of(f, round.round, &round);
  if (!rc) rc = state_path(f, path, f->parent.path);
  if (!rc) rc = xf_checkpoint_open(&base, f->v->fs, path, why);
  if (!rc) {
    round.plan = plan.p;
    round.plan_len = plan.len;
    round.part = p->entry;
    round.who = p->who;
    round.n_part = p->n;
    rc = fold(f, &round, why);
    xf_checkpoint_close(&base);
  }
  xf_buf_deinit(&plan);
  return rc;
}

static enum xf_rc verify_recompute(struct files *f) {
  struct parts p = {0};
  struct xf_diag why;
  unsigned long long r = f->newest.round;
  const char *skip = !f->any || r == 0   ? "no round is committed yet"
                     : !f->v->opts->fold ? "no aggregation was given to recompute with"
                     : !f->has_parent    ? "the parent model was pruned"
                     : f->damages        ? "the model file is damaged"
                                         : NULL;
  xf_diag_init(&why);
  if (skip) {
    xf_verify_say(f->v, "I3", XF_VERIFY_SKIPPED, "%s", skip);
    return XF_OK;
  }
  enum xf_rc rc = xf_ledger_updates(f->v->l, r, on_part, &p, f->diag);
  if (rc) return rc;
  rc = open_parts(f, &p, &why);
  if (rc == XF_E_NOTFOUND)
    xf_verify_say(f->v, "I3", XF_VERIFY_SKIPPED,
                  "the updates of round %llu are not retained (spool.retain)", r);
  else {
    if (!rc) rc = recompute(f, &p, &why);
    if (rc)
      xf_verify_say(f->v, "I3", XF_VERIFY_DAMAGED, "round %llu: %s", r, xf_diag_text(&why, rc));
    else xf_verify_say(f->v, "I3", XF_VERIFY_OK, "round %llu recomputes from %zu updates", r, p.n);
  }
  for (size_t i = 0; i < p.n && p.entry; i++) xf_spool_close(&p.entry[i]);
  xf_free(p.entry);
  xf_free(p.who);
  xf_free(p.file);
  return XF_OK;
}

/* --- the bytes of the open round (I2), and left-overs (I8) --- */

static enum xf_rc on_open_update(void *arg, const struct xf_ledger_stored *s) {
  struct files *f = arg;
  struct xf_spool_entry e;
  struct xf_diag why;
  if (s->spool[0] == '\0') return XF_OK;
  xf_diag_init(&why);
  f->open_updates++;
  enum xf_rc rc = xf_spool_open(&e, &f->spool, s->spool, &why);
  if (!rc) rc = xf_spool_verify(&e, &why);
  if (!rc && !xf_digest_equal(&e.head.update_digest, &s->u.update))
    rc = xf_diag_set(&why, XF_E_CORRUPT, "the file holds another update");
  xf_spool_close(&e);
  if (rc)
    xf_verify_say(f->v, "I2", XF_VERIFY_DAMAGED,
                  "round %llu: the acknowledged update of \"%s\": %s",
                  (unsigned long long)s->u.round, s->u.member, xf_diag_text(&why, rc));
  return XF_OK;
}

static enum xf_rc verify_open(struct files *f) {
  struct xf_ledger_recovery r;
  enum xf_rc rc = xf_ledger_recover(f->v->l, &r, f->diag);
  if (rc || !r.has_open) return rc;
  uint64_t before = f->v->result->damages, round = r.round;
  xf_ledger_recovery_deinit(&r);
  rc = xf_ledger_updates(f->v->l, round, on_open_update, f, f->diag);
  if (!rc && f->v->result->damages == before)
    xf_verify_say(f->v, "I2", XF_VERIFY_OK, "round %llu is open, its %llu updates are whole",
                  (unsigned long long)round, (unsigned long long)f->open_updates);
  return rc;
}

static void left_over(struct files *f, const char *dir, const char *name, const char *why) {
  f->damages++;
  xf_verify_say(f->v, "I8", XF_VERIFY_DAMAGED, "%s/%s %s: the next start removes it", dir, name,
                why);
}

static enum xf_rc on_ckpt_file(void *arg, const char *name) {
  struct files *f = arg;
  char path[XF_STATE_CKPT_NAME + 256];
  int64_t n = 0;
  size_t len = strlen(name);
  if (len > 4 && strcmp(name + len - 4, ".tmp") == 0) {
    left_over(f, XF_STATE_CKPT, name, "is a temporary file");
    return XF_OK;
  }
  if (len > 255) return XF_OK;
  memcpy(path, XF_STATE_CKPT "/", sizeof XF_STATE_CKPT);
  memcpy(path + sizeof XF_STATE_CKPT, name, len + 1);
  /* The model of a round that is being committed has no row yet. */
  enum xf_rc rc = xf_sql_one_i64(&f->v->l->sql, &n, NULL, f->diag,
                                 "SELECT (SELECT count(*) FROM checkpoint WHERE path=?1)"
                                 " + (SELECT count(*) FROM round WHERE state='committing')",
                                 XF_SQL_ARGS(A_T(path)));
  if (!rc && n == 0) left_over(f, XF_STATE_CKPT, name, "is no model of the ledger");
  return rc;
}

static enum xf_rc on_spool_file(void *arg, const char *name) {
  struct files *f = arg;
  int64_t n = 0;
  enum xf_rc rc = xf_sql_one_i64(&f->v->l->sql, &n, NULL, f->diag,
                                 "SELECT count(*) FROM upd WHERE spool=?1", XF_SQL_ARGS(A_T(name)));
  if (!rc && n == 0) left_over(f, XF_STATE_SPOOL, name, "has no row in the ledger");
  return rc;
}

static enum xf_rc verify_left_overs(struct files *f) {
  char dir[XF_PATH_MAX];
  if (f->v->running) {
    xf_verify_say(f->v, "I8", XF_VERIFY_SKIPPED,
                  "the daemon is running: files may be on their way");
    return XF_OK;
  }
  f->damages = 0;
  enum xf_rc rc = state_path(f, dir, XF_STATE_CKPT);
  if (!rc) rc = f->v->fs->list(f->v->fs, dir, on_ckpt_file, f);
  if (!rc || rc == XF_E_NOTFOUND) rc = f->v->fs->list(f->v->fs, f->spool.dir, on_spool_file, f);
  if (rc == XF_E_NOTFOUND) rc = XF_OK; /* no spool was made yet */
  if (!rc && f->damages == 0) xf_verify_say(f->v, "I8", XF_VERIFY_OK, "no left-over files");
  return rc;
}

enum xf_rc xf_verify_files(struct xf_verify *v, struct xf_diag *diag) {
  struct files *f = xf_calloc(1, sizeof *f);
  f->v = v;
  f->diag = diag;
  f->spool.fs = v->fs;
  enum xf_rc rc = state_path(f, f->spool.dir, XF_STATE_SPOOL);
  if (!rc) rc = verify_checkpoints(f);
  if (!rc) rc = verify_recompute(f);
  if (!rc) rc = verify_open(f);
  if (!rc) rc = verify_left_overs(f);
  xf_free(f);
  return rc;
}
