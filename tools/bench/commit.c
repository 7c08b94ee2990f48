/* What durability costs: the ledger's transaction of one accepted update against a raw write and fsync, and a whole
   round's commit (rows, checkpoint, rows) against writing and syncing the same bytes. */
#include "base/alloc.h"
#include "crypto/sha256.h"
#include "param/layout.h"
#include "store/checkpoint.h"
#include "store/ledger.h"
#include "store/state.h"
#include "tools/bench/bench.h"

#include <stdio.h>
#include <string.h>

enum { PER_PAIR = 20, PAGE = 4096 };

struct committing {
  struct bench *b;
  const struct xf_fs *fs;
  char dir[XF_PATH_MAX];
  struct xf_ledger *ledger;
  struct xf_layout layout;
  float *model;
  uint64_t n; /* floats */
  struct xf_digest plan, base;
  struct xf_file raw;
  uint8_t page[PAGE];
};

static enum xf_rc begin(struct committing *c) {
  return xf_ledger_begin(c->ledger, xf_wall_now_us(), c->b->diag);
}

static enum xf_rc finish(struct committing *c, enum xf_rc rc) {
  if (!rc) return xf_ledger_commit(c->ledger, c->b->diag);
  xf_ledger_rollback(c->ledger);
  return rc;
}

static struct xf_digest task_of(uint64_t round, unsigned i) {
  struct xf_digest d = {{1}};
  memcpy(d.b + 1, &round, sizeof round);
  memcpy(d.b + 16, &i, sizeof i);
  return d;
}

static void member_of(char out[XF_LEDGER_ID_MAX], unsigned i) {
  snprintf(out, XF_LEDGER_ID_MAX, "m%04u", i);
}

/* Writes checkpoint `round` and says what the ledger must know. */
static enum xf_rc save(struct committing *c, uint64_t round, struct xf_ledger_checkpoint *out) {
  char name[XF_STATE_CKPT_NAME], path[XF_PATH_MAX];
  const struct xf_checkpoint_src src = {.layout = &c->layout, .global = c->model};
  struct xf_checkpoint_info info = {
      .run = "bench", .round = round, .plan = c->plan, .parent = c->base};
  struct xf_checkpoint_saved saved;
  xf_state_checkpoint_name(name, round);
  enum xf_rc rc = xf_fs_join(path, c->dir, name);
  if (!rc) rc = xf_checkpoint_save(c->fs, path, &info, &src, &saved, c->b->diag);
  if (rc) return rc;
  *out = (struct xf_ledger_checkpoint){.round = round,
                                       .model = saved.model,
                                       .parent = c->base,
                                       .sha256 = saved.sha256,
                                       .bytes = saved.bytes};
  snprintf(out->path, sizeof out->path, "%s", name);
  return XF_OK;
}

static enum xf_rc run_create(struct committing *c) {
  struct xf_ledger_checkpoint first;
  struct xf_ledger_run run = {
      .run = "bench", .federation = "bench", .name = "bench", .plan = c->plan, .seed = 1};
  char member[XF_LEDGER_ID_MAX];
  uint64_t epoch = 0;
  enum xf_rc rc = save(c, 0, &first);
  if (!rc) rc = begin(c);
  if (rc) return rc;
  rc = xf_ledger_run_create(c->ledger, &run, "plan", 4, c->b->diag);
  if (!rc) rc = xf_ledger_run_open(c->ledger, &c->plan, "bench", &epoch, c->b->diag);
  if (!rc) rc = xf_ledger_checkpoint_first(c->ledger, &first, c->b->diag);
  for (unsigned i = 0; i < PER_PAIR && !rc; i++) {
    member_of(member, i);
    rc = xf_ledger_member_put(c->ledger, member, "d", 0, c->b->diag);
  }
  rc = finish(c, rc);
  c->base = first.model;
  return rc;
}

static enum xf_rc committing_init(struct committing *c, struct bench *b) {
  char path[XF_PATH_MAX];
  *c = (struct committing){
      .b = b, .fs = xf_fs_posix(), .n = b->quick ? 1024 : 4194304, .raw = {.fd = -1}};
  const uint32_t cols = b->quick ? 32 : 2048;
  xf_layout_init(&c->layout);
  c->plan.b[0] = 9;
  c->model = xf_try_pages(c->n * sizeof(float));
  if (!c->model) return XF_E_NOMEM;
  for (uint64_t i = 0; i < c->n; i++) c->model[i] = (float)(i % 977) * 1e-3f;
  enum xf_rc rc =
      xf_layout_add(&c->layout, "w", XF_ROLE_SHARED, NULL, (uint32_t)(c->n / cols), cols, b->diag);
  if (!rc) rc = xf_fs_join(c->dir, b->dir, "commit");
  if (!rc) rc = c->fs->mkdir(c->fs, c->dir, 0700);
  if (!rc) rc = xf_state_init_server(c->fs, c->dir, b->diag);
  if (!rc) rc = xf_fs_join(path, c->dir, XF_STATE_LEDGER);
  if (!rc) rc = xf_ledger_open(&c->ledger, path, XF_LEDGER_WRITE, NULL, b->diag);
  if (!rc) rc = run_create(c);
  if (!rc) rc = xf_fs_join(path, c->dir, "raw");
  if (!rc) rc = c->fs->open(c->fs, &c->raw, path, XF_FS_CREATE);
  return rc;
}

static enum xf_rc committing_deinit(struct committing *c, enum xf_rc rc) {
  xf_ledger_close(c->ledger);
  if (c->raw.fd >= 0) {
    enum xf_rc closed = c->fs->close(&c->raw);
    if (!rc) rc = closed;
  }
  if (c->model) xf_free_pages(c->model, c->n * sizeof(float));
  xf_layout_deinit(&c->layout);
  return rc ? rc : bench_remove(c->dir, c->b->diag);
}

/* The probe: what any log must do for one durable record, a page appended and synced. */
static enum xf_rc raw_fsync(struct committing *c, uint64_t at) {
  enum xf_rc rc = c->fs->pwrite(&c->raw, c->page, PAGE, at);
  return rc ? rc : c->fs->fsync(&c->raw);
}

static enum xf_rc accept_one(struct committing *c, uint64_t round, unsigned i) {
  struct xf_ledger_update u = {.task_id = task_of(round, i),
                               .round = round,
                               .weight = 5,
                               .n_samples = 5,
                               .bytes = c->n * sizeof(float),
                               .spool = "r0000000001-00.upd",
                               .metrics = ""};
  u.update = u.payload = u.task_id;
  member_of(u.member, i);
  enum xf_rc rc = begin(c);
  return rc ? rc : finish(c, xf_ledger_update_accept(c->ledger, &u, c->b->diag));
}

static enum xf_rc open_round(struct committing *c, uint64_t round) {
  struct xf_ledger_task task[PER_PAIR];
  struct xf_ledger_opening o = {.round = round,
                                .kind = XF_LEDGER_KIND_TRAIN,
                                .base = c->base,
                                .task = task,
                                .n_task = PER_PAIR};
  for (unsigned i = 0; i < PER_PAIR; i++) {
    member_of(task[i].member, i);
    task[i].task_id = task_of(round, i);
  }
  enum xf_rc rc = begin(c);
  return rc ? rc : finish(c, xf_ledger_round_open(c->ledger, &o, c->b->diag));
}

static enum xf_rc close_round(struct committing *c, uint64_t round) {
  struct xf_ledger_part part[PER_PAIR];
  for (unsigned i = 0; i < PER_PAIR; i++) {
    member_of(part[i].member, i);
    part[i].weight = 5;
  }
  enum xf_rc rc = begin(c);
  return rc ? rc : finish(c, xf_ledger_round_closing(c->ledger, round, part, PER_PAIR, c->b->diag));
}

/* COMMITTING row; model digest; checkpoint: temp file, fsync, rename, fsync; COMMIT row. */
static enum xf_rc commit_round(struct committing *c, uint64_t round) {
  struct xf_ledger_checkpoint ckpt;
  struct xf_digest model;
  xf_checkpoint_digest(&model, &c->layout, c->model);
  enum xf_rc rc = begin(c);
  if (!rc) rc = finish(c, xf_ledger_round_committing(c->ledger, round, &model, c->b->diag));
  if (!rc) rc = save(c, round, &ckpt);
  if (!rc) rc = begin(c);
  if (!rc) rc = finish(c, xf_ledger_round_commit(c->ledger, round, &ckpt, "{}", c->b->diag));
  c->base = model;
  return rc;
}

/* The same bytes and as many syncs, without meaning: two records, a file of the model's size, its directory. */
static enum xf_rc raw_commit(struct committing *c, uint64_t at) {
  char path[XF_PATH_MAX];
  struct xf_file f = {.fd = -1};
  enum xf_rc rc = raw_fsync(c, at);
  if (!rc) rc = xf_fs_join(path, c->dir, "raw-model");
  if (!rc) rc = c->fs->open(c->fs, &f, path, XF_FS_CREATE);
  if (!rc) rc = c->fs->pwrite(&f, c->model, c->n * sizeof(float), 0);
  if (!rc) rc = c->fs->fsync(&f);
  if (f.fd >= 0) {
    enum xf_rc closed = c->fs->close(&f);
    if (!rc) rc = closed;
  }
  if (!rc) rc = c->fs->syncdir(c->fs, c->dir);
  return rc ? rc : raw_fsync(c, at + PAGE);
}

static enum xf_rc one_pair(struct committing *c, uint64_t round, struct bench_pairs *tx,
                           struct bench_pairs *whole) {
  const uint64_t at = round * (PER_PAIR + 2) * PAGE;
  struct xf_time t = xf_time_now();
  enum xf_rc rc = XF_OK;
  for (unsigned i = 0; i < PER_PAIR && !rc; i++) rc = raw_fsync(c, at + i * PAGE);
  const double raw = bench_since(t) / PER_PAIR;
  if (!rc) rc = open_round(c, round);
  t = xf_time_now();
  for (unsigned i = 0; i < PER_PAIR && !rc; i++) rc = accept_one(c, round, i);
  bench_pair(tx, bench_since(t) / PER_PAIR, raw);
  if (!rc) rc = close_round(c, round);
  t = xf_time_now();
  if (!rc) rc = raw_commit(c, at + PER_PAIR * PAGE);
  const double probe = bench_since(t);
  c->model[0] += 1; /* another model */
  t = xf_time_now();
  if (!rc) rc = commit_round(c, round);
  bench_pair(whole, bench_since(t), probe);
  return rc;
}

enum xf_rc bench_commit(struct bench *b) {
  struct committing *c = xf_calloc(1, sizeof *c);
  struct bench_pairs tx = {.n = 0}, whole = {.n = 0};
  enum xf_rc rc = committing_init(c, b);
  for (uint64_t round = 1; round <= BENCH_PAIRS && !rc; round++)
    rc = one_pair(c, round, &tx, &whole);
  struct bench_result r = {.bench = "durable_commit",
                           .name = "transaction",
                           .unit = "s",
                           .probe = "fsync_s",
                           .lower = true,
                           .goal = 2,
                           .floor = 4};
  if (!rc) bench_put_pairs(b, r, &tx);
  r = (struct bench_result){.bench = "durable_commit",
                            .name = "round_16mb",
                            .unit = "s",
                            .probe = "raw_bytes_s",
                            .lower = true};
  if (!rc) bench_put_pairs(b, r, &whole);
  rc = committing_deinit(c, rc);
  xf_free(c);
  return rc;
}
