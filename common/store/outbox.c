/* Putting, reading and settling updates; the fate of personal states. */
#include "store/outbox.h"

#include "base/alloc.h"
#include "base/fail.h"
#include "base/str.h"
#include "crypto/sha256.h"
#include "store/outbox_impl.h"
#include "store/state.h"

#include <stdio.h>
#include <string.h>

void xf_outbox_personal_name(char out[XF_OUTBOX_TEXT_MAX], const struct xf_digest *task_id) {
  char hex[XF_DIGEST_HEX];
  (void)snprintf(out, XF_OUTBOX_TEXT_MAX, "personal.%s", xf_digest_print(hex, task_id));
}

enum xf_rc xf_outbox_personal_path(const struct xf_outbox *ob, char out[XF_PATH_MAX],
                                   const char *personal) {
  char dir[XF_PATH_MAX];
  enum xf_rc rc = xf_fs_join(dir, ob->dir, XF_STATE_PERSONAL);
  return rc ? rc : xf_fs_join(out, dir, personal);
}

enum xf_rc xf_outbox_begin(struct xf_outbox *ob, struct xf_diag *diag) {
  return xf_sql_run(&ob->sql, diag, "BEGIN IMMEDIATE", XF_SQL_ARGS());
}

enum xf_rc xf_outbox_end(struct xf_outbox *ob, enum xf_rc rc, struct xf_diag *diag) {
  if (!rc) rc = xf_sql_run(&ob->sql, diag, "COMMIT", XF_SQL_ARGS());
  /* A failing ROLLBACK leaves nothing that the next start would not roll back. */
  if (rc && !sqlite3_get_autocommit(ob->sql.db))
    (void)!xf_sql_run(&ob->sql, NULL, "ROLLBACK", XF_SQL_ARGS());
  return rc;
}

static enum xf_rc insert_item(struct xf_outbox *ob, const struct xf_outbox_item *i, int64_t now_us,
                              struct xf_diag *diag) {
  const struct xf_charge *c = &i->charge;
  enum xf_rc rc = xf_sql_run(
      &ob->sql, diag,
      "INSERT INTO outbox(run, task_id, round, kind, dtype, base, layout, payload_digest,"
      " update_digest, weight, n_samples, bytes, meta, personal, created_us)"
      " VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15)",
      XF_SQL_ARGS(A_T(i->run), A_D(&i->task_id), A_I(i->round), A_I(i->kind), A_I(i->dtype),
                  A_D(&i->base), A_D(&i->layout), A_D(&i->payload), A_D(&i->update), A_I(i->weight),
                  A_I(i->n_samples), A_I(i->bytes), A_T(i->meta ? i->meta : ""), A_T(i->personal),
                  A_I(now_us)));
  if (rc) return rc;
  return xf_sql_run(
      &ob->sql, diag,
      "INSERT INTO odometer(run, task_id, round, clipped, noised, clip, noise_multiplier,"
      " sensitivity, epsilon, epsilon_zero_out, at_us) VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11)",
      XF_SQL_ARGS(A_T(i->run), A_D(&i->task_id), A_I(i->round), A_I(c->clipped), A_I(c->noised),
                  A_F(c->clip), A_F(c->noise_multiplier), A_F(c->sensitivity), A_F(c->epsilon),
                  A_F(c->epsilon_zero_out), A_I(now_us)));
}

static enum xf_rc check_item(struct xf_outbox *ob, const struct xf_outbox_item *item,
                             struct xf_diag *diag) {
  int64_t n = 0;
  char hex[XF_DIGEST_HEX];
  if (item->round > INT64_MAX || item->weight > INT64_MAX || item->n_samples > INT64_MAX ||
      (item->meta && strlen(item->meta) >= XF_OUTBOX_META_MAX))
    return xf_diag_set(diag, XF_E_INVAL, "outbox: a number or text of the update is too large");
  enum xf_rc rc =
      xf_sql_one_i64(&ob->sql, &n, NULL, diag, "SELECT count(*) FROM outbox WHERE task_id=?1",
                     XF_SQL_ARGS(A_D(&item->task_id)));
  if (!rc && n)
    rc = xf_diag_set(diag, XF_E_EXISTS, "task %.16s... has its update already: send that one",
                     xf_digest_print(hex, &item->task_id));
  return rc;
}

enum xf_rc xf_outbox_put(struct xf_outbox *ob, struct xf_outbox_item *item, const void *payload,
                         size_t len, int64_t now_us, struct xf_diag *diag) {
  char path[XF_PATH_MAX];
  enum xf_rc rc = check_item(ob, item, diag);
  if (!rc) rc = xf_outbox_blob_path(ob, path, &item->task_id);
  if (rc) return rc;
  item->bytes = len;
  item->created_us = now_us;
  item->settled = false;
  xf_sha256(&item->payload, payload, len);
  rc = xf_fs_replace(ob->fs, path, payload, len, diag);
  if (rc) return rc;
  XF_FAILPOINT("C4_blob");
  rc = xf_outbox_begin(ob, diag);
  if (!rc) rc = xf_outbox_end(ob, insert_item(ob, item, now_us, diag), diag);
  if (rc) {
    /* Not charged, so it must not be sent; a left-over is deleted at the next start. */
    (void)ob->fs->unlink(ob->fs, path);
    return rc;
  }
  XF_FAILPOINT("C4");
  return XF_OK;
}

enum xf_rc xf_outbox_get(struct xf_outbox *ob, const struct xf_digest *task_id,
                         struct xf_outbox_item *item, struct xf_diag *diag) {
  struct xf_sql_rows rows;
  bool more = false;
  *item = (struct xf_outbox_item){0};
  enum xf_rc rc =
      xf_sql_query(&ob->sql, &rows, diag, "SELECT " XF_OUTBOX_COLUMNS " WHERE task_id=?1",
                   XF_SQL_ARGS(A_D(task_id)));
  if (!rc) rc = xf_sql_next(&ob->sql, &rows, &more, diag);
  if (!rc && !more) rc = xf_diag_set(diag, XF_E_NOTFOUND, "the outbox holds no such task");
  if (!rc) {
    xf_outbox_read_item(&rows, item);
    xf_buf_reset(&ob->text);
    rc = xf_buf_put_str(&ob->text, item->meta);
    item->meta = xf_buf_cstr(&ob->text);
  }
  xf_sql_end(&rows);
  return rc;
}

void xf_outbox_stop_reading(struct xf_outbox *ob) {
  if (ob->is_reading) (void)ob->reading.fs->close(&ob->reading); /* read only */
  ob->is_reading = false;
}

static enum xf_rc start_reading(struct xf_outbox *ob, const struct xf_digest *task_id,
                                struct xf_diag *diag) {
  struct xf_outbox_item item;
  char path[XF_PATH_MAX];
  if (ob->is_reading && xf_digest_equal(&ob->reading_task, task_id)) return XF_OK;
  xf_outbox_stop_reading(ob);
  enum xf_rc rc = xf_outbox_get(ob, task_id, &item, diag);
  if (!rc && item.settled)
    rc = xf_diag_set(diag, XF_E_NOTFOUND, "the update was answered (%s) and is gone", item.verdict);
  if (!rc) rc = xf_outbox_blob_path(ob, path, task_id);
  if (rc) return rc;
  rc = ob->fs->open(ob->fs, &ob->reading, path, XF_FS_READ);
  if (rc)
    return xf_diag_set(diag, rc == XF_E_NOTFOUND ? XF_E_CORRUPT : rc, "cannot open \"%s\": %s",
                       path, xf_rc_text(rc));
  ob->is_reading = true;
  ob->reading_task = *task_id;
  ob->reading_len = item.bytes;
  return XF_OK;
}

enum xf_rc xf_outbox_read(struct xf_outbox *ob, const struct xf_digest *task_id, void *out,
                          size_t len, uint64_t at, struct xf_diag *diag) {
  size_t got = 0;
  enum xf_rc rc = start_reading(ob, task_id, diag);
  if (rc) return rc;
  if (at > ob->reading_len || len > ob->reading_len - at)
    return xf_diag_set(diag, XF_E_RANGE, "bytes %llu+%zu of an update of %llu",
                       (unsigned long long)at, len, (unsigned long long)ob->reading_len);
  rc = ob->fs->pread(&ob->reading, out, len, at, &got);
  if (rc) return xf_diag_set(diag, rc, "cannot read an update: %s", xf_rc_text(rc));
  if (got != len) return xf_diag_set(diag, XF_E_CORRUPT, "the stored update is cut off");
  return XF_OK;
}

static void remove_personal(struct xf_outbox *ob, const char *personal) {
  char path[XF_PATH_MAX];
  if (personal[0] && xf_outbox_personal_path(ob, path, personal) == XF_OK)
    (void)ob->fs->unlink(ob->fs, path); /* a left-over is deleted at the next start */
}

enum xf_rc xf_outbox_settle(struct xf_outbox *ob, const struct xf_digest *task_id,
                            const char *verdict, bool accepted, int64_t now_us,
                            struct xf_diag *diag) {
  struct xf_outbox_item item;
  char path[XF_PATH_MAX];
  XF_FAILPOINT("C6");
  enum xf_rc rc = xf_outbox_get(ob, task_id, &item, diag);
  if (!rc) rc = xf_outbox_blob_path(ob, path, task_id);
  if (rc || item.settled) return rc;
  rc = xf_sql_run(&ob->sql, diag,
                  "UPDATE outbox SET state='settled', verdict=?2, settled_us=?3,"
                  " outcome=CASE WHEN ?4 THEN outcome ELSE 'discarded' END WHERE task_id=?1",
                  XF_SQL_ARGS(A_D(task_id), A_T(verdict), A_I(now_us), A_I(accepted)));
  if (rc) return rc;
  xf_outbox_stop_reading(ob);
  (void)ob->fs->unlink(ob->fs, path); /* a left-over is deleted at the next start */
  if (!accepted) remove_personal(ob, item.personal);
  return XF_OK;
}

/* Whether the task's fate is still open, and its personal state. */
static enum xf_rc undecided(struct xf_outbox *ob, const struct xf_digest *task_id, bool *yes,
                            int64_t *seq, char personal[XF_OUTBOX_TEXT_MAX], struct xf_diag *diag) {
  struct xf_sql_rows rows;
  *yes = false;
  enum xf_rc rc = xf_sql_query(&ob->sql, &rows, diag,
                               "SELECT seq, personal FROM outbox"
                               " WHERE task_id=?1 AND outcome='unknown'",
                               XF_SQL_ARGS(A_D(task_id)));
  if (!rc) rc = xf_sql_next(&ob->sql, &rows, yes, diag);
  if (!rc && *yes) {
    *seq = xf_sql_i64(&rows, 0);
    xf_sql_get_str(&rows, 1, personal, XF_OUTBOX_TEXT_MAX);
  }
  xf_sql_end(&rows);
  return rc;
}

static enum xf_rc promote(struct xf_outbox *ob, int64_t seq, const char *personal, int64_t now_us,
                          struct xf_diag *diag) {
  /* Older undecided tasks are superseded: their states would take the silo back in time. */
  enum xf_rc rc = xf_sql_run(&ob->sql, diag,
                             "UPDATE outbox SET outcome='discarded', decided_us=?2"
                             " WHERE seq<?1 AND outcome='unknown'",
                             XF_SQL_ARGS(A_I(seq), A_I(now_us)));
  if (!rc && personal[0])
    rc = xf_sql_run(&ob->sql, diag,
                    "INSERT INTO meta(key, value) VALUES('personal', ?1)"
                    " ON CONFLICT DO UPDATE SET value=excluded.value",
                    XF_SQL_ARGS(A_T(personal)));
  return rc;
}

enum xf_rc xf_outbox_outcome(struct xf_outbox *ob, const struct xf_digest *task_id, bool committed,
                             int64_t now_us, struct xf_diag *diag) {
  char personal[XF_OUTBOX_TEXT_MAX] = "";
  struct xf_outbox_recovery swept;
  bool yes = false;
  int64_t seq = 0;
  enum xf_rc rc = undecided(ob, task_id, &yes, &seq, personal, diag);
  if (rc || !yes) return rc;
  rc = xf_outbox_begin(ob, diag);
  if (rc) return rc;
  rc = xf_sql_run(&ob->sql, diag, "UPDATE outbox SET outcome=?2, decided_us=?3 WHERE seq=?1",
                  XF_SQL_ARGS(A_I(seq), A_T(committed ? "committed" : "discarded"), A_I(now_us)));
  if (!rc && committed) rc = promote(ob, seq, personal, now_us, diag);
  rc = xf_outbox_end(ob, rc, diag);
  if (rc) return rc;
  if (committed) return xf_outbox_sweep(ob, false, &swept, diag);
  remove_personal(ob, personal);
  return XF_OK;
}

enum xf_rc xf_outbox_personal(struct xf_outbox *ob, char out[XF_OUTBOX_TEXT_MAX],
                              struct xf_diag *diag) {
  enum xf_rc rc = xf_outbox_meta_get(ob, "personal", out, XF_OUTBOX_TEXT_MAX, diag);
  if (rc != XF_E_NOTFOUND) return rc;
  out[0] = '\0';
  return XF_OK;
}

enum xf_rc xf_outbox_run(struct xf_outbox *ob, const char *run, int64_t now_us,
                         struct xf_diag *diag) {
  char have[XF_OUTBOX_TEXT_MAX] = "";
  struct xf_outbox_recovery swept;
  enum xf_rc rc = xf_outbox_meta_get(ob, "run", have, sizeof have, diag);
  if (rc && rc != XF_E_NOTFOUND) return rc;
  if (!rc && strcmp(have, run) == 0) return XF_OK;
  rc = xf_outbox_begin(ob, diag);
  if (rc) return rc;
  rc = xf_sql_run(&ob->sql, diag,
                  "UPDATE outbox SET verdict='run-replaced', state='settled', settled_us=?2"
                  " WHERE state='pending' AND run<>?1",
                  XF_SQL_ARGS(A_T(run), A_I(now_us)));
  if (!rc)
    rc = xf_sql_run(&ob->sql, diag,
                    "UPDATE outbox SET outcome='discarded', decided_us=?2"
                    " WHERE outcome='unknown' AND run<>?1",
                    XF_SQL_ARGS(A_T(run), A_I(now_us)));
  if (!rc) rc = xf_sql_run(&ob->sql, diag, "DELETE FROM meta WHERE key='personal'", XF_SQL_ARGS());
  if (!rc)
    rc = xf_sql_run(&ob->sql, diag,
                    "INSERT INTO meta(key, value) VALUES('run', ?1)"
                    " ON CONFLICT DO UPDATE SET value=excluded.value",
                    XF_SQL_ARGS(A_T(run)));
  rc = xf_outbox_end(ob, rc, diag);
  if (rc) return rc;
  xf_outbox_stop_reading(ob);
  return xf_outbox_sweep(ob, false, &swept, diag);
}

enum xf_rc xf_outbox_meta_set(struct xf_outbox *ob, const char *key, const char *value,
                              struct xf_diag *diag) {
  if (strlen(value) >= XF_OUTBOX_META_MAX)
    return xf_diag_set(diag, XF_E_LIMIT, "value of \"%s\" has %zu bytes, the limit is %d", key,
                       strlen(value), XF_OUTBOX_META_MAX - 1);
  return xf_sql_run(&ob->sql, diag,
                    "INSERT INTO meta(key, value) VALUES(?1, ?2)"
                    " ON CONFLICT DO UPDATE SET value=excluded.value",
                    XF_SQL_ARGS(A_T(key), A_T(value)));
}

enum xf_rc xf_outbox_meta_get(struct xf_outbox *ob, const char *key, char *out, size_t cap,
                              struct xf_diag *diag) {
  struct xf_sql_rows rows;
  bool more = false;
  out[0] = '\0';
  enum xf_rc rc = xf_sql_query(&ob->sql, &rows, diag, "SELECT value FROM meta WHERE key=?1",
                               XF_SQL_ARGS(A_T(key)));
  if (!rc) rc = xf_sql_next(&ob->sql, &rows, &more, diag);
  if (!rc && !more) rc = xf_diag_set(diag, XF_E_NOTFOUND, "\"%s\" is not recorded", key);
  if (!rc && xf_str_copy(out, cap, xf_sql_str(&rows, 0)))
    rc = xf_diag_set(diag, XF_E_LIMIT, "value of \"%s\" has more than %zu bytes", key, cap - 1);
  xf_sql_end(&rows);
  return rc;
}
