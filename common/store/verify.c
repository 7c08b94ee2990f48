/* The verifier: entry, findings, and the silo's side. */
#include "store/verify.h"

#include "base/alloc.h"
#include "store/lock.h"
#include "store/outbox_impl.h"
#include "store/state.h"
#include "store/verify_impl.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void xf_verify_say(struct xf_verify *v, const char *invariant, enum xf_verify_level level,
                   const char *fmt, ...) {
  char text[XF_DIAG_LEN];
  va_list ap;
  va_start(ap, fmt);
  (void)vsnprintf(text, sizeof text, fmt, ap);
  va_end(ap);
  v->result->checks++;
  if (level == XF_VERIFY_DAMAGED) v->result->damages++;
  if (level == XF_VERIFY_SKIPPED) v->result->skipped++;
  v->opts->report(v->opts->report_arg, invariant, level, text);
}

/* "round 3 member a": the words are the query's column names. */
static void row_text(const struct xf_sql_rows *rows, struct xf_buf *out) {
  int n = sqlite3_column_count(rows->stmt);
  xf_buf_reset(out);
  for (int i = 0; i < n; i++)
    if (xf_buf_printf(out, "%s%s %s", i ? " " : "", sqlite3_column_name(rows->stmt, i),
                      xf_sql_str(rows, i)))
      return; /* the sentence is cut there */
}

enum xf_rc xf_verify_rows(struct xf_verify *v, struct xf_sql *sql, const char *invariant,
                          const char *what, const char *query, uint64_t *n, struct xf_diag *diag) {
  enum { SAY_MAX = 20 };
  struct xf_sql_rows rows;
  struct xf_buf text;
  bool more = true;
  uint64_t found = 0;
  xf_buf_init(&text, XF_DIAG_LEN);
  enum xf_rc rc = xf_sql_query(sql, &rows, diag, query, XF_SQL_ARGS());
  while (!rc) {
    rc = xf_sql_next(sql, &rows, &more, diag);
    if (rc || !more) break;
    row_text(&rows, &text);
    if (++found <= SAY_MAX)
      xf_verify_say(v, invariant, XF_VERIFY_DAMAGED, "%s: %s", what, xf_buf_cstr(&text));
  }
  xf_sql_end(&rows);
  xf_buf_deinit(&text);
  if (found > SAY_MAX)
    xf_verify_say(v, invariant, XF_VERIFY_DAMAGED, "%s: %llu more", what,
                  (unsigned long long)(found - SAY_MAX));
  *n += found;
  return rc;
}

/* --- a silo --- */

struct blobs {
  struct xf_verify *v;
  struct xf_outbox *ob;
  uint64_t pending, extra;
  struct xf_diag *diag;
};

static enum xf_rc read_blob(void *arg, const struct xf_outbox_item *item) {
  struct blobs *b = arg;
  struct xf_file file;
  struct xf_sha256_ctx sha;
  struct xf_digest got;
  char path[XF_PATH_MAX];
  uint8_t chunk[4096];
  uint64_t at = 0;
  size_t n = 1;
  b->pending++;
  enum xf_rc rc = xf_outbox_blob_path(b->ob, path, &item->task_id);
  if (!rc) rc = b->v->fs->open(b->v->fs, &file, path, XF_FS_READ);
  if (rc) {
    xf_verify_say(b->v, "I2", XF_VERIFY_DAMAGED, "round %llu: the pending update \"%s\": %s",
                  (unsigned long long)item->round, path, xf_rc_text(rc));
    return XF_OK;
  }
  xf_sha256_init(&sha);
  while (!rc && n) {
    rc = file.fs->pread(&file, chunk, sizeof chunk, at, &n);
    if (!rc) xf_sha256_feed(&sha, chunk, n);
    at += n;
  }
  xf_sha256_take(&sha, &got);
  xf_sha256_deinit(&sha);
  (void)file.fs->close(&file); /* read only */
  if (rc || at != item->bytes || !xf_digest_equal(&got, &item->payload))
    xf_verify_say(b->v, "I2", XF_VERIFY_DAMAGED,
                  "round %llu: the pending update \"%s\" does not match its digest",
                  (unsigned long long)item->round, path);
  return XF_OK;
}

static enum xf_rc count_extra(void *arg, const char *name) {
  struct blobs *b = arg;
  char hex[XF_DIGEST_HEX] = "";
  struct xf_digest task;
  int64_t pending = 0;
  size_t n = strlen(name);
  if (n == XF_DIGEST_HEX - 1 + 4) memcpy(hex, name, XF_DIGEST_HEX - 1);
  if (xf_digest_parse(&task, hex) == XF_OK && strcmp(name + n - 4, ".upd") == 0) {
    enum xf_rc rc = xf_sql_one_i64(&b->ob->sql, &pending, NULL, b->diag,
                                   "SELECT state='pending' FROM outbox WHERE task_id=?1",
                                   XF_SQL_ARGS(A_D(&task)));
    if (rc || pending) return rc;
  }
  b->extra++;
  xf_verify_say(b->v, "I8", XF_VERIFY_DAMAGED,
                "outbox/%s belongs to no pending update: the next start removes it", name);
  return XF_OK;
}

static enum xf_rc client_rows(struct xf_verify *v, struct xf_outbox *ob, struct xf_diag *diag) {
  uint64_t n = 0, all = 0, noised = 0;
  char personal[XF_OUTBOX_TEXT_MAX], path[XF_PATH_MAX];
  enum xf_rc rc =
      xf_verify_rows(v, &ob->sql, "I6", "a release without its charge",
                     "SELECT run, round, hex(task_id) AS task FROM outbox o WHERE NOT EXISTS"
                     " (SELECT 1 FROM odometer c WHERE c.task_id=o.task_id AND c.run=o.run)",
                     &n, diag);
  if (!rc)
    rc = xf_verify_rows(v, &ob->sql, "I6", "a noised charge without bound or noise",
                        "SELECT run, round, seq FROM odometer WHERE noised AND NOT"
                        " (clip>0 AND noise_multiplier>0 AND sensitivity>0)",
                        &n, diag);
  if (!rc) rc = xf_outbox_charged(ob, &all, &noised, diag);
  if (!rc && n == 0)
    xf_verify_say(v, "I6", XF_VERIFY_OK, "%llu releases, each charged; %llu with noise",
                  (unsigned long long)all, (unsigned long long)noised);
  if (!rc) rc = xf_outbox_personal(ob, personal, diag);
  if (!rc && personal[0]) {
    rc = xf_outbox_personal_path(ob, path, personal);
    if (!rc && !xf_fs_exists(v->fs, path))
      xf_verify_say(v, "I5", XF_VERIFY_DAMAGED, "the promoted personal state \"%s\" is missing",
                    path);
  }
  return rc;
}

enum xf_rc xf_verify_client(struct xf_verify *v, struct xf_diag *diag) {
  struct xf_outbox *ob = NULL;
  char dir[XF_PATH_MAX];
  enum xf_rc rc = xf_outbox_open_read(&ob, v->fs, v->dir, v->opts->vfs, diag);
  if (!rc) rc = xf_sql_check(&ob->sql, diag);
  if (rc) {
    xf_verify_say(v, "STATE", XF_VERIFY_DAMAGED, "%s", xf_diag_text(diag, rc));
    xf_outbox_close(ob);
    return XF_OK;
  }
  struct blobs b = {.v = v, .ob = ob, .diag = diag};
  uint64_t before = v->result->damages;
  rc = client_rows(v, ob, diag);
  if (!rc) rc = xf_outbox_pending(ob, read_blob, &b, diag);
  if (!rc && v->result->damages == before)
    xf_verify_say(v, "I2", XF_VERIFY_OK, "%llu updates wait, all whole",
                  (unsigned long long)b.pending);
  if (!rc && v->running)
    xf_verify_say(v, "I8", XF_VERIFY_SKIPPED, "the client is running: files may be on their way");
  else if (!rc) {
    rc = xf_fs_join(dir, v->dir, XF_STATE_OUTBOX);
    if (!rc) rc = v->fs->list(v->fs, dir, count_extra, &b);
    if (!rc && b.extra == 0) xf_verify_say(v, "I8", XF_VERIFY_OK, "no left-over files");
  }
  xf_outbox_close(ob);
  return rc;
}

/* --- a coordinator --- */

static enum xf_rc verify_server(struct xf_verify *v, struct xf_diag *diag) {
  char path[XF_PATH_MAX];
  enum xf_rc rc = xf_fs_join(path, v->dir, XF_STATE_LEDGER);
  if (!rc) rc = xf_ledger_open(&v->l, path, XF_LEDGER_READ, v->opts->vfs, diag);
  if (!rc) rc = xf_sql_check(&v->l->sql, diag);
  if (rc) {
    xf_verify_say(v, "STATE", XF_VERIFY_DAMAGED, "%s", xf_diag_text(diag, rc));
    rc = XF_OK;
  } else if ((rc = xf_ledger_need_run(v->l, diag)) == XF_E_NOTFOUND) {
    xf_verify_say(v, "STATE", XF_VERIFY_OK, "the ledger holds no run yet");
    rc = XF_OK;
  } else if (!rc) {
    rc = xf_verify_ledger(v, diag);
    if (!rc) rc = xf_verify_files(v, diag);
  }
  xf_ledger_close(v->l);
  return rc;
}

enum xf_rc xf_store_verify(const struct xf_fs *fs, const char *dir,
                           const struct xf_verify_opts *opts, struct xf_verify_result *out,
                           struct xf_diag *diag) {
  char server[XF_PATH_MAX], client[XF_PATH_MAX];
  struct xf_diag own;
  if (!diag) diag = &own;
  xf_diag_init(diag);
  *out = (struct xf_verify_result){0};
  struct xf_verify v = {
      .fs = fs, .dir = dir, .opts = opts, .result = out, .running = xf_lock_find(dir) != 0};
  enum xf_rc rc = xf_fs_join(server, dir, XF_STATE_LEDGER);
  if (!rc) rc = xf_fs_join(client, dir, XF_STATE_CLIENT_DB);
  if (rc) return xf_diag_set(diag, rc, "path longer than %d bytes: \"%.64s...\"", XF_PATH_MAX, dir);
  if (xf_fs_exists(fs, server)) rc = verify_server(&v, diag);
  else if (xf_fs_exists(fs, client)) rc = xf_verify_client(&v, diag);
  else
    return xf_diag_set(diag, XF_E_NOTFOUND,
                       "\"%s\" is not a state directory: it has neither " XF_STATE_LEDGER
                       " nor " XF_STATE_CLIENT_DB,
                       dir);
  if (rc) return rc;
  if (out->damages)
    return xf_diag_set(diag, XF_E_CORRUPT, "\"%s\": %llu damages", dir,
                       (unsigned long long)out->damages);
  return XF_OK;
}
