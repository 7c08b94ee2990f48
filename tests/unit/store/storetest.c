#include "storetest.h"

#include "base/str.h"
#include "crypto/blake2b.h"
#include "crypto/sha256.h"
#include "store/state.h"

#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char scratch[256];
const char *const st_member[ST_MEMBERS] = {"a", "b", "c"};

const char *st_dir_new(void) {
  const char *base = getenv("TMPDIR");
  (void)snprintf(scratch, sizeof scratch, "%s/xf-store-XXXXXX", base ? base : "/tmp");
  assert_non_null(mkdtemp(scratch));
  return scratch;
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw) {
  (void)st;
  (void)flag;
  (void)ftw;
  return remove(path);
}

void st_dir_remove(void) {
  if (scratch[0]) assert_int_equal(nftw(scratch, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
  scratch[0] = '\0';
}

const char *st_path(const char *dir, const char *name) {
  static char path[8][XF_PATH_MAX];
  static unsigned at;
  char *out = path[at++ % 8];
  assert_rc(xf_fs_join(out, dir, name), XF_OK);
  return out;
}

struct xf_digest st_digest(uint64_t n) {
  struct xf_digest d;
  xf_blake2b(&d, &n, sizeof n);
  return d;
}

void st_layout(struct xf_layout *out) {
  xf_layout_init(out);
  assert_rc(xf_layout_add(out, "w", XF_ROLE_SHARED, NULL, 3, 4, NULL), XF_OK);
  assert_rc(xf_layout_add(out, "u", XF_ROLE_ALIGNED, "user", 5, 2, NULL), XF_OK);
  assert_rc(xf_layout_add(out, "d", XF_ROLE_DOMAIN, NULL, 7, 1, NULL), XF_OK);
  assert_rc(xf_layout_add(out, "b", XF_ROLE_SHARED, NULL, 4, 1, NULL), XF_OK);
}

void st_model(float out[ST_FLOATS], uint64_t seed) {
  for (int i = 0; i < ST_FLOATS; i++)
    out[i] = (float)((double)((seed + 1) * 37 % 101) / 7.0 + i * 0.25);
}

/* --- a run --- */

void st_run_start(struct st_run *r, const struct xf_fs *fs, const char *vfs, const char *dir) {
  struct xf_ledger_run run = {.run = "run-1", .federation = "fed", .name = "plan", .seed = 7};
  struct xf_checkpoint_saved saved;
  struct xf_ledger_checkpoint c = {.round = 0};
  uint64_t epoch = 0;
  *r = (struct st_run){.fs = fs, .vfs = vfs};
  xf_diag_init(&r->diag);
  assert_rc(xf_str_copy(r->dir, sizeof r->dir, dir), XF_OK);
  assert_ok(xf_state_init_server(fs, dir, &r->diag), &r->diag);
  assert_ok(xf_spool_init(&r->spool, fs, st_path(dir, XF_STATE_SPOOL), &r->diag), &r->diag);
  assert_ok(xf_ledger_open(&r->l, st_path(dir, XF_STATE_LEDGER), XF_LEDGER_WRITE, vfs, &r->diag),
            &r->diag);
  st_layout(&r->layout);
  st_model(r->model, 0);
  run.plan = r->plan = st_digest(1);
  run.layout = st_digest(2);
  struct xf_checkpoint_info info = {.run = "run-1", .plan = r->plan, .layout = run.layout};
  struct xf_checkpoint_src src = {.layout = &r->layout, .global = r->model};
  xf_state_checkpoint_name(c.path, 0);
  assert_ok(xf_checkpoint_save(fs, st_path(dir, c.path), &info, &src, &saved, &r->diag), &r->diag);
  c.model = r->base = saved.model;
  c.sha256 = saved.sha256;
  c.bytes = saved.bytes;
  assert_ok(xf_ledger_begin(r->l, 1000, &r->diag), &r->diag);
  assert_ok(xf_ledger_run_create(r->l, &run, "canonical", 9, &r->diag), &r->diag);
  assert_ok(xf_ledger_run_open(r->l, &r->plan, "test", &epoch, &r->diag), &r->diag);
  assert_true(epoch == 1);
  for (int i = 0; i < ST_MEMBERS; i++)
    assert_ok(xf_ledger_member_put(r->l, st_member[i], "books", 1000, &r->diag), &r->diag);
  assert_ok(xf_ledger_checkpoint_first(r->l, &c, &r->diag), &r->diag);
  assert_ok(xf_ledger_commit(r->l, &r->diag), &r->diag);
}

void st_run_again(struct st_run *r, uint64_t *epoch) {
  assert_ok(
      xf_ledger_open(&r->l, st_path(r->dir, XF_STATE_LEDGER), XF_LEDGER_WRITE, r->vfs, &r->diag),
      &r->diag);
  assert_ok(xf_ledger_begin(r->l, 2000, &r->diag), &r->diag);
  assert_ok(xf_ledger_run_open(r->l, &r->plan, "test", epoch, &r->diag), &r->diag);
  assert_ok(xf_ledger_commit(r->l, &r->diag), &r->diag);
}

void st_run_stop(struct st_run *r) {
  xf_ledger_close(r->l);
  xf_layout_deinit(&r->layout);
  r->l = NULL;
}

struct xf_digest st_task(uint64_t round, const char *member) {
  return st_digest(round * 1000 + (uint64_t)(unsigned char)member[0]);
}

void st_round_open(struct st_run *r, enum xf_ledger_kind kind) {
  struct xf_ledger_task task[ST_MEMBERS];
  r->round++;
  for (int i = 0; i < ST_MEMBERS; i++) {
    memset(&task[i], 0, sizeof task[i]);
    memcpy(task[i].member, st_member[i], 2);
    task[i].task_id = st_task(r->round, st_member[i]);
  }
  struct xf_ledger_opening o = {
      .round = r->round, .kind = kind, .base = r->base, .task = task, .n_task = ST_MEMBERS};
  assert_ok(xf_ledger_begin(r->l, 3000, &r->diag), &r->diag);
  assert_ok(xf_ledger_round_open(r->l, &o, &r->diag), &r->diag);
  assert_ok(xf_ledger_commit(r->l, &r->diag), &r->diag);
}

void st_payload(float out[ST_FLOATS], uint64_t round, const char *member) {
  st_model(out, round * 31 + (uint64_t)(unsigned char)member[0]);
}

void st_update_fill(struct xf_ledger_update *u, uint64_t round, const char *member) {
  static float payload[ST_FLOATS];
  st_payload(payload, round, member);
  *u = (struct xf_ledger_update){.round = round,
                                 .weight = (uint64_t)(member[0] - 'a' + 1),
                                 .n_samples = 10,
                                 .bytes = sizeof payload,
                                 .spool = "",
                                 .metrics = "{\"loss_sum\":1.5}"};
  memcpy(u->member, member, strlen(member) + 1);
  u->task_id = st_task(round, member);
  u->update = st_digest(round * 7777 + (uint64_t)(unsigned char)member[0]);
  u->charge = (struct xf_charge){.clipped = true,
                                 .noised = true,
                                 .clip = 1,
                                 .noise_multiplier = 0.8,
                                 .sensitivity = 2,
                                 .epsilon = (double)round,
                                 .epsilon_zero_out = (double)round / 2};
  xf_sha256(&u->payload, payload, sizeof payload);
}

enum xf_rc st_update(struct st_run *r, const char *member) {
  struct xf_ledger_update u;
  struct xf_spool_in in;
  struct xf_spool_head head = {.round = r->round};
  char name[XF_SPOOL_NAME_MAX];
  float payload[ST_FLOATS];
  st_update_fill(&u, r->round, member);
  st_payload(payload, r->round, member);
  memcpy(head.member, member, strlen(member) + 1);
  head.task_id = u.task_id;
  head.weight = u.weight;
  head.n_samples = u.n_samples;
  head.payload_len = u.bytes;
  head.payload_digest = u.payload;
  head.update_digest = u.update;
  head.charge = u.charge;
  enum xf_rc rc = xf_spool_begin(&in, &r->spool, &head, &r->diag);
  if (!rc) rc = xf_spool_write(&in, payload, sizeof payload, 0, &r->diag);
  if (!rc) rc = xf_spool_finish(&in, name, &r->diag);
  if (rc) {
    xf_spool_abort(&in);
    return rc;
  }
  u.spool = name;
  rc = xf_ledger_begin(r->l, 4000, &r->diag);
  if (rc) return rc;
  rc = xf_ledger_update_accept(r->l, &u, &r->diag);
  if (rc) {
    xf_ledger_rollback(r->l);
    return rc;
  }
  return xf_ledger_commit(r->l, &r->diag);
}

void st_fold(float model[ST_FLOATS], uint64_t round) {
  double acc[ST_FLOATS] = {0};
  float x[ST_FLOATS];
  for (int k = 0; k < ST_MEMBERS; k++) {
    st_payload(x, round, st_member[k]);
    for (int j = 0; j < ST_FLOATS; j++) acc[j] += (double)(k + 1) * (double)x[j];
  }
  for (int j = 0; j < ST_FLOATS; j++) model[j] = (float)((double)model[j] + acc[j] / 6.0);
}

void st_closing(struct st_run *r) {
  struct xf_ledger_part part[ST_MEMBERS];
  for (int i = 0; i < ST_MEMBERS; i++) {
    memset(&part[i], 0, sizeof part[i]);
    memcpy(part[i].member, st_member[i], 2);
    part[i].weight = (uint64_t)i + 1;
  }
  assert_ok(xf_ledger_begin(r->l, 5000, &r->diag), &r->diag);
  assert_ok(xf_ledger_round_closing(r->l, r->round, part, ST_MEMBERS, &r->diag), &r->diag);
  assert_ok(xf_ledger_commit(r->l, &r->diag), &r->diag);
}

void st_round_commit(struct st_run *r) {
  struct xf_checkpoint_saved saved;
  struct xf_ledger_checkpoint c = {.round = r->round, .parent = r->base};
  struct xf_checkpoint_info info = {.run = "run-1",
                                    .round = r->round,
                                    .plan = r->plan,
                                    .parent = r->base,
                                    .layout = st_digest(2)};
  struct xf_checkpoint_src src = {.layout = &r->layout, .global = r->model};
  struct xf_digest model;
  st_closing(r);
  st_fold(r->model, r->round);
  xf_checkpoint_digest(&model, &r->layout, r->model);
  assert_ok(xf_ledger_begin(r->l, 6000, &r->diag), &r->diag);
  assert_ok(xf_ledger_round_committing(r->l, r->round, &model, &r->diag), &r->diag);
  assert_ok(xf_ledger_commit(r->l, &r->diag), &r->diag);
  xf_state_checkpoint_name(c.path, r->round);
  assert_ok(xf_checkpoint_save(r->fs, st_path(r->dir, c.path), &info, &src, &saved, &r->diag),
            &r->diag);
  c.model = saved.model;
  c.sha256 = saved.sha256;
  c.bytes = saved.bytes;
  assert_ok(xf_ledger_begin(r->l, 7000, &r->diag), &r->diag);
  assert_ok(xf_ledger_round_commit(r->l, r->round, &c, "{\"loss\":0.5}", &r->diag), &r->diag);
  assert_ok(xf_ledger_commit(r->l, &r->diag), &r->diag);
  r->base = c.model;
}
