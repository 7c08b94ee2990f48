#include "unit/server_io/iotest.h"

#include "crypto/sha256.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

const char *const io_plan_shared =
    "name: shared\nseed: 7\n"
    "data: {kind: table, split: {kind: random}}\n"
    "model: {kind: logreg, loss: bce, n_in: 3, n_out: 1}\n"
    "stages:\n"
    "  - fed: {algorithm: fedavg, rounds: 4, cohort: 1, quorum: 1, server: {kind: momentum, lr: "
    "0.5, momentum: 0.9}}\n"
    "    local: {epochs: 1, batch: 4, optimizer: {kind: sgd, lr: 0.1}}\n"
    "eval: {every: 1, metrics: [acc, logloss]}\n";

const char *const io_plan_aligned =
    "name: aligned\nseed: 7\n"
    "data: {kind: interactions, split: {kind: leave-one-out, by: time, min: 5}}\n"
    "model: {kind: mf, dim: 2, loss: bpr, users: aligned, items: domain}\n"
    "stages:\n"
    "  - fed: {algorithm: fedavg, rounds: 4, min_domains: 2}\n"
    "    local: {epochs: 1, batch: 4, optimizer: {kind: sgd, lr: 0.1}}\n"
    "    rows: {rule: pull, min_holders: 2}\n"
    "eval: {every: 1, metrics: [hr@10], protocol: [full]}\n";

const char *const io_plan_both =
    "name: both\nseed: 7\n"
    "data: {kind: interactions, split: {kind: leave-one-out, by: time, min: 5}}\n"
    "model: {kind: recommender}\n"
    "stages:\n"
    "  - {name: counts, kind: statistic, statistic: {of: counts}, rows: {min_holders: 2}}\n"
    "  - {name: weak, kind: rows, fed: {rounds: 3}, rows: {dim: 2, min_holders: 2}}\n"
    "eval: {every: 0, metrics: [hr@10], protocol: [full]}\n";

static void path(const struct io *io, const char *name, char *out, size_t cap) {
  assert_true((size_t)snprintf(out, cap, "%s/%s", io->dir, name) < cap);
}

void io_plan(struct io *io, const char *plan) {
  FILE *f = fopen(io->cfg.plan, "w");
  assert_non_null(f);
  assert_true(fputs(plan, f) >= 0);
  assert_int_equal(fclose(f), 0);
}

static void open_state(struct io *io) {
  struct xf_diag diag;
  xf_diag_init(&diag);
  assert_ok(srv_state_init(&io->st, &io->cfg, &diag), &diag);
  assert_ok(srv_state_open(&io->st, false, &diag), &diag);
  assert_ok(srv_recover(&io->st, &io->recovery, &diag), &diag);
}

void io_init(struct io *io, const char *plan) {
  *io = (struct io){0};
  const char *base = getenv("TMPDIR");
  snprintf(io->dir, sizeof io->dir, "%.90s/xf-srv-XXXXXX", base ? base : "/tmp");
  assert_non_null(mkdtemp(io->dir));
  xf_conf_init_target(&srv_config_schema, &io->cfg);
  path(io, "plan.yaml", io->cfg.plan, sizeof io->cfg.plan);
  path(io, "state", io->cfg.state_dir, sizeof io->cfg.state_dir);
  snprintf(io->cfg.federation, sizeof io->cfg.federation, "lab");
  static const char *const id[IO_MEMBERS] = {"ann", "bob", "cyd"};
  for (int i = 0; i < IO_MEMBERS; i++) {
    snprintf(io->member[i].id, sizeof io->member[i].id, "%s", id[i]);
    snprintf(io->member[i].domain, sizeof io->member[i].domain, "%s", i ? "films" : "books");
  }
  io->cfg.members = io->member;
  io->cfg.n_members = IO_MEMBERS;
  io_plan(io, plan);
  open_state(io);
}

void io_close(struct io *io) {
  srv_recovery_deinit(&io->recovery);
  srv_state_close(&io->st);
}

void io_restart(struct io *io) {
  io_close(io);
  open_state(io);
}

static void remove_tree(const char *dir) {
  DIR *d = opendir(dir);
  for (struct dirent *e; d && (e = readdir(d));) {
    char sub[1200];
    if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) continue;
    snprintf(sub, sizeof sub, "%s/%s", dir, e->d_name);
    struct stat st;
    if (lstat(sub, &st) == 0 && S_ISDIR(st.st_mode)) remove_tree(sub);
    else unlink(sub);
  }
  if (d) closedir(d);
  rmdir(dir);
}

void io_deinit(struct io *io) {
  io_close(io);
  remove_tree(io->dir);
}

enum xf_rc io_record(struct io *io, struct xf_coord_record *r) {
  struct srv_record rec;
  struct xf_diag diag;
  xf_diag_init(&diag);
  srv_record_copy(&rec, r, 0);
  assert_ok(srv_persist_commit(&io->st, &rec, 1, &diag), &diag);
  const enum xf_rc rc = rec.rc;
  srv_record_deinit(&rec);
  return rc;
}

static struct xf_digest task_of(const struct io *io, uint64_t round, uint32_t member) {
  struct xf_digest id;
  xf_coord_task_id(&id, io->st.run_id, round, io->member[member].id, &io->st.model_digest,
                   &io->st.plan_digest);
  return id;
}

void io_round_open(struct io *io, uint64_t round, enum xf_task_kind kind) {
  const uint32_t all[IO_MEMBERS] = {0, 1, 2};
  struct xf_digest task[IO_MEMBERS];
  for (uint32_t i = 0; i < IO_MEMBERS; i++) task[i] = task_of(io, round, i);
  struct xf_coord_record r = {.type = XF_RECORD_OPEN,
                              .round = round,
                              .kind = kind,
                              .base_digest = io->st.model_digest,
                              .member = all,
                              .task_id = task,
                              .n_member = IO_MEMBERS};
  assert_rc(io_record(io, &r), XF_OK);
}

void io_spool(struct io *io, uint64_t round, uint32_t member, enum xf_task_kind kind,
              uint64_t weight, const void *p, size_t len, struct xf_msg_update_begin *u) {
  struct xf_diag diag;
  struct xf_spool_in in;
  char name[XF_SPOOL_NAME_MAX];
  xf_diag_init(&diag);
  *u = (struct xf_msg_update_begin){.task_id = task_of(io, round, member),
                                    .round = round,
                                    .base_digest = io->st.model_digest,
                                    .layout_digest = io->st.layout_digest,
                                    .weight = weight,
                                    .dtype = kind == XF_TASK_EVALUATE ? XF_DTYPE_REPORT
                                                                      : XF_DTYPE_FLOAT32,
                                    .payload_len = len,
                                    .has_loss = true,
                                    .loss_sum = 3,
                                    .loss_count = 2};
  uint8_t input[XF_UPDATE_DIGEST_INPUT];
  xf_sha256(&u->payload_digest, p, len);
  xf_update_digest_input(input, u);
  xf_sha256(&u->update_digest, input, sizeof input);
  struct xf_spool_head head = {.task_id = u->task_id,
                               .round = round,
                               .weight = weight,
                               .dtype = u->dtype,
                               .payload_len = len,
                               .payload_digest = u->payload_digest,
                               .update_digest = u->update_digest,
                               .meta = "{\"loss_sum\":3,\"loss_count\":2}"};
  memcpy(head.member, io->member[member].id, sizeof head.member);
  assert_ok(xf_spool_begin(&in, &io->st.spool, &head, &diag), &diag);
  assert_ok(xf_spool_write(&in, p, len, 0, &diag), &diag);
  assert_ok(xf_spool_finish(&in, name, &diag), &diag);
}

void io_accept(struct io *io, uint64_t round, uint32_t member, enum xf_task_kind kind,
               const struct xf_msg_update_begin *u) {
  struct xf_coord_record r = {.type = XF_RECORD_UPDATE,
                              .round = round,
                              .kind = kind,
                              .member = &member,
                              .n_member = 1,
                              .task_id = &u->task_id,
                              .update = u};
  assert_rc(io_record(io, &r), XF_OK);
}
