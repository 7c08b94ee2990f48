/* Opening and recovery of the outbox, and walks over its rows. */
#include "base/alloc.h"
#include "base/str.h"
#include "crypto/sha256.h"
#include "store/outbox_impl.h"
#include "store/state.h"

#include <stdio.h>
#include <string.h>

enum { HEX = 2 * XF_DIGEST_LEN, READ_CHUNK = 64 * 1024 };

static const char v1[] =
    "CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;"

    "CREATE TABLE outbox("
    " seq INTEGER PRIMARY KEY, run TEXT NOT NULL,"
    " task_id BLOB NOT NULL UNIQUE CHECK(length(task_id)=32), round INTEGER NOT NULL,"
    " kind INTEGER NOT NULL, dtype INTEGER NOT NULL,"
    " base BLOB NOT NULL CHECK(length(base)=32), layout BLOB NOT NULL CHECK(length(layout)=32),"
    " payload_digest BLOB NOT NULL CHECK(length(payload_digest)=32),"
    " update_digest BLOB NOT NULL CHECK(length(update_digest)=32),"
    " weight INTEGER NOT NULL, n_samples INTEGER NOT NULL, bytes INTEGER NOT NULL,"
    " meta TEXT NOT NULL, personal TEXT NOT NULL,"
    " state TEXT NOT NULL DEFAULT 'pending' CHECK(state IN ('pending','settled')),"
    " verdict TEXT NOT NULL DEFAULT '',"
    " outcome TEXT NOT NULL DEFAULT 'unknown'"
    "  CHECK(outcome IN ('unknown','committed','discarded')),"
    " created_us INTEGER NOT NULL, settled_us INTEGER, decided_us INTEGER) STRICT;"

    "CREATE TABLE odometer("
    " seq INTEGER PRIMARY KEY, run TEXT NOT NULL,"
    " task_id BLOB NOT NULL UNIQUE CHECK(length(task_id)=32), round INTEGER NOT NULL,"
    " clipped INTEGER NOT NULL, noised INTEGER NOT NULL, clip REAL NOT NULL,"
    " noise_multiplier REAL NOT NULL, sensitivity REAL NOT NULL, epsilon REAL NOT NULL,"
    " epsilon_zero_out REAL NOT NULL, at_us INTEGER NOT NULL) STRICT;"
    "CREATE TRIGGER odometer_fixed BEFORE UPDATE ON odometer"
    " BEGIN SELECT raise(ABORT, 'the odometer is append-only'); END;"
    "CREATE TRIGGER odometer_kept BEFORE DELETE ON odometer"
    " BEGIN SELECT raise(ABORT, 'the odometer is append-only'); END;";

const struct xf_sql_kind *xf_outbox_schema(void) {
  static const char *const scripts[] = {v1};
  static const struct xf_sql_kind kind = {.what = "client database",
                                          .app_id = 0x78664331, /* "xfC1" */
                                          .mode = 0600,
                                          .sql = scripts,
                                          .version = XF_OUTBOX_SCHEMA};
  return &kind;
}

enum xf_rc xf_outbox_blob_path(const struct xf_outbox *ob, char out[XF_PATH_MAX],
                               const struct xf_digest *task_id) {
  char dir[XF_PATH_MAX], hex[XF_DIGEST_HEX], name[XF_DIGEST_HEX + 4];
  (void)snprintf(name, sizeof name, "%s.upd", xf_digest_print(hex, task_id));
  enum xf_rc rc = xf_fs_join(dir, ob->dir, XF_STATE_OUTBOX);
  return rc ? rc : xf_fs_join(out, dir, name);
}

void xf_outbox_read_item(const struct xf_sql_rows *rows, struct xf_outbox_item *i) {
  *i = (struct xf_outbox_item){.round = xf_sql_u64(rows, 2),
                               .kind = (uint32_t)xf_sql_u64(rows, 3),
                               .dtype = (uint32_t)xf_sql_u64(rows, 4),
                               .weight = xf_sql_u64(rows, 9),
                               .n_samples = xf_sql_u64(rows, 10),
                               .bytes = xf_sql_u64(rows, 11),
                               .meta = xf_sql_str(rows, 12),
                               .settled = xf_sql_i64(rows, 14) != 0,
                               .created_us = xf_sql_i64(rows, 16),
                               .charge = {.clipped = xf_sql_i64(rows, 17) != 0,
                                          .noised = xf_sql_i64(rows, 18) != 0,
                                          .clip = xf_sql_f64(rows, 19),
                                          .noise_multiplier = xf_sql_f64(rows, 20),
                                          .sensitivity = xf_sql_f64(rows, 21),
                                          .epsilon = xf_sql_f64(rows, 22),
                                          .epsilon_zero_out = xf_sql_f64(rows, 23)}};
  xf_sql_get_str(rows, 0, i->run, sizeof i->run);
  xf_sql_get_digest(rows, 1, &i->task_id);
  xf_sql_get_digest(rows, 5, &i->base);
  xf_sql_get_digest(rows, 6, &i->layout);
  xf_sql_get_digest(rows, 7, &i->payload);
  xf_sql_get_digest(rows, 8, &i->update);
  xf_sql_get_str(rows, 13, i->personal, sizeof i->personal);
  xf_sql_get_str(rows, 15, i->verdict, sizeof i->verdict);
}

/* --- recovery --- */

struct sweep {
  struct xf_outbox *ob;
  bool starting; /* nothing is being made now: files without a row are left-overs */
  struct xf_outbox_recovery *found;
  struct xf_diag *diag;
};

static bool ends_with(const char *s, const char *end) {
  size_t n = strlen(s), m = strlen(end);
  return n >= m && strcmp(s + n - m, end) == 0;
}

static enum xf_rc remove_file(struct sweep *s, const char *dir, const char *name) {
  char parent[XF_PATH_MAX], path[XF_PATH_MAX];
  enum xf_rc rc = xf_fs_join(parent, s->ob->dir, dir);
  if (!rc) rc = xf_fs_join(path, parent, name);
  if (!rc) rc = s->ob->fs->unlink(s->ob->fs, path);
  if (!rc || rc == XF_E_NOTFOUND) return XF_OK;
  return xf_diag_set(s->diag, rc, "cannot remove \"%s/%s\": %s", dir, name, xf_rc_text(rc));
}

static enum xf_rc sweep_blob(void *arg, const char *name) {
  struct sweep *s = arg;
  char hex[XF_DIGEST_HEX];
  struct xf_digest task;
  int64_t pending = 0;
  bool row = false;
  if (ends_with(name, ".upd.tmp") && s->starting) {
    s->found->temps++;
    return remove_file(s, XF_STATE_OUTBOX, name);
  }
  if (strlen(name) != HEX + 4 || !ends_with(name, ".upd")) return XF_OK; /* not ours */
  memcpy(hex, name, HEX);
  hex[HEX] = '\0';
  if (xf_digest_parse(&task, hex)) return XF_OK;
  enum xf_rc rc = xf_sql_one_i64(&s->ob->sql, &pending, &row, s->diag,
                                 "SELECT state='pending' FROM outbox WHERE task_id=?1",
                                 XF_SQL_ARGS(A_D(&task)));
  if (rc || (row && pending) || (!row && !s->starting)) return rc;
  if (row) s->found->left_blobs++;
  else s->found->unsent++; /* never charged, so never sent */
  return remove_file(s, XF_STATE_OUTBOX, name);
}

static enum xf_rc sweep_personal(void *arg, const char *name) {
  struct sweep *s = arg;
  int64_t needed = 0, known = 0;
  if (strncmp(name, "personal.", 9) != 0) return XF_OK; /* not ours */
  enum xf_rc rc =
      xf_sql_one_i64(&s->ob->sql, &needed, NULL, s->diag,
                     "SELECT (SELECT count(*) FROM outbox WHERE personal=?1 AND outcome='unknown')"
                     " + (SELECT count(*) FROM meta WHERE key='personal' AND value=?1)",
                     XF_SQL_ARGS(A_T(name)));
  if (!rc)
    rc = xf_sql_one_i64(&s->ob->sql, &known, NULL, s->diag,
                        "SELECT count(*) FROM outbox WHERE personal=?1", XF_SQL_ARGS(A_T(name)));
  if (rc || needed || (!known && !s->starting)) return rc;
  s->found->personal++;
  return remove_file(s, XF_STATE_PERSONAL, name);
}

enum xf_rc xf_outbox_sweep(struct xf_outbox *ob, bool starting, struct xf_outbox_recovery *found,
                           struct xf_diag *diag) {
  char dir[XF_PATH_MAX];
  struct sweep s = {.ob = ob, .starting = starting, .found = found, .diag = diag};
  *found = (struct xf_outbox_recovery){0};
  xf_diag_init(diag);
  enum xf_rc rc = xf_fs_join(dir, ob->dir, XF_STATE_OUTBOX);
  if (!rc) rc = ob->fs->list(ob->fs, dir, sweep_blob, &s);
  if (!rc) rc = xf_fs_join(dir, ob->dir, XF_STATE_PERSONAL);
  if (!rc) rc = ob->fs->list(ob->fs, dir, sweep_personal, &s);
  if (rc && diag && !diag->rc)
    return xf_diag_set(diag, rc, "cannot list the outbox in \"%s\": %s", ob->dir, xf_rc_text(rc));
  return rc;
}

static enum xf_rc check_blob(struct xf_outbox *ob, const struct xf_outbox_item *item,
                             struct xf_diag *diag) {
  struct xf_file file;
  struct xf_sha256_ctx sha;
  struct xf_digest got;
  char path[XF_PATH_MAX];
  uint64_t at = 0;
  size_t n = 1;
  enum xf_rc rc = xf_outbox_blob_path(ob, path, &item->task_id);
  if (!rc) rc = ob->fs->open(ob->fs, &file, path, XF_FS_READ);
  if (rc == XF_E_NOTFOUND)
    return xf_diag_set(diag, XF_E_CORRUPT,
                       "the update of round %llu was charged but its file \"%s\" is missing",
                       (unsigned long long)item->round, path);
  if (rc) return xf_diag_set(diag, rc, "cannot open \"%s\": %s", path, xf_rc_text(rc));
  uint8_t *chunk = xf_alloc(READ_CHUNK);
  xf_sha256_init(&sha);
  while (!rc && n) {
    rc = file.fs->pread(&file, chunk, READ_CHUNK, at, &n);
    if (!rc) xf_sha256_feed(&sha, chunk, n);
    at += n;
  }
  xf_sha256_take(&sha, &got);
  xf_sha256_deinit(&sha);
  xf_free(chunk);
  (void)file.fs->close(&file); /* read only */
  if (rc) return xf_diag_set(diag, rc, "cannot read \"%s\": %s", path, xf_rc_text(rc));
  if (at == item->bytes && xf_digest_equal(&got, &item->payload)) return XF_OK;
  return xf_diag_set(diag, XF_E_CORRUPT,
                     "the update of round %llu is damaged: \"%s\" does not match its digest",
                     (unsigned long long)item->round, path);
}

struct checking {
  struct xf_outbox *ob;
  struct xf_outbox_recovery *found;
  struct xf_diag *diag;
};

static enum xf_rc check_pending(void *arg, const struct xf_outbox_item *item) {
  struct checking *c = arg;
  c->found->pending++;
  return check_blob(c->ob, item, c->diag);
}

static enum xf_rc open_common(struct xf_outbox **out, const struct xf_fs *fs, const char *dir,
                              const char *vfs, bool write, struct xf_diag *diag) {
  char path[XF_PATH_MAX];
  struct xf_outbox *ob = xf_calloc(1, sizeof *ob);
  *out = NULL;
  ob->fs = fs;
  xf_buf_init(&ob->text, 2 * XF_OUTBOX_META_MAX);
  enum xf_rc rc = xf_str_copy(ob->dir, sizeof ob->dir, dir);
  if (!rc) rc = xf_fs_join(path, dir, XF_STATE_CLIENT_DB);
  if (rc) xf_diag_set(diag, rc, "path longer than %d bytes: \"%.64s...\"", XF_PATH_MAX, dir);
  if (!rc) rc = xf_sql_open(&ob->sql, path, write, vfs, xf_outbox_schema(), diag);
  if (rc) {
    xf_outbox_close(ob);
    return rc;
  }
  *out = ob;
  return XF_OK;
}

enum xf_rc xf_outbox_open(struct xf_outbox **out, const struct xf_fs *fs, const char *dir,
                          const char *vfs, struct xf_outbox_recovery *found, struct xf_diag *diag) {
  struct xf_outbox_recovery ignored;
  if (!found) found = &ignored;
  *found = (struct xf_outbox_recovery){0};
  enum xf_rc rc = xf_state_init_client(fs, dir, diag);
  if (!rc) rc = open_common(out, fs, dir, vfs, true, diag);
  if (rc) return rc;
  struct checking c = {.ob = *out, .found = found, .diag = diag};
  rc = xf_outbox_sweep(*out, true, found, diag);
  if (!rc) rc = xf_outbox_pending(*out, check_pending, &c, diag);
  if (!rc) return XF_OK;
  xf_outbox_close(*out);
  *out = NULL;
  return rc;
}

enum xf_rc xf_outbox_open_read(struct xf_outbox **out, const struct xf_fs *fs, const char *dir,
                               const char *vfs, struct xf_diag *diag) {
  return open_common(out, fs, dir, vfs, false, diag);
}

void xf_outbox_close(struct xf_outbox *ob) {
  if (!ob) return;
  xf_outbox_stop_reading(ob);
  xf_sql_close(&ob->sql);
  xf_buf_deinit(&ob->text);
  xf_free(ob);
}

/* --- walks --- */

static enum xf_rc walk_items(struct xf_outbox *ob, const char *query, xf_outbox_on_item fn,
                             void *arg, struct xf_diag *diag) {
  struct xf_sql_rows rows;
  bool more = true;
  enum xf_rc rc = xf_sql_query(&ob->sql, &rows, diag, query, XF_SQL_ARGS());
  while (!rc) {
    struct xf_outbox_item item;
    rc = xf_sql_next(&ob->sql, &rows, &more, diag);
    if (rc || !more) break;
    xf_outbox_read_item(&rows, &item);
    rc = fn(arg, &item);
  }
  xf_sql_end(&rows);
  return rc;
}

enum xf_rc xf_outbox_pending(struct xf_outbox *ob, xf_outbox_on_item fn, void *arg,
                             struct xf_diag *diag) {
  static const char query[] = "SELECT " XF_OUTBOX_COLUMNS " WHERE state='pending' ORDER BY o.seq";
  return walk_items(ob, query, fn, arg, diag);
}

enum xf_rc xf_outbox_items(struct xf_outbox *ob, xf_outbox_on_item fn, void *arg,
                           struct xf_diag *diag) {
  static const char query[] = "SELECT " XF_OUTBOX_COLUMNS " ORDER BY o.seq";
  return walk_items(ob, query, fn, arg, diag);
}

enum xf_rc xf_outbox_charges(struct xf_outbox *ob, xf_outbox_on_charge fn, void *arg,
                             struct xf_diag *diag) {
  struct xf_sql_rows rows;
  bool more = true;
  enum xf_rc rc = xf_sql_query(&ob->sql, &rows, diag,
                               "SELECT seq, run, task_id, round, clipped, noised, clip,"
                               " noise_multiplier, sensitivity, epsilon, epsilon_zero_out, at_us"
                               " FROM odometer ORDER BY seq",
                               XF_SQL_ARGS());
  while (!rc) {
    rc = xf_sql_next(&ob->sql, &rows, &more, diag);
    if (rc || !more) break;
    struct xf_outbox_charge c = {.seq = xf_sql_u64(&rows, 0),
                                 .round = xf_sql_u64(&rows, 3),
                                 .charge = {.clipped = xf_sql_i64(&rows, 4) != 0,
                                            .noised = xf_sql_i64(&rows, 5) != 0,
                                            .clip = xf_sql_f64(&rows, 6),
                                            .noise_multiplier = xf_sql_f64(&rows, 7),
                                            .sensitivity = xf_sql_f64(&rows, 8),
                                            .epsilon = xf_sql_f64(&rows, 9),
                                            .epsilon_zero_out = xf_sql_f64(&rows, 10)},
                                 .at_us = xf_sql_i64(&rows, 11)};
    xf_sql_get_str(&rows, 1, c.run, sizeof c.run);
    xf_sql_get_digest(&rows, 2, &c.task_id);
    rc = fn(arg, &c);
  }
  xf_sql_end(&rows);
  return rc;
}

enum xf_rc xf_outbox_charged(struct xf_outbox *ob, uint64_t *n, uint64_t *noised,
                             struct xf_diag *diag) {
  int64_t all = 0, with = 0;
  enum xf_rc rc =
      xf_sql_one_i64(&ob->sql, &all, NULL, diag, "SELECT count(*) FROM odometer", XF_SQL_ARGS());
  if (!rc)
    rc = xf_sql_one_i64(&ob->sql, &with, NULL, diag, "SELECT count(*) FROM odometer WHERE noised",
                        XF_SQL_ARGS());
  *n = (uint64_t)all;
  *noised = (uint64_t)with;
  return rc;
}
