/* The verifier: silent on a healthy state, and each planted damage is found under its invariant. */
#include "store/verify.h"

#include "base/str.h"
#include "store/outbox.h"
#include "store/state.h"
#include "storetest.h"

#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

struct log {
  char damaged[512]; /* "I3 I7 " */
  char text[4096];
  int ok, skipped;
};

static void report(void *arg, const char *invariant, enum xf_verify_level level, const char *text) {
  struct log *log = arg;
  log->ok += level == XF_VERIFY_OK;
  log->skipped += level == XF_VERIFY_SKIPPED;
  if (level != XF_VERIFY_DAMAGED) return;
  size_t n = strlen(log->damaged);
  (void)snprintf(log->damaged + n, sizeof log->damaged - n, "%s ", invariant);
  n = strlen(log->text);
  (void)snprintf(log->text + n, sizeof log->text - n, "%s: %s\n", invariant, text);
}

/* Decision 1's fold, written out: weighted mean of the payloads added to the model. */
static enum xf_rc fold(void *arg, const struct xf_verify_round *round, float *model, uint64_t n,
                       struct xf_diag *diag) {
  double acc[ST_FLOATS] = {0}, total = 0;
  float x[ST_FLOATS];
  (void)arg;
  assert_int_equal(n, ST_FLOATS);
  assert_int_equal(round->plan_len, 9);
  assert_int_equal(round->commits_before, round->round - 1);
  for (size_t k = 0; k < round->n_part; k++) {
    enum xf_rc rc = xf_spool_read_floats(&round->part[k], x, ST_FLOATS, 0, diag);
    if (rc) return rc;
    total += (double)round->who[k].weight;
    for (int j = 0; j < ST_FLOATS; j++) acc[j] += (double)round->who[k].weight * (double)x[j];
  }
  for (int j = 0; j < ST_FLOATS; j++) model[j] = (float)((double)model[j] + acc[j] / total);
  return XF_OK;
}

static bool passed_its_end;

static enum xf_rc end(void *arg, struct xf_ledger *ledger, const struct xf_ledger_status *status,
                      const uint8_t *plan, size_t plan_len, struct xf_diag *diag) {
  (void)arg;
  assert_non_null(ledger);
  assert_true(status->rounds > 0 && plan != NULL);
  assert_int_equal(plan_len, 9);
  return passed_its_end ? xf_diag_set(diag, XF_E_CORRUPT, "it is over") : XF_OK;
}

static enum xf_rc verify(const char *dir, struct log *log, bool with_fold) {
  struct xf_verify_result result;
  struct xf_diag diag;
  struct xf_verify_opts opts = {.report = report, .report_arg = log};
  if (with_fold) opts.fold = fold;
  if (with_fold) opts.end = end;
  *log = (struct log){0};
  enum xf_rc rc = xf_store_verify(xf_fs_posix(), dir, &opts, &result, &diag);
  assert_int_equal(rc == XF_E_CORRUPT, result.damages > 0);
  return rc;
}

static void run_sql(const char *path, const char *sql) {
  sqlite3 *db = NULL;
  char *err = NULL;
  assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
  if (sqlite3_exec(db, sql, NULL, NULL, &err) != SQLITE_OK) fail_msg("%s: %s", sql, err);
  sqlite3_close(db);
}

static void two_rounds(struct st_run *r) {
  st_run_start(r, xf_fs_posix(), NULL, st_dir_new());
  for (int k = 0; k < 2; k++) {
    st_round_open(r, XF_LEDGER_KIND_TRAIN);
    for (int i = 0; i < ST_MEMBERS; i++) assert_ok(st_update(r, st_member[i]), &r->diag);
    st_round_commit(r);
  }
}

static void test_healthy(void **state) {
  (void)state;
  struct st_run r;
  struct log log;
  two_rounds(&r);
  assert_ok(verify(r.dir, &log, true), &r.diag); /* beside the writer */
  assert_int_equal(log.skipped, 0);
  assert_true(log.ok >= 8);
  st_round_open(&r, XF_LEDGER_KIND_TRAIN);
  assert_ok(st_update(&r, "a"), &r.diag);
  st_run_stop(&r);
  assert_rc(verify(r.dir, &log, true), XF_OK); /* with a round open */
  assert_rc(verify(r.dir, &log, false), XF_OK);
  assert_int_equal(log.skipped,
                   2); /* I3 says that it was not recomputed, I10 that nobody read the plan */
  passed_its_end = true;
  assert_rc(verify(r.dir, &log, true), XF_E_CORRUPT);
  assert_string_equal(log.text, "I10: it is over\n");
  passed_its_end = false;
  assert_rc(verify(st_path(r.dir, "nothing"), &log, true), XF_E_NOTFOUND);
  st_dir_remove();
}

static void test_rows(void **state) {
  (void)state;
  static const struct {
    const char *sql, *finds;
  } rows[] = {
      {"UPDATE upd SET part=5 WHERE round=1 AND member='c'", "I1"},
      {"PRAGMA foreign_keys=OFF; DELETE FROM upd WHERE round=1 AND member='b'", "I2"},
      {"UPDATE upd SET part=NULL WHERE round=2 AND member='c'", "I2"},
      {"UPDATE round SET computed=zeroblob(32) WHERE round=1", "I4"},
      {"UPDATE round SET base=zeroblob(32) WHERE round=2", "I4"},
      {"DELETE FROM checkpoint WHERE round=1", "I4"},
      {"UPDATE checkpoint SET sha256=zeroblob(32) WHERE round=2", "I5"},
      {"UPDATE checkpoint SET path='ckpt/none' WHERE round=2", "I5"},
      {"DELETE FROM privacy WHERE round=1 AND member='a'", "I6"},
      {"UPDATE event SET body='{}' WHERE kind='round_committed'", "I7"},
      {"DELETE FROM event WHERE seq=(SELECT max(seq) FROM event)", "I7"},
      {"UPDATE upd SET part_weight=9 WHERE round=2 AND member='a'", "I3"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    struct st_run r;
    struct log log;
    two_rounds(&r);
    st_run_stop(&r);
    run_sql(st_path(r.dir, XF_STATE_LEDGER), rows[i].sql);
    enum xf_rc rc = verify(r.dir, &log, true);
    if (rc != XF_E_CORRUPT || !strstr(log.damaged, rows[i].finds))
      fail_msg("%s: expected %s, found \"%s\"\n%s", rows[i].sql, rows[i].finds, log.damaged,
               log.text);
    st_dir_remove();
  }
}

static void flip(const char *path, size_t at) {
  struct xf_buf b;
  xf_buf_init(&b, 1 << 20);
  assert_rc(xf_fs_read_file(xf_fs_posix(), path, &b, NULL), XF_OK);
  b.p[at < b.len ? at : b.len - 1] ^= 1;
  assert_rc(xf_fs_replace(xf_fs_posix(), path, b.p, b.len, NULL), XF_OK);
  xf_buf_deinit(&b);
}

static void test_files(void **state) {
  (void)state;
  struct st_run r;
  struct log log;
  struct xf_spool_head head = {.round = 2, .task_id = st_task(2, "b")};
  char name[XF_SPOOL_NAME_MAX], ckpt[XF_STATE_CKPT_NAME];
  const struct xf_fs *fs = xf_fs_posix();
  two_rounds(&r);
  st_run_stop(&r);
  const char *spool = st_path(r.dir, XF_STATE_SPOOL);
  xf_spool_name(name, &head);
  flip(st_path(spool, name), XF_SPOOL_HEADER + 10);
  assert_rc(verify(r.dir, &log, true), XF_E_CORRUPT);
  assert_string_equal(log.damaged, "I3 ");
  assert_rc(fs->unlink(fs, st_path(spool, name)), XF_OK); /* not retained: said, not damaged */
  assert_rc(verify(r.dir, &log, true), XF_OK);
  assert_int_equal(log.skipped, 1);
  assert_rc(xf_fs_replace(fs, st_path(r.dir, "ckpt/round-9.safetensors"), "x", 1, NULL), XF_OK);
  assert_rc(xf_fs_replace(fs, st_path(r.dir, "ckpt/x.tmp"), "x", 1, NULL), XF_OK);
  head.round = 9;
  xf_spool_name(name, &head);
  assert_rc(xf_fs_replace(fs, st_path(spool, name), "x", 1, NULL), XF_OK);
  assert_rc(verify(r.dir, &log, true), XF_E_CORRUPT);
  assert_string_equal(log.damaged, "I8 I8 I8 ");
  xf_state_checkpoint_name(ckpt, 2);
  flip(st_path(r.dir, ckpt), SIZE_MAX);
  assert_rc(verify(r.dir, &log, true), XF_E_CORRUPT);
  assert_non_null(strstr(log.damaged, "I5"));
  st_dir_remove();
}

/* An acknowledged update of the open round whose bytes are lost. */
static void test_open_round(void **state) {
  (void)state;
  struct st_run r;
  struct log log;
  struct xf_spool_head head = {.round = 1, .task_id = st_task(1, "a")};
  char name[XF_SPOOL_NAME_MAX];
  st_run_start(&r, xf_fs_posix(), NULL, st_dir_new());
  st_round_open(&r, XF_LEDGER_KIND_TRAIN);
  assert_ok(st_update(&r, "a"), &r.diag);
  st_run_stop(&r);
  xf_spool_name(name, &head);
  assert_rc(xf_spool_remove(&r.spool, name, NULL), XF_OK);
  assert_rc(verify(r.dir, &log, true), XF_E_CORRUPT);
  assert_string_equal(log.damaged, "I2 ");
  assert_non_null(strstr(log.text, "\"a\""));
  st_dir_remove();
}

static void test_client(void **state) {
  (void)state;
  struct xf_outbox *ob = NULL;
  struct xf_diag diag;
  struct log log;
  struct xf_outbox_item item = {.run = "run-1", .round = 1, .task_id = st_task(1, "a")};
  char hex[XF_DIGEST_HEX], name[XF_DIGEST_HEX + 16];
  const char *dir = st_dir_new();
  item.charge = (struct xf_charge){true, true, 1, 0.8, 2, 1, 0.5};
  assert_ok(xf_outbox_open(&ob, xf_fs_posix(), dir, NULL, NULL, &diag), &diag);
  assert_ok(xf_outbox_put(ob, &item, "bytes", 5, 1, &diag), &diag);
  xf_outbox_close(ob);
  assert_rc(verify(dir, &log, true), XF_OK);
  (void)snprintf(name, sizeof name, "outbox/%s.upd", xf_digest_print(hex, &item.task_id));
  flip(st_path(dir, name), 2);
  assert_rc(verify(dir, &log, true), XF_E_CORRUPT);
  assert_string_equal(log.damaged, "I2 ");
  flip(st_path(dir, name), 2);
  assert_rc(xf_fs_replace(xf_fs_posix(), st_path(dir, "outbox/left.tmp"), "x", 1, NULL), XF_OK);
  assert_rc(verify(dir, &log, true), XF_E_CORRUPT);
  assert_string_equal(log.damaged, "I8 ");
  run_sql(st_path(dir, XF_STATE_CLIENT_DB), "DROP TRIGGER odometer_kept; DELETE FROM odometer");
  assert_rc(verify(dir, &log, true), XF_E_CORRUPT);
  assert_non_null(strstr(log.damaged, "I6"));
  st_dir_remove();
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_healthy), cmocka_unit_test(test_rows),
      cmocka_unit_test(test_files),   cmocka_unit_test(test_open_round),
      cmocka_unit_test(test_client),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
