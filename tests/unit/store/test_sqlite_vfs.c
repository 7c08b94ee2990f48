/* The ledger on a disk that loses power: what commit said OK for survives, and the chain holds. */
#include "store/sqlite_vfs.h"

#include "base/fs_crash.h"
#include "store/outbox.h"
#include "store/state.h"
#include "storetest.h"

#include <string.h>

enum { ROUNDS = 60 };

static enum xf_rc count_kind(void *arg, const struct xf_ledger_entry *e) {
  uint64_t *n = arg;
  if (strcmp(e->kind, "tick") == 0) ++*n;
  return XF_OK;
}

/* Appends until the power goes; returns how many commits said OK. */
static uint64_t append(struct xf_ledger *l) {
  uint64_t ok = 0;
  for (int i = 0; i < 40; i++) {
    if (xf_ledger_begin(l, i, NULL)) return ok;
    enum xf_rc rc = xf_ledger_event(l, "tick", "a", "{\"n\":1}", NULL);
    if (rc || xf_ledger_commit(l, NULL)) {
      xf_ledger_rollback(l);
      return ok;
    }
    ok++;
  }
  return ok;
}

static void test_power_loss(void **state) {
  (void)state;
  struct xf_fs_crash *disk = xf_fs_crash_new(1);
  struct xf_sqlite_vfs *vfs = NULL;
  const struct xf_fs *fs = xf_fs_crash_as_fs(disk);
  uint64_t cut_short = 0, extra = 0;
  assert_rc(xf_sqlite_vfs_start(&vfs, fs, "xf-crash-test"), XF_OK);
  for (uint64_t seed = 1; seed <= ROUNDS; seed++) {
    struct st_run r;
    struct xf_ledger *l = NULL;
    uint64_t n = 0;
    xf_fs_crash_reset(disk, seed);
    assert_rc(fs->mkdir(fs, "/s", 0750), XF_OK);
    assert_rc(fs->syncdir(fs, "/"), XF_OK);
    st_run_start(&r, fs, "xf-crash-test", "/s");
    xf_fs_crash_cut_at(disk, 1 + (seed * 7) % 130);
    uint64_t ok = append(r.l);
    cut_short += ok < 40;
    xf_fs_crash_crash(disk);
    xf_ledger_close(r.l);
    r.l = NULL;
    assert_ok(xf_ledger_open(&l, "/s/ledger/ledger.db", XF_LEDGER_WRITE, "xf-crash-test", &r.diag),
              &r.diag);
    assert_ok(xf_ledger_events(l, 1, count_kind, &n, &r.diag), &r.diag);
    assert_true(n == ok || n == ok + 1); /* the one that was being committed may have made it */
    extra += n - ok;
    xf_ledger_close(l);
    st_run_stop(&r);
  }
  assert_true(cut_short > 0);
  print_message("%llu of %d cut short, %llu commits survived unreported\n",
                (unsigned long long)cut_short, ROUNDS, (unsigned long long)extra);
  xf_sqlite_vfs_stop(vfs);
  xf_fs_crash_free(disk);
}

/* Each I/O operation fails once: a commit that said OK holds, whatever failed before or after it. */
static void test_failures(void **state) {
  (void)state;
  struct xf_fs_crash *disk = xf_fs_crash_new(1);
  struct xf_sqlite_vfs *vfs = NULL;
  const struct xf_fs *fs = xf_fs_crash_as_fs(disk);
  static const enum xf_rc errors[] = {XF_E_IO, XF_E_NOSPACE};
  assert_rc(xf_sqlite_vfs_start(&vfs, fs, "xf-fail-test"), XF_OK);
  for (uint64_t nth = 1; nth <= 60; nth++) {
    struct st_run r;
    struct xf_ledger *l = NULL;
    uint64_t n = 0;
    xf_fs_crash_reset(disk, nth);
    assert_rc(fs->mkdir(fs, "/s", 0750), XF_OK);
    assert_rc(fs->syncdir(fs, "/"), XF_OK);
    st_run_start(&r, fs, "xf-fail-test", "/s");
    xf_fs_crash_fail_at(disk, nth, errors[nth % 2]);
    uint64_t ok = append(r.l);
    xf_fs_crash_fail_at(disk, 0, XF_OK);
    xf_fs_crash_crash(disk); /* an I/O error is fatal: the process stops here */
    xf_ledger_close(r.l);
    r.l = NULL;
    assert_ok(xf_ledger_open(&l, "/s/ledger/ledger.db", XF_LEDGER_WRITE, "xf-fail-test", &r.diag),
              &r.diag);
    assert_ok(xf_ledger_events(l, 1, count_kind, &n, &r.diag), &r.diag);
    assert_true(n == ok || n == ok + 1);
    xf_ledger_close(l);
    st_run_stop(&r);
  }
  xf_sqlite_vfs_stop(vfs);
  xf_fs_crash_free(disk);
}

/* A full disk refuses the transaction, keeps what was there, and goes on when there is room again. */
static void test_full(void **state) {
  (void)state;
  struct xf_fs_crash *disk = xf_fs_crash_new(1);
  struct xf_sqlite_vfs *vfs = NULL;
  const struct xf_fs *fs = xf_fs_crash_as_fs(disk);
  struct st_run r;
  uint64_t n = 0;
  assert_rc(xf_sqlite_vfs_start(&vfs, fs, "xf-full-test"), XF_OK);
  struct xf_sqlite_vfs *again = NULL;
  assert_rc(xf_sqlite_vfs_start(&again, fs, "xf-full-test"), XF_E_EXISTS);
  assert_rc(fs->mkdir(fs, "/s", 0750), XF_OK);
  st_run_start(&r, fs, "xf-full-test", "/s");
  xf_fs_crash_set_capacity(disk, 1);
  assert_ok(xf_ledger_begin(r.l, 1, &r.diag), &r.diag);
  enum xf_rc rc = xf_ledger_event(r.l, "tick", "a", "{}", &r.diag);
  if (!rc) rc = xf_ledger_commit(r.l, &r.diag);
  else xf_ledger_rollback(r.l);
  assert_rc(rc, XF_E_NOSPACE);
  xf_fs_crash_set_capacity(disk, XF_FS_CRASH_CAPACITY);
  assert_int_equal(append(r.l), 40);
  assert_ok(xf_ledger_events(r.l, 1, count_kind, &n, &r.diag), &r.diag);
  assert_int_equal(n, 40);
  st_run_stop(&r);
  xf_sqlite_vfs_stop(vfs);
  xf_fs_crash_free(disk);
}

/* Charge before release under power loss: a task is there with its bytes and its charge, or not at all. */
static void test_outbox(void **state) {
  (void)state;
  struct xf_fs_crash *disk = xf_fs_crash_new(1);
  struct xf_sqlite_vfs *vfs = NULL;
  const struct xf_fs *fs = xf_fs_crash_as_fs(disk);
  uint64_t whole = 0, none = 0;
  assert_rc(xf_sqlite_vfs_start(&vfs, fs, "xf-outbox-test"), XF_OK);
  for (uint64_t seed = 1; seed <= ROUNDS; seed++) {
    struct xf_outbox *ob = NULL;
    struct xf_outbox_recovery found;
    struct xf_diag diag;
    uint64_t charged = 0, noised = 0;
    struct xf_outbox_item item = {.run = "run-1", .round = 1, .task_id = st_task(1, "a")};
    xf_fs_crash_reset(disk, seed);
    assert_rc(fs->mkdir(fs, "/c", 0700), XF_OK);
    assert_rc(fs->syncdir(fs, "/"), XF_OK);
    assert_ok(xf_outbox_open(&ob, fs, "/c", "xf-outbox-test", NULL, &diag), &diag);
    xf_fs_crash_cut_at(disk, 1 + seed % 24);
    enum xf_rc rc = xf_outbox_put(ob, &item, "bytes", 5, 1, NULL);
    xf_fs_crash_crash(disk);
    xf_outbox_close(ob);
    assert_ok(xf_outbox_open(&ob, fs, "/c", "xf-outbox-test", &found, &diag), &diag);
    assert_ok(xf_outbox_charged(ob, &charged, &noised, &diag), &diag);
    assert_int_equal(found.pending, charged);
    assert_true(rc != XF_OK || charged == 1);
    whole += charged;
    none += !charged;
    xf_outbox_close(ob);
  }
  assert_true(whole > 0 && none > 0);
  xf_sqlite_vfs_stop(vfs);
  xf_fs_crash_free(disk);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_power_loss),
      cmocka_unit_test(test_failures),
      cmocka_unit_test(test_full),
      cmocka_unit_test(test_outbox),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
