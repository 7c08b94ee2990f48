/* The ledger: a run from start to end, what it refuses, recovery in every state, readers beside it. */
#include "store/ledger.h"

#include "base/str.h"
#include "store/state.h"
#include "storetest.h"

#include <fcntl.h>
#include <spawn.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static enum xf_rc in_txn_accept(struct st_run *r, const struct xf_ledger_update *u) {
  assert_ok(xf_ledger_begin(r->l, 1, &r->diag), &r->diag);
  enum xf_rc rc = xf_ledger_update_accept(r->l, u, &r->diag);
  assert_ok(xf_ledger_commit(r->l, &r->diag), &r->diag);
  return rc;
}

static enum xf_rc refuse(struct st_run *r, const struct xf_ledger_update *u,
                         enum xf_ledger_refusal why, const char *code) {
  assert_ok(xf_ledger_begin(r->l, 1, &r->diag), &r->diag);
  enum xf_rc rc = xf_ledger_update_refuse(r->l, u, why, code, &r->diag);
  assert_ok(xf_ledger_commit(r->l, &r->diag), &r->diag);
  return rc;
}

static enum xf_rc refused_of_a(void *arg, const struct xf_ledger_member *m) {
  uint64_t *n = arg;
  if (strcmp(m->member, "a") == 0) *n = m->refused;
  return XF_OK;
}

static enum xf_rc count_refused(void *arg, const struct xf_ledger_entry *e) {
  uint64_t *n = arg;
  *n += strcmp(e->kind, "update_refused") == 0;
  return XF_OK;
}

/* Rows and events of refused updates are bounded per member; the rest is counted, whatever round it names. */
static void test_refusals_bounded(void **state) {
  (void)state;
  enum { MORE = 200 };
  struct st_run r;
  uint64_t n = 0, events = 0;
  st_run_start(&r, xf_fs_posix(), NULL, st_dir_new());
  struct xf_ledger_update u = {.member = "a"};
  assert_ok(xf_ledger_begin(r.l, 1, &r.diag), &r.diag);
  for (uint32_t i = 0; i < XF_LEDGER_REFUSALS_MAX + MORE; i++) {
    memcpy(u.task_id.b, &i, sizeof i);
    u.round = i;
    assert_ok(xf_ledger_update_refuse(r.l, &u,
                                      i % 2 ? XF_LEDGER_REFUSAL_LATE : XF_LEDGER_REFUSAL_REJECTED,
                                      "E_INVAL", &r.diag),
              &r.diag);
  }
  struct xf_ledger_update b = {.member = "b"}; /* another's limit is its own */
  assert_ok(xf_ledger_update_refuse(r.l, &b, XF_LEDGER_REFUSAL_LATE, "E_LATE", &r.diag), &r.diag);
  assert_ok(xf_ledger_commit(r.l, &r.diag), &r.diag);
  assert_ok(xf_ledger_members(r.l, refused_of_a, &n, &r.diag), &r.diag);
  assert_int_equal(n, XF_LEDGER_REFUSALS_MAX + MORE);
  assert_ok(xf_ledger_events(r.l, 1, count_refused, &events, &r.diag), &r.diag);
  assert_int_equal(events, XF_LEDGER_REFUSALS_MAX + 2 + 1);
  st_run_stop(&r);
}

static void all_updates(struct st_run *r) {
  for (int i = 0; i < ST_MEMBERS; i++) assert_ok(st_update(r, st_member[i]), &r->diag);
}

static void evaluate(struct st_run *r) {
  st_round_open(r, XF_LEDGER_KIND_EVALUATE);
  for (int i = 0; i < 2; i++) { /* a missing silo does not block */
    struct xf_ledger_update u;
    st_update_fill(&u, r->round, st_member[i]);
    u.weight = 0;
    assert_rc(in_txn_accept(r, &u), XF_OK);
  }
  struct xf_ledger_part part[2] = {{.member = "a"}, {.member = "b"}};
  assert_ok(xf_ledger_begin(r->l, 8000, &r->diag), &r->diag);
  assert_ok(xf_ledger_round_closing(r->l, r->round, part, 2, &r->diag), &r->diag);
  assert_ok(xf_ledger_round_commit(r->l, r->round, NULL, "{\"ndcg_10_full\":0.3}", &r->diag),
            &r->diag);
  assert_ok(xf_ledger_commit(r->l, &r->diag), &r->diag);
}

/* Who is listed after a round opened is none of its members; who left still is. */
static void test_listed(void **state) {
  (void)state;
  struct st_run r;
  uint64_t n = 0;
  st_run_start(&r, xf_fs_posix(), NULL, st_dir_new());
  st_round_open(&r, XF_LEDGER_KIND_TRAIN); /* at 3000 */
  assert_ok(xf_ledger_begin(r.l, 3001, &r.diag), &r.diag);
  assert_ok(xf_ledger_member_put(r.l, "late", "books", 1, &r.diag), &r.diag);
  assert_ok(xf_ledger_member_put(r.l, st_member[0], "books", 7, &r.diag), &r.diag);
  assert_ok(xf_ledger_commit(r.l, &r.diag), &r.diag);
  assert_ok(xf_ledger_listed(r.l, r.round, &n, &r.diag), &r.diag);
  assert_int_equal(n, ST_MEMBERS);
  assert_ok(xf_ledger_listed(r.l, r.round + 1, &n, &r.diag), &r.diag);
  assert_int_equal(n, 0);
  st_run_stop(&r);
}

static void test_run(void **state) {
  (void)state;
  struct st_run r;
  struct xf_ledger_status s;
  struct xf_ledger_recovery rec;
  uint64_t keep[4];
  size_t n = 0;
  st_run_start(&r, xf_fs_posix(), NULL, st_dir_new());
  for (int i = 0; i < 2; i++) {
    st_round_open(&r, XF_LEDGER_KIND_TRAIN);
    all_updates(&r);
    st_round_commit(&r);
  }
  evaluate(&r);
  assert_ok(xf_ledger_status(r.l, &s, &r.diag), &r.diag);
  assert_int_equal(s.rounds, 3);
  assert_int_equal(s.commits, 2);
  assert_int_equal(s.evaluations, 1);
  assert_int_equal(s.last_commit, 3);
  assert_int_equal(s.accepted, 8);
  assert_int_equal(s.n_members, 3);
  assert_ok(xf_ledger_recover(r.l, &rec, &r.diag), &r.diag);
  assert_false(rec.has_open);
  assert_int_equal(rec.checkpoint.round, 2);
  assert_true(xf_digest_equal(&rec.checkpoint.model, &r.base));
  assert_int_equal(rec.stage_commits[0], 2);
  xf_ledger_recovery_deinit(&rec);
  assert_ok(xf_ledger_retained(r.l, 1, keep, 4, &n, &r.diag), &r.diag);
  assert_int_equal(n, 1);
  assert_int_equal(keep[0], 2);
  st_round_open(&r, XF_LEDGER_KIND_TRAIN);
  assert_ok(xf_ledger_retained(r.l, 1, keep, 4, &n, &r.diag), &r.diag);
  assert_int_equal(n, 2);
  assert_int_equal(keep[1], 4);
  assert_ok(xf_ledger_begin(r.l, 9, &r.diag), &r.diag);
  assert_rc(xf_ledger_run_set(r.l, XF_LEDGER_RUN_DONE, "", &r.diag), XF_E_STATE);
  assert_ok(xf_ledger_round_abandon(r.l, 4, "deadline", &r.diag), &r.diag);
  assert_ok(xf_ledger_run_set(r.l, XF_LEDGER_RUN_DONE, "all rounds", &r.diag), &r.diag);
  assert_rc(xf_ledger_run_set(r.l, XF_LEDGER_RUN_RUNNING, "", &r.diag), XF_E_STATE);
  assert_ok(xf_ledger_commit(r.l, &r.diag), &r.diag);
  assert_ok(xf_ledger_status(r.l, &s, &r.diag), &r.diag);
  assert_int_equal(s.state, XF_LEDGER_RUN_DONE);
  assert_int_equal(s.abandoned, 1);
  assert_int_equal(s.abandoned_tail, 1);
  assert_ok(xf_ledger_events(r.l, 1, NULL, NULL, &r.diag), &r.diag);
  st_run_stop(&r);
  st_dir_remove();
}

static void test_exactly_once(void **state) {
  (void)state;
  struct st_run r;
  struct xf_ledger_update u, other;
  struct xf_ledger_stored got;
  struct xf_ledger_status s;
  st_run_start(&r, xf_fs_posix(), NULL, st_dir_new());
  st_update_fill(&u, 1, "a");
  assert_rc(in_txn_accept(&r, &u), XF_E_NOTFOUND); /* no such task yet */
  st_round_open(&r, XF_LEDGER_KIND_TRAIN);
  assert_rc(in_txn_accept(&r, &u), XF_OK);
  assert_rc(in_txn_accept(&r, &u), XF_E_EXISTS);
  other = u;
  other.update = st_digest(4);
  assert_rc(in_txn_accept(&r, &other), XF_E_CONFLICT);
  assert_rc(refuse(&r, &other, XF_LEDGER_REFUSAL_CONFLICT, "OTHER_DIGEST"), XF_OK);
  assert_rc(refuse(&r, &other, XF_LEDGER_REFUSAL_CONFLICT, "OTHER_DIGEST"), XF_OK);
  st_update_fill(&other, 1, "b");
  memcpy(other.member, "c", 2); /* c answers with b's task */
  assert_rc(in_txn_accept(&r, &other), XF_E_NOTFOUND);
  st_update_fill(&other, 1, "b");
  other.weight = XF_LEDGER_WEIGHT_MAX;
  assert_rc(in_txn_accept(&r, &other), XF_E_RANGE);
  other.weight = 1;
  other.charge.epsilon = -1;
  assert_rc(in_txn_accept(&r, &other), XF_E_RANGE);
  assert_ok(xf_ledger_update_get(r.l, &u.task_id, &got, &r.diag), &r.diag);
  assert_string_equal(got.u.metrics, "{\"loss_sum\":1.5}");
  assert_true(got.u.charge.noised && got.u.charge.clip == 1);
  xf_ledger_stored_deinit(&got);
  struct xf_ledger_part part = {.member = "a", .weight = 1};
  assert_ok(xf_ledger_begin(r.l, 1, &r.diag), &r.diag);
  assert_ok(xf_ledger_round_closing(r.l, 1, &part, 1, &r.diag), &r.diag);
  assert_ok(xf_ledger_commit(r.l, &r.diag), &r.diag);
  st_update_fill(&other, 1, "b");
  assert_rc(in_txn_accept(&r, &other), XF_E_LATE);
  assert_rc(refuse(&r, &other, XF_LEDGER_REFUSAL_LATE, "CLOSED"), XF_OK);
  assert_ok(xf_ledger_status(r.l, &s, &r.diag), &r.diag);
  assert_int_equal(s.accepted, 1);
  assert_int_equal(s.refused, 3);
  st_run_stop(&r);
  st_dir_remove();
}

/* Refused calls leave nothing behind, even inside a transaction that goes on. */
static void test_guards(void **state) {
  (void)state;
  struct st_run r;
  struct xf_digest model = st_digest(5), task;
  bool committed = false;
  struct xf_ledger_task t = {.member = "a", .task_id = st_task(1, "a")};
  struct xf_ledger_task stranger = {.member = "zed", .task_id = st_task(1, "z")};
  struct xf_ledger_opening o = {.round = 2, .task = &t, .n_task = 1};
  st_run_start(&r, xf_fs_posix(), NULL, st_dir_new());
  o.base = r.base;
  assert_rc(xf_ledger_round_abandon(r.l, 1, "x", &r.diag), XF_E_STATE); /* no transaction */
  assert_ok(xf_ledger_begin(r.l, 1, &r.diag), &r.diag);
  assert_rc(xf_ledger_begin(r.l, 1, &r.diag), XF_E_STATE);
  assert_rc(xf_ledger_round_open(r.l, &o, &r.diag), XF_E_STATE); /* not the next */
  o.round = 1;
  o.base = st_digest(99);
  assert_rc(xf_ledger_round_open(r.l, &o, &r.diag), XF_E_CONFLICT);
  o.base = r.base;
  o.task = &stranger;
  assert_rc(xf_ledger_round_open(r.l, &o, &r.diag), XF_E_NOTFOUND);
  o.task = &t;
  o.n_task = 0;
  assert_rc(xf_ledger_round_open(r.l, &o, &r.diag), XF_E_INVAL);
  o.n_task = 1;
  assert_ok(xf_ledger_round_open(r.l, &o, &r.diag), &r.diag);
  o.round = 2;
  assert_rc(xf_ledger_round_open(r.l, &o, &r.diag), XF_E_STATE); /* one is open */
  struct xf_ledger_part part[2] = {{.member = "a", .weight = 1}, {.member = "b", .weight = 1}};
  assert_rc(xf_ledger_round_closing(r.l, 1, part, 1, &r.diag), XF_E_INVAL); /* not accepted */
  assert_rc(xf_ledger_round_closing(r.l, 1, part, 0, &r.diag), XF_E_INVAL);
  struct xf_ledger_update u;
  st_update_fill(&u, 1, "a");
  assert_ok(xf_ledger_update_accept(r.l, &u, &r.diag), &r.diag);
  assert_rc(xf_ledger_outcome(r.l, "a", &u.task_id, &task, &committed, &r.diag), XF_E_STATE);
  assert_rc(xf_ledger_outcome(r.l, "a", NULL, &task, &committed, &r.diag), XF_E_NOTFOUND);
  struct xf_ledger_part wrong[2] = {{.member = "b", .weight = 1}, {.member = "a", .weight = 1}};
  assert_rc(xf_ledger_round_closing(r.l, 1, wrong, 2, &r.diag), XF_E_INVAL);
  assert_rc(xf_ledger_round_committing(r.l, 1, &model, &r.diag), XF_E_STATE);
  assert_ok(xf_ledger_round_closing(r.l, 1, part, 1, &r.diag), &r.diag);
  assert_rc(xf_ledger_round_commit(r.l, 1, NULL, NULL, &r.diag), XF_E_STATE);
  assert_ok(xf_ledger_round_committing(r.l, 1, &model, &r.diag), &r.diag);
  assert_ok(xf_ledger_round_committing(r.l, 1, &model, &r.diag),
            &r.diag); /* recomputed: the same */
  struct xf_digest differs = st_digest(6);
  assert_rc(xf_ledger_round_committing(r.l, 1, &differs, &r.diag), XF_E_CONFLICT);
  struct xf_ledger_checkpoint c = {
      .round = 1, .model = differs, .parent = r.base, .path = "ckpt/x", .bytes = 1};
  assert_rc(xf_ledger_round_commit(r.l, 1, &c, NULL, &r.diag), XF_E_CONFLICT);
  c.model = model;
  memcpy(c.path, "../x", 5);
  assert_rc(xf_ledger_round_commit(r.l, 1, &c, NULL, &r.diag), XF_E_INVAL);
  memcpy(c.path, "ckpt/x", 7);
  assert_ok(xf_ledger_round_commit(r.l, 1, &c, NULL, &r.diag), &r.diag);
  assert_rc(xf_ledger_round_abandon(r.l, 1, "x", &r.diag), XF_E_STATE);
  assert_rc(xf_ledger_checkpoint_prune(r.l, 1, &r.diag), XF_E_STATE);
  assert_ok(xf_ledger_checkpoint_prune(r.l, 0, &r.diag), &r.diag);
  assert_rc(xf_ledger_event(r.l, "Bad Kind", NULL, "{}", &r.diag), XF_E_INVAL);
  assert_rc(xf_ledger_event(r.l, "note", NULL, "not json", &r.diag), XF_E_FORMAT);
  assert_ok(xf_ledger_event(r.l, "note", "a", "{\"x\":1}", &r.diag), &r.diag);
  assert_ok(xf_ledger_commit(r.l, &r.diag), &r.diag);
  assert_rc(xf_ledger_commit(r.l, &r.diag), XF_E_STATE);
  assert_ok(xf_ledger_outcome(r.l, "a", NULL, &task, &committed, &r.diag), &r.diag);
  assert_true(committed && xf_digest_equal(&task, &u.task_id));
  assert_ok(xf_ledger_events(r.l, 1, NULL, NULL, &r.diag), &r.diag);
  st_run_stop(&r);
  st_dir_remove();
}

/* Every state of a round survives closing and opening, and says how to go on. */
static void test_recover_states(void **state) {
  (void)state;
  struct st_run r;
  struct xf_ledger_recovery rec;
  uint64_t epoch = 0;
  struct xf_digest model = st_digest(5);
  st_run_start(&r, xf_fs_posix(), NULL, st_dir_new());
  st_round_open(&r, XF_LEDGER_KIND_TRAIN);
  assert_ok(st_update(&r, "b"), &r.diag);
  assert_ok(st_update(&r, "a"), &r.diag);
  for (int step = 0; step < 3; step++) {
    static const enum xf_ledger_round_state want[] = {XF_LEDGER_ROUND_OPEN, XF_LEDGER_ROUND_CLOSING,
                                                      XF_LEDGER_ROUND_COMMITTING};
    if (step == 1) {
      assert_ok(st_update(&r, "c"), &r.diag);
      st_closing(&r);
    }
    if (step == 2) {
      assert_ok(xf_ledger_begin(r.l, 1, &r.diag), &r.diag);
      assert_ok(xf_ledger_round_committing(r.l, 1, &model, &r.diag), &r.diag);
      assert_ok(xf_ledger_commit(r.l, &r.diag), &r.diag);
    }
    xf_ledger_close(r.l);
    st_run_again(&r, &epoch);
    assert_int_equal(epoch, step + 2);
    assert_ok(xf_ledger_recover(r.l, &rec, &r.diag), &r.diag);
    assert_true(rec.has_open);
    assert_int_equal(rec.state, want[step]);
    assert_int_equal(rec.round, 1);
    assert_int_equal(rec.n_task, 3);
    assert_string_equal(rec.task[2].member, "c");
    struct xf_digest t = st_task(1, "c");
    assert_true(xf_digest_equal(&rec.task[2].task_id, &t));
    assert_int_equal(rec.n_update, step ? 3 : 2);
    assert_string_equal(rec.update[0].u.member, "a");
    assert_string_equal(rec.update[1].u.member, "b");
    assert_int_equal(strncmp(rec.update[1].u.spool, "r0000000001-", 12), 0);
    assert_string_equal(rec.update[0].u.metrics, "{\"loss_sum\":1.5}");
    assert_int_equal(rec.update[0].frozen, step > 0);
    assert_true(xf_digest_equal(&rec.base, &r.base));
    if (step == 2) assert_true(xf_digest_equal(&rec.computed, &model));
    xf_ledger_recovery_deinit(&rec);
  }
  struct xf_digest other = st_digest(77);
  assert_ok(xf_ledger_begin(r.l, 1, &r.diag), &r.diag);
  assert_rc(xf_ledger_run_open(r.l, &other, "v", &epoch, &r.diag), XF_E_CONFLICT);
  assert_non_null(strstr(r.diag.text, "--new-run"));
  struct xf_ledger_run run = {.run = "run-2", .plan = other};
  assert_ok(xf_ledger_run_create(r.l, &run, "", 0, &r.diag), &r.diag);
  assert_rc(xf_ledger_run_create(r.l, &run, "", 0, &r.diag), XF_E_EXISTS);
  assert_ok(xf_ledger_run_open(r.l, &other, "v", &epoch, &r.diag), &r.diag);
  assert_int_equal(epoch, 5); /* never goes back, whatever the run */
  assert_ok(xf_ledger_commit(r.l, &r.diag), &r.diag);
  assert_ok(xf_ledger_recover(r.l, &rec, &r.diag), &r.diag);
  assert_false(rec.has_open || rec.has_checkpoint);
  assert_int_equal(rec.status.rounds, 0);
  xf_ledger_recovery_deinit(&rec);
  st_run_stop(&r);
  st_dir_remove();
}

static void test_manifests(void **state) {
  (void)state;
  struct st_run r;
  const uint8_t keys[48] = {[0] = 1, [16] = 2, [32] = 3};
  struct xf_digest d = st_digest(1), other = st_digest(2), got;
  struct xf_manifest m;
  uint64_t n = 0;
  st_run_start(&r, xf_fs_posix(), NULL, st_dir_new());
  assert_ok(xf_ledger_begin(r.l, 1, &r.diag), &r.diag);
  assert_ok(xf_ledger_manifest_put(r.l, "a", "user", keys, 3, &d, &r.diag), &r.diag);
  assert_ok(xf_ledger_manifest_put(r.l, "a", "user", keys, 3, &d, &r.diag), &r.diag);
  assert_rc(xf_ledger_manifest_put(r.l, "a", "user", keys, 2, &other, &r.diag), XF_E_CONFLICT);
  assert_rc(xf_ledger_manifest_put(r.l, "zed", "user", keys, 3, &d, &r.diag), XF_E_NOTFOUND);
  assert_ok(xf_ledger_manifest_put(r.l, "b", "user", keys, 0, &other, &r.diag), &r.diag);
  assert_ok(xf_ledger_directory_freeze(r.l, "user", &d, 3, &r.diag), &r.diag);
  assert_ok(xf_ledger_directory_freeze(r.l, "user", &d, 3, &r.diag), &r.diag);
  assert_rc(xf_ledger_directory_freeze(r.l, "user", &other, 3, &r.diag), XF_E_CONFLICT);
  assert_rc(xf_ledger_manifest_put(r.l, "c", "user", keys, 3, &d, &r.diag), XF_E_STATE);
  assert_ok(xf_ledger_member_seen(r.l, "a", true, 1, NULL, &r.diag), &r.diag);
  assert_rc(xf_ledger_member_seen(r.l, "zed", true, 1, NULL, &r.diag), XF_E_NOTFOUND);
  assert_ok(xf_ledger_commit(r.l, &r.diag), &r.diag);
  assert_ok(xf_ledger_manifest_get(r.l, "a", "user", &m, &got, &r.diag), &r.diag);
  assert_int_equal(m.n, 3);
  assert_memory_equal(m.key, keys, 48);
  assert_true(xf_digest_equal(&got, &d));
  xf_manifest_deinit(&m);
  assert_ok(xf_ledger_manifest_get(r.l, "b", "user", &m, &got, &r.diag), &r.diag);
  assert_int_equal(m.n, 0);
  xf_manifest_deinit(&m);
  assert_rc(xf_ledger_manifest_get(r.l, "c", "user", &m, &got, &r.diag), XF_E_NOTFOUND);
  assert_ok(xf_ledger_directory_get(r.l, "user", &got, &n, &r.diag), &r.diag);
  assert_int_equal(n, 3);
  st_run_stop(&r);
  st_dir_remove();
}

static void run_sql(const char *path, const char *sql) {
  sqlite3 *db = NULL;
  assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
  assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
  sqlite3_close(db);
}

static void test_chain(void **state) {
  (void)state;
  static const char *const tampers[] = {
      "UPDATE event SET body='{}' WHERE seq=3", "DELETE FROM event WHERE seq=4",
      "UPDATE event SET member='b' WHERE kind='update_accepted'",
      "UPDATE event SET at_us=at_us+1 WHERE seq=2", "DELETE FROM event WHERE seq=1"};
  for (size_t i = 0; i < sizeof tampers / sizeof tampers[0]; i++) {
    struct st_run r;
    struct xf_ledger *l = NULL;
    st_run_start(&r, xf_fs_posix(), NULL, st_dir_new());
    st_round_open(&r, XF_LEDGER_KIND_TRAIN);
    assert_ok(st_update(&r, "a"), &r.diag);
    assert_ok(xf_ledger_events(r.l, 1, NULL, NULL, &r.diag), &r.diag);
    assert_ok(xf_ledger_events(r.l, 5, NULL, NULL, &r.diag), &r.diag);
    xf_ledger_close(r.l);
    r.l = NULL;
    const char *path = st_path(r.dir, XF_STATE_LEDGER);
    run_sql(path, tampers[i]);
    assert_ok(xf_ledger_open(&l, path, XF_LEDGER_READ, NULL, &r.diag), &r.diag);
    assert_rc(xf_ledger_events(l, 1, NULL, NULL, &r.diag), XF_E_CORRUPT);
    assert_non_null(strstr(r.diag.text, "entry"));
    xf_ledger_close(l);
    st_run_stop(&r);
    st_dir_remove();
  }
}

static void test_damaged_database(void **state) {
  (void)state;
  struct xf_ledger *l = NULL;
  struct st_run r;
  struct xf_diag diag;
  struct xf_buf file;
  st_run_start(&r, xf_fs_posix(), NULL, st_dir_new());
  const char *path = st_path(r.dir, XF_STATE_LEDGER);
  xf_ledger_close(r.l);
  r.l = NULL;
  xf_buf_init(&file, 1 << 24);
  assert_rc(xf_fs_read_file(r.fs, path, &file, NULL), XF_OK);
  for (int i = 0; i < 100; i++) { /* each byte of the database header */
    file.p[i] ^= 0xff;
    assert_rc(xf_fs_replace(r.fs, path, file.p, file.len, NULL), XF_OK);
    file.p[i] ^= 0xff;
    enum xf_rc rc = xf_ledger_open(&l, path, XF_LEDGER_WRITE, NULL, &diag);
    /* some fields are only hints, or are overruled by the log; never a crash, never silence */
    if (rc)
      assert_true(rc == XF_E_CORRUPT || rc == XF_E_VERSION || rc == XF_E_IO || rc == XF_E_AUTH ||
                  rc == XF_E_NOMEM);
    if (rc) assert_true(diag.text[0] != '\0');
    xf_ledger_close(l);
    l = NULL;
  }
  assert_rc(xf_fs_replace(r.fs, path, "not a database, but long enough to be looked at........", 52,
                          NULL),
            XF_OK);
  assert_rc(xf_ledger_open(&l, path, XF_LEDGER_WRITE, NULL, &diag), XF_E_CORRUPT);
  assert_rc(xf_fs_replace(r.fs, path, file.p, file.len / 2, NULL), XF_OK); /* half of it is gone */
  assert_rc(xf_ledger_open(&l, path, XF_LEDGER_WRITE, NULL, &diag), XF_E_CORRUPT);
  xf_buf_deinit(&file);
  st_run_stop(&r);
  st_dir_remove();
}

static void test_versions(void **state) {
  (void)state;
  struct xf_ledger *l = NULL;
  struct st_run r;
  st_run_start(&r, xf_fs_posix(), NULL, st_dir_new());
  const char *path = st_path(r.dir, XF_STATE_LEDGER);
  xf_ledger_close(r.l);
  r.l = NULL;
  run_sql(path, "PRAGMA user_version=99");
  assert_rc(xf_ledger_open(&l, path, XF_LEDGER_WRITE, NULL, &r.diag), XF_E_VERSION);
  assert_non_null(strstr(r.diag.text, "schema 99"));
  assert_rc(xf_ledger_open(&l, path, XF_LEDGER_READ, NULL, &r.diag), XF_E_VERSION);
  run_sql(path, "PRAGMA user_version=1; PRAGMA application_id=5");
  assert_rc(xf_ledger_open(&l, path, XF_LEDGER_WRITE, NULL, &r.diag), XF_E_CORRUPT);
  assert_non_null(strstr(r.diag.text, "not a crossfed ledger"));
  assert_rc(xf_ledger_open(&l, st_path(r.dir, "none.db"), XF_LEDGER_READ, NULL, &r.diag),
            XF_E_NOTFOUND);
  assert_rc(xf_ledger_open(&l, st_path(r.dir, "no/none.db"), XF_LEDGER_WRITE, NULL, &r.diag),
            XF_E_NOTFOUND);
  st_run_stop(&r);
  st_dir_remove();
}

static enum xf_rc count_round(void *arg, const struct xf_ledger_round *round) {
  size_t *n = arg;
  ++*n;
  return round->round == *n ? XF_OK : XF_E_STATE;
}
static enum xf_rc count_member(void *arg, const struct xf_ledger_member *m) {
  size_t *n = arg;
  assert_string_equal(m->member, st_member[*n]);
  assert_int_equal(m->accepted, m->committed);
  ++*n;
  return XF_OK;
}
static enum xf_rc stop(void *arg, const struct xf_ledger_round *round) {
  (void)arg;
  (void)round;
  return XF_E_CANCELLED;
}

/* A reader works before, during and after a writing transaction, and after an orderly end. */
static void test_readers(void **state) {
  (void)state;
  struct st_run r;
  struct xf_ledger *reader = NULL;
  struct xf_ledger_status s;
  size_t n = 0, members = 0;
  st_run_start(&r, xf_fs_posix(), NULL, st_dir_new());
  const char *path = st_path(r.dir, XF_STATE_LEDGER);
  st_round_open(&r, XF_LEDGER_KIND_TRAIN);
  all_updates(&r);
  st_round_commit(&r);
  assert_ok(xf_ledger_open(&reader, path, XF_LEDGER_READ, NULL, &r.diag), &r.diag);
  assert_ok(xf_ledger_rounds(reader, 0, UINT64_MAX, count_round, &n, &r.diag), &r.diag);
  assert_int_equal(n, 1);
  assert_rc(xf_ledger_rounds(reader, 0, UINT64_MAX, stop, NULL, &r.diag), XF_E_CANCELLED);
  assert_ok(xf_ledger_members(reader, count_member, &members, &r.diag), &r.diag);
  assert_int_equal(members, 3);
  assert_ok(xf_ledger_begin(r.l, 1, &r.diag), &r.diag);
  assert_ok(xf_ledger_run_set(r.l, XF_LEDGER_RUN_PAUSED, "operator", &r.diag), &r.diag);
  assert_ok(xf_ledger_status(reader, &s, &r.diag), &r.diag);
  assert_int_equal(s.state, XF_LEDGER_RUN_RUNNING); /* not committed yet */
  assert_ok(xf_ledger_commit(r.l, &r.diag), &r.diag);
  assert_ok(xf_ledger_status(reader, &s, &r.diag), &r.diag);
  assert_int_equal(s.state, XF_LEDGER_RUN_PAUSED);
  assert_string_equal(s.reason, "operator");
  assert_true(xf_ledger_wal_bytes(r.l) > 0);
  assert_rc(xf_ledger_begin(reader, 1, &r.diag), XF_E_STATE);
  xf_ledger_close(reader);
  xf_ledger_close(r.l);
  r.l = NULL;
  assert_ok(xf_ledger_open(&reader, path, XF_LEDGER_READ, NULL, &r.diag), &r.diag);
  assert_ok(xf_ledger_status(reader, &s, &r.diag), &r.diag);
  assert_int_equal(s.commits, 1);
  xf_ledger_close(reader);
  st_run_stop(&r);
  st_dir_remove();
}

/* The sqlite3 shell reads while the daemon has a transaction open; a group member may read, others not. */
static void test_shell_and_modes(void **state) {
  (void)state;
  struct st_run r;
  struct stat st;
  char *argv[] = {(char[]){"sqlite3"}, (char[]){"-readonly"}, NULL,
                  (char[]){"SELECT count(*) FROM round; SELECT state FROM run"}, NULL};
  char path[XF_PATH_MAX], out[64] = "", want[] = "1\nrunning\n";
  int fd[2], status = 0;
  pid_t pid = 0;
  mode_t mask = umask(077); /* as the service unit has it */
  st_run_start(&r, xf_fs_posix(), NULL, st_dir_new());
  (void)umask(mask);
  st_round_open(&r, XF_LEDGER_KIND_TRAIN);
  assert_rc(xf_str_copy(path, sizeof path, st_path(r.dir, XF_STATE_LEDGER)), XF_OK);
  assert_int_equal(stat(path, &st), 0);
  assert_int_equal(st.st_mode & 0777, 0640);
  assert_int_equal(stat(st_path(r.dir, XF_STATE_LEDGER "-wal"), &st), 0);
  assert_int_equal(st.st_mode & 0777, 0640);
  assert_int_equal(stat(st_path(r.dir, XF_STATE_SPOOL), &st), 0);
  assert_int_equal(st.st_mode & 0777, 0700);
  assert_ok(xf_ledger_begin(r.l, 1, &r.diag), &r.diag);
  assert_ok(xf_ledger_run_set(r.l, XF_LEDGER_RUN_PAUSED, "", &r.diag), &r.diag);
  argv[2] = path;
  assert_int_equal(pipe(fd), 0);
  posix_spawn_file_actions_t fa;
  posix_spawn_file_actions_init(&fa);
  posix_spawn_file_actions_adddup2(&fa, fd[1], 1);
  int spawned = posix_spawnp(&pid, "sqlite3", &fa, NULL, argv, environ);
  posix_spawn_file_actions_destroy(&fa);
  close(fd[1]);
  if (spawned == 0) {
    size_t n = 0;
    for (ssize_t k = 1; k > 0 && n<sizeof out - 1; n += k> 0 ? (size_t)k : 0)
      k = read(fd[0], out + n, sizeof out - 1 - n);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_string_equal(out, want);
  } else print_message("the sqlite3 shell is not installed: not tried\n");
  close(fd[0]);
  xf_ledger_rollback(r.l);
  st_run_stop(&r);
  st_dir_remove();
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_run),
      cmocka_unit_test(test_listed),
      cmocka_unit_test(test_refusals_bounded),
      cmocka_unit_test(test_exactly_once),
      cmocka_unit_test(test_guards),
      cmocka_unit_test(test_recover_states),
      cmocka_unit_test(test_manifests),
      cmocka_unit_test(test_chain),
      cmocka_unit_test(test_damaged_database),
      cmocka_unit_test(test_versions),
      cmocka_unit_test(test_readers),
      cmocka_unit_test(test_shell_and_modes),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
