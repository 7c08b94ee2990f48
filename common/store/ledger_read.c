/* Status, recovery and single facts. */
#include "store/ledger_read.h"

#include "base/alloc.h"
#include "store/ledger_impl.h"
#include "store/ledger_rows.h"

#include <string.h>

static enum xf_rc run_row(struct xf_ledger *l, struct xf_ledger_status *out, struct xf_diag *diag) {
  struct xf_sql_rows rows;
  bool more = false;
  enum xf_rc rc = xf_sql_query(&l->sql, &rows, diag,
                               "SELECT run, federation, name, plan_digest, layout_digest, seed,"
                               " reason, epoch, created_us,"
                               " (SELECT count(*) FROM member m WHERE m.run=run.run),"
                               " (SELECT coalesce(max(seq),0) FROM event)"
                               " FROM run WHERE run=?1",
                               XF_SQL_ARGS(A_T(l->run)));
  if (!rc) rc = xf_sql_next(&l->sql, &rows, &more, diag);
  if (!rc && more) {
    xf_sql_get_str(&rows, 0, out->run.run, sizeof out->run.run);
    xf_sql_get_str(&rows, 1, out->run.federation, sizeof out->run.federation);
    xf_sql_get_str(&rows, 2, out->run.name, sizeof out->run.name);
    xf_sql_get_digest(&rows, 3, &out->run.plan);
    xf_sql_get_digest(&rows, 4, &out->run.layout);
    out->run.seed = xf_sql_u64(&rows, 5);
    xf_sql_get_str(&rows, 6, out->reason, sizeof out->reason);
    out->epoch = xf_sql_u64(&rows, 7);
    out->created_us = xf_sql_i64(&rows, 8);
    out->n_members = xf_sql_u64(&rows, 9);
    out->events = xf_sql_u64(&rows, 10);
    out->state = l->run_state;
  }
  xf_sql_end(&rows);
  return rc;
}

static enum xf_rc count_rounds(struct xf_ledger *l, struct xf_ledger_status *out,
                               struct xf_diag *diag) {
  struct xf_sql_rows rows;
  bool more = false;
  enum xf_rc rc =
      xf_sql_query(&l->sql, &rows, diag,
                   "SELECT coalesce(max(round),0),"
                   " count(*) FILTER (WHERE state='committed' AND kind='train'),"
                   " count(*) FILTER (WHERE state='committed' AND kind='evaluate'),"
                   " count(*) FILTER (WHERE state='abandoned'),"
                   " count(*) FILTER (WHERE state='abandoned' AND kind='train' AND round>"
                   "  (SELECT coalesce(max(round),0) FROM round WHERE run=?1 AND kind='train'"
                   "   AND state='committed')),"
                   " coalesce(max(round) FILTER (WHERE state='committed'),0),"
                   " coalesce(max(ended_us) FILTER (WHERE state='committed'),0)"
                   " FROM round WHERE run=?1",
                   XF_SQL_ARGS(A_T(l->run)));
  if (!rc) rc = xf_sql_next(&l->sql, &rows, &more, diag);
  if (!rc && more) {
    out->rounds = xf_sql_u64(&rows, 0);
    out->commits = xf_sql_u64(&rows, 1);
    out->evaluations = xf_sql_u64(&rows, 2);
    out->abandoned = xf_sql_u64(&rows, 3);
    out->abandoned_tail = xf_sql_u64(&rows, 4);
    out->last_commit = xf_sql_u64(&rows, 5);
    out->last_commit_us = xf_sql_i64(&rows, 6);
  }
  xf_sql_end(&rows);
  return rc;
}

static enum xf_rc count_updates(struct xf_ledger *l, struct xf_ledger_status *out,
                                struct xf_diag *diag) {
  struct xf_sql_rows rows;
  bool more = false;
  enum xf_rc rc =
      xf_sql_query(&l->sql, &rows, diag,
                   "SELECT count(*), coalesce(sum(bytes),0),"
                   " (SELECT coalesce(sum(n),0) FROM refusal WHERE run=?1) FROM upd WHERE run=?1",
                   XF_SQL_ARGS(A_T(l->run)));
  if (!rc) rc = xf_sql_next(&l->sql, &rows, &more, diag);
  if (!rc && more) {
    out->accepted = xf_sql_u64(&rows, 0);
    out->bytes_up = xf_sql_u64(&rows, 1);
    out->refused = xf_sql_u64(&rows, 2);
  }
  xf_sql_end(&rows);
  return rc;
}

enum xf_rc xf_ledger_status(struct xf_ledger *l, struct xf_ledger_status *out,
                            struct xf_diag *diag) {
  *out = (struct xf_ledger_status){0};
  enum xf_rc rc = xf_ledger_need_run(l, diag);
  if (!rc) rc = run_row(l, out, diag);
  if (!rc) rc = count_rounds(l, out, diag);
  if (!rc) rc = count_updates(l, out, diag);
  return rc;
}

enum xf_rc xf_ledger_plan(struct xf_ledger *l, struct xf_buf *out, struct xf_diag *diag) {
  struct xf_sql_rows rows;
  bool more = false;
  size_t len = 0;
  enum xf_rc rc = xf_ledger_need_run(l, diag);
  if (rc) return rc;
  rc = xf_sql_query(&l->sql, &rows, diag, "SELECT plan FROM run WHERE run=?1",
                    XF_SQL_ARGS(A_T(l->run)));
  if (!rc) rc = xf_sql_next(&l->sql, &rows, &more, diag);
  if (!rc && more) {
    const void *p = xf_sql_blob(&rows, 0, &len);
    rc = xf_buf_put(out, p, len);
    if (rc) xf_diag_set(diag, rc, "the plan of run \"%s\" has %zu bytes", l->run, len);
  }
  xf_sql_end(&rows);
  return rc;
}

/* --- recovery --- */

static enum xf_rc newest_checkpoint(struct xf_ledger *l, struct xf_ledger_recovery *out,
                                    struct xf_diag *diag) {
  struct xf_sql_rows rows;
  enum xf_rc rc =
      xf_sql_query(&l->sql, &rows, diag,
                   "SELECT " XF_LEDGER_CHECKPOINT_COLUMNS " FROM checkpoint WHERE run=?1"
                   " ORDER BY round DESC LIMIT 1",
                   XF_SQL_ARGS(A_T(l->run)));
  if (!rc) rc = xf_sql_next(&l->sql, &rows, &out->has_checkpoint, diag);
  if (!rc && out->has_checkpoint) xf_ledger_read_checkpoint(&rows, &out->checkpoint);
  xf_sql_end(&rows);
  return rc;
}

static enum xf_rc stage_commits(struct xf_ledger *l, struct xf_ledger_recovery *out,
                                struct xf_diag *diag) {
  struct xf_sql_rows rows;
  bool more = true;
  enum xf_rc rc = xf_sql_query(&l->sql, &rows, diag,
                               "SELECT stage, count(*) FROM round WHERE run=?1 AND kind='train'"
                               " AND state='committed' GROUP BY stage",
                               XF_SQL_ARGS(A_T(l->run)));
  while (!rc) {
    rc = xf_sql_next(&l->sql, &rows, &more, diag);
    if (rc || !more) break;
    uint64_t stage = xf_sql_u64(&rows, 0);
    if (stage >= sizeof out->stage_commits / sizeof out->stage_commits[0])
      rc = xf_diag_set(diag, XF_E_CORRUPT, "ledger: a round of stage %llu",
                       (unsigned long long)stage);
    else out->stage_commits[stage] = xf_sql_u64(&rows, 1);
  }
  xf_sql_end(&rows);
  return rc;
}

static enum xf_rc open_round(struct xf_ledger *l, struct xf_ledger_recovery *out,
                             struct xf_diag *diag) {
  struct xf_sql_rows rows;
  enum xf_rc rc = xf_sql_query(&l->sql, &rows, diag,
                               "SELECT round, kind, state, stage, base, computed FROM round"
                               " WHERE run=?1 AND state IN ('open','closing','committing')",
                               XF_SQL_ARGS(A_T(l->run)));
  if (!rc) rc = xf_sql_next(&l->sql, &rows, &out->has_open, diag);
  if (!rc && out->has_open) {
    out->round = xf_sql_u64(&rows, 0);
    out->kind = xf_ledger_kind_of(xf_sql_str(&rows, 1));
    out->state = xf_ledger_round_state_of(xf_sql_str(&rows, 2));
    out->stage = (uint32_t)xf_sql_u64(&rows, 3);
    xf_sql_get_digest(&rows, 4, &out->base);
    xf_sql_get_digest(&rows, 5, &out->computed);
  }
  xf_sql_end(&rows);
  return rc;
}

static enum xf_rc open_tasks(struct xf_ledger *l, struct xf_ledger_recovery *out,
                             struct xf_diag *diag) {
  struct xf_sql_rows rows;
  bool more = true;
  enum xf_rc rc = xf_sql_query(&l->sql, &rows, diag,
                               "SELECT member, task_id FROM task WHERE run=?1 AND round=?2"
                               " ORDER BY member",
                               XF_SQL_ARGS(A_T(l->run), A_I(out->round)));
  while (!rc) {
    rc = xf_sql_next(&l->sql, &rows, &more, diag);
    if (rc || !more) break;
    if (out->n_task % 64 == 0)
      out->task = xf_realloc_array(out->task, out->n_task + 64, sizeof *out->task);
    struct xf_ledger_task *t = &out->task[out->n_task++];
    *t = (struct xf_ledger_task){0};
    xf_sql_get_str(&rows, 0, t->member, sizeof t->member);
    xf_sql_get_digest(&rows, 1, &t->task_id);
  }
  xf_sql_end(&rows);
  return rc;
}

static enum xf_rc keep_update(void *arg, const struct xf_ledger_stored *s) {
  struct xf_ledger_recovery *out = arg;
  if (out->n_update % 64 == 0)
    out->update = xf_realloc_array(out->update, out->n_update + 64, sizeof *out->update);
  struct xf_ledger_stored *to = &out->update[out->n_update++];
  *to = *s;
  to->metrics = xf_strdup(s->metrics);
  return XF_OK;
}

enum xf_rc xf_ledger_recover(struct xf_ledger *l, struct xf_ledger_recovery *out,
                             struct xf_diag *diag) {
  *out = (struct xf_ledger_recovery){0};
  enum xf_rc rc = xf_ledger_status(l, &out->status, diag);
  if (!rc) rc = newest_checkpoint(l, out, diag);
  if (!rc) rc = stage_commits(l, out, diag);
  if (!rc) rc = open_round(l, out, diag);
  if (!rc && out->has_open) {
    rc = open_tasks(l, out, diag);
    if (!rc) rc = xf_ledger_updates(l, out->round, keep_update, out, diag);
    /* The array has moved while it grew: the pointers into its elements are set at the end. */
    for (size_t i = 0; i < out->n_update; i++) {
      out->update[i].u.spool = out->update[i].spool;
      out->update[i].u.metrics = out->update[i].metrics;
    }
  }
  if (rc) xf_ledger_recovery_deinit(out);
  return rc;
}

void xf_ledger_recovery_deinit(struct xf_ledger_recovery *r) {
  for (size_t i = 0; i < r->n_update; i++) xf_free(r->update[i].metrics);
  xf_free(r->update);
  xf_free(r->task);
  *r = (struct xf_ledger_recovery){0};
}

/* --- single facts --- */

enum xf_rc xf_ledger_outcome(struct xf_ledger *l, const char *member,
                             const struct xf_digest *task_id, struct xf_digest *out_task,
                             bool *committed, struct xf_diag *diag) {
  struct xf_sql_rows rows;
  bool more = false;
  enum xf_rc rc = xf_ledger_need_run(l, diag);
  if (rc) return rc;
  /* Evaluation rounds carry no personal state: only train rounds count. */
  rc = xf_sql_query(&l->sql, &rows, diag,
                    "SELECT u.task_id, u.part IS NOT NULL, r.state FROM upd u"
                    " JOIN round r ON r.run=u.run AND r.round=u.round"
                    " WHERE u.run=?1 AND u.member=?2 AND r.kind='train'"
                    " AND (?3 IS NULL OR u.task_id=?3)"
                    " AND (?3 IS NOT NULL OR r.state IN ('committed','abandoned'))"
                    " ORDER BY u.round DESC LIMIT 1",
                    XF_SQL_ARGS(A_T(l->run), A_T(member), A_D(task_id)));
  if (!rc) rc = xf_sql_next(&l->sql, &rows, &more, diag);
  if (!rc && !more)
    rc = xf_diag_set(diag, XF_E_NOTFOUND, "member \"%s\" has no such update", member);
  if (!rc) {
    enum xf_ledger_round_state state = xf_ledger_round_state_of(xf_sql_str(&rows, 2));
    if (out_task) xf_sql_get_digest(&rows, 0, out_task);
    *committed = state == XF_LEDGER_ROUND_COMMITTED && xf_sql_i64(&rows, 1);
    if (state != XF_LEDGER_ROUND_COMMITTED && state != XF_LEDGER_ROUND_ABANDONED)
      rc = xf_diag_set(diag, XF_E_STATE, "its round is %s", xf_ledger_round_state_name(state));
  }
  xf_sql_end(&rows);
  return rc;
}

enum xf_rc xf_ledger_manifest_get(struct xf_ledger *l, const char *member, const char *ns,
                                  struct xf_manifest *out, struct xf_digest *digest,
                                  struct xf_diag *diag) {
  struct xf_sql_rows rows;
  bool more = false;
  size_t len = 0;
  *out = (struct xf_manifest){0};
  enum xf_rc rc = xf_ledger_need_run(l, diag);
  if (rc) return rc;
  rc = xf_sql_query(&l->sql, &rows, diag,
                    "SELECT keys, digest FROM manifest WHERE run=?1 AND ns=?2 AND member=?3",
                    XF_SQL_ARGS(A_T(l->run), A_T(ns), A_T(member)));
  if (!rc) rc = xf_sql_next(&l->sql, &rows, &more, diag);
  if (!rc && !more)
    rc = xf_diag_set(diag, XF_E_NOTFOUND, "member \"%s\" has given no keys for namespace \"%s\"",
                     member, ns);
  if (!rc) {
    const uint8_t *p = xf_sql_blob(&rows, 0, &len);
    if (digest) xf_sql_get_digest(&rows, 1, digest);
    rc = xf_manifest_decode(out, p, len, diag);
    if (rc == XF_E_FORMAT)
      rc = xf_diag_prefix(diag, XF_E_CORRUPT, "ledger: keys of member \"%s\"", member);
  }
  xf_sql_end(&rows);
  return rc;
}

enum xf_rc xf_ledger_directory_get(struct xf_ledger *l, const char *ns, struct xf_digest *digest,
                                   uint64_t *n, struct xf_diag *diag) {
  struct xf_sql_rows rows;
  bool more = false;
  enum xf_rc rc = xf_ledger_need_run(l, diag);
  if (rc) return rc;
  rc = xf_sql_query(&l->sql, &rows, diag, "SELECT digest, n FROM directory WHERE run=?1 AND ns=?2",
                    XF_SQL_ARGS(A_T(l->run), A_T(ns)));
  if (!rc) rc = xf_sql_next(&l->sql, &rows, &more, diag);
  if (!rc && !more) rc = xf_diag_set(diag, XF_E_NOTFOUND, "namespace \"%s\" is not frozen yet", ns);
  if (!rc) {
    xf_sql_get_digest(&rows, 0, digest);
    *n = xf_sql_u64(&rows, 1);
  }
  xf_sql_end(&rows);
  return rc;
}

enum xf_rc xf_ledger_retained(struct xf_ledger *l, uint32_t retain, uint64_t *out, size_t cap,
                              size_t *n, struct xf_diag *diag) {
  struct xf_sql_rows rows;
  bool more = true;
  *n = 0;
  enum xf_rc rc = xf_ledger_need_run(l, diag);
  if (rc) return rc;
  rc = xf_sql_query(&l->sql, &rows, diag,
                    "SELECT round FROM round WHERE run=?1"
                    " AND (state IN ('open','closing','committing') OR round IN"
                    "  (SELECT round FROM round WHERE run=?1 AND kind='train'"
                    "   AND state='committed' ORDER BY round DESC LIMIT ?2)) ORDER BY round",
                    XF_SQL_ARGS(A_T(l->run), A_I(retain)));
  while (!rc) {
    rc = xf_sql_next(&l->sql, &rows, &more, diag);
    if (rc || !more) break;
    if (*n == cap) rc = xf_diag_set(diag, XF_E_LIMIT, "more than %zu retained rounds", cap);
    else out[(*n)++] = xf_sql_u64(&rows, 0);
  }
  xf_sql_end(&rows);
  return rc;
}
