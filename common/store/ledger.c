/* Opening, transactions and the event chain. */
#include "base/alloc.h"
#include "base/assert.h"
#include "base/str.h"
#include "crypto/blake2b.h"
#include "store/ledger_impl.h"
#include "json/json.h"

#include <string.h>

enum { BODY_MAX = 64 * 1024 };

#define NAME_OF(fn, type, LIST)                          \
  const char *fn(type v) {                               \
    static const char *const names[] = {LIST(NAME_ROW)}; \
    size_t n = sizeof names / sizeof *names;             \
    return (size_t)v < n ? names[v] : "?";               \
  }
#define NAME_ROW(n, t) t,
NAME_OF(xf_ledger_run_state_name, enum xf_ledger_run_state, XF_LEDGER_RUN_LIST)
NAME_OF(xf_ledger_kind_name, enum xf_ledger_kind, XF_LEDGER_KIND_LIST)
NAME_OF(xf_ledger_round_state_name, enum xf_ledger_round_state, XF_LEDGER_ROUND_LIST)
NAME_OF(xf_ledger_refusal_name, enum xf_ledger_refusal, XF_LEDGER_REFUSAL_LIST)

enum xf_rc xf_ledger_open(struct xf_ledger **out, const char *path, enum xf_ledger_mode mode,
                          const char *vfs, struct xf_diag *diag) {
  struct xf_ledger *l = xf_calloc(1, sizeof *l);
  *out = NULL;
  l->mode = mode;
  xf_buf_init(&l->body, BODY_MAX);
  enum xf_rc rc =
      xf_sql_open(&l->sql, path, mode == XF_LEDGER_WRITE, vfs, xf_ledger_schema(), diag);
  if (rc) {
    xf_buf_deinit(&l->body);
    xf_free(l);
    return rc;
  }
  *out = l;
  return XF_OK;
}

void xf_ledger_close(struct xf_ledger *l) {
  if (!l) return;
  xf_ledger_rollback(l);
  xf_sql_close(&l->sql);
  xf_buf_deinit(&l->body);
  xf_free(l);
}

enum xf_rc xf_ledger_begin(struct xf_ledger *l, int64_t now_us, struct xf_diag *diag) {
  if (l->in_txn) return xf_diag_set(diag, XF_E_STATE, "ledger: a transaction is open already");
  if (l->mode != XF_LEDGER_WRITE)
    return xf_diag_set(diag, XF_E_STATE, "ledger \"%s\" is open for reading only", l->sql.path);
  enum xf_rc rc = xf_sql_run(&l->sql, diag, "BEGIN IMMEDIATE", XF_SQL_ARGS());
  if (rc) return rc;
  l->in_txn = true;
  l->broken = false;
  l->now_us = now_us;
  l->chain_known = false;
  return XF_OK;
}

enum xf_rc xf_ledger_commit(struct xf_ledger *l, struct xf_diag *diag) {
  if (!l->in_txn) return xf_diag_set(diag, XF_E_STATE, "ledger: no transaction is open");
  enum xf_rc rc =
      l->broken || sqlite3_get_autocommit(l->sql.db)
          ? xf_diag_set(diag, XF_E_IO, "ledger \"%s\": the transaction was lost", l->sql.path)
          : xf_sql_run(&l->sql, diag, "COMMIT", XF_SQL_ARGS());
  if (rc) xf_ledger_rollback(l);
  l->in_txn = false;
  return rc;
}

void xf_ledger_rollback(struct xf_ledger *l) {
  /* SQLite has already rolled back by itself after some errors; a failing ROLLBACK leaves nothing open
     that the next start would not roll back. */
  if (l->in_txn && !sqlite3_get_autocommit(l->sql.db))
    (void)!xf_sql_run(&l->sql, NULL, "ROLLBACK", XF_SQL_ARGS());
  l->in_txn = false;
  l->broken = false;
  l->chain_known = false;
}

uint64_t xf_ledger_wal_bytes(const struct xf_ledger *l) {
  sqlite3_file *wal = NULL;
  sqlite3_int64 n = 0;
  if (sqlite3_file_control(l->sql.db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &wal) != SQLITE_OK ||
      !wal || !wal->pMethods || wal->pMethods->xFileSize(wal, &n) != SQLITE_OK)
    return 0;
  return n > 0 ? (uint64_t)n : 0;
}

enum xf_rc xf_ledger_need_run(struct xf_ledger *l, struct xf_diag *diag) {
  struct xf_sql_rows rows;
  bool more = false;
  l->has_run = false;
  enum xf_rc rc =
      xf_sql_query(&l->sql, &rows, diag,
                   "SELECT seq, run, state FROM run ORDER BY seq DESC LIMIT 1", XF_SQL_ARGS());
  if (!rc) rc = xf_sql_next(&l->sql, &rows, &more, diag);
  if (!rc && !more)
    rc = xf_diag_set(diag, XF_E_NOTFOUND, "ledger \"%s\" holds no run yet", l->sql.path);
  if (!rc) {
    l->run_seq = xf_sql_i64(&rows, 0);
    xf_sql_get_str(&rows, 1, l->run, sizeof l->run);
    const char *state = xf_sql_str(&rows, 2);
    for (int i = 0; i <= XF_LEDGER_RUN_REPLACED; i++)
      if (strcmp(state, xf_ledger_run_state_name((enum xf_ledger_run_state)i)) == 0)
        l->run_state = (enum xf_ledger_run_state)i;
    l->has_run = true;
  }
  xf_sql_end(&rows);
  return rc;
}

enum xf_rc xf_ledger_enter(struct xf_ledger *l, bool need_run, struct xf_diag *diag) {
  if (!XF_EXPECT(l->in_txn))
    return xf_diag_set(diag, XF_E_STATE, "ledger: write outside a transaction");
  if (l->broken || sqlite3_get_autocommit(l->sql.db))
    return xf_diag_set(diag, XF_E_IO, "ledger \"%s\": the transaction was lost", l->sql.path);
  xf_ledger_body_start(l);
  enum xf_rc rc = need_run ? xf_ledger_need_run(l, diag) : XF_OK;
  return rc ? rc : xf_sql_run(&l->sql, diag, "SAVEPOINT f", XF_SQL_ARGS());
}

enum xf_rc xf_ledger_leave(struct xf_ledger *l, enum xf_rc rc, struct xf_diag *diag) {
  if (!rc) rc = xf_sql_run(&l->sql, diag, "RELEASE f", XF_SQL_ARGS());
  if (!rc) return XF_OK;
  l->chain_known = false;
  if (sqlite3_get_autocommit(l->sql.db)) l->broken = true;
  else if (xf_sql_run(&l->sql, NULL, "ROLLBACK TO f", XF_SQL_ARGS()) ||
           xf_sql_run(&l->sql, NULL, "RELEASE f", XF_SQL_ARGS()))
    l->broken = true;
  return rc;
}

enum xf_rc xf_ledger_fits(uint64_t v, const char *what, struct xf_diag *diag) {
  if (v <= INT64_MAX) return XF_OK;
  return xf_diag_set(diag, XF_E_RANGE, "ledger: %s %llu does not fit 63 bits", what,
                     (unsigned long long)v);
}

/* --- events --- */

void xf_ledger_body_start(struct xf_ledger *l) {
  xf_buf_reset(&l->body);
  xf_jsonw_init(&l->w, &l->body);
  xf_jsonw_object(&l->w);
}

void xf_ledger_body_digest(struct xf_ledger *l, const char *key, const struct xf_digest *value) {
  char hex[XF_DIGEST_HEX];
  xf_jsonw_kstr(&l->w, key, xf_digest_print(hex, value));
}

void xf_ledger_event_hash(struct xf_digest *out, const struct xf_digest *prev, uint64_t seq,
                          int64_t at_us, const char *run, uint64_t round, const char *member,
                          const char *kind, const char *body) {
  struct xf_blake2b_ctx ctx;
  xf_blake2b_init(&ctx, NULL);
  xf_blake2b_feed(&ctx, "crossfed event 1", 16);
  xf_blake2b_feed(&ctx, prev->b, sizeof prev->b);
  xf_blake2b_feed_u64(&ctx, seq);
  xf_blake2b_feed_u64(&ctx, (uint64_t)at_us);
  xf_blake2b_feed_u64(&ctx, round);
  xf_blake2b_feed_field(&ctx, run, strlen(run));
  xf_blake2b_feed_field(&ctx, member, strlen(member));
  xf_blake2b_feed_field(&ctx, kind, strlen(kind));
  xf_blake2b_feed_field(&ctx, body, strlen(body));
  xf_blake2b_take(&ctx, out);
}

static enum xf_rc chain_load(struct xf_ledger *l, struct xf_diag *diag) {
  struct xf_sql_rows rows;
  bool more = false;
  if (l->chain_known) return XF_OK;
  enum xf_rc rc = xf_sql_query(
      &l->sql, &rows, diag, "SELECT seq, hash FROM event ORDER BY seq DESC LIMIT 1", XF_SQL_ARGS());
  if (!rc) rc = xf_sql_next(&l->sql, &rows, &more, diag);
  if (!rc) {
    l->chain_seq = 0;
    l->chain_hash = (struct xf_digest){0};
    if (more) {
      l->chain_seq = xf_sql_u64(&rows, 0);
      xf_sql_get_digest(&rows, 1, &l->chain_hash);
    }
    l->chain_known = true;
  }
  xf_sql_end(&rows);
  return rc;
}

enum xf_rc xf_ledger_event_add(struct xf_ledger *l, const char *kind, uint64_t round,
                               const char *member, struct xf_diag *diag) {
  enum xf_rc rc = chain_load(l, diag);
  if (rc) return rc;
  xf_jsonw_object_end(&l->w);
  rc = xf_jsonw_finish(&l->w);
  if (!rc && !xf_buf_reserve(&l->body, 1)) rc = XF_E_LIMIT;
  if (rc) return xf_diag_set(diag, rc, "event \"%s\" of more than %d bytes", kind, BODY_MAX);
  const char *body = xf_buf_cstr(&l->body);
  struct xf_digest hash;
  uint64_t seq = l->chain_seq + 1;
  const char *run = l->has_run ? l->run : "";
  xf_ledger_event_hash(&hash, &l->chain_hash, seq, l->now_us, run, round, member, kind, body);
  rc = xf_sql_run(&l->sql, diag,
                  "INSERT INTO event(seq, at_us, run, round, member, kind, body, hash)"
                  " VALUES(?1,?2,?3,?4,?5,?6,?7,?8)",
                  XF_SQL_ARGS(A_I(seq), A_I(l->now_us), A_T(run), A_I(round), A_T(member),
                              A_T(kind), A_T(body), A_D(&hash)));
  if (!rc) {
    l->chain_seq = seq;
    l->chain_hash = hash;
  }
  xf_ledger_body_start(l); /* a function may add several */
  return rc;
}

static enum xf_rc put_body(struct xf_ledger *l, const char *kind, const char *body,
                           struct xf_diag *diag) {
  struct xf_json *json = NULL;
  size_t n = strlen(body);
  enum xf_rc rc = xf_json_parse(&json, kind, body, n, NULL, diag);
  if (rc) return rc;
  if (xf_json_kind_of(xf_json_root(json)) != XF_JSON_OBJECT)
    rc = xf_diag_set(diag, XF_E_INVAL, "event \"%s\": the body is not a JSON object", kind);
  else {
    xf_jsonw_key(&l->w, "body");
    xf_jsonw_raw(&l->w, body, n);
  }
  xf_json_free(json);
  return rc;
}

enum xf_rc xf_ledger_event(struct xf_ledger *l, const char *kind, const char *member,
                           const char *body, struct xf_diag *diag) {
  enum xf_rc rc = xf_ledger_enter(l, true, diag);
  if (rc) return rc;
  if (!kind[0] || strspn(kind, "abcdefghijklmnopqrstuvwxyz_") != strlen(kind))
    rc = xf_diag_set(diag, XF_E_INVAL, "event kind \"%.64s\": use a-z and _", kind);
  else rc = put_body(l, kind, body, diag);
  if (!rc) rc = xf_ledger_event_add(l, kind, 0, member ? member : "", diag);
  return xf_ledger_leave(l, rc, diag);
}
