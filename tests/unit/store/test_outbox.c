/* The outbox: charge before release, the same bytes for ever, recovery, personal states, the odometer. */
#include "store/outbox.h"

#include "base/str.h"
#include "crypto/sha256.h"
#include "store/state.h"
#include "storetest.h"

#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const char bytes[] = "clipped and noised";

static struct xf_outbox *open_box(const char *dir, struct xf_outbox_recovery *found) {
  struct xf_outbox *ob = NULL;
  struct xf_diag diag;
  assert_ok(xf_outbox_open(&ob, xf_fs_posix(), dir, NULL, found, &diag), &diag);
  return ob;
}

static struct xf_outbox_item item_of(uint64_t round, bool personal) {
  struct xf_outbox_item i = {.run = "run-1",
                             .round = round,
                             .kind = 1,
                             .weight = 5,
                             .n_samples = 50,
                             .charge = {true, true, 1.0, 0.8, 2.0, (double)round, 0.5},
                             .meta = "{\"loss_sum\":2}"};
  i.task_id = st_task(round, "a");
  i.update = st_digest(round + 1000);
  i.base = st_digest(1);
  i.layout = st_digest(2);
  if (personal) xf_outbox_personal_name(i.personal, &i.task_id);
  return i;
}

static void write_personal(struct xf_outbox *ob, const char *name) {
  char path[XF_PATH_MAX];
  assert_rc(xf_outbox_personal_path(ob, path, name), XF_OK);
  assert_rc(xf_fs_replace(xf_fs_posix(), path, "state", 5, NULL), XF_OK);
}

static bool has_personal(struct xf_outbox *ob, const char *name) {
  char path[XF_PATH_MAX];
  assert_rc(xf_outbox_personal_path(ob, path, name), XF_OK);
  return xf_fs_exists(xf_fs_posix(), path);
}

static void put(struct xf_outbox *ob, uint64_t round, bool personal) {
  struct xf_diag diag;
  struct xf_outbox_item i = item_of(round, personal);
  if (personal) write_personal(ob, i.personal);
  assert_ok(xf_outbox_put(ob, &i, bytes, sizeof bytes, 100, &diag), &diag);
}

static enum xf_rc count(void *arg, const struct xf_outbox_item *item) {
  int *n = arg;
  ++*n;
  return item->round ? XF_OK : XF_E_STATE;
}

static void test_life(void **state) {
  (void)state;
  struct xf_diag diag;
  struct xf_outbox_recovery found;
  struct xf_outbox_item got, again;
  char back[sizeof bytes];
  struct xf_digest sha, task = st_task(1, "a");
  uint64_t n = 0, noised = 0;
  int pending = 0;
  const char *dir = st_dir_new();
  struct xf_outbox *ob = open_box(dir, &found);
  put(ob, 1, false);
  again = item_of(1, false);
  assert_rc(xf_outbox_put(ob, &again, "other", 5, 1, &diag), XF_E_EXISTS);
  xf_outbox_close(ob);
  ob = open_box(dir, &found); /* after a restart: the same bytes, the same charge */
  assert_int_equal(found.pending, 1);
  assert_ok(xf_outbox_get(ob, &task, &got, &diag), &diag);
  xf_sha256(&sha, bytes, sizeof bytes);
  assert_true(xf_digest_equal(&got.payload, &sha));
  assert_string_equal(got.meta, "{\"loss_sum\":2}");
  assert_int_equal(got.bytes, sizeof bytes);
  assert_true(got.charge.noised && got.charge.noise_multiplier == 0.8);
  assert_ok(xf_outbox_read(ob, &task, back, sizeof bytes, 0, &diag), &diag);
  assert_memory_equal(back, bytes, sizeof bytes);
  assert_ok(xf_outbox_read(ob, &task, back, 4, 8, &diag), &diag);
  assert_memory_equal(back, bytes + 8, 4);
  assert_rc(xf_outbox_read(ob, &task, back, 4, sizeof bytes - 3, &diag), XF_E_RANGE);
  assert_ok(xf_outbox_settle(ob, &task, "accepted", true, 7, &diag), &diag);
  assert_ok(xf_outbox_settle(ob, &task, "late", false, 8, &diag), &diag); /* the first stands */
  assert_ok(xf_outbox_get(ob, &task, &got, &diag), &diag);
  assert_string_equal(got.verdict, "accepted");
  assert_rc(xf_outbox_read(ob, &task, back, 1, 0, &diag), XF_E_NOTFOUND);
  assert_ok(xf_outbox_pending(ob, count, &pending, &diag), &diag);
  assert_int_equal(pending, 0);
  struct xf_digest none = st_digest(12345);
  assert_rc(xf_outbox_settle(ob, &none, "accepted", true, 1, &diag), XF_E_NOTFOUND);
  assert_ok(xf_outbox_charged(ob, &n, &noised, &diag), &diag);
  assert_int_equal(n, 1);
  assert_int_equal(noised, 1);
  xf_outbox_close(ob);
  st_dir_remove();
}

static void test_recovery(void **state) {
  (void)state;
  struct xf_outbox_recovery found;
  struct xf_outbox *ob = NULL;
  struct xf_diag diag;
  char hex[XF_DIGEST_HEX], name[XF_DIGEST_HEX + 16];
  const struct xf_fs *fs = xf_fs_posix();
  const char *dir = st_dir_new();
  struct xf_digest lone = st_digest(5), task = st_task(1, "a");
  ob = open_box(dir, &found);
  put(ob, 1, false);
  write_personal(ob, "personal.unknown");
  xf_outbox_close(ob);
  const char *out = st_path(dir, XF_STATE_OUTBOX);
  (void)snprintf(name, sizeof name, "%s.upd", xf_digest_print(hex, &lone));
  assert_rc(xf_fs_replace(fs, st_path(out, name), "x", 1, NULL), XF_OK);
  (void)snprintf(name, sizeof name, "%s.upd.tmp", hex);
  assert_rc(xf_fs_replace(fs, st_path(out, name), "x", 1, NULL), XF_OK);
  assert_rc(xf_fs_replace(fs, st_path(out, "notes"), "x", 1, NULL), XF_OK);
  ob = open_box(dir, &found);
  assert_int_equal(found.unsent, 1); /* a file without a row was never charged: deleted unsent */
  assert_int_equal(found.temps, 1);
  assert_int_equal(found.personal, 1);
  assert_int_equal(found.pending, 1);
  assert_true(xf_fs_exists(fs, st_path(out, "notes")));
  xf_outbox_close(ob);
  /* a charged update whose bytes are damaged, then gone: never replaced in silence */
  (void)snprintf(name, sizeof name, "%s.upd", xf_digest_print(hex, &task));
  assert_rc(xf_fs_replace(fs, st_path(out, name), "Clipped and noised", sizeof bytes, NULL), XF_OK);
  assert_rc(xf_outbox_open(&ob, fs, dir, NULL, NULL, &diag), XF_E_CORRUPT);
  assert_non_null(strstr(diag.text, "does not match its digest"));
  assert_rc(fs->unlink(fs, st_path(out, name)), XF_OK);
  assert_rc(xf_outbox_open(&ob, fs, dir, NULL, NULL, &diag), XF_E_CORRUPT);
  assert_non_null(strstr(diag.text, "missing"));
  st_dir_remove();
}

static void test_personal(void **state) {
  (void)state;
  struct xf_diag diag;
  struct xf_outbox_recovery found;
  char now[XF_OUTBOX_TEXT_MAX], name[5][XF_OUTBOX_TEXT_MAX];
  struct xf_digest task[5];
  const char *dir = st_dir_new();
  struct xf_outbox *ob = open_box(dir, &found);
  for (uint64_t r = 0; r < 5; r++) {
    task[r] = st_task(r + 1, "a");
    xf_outbox_personal_name(name[r], &task[r]);
    put(ob, r + 1, true);
  }
  assert_ok(xf_outbox_personal(ob, now, &diag), &diag);
  assert_string_equal(now, "");
  assert_ok(xf_outbox_outcome(ob, &task[0], true, 1, &diag), &diag);
  assert_ok(xf_outbox_personal(ob, now, &diag), &diag);
  assert_string_equal(now, name[0]);
  assert_ok(xf_outbox_outcome(ob, &task[1], false, 1, &diag), &diag);
  assert_false(has_personal(ob, name[1]));
  assert_ok(xf_outbox_settle(ob, &task[2], "late", false, 1, &diag), &diag);
  assert_false(has_personal(ob, name[2]));
  write_personal(ob, "personal.training"); /* of a task in progress: not to be touched */
  assert_ok(xf_outbox_outcome(ob, &task[4], true, 1, &diag), &diag);
  assert_ok(xf_outbox_personal(ob, now, &diag), &diag);
  assert_string_equal(now, name[4]);
  assert_false(has_personal(ob, name[0])); /* the former one */
  assert_false(has_personal(ob, name[3])); /* superseded without an answer */
  assert_true(has_personal(ob, "personal.training"));
  assert_ok(xf_outbox_outcome(ob, &task[3], true, 1, &diag), &diag);  /* too late to go back */
  assert_ok(xf_outbox_outcome(ob, &task[4], false, 1, &diag), &diag); /* decided already */
  assert_ok(xf_outbox_personal(ob, now, &diag), &diag);
  assert_string_equal(now, name[4]);
  struct xf_digest none = st_digest(4711);
  assert_ok(xf_outbox_outcome(ob, &none, true, 1, &diag), &diag);
  xf_outbox_close(ob);
  ob = open_box(dir, &found);
  assert_int_equal(found.personal, 1); /* personal.training */
  assert_true(has_personal(ob, name[4]));
  xf_outbox_close(ob);
  st_dir_remove();
}

static void test_new_run(void **state) {
  (void)state;
  struct xf_diag diag;
  struct xf_outbox_recovery found;
  struct xf_outbox_item got;
  uint64_t n = 0, noised = 0;
  char now[XF_OUTBOX_TEXT_MAX];
  struct xf_digest t1 = st_task(1, "a"), t2 = st_task(2, "a");
  struct xf_outbox *ob = open_box(st_dir_new(), &found);
  assert_ok(xf_outbox_run(ob, "run-1", 1, &diag), &diag);
  put(ob, 1, true);
  assert_ok(xf_outbox_outcome(ob, &t1, true, 1, &diag), &diag);
  put(ob, 2, true);
  assert_ok(xf_outbox_run(ob, "run-1", 1, &diag), &diag);
  assert_ok(xf_outbox_get(ob, &t2, &got, &diag), &diag);
  assert_false(got.settled);
  assert_ok(xf_outbox_run(ob, "run-2", 2, &diag), &diag);
  assert_ok(xf_outbox_get(ob, &t2, &got, &diag), &diag);
  assert_true(got.settled);
  assert_string_equal(got.verdict, "run-replaced");
  assert_ok(xf_outbox_personal(ob, now, &diag), &diag);
  assert_string_equal(now, "");
  assert_ok(xf_outbox_charged(ob, &n, &noised, &diag), &diag);
  assert_int_equal(n, 2); /* what was spent stays spent */
  assert_ok(xf_outbox_meta_set(ob, "federation", "demo", &diag), &diag);
  assert_ok(xf_outbox_meta_get(ob, "federation", now, sizeof now, &diag), &diag);
  assert_string_equal(now, "demo");
  assert_rc(xf_outbox_meta_get(ob, "nothing", now, sizeof now, &diag), XF_E_NOTFOUND);
  assert_rc(xf_outbox_meta_get(ob, "federation", now, 3, &diag), XF_E_LIMIT);
  xf_outbox_close(ob);
  st_dir_remove();
}

static enum xf_rc in_order(void *arg, const struct xf_outbox_charge *c) {
  uint64_t *n = arg;
  assert_int_equal(c->seq, ++*n);
  assert_true(c->charge.epsilon == (double)*n);
  return XF_OK;
}

static void test_odometer(void **state) {
  (void)state;
  struct xf_diag diag;
  struct xf_outbox_recovery found;
  sqlite3 *db = NULL;
  uint64_t n = 0;
  const char *dir = st_dir_new();
  struct xf_outbox *ob = open_box(dir, &found);
  for (uint64_t r = 1; r <= 4; r++) put(ob, r, false);
  assert_ok(xf_outbox_charges(ob, in_order, &n, &diag), &diag);
  assert_int_equal(n, 4);
  xf_outbox_close(ob);
  assert_int_equal(sqlite3_open(st_path(dir, XF_STATE_CLIENT_DB), &db), SQLITE_OK);
  assert_int_not_equal(sqlite3_exec(db, "DELETE FROM odometer", NULL, NULL, NULL), SQLITE_OK);
  assert_int_not_equal(sqlite3_exec(db, "UPDATE odometer SET epsilon=0", NULL, NULL, NULL),
                       SQLITE_OK);
  sqlite3_close(db);
  st_dir_remove();
}

/* kill -9 at any moment of a put: afterwards the task is either wholly there or not at all. */
static void test_kill(void **state) {
  (void)state;
  struct xf_diag diag;
  struct xf_outbox_recovery found;
  struct xf_outbox_item got;
  uint64_t n = 0, noised = 0, whole = 0;
  const char *dir = st_dir_new();
  xf_outbox_close(open_box(dir, &found));
  for (uint64_t r = 1; r <= 12; r++) {
    int status = 0;
    struct xf_digest task = st_task(r, "a");
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
      struct xf_outbox *mine = NULL;
      struct xf_outbox_item i = item_of(r, false);
      if (xf_outbox_open(&mine, xf_fs_posix(), dir, NULL, NULL, NULL) ||
          xf_outbox_put(mine, &i, bytes, sizeof bytes, 1, NULL))
        _exit(1);
      raise(SIGKILL);
    }
    usleep((useconds_t)(r * 700));
    (void)kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    struct xf_outbox *ob = open_box(dir, &found);
    enum xf_rc rc = xf_outbox_get(ob, &task, &got, &diag);
    assert_true(rc == XF_OK || rc == XF_E_NOTFOUND);
    whole += rc == XF_OK;
    assert_int_equal(found.pending, whole);
    assert_ok(xf_outbox_charged(ob, &n, &noised, &diag), &diag);
    assert_int_equal(n, whole);
    xf_outbox_close(ob);
  }
  st_dir_remove();
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_life),     cmocka_unit_test(test_recovery),
      cmocka_unit_test(test_personal), cmocka_unit_test(test_new_run),
      cmocka_unit_test(test_odometer), cmocka_unit_test(test_kill),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
