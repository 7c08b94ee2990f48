/* Walks over the ledger's rows. */
#include "base/alloc.h"
#include "store/ledger_impl.h"
#include "store/ledger_rows.h"

#include <string.h>

enum xf_ledger_kind xf_ledger_kind_of(const char *text) {
  return strcmp(text, "evaluate") == 0 ? XF_LEDGER_KIND_EVALUATE : XF_LEDGER_KIND_TRAIN;
}

enum xf_ledger_round_state xf_ledger_round_state_of(const char *text) {
  for (int i = 0; i < XF_LEDGER_ROUND_ABANDONED; i++)
    if (strcmp(text, xf_ledger_round_state_name((enum xf_ledger_round_state)i)) == 0)
      return (enum xf_ledger_round_state)i;
  return XF_LEDGER_ROUND_ABANDONED;
}

void xf_ledger_read_checkpoint(const struct xf_sql_rows *rows, struct xf_ledger_checkpoint *out) {
  *out = (struct xf_ledger_checkpoint){.round = xf_sql_u64(rows, 0), .bytes = xf_sql_u64(rows, 5)};
  xf_sql_get_digest(rows, 1, &out->model);
  xf_sql_get_digest(rows, 2, &out->parent);
  xf_sql_get_digest(rows, 3, &out->sha256);
  xf_sql_get_str(rows, 4, out->path, sizeof out->path);
}

/* --- updates --- */

#define UPDATE_COLUMNS                                                                      \
  "u.task_id, u.round, u.member, u.update_digest, u.payload_digest, u.weight, u.n_samples," \
  " u.bytes, u.spool, u.metrics, u.part, u.part_weight, u.stored_us, p.clipped, p.noised,"  \
  " p.clip, p.noise_multiplier, p.sensitivity, p.epsilon, p.epsilon_zero_out FROM upd u"    \
  " LEFT JOIN privacy p ON p.run=u.run AND p.member=u.member AND p.task_id=u.task_id"       \
  " AND p.update_digest=u.update_digest"

/* Borrows the metrics text of the row. */
static void read_update(const struct xf_sql_rows *rows, struct xf_ledger_stored *out) {
  *out = (struct xf_ledger_stored){0};
  struct xf_ledger_update *u = &out->u;
  xf_sql_get_digest(rows, 0, &u->task_id);
  u->round = xf_sql_u64(rows, 1);
  xf_sql_get_str(rows, 2, u->member, sizeof u->member);
  xf_sql_get_digest(rows, 3, &u->update);
  xf_sql_get_digest(rows, 4, &u->payload);
  u->weight = xf_sql_u64(rows, 5);
  u->n_samples = xf_sql_u64(rows, 6);
  u->bytes = xf_sql_u64(rows, 7);
  xf_sql_get_str(rows, 8, out->spool, sizeof out->spool);
  u->metrics = xf_sql_str(rows, 9);
  out->frozen = !xf_sql_is_null(rows, 10);
  out->weight = xf_sql_u64(rows, 11);
  out->stored_us = xf_sql_i64(rows, 12);
  u->charge = (struct xf_charge){.clipped = xf_sql_i64(rows, 13) != 0,
                                 .noised = xf_sql_i64(rows, 14) != 0,
                                 .clip = xf_sql_f64(rows, 15),
                                 .noise_multiplier = xf_sql_f64(rows, 16),
                                 .sensitivity = xf_sql_f64(rows, 17),
                                 .epsilon = xf_sql_f64(rows, 18),
                                 .epsilon_zero_out = xf_sql_f64(rows, 19)};
}

enum xf_rc xf_ledger_tasks(struct xf_ledger *l, xf_ledger_on_given fn, void *arg,
                           struct xf_diag *diag) {
  struct xf_sql_rows rows;
  bool more = true;
  enum xf_rc rc = xf_ledger_need_run(l, diag);
  if (rc) return rc;
  rc = xf_sql_query(&l->sql, &rows, diag,
                    "SELECT t.member, t.round, r.base, t.declined<>'', coalesce(u.round,0)"
                    " FROM task t JOIN round r ON r.run=t.run AND r.round=t.round"
                    " LEFT JOIN upd u ON u.run=t.run AND u.task_id=t.task_id"
                    " WHERE t.run=?1 AND r.kind='train' ORDER BY t.round, t.member",
                    XF_SQL_ARGS(A_T(l->run)));
  while (!rc) {
    rc = xf_sql_next(&l->sql, &rows, &more, diag);
    if (rc || !more) break;
    struct xf_ledger_given g = {.member = xf_sql_str(&rows, 0),
                                .round = xf_sql_u64(&rows, 1),
                                .declined = xf_sql_i64(&rows, 3) != 0,
                                .taken = xf_sql_u64(&rows, 4)};
    xf_sql_get_digest(&rows, 2, &g.base);
    rc = fn(arg, &g);
  }
  xf_sql_end(&rows);
  return rc;
}

enum xf_rc xf_ledger_updates(struct xf_ledger *l, uint64_t round, xf_ledger_on_update fn, void *arg,
                             struct xf_diag *diag) {
  struct xf_sql_rows rows;
  bool more = true;
  enum xf_rc rc = xf_ledger_need_run(l, diag);
  if (rc) return rc;
  rc = xf_sql_query(&l->sql, &rows, diag,
                    "SELECT " UPDATE_COLUMNS " WHERE u.run=?1 AND u.round=?2 ORDER BY u.member",
                    XF_SQL_ARGS(A_T(l->run), A_I(round)));
  while (!rc) {
    struct xf_ledger_stored s;
    rc = xf_sql_next(&l->sql, &rows, &more, diag);
    if (rc || !more) break;
    read_update(&rows, &s);
    s.u.spool = s.spool;
    s.metrics = xf_strdup(s.u.metrics);
    s.u.metrics = s.metrics;
    rc = fn(arg, &s);
    xf_free(s.metrics);
  }
  xf_sql_end(&rows);
  return rc;
}

enum xf_rc xf_ledger_update_get(struct xf_ledger *l, const struct xf_digest *task_id,
                                struct xf_ledger_stored *out, struct xf_diag *diag) {
  struct xf_sql_rows rows;
  bool more = false;
  *out = (struct xf_ledger_stored){0};
  enum xf_rc rc = xf_ledger_need_run(l, diag);
  if (rc) return rc;
  rc = xf_sql_query(&l->sql, &rows, diag,
                    "SELECT " UPDATE_COLUMNS " WHERE u.run=?1 AND u.task_id=?2",
                    XF_SQL_ARGS(A_T(l->run), A_D(task_id)));
  if (!rc) rc = xf_sql_next(&l->sql, &rows, &more, diag);
  if (!rc && !more) rc = xf_diag_set(diag, XF_E_NOTFOUND, "no accepted update of that task");
  if (!rc) {
    read_update(&rows, out);
    out->metrics = xf_strdup(out->u.metrics);
    out->u.metrics = out->metrics;
    out->u.spool = out->spool;
  }
  xf_sql_end(&rows);
  return rc;
}

void xf_ledger_stored_deinit(struct xf_ledger_stored *s) {
  xf_free(s->metrics);
  *s = (struct xf_ledger_stored){0};
}

/* --- rounds, members, checkpoints --- */

static void read_round(const struct xf_sql_rows *rows, struct xf_ledger_round *out) {
  *out = (struct xf_ledger_round){.round = xf_sql_u64(rows, 0),
                                  .kind = xf_ledger_kind_of(xf_sql_str(rows, 1)),
                                  .state = xf_ledger_round_state_of(xf_sql_str(rows, 2)),
                                  .stage = (uint32_t)xf_sql_u64(rows, 3),
                                  .opened_us = xf_sql_i64(rows, 6),
                                  .closed_us = xf_sql_i64(rows, 7),
                                  .ended_us = xf_sql_i64(rows, 8),
                                  .reason = xf_sql_str(rows, 9),
                                  .metrics = xf_sql_str(rows, 10),
                                  .cohort = xf_sql_u64(rows, 11),
                                  .accepted = xf_sql_u64(rows, 12),
                                  .participants = xf_sql_u64(rows, 13),
                                  .bytes_up = xf_sql_u64(rows, 14),
                                  .refused = xf_sql_u64(rows, 15)};
  xf_sql_get_digest(rows, 4, &out->base);
  xf_sql_get_digest(rows, 5, &out->model);
}

enum xf_rc xf_ledger_rounds(struct xf_ledger *l, uint64_t from, uint64_t to, xf_ledger_on_round fn,
                            void *arg, struct xf_diag *diag) {
  struct xf_sql_rows rows;
  bool more = true;
  enum xf_rc rc = xf_ledger_need_run(l, diag);
  if (rc) return rc;
  rc = xf_sql_query(
      &l->sql, &rows, diag,
      "SELECT r.round, r.kind, r.state, r.stage, r.base,"
      " CASE WHEN r.kind='evaluate' THEN r.base ELSE r.computed END,"
      " r.opened_us, r.closed_us, r.ended_us, r.reason, r.metrics,"
      " (SELECT count(*) FROM task t WHERE t.run=r.run AND t.round=r.round),"
      " count(u.task_id), count(u.part), coalesce(sum(u.bytes),0),"
      " (SELECT coalesce(sum(n),0) FROM refusal f WHERE f.run=r.run AND f.round=r.round)"
      " FROM round r LEFT JOIN upd u ON u.run=r.run AND u.round=r.round"
      " WHERE r.run=?1 AND r.round BETWEEN ?2 AND ?3 GROUP BY r.round ORDER BY r.round",
      XF_SQL_ARGS(A_T(l->run), A_I(from), A_I(to > INT64_MAX ? INT64_MAX : to)));
  while (!rc) {
    struct xf_ledger_round r;
    rc = xf_sql_next(&l->sql, &rows, &more, diag);
    if (rc || !more) break;
    read_round(&rows, &r);
    rc = fn(arg, &r);
  }
  xf_sql_end(&rows);
  return rc;
}

enum xf_rc xf_ledger_listed(struct xf_ledger *l, uint64_t round, uint64_t *n,
                            struct xf_diag *diag) {
  int64_t count = 0;
  enum xf_rc rc = xf_ledger_need_run(l, diag);
  if (!rc)
    rc = xf_sql_one_i64(&l->sql, &count, NULL, diag,
                        "SELECT count(*) FROM member m JOIN round r ON r.run=m.run"
                        " WHERE m.run=?1 AND r.round=?2 AND m.listed_us<=r.opened_us",
                        XF_SQL_ARGS(A_T(l->run), A_I((int64_t)round)));
  *n = (uint64_t)count;
  return rc;
}

enum xf_rc xf_ledger_members(struct xf_ledger *l, xf_ledger_on_member fn, void *arg,
                             struct xf_diag *diag) {
  struct xf_sql_rows rows;
  bool more = true;
  enum xf_rc rc = xf_ledger_need_run(l, diag);
  if (rc) return rc;
  rc = xf_sql_query(
      &l->sql, &rows, diag,
      "SELECT m.member, m.domain, m.max_weight, m.first_seen_us, m.last_seen_us,"
      " (SELECT count(*) FROM task t WHERE t.run=m.run AND t.member=m.member),"
      " (SELECT count(*) FROM upd u WHERE u.run=m.run AND u.member=m.member),"
      " (SELECT count(*) FROM upd u JOIN round r ON r.run=u.run AND r.round=u.round"
      "   WHERE u.run=m.run AND u.member=m.member AND u.part IS NOT NULL"
      "   AND r.state='committed'),"
      " (SELECT coalesce(sum(n),0) FROM refusal f WHERE f.run=m.run AND f.member=m.member),"
      " (SELECT coalesce(sum(noised),0) FROM privacy p WHERE p.run=m.run AND p.member=m.member),"
      " (SELECT max(epsilon) FROM privacy p WHERE p.run=m.run AND p.member=m.member),"
      " (SELECT max(epsilon_zero_out) FROM privacy p WHERE p.run=m.run AND p.member=m.member)"
      " FROM member m WHERE m.run=?1 ORDER BY m.member",
      XF_SQL_ARGS(A_T(l->run)));
  while (!rc) {
    rc = xf_sql_next(&l->sql, &rows, &more, diag);
    if (rc || !more) break;
    struct xf_ledger_member m = {.member = xf_sql_str(&rows, 0),
                                 .domain = xf_sql_str(&rows, 1),
                                 .max_weight = xf_sql_u64(&rows, 2),
                                 .first_seen_us = xf_sql_i64(&rows, 3),
                                 .last_seen_us = xf_sql_i64(&rows, 4),
                                 .tasks = xf_sql_u64(&rows, 5),
                                 .accepted = xf_sql_u64(&rows, 6),
                                 .committed = xf_sql_u64(&rows, 7),
                                 .refused = xf_sql_u64(&rows, 8),
                                 .noised = xf_sql_u64(&rows, 9),
                                 .epsilon = xf_sql_f64(&rows, 10),
                                 .epsilon_zero_out = xf_sql_f64(&rows, 11)};
    rc = fn(arg, &m);
  }
  xf_sql_end(&rows);
  return rc;
}

enum xf_rc xf_ledger_checkpoints(struct xf_ledger *l, xf_ledger_on_checkpoint fn, void *arg,
                                 struct xf_diag *diag) {
  struct xf_sql_rows rows;
  bool more = true;
  enum xf_rc rc = xf_ledger_need_run(l, diag);
  if (rc) return rc;
  rc = xf_sql_query(&l->sql, &rows, diag,
                    "SELECT " XF_LEDGER_CHECKPOINT_COLUMNS
                    " FROM checkpoint WHERE run=?1 ORDER BY round",
                    XF_SQL_ARGS(A_T(l->run)));
  while (!rc) {
    struct xf_ledger_checkpoint c;
    rc = xf_sql_next(&l->sql, &rows, &more, diag);
    if (rc || !more) break;
    xf_ledger_read_checkpoint(&rows, &c);
    rc = fn(arg, &c, !xf_sql_is_null(&rows, 6));
  }
  xf_sql_end(&rows);
  return rc;
}

/* --- events --- */

/* The hash before `from`, from which the walk goes on; zeros at the start of the chain. */
static enum xf_rc hash_before(struct xf_ledger *l, uint64_t from, struct xf_digest *out,
                              struct xf_diag *diag) {
  struct xf_sql_rows rows;
  bool more = false;
  *out = (struct xf_digest){0};
  if (from <= 1) return XF_OK;
  enum xf_rc rc = xf_sql_query(&l->sql, &rows, diag, "SELECT hash FROM event WHERE seq=?1",
                               XF_SQL_ARGS(A_I(from - 1)));
  if (!rc) rc = xf_sql_next(&l->sql, &rows, &more, diag);
  if (!rc && more) xf_sql_get_digest(&rows, 0, out);
  xf_sql_end(&rows);
  return rc;
}

static enum xf_rc check_entry(const struct xf_ledger_entry *e, uint64_t seq, struct xf_digest *prev,
                              struct xf_diag *diag) {
  struct xf_digest want;
  if (e->seq != seq)
    return xf_diag_set(diag, XF_E_CORRUPT, "event chain: entry %llu is missing",
                       (unsigned long long)seq);
  xf_ledger_event_hash(&want, prev, e->seq, e->at_us, e->run, e->round, e->member, e->kind,
                       e->body);
  if (!xf_digest_equal(&want, &e->hash))
    return xf_diag_set(diag, XF_E_CORRUPT,
                       "event chain: entry %llu (%s, round %llu) was altered, or one before it",
                       (unsigned long long)e->seq, e->kind, (unsigned long long)e->round);
  *prev = e->hash;
  return XF_OK;
}

enum xf_rc xf_ledger_events(struct xf_ledger *l, uint64_t from, xf_ledger_on_event fn, void *arg,
                            struct xf_diag *diag) {
  struct xf_sql_rows rows;
  struct xf_digest prev;
  bool more = true;
  uint64_t seq = from ? from : 1;
  enum xf_rc rc = hash_before(l, seq, &prev, diag);
  if (rc) return rc;
  rc = xf_sql_query(&l->sql, &rows, diag,
                    "SELECT seq, at_us, run, round, member, kind, body, hash FROM event"
                    " WHERE seq>=?1 ORDER BY seq",
                    XF_SQL_ARGS(A_I(seq)));
  while (!rc) {
    rc = xf_sql_next(&l->sql, &rows, &more, diag);
    if (rc || !more) break;
    struct xf_ledger_entry e = {.seq = xf_sql_u64(&rows, 0),
                                .at_us = xf_sql_i64(&rows, 1),
                                .run = xf_sql_str(&rows, 2),
                                .round = xf_sql_u64(&rows, 3),
                                .member = xf_sql_str(&rows, 4),
                                .kind = xf_sql_str(&rows, 5),
                                .body = xf_sql_str(&rows, 6)};
    xf_sql_get_digest(&rows, 7, &e.hash);
    rc = check_entry(&e, seq++, &prev, diag);
    if (!rc && fn) rc = fn(arg, &e);
  }
  xf_sql_end(&rows);
  return rc;
}
